# The help fits one screen: at most 40 lines of 80 columns, with one example.
galatea --help >help
galatea -h | cmp - help
lines=$(wc -l <help)
[ "$lines" -ge 15 ] && [ "$lines" -le 40 ] || echo "help has $lines lines"
awk 'length($0) > 80' help
grep -c '^Example' help
