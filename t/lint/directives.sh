#!/bin/sh
# Each directive of the command table stands in the reference configuration, the README and the
# manual, and these name no other.
set -u
table=src/httpd/httpd_directives.c
failed=0

[ -f "$table" ] || { echo "directives: there is no $table"; exit 1; }
known=$(mktemp) || exit 1
named=$(mktemp) || exit 1
trap 'rm -f "$known" "$named"' EXIT
tr '\n' ' ' <"$table" | grep -oE 'AP_INIT_[A-Z0-9_]+\( *"<?[A-Za-z]+"' |
    sed -E 's/.*"<?([A-Za-z]+)"/\1/' | sort -u >"$known"
[ "$(wc -l <"$known")" -gt 5 ] || { echo "directives: $table holds no table"; exit 1; }

for doc in conf/failover-reference.conf README.md doc/directives.md; do
    [ -f "$doc" ] || { echo "directives: there is no $doc"; failed=1; continue; }
    # A word of the kind that a configuration holds; "Failover" alone or "Failover initiated" is none.
    grep -oE '\bFailover[A-Z][A-Za-z]+\b' "$doc" | sort -u >"$named"
    missing=$(comm -23 "$known" "$named")
    unknown=$(comm -13 "$known" "$named")
    [ -z "$missing" ] || { printf '%s\n' "$missing" | sed "s|^|directives: $doc lacks |"; failed=1; }
    [ -z "$unknown" ] || { printf '%s\n' "$unknown" | sed "s|^|directives: $doc names what is not there: |"; failed=1; }
done

[ "$failed" -eq 0 ] && echo ok
exit "$failed"
