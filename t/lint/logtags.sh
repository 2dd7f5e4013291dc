#!/bin/sh
# Each message of the log has a tag of its own, FOnnnn; all stand in one catalogue, and the catalogue
# alone writes to the log.
set -u
catalogue=src/httpd/httpd_log.c
failed=0

[ -f "$catalogue" ] || { echo "logtags: there is no $catalogue"; exit 1; }
tags=$(grep -oE 'FO[0-9]{4}' "$catalogue")
[ -n "$tags" ] || { echo "logtags: $catalogue holds no tag"; exit 1; }

twice=$(printf '%s\n' "$tags" | sort | uniq -d)
[ -z "$twice" ] || { printf '%s\n' "$twice" | sed 's/^/logtags: given twice: /'; failed=1; }

calls=$(grep -cE '\bap_log_[a-z]*error *\(' "$catalogue")
n=$(printf '%s\n' "$tags" | grep -c .)
[ "$calls" -le "$n" ] || { echo "logtags: $calls calls, but $n tags"; failed=1; }

# Each call names a tag before the next one begins.
awk '
    /ap_log_[a-z]*error *\(/ {
        if (open) { printf "logtags: %s:%d: no tag\n", FILENAME, open; bad = 1 }
        open = FNR
    }
    /FO[0-9][0-9][0-9][0-9]/ { open = 0 }
    END { if (open) { printf "logtags: %s:%d: no tag\n", FILENAME, open; bad = 1 }; exit bad }
' "$catalogue" || failed=1

others=$(ls mod_failover.c include/*.h src/*/*.[ch] | grep -vx "$catalogue")
[ -n "$others" ] || { echo 'logtags: there are no sources'; exit 1; }
elsewhere=$(grep -nE '\bap_log_[a-z_]+ *\(' $others | grep -v 'ap_log_assert')
[ -z "$elsewhere" ] || { printf '%s\n' "$elsewhere" | sed 's/^/logtags: not the catalogue: /'; failed=1; }
strays=$(grep -nE '"[^"]*FO[0-9]{4}' $others)
[ -z "$strays" ] || { printf '%s\n' "$strays" | sed 's/^/logtags: not in the catalogue: /'; failed=1; }

[ "$failed" -eq 0 ] && echo ok
exit "$failed"
