# Every fault of a peer: the outage's line with its stage and text, the variable switched, and the
# recovery with its span. What is no fault stays up.
use v5.36;
use Test::More;
use Failover::Httpd;
use Failover::Peer;
use Failover::Seen;
use Failover::States qw(under_each_mpm quick);
use Failover::Wait;

my $REFUSED  = 'connect: Connection refused';
# The reset may arrive before the probe has seen that it was connected; a server that closes without
# having read the question resets as well.
my $RESET    = qr/(?:connect|login|answer): (?:Connection reset by peer|closed at once)/;
my $CLOSED   = qr/answer: (?:closed the connection|Connection reset by peer)/;
my $TIMEOUT  = 'timed out after 200ms';
my $GREETING = pack( 'CCCC', 74, 0, 0, 0 ) . "\x0a10.11.0-MariaDB\0" . 'x' x 57;

# mode and bytes of a peer => what the log says. A peer that accepts and says nothing, or anything,
# is up: tcp:// has no protocol.
my @TCP = (
    [ refuse => '', $REFUSED ],
    [ reset  => '', $RESET ],
    [ close  => '', 'answer: closed at once' ],
);
my @MEMCACHED = (
    [ refuse  => '',                                $REFUSED ],
    [ reset   => '',                                $RESET ],
    [ close   => '',                                $CLOSED ],
    [ mute    => '',                                "answer: $TIMEOUT" ],
    [ deaf    => '',                                "answer: $TIMEOUT" ],
    [ garbage => '',                                qr/answer: answered '[ -~]{1,40}'/ ],
    [ drip    => "VERSION 1.6.18\r\n",              qr/answer: (?:$TIMEOUT|answered 'V[A-Z]*')/ ],
    [ reply   => "ERROR\r\n",                       "answer: answered 'ERROR'" ],
    [ reply   => "SERVER_ERROR out of memory\r\n",  "answer: answered 'SERVER_ERROR out of memory'" ],
    [ reply   => "VERSION\r\n",                     "answer: answered 'VERSION'" ],
    [ reply   => "220 smtp ready\r\n",              "answer: answered '220 smtp ready'" ],
    [ reply   => "x\e[2Jy\x01" . 'z' x 60 . "\r\n", q{answer: answered 'x?[2Jy?} . 'z' x 33 . q{'} ],
);
my @MYSQL = (
    [ refuse  => '',                  $REFUSED ],
    [ reset   => '',                  $RESET ],
    [ close   => '',                  'login: the server closed the connection' ],
    [ mute    => '',                  "login: $TIMEOUT" ],
    [ deaf    => '',                  "login: $TIMEOUT" ],
    [ garbage => '',                  "login: the answer is not MySQL's protocol" ],
    [ say     => "HTTP/1.0 400 no\r\n\r\n", "login: the answer is not MySQL's protocol" ],
    [ say     => "\xff\xff\xff\0" . 'x' x 20_000, "login: the answer is not MySQL's protocol" ],
    [ drip    => $GREETING,           "login: $TIMEOUT" ],
    [ say     => mysql_error( 1130, q{#HY000Host 'x' is not allowed} ), qr/login: .*Host 'x' is not allowed/ ],
    [ say     => mysql_error( 1053, '#08S01Server shutdown in progress' ), qr/login: .*Server shutdown in progress/ ],
    [ say     => mysql_error( 1129, q{Host 'x' is blocked} ), qr/login: this host is blocked: run mariadb-admin flush-hosts .*max_connect_errors/ ],
);

under_each_mpm 'tcp://', sub ($mpm) {
    my $peer = Failover::Peer->new;
    one_by_one( $mpm, $peer, 'tcp://' . $peer->address, ['mute'], @TCP );
};

under_each_mpm 'unix://', sub ($mpm) {
    my $peer = Failover::Peer->new( unix => 1 );
    one_by_one( $mpm, $peer, 'unix://' . $peer->path, ['mute'], [ refuse => '', 'connect: No such file or directory' ], @TCP[ 1 .. $#TCP ] );
};

under_each_mpm 'memcached://', sub ($mpm) {
    my $peer = Failover::Peer->new( mode => 'reply', bytes => "VERSION 1.6.18\r\n" );
    one_by_one( $mpm, $peer, 'memcached://' . $peer->address, [ reply => "VERSION 1.6.18\r\n" ], @MEMCACHED );
};

# One service for each: only a real server could come back between them.
under_each_mpm 'mysql://', sub ($mpm) {
    my @peer   = map { Failover::Peer->new( mode => $_->[0], bytes => $_->[1] ) } @MYSQL;
    my @name   = map {"db$_"} 0 .. $#MYSQL;
    my $config = join '', map { "FailoverService $name[$_] mysql://u\@" . $peer[$_]->address . " DB$_=spare\n" } 0 .. $#MYSQL;
    my $httpd  = Failover::Httpd->new( mpm => $mpm, modules => ['cgi'], config => quick() . $config . shows_states(@name) )->start;
    wait_for_states( $httpd, join ' ', ('down') x @name );
    for my $i ( 0 .. $#MYSQL ) {
        outage_is( $httpd, $name[$i], $peer[$i]->address, $MYSQL[$i][2], $MYSQL[$i][0] );
        is $httpd->body("/cgi-bin/value?DB$i"), 'spare', 'its variable is switched';
    }
    $httpd->done;
};

under_each_mpm 'what is no fault', sub ($mpm) {
    my @case = (
        [ 'tcp', 'mute' ], [ 'tcp', say => 'hello' ], [ 'tcp', 'garbage' ], [ 'tcp', 'deaf' ], [ 'tcp', drip => 'hello' ],
        [ 'memcached', say   => "VERSION 1.6.18\r\n" ],
        [ 'memcached', reply => "VERSION 0.5.0\r\n" ],
        [ 'memcached', reply => "ERROR Too many open connections\r\n" ],
        [ 'mysql', say => mysql_error( 1040, '#08004Too many connections' ) ],
    );
    my @peer   = map { Failover::Peer->new( mode => $_->[1], bytes => $_->[2] // '' ) } @case;
    my @name   = map {"s$_"} 0 .. $#case;
    my $config = join '', map { "FailoverService $name[$_] $case[$_][0]://" . ( $case[$_][0] eq 'mysql' ? 'u@' : '' ) . $peer[$_]->address . "\n" } 0 .. $#case;
    my $httpd  = Failover::Httpd->new( mpm => $mpm, config => quick() . $config . shows_states(@name) )->start;
    my @count  = map { $_->connections } @peer;
    wait_for( sub {
        is states($httpd), join( ' ', ('up') x @case ), 'all up' or die "one is not up\n";
        return !grep { $case[$_][1] ne 'deaf' && $peer[$_]->connections < $count[$_] + 3 } 0 .. $#peer;
    }, 'three pings of each' );
    $httpd->done;
};

# Without FailoverPingTimeout: 3 s while up, 1 s while down.
subtest 'budgets' => sub {
    my @peer  = map { Failover::Peer->new( mode => 'deaf' ) } 1 .. 3;
    my @url   = ( 'mysql://u@' . $peer[0]->address, 'memcached://' . $peer[1]->address, 'mysql://u@' . $peer[2]->address );
    my $httpd = Failover::Httpd->new( config => <<~"CONF" )->start;
        FailoverMonitoringPingFrequency 10s
        FailoverOutagePingFrequency     1s
        FailoverOutageLoggingFrequency  1s
        FailoverSpread 0
        FailoverService db    $url[0]
        FailoverService cache $url[1]
        FailoverService own   $url[2] timeout=500ms
        CONF
    my $began = now();
    $httpd->get('/');
    my $line = $httpd->take_log(qr/FO0001: own outage/);
    like $line, qr/: login: timed out after 500ms$/, 'timeout= of the service';
    like $httpd->take_log(qr/FO0001: db outage/),    qr/: login: timed out after 3s$/, 'mysql: 3s while up';
    like $httpd->take_log(qr/FO0001: cache outage/), qr/: answer: timed out after 3s$/, 'memcached, while up';
    between( now() - $began, 3, 3.6, '3 s in all' );
    wait_for( sub { $httpd->get('/'); said( $httpd, 'FO0002' ) >= 6 }, 'pings while down' );
    like $httpd->take_log(qr/FO0002: db outage/), qr/: login: timed out after 1s, since \d+(?:s|ms)$/, 'mysql: 1s while down';
    like $httpd->take_log(qr/FO0002: own outage/), qr/: login: timed out after 500ms, since \d+(?:s|ms)$/, 'timeout= also while down';
    $httpd->allow_log(qr/FO0002/);
    $httpd->done;
};

# How long the ping really takes, told from the outside: when the connection is let go.
subtest 'budgets are exact' => sub {
    my %url  = ( mysql => 'mysql://u@', memcached => 'memcached://' );
    for my $scheme ( sort keys %url ) {
        my $peer  = Failover::Peer->new;
        my $httpd = Failover::Httpd->new( config => quick() . "FailoverPingTimeout 700ms\nFailoverMonitoringPingFrequency 60s\nFailoverOutagePingFrequency 60s\n"
                . "FailoverPingWait 0\nFailoverService db $url{$scheme}" . $peer->address . "\n" )->start;
        my $began = now();
        $httpd->get('/');
        wait_for( sub { $peer->open_connections }, 'the connection' );
        wait_for( sub { !$peer->open_connections }, 'its end' );
        between( now() - $began, 0.65, 1.0, "$scheme: 700 ms" );
        $httpd->take_log(qr/FO0001/);
        $httpd->done;
    }
};

# Nodes are asked side by side, and the dead ones are named as in the URL.
under_each_mpm 'memcached nodes', sub ($mpm) {
    my @node  = map { Failover::Peer->new( mode => 'reply', bytes => "VERSION 1.6.18\r\n" ) } 1 .. 3;
    my @at    = map { $_->address } @node;
    my $httpd = Failover::Httpd->new( mpm => $mpm, config => quick() . 'FailoverService cache memcached://' . join( ',', @at ) . "\n" . shows_states('cache') )->start;
    wait_for_states( $httpd, 'up' );
    is $_->connections > 0, 1, 'a node is asked' for @node;
    for my $case (
        [ { 1 => 'refuse' },                "connect: 1 of 3 nodes dead: $at[1]: Connection refused" ],
        [ { 0 => 'refuse', 2 => 'mute' },   "2 of 3 nodes dead: $at[0]: Connection refused, $at[2]: timed out" ],
        [ { 2 => 'close' },                 qr/answer: 1 of 3 nodes dead: \Q$at[2]\E: (?:closed the connection|Connection reset by peer)$/ ],
        [ { 0 => 'refuse', 1 => 'refuse', 2 => 'refuse' }, qr/connect: 3 of 3 nodes dead: \Q$at[0]\E.*\Q$at[1]\E.*\Q$at[2]\E/ ],
    ) {
        my ( $fault, $text ) = @$case;
        $node[$_]->mode( $fault->{$_} ) for keys %$fault;
        wait_for_states( $httpd, 'down' );
        like $httpd->take_log(qr/FO0001/), ref $text ? $text : qr/\Q$text\E$/, 'those are named';
        $_->mode( 'reply', bytes => "VERSION 1.6.18\r\n" ) for @node;
        wait_for_states( $httpd, 'up' );
    }
    $httpd->done;
};

under_each_mpm 'a full server is no recovery', sub ($mpm) {
    my $full  = mysql_error( 1040, '#08004Too many connections' );
    my $peer  = Failover::Peer->new( mode => 'refuse' );
    my $httpd = Failover::Httpd->new( mpm => $mpm, config => quick() . "FailoverService db mysql://u\@@{[ $peer->address ]}\n" . shows_states('db') )->start;
    wait_for_states( $httpd, 'down' );
    $httpd->take_log(qr/FO0001/);
    $peer->mode( 'say', bytes => $full );
    my $before = $peer->connections;
    wait_for( sub { states($httpd) eq 'down' or die "it came back\n"; $peer->connections > $before + 3 }, 'pings that find it full' );
    $httpd->done;
};

# A fault of our own side says nothing about the service: thrown away, and said once.
under_each_mpm 'our own side', sub ($mpm) {
    my $peer  = Failover::Peer->new( unix => 1 );
    my $httpd = Failover::Httpd->new( mpm => $mpm, config => quick() . "FailoverService db unix://@{[ $peer->path ]}\n" . shows_states('db') )->start;
    wait_for_states( $httpd, 'up' );
    chmod 0700, $peer->path;
    my $line;
    wait_for( sub { is( states($httpd), 'up', 'it stays up' ) or die; ($line) = said( $httpd, 'FO0005' ) }, 'the warning' );
    like $line, qr/:warn\] .*FO0005: db: 1 ping thrown away \(self\): .*\(Process ID: \d+\) endpoint \Q@{[ $peer->path ]}\E: connect: Permission denied: .*forbids the connect/, 'its words';
    states($httpd) for 1 .. 5;
    $httpd->take_log(qr/FO0005/);

    # Down before, it stays down: such a ping is no recovery either.
    $peer->mode('refuse');
    wait_for_states( $httpd, 'down' );
    $httpd->take_log(qr/FO0001/);
    $httpd->done('once an hour');
} if $> == 0;

done_testing;

# ---------------------------------------------------------------- helpers

# One service at this peer: up, and then for each fault down and up again.
sub one_by_one ( $mpm, $peer, $url, $healthy, @faults ) {
    my $httpd = Failover::Httpd->new( mpm => $mpm, modules => [qw(cgi env)],
        config => quick() . "SetEnv DB_HOST db1\nFailoverService db $url DB_HOST=spare\n" . shows_states('db') )->start;
    wait_for_states( $httpd, 'up' );
    for my $fault (@faults) {
        $peer->mode( $fault->[0], bytes => $fault->[1] );
        my $began = now();
        wait_for_states( $httpd, 'down' );
        outage_is( $httpd, 'db', $peer->address, $fault->[2], $fault->[0] );
        is $httpd->body('/cgi-bin/value?DB_HOST'), 'spare', 'the variable is switched';
        $peer->mode( $healthy->[0], bytes => $healthy->[1] // '' );
        wait_for_states( $httpd, 'up' );
        recovery_is( $httpd, 'db', $began );
        is $httpd->body('/cgi-bin/value?DB_HOST'), 'db1', 'and is what it was';
    }
    return $httpd->done;
}

# What MySQL says instead of a greeting.
sub mysql_error ( $code, $words ) {
    my $bytes = "\xff" . pack( 'v', $code ) . $words;
    return pack( 'vCC', length $bytes, 0, 0 ) . $bytes;
}
