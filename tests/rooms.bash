#!/usr/bin/env bash
# The build keeps the rooms apart: no room can include a header of a room that it does not know.
#   rooms.bash COMPILER SOURCE_FOLDER FOLDER_OF_INCLUDE_FOLDERS ROOM:KNOWN,KNOWN...
set -euo pipefail
compiler=$1 source=$2 includes=$3
shift 3
rooms=("${@%%:*}")
bad=0 tried=0

# can_include ROOM HEADER: does a file of ROOM find HEADER?
can_include() {
  printf '#include <%s>\n' "$2" |
    "$compiler" -std=c++20 -fsyntax-only -x c++ -I "$includes/$1" - 2>/dev/null
}

for entry in "$@"; do
  room=${entry%%:*} known=,${entry%%:*},${entry#*:},
  for other in "${rooms[@]}"; do
    [ -d "$source/$other" ] || continue
    header=$(cd "$source" && find "$other/" -name '*.h' | sort | sed -n 1p)
    [ -e "$includes/$room/$other" ] && visible=1 || visible=0
    case $known in
      *,"$other",*) [ $visible = 1 ] || { echo "$room must see $other"; bad=1; } ;;
      *) if [ $visible = 1 ] || can_include "$room" "$header"; then echo "$room sees $header"; bad=1; fi ;;
    esac
    tried=$((tried + 1))
  done
done
can_include format format/error.h || { echo "the check itself does not work"; bad=1; }
# A relative path would get around the include folders.
if grep -nE '#include *"\.\.?/' --include='*.h' --include='*.cpp' -r "${rooms[@]/#/$source/}" 2>/dev/null; then bad=1; fi
echo "$tried pairs of rooms"
exit $bad
