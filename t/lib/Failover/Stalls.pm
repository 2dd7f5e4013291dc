# When this machine gave a process no time, so that a test which takes times can leave that out.
#
#     watch_stalls();
#     my $seconds = stalled( $began, $ended );
#
# A process beside the test sleeps 2 ms again and again, and tells of each sleep that took far longer.
package Failover::Stalls;

use v5.36;
use Exporter          qw(import);
use Failover::Cleanup qw(fork_child);
use Failover::Wait;
use File::Basename qw(basename);
use IO::Handle;
use List::Util qw(max min sum0);
use POSIX      ();
use Time::HiRes qw(sleep);

our @EXPORT = qw(watch_stalls stalled);

my $NAP   = 0.002;
my $LEAST = 0.005;    # of a sleep that is worth telling
my $reader;
my @stall;            # [ from, to ]

sub watch_stalls () {
    return if $reader;
    pipe $reader, my $writer or die "no pipe: $!\n";
    $reader->blocking(0);
    fork_child( sub { _watch($writer) } );
    return;
}

# How many of the seconds between the two were withheld.
sub stalled ( $began, $ended ) {
    while ( my $line = readline $reader ) {
        push @stall, [ split ' ', $line ];
    }
    return sum0 map { max( 0, min( $ended, $_->[1] ) - max( $began, $_->[0] ) ) } @stall;
}

# Until the test is gone, which closes the pipe and ends this process. Connections of the test that are
# open by now would otherwise outlast its own end of them.
sub _watch ($writer) {
    $writer->autoflush(1);
    POSIX::close($_) for grep { $_ > 2 && $_ != fileno $writer } map { basename($_) } glob '/proc/self/fd/*';
    while (1) {
        my $from = now() + $NAP;
        sleep $NAP;
        my $to = now();
        print {$writer} "$from $to\n" if $to - $from > $LEAST;
    }
    return;
}

1;
