#!/bin/sh
# Functions have at most 50 lines, files at most 500.
set -u
most_lines=50
most_file=500
failed=0
files=$(ls mod_failover.c include/*.h src/*/*.[ch]) || exit 1

command -v ctags >/dev/null || { echo 'sizes: universal-ctags is missing'; exit 1; }

# The line of the first and of the last brace of each function.
functions=$(ctags -x --languages=C --langmap=C:.c.h --kinds-C=f --fields=+ne --_xformat='%n %e %F %N' $files) ||
    { echo 'sizes: ctags failed'; exit 1; }
count=$(printf '%s\n' "$functions" | grep -c .)
[ "$count" -gt 50 ] || { echo "sizes: ctags found $count functions only"; exit 1; }
long=$(printf '%s\n' "$functions" | awk -v most="$most_lines" '
    $2 - $1 + 1 > most { printf "sizes: %s:%d: %s has %d lines\n", $3, $1, $4, $2 - $1 + 1 }')
[ -z "$long" ] || { echo "$long"; failed=1; }

for file in $files; do
    lines=$(wc -l <"$file")
    [ "$lines" -le "$most_file" ] || { echo "sizes: $file has $lines lines"; failed=1; }
done

[ "$failed" -eq 0 ] && echo ok
exit "$failed"
