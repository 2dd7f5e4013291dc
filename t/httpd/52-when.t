# When a ping happens, counted at a peer: which requests trigger it, how often, and what is pinged
# once for several services.
use v5.36;
use Test::More;
use Failover::Httpd;
use Failover::Peer;
use Failover::Seen;
use Failover::Server::MariaDB;
use Failover::States qw(under_each_mpm quick);
use Failover::Wait;

# ---------------------------------------------------------------- FailoverMonitor

under_each_mpm 'FailoverMonitor', sub ($mpm) {
    for my $level (qw(server vhost)) {
        my $peer  = bad_peer();
        my %host  = map { $_ => "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName $_\nFailoverMonitor $_\n</VirtualHost>\n" } qw(On Outages Off);
        my $off   = $level eq 'server' ? "FailoverMonitor Off\n" : '';
        $host{default} = "<VirtualHost 127.0.0.1:\@PORT\@>\nServerName default\n</VirtualHost>\n";
        my $httpd = Failover::Httpd->new( mpm => $mpm, modules => ['headers'],
            config => quick() . $off . "FailoverService db memcached://@{[ $peer->address ]}\nHeader always set X-Db \"expr=%{failover:db}\"\n" . join '', @host{qw(default On Outages Off)} )->start;
        my $ask = sub ($host) { $httpd->get( '/', host => $host )->header('X-Db') };
        if ($off) {
            $ask->('default') for 1 .. 5;
            is pings_during( $peer, 0.5, sub { $ask->('default') } ), 0, 'Off at the server holds in a virtual host that says nothing';
        }
        is pings_during( $peer, 0.5, sub { $ask->($_) for qw(Outages Off) } ), 0, "$level: Outages and Off: no ping while it counts as up";
        is $ask->('Off'), 'up', 'which is what they see';
        wait_for( sub { $ask->('On') eq 'down' }, 'On to find the outage' );
        is $ask->($_), 'down', "$_ sees it" for qw(Outages Off);
        is pings_during( $peer, 0.5, sub { $ask->('Off') } ), 0, 'Off: none in an outage either';
        cmp_ok pings_during( $peer, 0.5, sub { $ask->('Outages') } ), '>=', 2, 'Outages: pings in an outage';
        good($peer);
        wait_for( sub { $ask->('Outages') eq 'up' }, 'Outages to find the recovery' );
        is pings_during( $peer, 0.5, sub { $ask->('Outages') } ), 0, 'and no more of them then';
        $httpd->take_log(qr/FO0001/);
        $httpd->done;
    }
};

# ---------------------------------------------------------------- frequencies

# Which frequency holds when. The others are so long, or so short, that they would be seen.
my @FREQUENCY = (
    # state     at first  and then  lines of the service
    [ up     => \&good,   \&good,   'FailoverMonitoringPingFrequency 300ms' ],
    [ down   => \&bad,    \&bad,    'FailoverOutagePingFrequency 300ms' ],
    [ rising => \&bad,    \&good,   'FailoverErrorPingFrequency 300ms', 'FailoverOutagePingFrequency 200ms', 'FailoverThresholds rise=1000' ],
);

under_each_mpm 'frequencies', sub ($mpm) {
    my %peer   = map { $_->[0] => $_->[1]->( Failover::Peer->new ) } @FREQUENCY;
    my $config = join '', map { block( $_->[0], $peer{ $_->[0] }, @$_[ 3 .. $#$_ ] ) } @FREQUENCY;
    my $httpd  = Failover::Httpd->new( mpm => $mpm, config => <<~"CONF" )->start;
        FailoverMonitoringPingFrequency 1h
        FailoverOutagePingFrequency     1h
        FailoverErrorPingFrequency      1h
        FailoverPingTimeout             200ms
        FailoverPingWait                1s
        FailoverSpread                  0
        $config
        CONF
    $httpd->get('/');
    is count_of( $peer{$_}, 1 ), 1, "$_: the first request pings" for sort keys %peer;
    $_->[2]->( $peer{ $_->[0] } ) for @FREQUENCY;
    exact_spans( $httpd, 0.3, %peer );
    my %before = map { $_ => $peer{$_}->connections } keys %peer;
    pings_during( $peer{up}, 0.8, sub { select undef, undef, undef, 0.1 } );
    is $peer{$_}->connections, $before{$_}, "$_: none without a request" for sort keys %peer;
    $httpd->expect_log(qr/FO0001: $_ outage/) for qw(down rising);
    $httpd->done;
};

# A span is stretched by up to the spread, never shortened; a child's first one is any part of it.
subtest 'FailoverSpread' => sub {
    my @peer  = map { Failover::Peer->new } 1 .. 8;
    my $httpd = Failover::Httpd->new( config => <<~"CONF" . join '', map { "FailoverService db$_ tcp://" . $peer[$_]->address . "\n" } 0 .. $#peer )->start;
        FailoverMonitoringPingFrequency 500ms
        FailoverPingTimeout             100ms
        FailoverSpread                  100
        CONF
    my %at;
    my $end = now() + 4;
    while ( now() < $end ) {
        $httpd->get('/');
        for my $i ( 0 .. $#peer ) {
            my $count = $peer[$i]->connections;
            $at{$i}[$count] //= now() if $count;
        }
    }
    my ( @first, @later );
    for my $seen ( values %at ) {
        my @span = map { $seen->[ $_ + 1 ] - $seen->[$_] } grep { $seen->[$_] && $seen->[ $_ + 1 ] } 1 .. $#$seen;
        push @first, shift @span;
        push @later, @span;
    }
    is scalar( grep { $_ > 1.1 } @first ), 0, 'the first spans are no longer than a stretched one';
    cmp_ok scalar( grep { $_ < 0.46 } @first ), '>=', 1, 'and some are shorter than the frequency';
    cmp_ok scalar @later, '>', 20, 'enough spans';
    is scalar( grep { $_ < 0.46 || $_ > 1.1 } @later ), 0, 'all later ones are within the frequency and its double' or diag "@later";
    my ( $shortest, $longest ) = ( sort { $a <=> $b } @later )[ 0, -1 ];
    cmp_ok $longest - $shortest, '>', 0.15, 'and differ';
    $httpd->done;
};

# ---------------------------------------------------------------- thresholds

under_each_mpm 'FailoverThresholds', sub ($mpm) {
    my $peer  = bad_peer();
    my $httpd = Failover::Httpd->new( mpm => $mpm, config => <<~"CONF" . shows_states('db') )->start;
        FailoverMonitoringPingFrequency 1h
        FailoverOutagePingFrequency     100ms
        FailoverErrorPingFrequency      100ms
        FailoverPingTimeout             100ms
        FailoverPingWait                1s
        FailoverSpread                  0
        FailoverThresholds fall=4 rise=3 confirm=200ms cap=400ms
        FailoverService db memcached://@{[ $peer->address ]}
        CONF
    is states($httpd), 'up', 'one failure: failing is usable';
    my $began = now();
    is $peer->connections, 1, 'one ping so far';
    is scalar said( $httpd, 'FO0001' ), 0, 'no line';
    wait_for( sub { $peer->connections >= 4 }, 'the confirming pings, which follow without a request' );
    # 200 ms apart at least; doubled with jitter no more than 400.
    between( now() - $began, 0.55, 1.6, 'at confirm, doubled up to cap' );
    $httpd->take_log(qr/FO0001: db outage/);
    is states($httpd), 'down', 'the fourth failure is an outage';

    good($peer);
    my $before = $peer->connections;
    my @seen;
    wait_for( sub { push @seen, states($httpd); $seen[-1] eq 'up' }, 'the recovery' );
    is $peer->connections - $before, 3, 'the third pass is the recovery';
    $httpd->take_log(qr/FO0003: db is back up/);

    # While rising one failure leads back down, in silence.
    bad($peer);
    $httpd->graceful;
    wait_for_states( $httpd, 'down' );
    $httpd->take_log(qr/FO0001/);
    for my $round ( 1 .. 2 ) {
        $before = good($peer)->connections;
        wait_for( sub { states($httpd) eq 'down' or die "up too early\n"; $peer->connections > $before }, 'a pass' );
        $before = bad($peer)->connections;
        wait_for( sub { states($httpd) eq 'down' or die "up too early\n"; $peer->connections > $before + 1 }, 'failures' );
    }
    is scalar said( $httpd, 'FO0003' ), 1, 'no recovery';
    $httpd->done;
};

# Failures that do not reach the threshold are nobody's business.
subtest 'a failure that passes' => sub {
    my $peer  = bad_peer();
    my $httpd = Failover::Httpd->new( config => quick() . <<~"CONF" . shows_states('db') )->start;
        FailoverThresholds fall=3 confirm=300ms
        FailoverService db memcached://@{[ $peer->address ]}
        CONF
    for my $round ( 1 .. 3 ) {
        my $before = bad($peer)->connections;
        wait_for( sub { states($httpd) eq 'up' or die "down too early\n"; $peer->connections > $before }, 'a failure' );
        $before = good($peer)->connections;
        wait_for( sub { states($httpd) eq 'up' or die "down too early\n"; $peer->connections > $before + 1 }, 'passes' );
    }
    pass 'up all the time';
    $httpd->done('and silent');
};

# ---------------------------------------------------------------- equal probes

under_each_mpm 'equal probes are pinged once', sub ($mpm) {
    my ( $shared, $apart ) = map { good( Failover::Peer->new ) } 1 .. 2;
    my ( $at, $other ) = map { $_->address } $shared, $apart;
    my $httpd = Failover::Httpd->new( mpm => $mpm, config => quick() . <<~"CONF" . shows_states(qw(one two slow)) )->start;
        FailoverService one memcached://$at
        FailoverService two memcached://$at
        <FailoverService slow>
            FailoverEndpoint main memcached://$at
            FailoverMonitoringPingFrequency 1h
            FailoverThresholds fall=5 confirm=10s
        </FailoverService>
        FailoverService a memcached://$other timeout=150ms
        FailoverService b memcached://$other timeout=160ms
        CONF
    $httpd->get('/');
    is count_of( $shared, 1 ), 1, 'three services, one ping';
    is count_of( $apart,  2 ), 2, 'two timeouts, two pings';
    exact_spans( $httpd, 0.2, 'at the shortest frequency' => $shared );
    bad($shared);
    wait_for_states( $httpd, 'down down up' );
    $httpd->take_log(qr/FO0001: $_ outage/) for qw(one two);
    pass 'each judges under its own thresholds';
    $httpd->take_log(qr/FO0001: slow outage/) if wait_for( sub { states($httpd) eq 'down down down' }, 'the fifth failure' );
    $httpd->done;
};

# Who the ping is counts as well: user, password, database.
subtest 'probes that are not equal' => sub {
    my $db = Failover::Server::MariaDB->new( options => ['--userstat=1'] )->start;
    $db->create_user( $_, '' ) for qw(one two);
    my $at    = $db->address;
    my $httpd = Failover::Httpd->new( config => <<~"CONF" . shows_states(qw(a b c)) )->start;
        FailoverPingWait 2s
        FailoverService a mysql://one\@$at
        FailoverService b mysql://one\@$at
        FailoverService c mysql://two\@$at
        CONF
    is states($httpd), 'up up up', 'up';
    my %logins = map { split /\t/ } $db->sql('SELECT USER, TOTAL_CONNECTIONS FROM information_schema.USER_STATISTICS');
    is $logins{one}, 1, 'one ping for two services';
    is $logins{two}, 1, 'and one for the other user';
    $httpd->done;
    $db->done;
};

done_testing;

# ---------------------------------------------------------------- helpers

# How many connections a peer got while this was done again and again.
sub pings_during ( $peer, $seconds, $body ) {
    my $before = $peer->connections;
    my $end    = now() + $seconds;
    $body->() while now() < $end;
    return $peer->connections - $before;
}

# A peer of memcached://, whose answer does not depend on who is quicker. tcp:// takes 20 ms of
# silence for a pass, and a peer that closes may be later than that on a busy machine.
sub good     ($peer) { return $peer->mode( 'reply', bytes => "VERSION 1.6.18\r\n" ) }
sub bad      ($peer) { return $peer->mode( 'reply', bytes => "ERROR\r\n" ) }
sub bad_peer ()      { return bad( Failover::Peer->new ) }

# The connections, once there are as many as expected: the kernel accepts before the peer does.
sub count_of ( $peer, $expected ) {
    eval { wait_for( sub { $peer->connections >= $expected }, 'the connections', 2 ) };
    return $peer->connections;
}

# Requests all the time: no two pings of a peer are closer than the span, and on average they are
# not much further apart.
sub exact_spans ( $httpd, $span, %peer ) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my %seen = map { $_ => { count => $peer{$_}->connections, at => [] } } keys %peer;
    wait_for( sub {
        $httpd->get('/');
        for my $name ( keys %peer ) {
            my $count = $peer{$name}->connections;
            push $seen{$name}{at}->@*, now() if $count > $seen{$name}{count};
            $seen{$name}{count} = $count;
        }
        return !grep { $_->{at}->@* < 7 } values %seen;
    }, 'seven pings of each', 20 );
    for my $name ( sort keys %seen ) {
        my @at    = $seen{$name}{at}->@*;
        my @after = map { $at[ $_ + 1 ] - $at[$_] } 1 .. $#at - 1;    # the first may have been due for long
        my ($shortest) = sort { $a <=> $b } @after;
        # Seen from here, a ping may be late, and the next one then seems early.
        between( ( $at[-1] - $at[1] ) / @after, $span - 0.01, $span * 1.3, "$name: $span s apart on average" );
        cmp_ok $shortest, '>', $span / 2, "$name: no two at once";
    }
    return;
}

sub block ( $name, $peer, @lines ) {
    return join "\n", "<FailoverService $name>", 'FailoverEndpoint main memcached://' . $peer->address, @lines, "</FailoverService>\n";
}
