# Whose outages and recoveries are news: with FailoverOutageLogging first one crit and one notice for
# the server, however many children there are and whoever of them dies; with child each child's.
use v5.36;
use Test::More;
use Failover::Crowd;
use Failover::ErrorLog;
use Failover::Httpd;
use Failover::KeptAlive;
use Failover::Peer;
use Failover::Sanitizer;
use Failover::Seen;
use Failover::States qw(under_each_mpm);
use Failover::Wait;

my $COUNT = 8;

subtest 'one crit and one notice of 8 children, prefork' => sub {
    my ( $peer, $httpd ) = eight('FailoverOutagePingFrequency 2s');    # all of them look again within twice that
    my @line = map { persistent($httpd) } 1 .. $COUNT;
    all_ask( $httpd, @line );
    for my $round ( 1, 2 ) {
        $peer->mode('refuse');
        my $began = now();
        wait_for( sub { all_ask( $httpd, @line ); said( $httpd, 'FO0001' ) == $round * $COUNT }, 'each child to see it down' );
        is_deeply levels( $httpd, 'FO0001' ), { crit => $round, info => $round * ( $COUNT - 1 ) }, "round $round: one crit, the others info";
        wait_for( sub { now() > $began + 1.2 }, 'it to last' );
        $peer->mode('mute');
        wait_for( sub { all_ask( $httpd, @line ); said( $httpd, 'FO0003' ) == $round * $COUNT }, 'each child to see it back' );
        is_deeply levels( $httpd, 'FO0003' ), { notice => $round, info => $round * ( $COUNT - 1 ) }, 'one notice, the others info';
        my @crit   = grep { /:crit\]/ } said( $httpd, 'FO0001' );
        my @notice = grep { /:notice\]/ } said( $httpd, 'FO0003' );
        is index( $httpd->error_log, $crit[-1] ), index( $httpd->error_log, ( said( $httpd, 'FO0001' ) )[ ( $round - 1 ) * $COUNT ] ), 'the crit is the first';
        is $notice[-1], ( said( $httpd, 'FO0003' ) )[-1], 'the notice is the last';
        between( span_of( $notice[-1] ), seconds_between( $crit[-1], $notice[-1] ) - 1, seconds_between( $crit[-1], $notice[-1] ) + 0.1, 'its span is that of the whole outage' );
        $httpd->take_log(qr/:crit\] .*FO0001/);
    }
    is scalar( pids( said( $httpd, 'FO0001' ) ) ), $COUNT, 'of each child';
    $httpd->done;
};

# Once a second, over all children; the others' own are info.
subtest 'the reminder' => sub {
    my ( $peer, $httpd ) = eight('FailoverOutageLoggingFrequency 1s');
    my @line = map { persistent($httpd) } 1 .. $COUNT;
    $peer->mode('refuse');
    my @crit;
    wait_for( sub { all_ask( $httpd, @line ); @crit = grep { /:crit\]/ } said( $httpd, 'FO0002' ); @crit >= 3 }, 'three reminders', 15 );
    my ($first) = grep { /:crit\]/ } said( $httpd, 'FO0001' );
    for my $i ( 0 .. 2 ) {
        my $took = seconds_between( $i ? $crit[ $i - 1 ] : $first, $crit[$i] );
        between( $took, 0.98, 2, sprintf 'reminder %d came %.2f s after the line before', $i + 1, $took );
        between( span_of( $crit[$i] ), seconds_between( $first, $crit[$i] ) - 1, seconds_between( $first, $crit[$i] ) + 0.1, 'and tells since when' );
    }
    cmp_ok scalar( grep { /:info\]/ } said( $httpd, 'FO0002' ) ), '>=', $COUNT, 'the others say so at level info';
    is scalar( grep { /:crit\]/ } said( $httpd, 'FO0001' ) ), 1, 'and the first line came once';
    $httpd->allow_log(qr/:crit\] .*FO000[12]/);
    $httpd->done;
};

subtest 'each child' => sub {
    my ( $peer, $httpd ) = eight("FailoverOutageLogging child\nFailoverOutageLoggingFrequency 1s");
    my @line = map { persistent($httpd) } 1 .. $COUNT;
    all_ask( $httpd, @line );
    $peer->mode('refuse');
    wait_for( sub { all_ask( $httpd, @line ); pids( said( $httpd, 'FO0002' ) ) == $COUNT }, 'each child to remind' );
    $peer->mode('mute');
    wait_for( sub { all_ask( $httpd, @line ); said( $httpd, 'FO0003' ) == $COUNT }, 'each child to see it back' );
    is_deeply levels( $httpd, 'FO0001' ), { crit   => $COUNT }, 'crit';
    is_deeply [ keys levels( $httpd, 'FO0002' )->%* ], ['crit'], 'the reminders, crit';
    is_deeply levels( $httpd, 'FO0003' ), { notice => $COUNT }, 'notice';
    $httpd->allow_log(qr/:crit\] .*FO000[12]/);
    $httpd->done;
};

# All who saw it die before it ends: who comes after them tells of the end, once, and how long it was.
under_each_mpm 'those who saw the outage are killed', sub ($mpm) {
    my $peer  = Failover::Peer->new( mode => 'refuse' );
    my $httpd = Failover::Httpd->new(
        mpm => $mpm, children => 4, threads => 4,
        config => rhythm() . tells_child('db') . "FailoverService db tcp://@{[ $peer->address ]}\n" )->start;
    wait_for( sub { crowd( $httpd, 8 ); pids( said( $httpd, 'FO0001' ) ) == 4 }, 'each child to see it down' );
    my @old = $httpd->children;
    kill 'KILL', @old;
    wait_for( sub { my @now = $httpd->children; @now == 4 && !grep { my $pid = $_; grep { $_ == $pid } @old } @now }, 'new children' );
    $peer->mode('mute');
    wait_for( sub { crowd( $httpd, 8 ); said( $httpd, 'FO0003' ) }, 'the notice' );
    wait_for( sub { !grep { $_->{states} ne 'up' } crowd( $httpd, 16 ) }, 'all to see it back' );
    my ($crit)   = grep { /:crit\]/ } said( $httpd, 'FO0001' );
    my ($notice) = grep { /:notice\]/ } said( $httpd, 'FO0003' );
    is levels( $httpd, 'FO0001' )->{crit},   1, 'one crit';
    is levels( $httpd, 'FO0003' )->{notice}, 1, 'one notice';
    between( span_of( $notice // '' ), seconds_between( $crit, $notice ) - 1, seconds_between( $crit, $notice ) + 0.1, 'the whole outage' );
    $httpd->allow_log($_) for Failover::Httpd->killed, qr/:crit\] .*FO0001/;
    $httpd->done;
};

# The one that announced it dies, the others live: its word is kept.
under_each_mpm 'the one that announced it is killed', sub ($mpm) {
    my $peer  = Failover::Peer->new( mode => 'refuse' );
    my $httpd = Failover::Httpd->new(
        mpm => $mpm, children => 4, threads => 4,
        config => rhythm() . tells_child('db') . "FailoverService db tcp://@{[ $peer->address ]}\n" )->start;
    wait_for( sub { crowd( $httpd, 8 ); pids( said( $httpd, 'FO0001' ) ) == 4 }, 'each child to see it down' );
    my ($first) = pids( grep { /:crit\]/ } said( $httpd, 'FO0001' ) );
    kill 'KILL', $first;
    wait_for( sub { my @now = $httpd->children; @now == 4 && !grep { $_ == $first } @now }, 'a new child' );
    wait_for( sub { crowd( $httpd, 8 ); pids( said( $httpd, 'FO0001' ) ) == 5 }, 'it to say so as well' );
    $peer->mode('mute');
    wait_for( sub { crowd( $httpd, 8 ); said( $httpd, 'FO0003' ) >= 4 }, 'all to see it back' );
    is_deeply levels( $httpd, 'FO0001' ), { crit   => 1, info => 4 }, 'one crit';
    is_deeply levels( $httpd, 'FO0003' ), { notice => 1, info => 3 }, 'one notice';
    $httpd->allow_log($_) for Failover::Httpd->killed, qr/:crit\] .*FO0001/;
    $httpd->done;
};

# Children without requests keep nobody from telling of the end, whether they have seen the outage or
# not.
subtest 'idle children' => sub {
    my ( $peer, $httpd ) = eight();
    my @line = map { persistent($httpd) } 1 .. $COUNT;
    $peer->mode('refuse');
    wait_for( sub { ask( $_, '/?' . rand ) for @line[ 0, 1 ]; pids( said( $httpd, 'FO0001' ) ) == 2 }, 'two to see it down' );
    is_deeply levels( $httpd, 'FO0001' ), { crit => 1, info => 1 }, 'one crit';
    $peer->mode('mute');
    wait_for( sub { ask( $line[0], '/?' . rand ); ask( $line[1], '/?' . rand ); pids( said( $httpd, 'FO0003' ) ) == 2 && levels( $httpd, 'FO0003' )->{notice} }, 'these to see it back' );
    is levels( $httpd, 'FO0003' )->{notice}, 1, 'one notice, six children idle all the time';
    $peer->mode('refuse');
    wait_for( sub { all_ask( $httpd, @line ); said( $httpd, 'FO0001' ) == 2 + $COUNT }, 'all to see it down' );
    my $asked = now();    # each wakes once more when its next ping is due, and would hear that it is back
    wait_for( sub { now() > $asked + 0.9 }, 'six to have nothing to wake for' );
    $peer->mode('mute');
    wait_for( sub { all_ask( $httpd, @line[ 0, 1 ] ); levels( $httpd, 'FO0003' )->{notice} == 2 }, 'the notice, six children idle since the outage' );
    is scalar( pids( said( $httpd, 'FO0003' ) ) ), 2, 'two have seen it back';
    all_ask( $httpd, @line );
    wait_for( sub { all_ask( $httpd, @line ); pids( said( $httpd, 'FO0003' ) ) == $COUNT }, 'the others to see it back' );
    is_deeply [ levels( $httpd, 'FO0001' )->{crit}, levels( $httpd, 'FO0003' )->{notice} ], [ 2, 2 ], 'which is no news';
    $httpd->take_log(qr/:crit\] .*FO0001/) for 1, 2;
    $httpd->done;
};

done_testing;

# ---------------------------------------------------------------- helpers

# Recoveries as outages are found by own pings every 300 ms, and by hints.
sub rhythm () {
    return <<~'CONF';
        FailoverMonitoringPingFrequency 300ms
        FailoverOutagePingFrequency     300ms
        FailoverErrorPingFrequency      300ms
        FailoverPingTimeout             300ms
        FailoverSpread                  0
        CONF
}

# Each has its monitor: one that began after the others have found the outage would inherit it.
sub eight ( $more = '' ) {
    my $peer  = Failover::Peer->new;
    my $httpd = Failover::Httpd->new(
        mpm => 'prefork', children => $COUNT,
        config => rhythm() . kept_alive() . "$more\nFailoverService db tcp://@{[ $peer->address ]}\n" )->start;
    wait_for( sub { !grep { Failover::Sanitizer::count_threads($_) < 2 } $httpd->children }, 'each child to have its monitor' );
    return ( $peer, $httpd );
}

sub all_ask ( $httpd, @line ) { ask( $_, '/' ) for @line; return }

# How many lines with this tag there are of each level.
sub levels ( $httpd, $tag ) {
    my %count;
    /:(\w+)\]/ && $count{$1}++ for said( $httpd, $tag );
    return \%count;
}

sub pids (@line) {
    my %pid = map { /Process ID: (\d+)/ ? ( $1 => 1 ) : () } @line;
    return keys %pid;
}

# The span that a line ends in, in seconds.
sub span_of ($line) {
    my ( $number, $unit ) = $line =~ /(?:after|since) (\d+)(ms|s)$/ or return -1;
    return $unit eq 'ms' ? $number / 1000 : $number;
}
