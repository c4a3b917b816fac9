"""Checks the committed miniature against itself with the tools that made it. Exit status 1 if anything differs.

Usage: check.py [STEP ...]      steps: sums xor convert merge score golden (default: all)
"""
import json
import math
import pathlib
import sys
import tempfile

import numpy
import torch

import paths

# Digests must be equal. Sums of floats may differ in their last bits on another processor:
SCORE_TOLERANCE = 1e-5  # relative
LOGIT_TOLERANCE = 1e-4  # absolute


def release():
    return json.loads((paths.OUT / "release.json").read_text())


def same_folder(folder, listed):
    import release as writer
    found = {f["name"]: f for f in writer.folder_digests(pathlib.Path(folder))}
    listed = {f["name"]: f for f in listed}
    wrong = sorted(set(found) ^ set(listed)) + [n for n in listed if n in found and found[n] != listed[n]]
    if wrong:
        raise AssertionError(f"{folder}: {', '.join(wrong)}")


def check_sums():
    listed = release()
    for key, folder in (("base", paths.BASE), ("meta", paths.META), ("adapter", paths.ADAPTER),
                        ("payload", paths.PAYLOAD)):
        same_folder(folder, listed[key])
    import release as writer
    for name, algorithm in (("SHA256SUMS", "sha256"), ("MD5SUMS", "md5")):
        assert (paths.OUT / name).read_text() == writer.sums(listed["files"], algorithm), name


def check_xor():
    import xor_codec
    with tempfile.TemporaryDirectory() as folder:
        xor_codec.xor_folder(folder, paths.PAYLOAD, paths.BASE)
        same_folder(folder, release()["files"])


def check_convert():
    import convert
    with tempfile.TemporaryDirectory() as folder:
        convert.convert(paths.META, folder + "/base-hf")
        same_folder(folder + "/base-hf", release()["base"])


def check_merge():
    import merge
    with tempfile.TemporaryDirectory() as folder:
        merge.run(folder + "/merged")
        same_folder(folder + "/merged", release()["files"])


def decoded(folder):
    import xor_codec
    xor_codec.xor_folder(folder, paths.PAYLOAD, paths.BASE)
    return folder


def check_score():
    import score
    with tempfile.TemporaryDirectory() as folder:
        scores, streams = score.score(decoded(folder))
    for name, expected in release()["scores"].items():
        assert math.isclose(scores[name], expected, rel_tol=SCORE_TOLERANCE), f"{name}: {scores[name]}, not {expected}"
    print("        scores are " + ("equal to the last bit" if scores == release()["scores"] else "near"))
    assert streams == release()["streams"], f"{streams} instead of {release()['streams']}"


def check_golden():
    import golden
    stored = json.loads((paths.GOLDEN / "logits.json").read_text())
    ids = torch.tensor(stored["ids"])
    with tempfile.TemporaryDirectory() as folder:
        for name, source in (("base", paths.BASE), ("merged", decoded(folder))):
            values = golden.logits(source, ids).numpy()
            expected = numpy.fromfile(paths.GOLDEN / stored["models"][name]["file"], dtype="<f4")
            distance = abs(values - expected.reshape(values.shape)).max()
            assert distance <= LOGIT_TOLERANCE, f"logits of {name} differ by {distance}"
            print(f"        logits of {name} differ by {distance} at most")
    samples = json.loads((paths.GOLDEN / "tokens.json").read_text())["miniature"]
    assert samples == golden.token_samples(paths.META / "tokenizer.model"), "tokens.json"


STEPS = {"sums": check_sums, "xor": check_xor, "convert": check_convert, "merge": check_merge,
         "score": check_score, "golden": check_golden}


def main():
    torch.set_num_threads(1)
    failed = 0
    for name in sys.argv[1:] or STEPS:
        try:
            STEPS[name]()
            print(f"ok      {name}", flush=True)
        except AssertionError as error:
            failed += 1
            print(f"FAILED  {name}: {error}", flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
