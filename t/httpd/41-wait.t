# Who waits for a ping, and how long: the request that started it, once per child, at most
# FailoverPingWait. A hung service never makes another look down.
use v5.36;
use Test::More;
use Failover::Blackhole;
use Failover::Crowd;
use Failover::Httpd;
use Failover::Peer;
use Failover::Sanitizer;
use Failover::Seen;
use Failover::Server::MariaDB;
use Failover::Server::Memcached;
use Failover::States qw(under_each_mpm quick);
use Failover::Wait;

# Under TSan httpd and the module take longer than the usual margin: all spans are four times as long.
my $SLOWER   = Failover::Sanitizer::name() eq 'tsan' ? 4 : 1;
my $MARGIN   = 0.05 * $SLOWER;    # what a request may take over FailoverPingWait
my $WAIT     = 0.1 * $SLOWER;
my $WAITED   = 0.09 * $SLOWER;
my $SET_WAIT = $SLOWER == 1 ? '' : 'FailoverPingWait 400ms';    # else the default
my %CHILDREN = ( event => 2, worker => 2, prefork => 4 );

my $db = Failover::Server::MariaDB->new->start;
$db->create_user( "monitor$_", '' ) for '', 1 .. 3;
$db->allow_log(qr/Aborted connection/);    # pings that a stopped server finds when it wakes up
my $DB = 'mysql://monitor@' . $db->address;

under_each_mpm 'a MariaDB that hangs', sub ($mpm) {
    my $children = $CHILDREN{$mpm};
    my $httpd    = Failover::Httpd->new( mpm => $mpm, children => $children, config => <<~"CONF" . tells_child('db') )->start;
        FailoverPingTimeout             2s
        FailoverMonitoringPingFrequency 2s
        FailoverOutagePingFrequency     2s
        FailoverErrorPingFrequency      100ms
        FailoverSpread                  0
        $SET_WAIT
        FailoverService db $DB
        CONF
    $db->pause;
    my @seen = crowds_until( $httpd, $children, sub (@seen) { children_of(@seen) == $children } );
    is_deeply waited_by_child( $WAITED, @seen ), { map { $_ => 1 } $httpd->children }, 'exactly one request of each child waits';
    is_deeply [ grep { $_->{states} ne 'up' } @seen ], [], 'and goes on with the last known state';
    quick_enough( $WAIT, @seen );

    # It is down soon, then nobody waits for it.
    my @later = crowds_until( $httpd, $children, sub (@later) { all_see( $children, 'down', @later ) } );
    my @down  = crowds_until( $httpd, $children, during(2.5) );
    is_deeply [ grep { $_->{elapsed} > $WAITED } @later, @down ], [], 'no other one waits, as long as it hangs';
    $httpd->expect_log( qr/FO0001: db outage.* login: timed out after 2s/, $children );

    # Once it has answered, it is waited for again.
    $db->resume;
    crowds_until( $httpd, $children, sub (@up) { all_see( $children, 'up', @up ) } );
    $httpd->expect_log( qr/FO0003: db is back up/, $children );
    $db->pause;
    my @again = crowds_until( $httpd, $children, sub (@again) { keys waited_by_child( $WAITED, @again )->%* == $children && all_waited(@again) } );
    is_deeply waited_by_child( $WAITED, @again ), { map { $_ => 1 } $httpd->children }, 'the next time it hangs: one of each child again';
    quick_enough( $WAIT, @again );
    $db->resume;
    $httpd->allow_log(qr/FO0001: db outage/);    # of those pings, if the resume came too late
    $httpd->done;
};

# The first ping's answer is outstanding until it times out; failing, it is still usable.
under_each_mpm 'one that hangs and needs several failures to fall', sub ($mpm) {
    my $httpd = Failover::Httpd->new( mpm => $mpm, config => quick() . <<~"CONF" . tells_child('db') )->start;
        FailoverPingWait   200ms
        FailoverThresholds fall=1000 confirm=200ms cap=200ms
        FailoverService db $DB
        CONF
    $db->pause;
    my @seen = crowds_until( $httpd, 1, during(2) );
    is scalar( grep { $_->{elapsed} > 0.15 } @seen ), 1, 'one request waits, in all';
    ok $seen[0]{elapsed} > 0.15, 'the first one';
    is_deeply [ grep { $_->{states} ne 'up' } @seen ], [], 'up for all';
    quick_enough( 0.2, @seen );
    $db->resume;
    $httpd->done;
};

under_each_mpm 'FailoverPingWait 0', sub ($mpm) {
    my $peer  = Failover::Peer->new( mode => 'refuse' );
    my $httpd = Failover::Httpd->new( mpm => $mpm, config => quick() . <<~"CONF" . tells_child(qw(db gone)) )->start;
        FailoverPingWait 0
        FailoverService db   $DB
        FailoverService gone tcp://@{[ $peer->address ]}
        CONF
    $db->pause;
    my @seen = crowds_until( $httpd, 1, during(1) );
    is scalar( grep { $_->{elapsed} > $MARGIN } @seen ), 0, 'nobody waits' or diag slowest(@seen);
    like $seen[0]{states}, qr/^up /, 'the first request sees the hung one as before';
    is $seen[-1]{states}, 'down down', 'the verdicts serve later ones';
    $httpd->expect_log($_) for qr/FO0001: db outage/, qr/FO0001: gone outage/;
    $db->resume;
    $httpd->allow_log(qr/FO0003: db is back up/);
    $httpd->done;
};

# A verdict that is there in time serves the very request that asked; one that is late, the next.
under_each_mpm 'who sees the outage', sub ($mpm) {
    my $peer  = Failover::Peer->new( mode => 'refuse' );
    my $httpd = Failover::Httpd->new( mpm => $mpm, config => <<~"CONF" . tells_child(qw(gone db)) )->start;
        FailoverPingWait    300ms
        FailoverPingTimeout 600ms
        FailoverService gone tcp://@{[ $peer->address ]}
        FailoverService db   $DB
        CONF
    $db->pause;
    my ($first) = crowd( $httpd, 1 );
    is $first->{states}, 'down up', 'the request that asked sees the refusal; of the hung one it sees the state of before';
    my ($next) = grep { $_->{states} ne 'down up' } crowds_until( $httpd, 1, sub (@seen) { $seen[-1]{states} ne 'down up' } );
    is $next->{states}, 'down down', 'the next ones see both';
    quick_enough( 0.3, $first, $next );
    $httpd->expect_log($_) for qr/FO0001: gone outage/, qr/FO0001: db outage/;
    $db->resume;
    $httpd->done;

    $httpd = Failover::Httpd->new( mpm => $mpm, config => <<~"CONF" . tells_child('gone') )->start;
        FailoverPingWait 5s
        FailoverService  gone tcp://@{[ $peer->address ]}
        CONF
    my ($seen) = crowd( $httpd, 1 );
    is $seen->{states}, 'down', 'a refusal is seen by the request that asked';
    cmp_ok $seen->{elapsed}, '<', 1, 'which waits no longer than the ping takes';
    $httpd->expect_log(qr/FO0001: gone outage/);
    $httpd->done;
};

# One of each kind works; ten others hang in all the ways there are.
under_each_mpm 'ten hung services beside healthy ones', sub ($mpm) {
    my $peer   = Failover::Peer->new;
    my $cache  = Failover::Server::Memcached->new->start;
    my $frozen = Failover::Server::Memcached->new->start;
    my $other  = Failover::Server::MariaDB->new( options => ['--userstat=1'] )->start;
    my $hole   = Failover::Blackhole->new;
    $other->create_user( 'monitor', '' );
    my @url = (
        ( map { 'tcp://' . $hole->address . " timeout=50${_}ms" } 1 .. 4 ),
        ( map { "mysql://monitor$_\@" . $db->address } 1 .. 3 ),
        ( map { 'memcached://' . $frozen->address . " timeout=50${_}ms" } 1 .. 3 ),
    );
    my @name  = qw(tcp memcached mysql);
    my $httpd = Failover::Httpd->new( mpm => $mpm, config => <<~"CONF" . join( '', map {"FailoverService hung$_ $url[$_]\n"} 0 .. $#url ) . tells_child( @name, map {"hung$_"} 0 .. $#url ) )->start;
        FailoverMonitoringPingFrequency 600ms
        FailoverOutagePingFrequency     600ms
        FailoverErrorPingFrequency      600ms
        FailoverPingTimeout             500ms
        FailoverSpread                  0
        $SET_WAIT
        FailoverService tcp       tcp://@{[ $peer->address ]}
        FailoverService memcached memcached://@{[ $cache->address ]}
        FailoverService mysql     mysql://monitor\@@{[ $other->address ]}
        CONF
    $_->pause for $db, $frozen;
    my %count = (
        tcp       => sub { $peer->connections },
        memcached => sub { $cache->ask("stats\r\n") && total_connections($cache) },
        mysql     => sub { ( $other->sql(q{SELECT TOTAL_CONNECTIONS FROM information_schema.USER_STATISTICS WHERE USER = 'monitor'}) )[0] // 0 },
    );
    my %before = map { $_ => $count{$_}->() } @name;
    my @seen   = crowds_until( $httpd, 1, during(4.5) );
    my %pings  = map { $_ => $count{$_}->() - $before{$_} } @name;
    is_deeply [ grep { $_->{states} !~ /^up up up/ } @seen ], [], 'no request sees a healthy one down';
    like $seen[-1]{states}, qr/^up up up(?: down){10}$/, 'all the hung ones are down';
    # Some seven in that time; a few may have been late.
    cmp_ok $pings{$_}, '>=', 5, "the pings of the healthy one go on: $_" for @name;
    quick_enough( $WAIT, @seen );
    $_->resume for $db, $frozen;
    $httpd->expect_log(qr/FO0001: hung$_ outage.* (?:connect|login): timed out after 50\dms$/) for 0 .. 6;
    $httpd->expect_log(qr/FO0001: hung$_ outage.* answer: timed out after \d+ms$/) for 7 .. 9;
    # With four workers, of which hung endpoints never hold all, three that hang may queue for each other.
    $httpd->allow_log(qr/FO0005: hung[789]: .* ask: no worker was free in time/) if $mpm eq 'prefork';
    $httpd->done;
    $_->done for $cache, $frozen, $other;
};

# Eight may be asked at a time; one worker that is idle must not be taken for four.
subtest 'hung ones that are asked in one burst' => sub {
    my $cache = Failover::Peer->new( mode => 'reply', bytes => "VERSION 1.6.18\r\n" );
    my @hung  = map { Failover::Peer->new( mode => 'deaf' ) } 1 .. 4;
    my $lines = join '', map { "FailoverService hung$_ memcached://" . $hung[$_]->address . "\n" } 0 .. 3;
    my $httpd = Failover::Httpd->new( config => <<~"CONF" )->start;
        FailoverPingTimeout 500ms
        FailoverService cache memcached://@{[ $cache->address ]}
        <VirtualHost 127.0.0.1:\@PORT\@>
            ServerName quick
            FailoverMonitoringPingFrequency 60s
        </VirtualHost>
        <VirtualHost 127.0.0.1:\@PORT\@>
            ServerName slow
            $lines
        </VirtualHost>
        CONF
    $httpd->get( '/', host => 'quick' );
    is $cache->connections, 1, 'one worker has worked';
    $httpd->get( '/', host => 'slow' );
    my @line = eval { map { $httpd->take_log( qr/FO0001: hung$_\@slow:/, 3 ) } 0 .. 3 };
    is scalar( grep {/ answer: timed out after 500ms$/} @line ), 4, 'all four are asked at once';
    $httpd->done;
};

$db->done;
undef $db;
done_testing;

# ---------------------------------------------------------------- helpers

# As many at a time as there are children, so that none queues behind another; until what was seen
# is enough.
sub crowds_until ( $httpd, $children, $is_enough, $limit = 12 ) {
    my @seen;
    wait_for( sub { push @seen, crowd( $httpd, $children ); $is_enough->(@seen) }, 'enough requests', $limit );
    return @seen;
}

sub during ($seconds) {
    my $end = now() + $seconds;
    return sub (@) { now() >= $end };
}

sub children_of (@seen) {
    my %child = map { $_->{child} => 1 } @seen;
    return scalar keys %child;
}

# Has each child's last request seen this?
sub all_see ( $children, $states, @seen ) {
    my %last = map { $_->{child} => $_->{states} } @seen;
    return keys %last == $children && !grep { $_ ne $states } values %last;
}

sub all_waited (@seen) {
    return !grep { !$_ } values waited_by_child( $WAITED, @seen )->%*;
}

sub quick_enough ( $wait, @seen ) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return cmp_ok slowest(@seen), '<', $wait + $MARGIN, sprintf 'no request takes longer than FailoverPingWait and %d ms', 1000 * $MARGIN;
}

# What memcached counted, without our own question.
sub total_connections ($cache) {
    state %asked;
    my $socket = IO::Socket::INET->new( $cache->address ) or die "memcached: $!\n";
    $socket->syswrite("stats\r\nquit\r\n");
    local $/;
    my ($count) = readline($socket) =~ /STAT total_connections (\d+)/;
    return $count - 2 * ++$asked{$cache};
}
