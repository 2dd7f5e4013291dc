# Where the memory that the children share is refused by the system, each child goes on alone; where it
# has no place for one more child, that one works unpublished.
use v5.36;
use Test::More;
use Failover::Crowd;
use Failover::Httpd;
use Failover::Peer;
use Failover::Process;
use Failover::Sanitizer;
use Failover::Seen;
use Failover::Sockets;
use Failover::States qw(under_each_mpm quick);
use Failover::Wait;
use IO::Socket::INET;

# Also what the server says of its health, which is then that of the child that answers.
my $HEALTH = "<Location /health>\nSetHandler failover-health\nFailoverHealth On\n</Location>\n";

# A real limit, of the address space: so many children and services need more than that.
my $LIMIT    = 1_500_000_000;
my $CHILDREN = 20_000;
my $SERVICES = 1_000;
my $NEEDS    = 2 * $CHILDREN * $SERVICES * 40;

# A sanitizer's runtime takes terabytes of address space for itself.
Failover::Sanitizer::is_preloaded() or subtest 'memory refused' => sub {
    cmp_ok $NEEDS, '>', $LIMIT, 'more is needed than there may be, by the least that a row can take';
    my ( $up, $down ) = map { Failover::Peer->new( mode => $_ ) } qw(mute refuse);
    my $httpd = Failover::Httpd->new( mpm => 'prefork', children => 3, config => quick() . <<~"CONF" . tells_child(qw(up down)) );
        ServerLimit $CHILDREN
        FailoverScope server lease=1s
        FailoverService up   tcp://@{[ $up->address ]}
        <FailoverService down>
            FailoverEndpoint main tcp://@{[ $down->address ]}
            FailoverCritical On
        </FailoverService>
        $HEALTH
        <VirtualHost 127.0.0.1:1>
        ServerName other
        @{[ join "\n", map {"FailoverService more$_ tcp://127.0.0.1:$_"} 1 .. $SERVICES ]}
        </VirtualHost>
        CONF
    with_address_space( $LIMIT, sub { $httpd->start } );
    my $line = $httpd->take_log(qr/FO0014/);
    like $line, qr/:error\] .*Cannot allocate memory: FO0014: no memory to share: /, 'an error with the reason';
    my %seen;
    wait_for( sub { $seen{ $_->{child} }{ $_->{states} }++ for crowd( $httpd, 6 ); keys %seen == 3 }, 'requests of each child' );
    is_deeply [ map { keys %$_ } values %seen ], [ ('up down') x 3 ], 'each sees what is down from its first request on, and pings for itself';
    $httpd->take_log(qr/:crit\] .*FO0001: down outage/) for 1 .. 3;
    is scalar( said( $httpd, 'FO0001' ) ), 3, 'each says so, at level crit';
    cmp_ok $up->connections, '>=', 3, 'and has pinged what works';
    is_deeply [ healths( $httpd, 9 ) ], [503], 'each says that it is not ready';
    $up->mode('refuse');
    $down->mode('mute');
    children_see( $httpd, 3, qr/^down up$/ );
    is_deeply [ healths( $httpd, 9 ) ], [200], 'each says that it is ready';
    $httpd->take_log(qr/:crit\] .*FO0001: up outage/)        for 1 .. 3;
    $httpd->take_log(qr/:notice\] .*FO0003: down is back up/) for 1 .. 3;
    is scalar( unshared($httpd) ), 1, 'one line for the server';

    # It is looked for again at each restart; and what was refused then is there now.
    $httpd->graceful;
    $httpd->take_log(qr/FO0014/);
    $httpd->config( quick() . "FailoverService up tcp://@{[ $up->address ]}\n" . tells_child('up') );
    $httpd->graceful;
    wait_for( sub { !grep { $_->{states} ne 'down' } crowd( $httpd, 9 ) }, 'the new configuration to see it down' );
    is scalar( unshared($httpd) ), 2, 'less is had again';
    $httpd->allow_log(qr/FO0001: up outage|AH00179/);    # httpd's limit of children stays as it began
    $httpd->done;
};

# Under worker a child that drains has its place taken in httpd's scoreboard: so there may be more of
# them than ServerLimit, and with enough restarts more than twice as many.
subtest 'more children than places' => sub {
    my $peer  = Failover::Peer->new( mode => 'refuse' );
    my $httpd = Failover::Httpd->new( mpm => 'worker', children => 1, threads => 16, config => quick() . <<~"CONF" . tells_child('db') )->start;
        ServerLimit 1
        MaxSpareThreads 16
        <FailoverService db>
            FailoverEndpoint main tcp://@{[ $peer->address ]}
            FailoverCritical On
        </FailoverService>
        $HEALTH
        CONF
    my ( @held, %pid );
    for my $generation ( 1 .. 4 ) {
        my ($seen) = grep { !$pid{$_} } $httpd->children;
        $pid{$seen} = $generation;
        push @held, hold($httpd);
        is_deeply [ map { $_->{states} } crowd( $httpd, 1 ) ], ['down'], "generation $generation sees what is down";
        is_deeply [ healths( $httpd, 1 ) ], [503], "generation $generation says so";
        is scalar( said( $httpd, 'FO0015' ) ), $generation > 2 ? $generation - 2 : 0, 'places for two';
        renew( $httpd, $seen );
    }
    wait_for( sub { said( $httpd, 'FO0015' ) == 3 }, 'the last one to say so' );
    like $_, qr/:warn\] .*FO0015: more children than there is room for in the memory that they share: this one monitors, but what it sees is not published \(Process ID: \d+\)$/, 'a warning'
        for map { $httpd->take_log(qr/FO0015/) } 1 .. 3;
    is_deeply [ map { $_->{states} } crowd( $httpd, 1 ) ], ['down'], 'the last one sees what is down';
    is scalar( $httpd->children ), 5, 'five children are alive';
    $peer->mode('mute');
    wait_for( sub { ( crowd( $httpd, 1 ) )[0]{states} eq 'up' }, 'the last one to see it back' );
    is_deeply [ healths( $httpd, 1 ) ], [200], 'and to say so';
    close $_ for @held;
    wait_for( sub { $httpd->children == 1 }, 'the old ones to end' );

    # Their places are free again.
    $httpd->graceful for 1 .. 4;
    is_deeply [ map { $_->{states} } crowd( $httpd, 1 ) ], ['up'], 'the next ones see it';
    is scalar( said( $httpd, 'FO0015' ) ), 3, 'and have a place';
    $httpd->allow_log(qr/FO0001/);
    $httpd->done;
};

done_testing;

# ---------------------------------------------------------------- helpers

# The different answers of so many requests, one after the other.
sub healths ( $httpd, $count ) {
    my %seen = map { $httpd->get('/health/ready')->status => 1 } 1 .. $count;
    return sort keys %seen;
}

# A graceful restart of which worker starts the next child for sure: it does so beside one that drains
# where a thread of that one has ended after its listener did, as that of this short request does.
sub renew ( $httpd, $child ) {
    my %old    = map { $_ => 1 } $httpd->children;
    my %before = map { $_->{link} => 1 } sockets_of($child);
    my $short  = hold($httpd);
    wait_for( sub { grep { !$before{ $_->{link} } } sockets_of($child) }, 'the request to have a thread' );
    kill 'USR1', $httpd->pid;
    wait_for( sub { Failover::Sanitizer::count_threads($child) <= 4 }, 'the idle threads and the listener to end' );
    close $short;
    wait_for( sub { grep { !$old{$_} } $httpd->children }, 'the next child', 15 );
    return;
}

# The error's reason stands before its tag.
sub unshared ($httpd) { return grep {/FO0014: /} split /\n/, $httpd->error_log }

# Half a request: its child lives until it comes to an end.
sub hold ($httpd) {
    my $socket = IO::Socket::INET->new( PeerAddr => '127.0.0.1', PeerPort => $httpd->port ) // die "cannot connect: $!\n";
    $socket->syswrite("GET / HTTP/1.1\r\n");
    return $socket;
}

# What the body starts has this limit; the test itself has it meanwhile.
sub with_address_space ( $bytes, $body ) {
    my $prlimit = Failover::Process::find_program('prlimit');
    my $limit   = sub ($soft) { system( $prlimit, '--pid', $$, "--as=$soft:" ) == 0 or die "prlimit failed\n" };
    $limit->($bytes);
    my $is_done = eval { $body->(); 1 };
    my $error   = $@;
    $limit->('unlimited');
    die $error if !$is_done;
    return;
}
