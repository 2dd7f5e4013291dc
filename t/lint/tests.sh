#!/bin/sh
# Each START_TEST is added to a case of its file, once, and each loop goes over something.
set -u
failed=0
n=0

for file in t/unit/check_*.c; do
    [ -f "$file" ] || { echo 'tests: there are no unit tests'; exit 1; }
    tests=$(sed -nE 's/^START_TEST\(([a-z0-9_]+)\).*/\1/p' "$file")
    [ -n "$tests" ] || { echo "tests: $file has no test"; failed=1; continue; }
    for test in $tests; do
        n=$((n + 1))
        added=$(grep -cE "tcase_add_(loop_)?test\([a-z_]+, $test[,)]" "$file")
        [ "$added" -eq 1 ] || { echo "tests: $file: $test is added $added times"; failed=1; }
    done
    ends=$(grep -cx END_TEST "$file")
    [ "$ends" -eq "$(printf '%s\n' "$tests" | grep -c .)" ] ||
        { echo "tests: $file: $ends END_TEST do not match"; failed=1; }
done

# A source of the core or of the drivers has a test of its own, or a reason here.
for source in src/core/fo_*.c src/probe/probe_*.c; do
    unit=$(basename "$source" .c)
    case $unit in
    probe_ask | probe_dialogue | probe_flight_hosts | probe_resolver | probe_steps | probe_tcp) unit=probe_flight ;;
    probe_queue | probe_sleep) unit=probe_loop ;;
    probe_script_match) unit=probe_script ;;
    fo_course | fo_monitor_siblings) unit=fo_monitor ;;
    fo_judge_siblings) unit=fo_judge ;;
    probe_link | probe_in_turn) unit=probe_amqp ;;
    probe_stream) unit=probe_tls ;;
    probe_mysql_*) unit=probe_mysql ;;
    probe_redis_nodes | probe_resp) unit=probe_redis ;;
    probe_conninfo) unit=probe_pgsql ;;
    probe_plugin_helper | probe_plugin_run) unit=probe_plugin ;;
    probe_connect) unit=probe_memcached ;;
    probe_curl | probe_curl_site | probe_http_options) unit=probe_http ;;
    probe_lag_json) unit=probe_lag ;;
    esac
    [ -f "t/unit/check_$unit.c" ] || { echo "tests: $source has no t/unit/check_$unit.c"; failed=1; }
done

[ "$n" -gt 0 ] || { echo 'tests: nothing was found'; failed=1; }
[ "$failed" -eq 0 ] && echo ok
exit "$failed"
