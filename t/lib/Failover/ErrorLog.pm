# Lines of httpd's error log, and when they were written.
package Failover::ErrorLog;

use v5.36;
use Exporter qw(import);

use POSIX qw(mktime);

our @EXPORT    = qw(seconds_between);
our @EXPORT_OK = qw(written_at);

my %MONTH;
@MONTH{qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec)} = 0 .. 11;

# From the first line to the second, by their time stamps, which have microseconds.
sub seconds_between ( $first, $second ) {
    my $span = _seconds($second) - _seconds($first);
    return $span < -43_200 ? $span + 86_400 : $span;    # midnight
}

# The instant, in seconds of the epoch; nothing where the line has no time stamp.
sub written_at ($line) {
    my ( $month, $day, $time, $fraction, $year ) = $line =~ /^\[\w+ (\w+) +(\d+) (\d+:\d+:\d+)([.]\d+) (\d+)\]/ or return;
    return mktime( reverse( split /:/, $time ), $day, $MONTH{$month}, $year - 1900, 0, 0, -1 ) + $fraction;
}

sub _seconds ($line) {
    my ( $hour, $minute, $second ) = $line =~ /^\[\w+ \w+ \d+ (\d+):(\d+):(\d+[.]\d+) \d+\]/
        or die "no time stamp: $line\n";
    return $hour * 3600 + $minute * 60 + $second;
}

1;
