# Waiting for a condition, with a limit. The tests order things by this alone, never by a sleep.
package Failover::Wait;

use v5.36;
use Carp       qw(croak);
use Exporter   qw(import);
use Failover::Sanitizer;
use Time::HiRes qw(CLOCK_MONOTONIC clock_gettime sleep);

our @EXPORT = qw(wait_for now patience);

# Seconds of a clock that nobody sets.
sub now () { return clock_gettime(CLOCK_MONOTONIC) }

# Seconds that are an upper limit and no measure: longer where the code under test is slower.
sub patience ($seconds) { return $seconds * Failover::Sanitizer::patience() }

# Calls $condition until it returns something true, which it passes on. Dies past $limit seconds
# with what was waited for.
sub wait_for ( $condition, $what, $limit = 10 ) {
    $limit = patience($limit);
    my $end = now() + $limit;
    while (1) {
        my $found = $condition->();
        return $found if $found;
        croak "waited ${limit}s in vain for: $what" if now() > $end;
        sleep 0.01;
    }
}

1;
