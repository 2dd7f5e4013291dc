# Services on one variable, the server's and a virtual host's services, and inherited policy.
use v5.36;
use Test::More;
use Failover::Httpd;
use Failover::Peer;
use Failover::States qw(under_each_mpm quick);
use Failover::Wait;

# ---------------------------------------------------------------- layers

# What each service does to two variables; undef is absent.
my @LAYER = (
    {   settings => [ 'FailoverSetEnv X a', 'FailoverUnsetEnv Y' ],
        x => sub ($x) {'a'}, y => sub ($y) {undef} },
    {   settings => [ 'FailoverSetEnv X %{reqenv:X}b', 'FailoverSetEnv Y b' ],
        x => sub ($x) { $x . 'b' }, y => sub ($y) {'b'} },
    {   settings => [ 'FailoverSetEnv X %{reqenv:X}c', 'FailoverAlias Y Z' ],
        x => sub ($x) { $x . 'c' }, y => sub ($y) { defined $y ? 'z' : undef } },
);

under_each_mpm 'two services on one variable', sub ($mpm) { every_order( $mpm, 2 ) };
subtest 'three services on one variable', sub { every_order( 'event', 3 ) };

# ---------------------------------------------------------------- virtual hosts

under_each_mpm 'a virtual host\'s service', sub ($mpm) {
    my ( $servers, $shops ) = map { Failover::Peer->new( mode => 'close' ) } 1 .. 2;
    my $port  = '127.0.0.1:@PORT@';
    my $httpd = Failover::Httpd->new( mpm => $mpm, modules => [qw(cgi env headers)], config => quick() . <<~"CONF" )->start;
        SetEnv DB_HOST db1
        SetEnv OWN     own
        Header always set X-Db "expr=%{failover:db}"
        <FailoverService db>
            FailoverEndpoint main tcp://@{[ $servers->address ]}
            FailoverSetEnv   DB_HOST server
            FailoverSetEnv   OWN     server
        </FailoverService>
        <VirtualHost $port>
            ServerName www
        </VirtualHost>
        <VirtualHost $port>
            ServerName shop
            FailoverService DB tcp://@{[ $shops->address ]} DB_HOST=shop
        </VirtualHost>
        CONF
    my %shows = (    # host => DB_HOST, OWN and the state, by (server's, shop's)
        www  => { 'up up' => 'db1 own up', 'down up' => 'server server down', 'up down' => 'db1 own up', 'down down' => 'server server down' },
        shop => { 'up up' => 'db1 own up', 'down up' => 'db1 own up', 'up down' => 'shop own down', 'down down' => 'shop own down' },
    );
    for my $state ( 'up up', 'down up', 'down down', 'up down', 'up up' ) {
        my ( $server, $shop ) = split ' ', $state;
        $servers->mode( $server eq 'up' ? 'mute' : 'close' );
        $shops->mode( $shop eq 'up' ? 'mute' : 'close' );
        for my $host (qw(www shop)) {
            wait_for( sub { seen_by( $httpd, $host ) eq $shows{$host}{$state} }, "$host when they are $state" );
            pass "$host when they are $state: $shows{$host}{$state}";
        }
    }
    # Pinged by the requests to whom they apply alone.
    for my $case ( [ www => $servers, $shops ], [ shop => $shops, $servers ] ) {
        my ( $host, $mine, $other ) = @$case;
        my ( $before, $others ) = map { $_->connections } $mine, $other;
        wait_for( sub { seen_by( $httpd, $host ); $mine->connections >= $before + 3 }, "three pings by $host" );
        cmp_ok $other->connections, '<=', $others + 1, "$host does not ping the other one";
    }
    $httpd->allow_log(qr/FO0001: (?:db|DB\@shop:\d+) outage/);
    $httpd->done;
};

# ---------------------------------------------------------------- policy

subtest 'policy is inherited' => sub {
    my $httpd = Failover::Httpd->new( config => <<~'CONF' );
        FailoverService plain tcp://h:1
        <VirtualHost 127.0.0.1:81>
            ServerName www
            FailoverService plain tcp://h:2
            <FailoverService own>
                FailoverEndpoint main tcp://h:3
                FailoverMonitoringPingFrequency 11s
                FailoverThresholds cap=41s
                FailoverMode enforce
                FailoverPingTimeout 4s 3s
            </FailoverService>
            FailoverOutagePingFrequency 21s
            FailoverThresholds rise=3
            FailoverPingTimeout 2s
        </VirtualHost>
        <VirtualHost 127.0.0.1:82>
            ServerName bare
            FailoverService plain tcp://h:4
        </VirtualHost>
        FailoverMonitoringPingFrequency 10s
        FailoverErrorPingFrequency 30s
        FailoverThresholds fall=2 cap=40s
        FailoverSpread 50
        FailoverMode observe
        FailoverPingTimeout 500ms
        CONF
    is policy( $httpd, 'plain' ),         'timeout 500ms, down 500ms; up 10s, down 30s, error 30s; fall=2 rise=1 confirm=1s cap=40s spread 50%, observe', 'built in and server';
    is policy( $httpd, 'plain@www:81' ),  'timeout 2s, down 500ms; up 10s, down 21s, error 30s; fall=2 rise=3 confirm=1s cap=40s spread 50%, observe', 'virtual host';
    is policy( $httpd, 'own@www:81' ),    'timeout 4s, down 3s; up 11s, down 21s, error 30s; fall=2 rise=3 confirm=1s cap=41s spread 50%, enforce', 'service';
    is policy( $httpd, 'plain@bare:82' ), 'timeout 500ms, down 500ms; up 10s, down 30s, error 30s; fall=2 rise=1 confirm=1s cap=40s spread 50%, observe', 'a virtual host that says nothing';

    $httpd->config("FailoverService plain tcp://h:1\n");
    is policy( $httpd, 'plain' ), 'timeout 3s, down 1s; up 2m, down 30s, error 5s; fall=1 rise=1 confirm=1s cap=10s spread 5%, enforce', 'built in';
    $httpd->config("FailoverPingTimeout 1s\nFailoverService plain tcp://h:1\n");
    like policy( $httpd, 'plain' ), qr/^timeout 1s, down 1s;/, 'a timeout that is no less than the built-in DOWN';
};

done_testing;

# ---------------------------------------------------------------- helpers

# Every order in which these services fall, and come back.
sub every_order ( $mpm, $count ) {
    my @peer    = map { Failover::Peer->new } 1 .. $count;
    my $address = sub ($i) { $peer[$i]->address };
    my $httpd   = Failover::Httpd->new( mpm => $mpm, modules => [qw(cgi env setenvif)], config => quick() . <<~"CONF" . join '', map { layer( $_, $peer[$_] ) } 0 .. $count - 1 )->start;
        FailoverMonitoringPingFrequency 60ms
        FailoverOutagePingFrequency     60ms
        FailoverPingTimeout             60ms
        SetEnvIf Request_Method . X=o Y=p
        SetEnv Z z
        CONF
    my @down = (0) x $count;
    my @order = permutations( 0 .. $count - 1 );
    for my $falls (@order) {
        for my $returns (@order) {
            for my $step ( ( map { [ $_, 1 ] } @$falls ), map { [ $_, 0 ] } @$returns ) {
                my ( $i, $is_down ) = @$step;
                $down[$i] = $is_down;
                $peer[$i]->mode( $is_down ? 'refuse' : 'mute' );
                reaches( $httpd, \@down, "falls @$falls, returns @$returns" ) or return;
            }
        }
    }
    pass scalar(@order) . ' orders of outage, as many of recovery';
    $httpd->allow_log(qr/FO0001: s\d outage/);
    return $httpd->done;
}

sub layer ( $i, $peer ) {
    return join "\n", "<FailoverService s$i>", 'FailoverEndpoint main tcp://' . $peer->address, $LAYER[$i]{settings}->@*, "</FailoverService>\n";
}

# Waits until a request sees exactly these as down, and judges what it saw of the variables.
sub reaches ( $httpd, $down, $when ) {
    my $env;
    wait_for( sub {
        $env = $httpd->get('/cgi-bin/env')->env;
        return !grep { ( exists $env->{"FAILOVER_S$_"} ? 1 : 0 ) != $down->[$_] } 0 .. $#$down;
    }, "the states @$down" );
    my ( $x, $y ) = ( 'o', 'p' );
    ( $x, $y ) = ( $LAYER[$_]{x}->($x), $LAYER[$_]{y}->($y) ) for grep { $down->[$_] } 0 .. $#$down;
    my $got      = join ' ', map { $_ // '(absent)' } @$env{qw(X Y)};
    my $expected = join ' ', map { $_ // '(absent)' } $x, $y;
    return 1 if $got eq $expected;
    return is $got, $expected, "@$down; $when";
}

sub permutations (@items) {
    return [@items] if @items <= 1;
    return map { my $i = $_; map { [ $items[$i], @$_ ] } permutations( @items[ grep { $_ != $i } 0 .. $#items ] ) } 0 .. $#items;
}

sub seen_by ( $httpd, $host ) {
    my $answer = $httpd->get( '/cgi-bin/env', host => $host );
    return join ' ', @{ $answer->env }{qw(DB_HOST OWN)}, $answer->header('X-Db');
}

# A service's numbers as the dump shows them.
sub policy ( $httpd, $name ) {
    my ( undef, $output ) = $httpd->configtest( '-D', 'DUMP_FAILOVER' );
    my ($part) = $output =~ /^\Q$name\E\n((?: .*\n)+)/m or return "no $name in $output";
    my ($timeout) = $part =~ /(timeout .*?), busy/;
    my ($spans)   = $part =~ /policy +(up .*?), logged/;
    my ($rest)    = $part =~ /(fall=.*)/;
    return join '; ', $timeout, $spans, $rest;
}
