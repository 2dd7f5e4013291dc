# The unit tests under ASan and UBSan, and under TSan. `make check` builds them.
use v5.36;
use Test::More;
use Failover::Units;

run_units(qw(build/asan build/tsan));
done_testing;
