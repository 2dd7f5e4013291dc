# Waiting for a condition, with a limit. The tests order things by this alone, never by a sleep.
package Failover::Wait;

use v5.36;
use Carp       qw(croak);
use Exporter   qw(import);
use Time::HiRes qw(CLOCK_MONOTONIC clock_gettime sleep);

our @EXPORT = qw(wait_for now);

# Seconds of a clock that nobody sets.
sub now () { return clock_gettime(CLOCK_MONOTONIC) }

# Calls $condition until it returns something true, which it passes on. Dies past $limit seconds
# with what was waited for.
sub wait_for ( $condition, $what, $limit = 10 ) {
    my $end = now() + $limit;
    while (1) {
        my $found = $condition->();
        return $found if $found;
        croak "waited ${limit}s in vain for: $what" if now() > $end;
        sleep 0.01;
    }
}

1;
