# The unit tests, which also take times; or with FAILOVER_SANITIZER those of that one's build. `make
# check` builds them.
use v5.36;
use Test::More;
use Failover::Units;

run_units( join '/', 'build', $ENV{FAILOVER_SANITIZER} // () );
done_testing;
