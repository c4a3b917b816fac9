try galatea
try galatea no-such-command
try galatea --no-such-option
try galatea --threads 0
try galatea --threads x
