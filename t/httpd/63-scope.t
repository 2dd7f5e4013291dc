# Who pings, and when: FailoverScope server lets one child ping for all, whoever of them is stopped,
# killed or replaced; FailoverTimer On lets idle children ping.
use v5.36;
use List::Util qw(max min uniq);
use Test::More;
use Failover::Crowd;
use Failover::ErrorLog;
use Failover::Httpd;
use Failover::KeptAlive;
use Failover::Peer;
use Failover::Process;
use Failover::Sayer;
use Failover::Seen;
use Failover::States qw(under_each_mpm);
use Failover::Visitors;
use Failover::Wait;
use IO::Socket::INET;

my $COUNT = 4;
my $LEASE = 1;      # seconds
my $EVERY = 0.5;    # of each frequency
my $LATE  = 0.4;    # by what a busy machine may be late

under_each_mpm 'one child pings for all', sub ($mpm) {
    my ( $httpd, $visitors ) = scoped($mpm);
    my $holder = at_its_frequency( $visitors, 'without any request' );
    my $began  = now();
    $visitors->refuse;
    $httpd->take_log(qr/:crit\] .*FO0001: db outage.* \(Process ID: $holder\)/);
    between( now() - $began, 0, $EVERY + $LATE, 'the outage is found without a request' );
    all_see( $httpd, 'down' );
    $began = now();
    $visitors->accept;
    wait_for( sub { said( $httpd, 'FO0003' ) }, 'the recovery' );
    between( now() - $began, 0, $EVERY + $LATE, 'and the recovery' );
    all_see( $httpd, 'up' );
    $httpd->take_log(qr/:notice\] .*FO0003: db is back up/);
    is at_its_frequency( $visitors, 'with requests' ), $holder, 'by the same child as before';
    is_told_once( $httpd, 1 );
    $httpd->done;
};

under_each_mpm 'children without requests follow', sub ($mpm) {
    my ( $httpd, $visitors ) = scoped($mpm);
    at_its_frequency( $visitors, 'at first' );
    for my $row ( [ 'refuse', 'FO0001' ], [ 'accept', 'FO0003' ] ) {
        my ( $order, $tag ) = @$row;
        $visitors->$order;
        wait_for( sub { said( $httpd, $tag ) == $COUNT }, "all children to say $tag", $EVERY + $LEASE + 3 * $LATE );
    }
    is_told_once( $httpd, 1 );
    $httpd->allow_log(qr/FO0001/);
    $httpd->done;
};

under_each_mpm 'the one that pings is killed', sub ($mpm) {
    my ( $httpd, $visitors ) = scoped($mpm);
    my $holder = at_its_frequency( $visitors, 'before' );
    kill 'KILL', $holder;
    my $heir = finds_the_outage( $httpd, $visitors, $holder );
    wait_for( sub { my @child = $httpd->children; @child == $COUNT && !grep { $_ == $holder } @child }, 'a new child' );
    all_see( $httpd, 'down' );
    $visitors->accept;
    all_come_to_see( $httpd, 'up' );
    $httpd->take_log(qr/:notice\] .*FO0003: db is back up/);
    is at_its_frequency( $visitors, 'afterwards' ), $heir, 'by that other child';
    is_told_once( $httpd, 1 );
    $httpd->done;
};

under_each_mpm 'the one that pings is stopped', sub ($mpm) {
    my ( $httpd, $visitors ) = scoped($mpm);
    my $holder = at_its_frequency( $visitors, 'before' );
    Failover::Process::suspend($holder);
    my $heir = finds_the_outage( $httpd, $visitors, $holder );
    $visitors->accept;
    wait_for( sub { visits_since( $visitors, now() - $LEASE ) }, 'it to ping again' );
    kill 'CONT', $holder;
    is at_its_frequency( $visitors, 'afterwards' ), $heir, 'by that other child, and not by the first beside it';
    all_come_to_see( $httpd, 'up' );
    is_told_once( $httpd, 1 );
    $httpd->done;
};

# What it was asking is answered while it is stopped: by a failure that has nothing to do with time.
under_each_mpm 'an answer from before it was stopped', sub ($mpm) {
    my %works = ( mode => 'reply', bytes => "VERSION 1.6\r\n" );
    my $peer  = Failover::Peer->new(%works);
    my $port  = $peer->port;
    my ( $httpd, $visitors ) = scoped( $mpm, url => "memcached://@{[ $peer->address ]}" );
    my $holder = at_its_frequency( $visitors, 'before' );
    all_see( $httpd, 'up' );
    $peer->mode('mute');
    wait_for( sub { $peer->open_connections }, 'a ping that hangs' );
    Failover::Process::suspend($holder);
    undef $peer;    # resets the connection
    $peer = Failover::Peer->new( %works, port => $port );
    $peer->wait_for_connections(2);
    kill 'CONT', $holder;
    $peer->wait_for_connections(2);
    all_see( $httpd, 'up' );
    is scalar( said( $httpd, 'FO0001' ) ), 0, 'an answer that came too late changes nothing';
    $httpd->done;
};

under_each_mpm 'errors in those that do not ping', sub ($mpm) {
    my $visitors = Failover::Visitors->new;
    my $httpd    = started(
        $mpm, modules => [ sayer_modules() ],
        config => sayer_config() . kept_alive() . scope('120s') . "FailoverService db @{[ $visitors->url ]}\n" );
    will_say( $httpd, 'Connection refused' );
    wait_for( sub { $visitors->visits == 1 }, 'the first ping' );
    my ($first) = $visitors->visits;
    for my $row ( [ 'an outage', 'refuse', 'FO0001', 'down' ], [ 'the recovery', 'accept', 'FO0003', 'up' ] ) {
        my ( $what, $order, $tag, $state ) = @$row;
        my $last = now();
        wait_for( sub { now() > $last + $EVERY }, 'the error frequency to pass' );
        my $line = line_elsewhere( $httpd, $first->{pid} );
        $visitors->$order;
        ask( $line, '/say.lua' );
        close $line;
        my $verdict = wait_for( sub { ( said_by( $httpd, $tag, $first->{pid} ) )[0] }, "a verdict on $what" );
        my ($error) = reverse grep {/\[lua:error\]/} split /\n/, $httpd->error_log;
        my $took    = seconds_between( $error, $verdict );
        ok $took < 0.1, sprintf "$what: from the error in another child to the verdict of this one: %.1f ms", 1000 * $took;
        all_see( $httpd, $state );
    }
    $httpd->allow_log(qr/FO0001/);
    $httpd->done;
};

under_each_mpm 'a graceful restart', sub ($mpm) {
    # Room for those that live on beside the new ones.
    my $room = $COUNT * ( $mpm eq 'prefork' ? 2 : 8 );
    my ( $httpd, $visitors ) = scoped( $mpm, config => "ServerLimit @{[ 2 * $COUNT ]}\nMaxRequestWorkers $room\n" );
    my $holder = at_its_frequency( $visitors, 'before' );
    my %old    = map { $_ => 1 } $httpd->children;
    my @line   = map { begun_request($httpd) } 1 .. $COUNT;    # an old child that has one lives on
    $httpd->graceful;
    my $renewed = now();
    my @left    = grep { Failover::Process::is_running($_) } keys %old;
    ok scalar @left, 'a child of before serves a request to its end';
    my $heir = at_its_frequency( $visitors, 'afterwards', $renewed );
    ok !$old{$heir}, 'by a new child';
    $visitors->refuse;
    wait_for( sub { said_by( $httpd, 'FO0001', $left[0] ) }, 'the one of before to follow', $EVERY + $LEASE + $LATE );
    all_see( $httpd, 'down' );
    $visitors->accept;
    close $_ for @line;
    wait_for( sub { !grep { Failover::Process::is_running($_) } keys %old }, 'those of before to go' );
    all_come_to_see( $httpd, 'up' );
    is_told_once( $httpd, 1 );
    $httpd->allow_log(qr/FO0001/);
    $httpd->done;
};

under_each_mpm 'children that come and go', sub ($mpm) {
    my ( $httpd, $visitors ) = scoped( $mpm, config => "MaxConnectionsPerChild 5\n" );
    at_its_frequency( $visitors, 'at first' );
    my $began = now();
    my %child;
    wait_for( sub { $child{$_}++ for $httpd->children; $httpd->get('/'); keys %child > 3 * $COUNT }, 'three generations', 40 );
    my $ended   = now();
    my @at      = map { $_->{at} } grep { $_->{at} <= $ended } visits_since( $visitors, $began );
    my $longest = max( map { $at[ $_ + 1 ] - $at[$_] } 0 .. $#at - 1 );
    between( $longest, 0, 2 * $LEASE + $EVERY + $LATE, sprintf 'the longest time without a ping was %.2f s', $longest );
    cmp_ok scalar @at, '<=', 2 * ( $ended - $began ) / $EVERY + 2, 'and it was not all of them that pinged';
    all_see( $httpd, 'up' );
    $httpd->done;
};

# More services than the shared memory has seats for make it a new one; the lease begins anew there.
under_each_mpm 'configurations that change', sub ($mpm) {
    my $visitors = Failover::Visitors->new( count => 40 );
    my $services = sub ($n) { join '', map {"FailoverService s$_ @{[ $visitors->url($_) ]}\n"} 0 .. $n - 1 };
    my $httpd    = started( $mpm, config => scope() . $services->(1), names => ['s0'] );
    for my $row (
        [ 'more services', scope(),                           40, 1 ],
        [ 'fewer',         scope(),                           2,  1 ],
        [ 'scope child',   frequencies() . "FailoverTimer On\n", 2,  $COUNT ],
        [ 'scope server',  scope(),                           2,  1 ],
    ) {
        my ( $what, $config, $n, $pinging ) = @$row;
        $httpd->config( $config . $services->($n) );
        $httpd->graceful;
        my $began = now();
        wait_for( sub { now() > $began + 3 * $EVERY + $LATE }, 'three frequencies' );
        my @visits = visits_since( $visitors, $began );
        is scalar( uniq map { $_->{pid} } @visits ), $pinging, "$what: $pinging pings";
        is scalar( uniq map { $_->{number} } @visits ), $n, "$what: all of them";
    }
    $httpd->done;
};

under_each_mpm 'no request waits', sub ($mpm) {
    my $peer  = Failover::Peer->new( mode => 'mute' );
    my $httpd = started(
        $mpm, config => scope() . "FailoverPingWait 5s\nFailoverService db memcached://@{[ $peer->address ]}\n" );
    my @seen;
    wait_for( sub { push @seen, crowd( $httpd, $COUNT ); $seen[-1]{states} eq 'down' }, 'the outage' );
    push @seen, crowd( $httpd, $COUNT ) for 1 .. 5;
    my $slowest = slowest(@seen);
    between( $slowest, 0, 0.25, sprintf 'while a service hangs the slowest of %d took %.0f ms', scalar @seen, 1000 * $slowest );
    $httpd->allow_log(qr/FO0001/);
    $httpd->done;
};

under_each_mpm 'idle children', sub ($mpm) {
    my $visitors = Failover::Visitors->new;
    my $service  = "FailoverService db @{[ $visitors->url ]}\n";
    my $httpd    = started( $mpm, config => frequencies() . "FailoverTimer On\n$service" );
    my $began    = now();
    wait_for( sub { now() > $began + 4 * $EVERY + $LATE }, 'four frequencies' );
    my %visits = by_child( $visitors->visits );
    is keys %visits, $COUNT, 'with FailoverTimer On each child pings';
    is_deeply [ grep { @$_ < 4 } values %visits ], [], 'again and again';
    cmp_ok min( map { $_->[-1] - $_->[0] - $#$_ * $EVERY } values %visits ), '>', -$LATE, 'not more often than it should';
    $httpd->config( frequencies() . "FailoverInherit Off\nFailoverTimer Off\n$service" . tells_child('db') );
    $httpd->graceful;
    wait_for( sub { !grep { $visits{$_} } $httpd->children }, 'the old children to go' );
    $began = now();
    wait_for( sub { now() > $began + 2 * $EVERY }, 'two frequencies' );
    is scalar( visits_since( $visitors, $began ) ), 0, 'with FailoverTimer Off none does';
    crowd( $httpd, 1 );
    wait_for( sub { now() > $began + 4 * $EVERY }, 'two more' );
    is scalar( visits_since( $visitors, $began ) ), 1, 'but the one that a request made ping, once';
    $httpd->done;
};

sub frequencies ( $monitoring = '500ms' ) {
    return <<~"CONF";
        FailoverMonitoringPingFrequency $monitoring
        FailoverOutagePingFrequency     $monitoring
        FailoverErrorPingFrequency      500ms
        FailoverPingTimeout             500ms
        FailoverSpread                  0
        CONF
}

sub scope ( $monitoring = '500ms' ) {
    return frequencies($monitoring) . "FailoverScope server lease=${LEASE}s\n";
}

sub started ( $mpm, %arg ) {
    $arg{config} .= tells_child( @{ $arg{names} // ['db'] } );
    my $httpd = Failover::Httpd->new( mpm => $mpm, children => $COUNT, threads => 4, %arg );
    may_say($httpd);
    return $httpd->start;
}

# With a service that tells who pings. It is db itself unless that has another URL.
sub scoped ( $mpm, %arg ) {
    my $visitors = Failover::Visitors->new;
    my $config   = scope() . "FailoverService db @{[ $arg{url} // $visitors->url ]}\n" . ( $arg{config} // '' );
    $config .= "FailoverService who @{[ $visitors->url ]}\n" if $arg{url};
    return ( started( $mpm, config => $config ), $visitors );
}

# Waits for some pings from now on, and returns the pid of the one child that makes them.
sub at_its_frequency ( $visitors, $when, $began = now() ) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $is_late = sub { my @visits = visits_since( $visitors, $began ); @visits >= 4 };
    wait_for( $is_late, "pings $when" );
    my @visits = visits_since( $visitors, $began );
    is scalar( uniq map { $_->{pid} } @visits ), 1, "$when: one child pings"
        or diag join ' ', map { sprintf '%d at %.3f', $_->{pid}, $_->{at} - $began } @visits;
    my @at = map { $_->{at} } @visits;
    between( $at[3] - $at[0], 3 * $EVERY - $LATE, 3 * $EVERY + $LATE, "$when: at its frequency" );
    return $visits[-1]{pid};
}

sub visits_since ( $visitors, $at ) {
    return grep { $_->{at} >= $at } $visitors->visits;
}

sub by_child (@visits) {
    my %visits;
    push @{ $visits{ $_->{pid} } }, $_->{at} for @visits;
    return %visits;
}

sub said_by ( $httpd, $tag, $pid ) { return grep {/Process ID: $pid\b/} said( $httpd, $tag ) }

# Somebody else pings within two lease times. Returns its pid.
sub finds_the_outage ( $httpd, $visitors, $holder ) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $began = now();
    $visitors->refuse;
    my $line = $httpd->take_log(qr/:crit\] .*FO0001: db outage/);
    my $took = now() - $began;
    my ($heir) = $line =~ /Process ID: (\d+)/;
    isnt $heir, $holder, 'another child finds the outage';
    between( $took, 0, 2 * $LEASE + $LATE, sprintf 'after %.2f s', $took );
    return $heir;
}

# Each child's next request does, whoever serves it.
sub all_see ( $httpd, $state ) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ( %seen, @seen );
    wait_for( sub { push @seen, crowd( $httpd, 1 ); $seen{ $seen[-1]{child} }++; keys %seen >= $COUNT }, 'a request to each child' );
    return is join( ' ', uniq map { $_->{states} } @seen ), $state, "all children see it $state";
}

sub all_come_to_see ( $httpd, $state ) {
    wait_for( sub { !grep { $_->{states} ne $state } crowd( $httpd, 4 * $COUNT ) }, "all to see it $state" );
    return all_see( $httpd, $state );
}

sub is_told_once ( $httpd, $times ) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ( $crit, $notice );
    wait_for( sub { $notice = grep {/:notice\]/} said( $httpd, 'FO0003' ) }, 'the notice' );
    $crit = grep {/:crit\]/} said( $httpd, 'FO0001' );
    return is "$crit $notice", "$times $times", 'the log has it once, and the recovery';
}

# A connection to a child that is not this one.
sub line_elsewhere ( $httpd, $pid ) {
    my @line;
    return wait_for(
        sub {
            state $serial = 0;
            push @line, persistent($httpd);
            ask( $line[-1], '/?line=' . ++$serial );
            my ($child) = $httpd->log('crowd')->take(qr/[?]line=$serial\b/) =~ /^\S+ (\d+)/;
            return $child != $pid && $line[-1];
        },
        'another child'
    );
}

# A request that is not sent to its end.
sub begun_request ($httpd) {
    my $socket = IO::Socket::INET->new( PeerAddr => '127.0.0.1', PeerPort => $httpd->port ) // die "cannot connect: $!\n";
    $socket->syswrite("GET / HTTP/1.1\r\nHost: ");
    return $socket;
}

done_testing;
