"""Writes release.json, SHA256SUMS and MD5SUMS: digests of every file, and the scores of the merged model."""
import hashlib
import json

import torch

import paths
import score


def digests(path):
    data = path.read_bytes()
    entry = {"name": path.name, "size": len(data)}
    for algorithm in ("md5", "sha1", "sha256"):
        entry[algorithm] = hashlib.new(algorithm, data).hexdigest()
    return entry


def folder_digests(folder):
    return [digests(p) for p in sorted(folder.iterdir())]


def sums(files, algorithm):
    return "".join(f"{f[algorithm]}  {f['name']}\n" for f in files)


def run():
    torch.set_num_threads(1)
    files = folder_digests(paths.MERGED)
    scores, streams = score.score(paths.MERGED)
    base_scores, _ = score.score(paths.BASE)
    release = {
        "name": "miniature",
        "files": files,
        "base": folder_digests(paths.BASE),
        "meta": folder_digests(paths.META),
        "adapter": folder_digests(paths.ADAPTER),
        "payload": folder_digests(paths.PAYLOAD),
        "scores": scores,
        "base_scores": base_scores,
        "streams": streams,
        "training": json.loads((paths.WORK / "training-scores.json").read_text()),
    }
    (paths.OUT / "release.json").write_text(json.dumps(release, indent=1) + "\n")
    (paths.OUT / "SHA256SUMS").write_text(sums(files, "sha256"))
    (paths.OUT / "MD5SUMS").write_text(sums(files, "md5"))


if __name__ == "__main__":
    run()
