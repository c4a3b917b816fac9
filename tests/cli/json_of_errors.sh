# Under --json an error is one document, too.
try galatea --json no-such-command >document
tail -n 1 document
sed '$d' document | json /error/kind /error/exit_code /error/problem
