# A real RabbitMQ: killed, stopped, full, with accounts and certificates that are not what they
# should be; what it logs of a ping; and Celery's broker. One node for all.
use v5.36;
use Test::More;
use Failover::Certificates;
use Failover::File;
use Failover::Httpd;
use Failover::Peer;
use Failover::Seen;
use Failover::Server::RabbitMQ;
use Failover::States qw(under_each_mpm quick);
use Failover::Wait;
use Time::HiRes ();

my $SECRET = 'Geheim7';
my $began  = now();
my $mq     = Failover::Server::RabbitMQ->new->start;
note sprintf 'the broker started in %.1f s', now() - $began;
$mq->add_vhost('shop');
$mq->add_user( monitor => $SECRET, 'shop', '/' );
$mq->add_user( other   => $SECRET );
my $at = $mq->address;

# Three lines of information per ping, and nothing else.
under_each_mpm 'what the broker logs', sub ($mpm) {
    my $tls   = Failover::Certificates->new;
    my $port  = listen_tls( $tls->signed('DNS:localhost') );
    my $httpd = start_httpd( $mpm, [ 'plain', 'root', 'tls' ], often(), <<~"CONF" );
        FailoverService plain amqp://monitor\@$at/shop @{[ password() ]}
        FailoverService root amqp://monitor\@$at @{[ password() ]}
        FailoverService tls amqps://monitor\@localhost:$port/shop @{[ password() ]} ca=@{[ $tls->ca ]}
        CONF
    wait_for_states( $httpd, 'up up up' );
    my $before = length $mq->log_text;
    wait_for( sub { $httpd->get('/'); 60 <= ( () = substr( $mq->log_text, $before ) =~ /granted access/g ) }, '20 pings of each' );
    is states($httpd), 'up up up', 'up';
    $httpd->done;
    wait_for( sub { my $log = substr $mq->log_text, $before; $log =~ /closing AMQP connection.*\n\z/ }, 'the last goodbye' );
    my %kind;
    for my $line ( split /\n/, substr $mq->log_text, $before ) {
        my ($kind) = $line =~ /\[info\] <\S+> (accepting AMQP connection|closing AMQP connection|connection .* authenticated and granted access to vhost)/;
        $kind{ ( $kind // $line ) =~ s/connection \K.*(?= authenticated)//r }++;
    }
    is scalar keys %kind, 3, 'three kinds of lines' or diag explain \%kind;
};

under_each_mpm 'killed and stopped', sub ($mpm) {
    my $httpd = start_httpd( $mpm, ['mq'], quick(), <<~"CONF" );
        SetEnv MQ_HOST mq1
        FailoverService mq amqp://monitor\@$at/shop @{[ password() ]} MQ_HOST=spare
        CONF
    wait_for_states( $httpd, 'up' );
    my $warnings = warnings();
    $mq->pause;
    my $began = now();
    my $slow  = 0;
    wait_for( sub { my $asked = now(); my $state = states($httpd); $slow = now() - $asked if now() - $asked > $slow; $state eq 'down' }, 'the outage' );
    note sprintf 'the request took %.0f ms', 1000 * $slow;
    between( $slow, 0.19, 0.26, 'the request that found out waited for the time-out and no longer' );
    outage_is( $httpd, 'mq', $at, 'login: timed out after 200ms', 'SIGSTOP' );
    is $httpd->body('/cgi-bin/value?MQ_HOST'), 'spare', 'the variable is switched';
    Time::HiRes::sleep(0.5);    # some more pings for its queue
    $mq->resume;
    wait_for_states( $httpd, 'up' );
    recovery_is( $httpd, 'mq', $began );
    cmp_ok warnings() - $warnings, '<=', 2, 'the broker complains of one ping at most: of one that it was in the middle of';

    $mq->crash;
    $began = now();
    wait_for_states( $httpd, 'down' );
    outage_is( $httpd, 'mq', $at, 'connect: Connection refused', 'kill -9' );
    $mq->start;
    wait_for_states( $httpd, 'up' );
    recovery_is( $httpd, 'mq', $began );
    is $httpd->body('/cgi-bin/value?MQ_HOST'), 'mq1', 'the variable is what it was';
    $httpd->done;
    $mq->allow_log(qr/closing AMQP connection|client unexpectedly closed/);
};

# What is wrong with the account is no outage; what the application meets as well is one.
under_each_mpm 'accounts', sub ($mpm) {
    my @case = (
        # name      URL                                 password   FO0004's words, or FO0001's
        [ wrong   => "amqp://monitor\@$at/shop",         'wrong',   '403', 'ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.' ],
        [ nobody  => "amqp://nobody\@$at/shop",          'secret',  '403', 'ACCESS_REFUSED - Login was refused' ],
        [ other   => "amqp://other\@$at/shop",           'secret',  '530', "NOT_ALLOWED - access to vhost 'shop' refused for user 'other'" ],
        [ slashes => "amqp://monitor\@$at/%2f",          'secret',  undef ],
        [ missing => "amqp://monitor\@$at/shop/eu",      'secret',  undef, 'ask: NOT_ALLOWED - vhost shop/eu not found' ],
        [ nottls  => "amqps://monitor\@$at/shop",        'secret',  undef, 'tls: the server speaks no TLS here' ],
    );
    my $config = join '', map {"FailoverService $_->[0] $_->[1] @{[ password( $_->[2] ) ]}\n"} @case;
    my $httpd  = start_httpd( $mpm, [ map { $_->[0] } @case ], slowly(), $config );
    wait_for_states( $httpd, 'up up up up down down' );
    wait_for( sub { $httpd->get('/'); said( $httpd, 'FO0004' ) >= 3 }, 'all warnings' );
    for my $case (@case) {
        my ( $name, undef, undef, $code, $words ) = @$case;
        if ($code) {
            like $httpd->take_log(qr/FO0004: $name: /), qr/login refused \($code\): the server is alive, .*endpoint \Q$at\E: \Q$words\E/, "$name: $code";
        }
        elsif ($words) { outage_is( $httpd, $name, $at, $words ) }
    }
    unlike $httpd->error_log . ( $httpd->configtest( '-D', 'DUMP_FAILOVER' ) )[1], qr/$SECRET/, 'the password is nowhere';
    $httpd->done;
    $mq->allow_log(qr/Error on AMQP connection|login refused: user|access to vhost .* refused|vhost shop\/eu not found|bad_header|handshake_error/);
};

# Full: the clients that are in go on working, so it is no outage unless told so.
under_each_mpm 'limits', sub ($mpm) {
    my $url   = "amqp://monitor\@$at/shop @{[ password() ]}";
    my $httpd = start_httpd( $mpm, [qw(keep fail early)], quick(), <<~"CONF" );
        FailoverService keep $url busy=keep
        FailoverService fail $url busy=fail
        FailoverService early $url
        CONF
    wait_for_states( $httpd, 'up up up' );
    for my $limit ( [ limit_user => 'monitor', 'connection refused for user .monitor.: user connection limit' ],
        [ limit_vhost => 'shop', 'access to vhost .shop. refused for user .monitor.: connection limit' ] ) {
        my ( $method, $who, $words ) = @$limit;
        $mq->$method( $who, 0 );
        wait_for_states( $httpd, 'up down up' );
        outage_is( $httpd, 'fail', $at, qr/ask: NOT_ALLOWED - $words \(0\) is reached/, $method );
        $mq->$method( $who, undef );
        wait_for_states( $httpd, 'up up up' );
        $httpd->take_log(qr/FO0003: fail is back up/);
    }
    $httpd->done;
    $mq->allow_log(qr/connection limit \(0\) is reached/);
};

under_each_mpm 'certificates', sub ($mpm) {
    my $tls  = Failover::Certificates->new;
    my $ca   = 'ca=' . $tls->ca;
    my %at   = (
        good    => listen_tls( $tls->signed('DNS:localhost,IP:127.0.0.1') ),
        other   => listen_tls( $tls->signed('DNS:mq.example.com,IP:192.0.2.1') ),
        expired => listen_tls( $tls->expired('DNS:localhost') ),
        own     => listen_tls( $tls->self_signed('DNS:localhost') ),
        mutual  => listen_tls( $tls->signed('DNS:localhost'), cacertfile => $tls->ca, verify => 'verify_peer', fail_if_no_peer_cert => 'true' ),
    );
    my ( $cert, $key ) = $tls->signed('DNS:client');
    my @case = (
        # name         host         listener  options                       state or the outage's words
        [ name      => 'localhost', 'good',    $ca,                          'up' ],
        [ address   => '127.0.0.1', 'good',    $ca,                          'up' ],
        [ folder    => 'localhost', 'good',    'ca-path=' . $tls->ca_folder, 'up' ],
        [ system    => 'localhost', 'good',    '',                           'tls: unable to get local issuer certificate' ],
        [ hostname  => 'localhost', 'other',   $ca,                          'tls: hostname mismatch' ],
        [ wrongip   => '127.0.0.1', 'other',   $ca,                          'tls: IP address mismatch' ],
        [ expired   => 'localhost', 'expired', $ca,                          'tls: certificate has expired' ],
        [ own       => 'localhost', 'own',     $ca,                          'tls: self-signed certificate' ],
        [ off       => 'localhost', 'own',     'verify=off',                 'up' ],
        [ nocert    => 'localhost', 'mutual',  $ca,                          'tls: the server demands a client certificate' ],
        [ mutual    => 'localhost', 'mutual',  "$ca cert=$cert key=$key",    'up' ],
    );
    my $config = join '', map {"FailoverService $_->[0] amqps://monitor\@$_->[1]:$at{ $_->[2] }/shop @{[ password() ]} $_->[3]\n"} @case;
    my $httpd  = start_httpd( $mpm, [ map { $_->[0] } @case ], slowly(), $config );
    wait_for_states( $httpd, join ' ', map { $_->[4] eq 'up' ? 'up' : 'down' } @case );
    for my $case (@case) {
        my ( $name, $host, $listener, undef, $words ) = @$case;
        outage_is( $httpd, $name, "$host:$at{$listener}", $words ) if $words ne 'up';
    }
    $httpd->done;
};

# The files are read with the configuration; the old generation's contexts go with it. Then it stops
# while a broker hangs in each stage that waits for one.
under_each_mpm 'a graceful restart, and a stop in the middle', sub ($mpm) {
    my ( $old, $new ) = map { Failover::Certificates->new } 1 .. 2;
    my $port  = listen_tls( $new->signed('DNS:localhost') );
    my $httpd = start_httpd( $mpm, [qw(tls plain)], slowly(), <<~"CONF", sub ($httpd) { $httpd->file( 'ca.crt', slurp( $old->ca ) ) } );
        FailoverService tls amqps://monitor\@localhost:$port/shop @{[ password() ]} ca=\@DIR\@/ca.crt
        FailoverService plain amqp://monitor\@$at/shop @{[ password() ]}
        CONF
    wait_for_states( $httpd, 'down up' );
    outage_is( $httpd, 'tls', "localhost:$port", qr/tls: (?:unable to get local issuer certificate|certificate signature failure)/ );
    $httpd->file( 'ca.crt', slurp( $new->ca ) );
    $httpd->graceful for 1 .. 3;
    wait_for_states( $httpd, 'up up' );
    $mq->pause;
    wait_for_states( $httpd, 'down down' );
    $httpd->take_log(qr/FO0001/) for 1 .. 2;
    $httpd->get('/');
    cmp_ok $httpd->stop, '<', 3, 'it stops';
    $mq->resume;
    unlike $httpd->error_log, qr/exit signal/, 'and nothing crashed';
    $httpd->done;
};

under_each_mpm 'FailoverCelery', sub ($mpm) {
    my $peer  = Failover::Peer->new;
    my $httpd = start_httpd( $mpm, [qw(bare broker last)], quick(), <<~"CONF" );
        SetEnv CELERY_ALWAYS_EAGER False
        FailoverCelery bare tcp://@{[ $peer->address ]}
        FailoverCelery broker amqp://monitor\@$at/shop @{[ password() ]} busy=fail setting=TASKS_EAGER
        FailoverCelery last tcp://@{[ $peer->address ]} setting=LAST_EAGER LAST_EAGER=yes OTHER=x
        CONF
    my $values = sub { join ' ', map { $httpd->body("/cgi-bin/value?$_") } qw(CELERY_ALWAYS_EAGER TASKS_EAGER LAST_EAGER OTHER) };
    wait_for_states( $httpd, 'up up up' );
    is $values->(), 'False (absent) (absent) (absent)', 'up';
    $peer->mode('refuse');
    $mq->limit_user( monitor => 0 );
    wait_for_states( $httpd, 'down down down' );
    is $values->(), 'True True yes x', 'down';
    $peer->mode('mute');
    $mq->limit_user( monitor => undef );
    wait_for_states( $httpd, 'up up up' );
    is $values->(), 'False (absent) (absent) (absent)', 'up again';
    $httpd->take_log($_) for ( qr/FO0001/, qr/FO0003/ ) x 3;
    $httpd->done;
};

# A ping whose time was up before the broker came to look at its connection.
$mq->allow_log(qr/\[error\] <[\d.]+> \{inet_error,closed\}/);
$mq->done;
undef $mq;
done_testing;

# ---------------------------------------------------------------- helpers

sub start_httpd ( $mpm, $names, $policy, $services, $prepare = sub { } ) {
    my $httpd = Failover::Httpd->new( mpm => $mpm, modules => [qw(cgi env)], config => $policy . $services . shows_states(@$names) );
    $httpd->file( 'secret', "$SECRET\n", 0400 );
    $httpd->file( 'wrong',  "wrong\n",   0400 );
    $prepare->($httpd);
    $httpd->allow_log(qr/FO0009: .*(?: a ping may take|: off: verify=off: whoever answers there)/);
    return $httpd->start;
}

sub password ( $name = 'secret' ) { return "password=file:\@DIR\@/$name" }

# For few services and many pings.
sub often () { return quick() =~ s/Frequency\s+\K200ms/20ms/gr }

# For many services at a time on few workers.
sub slowly () { return quick() =~ s/200ms/500ms/gr }

sub listen_tls ( $cert, $key, %option ) {
    return $mq->listen_tls( certfile => $cert, keyfile => $key, %option );
}

sub warnings () { return scalar( () = $mq->log_text =~ /\[warning\].*(?:closing AMQP|unexpectedly)/g ) }
