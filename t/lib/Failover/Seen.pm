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

our @EXPORT = qw(shows_states states wait_for_states said line_of);

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

1;
