#!/usr/bin/env bash
# Scores and KL divergences beside llama-perplexity's, and each one's KL base file read by the other.
#
#   scripts/compare_perplexity.sh LLAMA_PERPLEXITY [TEXT]
#
# Of a small model of generated weights (SHAPE of 0.1B, LAYERS of 2, LLaMA's vocabulary) in F16 and, against it, TYPE (Q4_0):
# the perplexities of CHUNKS (default 4) windows of CTX (default 512) tokens; llama-perplexity's base file read by galatea,
# galatea's (--kl-format llama.cpp) by llama-perplexity; and the statistics of both, which must agree within BOUND (2e-3 of
# the value, the programs' own products differ). TEXT defaults to $GALATEA_DATA/wiki.test.raw, TOKENIZER to
# $GALATEA_DATA/tokenizer.model, GALATEA_DATA to ../shared/data. Exit code 1 when they do not agree.
. "$(dirname "$0")/lib.sh"

[ $# -ge 1 ] || die "usage: scripts/compare_perplexity.sh LLAMA_PERPLEXITY [TEXT]"
peer=$(realpath "$1")
data=${GALATEA_DATA:-$root/../shared/data}
text=$(realpath "${2:-$data/wiki.test.raw}")
tokenizer=$(realpath "${TOKENIZER:-$data/tokenizer.model}")
say "building"
build galatea_program generate_meta
galatea=$root/build/release/galatea
work=$(mktemp -d "${TMPDIR:-/tmp}/galatea-perplexity.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
context=${CTX:-512}
chunks=${CHUNKS:-4}
threads=${THREADS:-2}
# The peer keeps all tokens of the chunks that it scores; galatea writes bases of whole streams: the text is cut.
head -c $((context * chunks * 5)) "$text" | iconv -f utf-8 -t utf-8 -c >text || true
"$root/build/release/tests/generate_meta" meta "${SHAPE:-0.1B}" "$tokenizer" --layers "${LAYERS:-2}"
"$galatea" --quiet convert meta base.gguf --to gguf --dtype F16 >/dev/null
"$galatea" --quiet quantize base.gguf other.gguf --type "${TYPE:-Q4_0}" --fallback >/dev/null

theirs() { # theirs MODEL LOG OPTION...
  "$peer" -m "$1" -f text -c "$context" -b "$context" -t "$threads" "${@:3}" >"$2" 2>&1 || { tail -n 5 "$2" >&2; die "the peer fails"; }
}
ours() { # ours MODEL OUT OPTION...
  "$galatea" --quiet --json --threads "$threads" perplexity "$1" --data text --corpus-file text --protocol llama.cpp --ctx "$context" \
    "${@:3}" >"$2"
}
say "llama-perplexity writes its base, and compares"
theirs base.gguf their-base.log --kl-divergence-base their.kld
theirs other.gguf their-kl.log --kl-divergence-base their.kld --kl-divergence
say "galatea reads it, writes its own; llama-perplexity reads that"
ours base.gguf our-base.json --write-kl-base our.kld --kl-format llama.cpp
ours other.gguf our-kl-of-theirs.json --kl-base their.kld
ours other.gguf our-kl.json --kl-base our.kld
theirs other.gguf their-kl-of-ours.log --kl-divergence-base our.kld --kl-divergence
python3 - "${BOUND:-2e-3}" <<'PYTHON'
import json, re, sys
bound = float(sys.argv[1])
text = {name: open(name + ".log", encoding="utf-8", errors="replace").read() for name in ("their-base", "their-kl", "their-kl-of-ours")}
runs = {name: json.load(open(name + ".json")) for name in ("our-base", "our-kl", "our-kl-of-theirs")}
failed = False
def their(log, pattern):
    found = re.search(pattern, text[log])
    if not found: sys.exit(f"{log}: the peer prints no {pattern}\n" + text[log][-1500:])
    return float(found.group(1))
def compare(what, ours, theirs, allowed):
    global failed
    wrong = not abs(ours - theirs) <= allowed
    failed |= wrong
    print(f"{what:58} {ours:14.6f} {theirs:14.6f}  {'DIFFER' if wrong else 'agree'}")

count = 20 + 4 * int.from_bytes(open("our.kld", "rb").read(12)[8:], "little") * int.from_bytes(open("our.kld", "rb").read(20)[16:], "little")
tokens = open("our.kld", "rb").read(count) == open("their.kld", "rb").read(count)
sizes = [len(open(name, "rb").read()) for name in ("our.kld", "their.kld")]
print(f"base files: {sizes[0]} and {sizes[1]} bytes, header and tokens {'the same' if tokens else 'DIFFER'}")
failed |= not tokens or sizes[0] != sizes[1]
print(f"{'':58} {'galatea':>14} {'peer':>14}")
score = their("their-base", r"Final estimate: PPL.*= ([0-9.]+) \+/-")
compare("perplexity, base", runs["our-base"]["perplexity"], score, bound * score)
for ours, log, what in (("our-kl", "their-kl", "each its own base"), ("our-kl-of-theirs", "their-kl", "the peer's base"),
                        ("our-kl", "their-kl-of-ours", "galatea's base")):
    kl = runs[ours]["kl_divergence"]
    mean = their(log, r"Mean +KLD: +([-0-9.]+)")
    compare(f"mean KL, {what}", kl["mean"]["value"], mean, 10 * bound * mean)
    median = their(log, r"Median +KLD: +([-0-9.]+)")
    compare(f"median KL, {what}", kl["median"], median, 10 * bound * median)
    largest = their(log, r"Maximum KLD: +([-0-9.]+)")
    compare(f"maximum KL, {what}", kl["maximum"], largest, 50 * bound * largest)
    top = their(log, r"Same top p: +([0-9.]+)")
    compare(f"same top %, {what}", 100 * kl["same_top"]["value"], top, 1.0)
    rms = their(log, r"RMS .p *: +([0-9.]+)")
    compare(f"RMS change of p %, {what}", 100 * kl["rms_probability_change"]["value"], rms, 10 * bound * rms + 1e-3)
sys.exit(failed)
PYTHON
