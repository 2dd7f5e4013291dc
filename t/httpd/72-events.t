# FailoverEventLog: one line of JSON per change and child, in a file or for a program; a reader that is
# slow, or dead, holds nobody up.
use v5.36;
use JSON::PP qw(decode_json);
use Test::More;
use Failover::Crowd;
use Failover::File;
use Failover::Httpd;
use Failover::Peer;
use Failover::Seen;
use Failover::States qw(quick under_each_mpm);
use Failover::Wait;

my $DB = <<~'CONF';
    <FailoverService db>
        FailoverEndpoint east tcp://%s
        FailoverEndpoint west tcp://%s weight=0.5
        FailoverGracePeriod 0
        FailoverFailback auto interval=100ms
    </FailoverService>
    <Location "/failover-status">
        SetHandler failover-status
        FailoverStatus On
    </Location>
    CONF

sub start ( $mpm, $target, $peers, %arg ) {
    my $httpd = Failover::Httpd->new(
        mpm => $mpm, children => $arg{children} // 2, threads => 4,
        config => quick() . ( $arg{head} // '' ) . tells_child('db') . "FailoverEventLog $target\n" . sprintf $DB, map { $_->address } @$peers );
    $httpd->file( $_, $arg{files}{$_}, 0755 ) for keys $arg{files}->%*;
    $httpd->start;
    wait_for( sub { my %by; $by{ $_->{child} }++ for crowd( $httpd, 4 ); keys %by == ( $arg{children} // 2 ) }, 'a request of each child' );
    return $httpd;
}

sub all_see ( $httpd, $state ) {
    return children_see( $httpd, $httpd->{children}, qr/^$state$/ );
}

sub lost ($httpd) { return decode_json( $httpd->body('/failover-status?format=json') )->{server}{events_lost} }

under_each_mpm 'a file', sub ($mpm) {
    my @peer  = map { Failover::Peer->new } 1, 2;
    my $httpd = start( $mpm, 'logs/events', \@peer );
    my $began = time;
    $peer[0]->mode('refuse');
    all_see( $httpd, 'failover' );
    $peer[0]->mode('mute');
    all_see( $httpd, 'up' );
    my $file = $httpd->dir . '/logs/events';
    my @line = split /\n/, slurp($file);
    wait_for( sub { ( @line = split /\n/, slurp($file) ) >= 6 }, 'three lines of each child' );
    my %of;
    for (@line) {
        my $event = eval { decode_json($_) } or fail("no JSON: $_"), next;
        push $of{ $event->{pid} }->@*, $event;
    }
    is_deeply [ sort keys %of ], [ sort $httpd->children ], 'each child tells of it';
    for my $events ( values %of ) {
        is_deeply [ map { $_->{event} } @$events ], [qw(switch spare-back failback)], 'in turn';
        my ( $switch, undef, $back ) = @$events;
        is_deeply [ $switch->@{qw(service endpoint other before after epoch)} ], [qw(db east west up failover 1)], 'what became of it';
        is $switch->{reason},    'connect: Connection refused', 'and why';
        is $switch->{lasted_us}, undef,                         'nothing is over';
        like $switch->{time}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.]\d{6}Z\z/, 'the time';
        is_deeply [ $back->@{qw(endpoint other before after epoch)} ], [qw(east west failover up 2)], 'the way back';
        cmp_ok $back->{lasted_us}, '>', 100_000, 'how long it took';
    }
    is scalar( grep { $_->{event} eq 'switch' && $_->{news} } map {@$_} values %of ), 1, 'news of one of them';
    is lost($httpd), 0, 'nothing is lost';
    is( ( stat $file )[2] & 0777, 0640, 'not for everybody' );
    $httpd->graceful;
    $peer[0]->mode('refuse');
    all_see( $httpd, 'failover' );
    wait_for( sub { ( () = slurp($file) =~ /"event":"switch"/g ) >= 3 }, 'the new children to write on' );
    $httpd->allow_log(qr/FO0018/);
    $httpd->done;
};

# The program reads its lines from standard input.
subtest 'a program' => sub {
    my @peer  = map { Failover::Peer->new } 1, 2;
    my $httpd = start( 'event', '"|@DIR@/bin/reader"', \@peer, files => { 'bin/reader' => "#!/bin/sh\nexec cat > @{[ '$(dirname $0)' ]}/../logs/read\n" } );
    $peer[0]->mode('refuse');
    all_see( $httpd, 'failover' );
    my $file = $httpd->dir . '/logs/read';
    wait_for( sub { -e $file && ( () = slurp($file) =~ /\n/g ) >= 2 }, 'the lines of both children' );
    is_deeply [ map { decode_json($_)->{event} } split /\n/, slurp($file) ], [qw(switch switch)], 'whole lines';
    $httpd->allow_log(qr/FO0018/);
    $httpd->done;
};

# One that never reads, with a pipe of one page: changes and requests go on as if nobody listened.
under_each_mpm 'a reader that does not read', sub ($mpm) {
    my $sleeper = "#!$^X\nfcntl STDIN, 1031, 4096;\nsleep 60;\n";    # 1031: F_SETPIPE_SZ
    my @peer  = map { Failover::Peer->new } 1, 2;
    my $httpd = start( $mpm, '"|@DIR@/bin/sleeper"', \@peer, children => 1, files => { 'bin/sleeper' => $sleeper }, head => "FailoverMonitoringPingFrequency 20ms\nFailoverOutagePingFrequency 20ms\nFailoverErrorPingFrequency 20ms\nFailoverPingTimeout 500ms\n" );
    my ( $slowest, $n ) = ( 0, 0 );
    wait_for( sub {
        $peer[0]->mode( $n++ % 2 ? 'mute' : 'refuse' );
        my $want = $n % 2 ? 'failover' : 'up';
        wait_for( sub { my ($seen) = crowd( $httpd, 1 ); $slowest = $seen->{elapsed} if $seen->{elapsed} > $slowest; $seen->{states} eq $want }, $want );
        return lost($httpd) >= 5;
    }, 'lines to be lost', 60 );
    pass("after $n changes lines are lost, and counted");
    cmp_ok $slowest, '<', 0.5, sprintf 'no request was held up: the slowest took %.3f s', $slowest;
    $httpd->allow_log(qr/FO0018|FO0009/);
    $httpd->done;
};

subtest 'what cannot be opened' => sub {
    my $httpd = Failover::Httpd->new( config => "FailoverEventLog missing/events\nFailoverService db tcp://127.0.0.1:1\n" );
    ok !eval { $httpd->start; 1 }, 'httpd does not start';
    like $httpd->take_log(qr/FO0023/), qr/:emerg\] .*FO0023: \S+httpd[.]conf:\d+: FailoverEventLog missing\/events cannot be opened/, 'with the line';
    $httpd->allow_log(qr/AH00020/);
    $httpd->done;
};

done_testing;
