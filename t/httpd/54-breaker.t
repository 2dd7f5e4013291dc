# FailoverBreaker and FailoverUses: what becomes of requests makes the monitor look, or leave an
# endpoint at once. Counted over all children, in a window that slides over all calls.
use v5.36;
use Test::More;
use Failover::Crowd;
use Failover::Httpd;
use Failover::Peer;
use Failover::Sayer;
use Failover::Seen;
use Failover::Server::MariaDB;
use Failover::States qw(under_each_mpm);
use Failover::Wait;

# Pings are so rare that none comes by itself.
my $RARE = <<~'CONF';
    FailoverMonitoringPingFrequency 1h
    FailoverOutagePingFrequency     1h
    FailoverErrorPingFrequency      50ms
    FailoverPingTimeout             1s
    FailoverSpread                  0
    CONF

# A page that fails, one that does not, and one that nothing depends on.
my $PAGES = <<~'CONF';
    Redirect 500 /app/fail
    Redirect 503 /app/busy
    Redirect 404 /app/missing
    Redirect 500 /other/fail
    <Location /app>
        FailoverUses db
    </Location>
    <Location /app/none>
        FailoverUses none
    </Location>
    Redirect 500 /app/none/fail
    CONF

sub start ( $mpm, $breaker, $services, %arg ) {
    my $httpd = Failover::Httpd->new(
        mpm => $mpm, children => $arg{children} // 1, threads => 4, modules => [ 'alias', sayer_modules() ],
        config => $RARE . ( $arg{head} // '' ) . sayer_config() . $PAGES . tells_child('db') . "FailoverBreaker $breaker\n$services" );
    may_say($httpd);
    $httpd->file( $_, $arg{files}{$_} ) for keys $arg{files}->%*;
    $httpd->start;
    my $children = $arg{children} // 1;
    wait_for( sub { my %by; $by{ $_->{child} }++ for crowd( $httpd, 24 ); keys %by == $children }, 'a request of each child' );
    wait_for( sub { !grep { $_->connections < $children } $arg{pinged}->@* }, 'the first ping of each' );
    return $httpd;
}

sub one ($peer)       { return "FailoverService db tcp://@{[ $peer->address ]}\n" }
sub two ( $one, $two ) { return "<FailoverService db>\nFailoverEndpoint east tcp://@{[ $one->address ]}\nFailoverEndpoint west tcp://@{[ $two->address ]} weight=0.5\nFailoverGracePeriod 0\nFailoverFailback auto interval=50ms\n</FailoverService>\n" }
sub ask ( $httpd, $path, $n = 1 ) { $httpd->get($path) for 1 .. $n; return }
sub seen ($httpd) { return ( crowd( $httpd, 1 ) )[0]{states} }

# The pings so far; then, that no more came.
sub rested ($peer) {
    my $count = $peer->connections;
    my $until = now() + 0.3;
    wait_for( sub { now() > $until }, 'a while' );
    return $peer->connections == $count;
}

under_each_mpm 'a ping decides', sub ($mpm) {
    my $peer  = Failover::Peer->new;
    my $httpd = start( $mpm, 'count=5xx failures=5 rate=0.5 window=10s', one($peer), pinged => [$peer] );
    my $pings = $peer->connections;
    ask( $httpd, '/app/ok.html',  4 );
    ask( $httpd, '/app/fail',     4 );
    ask( $httpd, '/app/missing',  1 );
    ask( $httpd, '/other/fail',   5 );
    ask( $httpd, '/app/none/fail', 5 );
    ok rested($peer), 'too few failures, and others that do not count: no ping';
    is $peer->connections, $pings, 'none at all';
    ask( $httpd, '/app/fail' );
    wait_for( sub { $peer->connections > $pings }, 'the ping' );
    pass('the fifth of ten calls triggers a ping');
    is seen($httpd), 'up', 'which finds it well: nothing happens';
    $peer->mode('refuse');
    ask( $httpd, '/app/busy', 5 );
    wait_for( sub { said( $httpd, 'FO0001' ) }, 'the outage' );
    is seen($httpd), 'down', 'five more, and the ping finds the outage';
    $httpd->take_log(qr/FO0001: db outage.*Connection refused/);
    $httpd->done;
};

# The rate: of all calls.
under_each_mpm 'the rate keeps it closed', sub ($mpm) {
    my $peer  = Failover::Peer->new;
    my $httpd = start( $mpm, 'count=5xx failures=2 rate=0.4 window=10s', one($peer), pinged => [$peer] );
    ask( $httpd, '/app/ok.html', 5 );
    ask( $httpd, '/app/fail',    2 );
    ok rested($peer), '2 of 7 are fewer than 0.4';
    my $pings = $peer->connections;
    ask( $httpd, '/app/fail', 2 );
    wait_for( sub { $peer->connections > $pings }, 'the ping' );
    pass('4 of 9 are more');
    $httpd->done;
};

under_each_mpm 'failures in a row', sub ($mpm) {
    my $peer  = Failover::Peer->new;
    my $httpd = start( $mpm, 'count=5xx consecutive=3', one($peer), pinged => [$peer] );
    my $pings = $peer->connections;
    ask( $httpd, $_ ) for map { ( '/app/fail', '/app/fail', '/app/ok.html' ) } 1 .. 3;
    ok rested($peer), 'never three in a row';
    ask( $httpd, '/app/fail', 3 );
    wait_for( sub { $peer->connections > $pings }, 'the ping' );
    pass('three in a row');
    $httpd->done;
};

# Whose are the failures: of eight children none has enough.
under_each_mpm 'counted over all children', sub ($mpm) {
    my $peer  = Failover::Peer->new;
    my $httpd = start( $mpm, 'count=5xx failures=16 rate=0 window=10s', one($peer), pinged => [$peer], children => 8 );
    my $pings = $peer->connections;
    my %by;
    $by{ $_->{child} }++ for crowd( $httpd, 15, '/app/fail' );
    cmp_ok( ( sort { $b <=> $a } values %by )[0], '<', 16, 'no child has them all' );
    ok rested($peer), '15 of the server: too few';
    crowd( $httpd, 1, '/app/fail' );
    wait_for( sub { $peer->connections > $pings }, 'the ping' );
    pass('16 of the server');
    $httpd->done;
};

# The entries of the error log that would trigger a ping count, and each request once.
under_each_mpm 'errors', sub ($mpm) {
    my ( $peer, $west ) = map { Failover::Peer->new } 1, 2;
    my $httpd = start( $mpm, 'failures=3 rate=0 window=30s trip=open', two( $peer, $west ), pinged => [ $peer, $west ], head => "FailoverErrorPingFrequency 1h\n<Location /say.lua>\nFailoverUses db\n</Location>\n" );
    say_error( $httpd, 'nothing that matters' ) for 1 .. 3;
    ask( $httpd, '/app/fail', 3 );
    is seen($httpd), 'up', 'what is no error of a service does not count';
    say_error( $httpd, "Connection refused: Lost connection to MySQL server, Connection timed out" ) for 1, 2;
    is seen($httpd), 'up', 'two requests, whatever they say';
    say_error( $httpd, 'Connection refused' );
    wait_for( sub { seen($httpd) eq 'failover' }, 'the third' );
    $httpd->take_log(qr/:warn\] .*FO0018: db: endpoint east down, using west \(Process ID: \d+\): answer: breaker: 3 of \d+ requests failed within 30s/);
    $httpd->done;
};

# It is left at once, in every child, and not pinged before `reset`; then the first ping decides.
under_each_mpm 'open and half-open', sub ($mpm) {
    my ( $east, $west ) = map { Failover::Peer->new } 1, 2;
    my $httpd = start( $mpm, 'count=5xx consecutive=3 trip=open reset=2s', two( $east, $west ), pinged => [ $east, $west ], children => 3 );
    my $pings = $east->connections;
    my $began = now();
    ask( $httpd, '/app/fail', 3 );
    wait_for( sub { !grep { $_->{states} ne 'failover' } crowd( $httpd, 9 ) }, 'all to leave it' );
    cmp_ok now() - $began, '<', 1.8, 'soon';
    is $east->connections, $pings, 'no ping of it';
    wait_for( sub { crowd( $httpd, 6 ); $east->connections > $pings }, 'the half-open ping' );
    between( now() - $began, 1.95, 5, 'after its span' );
    wait_for( sub { !grep { $_->{states} ne 'up' } crowd( $httpd, 9 ) }, 'all to come back' );
    is scalar( grep { /:warn\]/ } said( $httpd, 'FO0018' ) ), 1, 'one warning, the others info';

    # Quick reopening doubles the span; what fails then stays down.
    $pings = $east->connections;
    $began = now();
    ask( $httpd, '/app/fail', 3 );
    wait_for( sub { !grep { $_->{states} ne 'failover' } crowd( $httpd, 9 ) }, 'all to leave it again' );
    wait_for( sub { crowd( $httpd, 6 ); now() - $began > 3.7 }, 'more than the first span' );
    is $east->connections, $pings, 'no ping after the first span';
    $east->mode('refuse');
    wait_for( sub { crowd( $httpd, 6 ); now() - $began > 4.8 }, 'twice the span' );
    is seen($httpd), 'failover', 'the half-open ping failed, so it stays down';
    $httpd->allow_log(qr/FO0018/);
    $httpd->done;
};

# Where one child pings for all, whichever child's request is one too many.
under_each_mpm 'one pings for all', sub ($mpm) {
    my ( $east, $west ) = map { Failover::Peer->new } 1, 2;
    my $httpd = start( $mpm, 'count=5xx failures=6 rate=0 window=30s trip=open reset=1s', two( $east, $west ), children => 3, head => "FailoverScope server lease=3s\n" );
    wait_for( sub { $east->connections && $west->connections && !grep { $_->{states} ne 'up' } crowd( $httpd, 9 ) }, 'all up' );
    for my $round ( 1 .. 3 ) {
        crowd( $httpd, 6, '/app/fail' );
        wait_for( sub { !grep { $_->{states} ne 'failover' } crowd( $httpd, 9 ) }, 'all to leave it' );
        wait_for( sub { !grep { $_->{states} ne 'up' } crowd( $httpd, 9 ) }, 'all to come back', 20 );
    }
    pass('three times');
    $httpd->allow_log(qr/FO0018/);
    $httpd->done;
};

under_each_mpm 'never the last one', sub ($mpm) {
    my ( $east, $west ) = ( Failover::Peer->new, Failover::Peer->new( mode => 'refuse' ) );
    my $httpd = start( $mpm, 'count=5xx consecutive=3 trip=open reset=1s', two( $east, $west ) );
    wait_for( sub { seen($httpd); said( $httpd, 'FO0020' ) }, 'the other one to be found down' );
    my $pings = $east->connections;
    ask( $httpd, '/app/fail', 3 );
    wait_for( sub { $east->connections > $pings }, 'a ping instead' );
    is seen($httpd), 'up', 'it stays in use';
    $httpd->done;
};

# The status that the client sees, by way of an error document, in whose place nothing counts.
under_each_mpm 'an error document', sub ($mpm) {
    my $peer  = Failover::Peer->new;
    my $httpd = start( $mpm, 'count=5xx consecutive=2', one($peer), pinged => [$peer], head => "ErrorDocument 500 /error.txt\n", files => { 'htdocs/error.txt' => "sorry\n" } );
    my $pings = $peer->connections;
    is $httpd->body('/app/fail'), "sorry\n", 'it is served';
    ok rested($peer), 'one is too few';
    ask( $httpd, '/app/fail' );
    wait_for( sub { $peer->connections > $pings }, 'the ping' );
    pass('the second counts as well');
    $httpd->done;
};

# What FailoverRequire turns away has called nobody: neither a failure nor a success.
subtest 'turned away' => sub {
    my ( $peer, $gone ) = ( Failover::Peer->new, Failover::Peer->new( mode => 'refuse' ) );
    my $httpd = start( 'event', 'count=5xx consecutive=2', one($peer) . <<~"CONF", pinged => [$peer], files => { 'htdocs/sorry.txt' => "sorry\n" } );
        <FailoverService gone>
            FailoverEndpoint one tcp://@{[ $gone->address ]}
            FailoverBreaker off
        </FailoverService>
        <Location /app/closed>
            FailoverRequire gone
        </Location>
        <Location /app/closed/page>
            FailoverOutageDocument gone /sorry.txt
        </Location>
        CONF
    $httpd->expect_log(qr/FO0001: gone outage/);
    wait_for( sub { $httpd->get('/app/closed')->status == 503 }, 'it to be closed' );
    my $pings = $peer->connections;
    ask( $httpd, $_, 3 ) for qw(/app/closed /app/closed/page);
    ok rested($peer), 'no failure';
    ask( $httpd, $_ ) for qw(/app/fail /app/closed /app/closed/page /app/fail);
    wait_for( sub { $peer->connections > $pings }, 'the ping' );
    pass('nor a success: two in a row');
    $httpd->done;
};

# With a real database that is there and refuses all work, as pings alone would not find out.
subtest 'a database' => sub {
    my $db = Failover::Server::MariaDB->new->start;
    $db->create_user( 'monitor', '' );
    my $spare = Failover::Peer->new;
    my $httpd = start( 'event', 'count=5xx failures=4 rate=0.5 trip=open', <<~"CONF" );
        <FailoverService db>
            FailoverEndpoint main mysql://monitor\@@{[ $db->address ]}
            FailoverEndpoint spare tcp://@{[ $spare->address ]} weight=0.5
        </FailoverService>
        CONF
    wait_for( sub { seen($httpd) eq 'up' && $spare->connections }, 'both to be known' );
    ask( $httpd, '/app/fail', 4 );
    wait_for( sub { seen($httpd) eq 'failover' }, 'the spare one' );
    pass('it is left although every ping passes');
    $httpd->take_log(qr/FO0018: db: endpoint main down, using spare .*breaker: 4 of 4 requests failed within 2s/);
    $httpd->done;
    $db->done;
};

done_testing;
