# The unit tests under ASan and UBSan, and those with threads under TSan; `make tsan` runs all. `make
# check` builds them.
use v5.36;
use Test::More;
use Failover::Units;

run_units('build/asan');
run_threaded_units('build/tsan');
done_testing;
