"""The best errors that low ranks allow, by numpy's SVD in float64, for converter/low_rank.h.

Usage: low_rank.py OUTPUT.json        (any numpy)
Matrix number m of rows x cols with decay d is the sum over k < min(rows, cols) of d**k * left[:, k] * right[k, :],
rounded to float32; left is matrix(2 m) and right matrix(2 m + 1) of sample_values.py, so that the test can repeat it.
"noise" times matrix(2 m + 100) is added. "errors" are Frobenius norms of what the best product of each rank misses.
"""
import json
import sys

import numpy as np

from sample_values import matrix

# rows, cols, decay, noise
CASES = [(96, 64, 0.7, 0.0), (64, 160, 0.95, 0.0), (128, 100, 0.0, 1.0), (150, 150, 0.5, 0.001), (300, 40, 1.0, 0.0)]
RANKS = [1, 4, 16, 32]


def main(path):
    cases = []
    for number, (rows, cols, decay, noise) in enumerate(CASES):
        count = min(rows, cols)
        left = matrix(2 * number, rows, count).astype(np.float64)
        right = matrix(2 * number + 1, count, cols).astype(np.float64)
        whole = (left * decay ** np.arange(count)) @ right + noise * matrix(2 * number + 100, rows, cols)
        singular = np.linalg.svd(whole.astype(np.float32).astype(np.float64), compute_uv=False)
        errors = {str(r): float(np.sqrt((singular[r:] ** 2).sum())) for r in RANKS}
        cases.append({"rows": rows, "cols": cols, "decay": decay, "noise": noise,
                      "norm": float(np.sqrt((singular ** 2).sum())), "largest": float(singular[0]), "errors": errors})
    with open(path, "w") as out:
        json.dump({"numpy": np.__version__, "cases": cases}, out, indent=1)
        out.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
