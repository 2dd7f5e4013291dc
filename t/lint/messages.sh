#!/bin/sh
# Each message of the log stands in doc/messages.md, with its level; those of level warn and above in
# doc/troubleshooting.md as well.
set -u
catalogue=src/httpd/httpd_log.c
failed=0

[ -f "$catalogue" ] || { echo "messages: there is no $catalogue"; exit 1; }
list=$(mktemp) || exit 1
trap 'rm -f "$list"' EXIT
# "LEVEL TAG" of each call: the level comes before the tag.
tr '\n' ' ' <"$catalogue" | grep -oE 'APLOG_(EMERG|ALERT|CRIT|ERR|WARNING|NOTICE|INFO|DEBUG)|FO[0-9]{4}' |
    awk '/^APLOG_/ { level = $0; next } { print level, $0 }' >"$list"
[ "$(wc -l <"$list")" -gt 10 ] || { echo "messages: $catalogue holds no messages"; exit 1; }

while read -r level tag; do
    case $level in
    APLOG_EMERG) word=emerg ;;
    APLOG_ALERT) word=alert ;;
    APLOG_CRIT) word=crit ;;
    APLOG_ERR) word=error ;;
    APLOG_WARNING) word=warn ;;
    APLOG_NOTICE) word=notice ;;
    *) word=info ;;
    esac
    grep -qE "^## $tag $word: " doc/messages.md ||
        { echo "messages: doc/messages.md has no section '$tag $word: ...'"; failed=1; }
    case $word in
    notice | info) continue ;;
    esac
    grep -q "$tag" doc/troubleshooting.md ||
        { echo "messages: doc/troubleshooting.md lacks $tag ($word)"; failed=1; }
done <"$list"

[ "$failed" -eq 0 ] && echo ok
exit "$failed"
