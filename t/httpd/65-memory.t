# What a monitored service costs in memory: at 1,000 services at most 2 kB for each endpoint and child in
# all, the plan, the child's own part and its part of the shared memory included.
#
# All of httpd's processes are counted, each page once (Pss), after every child has pinged everything: with
# 1,000 services and with one, and what they differ by is shared among 999 endpoints and the children. The
# shared memory has room for twice as many children and a quarter more endpoints; what of it nobody
# touched costs nothing. Nothing is written for requests (observe): that is their own memory.
use v5.36;
use Test::More;
use Failover::Crowd;
use Failover::File;
use Failover::Httpd;
use Failover::Peer;
use Failover::States qw(under_each_mpm);
use Failover::Wait;

my $SERVICES = 1000;
my $CHILDREN = 16;
my $MOST     = 2048;

under_each_mpm "$SERVICES services", sub ($mpm) {
    my $peer = Failover::Peer->new( mode => 'refuse' );
    my ( $one, $many ) = map { bytes_with( $mpm, $peer, $_ ) } 1, $SERVICES;
    my $each = ( $many - $one ) / ( $SERVICES - 1 ) / $CHILDREN;
    diag sprintf '%s: %.0f kB with one, %.0f kB with %d, %.0f bytes for each endpoint and child', $mpm, $one / 1024, $many / 1024, $SERVICES, $each if $ENV{FAILOVER_FIGURES};
    cmp_ok $each, '<=', $MOST, sprintf '%.0f bytes for each endpoint and child', $each;
    cmp_ok $each, '>=', 100, 'which is not nothing';
};

done_testing;

# All memory of all processes, when every child has found every service down. Each service has an endpoint and
# a check of its own, and settings.
sub bytes_with ( $mpm, $peer, $count ) {
    my $names = join ' ', map {"service$_"} 1, $count;
    my $httpd = Failover::Httpd->new( mpm => $mpm, children => $CHILDREN, threads => 4, config => <<~"CONF" . tells_child( split / /, $names ) );
        FailoverMonitoringPingFrequency 1h
        FailoverOutagePingFrequency     1h
        FailoverSpread                  0
        FailoverMode                    observe
        @{[ join "\n", map {"FailoverService service$_ tcp://@{[ $peer->address ]} timeout=@{[ 1000 + $_ ]}ms SERVICE_${_}_HOST=spare.example.com"} 1 .. $count ]}
        CONF
    $httpd->start;
    $httpd->allow_log(qr/FO0001/);
    my %seen;
    wait_for( sub {
        $seen{ $_->{child} } = $_->{states} for crowd( $httpd, 2 * $CHILDREN );
        return !grep { ( $seen{$_} // '' ) ne 'down down' } $httpd->children;
    }, 'every child to have pinged all', 60 );
    my $bytes = least_bytes($httpd);
    $httpd->done;
    return $bytes;
}

# Within a second in which no ping is under way any more.
sub least_bytes ($httpd) {
    my ( $least, $end ) = ( undef, now() + 1 );
    wait_for( sub {
        my $bytes = 0;
        $bytes += 1024 * ( slurp("/proc/$_/smaps_rollup") =~ /^Pss: +(\d+) kB/m )[0] for $httpd->pid, $httpd->children;
        $least = $bytes if !$least || $bytes < $least;
        return now() > $end;
    }, 'a second' );
    return $least;
}
