# What a case of the command line can call.

galatea() { "$GALATEA" "$@"; }

# try COMMAND...: runs it and shows its exit code, which is not the end of the case.
try() {
  local code=0
  "$@" || code=$?
  echo "-> exit $code"
}

# json POINTER...: reads one JSON document from standard input, strictly, and prints what lies there.
json() { "$JSON_VALUE" "$@"; }

# skip REASON: this machine cannot run the case.
skip() {
  echo "skipped: $*"
  exit 77
}
