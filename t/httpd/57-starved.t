# What a process measures that is stopped, out of descriptors, or whose clock is stepped, and what it
# makes of it when most services fall together: no outage is found that is none, and one that is real
# is found all the same. In each case it is shown first that the condition is there. Busy loops:
# 90-busy.t.
use v5.36;
use Test::More;
use Failover::File;
use Failover::Forms;
use Failover::Httpd;
use Failover::KeptAlive;
use Failover::Peer;
use Failover::Process;
use Failover::Sanitizer;
use Failover::Seen;
use Failover::Sockets;
use Failover::States qw(under_each_mpm quick);
use Failover::Wait;

# MariaDB gives a client that long to log in.
my $forms = Failover::Forms->new( mariadb => ['--connect-timeout=2'] );
my $db    = $forms->db;

# One of each form times out while nobody looks. Three are enough for doubt as well, so what is
# asked is whether they were thrown away.
under_each_mpm 'stopped for longer than a time-out', sub ($mpm) {
    my @peer  = map { Failover::Peer->new } 1 .. 3;
    my @at    = map { $_->address } @peer;
    my $httpd = start_httpd( $mpm, [qw(cache db mq)], <<~"CONF" );
        FailoverMonitoringPingFrequency 60s
        FailoverErrorPingFrequency      300ms
        FailoverPingTimeout             1s
        FailoverPingWait                0
        FailoverSpread                  0
        FailoverService cache memcached://$at[0]
        FailoverService db    mysql://u\@$at[1]
        FailoverService mq    amqp://u\@$at[2] @{[ $forms->password ]}
        CONF
    $httpd->get('/');
    wait_for( sub { !grep { $_->open_connections != 1 } @peer }, 'the pings to be under way' );
    stop_child( $httpd, 1.6 );
    like $httpd->take_log(qr/FO0005: $_: /), qr/1 ping thrown away \(self\).*timed out after 1s: this host is overloaded/, "$_: thrown away" for qw(cache db mq);
    is scalar said( $httpd, 'FO0001' ), 0, 'and no outage';
    is states($httpd), 'up up up', 'up';

    # They still are as mute: that is real, and found by the next pings.
    wait_for_states( $httpd, 'down down down' );
    $httpd->take_log(qr/FO0001: $_ outage/) for qw(cache db mq);
    $httpd->done;
};

# As a container's quota does it: no span is long, all of them are most of the time-out.
under_each_mpm 'stopped again and again', sub ($mpm) {
    my $peer  = Failover::Peer->new;
    my $httpd = start_httpd( $mpm, ['cache'], <<~"CONF" );
        FailoverMonitoringPingFrequency 60s
        FailoverErrorPingFrequency      60s
        FailoverPingTimeout             1s
        FailoverPingWait                0
        FailoverService cache memcached://@{[ $peer->address ]}
        CONF
    $httpd->get('/');
    wait_for( sub { $peer->open_connections }, 'the ping to be under way' );
    wait_for( sub { stop_child( $httpd, 0.18 ); !$peer->open_connections }, 'the end of it' );
    like $httpd->take_log(qr/FO000[15]: cache/), qr/FO0005: .*1 ping thrown away \(self\).*timed out after 1s/, 'thrown away';
    $httpd->done;
};

under_each_mpm 'stopped now and then', sub ($mpm) {
    my $httpd = start_real($mpm);
    for my $round ( 1 .. 12 ) {
        $httpd->get('/');    # its pings may be under way
        stop_child( $httpd, (qw(0.02 0.15 0.6 1.4))[ $round % 4 ] );
        all_up( $httpd, "round $round" );
    }
    is_found( $httpd, $forms, 'a real outage' );
    $httpd->allow_log(qr/FO0005/);
    $httpd->done;
};

# That the connection is closed then says nothing of the server.
under_each_mpm 'kept a server waiting until it closed', sub ($mpm) {
    my $httpd = start_httpd( $mpm, ['db'], quick(), "FailoverPingTimeout 4s\nFailoverPingWait 0\nFailoverService db mysql://monitor\@" . $db->address . "\n" );
    wait_for_states( $httpd, 'up' );
    wait_for( sub { !connections_to( $db->port ) }, 'the last ping to be over' );
    my $before = length $db->log_text;
    $db->pause;
    my $waits = 0;
    wait_for( sub { $httpd->get('/'); $waits = connections_to( $db->port ) ? $waits + 1 : 0; $waits > 5 }, 'a ping to wait for its greeting' );
    my ($child) = $httpd->children;
    Failover::Process::suspend($child);
    $db->resume;
    wait_for( sub { substr( $db->log_text, $before ) =~ /Aborted connection/ }, 'the server to give up' );
    kill 'CONT', $child;
    like $httpd->take_log(qr/FO0005: db: /), qr/1 ping thrown away \(self\)/, 'thrown away';
    is scalar said( $httpd, 'FO0001' ), 0, 'no outage';
    wait_for_states( $httpd, 'up' );
    $db->allow_log(qr/Aborted connection/);
    $db->crash;
    wait_for_states( $httpd, 'down' );
    outage_is( $httpd, 'db', $db->address, qr/(?:connect|login|answer): .*/, 'a real one' );
    $httpd->done;
    $db->start;
};

# Nothing new can be opened by the child: requests come over a connection that it has already.
under_each_mpm 'no descriptor left', sub ($mpm) {
    my $peer  = Failover::Peer->new;
    my $httpd = start_real( $mpm, 'FailoverService other tcp://' . $peer->address, 'FailoverService named tcp://localhost:' . $peer->port );
    my $line  = persistent($httpd);
    ask( $line, '/' );
    my ($child) = $httpd->children;
    $httpd->allow_log(qr{AH00529: .*Too many open files|\(24\)Too many open files: .*AH00529});
    limit_files( $httpd, $child, 8 );
    wait_for( sub { ask( $line, '/missing' ); 6 == keys { map { /FO0005: (\w+)/ ? ( $1 => 1 ) : () } said( $httpd, 'FO0005' ) }->%* }, 'pings of each to be thrown away' );
    like $httpd->take_log(qr/FO0005: $_: /), qr/1 ping thrown away \(self\).*(?:Too many open files: raise the limit of open files|resolve: .*)$/, "$_: said" for $forms->names, qw(other named);
    $peer->mode('refuse');
    my $end = now() + 1;
    wait_for( sub { ask( $line, '/missing' ); now() > $end }, 'more pings' );
    is scalar said( $httpd, 'FO0001' ), 0, 'no outage while it lasts';
    limit_files( $httpd, $child, 1024 );
    my $began = now();
    wait_for( sub { ask( $line, '/missing' ); 2 == said( $httpd, 'FO0001' ) }, 'what is real' );
    note sprintf 'found after %.0f ms', 1000 * ( now() - $began );
    cmp_ok now() - $began, '<', 1, 'as soon as it ends';
    $httpd->take_log(qr/FO0001: $_ outage.*connect: Connection refused/) for qw(other named);
    close $line;    # under prefork it holds the only child
    all_up( $httpd, 'the others' );
    $httpd->done;
};

# Fewer than are in use: poll() itself refuses to work then.
under_each_mpm 'fewer descriptors than there are', sub ($mpm) {
    my @names = map {"db$_"} 1 .. 5;
    my $httpd = start_httpd( $mpm, \@names, <<~'CONF', map { "FailoverService db$_ mysql://monitor\@@{[ $db->address ]} timeout=190${_}ms" } 1 .. 5 );
        FailoverMonitoringPingFrequency 60s
        FailoverErrorPingFrequency      60s
        FailoverPingWait                0
        FailoverSpread                  0
        CONF
    my ($child) = $httpd->children;
    $db->pause;
    $httpd->get('/');
    wait_for( sub { connections_to( $db->port ) == 5 }, 'the pings to be under way' );
    limit_files( $httpd, $child, 4 );
    is connections_to( $db->port ), 5, 'they still are';
    $db->resume;
    my $before = ticks_of($child);
    wait_for( sub { !connections_to( $db->port ) }, 'their end' );
    like $httpd->take_log(qr/FO000[15]: db[1-5]\b/), qr/FO0005: .*1 ping thrown away \(self\)/, 'thrown away';
    my $ticks = ticks_of($child) - $before;
    cmp_ok $ticks, '<', 15, "and the child did not spin: $ticks hundredths of a second";
    limit_files( $httpd, $child, 1024 );
    is scalar said( $httpd, 'FO0001' ), 0, 'no outage';
    is states($httpd), 'up up up up up', 'all up';
    $httpd->allow_log(qr/FO0005: db[1-5]/);    # where few are left, poll() works again
    $db->allow_log(qr/Aborted connection/);
    $httpd->done;
};

# The wall clock jumps by hours; the log shows it. libfaketime and a sanitizer's runtime, both
# preloaded, do not come to the end of their start.
Failover::Sanitizer::is_preloaded() or under_each_mpm 'the wall clock is stepped', sub ($mpm) {
    my ($library) = glob '/usr/lib/*/faketime/libfaketimeMT.so.1' or die "libfaketime is missing\n";
    my $peer  = Failover::Peer->new;
    my $httpd = real_httpd( $mpm, 'FailoverService slow tcp://' . $peer->address );
    my $clock = $httpd->file( 'clock', "+0\n" );
    {
        local @ENV{qw(LD_PRELOAD FAKETIME_TIMESTAMP_FILE FAKETIME_NO_CACHE FAKETIME_DONT_FAKE_MONOTONIC)} = ( $library, $clock, 1, 1 );
        $httpd->start;
    }
    all_up( $httpd, 'at first' );
    for my $step ( '+5h', '-7h', '+0', '+400d', '-1h' ) {
        spew( "$clock.new", "$step\n" );
        rename "$clock.new", $clock or die "$clock: $!";
        my $shift = shift_of($step);
        wait_for( sub { $httpd->get('/'); abs( wall_clock_of($httpd) - time - $shift ) < 60 }, "the clock to be at $step" );
        my $pings = $peer->connections;
        wait_for( sub { $httpd->get('/'); $peer->connections >= $pings + 3 }, "$step: pings go on" );
        all_up( $httpd, $step );
    }
    is_found( $httpd, $forms, 'a real outage' );
    $httpd->done;
};

# So many at once: it may be us. Where they live on one host it is not, and that is found one
# confirming ping later.
under_each_mpm 'most services fall together', sub ($mpm) {
    my @peer  = map { Failover::Peer->new } 1 .. 5;
    my $httpd = start_httpd( $mpm, [ map {"s$_"} 1 .. 5 ], <<~"CONF", map { "FailoverService s$_ tcp://" . $peer[ $_ - 1 ]->address . "\n" } 1 .. 5 );
        FailoverMonitoringPingFrequency 400ms
        FailoverOutagePingFrequency     400ms
        FailoverErrorPingFrequency      400ms
        FailoverThresholds              confirm=700ms
        FailoverPingWait                1s
        FailoverSpread                  0
        CONF
    wait_for_states( $httpd, 'up up up up up' );
    my @before = map { $_->connections } @peer;
    $_->mode('refuse') for @peer[ 0 .. 2 ];
    wait_for( sub { $httpd->get('/'); $peer[4]->connections > $before[4] }, 'the ping' );
    my $began = now();
    is states($httpd), 'up up up up up', 'not believed at once';
    $_->mode('mute') for @peer[ 0 .. 2 ];
    wait_for( sub { $httpd->get('/'); !grep { $peer[$_]->connections == $before[$_] } 0 .. 2 }, 'the confirming pings' );
    is states($httpd), 'up up up up up', 'it was us';
    is scalar said( $httpd, 'FO0001' ), 0, 'no outage';
    wait_for( sub { now() > $began + 1.5 }, 'another second' );

    @before = map { $_->connections } @peer;
    $_->mode('refuse') for @peer[ 0 .. 2 ];
    wait_for( sub { $httpd->get('/'); $peer[4]->connections > $before[4] }, 'the ping' );
    $began = now();
    wait_for_states( $httpd, 'down down down up up' );
    between( now() - $began, 0.4, 1.5, 'it was not: found by the confirming ping' );
    $httpd->take_log(qr/FO0001: $_ outage/) for qw(s1 s2 s3);

    # The others are fewer than three.
    my $end = now() + 1.2;
    wait_for( sub { $httpd->get('/'); now() > $end }, 'more than a second' );
    $_->mode('refuse') for @peer[ 3, 4 ];
    $began = now();
    wait_for_states( $httpd, 'down down down down down' );
    cmp_ok now() - $began, '<', 0.65, 'two are believed at once';
    $httpd->take_log(qr/FO0001: $_ outage/) for qw(s4 s5);
    $httpd->done;
};

$forms->done;
done_testing;

# ---------------------------------------------------------------- helpers

sub make_httpd ( $mpm, $names, @lines ) {
    my $httpd = Failover::Httpd->new( mpm => $mpm, config => join "\n", kept_alive(), @lines, shows_states(@$names),
        qq{LogFormat "%q %{sec}t" clock\nCustomLog logs/clock clock\n} );
    $httpd->allow_log(qr/FO0009: .* a ping may take/);
    return $httpd;
}

sub start_httpd (@arg) { return make_httpd(@arg)->start }

# Healthy servers of each form, pinged at each request that comes.
sub real_httpd ( $mpm, @lines ) {
    return make_httpd( $mpm, [ $forms->names ], <<~'CONF', $forms->config, @lines );
        FailoverMonitoringPingFrequency 50ms
        FailoverOutagePingFrequency     50ms
        FailoverErrorPingFrequency      50ms
        FailoverPingTimeout             1s
        FailoverPingWait                0
        FailoverSpread                  0
        CONF
}

sub start_real (@arg) {
    my $httpd = real_httpd(@arg)->start;
    all_up( $httpd, 'at first' );
    return $httpd;
}

sub all_up ( $httpd, $what ) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is states($httpd), $forms->up, "$what: all up";
}

# Stops httpd's child for so long, and shows that it stood still.
sub stop_child ( $httpd, $span ) {
    my ($child) = $httpd->children;
    Failover::Process::suspend($child);
    my $end = now() + $span;
    wait_for( sub { now() > $end }, 'the time to pass' );
    kill 'CONT', $child;
    return;
}

# As the child's own user, which needs no privilege for it.
sub limit_files ( $httpd, $pid, $n ) {
    my ( $code, $output ) = Failover::Process->run(
        command => [ Failover::Process::find_program('prlimit'), "--pid=$pid", "--nofile=$n:" ],
        output  => $httpd->dir . '/logs/prlimit',
        user    => ( getpwuid( ( stat "/proc/$pid" )[4] ) )[0],
    );
    die "prlimit: $output\n" if $code;
    return;
}

# User and system time, in hundredths of a second.
sub ticks_of ($pid) {
    my @field = split ' ', slurp("/proc/$pid/stat") =~ s/^.*\)//sr;
    return $field[11] + $field[12];
}

sub shift_of ($step) {
    my ( $n, $unit ) = $step =~ /^([+-]\d+)([hd]?)$/;
    return $n * ( $unit eq 'd' ? 86_400 : 3600 );
}

# What the clock of httpd's own access log says.
sub wall_clock_of ($httpd) {
    my ($text) = $httpd->logged( '/', 'clock' ) =~ / (\d+)$/;
    return $text;
}
