# The error log is an interface: people watch it. Each line is here as it stands there, from its level
# to its end.
use v5.36;
use Test::More;
use Failover::Httpd;
use Failover::Peer;
use Failover::Seen;
use Failover::States qw(under_each_mpm quick);
use Failover::Wait;

my $PID = qr/\(Process ID: (\d+)\)/;

under_each_mpm 'an outage and its end', sub ($mpm) {
    my $peer  = Failover::Peer->new( mode => 'refuse' );
    my $at    = $peer->address;
    my $httpd = Failover::Httpd->new( mpm => $mpm, config => quick() . <<~"CONF" . shows_states(qw(replica named)) )->start;
        FailoverOutageLoggingFrequency 1s
        FailoverService replica tcp://$at
        <FailoverService named>
            FailoverEndpoint east tcp://$at
            FailoverOutageLoggingFrequency 1h
        </FailoverService>
        CONF
    my $began = now();
    wait_for_states( $httpd, 'down down' );
    my ($child) = $httpd->children;
    my $line  = $httpd->take_log(qr/FO0001: replica/);
    is body( 'crit', $line ), "FO0001: replica outage. Failover initiated. (Process ID: $child) endpoint $at: connect: Connection refused", 'the outage';
    is body( 'crit', $httpd->take_log(qr/FO0001: named/) ),
        "FO0001: named outage. Failover initiated. (Process ID: $child) endpoint east: connect: Connection refused", 'an endpoint that has a name';

    # Again once per span, with how long it has lasted.
    my @again;
    wait_for( sub { $httpd->get('/'); ( @again = said( $httpd, 'FO0002' ) ) >= 2 }, 'the outage to be logged twice more' );
    between( now() - $began, 2, 3.5, 'once a second' );
    is body( 'crit', $again[$_] ) =~ s/since 1\d\d\dms$/since 1s/r =~ s/since 2\d\d\dms$/since 2s/r,
        "FO0002: replica outage. Failover initiated. (Process ID: $child) endpoint $at: connect: Connection refused, since @{[ $_ + 1 ]}s", 'it lasts'
        for 0, 1;
    $httpd->take_log(qr/FO0002: replica/) for @again;
    is scalar( said( $httpd, 'FO0001' ) ), 2, 'the first line comes once';

    # And the reason is today's, not the first one's.
    $peer->mode('close');
    like body( 'crit', $httpd->take_log(qr/^(?!.*refused).*FO0002: replica/) || '' ), qr/ endpoint \Q$at\E: answer: closed at once, since \S+$/, 'with the last reason'
        if wait_for( sub { $httpd->get('/'); grep { !/refused/ } said( $httpd, 'FO0002' ) }, 'the new reason' );

    $peer->mode('mute');
    wait_for_states( $httpd, 'up up' );
    like body( 'notice', $httpd->take_log(qr/FO0003: replica/) ), qr/^FO0003: replica is back up[.] Recovery complete[.] \(Process ID: $child\) after \d+m?s$/, 'the recovery';
    $httpd->allow_log(qr/FO0002: replica/);    # one more may have come before

    # A new outage is told as such.
    $peer->mode('refuse');
    wait_for_states( $httpd, 'down down' );
    like $httpd->take_log(qr/FO000[12]: replica outage[.] .*refused$/), qr/FO0001/, 'the next outage begins anew';
    $httpd->take_log(qr/FO0001: named/);
    $httpd->done;
};

# How spans print: 100ms, 3s, 42s, 2h.
subtest 'spans' => sub {
    my $peer  = Failover::Peer->new( mode => 'refuse' );
    my $httpd = Failover::Httpd->new( config => quick() . "FailoverService db tcp://@{[ $peer->address ]}\n" . shows_states('db') )->start;
    wait_for_states( $httpd, 'down' );
    my $began = now();
    $httpd->take_log(qr/FO0001/);
    wait_for( sub { $httpd->get('/'); now() - $began > 3 }, 'three seconds' );
    $peer->mode('mute');
    wait_for_states( $httpd, 'up' );
    my $lasted = now() - $began;
    my ($span) = $httpd->take_log(qr/FO0003/) =~ / after (\S+)$/;
    like $span, qr/^(?:\d+s|\d{4}ms)$/, "some 3 s print as $span";
    between( $span =~ /(\d+)ms/ ? $1 / 1000 : $span =~ s/s//r, int $lasted - 0.5, $lasted, 'which is how long it lasted' );
    $httpd->done;
};

# Logged at crit and notice, so that they reach a file whatever LogLevel says.
subtest 'LogLevel' => sub {
    my $peer  = Failover::Peer->new( mode => 'refuse' );
    my $httpd = Failover::Httpd->new( config => quick() . "FailoverService db tcp://@{[ $peer->address ]}\nLogLevel crit\n" . shows_states('db') );
    $httpd->config( quick() . "FailoverService db tcp://@{[ $peer->address ]}\nLogLevel notice failover:crit\n" . shows_states('db') );
    $httpd->start;
    wait_for_states( $httpd, 'down' );
    $peer->mode('mute');
    wait_for_states( $httpd, 'up' );
    like $httpd->take_log(qr/FO0001/), qr/:crit\]/, 'the outage at LogLevel crit';
    like $httpd->take_log(qr/FO0003/), qr/:notice\]/, 'the recovery as well';
    $httpd->done;
};

# Every child tells what it found, under its own number.
subtest 'each child' => sub {
    my $peer  = Failover::Peer->new( mode => 'refuse' );
    my $httpd = Failover::Httpd->new( mpm => 'prefork', children => 3, config => quick() . "FailoverService db tcp://@{[ $peer->address ]}\n" )->start;
    my %seen;
    wait_for( sub {
        $httpd->get('/');
        %seen = map { /FO0001: db outage.*$PID/ ? ( $1 => 1 ) : () } split /\n/, $httpd->error_log;
        return keys %seen == 3;
    }, 'the lines of three children' );
    is_deeply [ sort keys %seen ], [ sort $httpd->children ], 'their process IDs';
    $httpd->take_log(qr/FO0001/) for 1 .. 3;
    $httpd->done('one line of each');
};

# Only the words differ, and nothing else happens.
under_each_mpm 'observing', sub ($mpm) {
    my $peer  = Failover::Peer->new( mode => 'refuse' );
    my $at    = $peer->address;
    my $httpd = Failover::Httpd->new( mpm => $mpm, modules => [qw(cgi env headers rewrite)], config => quick() . <<~"CONF" . shows_states(qw(db acts)) );
        FailoverOutageLoggingFrequency 1s
        SetEnv DB_HOST db1
        SetEnv DB_OLD  old
        <FailoverService db>
            FailoverEndpoint main tcp://$at
            FailoverMode     observe
            FailoverSetEnv   DB_HOST spare
            FailoverUnsetEnv DB_OLD
            FailoverNote     db down
        </FailoverService>
        FailoverService acts tcp://$at ACTS=1
        Header always set X-State "expr=%{failover:db} %{failover:db.endpoint} %{failover:acts}"
        <If "failover('db') != 'up'">
            Header always set X-If down
        </If>
        RewriteEngine On
        RewriteCond expr "failover('db') == 'down'"
        RewriteRule ^ - [F]
        LogFormat "%q db=%{db}n state=%{failover:db}n endpoint=%{failover:db:endpoint}n truth=%{db}^fo" notes
        CustomLog logs/notes notes
        CONF
    $httpd->start;
    wait_for_states( $httpd, 'down down' );
    my ($child) = $httpd->children;
    is body( 'crit', $httpd->take_log(qr/FO0001: db/) ), "FO0001: db outage. Observing only. (Process ID: $child) endpoint main: connect: Connection refused", 'the outage';
    like body( 'crit', $httpd->take_log(qr/FO0001: acts/) ), qr/Failover initiated/, 'another service acts';
    my $answer = $httpd->get('/cgi-bin/env');
    my $env    = $answer->env;
    is $answer->status, 200, 'a rewrite rule';
    is $env->{DB_HOST}, 'db1', 'the variable';
    is $env->{DB_OLD},  'old', 'the variable to be unset';
    is_deeply [ sort grep { /^FAILOVER_/ } keys %$env ], [qw(FAILOVER_ACTS FAILOVER_ACTS_ENDPOINT FAILOVER_ACTS_EPOCH)], 'the FAILOVER_ variables';
    is $answer->header('X-State'), "up main down", 'the expressions';
    is $answer->header('X-If'), undef, 'If';
    like $httpd->logged( '/', 'notes' ), qr/ db=- state=- endpoint=- truth=down$/, 'the notes; the log format tells the truth';
    like body( 'crit', wait_and_take( $httpd, qr/FO0002: db/ ) ), qr/^FO0002: db outage[.] Observing only[.] \(Process ID: $child\) endpoint main: connect: Connection refused, since \S+$/, 'it lasts';
    $peer->mode('mute');
    wait_for_states( $httpd, 'up up' );
    like body( 'notice', $httpd->take_log(qr/FO0003: db/) ), qr/^FO0003: db is back up[.] Recovery complete[.] \(Process ID: $child\) after \d+m?s$/, 'the recovery';
    $httpd->allow_log(qr/FO0002: acts|FO0002: db/);
    $httpd->done;
};

# To the host's own log, under the full name; the server's services to the server's log.
under_each_mpm 'virtual hosts', sub ($mpm) {
    my $peer  = Failover::Peer->new( mode => 'refuse' );
    my $at    = $peer->address;
    my $httpd = Failover::Httpd->new( mpm => $mpm, config => quick() . <<~"CONF" );
        FailoverOutageLoggingFrequency 1s
        FailoverService cache tcp://$at
        <VirtualHost 127.0.0.1:\@PORT\@>
            ServerName www.example.com
        </VirtualHost>
        <VirtualHost 127.0.0.1:\@PORT\@>
            ServerName shop.example.com
            ErrorLog logs/shop_error_log
            FailoverService db tcp://$at
        </VirtualHost>
        CONF
    $httpd->start;
    my $shop = $httpd->vhost_error_log('shop_error_log');
    wait_for( sub { $httpd->get( '/', host => 'shop.example.com' ); $shop->text =~ /FO0002/ && $httpd->error_log =~ /FO0002/ }, 'the outages' );
    my ($child) = $httpd->children;
    my $name = 'db@shop.example.com:' . $httpd->port;
    is body( 'crit', $shop->take(qr/FO0001/) ), "FO0001: $name outage. Failover initiated. (Process ID: $child) endpoint $at: connect: Connection refused", "the host's log";
    is body( 'crit', $httpd->take_log(qr/FO0001/) ), "FO0001: cache outage. Failover initiated. (Process ID: $child) endpoint $at: connect: Connection refused", "the server's log";
    $peer->mode('mute');
    wait_for( sub { $httpd->get( '/', host => 'shop.example.com' ); $shop->text =~ /FO0003/ && $httpd->error_log =~ /FO0003/ }, 'the recoveries' );
    like body( 'notice', $shop->take(qr/FO0003/) ), qr/^FO0003: \Q$name\E is back up[.] Recovery complete[.] \(Process ID: $child\) after \d+m?s$/, 'the recovery as well';
    like body( 'crit', $shop->take(qr/FO0002/) ), qr/^FO0002: \Q$name\E outage[.] .*, since \d+m?s$/, 'and that it lasts';
    unlike $shop->text,       qr/FO\d+: cache/, "nothing of the server's services there";
    unlike $httpd->error_log, qr/FO\d+: db/,    "nothing of the host's here";
    for ( $shop, $httpd ) { $_->can('allow_log') ? $_->allow_log(qr/FO0002/) : $_->allow(qr/FO0002/) }
    $httpd->done;
};

# A tag stands for one message, in the source's one catalogue.
subtest 'tags' => sub {
    my %count;
    for my $file ( glob 'src/*/*.c mod_failover.c' ) {
        open my $source, '<', $file or die "$file: $!\n";
        while (<$source>) { $count{$1}{$file}++ while /"(FO\d{4}): /g }
    }
    cmp_ok scalar keys %count, '>=', 13, 'the tags are found';
    is_deeply [ grep { keys $count{$_}->%* != 1 || ( values $count{$_}->%* )[0] != 1 } sort keys %count ], [], 'each is given once';
    is_deeply [ grep { !$count{$_}{'src/httpd/httpd_log.c'} } sort keys %count ], [], 'all in one file';
};

done_testing;

# ---------------------------------------------------------------- helpers

# What stands behind the time, the level and the process of a line of this level.
sub body ( $level, $line ) {
    return "not of level $level: $line" if $line !~ s/^\[[^\]]+\] \[failover:$level\] \[pid \d+(?::tid \d+)?\] //;
    return $line;
}

sub wait_and_take ( $httpd, $pattern ) {
    wait_for( sub { $httpd->get('/'); $httpd->error_log =~ $pattern }, "the line $pattern" );
    return $httpd->take_log($pattern);
}
