#!/usr/bin/env bash
# The program was built with its hardening: hardened.bash PROGRAM. Exit code 77 where there is no readelf.
set -uo pipefail
program=$1 bad=0
command -v readelf >/dev/null || { echo "readelf is lacking (package binutils)"; exit 77; }
missing() { echo "$program lacks: $*"; bad=1; }
header=$(readelf -hW "$program") segments=$(readelf -lW "$program") dynamic=$(readelf -dW "$program")
symbols=$(readelf --dyn-syms -W "$program")
grep -q 'Type: *DYN' <<<"$header" || missing "a position-independent executable"
grep -q 'GNU_RELRO' <<<"$segments" || missing "a relocation table that is read-only"
grep -qE 'BIND_NOW|FLAGS_1.*NOW' <<<"$dynamic" || missing "binding at the start (full RELRO)"
grep -E 'GNU_STACK' <<<"$segments" | grep -q ' RW  ' || missing "a stack that is not executable"
grep -q '__stack_chk_fail' <<<"$symbols" || missing "the stack protector"
grep -qE '_chk@|_chk ' <<<"$symbols" || missing "checked calls of libc (fortify)"
exit $bad
