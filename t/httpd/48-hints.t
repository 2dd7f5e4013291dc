# What one child finds, the others look for: each pings for itself, within an error frequency, and
# no more of them at a time than FailoverPingConcurrency allows, whoever of them is killed.
use v5.36;
use Test::More;
use Failover::Crowd;
use Failover::ErrorLog;
use Failover::Httpd;
use Failover::KeptAlive;
use Failover::Peer;
use Failover::Sayer;
use Failover::Seen;
use Failover::Sockets;
use Failover::States qw(under_each_mpm);
use Failover::Wait;

my $ERROR = 1;       # FailoverErrorPingFrequency, in seconds
my $PING  = 0.15;    # what a ping of a refused service may take on a machine of two cores

subtest '32 children, prefork' => sub {
    my $count = 32;
    my $peer  = Failover::Peer->new;
    my $httpd = Failover::Httpd->new(
        mpm => 'prefork', children => $count, modules => [ sayer_modules() ],
        config => <<~"CONF" . sayer_config() . kept_alive() . tells_child('db') );
            FailoverErrorPingFrequency ${ERROR}s
            FailoverSpread 0
            FailoverService db tcp://@{[ $peer->address ]} DB=spare
            CONF
    may_say($httpd)->start;
    will_say( $httpd, 'Connection refused' );
    my @line = map { persistent($httpd) } 1 .. $count;
    ask( $_, '/?all' ) for @line;
    wait_for( sub { $peer->connections == $count }, 'each child to have pinged' );

    for my $row (
        [ 'an outage',            'refuse', 'FO0001', 1 ],
        [ 'the recovery',         'mute',   'FO0003', 1 ],
        [ 'another, right after', 'refuse', 'FO0001', 0 ],
    ) {
        my ( $what, $mode, $tag, $is_rested ) = @$row;
        my $last = now();
        wait_for( sub { now() > $last + $ERROR }, 'the last pings to be older than the error frequency' ) if $is_rested;
        my $before = said( $httpd, $tag );
        my $pings  = $peer->connections;
        $peer->mode($mode);
        ask( $line[0], '/say.lua' );    # one child meets an error
        wait_for(
            sub { ask( $_, '/' ) for @line; said( $httpd, $tag ) == $before + $count },
            "$what to be found by all", $ERROR + 5
        );
        my @said = ( said( $httpd, $tag ) )[ $before .. $before + $count - 1 ];
        my %pid  = map { /Process ID: (\d+)/ ? ( $1 => 1 ) : () } @said;
        is scalar( keys %pid ), $count, "$what: each child found it for itself, once";
        my $took = seconds_between( $said[0], $said[-1] );
        my $most = $is_rested && $mode eq 'refuse' ? $PING : $ERROR + $PING;
        ok $took <= $most, sprintf '%s: from the first to the last %.0f ms', $what, 1000 * $took;
        is $peer->connections - $pings, $count, 'by one ping of each' if $mode eq 'mute';
    }
    $httpd->allow_log(qr/FO0001/);
    $httpd->done;
};

# Requests come to whichever child is free; a child without any has nothing to see.
under_each_mpm 'a few children', sub ($mpm) {
    my $count = 4;
    my $peer  = Failover::Peer->new;
    my $httpd = Failover::Httpd->new(
        mpm => $mpm, children => $count, threads => 4, modules => [ sayer_modules() ],
        config => <<~"CONF" . sayer_config() . tells_child('db') );
            FailoverErrorPingFrequency 300ms
            FailoverThresholds fall=2 confirm=50ms
            FailoverSpread 0
            FailoverService db tcp://@{[ $peer->address ]} DB=spare
            CONF
    may_say($httpd)->start;
    all_see( $httpd, $count, 'up' );
    $peer->mode('refuse');
    say_error( $httpd, 'Connection refused' );
    all_see( $httpd, $count, 'down' );
    my @said = said( $httpd, 'FO0001' );
    is scalar(@said), $count, 'each child needs two failures of its own, and says so';
    $peer->mode('mute');
    say_error( $httpd, 'Connection refused' );
    all_see( $httpd, $count, 'up' );
    is scalar( said( $httpd, 'FO0003' ) ), $count, 'and the recovery';
    $httpd->allow_log(qr/FO0001/);
    $httpd->done;
};

sub all_see ( $httpd, $count, $state ) {
    my %seen;
    wait_for(
        sub {
            for my $one ( crowd( $httpd, 2 * $count ) ) {
                if   ( $one->{states} eq $state ) { $seen{ $one->{child} }++ }
                else                              { delete $seen{ $one->{child} } }
            }
            return keys %seen == $count;
        },
        "all children to see it $state"
    );
    return;
}

# With room for one ping, and a server that does not answer: who is killed in the middle of his ping
# holds his place no longer than that could have taken.
under_each_mpm 'a child that is killed while it pings', sub ($mpm) {
    my $count = 3;
    my $peer  = Failover::Peer->new( mode => 'mute' );
    my $httpd = Failover::Httpd->new(
        mpm => $mpm, children => $count, threads => 4, modules => ['env'],
        config => <<~"CONF" . tells_child('db') );
            FailoverPingConcurrency 1
            FailoverPingTimeout 500ms
            FailoverErrorPingFrequency 100ms
            FailoverMonitoringPingFrequency 500ms
            FailoverSpread 0
            FailoverPingWait 0
            FailoverService db mysql://monitor@@{[ $peer->address ]} DB=spare
            CONF
    $httpd->start;
    my %child = map { $_ => 1 } $httpd->children;
    crowd( $httpd, 4 * $count );
    $peer->wait_for_connections(1) if !$peer->connections;
    my %open;
    my $began = now();
    wait_for( sub { crowd( $httpd, 4 ); $open{ $peer->open_connections }++; now() > $began + 0.3 }, 'some requests' );
    is_deeply [ grep { $_ > 1 } keys %open ], [], 'one ping at a time, over all children';
    my $pinging = wait_for( sub { crowd( $httpd, 4 ); ( grep { has_connection_to( $_, $peer->port ) } keys %child )[0] }, 'one child to ping' );
    kill 'KILL', $pinging;
    my $killed = now();
    wait_for( sub { !grep { $_ == $pinging } $httpd->children }, 'its end' );
    wait_for( sub { crowd( $httpd, 4 ); said( $httpd, 'FO0001' ) }, 'the others to ping' );
    between( now() - $killed, 0, 2.5, sprintf 'another found the outage %.1f s after that', now() - $killed );
    $httpd->allow_log(qr/FO0001/);
    $httpd->done;
};

sub has_connection_to ( $pid, $port ) {
    return scalar grep { $_->{remote} eq "127.0.0.1:$port" } sockets_of($pid);
}

done_testing;
