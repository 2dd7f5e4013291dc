# Lines of httpd's error log, and when they were written.
package Failover::ErrorLog;

use v5.36;
use Exporter qw(import);

our @EXPORT = qw(seconds_between);

# From the first line to the second, by their time stamps, which have microseconds.
sub seconds_between ( $first, $second ) {
    my $span = _seconds($second) - _seconds($first);
    return $span < -43_200 ? $span + 86_400 : $span;    # midnight
}

sub _seconds ($line) {
    my ( $hour, $minute, $second ) = $line =~ /^\[\w+ \w+ \d+ (\d+):(\d+):(\d+[.]\d+) \d+\]/
        or die "no time stamp: $line\n";
    return $hour * 3600 + $minute * 60 + $second;
}

1;
