"""Writes tests/data/pickle/: pickles (protocol 2) of Python's own pickler that show its batches and its memo.

Usage: pickle_goldens.py [FOLDER]
"""
import pathlib
import pickle
import sys
from collections import OrderedDict

DEFAULT = pathlib.Path(__file__).resolve().parents[2] / "tests/data/pickle"


def module_state(count):
    state = OrderedDict((f"layer.{i}", i) for i in range(count))
    state._metadata = OrderedDict([("", {"version": 1}), ("layer", {"version": 1})])
    return state


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    folder.mkdir(parents=True, exist_ok=True)
    cycle = [1]
    cycle.append(cycle)
    twice = ["same", ("a", "b", "c", "d"), {"k": []}]
    values = {f"{kind}_{n}": make(n) for n in (0, 1, 2, 999, 1000, 1001, 2000, 2001)
              for kind, make in (("dict", lambda n: {i: None for i in range(n)}),
                                 ("ordered", lambda n: OrderedDict((i, True) for i in range(n))),
                                 ("list", lambda n: [0] * n))}
    values["texts"] = [f"t{i}" for i in range(300)]  # the memo goes beyond 256
    values["shared"] = [twice, twice, twice[0], twice[1], twice[2]["k"], twice[2]]
    values["cycle"] = cycle
    values["tuples"] = [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), ((), ((),))]
    values["numbers"] = [s * (2**b + d) for b in (0, 7, 8, 15, 16, 23, 31, 32, 39, 62, 63, 64, 127, 800)
                         for d in (-1, 0, 1) for s in (1, -1)] + [0.0, -0.0, 1.5, 1e300, float("inf"), float("nan")]
    values["module_state"] = module_state(3)
    for name, value in values.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(value, protocol=2))


if __name__ == "__main__":
    main()
