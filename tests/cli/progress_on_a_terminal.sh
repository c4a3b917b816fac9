# On a terminal progress is a bar that is taken off again; in a file it is plain lines; --quiet says nothing.
command -v script >/dev/null || skip "no script(1) to make a terminal with"
script -qec true /dev/null >/dev/null 2>&1 || skip "no pseudo-terminals here"
decode="'$GALATEA' decode --payload data/miniature/payload --base data/miniature/base-hf"
TERM=xterm script -qec "stty cols 60; $decode --out on-terminal >/dev/null" /dev/null >screen
echo "-> exit $?"
tr '\r' '\n' <screen | grep -a -o '\[[#.]*\] *[0-9]* %' | sed 's/[#.]//g; s/[0-9][0-9]*/N/' | sort -u
tr '\r' '\n' <screen | sed 's/\x1b\[K//g' | awk 'length($0) > 59 { print "wider than the terminal: " $0 }'
sed 's/.*\r\x1b\[K//' screen | grep -a -q '\[' && echo "the bar is left on the screen"
galatea decode --payload data/miniature/payload --base data/miniature/base-hf --out in-file 2>log >/dev/null
grep -c $'[\x1b\r]' log
sed -n 's/: done, .* in [0-9.]* s.*/: done/p' log
galatea --quiet decode --payload data/miniature/payload --base data/miniature/base-hf --out quiet >/dev/null
