# Several endpoints: which one a request's variables name, while each of them dies and comes back in
# every order, and what the log says. Real memcacheds and MariaDBs, and peers where it is the switch
# alone that matters. With the scenarios of rails_failover: failover and fallback, a start with the
# primary down, the replica dies too, long-running commands, several services of which one fails,
# children that come later.
use v5.36;
use Fcntl qw(O_NONBLOCK O_WRONLY);
use IO::Socket::INET;
use JSON::PP qw(decode_json);
use POSIX qw(mkfifo);
use Test::More;
use Failover::Crowd;
use Failover::Httpd;
use Failover::Peer;
use Failover::Seen;
use Failover::Server::MariaDB;
use Failover::Server::Memcached;
use Failover::States qw(quick under_each_mpm);
use Failover::Wait;

my @NAME = qw(east west north);

# A request's view: state, endpoint, epoch, what the application would connect to.
sub view (@more) {
    my $format = join ' ', '%q %P %{db}^fo %{FAILOVER_DB_ENDPOINT}e %{FAILOVER_DB_EPOCH}e %{DB_AT}e', @more;
    return qq{LogFormat "$format" crowd\nCustomLog logs/crowd crowd\n};
}

# A service of these endpoints, each lighter than the one before it.
sub service ( $urls, @lines ) {
    my $weight = 1;
    my @endpoint = map { my $name = $NAME[$_]; $weight /= 2; "FailoverEndpoint $name $urls->[$_] weight=$weight" } 0 .. $#$urls;
    return join "\n", '<FailoverService db>', @endpoint, 'FailoverSetEnv DB_AT %{failover:db.host}:%{failover:db.port}', @lines, '</FailoverService>', '';
}

my $SHORT = "FailoverGracePeriod 600ms\nFailoverFailback auto interval=200ms";

sub start ( $mpm, $urls, %arg ) {
    return Failover::Httpd->new(
        mpm => $mpm, children => $arg{children} // 1, threads => 4, modules => $arg{modules} // ['env'],
        config => quick() . ( $arg{head} // '' ) . view( $arg{more} // () ) . service( $urls, $arg{lines} // $SHORT ) )->start;
}

sub seen ($httpd) { return ( crowd( $httpd, 1 ) )[0]{states} }

# Until all of a few requests see this: a state, and the endpoint in use.
sub uses ( $httpd, $state, $endpoint, $name = "$state $endpoint" ) {
    my $last = '';
    my $is = eval { wait_for( sub { my @seen = map { $_->{states} } crowd( $httpd, 2 ); $last = "@seen"; return !grep { !/^$state $endpoint / } @seen }, $name ) };
    ok $is, "requests see $name" or diag "last seen: $last";
    return;
}

sub lines ( $httpd, $tag ) { return scalar said( $httpd, $tag ) }

under_each_mpm 'three memcacheds, one after the other', sub ($mpm) {
    my @server = map { Failover::Server::Memcached->new->start } 1 .. 3;
    my @at     = map { $_->address } @server;
    my $httpd  = start( $mpm, [ map {"memcached://$_"} @at ] );
    like seen($httpd), qr/^up - - -/, 'nothing is changed while the primary is in use';
    uses( $httpd, 'up', '-' );
    $server[0]->stop;
    uses( $httpd, 'failover', 'west' );
    like seen($httpd), qr/^failover west 1 \Q$at[1]\E/, 'the application is told where it is';
    $server[1]->pause;
    uses( $httpd, 'failover', 'north', 'failover north, as west hangs' );
    like seen($httpd), qr/^failover north 2 \Q$at[2]\E/, 'the epoch has risen';
    $server[2]->stop;
    uses( $httpd, 'down', 'north' );
    $server[1]->resume;
    uses( $httpd, 'failover', 'west', 'failover west, the only one that is back' );
    $server[$_]->start for 0, 2;
    uses( $httpd, 'up', '-', 'up: the primary again' );
    is lines( $httpd, 'FO0018' ), 2, 'two switches';
    is lines( $httpd, 'FO0001' ), 1, 'one outage';
    is lines( $httpd, 'FO0017' ), 1, 'which another endpoint ended';
    is lines( $httpd, 'FO0019' ), 1, 'and the primary was gone back to';
    is lines( $httpd, 'FO0003' ), 0, 'that is no second recovery';
    $httpd->take_log(qr/:warn\] .*FO0018: db: endpoint east down, using west \(Process ID: \d+\): .*Connection refused/);
    $httpd->take_log(qr/:warn\] .*FO0018: db: endpoint west down, using north \(Process ID: \d+\): .*timed out/);
    $httpd->take_log(qr/:crit\] .*FO0001: db outage\. Failover initiated\. \(Process ID: \d+\) endpoint north: /);
    like join( "\n", said( $httpd, 'FO0017' ) ), qr/:notice\].*FO0017: db: endpoint west is back, using it \(Process ID: \d+\) after \d+m?s/, 'the rescue is a notice';
    like join( "\n", said( $httpd, 'FO0019' ) ), qr/:notice\].*FO0019: db: endpoint east is back, using it again \(Process ID: \d+\) after \d+m?s with west/, 'the failback too';
    $httpd->done;
    $_->done for @server;
};

under_each_mpm 'three MariaDBs', sub ($mpm) {
    my @server = map { Failover::Server::MariaDB->new->start } 1 .. 3;
    $_->create_user( 'monitor', '' ) for @server;
    my $httpd = start( $mpm, [ map { 'mysql://monitor@' . $_->address } @server ] );
    uses( $httpd, 'up', '-' );
    $server[0]->crash;
    uses( $httpd, 'failover', 'west' );
    $server[1]->pause;
    uses( $httpd, 'failover', 'north' );
    $server[0]->start;
    uses( $httpd, 'up', '-' );
    $server[1]->resume;
    $httpd->take_log(qr/:warn\] .*FO0018: db: endpoint $_ down/) for qw(east west);
    $httpd->done;
    $server[1]->allow_log(qr/Aborted connection/);
    $_->allow_log(qr/crash|recover|Recover|InnoDB/) for $server[0];
    $_->done for @server;
};

# The first request of all waits for both verdicts, and is told of the one that works.
under_each_mpm 'a start with the primary down', sub ($mpm) {
    my ( $east, $west ) = ( Failover::Peer->new( mode => 'refuse' ), Failover::Peer->new );
    my $httpd = start( $mpm, [ map { 'tcp://' . $_->address } $east, $west ] );
    like seen($httpd), qr/^failover west \d+ \Q@{[ $west->address ]}\E/, 'the first request uses the fallback';
    cmp_ok $west->connections, '>=', 1, 'which was pinged before';
    is lines( $httpd, 'FO0001' ), 0, 'no outage is told of';
    $httpd->take_log(qr/FO0018: db: endpoint east down, using west/);
    $httpd->done;
};

# A fallback that was never found to work is no fallback.
under_each_mpm 'a start with the primary down and the other one hung', sub ($mpm) {
    my ( $east, $west ) = ( Failover::Peer->new( mode => 'refuse' ), Failover::Server::Memcached->new->start );
    $west->pause;
    my $httpd = start( $mpm, [ 'tcp://' . $east->address, 'memcached://' . $west->address ] );
    uses( $httpd, 'down', 'east' );
    ok !( grep { /using west/ } split /\n/, $httpd->error_log ), 'it is not gone over to';
    $west->resume;
    uses( $httpd, 'failover', 'west' );
    $httpd->take_log(qr/FO0001: db outage/) if lines( $httpd, 'FO0001' );
    $httpd->allow_log(qr/FO0018: db: endpoint east down, using west/);
    $httpd->done;
    $west->done;
};

# rails_failover #16: both down, then either one back.
under_each_mpm 'both down, then either one back', sub ($mpm) {
    for my $order ( [ 0, 0 ], [ 0, 1 ], [ 1, 0 ], [ 1, 1 ] ) {
        my ( $first, $back ) = @$order;
        my @peer  = map { Failover::Peer->new } 1, 2;
        my $httpd = start( $mpm, [ map { 'tcp://' . $_->address } @peer ] );
        uses( $httpd, 'up', '-' );
        $peer[$first]->mode('refuse');
        wait_for( sub { seen($httpd); said( $httpd, $first ? 'FO0020' : 'FO0018' ) }, 'the first fall' );
        uses( $httpd, $first ? ( 'up', '-' ) : ( 'failover', 'west' ), "after $NAME[$first] fell" );
        $peer[ 1 - $first ]->mode('refuse');
        uses( $httpd, 'down', $NAME[ 1 - $first ], "down, $NAME[ 1 - $first ] last in use" );
        $peer[$back]->mode('mute');
        uses( $httpd, $back ? ( 'failover', 'west' ) : ( 'up', '-' ), "with $NAME[$back] back" );
        $peer[ 1 - $back ]->mode('mute');
        uses( $httpd, 'up', '-', 'up in the end' );
        $httpd->allow_log(qr/FO0001|FO0018/);
        $httpd->done;
    }
};

# The primary is the heaviest, wherever it stands.
under_each_mpm 'the primary stands second', sub ($mpm) {
    my @peer  = map { Failover::Peer->new } 1, 2;
    my $httpd = Failover::Httpd->new( mpm => $mpm, children => 2, modules => ['headers'], config => quick() . <<~"CONF" )->start;
        LogFormat "%q %P %{db}^fo %{X-At}o" crowd
        CustomLog logs/crowd crowd
        Header always set X-At "expr=%{failover:db.endpoint} %{failover:db.port}"
        <FailoverService db>
            FailoverEndpoint light tcp://@{[ $peer[0]->address ]} weight=0.5
            FailoverEndpoint heavy tcp://@{[ $peer[1]->address ]}
            FailoverGracePeriod 0
        </FailoverService>
        <Location "/failover-status">
            SetHandler failover-status
            FailoverStatus On
        </Location>
        CONF
    is seen($httpd), 'up heavy ' . $peer[1]->port, 'it is in use from the first request on';
    children_see( $httpd, 2, qr/^up heavy @{[ $peer[1]->port ]}$/ );
    $peer[1]->mode('refuse');
    children_see( $httpd, 2, qr/^failover light @{[ $peer[0]->port ]}$/ );
    my $status = decode_json( $httpd->body('/failover-status?format=json') )->{services}[0];
    is $status->{state}, 'failover', 'the status says so';
    is_deeply [ map {"$_->{name} $_->{in_use}"} $status->{endpoints}->@* ], [ 'light 2', 'heavy 0' ], 'and who uses what';
    ok !$status->{unavailable}, 'it is available';
    $httpd->allow_log(qr/FO0018/);
    $httpd->done;
};

# By the verdict itself: no request comes between the fall and the switch, and the next one sees it
# without a wait.
under_each_mpm 'no request is needed', sub ($mpm) {
    my @peer  = map { Failover::Peer->new } 1, 2;
    my $httpd = start( $mpm, [ map { 'tcp://' . $_->address } @peer ], head => "FailoverTimer On\n", more => '%{failover-waited}n' );
    uses( $httpd, 'up', '-' );
    $peer[0]->mode('refuse');
    wait_for( sub { said( $httpd, 'FO0018' ) }, 'the switch, by a timer' );
    like seen($httpd), qr/^failover west 1 \S+ -/, 'the next request sees it, and waited for nothing';
    $peer[0]->mode('mute');
    wait_for( sub { said( $httpd, 'FO0019' ) }, 'the return, by time' );
    like seen($httpd), qr/^up - - - -/, 'likewise';
    $httpd->take_log(qr/FO0018/);
    $httpd->done;
};

# rails_failover: a command that runs on through the fallback. It keeps what it began with to its end,
# by then another endpoint's, and the next one is told anew.
under_each_mpm 'requests that run on', sub ($mpm) {
    my @peer  = map { Failover::Peer->new } 1, 2;
    my $httpd = start( $mpm, [ map { 'tcp://' . $_->address } @peer ], modules => [qw(env cgi)], children => $mpm eq 'prefork' ? 2 : 1, lines => "FailoverGracePeriod 0\nFailoverFailback auto interval=100ms" );
    my $gate  = $httpd->dir . '/gate';
    mkfifo( $gate, 0600 ) && chmod 0644, $gate or die "$gate: $!\n";
    $httpd->file( 'cgi-bin/long', <<~"CGI" );
        #!/bin/sh
        read word < $gate
        printf 'Content-Type: text/plain\r\n\r\n%s' "\$word \$DB_AT"
        CGI
    uses( $httpd, 'up', '-' );
    $peer[0]->mode('refuse');
    uses( $httpd, 'failover', 'west' );
    children_see( $httpd, $mpm eq 'prefork' ? 2 : 1, qr/^failover west / );    # the long one may be anybody's
    my $long = IO::Socket::INET->new( PeerAddr => '127.0.0.1', PeerPort => $httpd->port ) or die "cannot connect to httpd: $!\n";
    $long->syswrite("GET /cgi-bin/long HTTP/1.0\r\n\r\n");
    my $opened;
    wait_for( sub { sysopen $opened, $gate, O_WRONLY | O_NONBLOCK }, 'one that began on the fallback' );
    $peer[0]->mode('mute');
    uses( $httpd, 'up', '-' );
    $opened->print("done\n") && close $opened or die "$gate: $!\n";
    my $answer = do { local $/; <$long> };
    like $answer, qr/done \Q@{[ $peer[1]->address ]}\E$/, 'it keeps what it was told to its end';
    $httpd->take_log(qr/:warn\].*FO0018/);    # the other child's, at info, may stand before it
    $httpd->done;
};

# It really holds, and an endpoint that keeps falling does not take the requests along.
under_each_mpm 'the grace period', sub ($mpm) {
    my @peer  = map { Failover::Peer->new } 1, 2;
    my $httpd = start( $mpm, [ map { 'tcp://' . $_->address } @peer ], lines => "FailoverGracePeriod 2s\nFailoverFailback auto interval=100ms" );
    uses( $httpd, 'up', '-' );
    my $fell;
    for ( 1, 2 ) {
        $fell = now();
        $peer[0]->mode('refuse');
        my $falls = $_;
        wait_for( sub { seen($httpd); lines( $httpd, 'FO0018' ) + lines( $httpd, 'FO0020' ) == $falls }, 'its fall' );
        $peer[0]->mode('mute');
        wait_for( sub { seen($httpd); said( $httpd, 'FO0021' ) == $falls }, 'its return' );
        like seen($httpd), qr/^failover west /, 'it works, and is not in use';
    }
    wait_for( sub { seen($httpd) =~ /^up/ }, 'the failback' );
    my $took = now() - $fell;
    between( $took, 2, 3, sprintf 'it is in use again %.2f s after the last fall', $took );
    is lines( $httpd, 'FO0018' ), 1, 'one switch in all';
    $httpd->take_log(qr/FO0018/);
    $httpd->done;
};

under_each_mpm 'failback by hand only', sub ($mpm) {
    my @peer  = map { Failover::Peer->new } 1, 2;
    my $httpd = start( $mpm, [ map { 'tcp://' . $_->address } @peer ], lines => "FailoverGracePeriod 0\nFailoverFailback manual" );
    uses( $httpd, 'up', '-' );
    $peer[0]->mode('refuse');
    uses( $httpd, 'failover', 'west' );
    $peer[0]->mode('mute');
    wait_for( sub { seen($httpd); said( $httpd, 'FO0021' ) }, 'its return' );
    my $until = now() + 1;
    my %seen;
    wait_for( sub { $seen{ seen($httpd) =~ s/ .*//r }++; now() > $until }, 'a second' );
    is_deeply [ keys %seen ], ['failover'], 'it stays';
    $peer[1]->mode('refuse');
    uses( $httpd, 'up', '-', 'up: the one in use fell' );
    $httpd->take_log(qr/FO0018: db: endpoint $_ down/) for qw(east west);
    $httpd->done;
};

# One endpoint of two services is pinged once for both, and each makes its own of it.
under_each_mpm 'one endpoint in two services', sub ($mpm) {
    my @peer  = map { Failover::Peer->new } 1, 2;
    my ( $one, $two ) = map { 'tcp://' . $_->address } @peer;
    my $httpd = Failover::Httpd->new( mpm => $mpm, children => 1, modules => ['env'], config => quick() . tells_child(qw(a b c)) . <<~"CONF" )->start;
        <FailoverService a>
            FailoverEndpoint east $one
            FailoverEndpoint west $two weight=0.5
        </FailoverService>
        <FailoverService b>
            FailoverEndpoint west $two
            FailoverEndpoint east $one weight=0.5
        </FailoverService>
        FailoverService c $one
        CONF
    wait_for( sub { seen($httpd) eq 'up up up' }, 'all up' );
    my @before = map { $_->connections } @peer;
    my $until  = now() + 1;
    wait_for( sub { seen($httpd); now() > $until }, 'a second' );
    for ( 0, 1 ) {
        my $pings = $peer[$_]->connections - $before[$_];
        between( $pings, 2, 6, "$pings pings of one of them, at most one in 200 ms" );
    }
    $peer[0]->mode('refuse');
    wait_for( sub { seen($httpd) eq 'failover up down' }, 'each to make its own of it' );
    $peer[1]->mode('refuse');
    wait_for( sub { seen($httpd) eq 'down down down' }, 'all to be down' );
    $peer[0]->mode('mute');
    wait_for( sub { seen($httpd) =~ /^up failover up/ }, 'each to be back by the other' );
    $httpd->allow_log(qr/FO0001|FO0018/);
    $httpd->done;
};

# Its settings have the last word, while it stands in and no longer.
under_each_mpm 'settings of an endpoint', sub ($mpm) {
    my @peer = map { Failover::Peer->new } 1, 2, 3;
    my @at   = map { 'tcp://' . $_->address } @peer;
    my $httpd = Failover::Httpd->new( mpm => $mpm, children => 1, modules => ['env'], config => quick() . <<~"CONF" )->start;
        LogFormat "%q %P %{db}^fo %{MODE}e %{SIZE}e %{WHO}e %{why}n" crowd
        CustomLog logs/crowd crowd
        SetEnv MODE full
        SetEnv SIZE large
        <FailoverService db>
            FailoverEndpoint east $at[0]
            <FailoverEndpoint west $at[1] weight=0.5>
                FailoverSetEnv MODE readonly
                FailoverUnsetEnv SIZE
                FailoverSetEnv WHO %{failover:db.endpoint}
                FailoverNote why spare
            </FailoverEndpoint>
            FailoverEndpoint north $at[2] weight=0.1
            FailoverSetEnv MODE degraded
            FailoverGracePeriod 0
            FailoverFailback auto interval=100ms
        </FailoverService>
        CONF
    my $sees = sub ($what) { my $last = ''; ok eval { wait_for( sub { ( $last = seen($httpd) ) eq $what }, $what ) }, $what or diag $last };
    $sees->('up full large - -');
    $peer[0]->mode('refuse');
    $sees->('failover readonly - west spare');
    $peer[1]->mode('refuse');
    $sees->('failover degraded large - -');
    $peer[2]->mode('refuse');
    $sees->('down degraded large - -');
    $peer[1]->mode('mute');
    $sees->('failover readonly - west spare');
    $peer[0]->mode('mute');
    $sees->('up full large - -');
    $httpd->allow_log(qr/FO0001|FO0018/);
    $httpd->done;
};

# A check that fails takes its endpoint away, whether its own URL is asked or not.
under_each_mpm 'further checks', sub ($mpm) {
    my ( $east, $check, $west, $all ) = map { Failover::Peer->new } 1 .. 4;
    my $httpd = Failover::Httpd->new( mpm => $mpm, children => 1, config => quick() . tells_child(qw(db off)) . <<~"CONF" )->start;
        <FailoverService db>
            <FailoverEndpoint east tcp://@{[ $east->address ]}>
                FailoverCheck tcp://@{[ $check->address ]}
            </FailoverEndpoint>
            FailoverEndpoint west tcp://@{[ $west->address ]} weight=0.5
            FailoverCheck tcp://@{[ $all->address ]}
            FailoverGracePeriod 0
            FailoverFailback auto interval=100ms
        </FailoverService>
        <FailoverService off>
            FailoverEndpoint main tcp://192.0.2.1:1 check=off
            FailoverCheck tcp://@{[ $check->address ]}
        </FailoverService>
        CONF
    my $sees = sub ($what) { my $last = ''; ok eval { wait_for( sub { ( $last = seen($httpd) ) eq $what }, $what ) }, $what or diag $last };
    $sees->('up up');
    $check->mode('refuse');
    $sees->('failover down');
    $check->mode('mute');
    $sees->('up up');
    $east->mode('close');
    $sees->('failover up');
    $east->mode('mute');
    $sees->('up up');
    $all->mode('refuse');
    $sees->('down up');
    $all->mode('mute');
    $sees->('up up');
    $httpd->allow_log(qr/FO0001|FO0018/);
    $httpd->done;
};

# One probe of three that fails is no outage.
under_each_mpm 'several probes', sub ($mpm) {
    my $peer  = Failover::Peer->new;
    my $httpd = Failover::Httpd->new( mpm => $mpm, children => 1, config => quick() . tells_child(qw(most every)) . <<~"CONF" )->start;
        FailoverMonitoringPingFrequency 2s
        FailoverOutagePingFrequency 2s
        <FailoverService most>
            FailoverEndpoint main tcp://@{[ $peer->address ]}
            FailoverProbes 3 delay=150ms policy=majority
        </FailoverService>
        <FailoverService every>
            FailoverEndpoint main tcp://@{[ $peer->address ]}
            FailoverProbes 3 delay=151ms policy=all
        </FailoverService>
        CONF
    wait_for( sub { seen($httpd) eq 'up up' }, 'all up' );
    wait_for( sub { seen($httpd); $peer->connections >= 2 + 3 }, 'the first round of probes' );
    is $peer->connections, 5, 'the majority is decided after two, all after three';
    $peer->mode('refuse');
    wait_for( sub { seen($httpd) eq 'down down' }, 'both down' );
    $peer->mode('mute');
    wait_for( sub { seen($httpd) eq 'up up' }, 'both up' );
    $httpd->allow_log(qr/FO0001/);
    $httpd->done;
};

# A child that comes later uses from its first request on what its siblings use, for twice their
# frequency.
under_each_mpm 'children that come later', sub ($mpm) {
    my @peer  = map { Failover::Peer->new } 1, 2;
    my $httpd = start( $mpm, [ map { 'tcp://' . $_->address } @peer ], children => 4, lines => 'FailoverFailback manual', head => "FailoverMonitoringPingFrequency 2s\nFailoverOutagePingFrequency 2s\n" );
    wait_for( sub { my %by; $by{ $_->{child} }++ for crowd( $httpd, 8 ); keys %by == 4 }, 'a request of each' );
    $peer[0]->mode('refuse');
    wait_for( sub { crowd( $httpd, 8 ); said( $httpd, 'FO0018' ) == 4 }, 'each child to go over' );
    $peer[0]->mode('mute');
    wait_for( sub { crowd( $httpd, 8 ); said( $httpd, 'FO0021' ) == 4 }, 'each to find the primary back, and to stay' );
    my %old   = map { $_ => 1 } $httpd->children;
    my @level = map { /:(\w+)\]/ ? $1 : () } said( $httpd, 'FO0018' );
    is_deeply [ sort @level ], [qw(info info info warn)], 'one warning, the others info';
    $httpd->graceful;
    my %first;
    wait_for( sub {
        for ( crowd( $httpd, 8 ) ) { $first{ $_->{child} } //= $_->{states} if !$old{ $_->{child} } }
        return keys %first >= 4;
    }, 'a request of each new child' );
    is_deeply [ grep { !/^failover west / } values %first ], [], 'the first request of each uses the same' or diag explain \%first;
    $httpd->take_log(qr/:warn\] .*FO0018/);
    $httpd->done;
};

# Where one child pings for all, the others use what it uses.
under_each_mpm 'one pings for all', sub ($mpm) {
    my @peer  = map { Failover::Peer->new } 1, 2;
    my $httpd = start( $mpm, [ map { 'tcp://' . $_->address } @peer ], children => 3, head => "FailoverScope server lease=2s\n" );
    my $all = sub ( $words, $name ) {
        my %seen;
        ok eval { wait_for( sub {
            $seen{ $_->{child} } = $_->{states} for crowd( $httpd, 6 );
            return keys %seen == 3 && !grep { !/^$words/ } values %seen;
        }, $name ) }, $name or diag explain \%seen;
    };
    $all->( 'up - ', 'all use the primary' );
    $peer[0]->mode('refuse');
    $all->( 'failover west ', 'all go over' );
    $peer[1]->mode('refuse');
    $all->( 'down west ', 'all see it down' );
    $peer[1]->mode('mute');
    $all->( 'failover west ', 'all are back on it' );
    $peer[0]->mode('mute');
    $all->( 'up - ', 'all go back' );
    $httpd->allow_log(qr/FO0001|FO0018/);
    $httpd->done;
};

# Nothing changes but the log.
under_each_mpm 'observing', sub ($mpm) {
    my @peer  = map { Failover::Peer->new } 1, 2;
    my $httpd = start( $mpm, [ map { 'tcp://' . $_->address } @peer ], lines => "$SHORT\nFailoverMode observe" );
    wait_for( sub { seen($httpd) =~ /^up/ }, 'up' );
    $peer[0]->mode('refuse');
    wait_for( sub { seen($httpd) =~ /^failover/ }, 'the truth in the log' );
    is seen($httpd), 'failover - - -', 'and no variable';
    $httpd->take_log(qr/FO0018: db: endpoint east down, would use west/);
    $httpd->done;
};

done_testing;
