# A full disk or a closed pipe behind standard output is an error, not silence.
[ -w /dev/full ] || skip "no /dev/full"
galatea --version >/dev/full
echo "full: $?"
galatea --version >&-
echo "closed: $?"
mkfifo pipe
sleep 0.1 <pipe &   # a reader that goes away without reading
exec 3>pipe
wait
galatea --version >&3
echo "no reader: $?"
