# What a request sees of the services' states, read from the access log, and what the error log said.
#
#     my $httpd = Failover::Httpd->new( config => $services . shows_states(qw(db cache)) )->start;
#     is states($httpd), 'up down', 'the cache is down';
#     wait_for_states( $httpd, 'up up' );
#     is scalar said( $httpd, 'FO0001' ), 1, 'one outage line';
#
# The word comes from %{name}^fo, so it is the truth also while observing.
package Failover::Seen;

use v5.36;
use Exporter qw(import);
use Failover::File;
use Failover::Wait;
use Test::More ();

our @EXPORT = qw(shows_states states wait_for_states said line_of outage_is recovery_is between);

# The directives that `states` needs. The access log of a virtual host is named after it.
sub shows_states (@names) {
    my $words = join ' ', map {"%{$_}^fo"} @names;
    return qq{LogFormat "%q $words" states\nCustomLog logs/access states\n};
}

# One request, and the states that it saw after any wait for its pings, joined by blanks.
sub states ( $httpd, $path = '/' ) { return $httpd->logged($path) =~ s/^\S+ //r }

# Requests until one sees these states.
sub wait_for_states ( $httpd, $states, $limit = 10 ) {
    my $last = '';
    eval { wait_for( sub { ( $last = states($httpd) ) eq $states }, "the states $states", $limit ) }
        or die $@ . "the last were: $last\n" . $httpd->log_tail;
    return;
}

# The lines of the error log with this tag, so far.
sub said ( $httpd, $tag ) { return grep {/\] $tag: /} split /\n/, $httpd->error_log }

# On which lines of httpd.conf a directive stands.
sub line_of ( $httpd, $directive ) {
    my @line = split /\n/, slurp( $httpd->dir . '/httpd.conf' );
    return grep { $line[ $_ - 1 ] =~ /^\s*$directive\b/ } 1 .. @line;
}

# The outage's line: which endpoint, at which stage, in which words.
sub outage_is ( $httpd, $name, $endpoint, $text, $what = $name ) {
    my $words = ref $text ? $text : qr/\Q$text\E/;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return Test::More::like $httpd->take_log(qr/FO0001: $name outage/),
        qr/:crit\] .*FO0001: $name outage[.] Failover initiated[.] \(Process ID: \d+\) endpoint \Q$endpoint\E: $words$/, "$what: the outage's line";
}

# The recovery's line: its span is the time since the outage was seen, so not longer than that since it began.
sub recovery_is ( $httpd, $name, $began ) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $line = $httpd->take_log(qr/FO0003: $name is back up/);
    my ($span) = $line =~ /:notice\] .*FO0003: $name is back up[.] Recovery complete[.] \(Process ID: \d+\) after (\d+(?:ms|s))$/;
    return Test::More::ok( 0, "the recovery's line" ) || Test::More::diag($line) if !$span;
    my $seconds = $span =~ /(\d+)ms/ ? $1 / 1000 : $span =~ s/s//r;
    return between( $seconds, 0.001, now() - $began, "the recovery's line, after $span" );
}

sub between ( $value, $low, $high, $name ) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return Test::More::ok( $low <= $value && $value <= $high, $name )
        || Test::More::diag("$value is not within $low and $high");
}

1;
