#!/bin/sh
# No path of the machine it was written on, no tabs or trailing blanks, at most 100 columns in C.
set -u
failed=0
command -v git >/dev/null || { echo 'text: git is missing'; exit 1; }
list=$(git ls-files --cached --others --exclude-standard 2>/dev/null | grep -v '^t/fuzz/corpus/')
[ -n "$list" ] || { echo 'text: this is no checkout with files'; exit 1; }
texts=$(printf '%s\n' "$list" | while IFS= read -r file; do
    [ -f "$file" ] && grep -Iq . "$file" && printf '%s\n' "$file"
done)
[ -n "$texts" ] || { echo 'text: there are no texts'; exit 1; }

# complain WHAT: each line of the input is a finding.
complain() {
    found=$(cat)
    [ -z "$found" ] && return
    printf '%s\n' "$found" | cut -c1-160 | sed "s|^|text: $1: |"
    return 1
}

# each PATTERN FILES: what grep finds, with file and line.
each() {
    pattern=$1
    printf '%s\n' "$2" | tr '\n' '\0' | xargs -0 grep -nHE "$pattern" --
}

top=$(git rev-parse --show-toplevel) || exit 1
code=$(printf '%s\n' "$texts" | grep -E '\.[ch]$')
tabless=$(printf '%s\n' "$texts" | grep -vE '(^|/)(Makefile[^/]*|[^/]*\.mk|\.gitmodules)$')
[ -n "$code" ] || { echo 'text: there is no C'; exit 1; }

here='/'"work/"
each "(^|[^A-Za-z0-9_.-])$here|$top/" "$texts" | complain 'a path of this machine' || failed=1
each '/home/[a-z]+/|/root/' "$texts" | grep -v '^t/lint/text.sh:' |
    complain 'a path of this machine' || failed=1
each "$(printf '\t')" "$tabless" | complain 'a tab' || failed=1
each '[[:blank:]]+$' "$texts" | complain 'trailing blanks' || failed=1
each "$(printf '\r')" "$texts" | complain 'a carriage return' || failed=1
each '^.{101,}$' "$code" | complain 'more than 100 columns' || failed=1

[ "$failed" -eq 0 ] && echo ok
exit "$failed"
