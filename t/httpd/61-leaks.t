# Nothing piles up in a child, and nothing of a ping reaches the programs that it starts. A new child
# monitors from its first request on.
use v5.36;
use Test::More;
use Failover::Blackhole;
use Failover::File;
use Failover::Httpd;
use Failover::Peer;
use Failover::Sanitizer;
use Failover::Seen;
use Failover::Sockets;
use Failover::States qw(under_each_mpm quick);
use Failover::Wait;
use List::Util qw(sum);

my @HANG    = map { Failover::Peer->new( mode => 'deaf' ) } 1 .. 2;
my $HOLE    = Failover::Blackhole->new;
my $HANGING = <<~"CONF";
    FailoverPingTimeout 60s 30s
    FailoverPingWait    50ms
    FailoverService db    mysql://u\@@{[ $HANG[0]->address ]}
    FailoverService cache memcached://@{[ $HANG[1]->address ]}
    FailoverService app   tcp://@{[ $HOLE->address ]}
    CONF

# Nearly every request is a child's first one: it starts the pings and sees what they find.
subtest 'children of one request', sub {
    my ( $up, $down ) = map { Failover::Peer->new( mode => $_ ) } qw(mute refuse);
    my $httpd = Failover::Httpd->new( mpm => 'prefork', children => 10, config => quick() . <<~"CONF" . shows_states(qw(up down)) )->start;
        MaxConnectionsPerChild 1
        FailoverInherit Off
        FailoverService up   tcp://@{[ $up->address ]}
        FailoverService down tcp://@{[ $down->address ]}
        CONF
    my %seen;
    $seen{ states($httpd) }++ for 1 .. 60;
    is_deeply \%seen, { 'up down' => 60 }, 'every one saw the states';
    is scalar said( $httpd, 'FO0001' ), 60, 'every child said so, once';
    $httpd->allow_log(qr/FO0001: down outage/);
    $httpd->done;
};

under_each_mpm 'children that are replaced', sub ($mpm) {
    my ( $up, $down ) = map { Failover::Peer->new( mode => $_ ) } qw(mute refuse);
    my $httpd = Failover::Httpd->new( mpm => $mpm, children => 3, config => quick() . <<~"CONF" . shows_states(qw(up down)) )->start;
        MaxConnectionsPerChild 10
        FailoverService up   tcp://@{[ $up->address ]}
        FailoverService down tcp://@{[ $down->address ]}
        CONF
    my ( %child, %seen );
    for ( 1 .. 80 ) {
        $child{$_} = 1 for $httpd->children;
        $seen{ states($httpd) }++;
    }
    cmp_ok scalar keys %child, '>=', 6, 'children were replaced';
    is_deeply \%seen, { 'up down' => 80 }, 'every request saw the states';
    between( scalar said( $httpd, 'FO0001' ), 4, keys(%child) + 3, 'each child said so, once' );
    $httpd->allow_log(qr/FO0001: down outage/);
    $httpd->done;
};

# Every kind of ping and of end, again and again.
under_each_mpm 'descriptors and threads', sub ($mpm) {
    my %peer = map { $_ => Failover::Peer->new( mode => $_, bytes => 'x' ) } qw(mute close reset refuse deaf garbage drip);
    my @line;
    for my $mode ( sort keys %peer ) {
        my $at = $peer{$mode}->address;
        push @line, map {"FailoverService @{[ s/\W.*//r ]}_$mode $_$at"} qw(tcp:// mysql://u@ memcached:// redis:// http:// postgresql://u@);
    }
    my $httpd = Failover::Httpd->new( mpm => $mpm, config => join "\n", <<~'CONF', @line, '' )->start;
        FailoverMonitoringPingFrequency 20ms
        FailoverOutagePingFrequency     20ms
        FailoverErrorPingFrequency      20ms
        FailoverPingTimeout             20ms
        FailoverPingWait                0
        FailoverSpread                  0
        CONF
    $httpd->allow_log(qr/FO0001|FO0003|FO0005/);    # 20 ms are not much
    my ($child) = $httpd->children;
    more_pings( $httpd, $peer{close}, 210 );
    my %before = held_by($child);
    more_pings( $httpd, $peer{close}, 210 );    # and as many of each other peer
    my %after = held_by($child);
    is_deeply [ $httpd->children ], [$child], 'still the same child';
    is $after{descriptors}, $before{descriptors}, 'as many descriptors after 200 pings';
    # Workers that ask come and go with the work, at most eight of them; hundreds of pings were made.
    cmp_ok $after{threads}, '<=', $before{threads} + 8, 'and threads';
    my @kilobytes = ( $before{kilobytes}, $after{kilobytes} );
    is_enough( $httpd, $child, $peer{close}, @kilobytes ) if !Failover::Sanitizer::is_preloaded();    # its runtime keeps what was freed for a while
    $httpd->done;
};

# Under prefork mod_cgi forks in the child itself, and all that is not closed on exec goes along.
under_each_mpm 'a CGI while pings hang', sub ($mpm) {
    my %seen;
    for my $failover ( 0, 1 ) {
        my $httpd = Failover::Httpd->new( mpm => $mpm, modules => ['cgi'], ( $failover ? () : ( failover => 0 ) ), config => $failover ? $HANGING : '' );
        $httpd->file( 'cgi-bin/descriptors', <<~'CGI' );
            #!/usr/bin/perl
            print "Content-Type: text/plain\n\n";
            for my $fd ( 3 .. 1023 ) {
                my $what = readlink "/proc/$$/fd/$fd" or next;
                print $what =~ s/\d+/N/gr, "\n" if $what !~ m{/cgi-bin/};
            }
            CGI
        $httpd->start;
        $httpd->get('/');
        if ($failover) {
            my ($child) = $httpd->children;
            wait_for( sub { sockets_of($child) >= 3 }, 'the hanging connections' );
        }
        $seen{$failover} = join '', sort map {"$_\n"} split /\n/, $httpd->body('/cgi-bin/descriptors');
        $httpd->done;
    }
    is $seen{1}, $seen{0}, 'inherits nothing of a ping';
};

done_testing;

# ---------------------------------------------------------------- helpers

# The fewest within half a second without requests, when no ping is under way.
sub held_by ($pid) {
    my ( $descriptors, $threads, $kilobytes ) = ( 1e9, 1e9, 1e9 );
    my $end = now() + 0.5;
    wait_for( sub {
        my @fd   = glob "/proc/$pid/fd/*";
        my @task = glob "/proc/$pid/task/*";
        $descriptors = @fd   if @fd < $descriptors;
        $threads     = @task if @task < $threads;
        my $own = sum( slurp("/proc/$pid/smaps_rollup") =~ /^(?:Private|Shared)_Dirty: +(\d+) kB/mg );
        $kilobytes = $own if $own < $kilobytes;
        return now() > $end;
    }, 'half a second' );
    return ( descriptors => $descriptors, threads => $threads, kilobytes => $kilobytes );
}

# Threads' stacks and heaps grow into what they need; then 1,500 pings that left 24 bytes each show.
sub is_enough ( $httpd, $child, $peer, @kilobytes ) {
    while ( $kilobytes[-1] > $kilobytes[-2] + 32 && @kilobytes < 7 ) {
        more_pings( $httpd, $peer, 210 );
        push @kilobytes, { held_by($child) }->{kilobytes};
    }
    cmp_ok $kilobytes[-1], '<=', $kilobytes[-2] + 32, "and memory: @kilobytes kB";
    return;
}

sub more_pings ( $httpd, $peer, $count ) {
    my $goal = $peer->connections + $count;
    wait_for( sub { $httpd->get('/'); $peer->connections >= $goal }, "$count pings", 30 );
    return;
}
