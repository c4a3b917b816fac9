# The help of each command fits one screen, shows an example and the way to the global options.
galatea --help | sed -n '/^Commands/,/^$/p' | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p' >names
while read -r name; do
  galatea "$name" --help >help || echo "$name --help fails"
  lines=$(wc -l <help)
  [ "$lines" -le 48 ] || echo "$name: $lines lines"
  awk -v name="$name" 'length($0) > 80 { print name ": too wide: " $0 }' help
  grep -q '^Example' help || echo "$name: no example"
  sed -n '/^Example/,$p' help | grep -q "galatea $name " || echo "$name: the example does not call it"
done <names
[ "$(wc -l <names)" -ge 10 ] || echo "only $(wc -l <names) commands are listed"
