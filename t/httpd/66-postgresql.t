# A real PostgreSQL: killed, stopped, full, starting up, in recovery, with accounts and certificates
# that are not what they should be; and what it logs of a ping.
use v5.36;
use Test::More;
use Failover::Certificates;
use Failover::File;
use Failover::Httpd;
use Failover::Process;
use Failover::Seen;
use Failover::Server::PostgreSQL;
use Failover::States qw(under_each_mpm quick);
use Failover::Wait;
use Time::HiRes ();

my $SECRET = q{Geheim '7\\};
my $db     = Failover::Server::PostgreSQL->new->start;
my $at     = $db->address;
$db->create_user( monitor => $SECRET =~ s/'/''/gr );
$db->create_user('trusted');
$db->sql('CREATE DATABASE shop');
my @HBA = ( 'host all trusted all trust', 'host all monitor,nobody all scram-sha-256' );
$db->hba(@HBA);

# Nothing: not of a login, nor of one that is left when the server asks for a password.
under_each_mpm 'what the server logs', sub ($mpm) {
    my $tls = Failover::Certificates->new;
    use_certificate( $tls->signed('DNS:localhost') );
    my $trusted = "postgresql://trusted\@$at";
    my @case    = (
        [ scram  => "postgresql://monitor\@$at/shop", password() ],
        [ none   => "postgresql://monitor\@$at/shop", '' ],
        [ nobody => "postgresql://nobody\@$at/none", '' ],
        [ trust  => "$trusted/shop", '' ],
        [ tls    => 'postgresql://monitor@localhost:' . $db->port . '/shop', password(), 'tls=on ca=' . $tls->ca ],
        [ local  => 'postgresql://monitor@localhost:' . $db->port, password(), 'socket=' . $db->dir ],
        [ role   => $trusted, 'role=primary' ],
    );
    my $httpd = start_httpd( $mpm, \@case, often() );
    wait_for_states( $httpd, join ' ', ('up') x @case );
    my $before   = length $db->log_text;
    my $sessions = sessions('shop');
    wait_for( sub { $httpd->get('/'); sessions('shop') >= $sessions + 60 }, '20 pings of each', 30 );
    is states($httpd), join( ' ', ('up') x @case ), 'up';
    like $httpd->take_log(qr/FO0004: $_: /), qr/the server asks for a password: name it with password=$/, "$_: said" for qw(none nobody);
    $httpd->done;
    is substr( $db->log_text, $before ), '', 'nothing in its log';
    $db->set( ssl => 'off' );
};

under_each_mpm 'killed and stopped', sub ($mpm) {
    my $httpd = start_httpd( $mpm, [ [ db => "postgresql://monitor\@$at/shop", password(), 'DB_HOST=spare' ] ], "SetEnv DB_HOST db1\n" . unhurried() );
    stopped( $httpd, $at, sub ($log) { is $log, '', 'nothing in its log of those that gave up' } );
    killed( $httpd, $at );
    $httpd->done;
};

# Who gave up has gone from a socket file, which the server finds out when it answers.
under_each_mpm 'killed and stopped, by a socket file', sub ($mpm) {
    my $file  = $db->dir . '/.s.PGSQL.' . $db->port;
    my $httpd = start_httpd( $mpm, [ [ db => 'postgresql://monitor@127.0.0.1/shop', password(), "socket=$file", 'DB_HOST=spare' ] ], "SetEnv DB_HOST db1\n" . unhurried() );
    stopped( $httpd, '127.0.0.1:5432', sub ($log) { unlike $log, qr/(?:ERROR|WARNING|PANIC):/, 'no error in its log' } );
    killed( $httpd, '127.0.0.1:5432' );
    $httpd->done;
    $db->allow_log(qr/LOG:  could not send data to client: Broken pipe|FATAL:  connection to client lost/);
};

# What is wrong with the account is no outage; what the application meets as well is one.
under_each_mpm 'accounts', sub ($mpm) {
    $db->sql($_) for (
        'DROP ROLE IF EXISTS nologin', 'CREATE ROLE nologin', 'DROP DATABASE IF EXISTS closed', 'CREATE DATABASE closed',
        'REVOKE CONNECT ON DATABASE closed FROM PUBLIC', 'DROP ROLE IF EXISTS granted', 'CREATE ROLE granted LOGIN',
        'GRANT CONNECT ON DATABASE closed TO granted',
    );
    use_certificate( Failover::Certificates->new->self_signed('DNS:localhost') );
    $db->hba( 'host all nologin,ghost,granted all trust', 'hostssl all secure all trust', @HBA );
    my @case = (
        #  name      URL and options                                        FO0004's words, or FO0001's by reference
        [ wrong   => "postgresql://monitor\@$at/shop " . password('wrong'), '28P01: password authentication failed for user "monitor"' ],
        [ ghost   => "postgresql://ghost\@$at/shop",                        '28000: role "ghost" does not exist' ],
        [ nologin => "postgresql://nologin\@$at/shop",                      '28000: role "nologin" is not permitted to log in' ],
        [ closed  => "postgresql://trusted\@$at/closed",                    '42501: permission denied for database "closed"' ],
        [ secure  => "postgresql://secure\@$at/shop",                       'tls=on may help: 28000: no pg_hba.conf entry for host "127.0.0.1", user "secure", database "shop", no' ],
        [ granted => "postgresql://granted\@$at/closed",                    '' ],
        [ missing => "postgresql://trusted\@$at/missing",                   \'login: 3D000: database "missing" does not exist' ],
    );
    my $httpd = start_httpd( $mpm, [ map { [ @$_[ 0, 1 ] ] } @case ], calmly() );
    wait_for_states( $httpd, 'up up up up up up down' );
    wait_for( sub { $httpd->get('/'); said( $httpd, 'FO0004' ) >= 5 }, 'all warnings' );
    for my $case (@case) {
        my ( $name, undef, $words ) = @$case;
        if ( ref $words ) { outage_is( $httpd, $name, $at, $$words ) }
        elsif ($words) {
            like $httpd->take_log(qr/FO0004: $name: /), qr/login refused.*the server is alive, .*endpoint \Q$at\E: \Q$words\E/, "$name: $words";
        }
    }
    unlike $httpd->error_log . ( $httpd->configtest( '-D', 'DUMP_FAILOVER' ) )[1], qr/Geheim/, 'the password is nowhere';
    $httpd->done;
    $db->hba(@HBA);
    $db->set( ssl => 'off' );
    $db->allow_log(qr/FATAL:  (?:password authentication failed|role "|permission denied|no pg_hba.conf entry|database "missing")/);
};

# The clients that are in go on working, so it is no outage unless told so.
under_each_mpm 'a full server', sub ($mpm) {
    my $full  = Failover::Server::PostgreSQL->new( settings => { max_connections => 13, superuser_reserved_connections => 3, max_wal_senders => 0 } )->start;
    my $url   = 'postgresql://monitor@' . $full->address;
    $full->create_user('monitor');
    $full->hba('host all all all trust');
    my $httpd = start_httpd( $mpm, [ [ keep => $url, 'busy=keep' ], [ fail => $url, 'busy=fail' ], [ early => $url ] ], calmly() );
    wait_for_states( $httpd, 'up up up' );
    my @client = map { hold_connection( $full, $_ ) } 1 .. 10;
    wait_for_states( $httpd, 'up down up' );
    outage_is( $httpd, 'fail', $full->address, qr/login: 53300: (?:remaining connection slots are reserved|sorry, too many clients).*/ );
    my $refused = () = $full->log_text =~ /FATAL:/g;
    wait_for( sub {
        states($httpd) eq 'up down up' or die "not kept\n";
        return $refused + 4 < ( () = $full->log_text =~ /FATAL:/g );
    }, 'further pings' );
    $_->kill_now for @client;
    $full->sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'});
    wait_for_states( $httpd, 'up up up' );
    $httpd->take_log(qr/FO0003: fail is back up/);
    $httpd->done;
    $full->allow_log(qr/FATAL:  (?:remaining connection slots|sorry, too many|terminating connection)|connection to client lost|could not (?:send|receive) data/);
    $full->done;
};

under_each_mpm 'in recovery', sub ($mpm) {
    my $copy = Failover::Server::PostgreSQL->new( name => 'copy' )->start;
    my $url  = 'postgresql://monitor@' . $copy->address;
    $copy->create_user( monitor => $SECRET =~ s/'/''/gr );
    $copy->stop;
    $copy->stand_by('closed')->start;
    my $httpd = start_httpd( $mpm, [
        [ any     => $url, password() ], [ primary => $url, password(), 'role=primary' ],
        [ replica => $url, password(), 'role=replica' ], [ unsure => $url, 'role=primary' ],
    ], calmly() );
    wait_for_states( $httpd, 'down down down down' );
    outage_is( $httpd, $_, $copy->address, 'login: 57P03: the database system is not accepting connections' ) for qw(any primary replica unsure);
    $httpd->expect_log(qr/FO0004: unsure: login refused: .*, so its state stays as it is: .*name it with password=$/);
    $copy->stop;
    wait_for_states( $httpd, 'down down down down' );
    $copy->stand_by('open')->start;
    wait_for_states( $httpd, 'up down up down' );
    my $logged = length $copy->log_text;
    $copy->promote;
    wait_for_states( $httpd, 'up up down down' );    # who cannot log in learns nothing
    outage_is( $httpd, 'replica', $copy->address, 'answer: it is the primary, no replica' );
    $httpd->take_log(qr/FO0003: $_ is back up/) for qw(any replica primary);
    $copy->stop;
    wait_for_states( $httpd, 'down down down down' );
    outage_is( $httpd, $_, $copy->address, 'connect: Connection refused' ) for qw(any primary);
    $copy->stand_by('open')->start;
    wait_for_states( $httpd, 'up down up down' );
    $httpd->take_log(qr/FO0003: $_ is back up/) for qw(any replica);
    $httpd->done;
    unlike substr( $copy->log_text, $logged ), qr/ERROR|WARNING/, 'no error';
    $copy->allow_log(qr/FATAL:  the database system is (?:not accepting connections|starting up|shutting down|not yet accepting connections)|terminating connection due to administrator command|could not send data to client|connection to client lost/);
    $copy->done;
};

under_each_mpm 'certificates', sub ($mpm) {
    my $tls  = Failover::Certificates->new;
    my $ca   = 'tls=on ca=' . $tls->ca;
    my ( $cert, $key ) = $tls->signed('DNS:client');
    my $port = $db->port;
    my $pair = sub ($httpd) {
        httpds_own( $httpd->file( 'client.key', slurp($key), 0400 ) );
        httpds_own( $httpd->file( 'shut.key', slurp( $tls->locked( $key, q{it's shut} ) ), 0400 ) );
        $httpd->file( 'lock', "it's shut\n", 0400 );
    };
    my @case = (
        [ name    => "postgresql://monitor\@localhost:$port", password(), $ca ],
        [ address => "postgresql://monitor\@127.0.0.1:$port", password(), $ca ],
        [ system  => "postgresql://monitor\@localhost:$port", password(), 'tls=on' ],
        [ off     => "postgresql://monitor\@localhost:$port", password(), 'tls=on verify=off' ],
        [ nocert  => "postgresql://client\@localhost:$port", $ca ],
        [ mutual  => "postgresql://client\@localhost:$port", $ca, "cert=$cert key=\@DIR\@/client.key" ],
        [ locked  => "postgresql://client\@localhost:$port", $ca, "cert=$cert key=\@DIR\@/shut.key key-password=file:\@DIR\@/lock" ],
        [ shut    => "postgresql://client\@localhost:$port", $ca, "cert=$cert key=\@DIR\@/shut.key key-password=file:\@DIR\@/wrong" ],
    );
    my %served = (
        good    => [ [ $tls->signed('DNS:localhost,IP:127.0.0.1') ], 'up up down up up up up down' ],
        other   => [ [ $tls->signed('DNS:db.example.com,IP:192.0.2.1') ], 'down down down up down down down down' ],
        expired => [ [ $tls->expired('DNS:localhost,IP:127.0.0.1') ], 'down down down up down down down down' ],
        own     => [ [ $tls->self_signed('DNS:localhost') ], 'down down down up down down down down' ],
    );
    my %says = (
        good    => {
            system => 'tls: SSL error: certificate verify failed',
            shut   => qr/tls: could not load private key file .*/,
        },
        other   => {
            name    => qr/tls: server certificate for "db.example.com".* does not match host name "localhost"/,
            address => qr/tls: server certificate for "db.example.com".* does not match host name "127.0.0.1"/,
        },
        expired => { name => 'tls: SSL error: certificate verify failed' },
        own     => { name => 'tls: SSL error: certificate verify failed' },
    );
    $db->sql('DROP ROLE IF EXISTS client');
    $db->create_user('client');
    use_certificate( $tls->self_signed('DNS:localhost') );
    $db->set( ssl_ca_file => server_file( 'ca.crt', $tls->ca ) );
    $db->hba( 'hostssl all client all trust clientcert=verify-ca', 'hostssl all monitor all scram-sha-256' );
    for my $kind (qw(good other expired own)) {
        my ( $files, $states ) = @{ $served{$kind} };
        use_certificate(@$files);
        my $httpd = start_httpd( $mpm, \@case, calmly(), $pair );
        wait_for_states( $httpd, $states );
        my %is_told;
        while ( my ( $name, $words ) = each %{ $says{$kind} } ) {
            my ($case) = grep { $_->[0] eq $name } @case;
            my ($endpoint) = $case->[1] =~ /\@(.*)/;
            outage_is( $httpd, $name, $endpoint, $words, "$kind: $name" );
            $is_told{$name} = 1;
        }
        $httpd->allow_log(qr/FO0001: /);
        like $httpd->take_log(qr/FO0004: nocert: /), qr/connection requires a valid client certificate/, 'a certificate is asked for' if $kind eq 'good';
        $httpd->done;
    }
    use_certificate( @{ $served{good}[0] } );
    $db->hba(@HBA);
    $db->set( ssl => 'off', ssl_ca_file => '' );
    my $httpd = start_httpd( $mpm, [ $case[0] ], calmly() );
    wait_for_states( $httpd, 'down' );
    outage_is( $httpd, 'name', "localhost:$port", 'tls: server does not support SSL, but SSL was required', 'no TLS there' );
    $httpd->done;
    $db->allow_log(qr/could not accept SSL connection|connection requires a valid client certificate|could not (?:send|receive) data|unsupported frontend protocol/);
};

# It stops while the server hangs, and with OpenSSL and libpq in use.
under_each_mpm 'a graceful restart, and a stop in the middle', sub ($mpm) {
    my $tls = Failover::Certificates->new;
    use_certificate( $tls->signed('DNS:localhost') );
    my $httpd = start_httpd( $mpm, [
        [ tls   => 'postgresql://monitor@localhost:' . $db->port, password(), 'tls=on ca=' . $tls->ca ],
        [ plain => "postgresql://monitor\@$at", password() ],
    ], unhurried() );
    wait_for_states( $httpd, 'up up' );
    $httpd->graceful for 1 .. 3;
    wait_for_states( $httpd, 'up up' );
    $db->pause;
    wait_for_states( $httpd, 'down down' );
    $httpd->take_log(qr/FO0001/) for 1 .. 2;
    $httpd->get('/');
    cmp_ok $httpd->stop, '<', 3, 'it stops';
    $db->resume;
    unlike $httpd->error_log, qr/exit signal/, 'and nothing crashed';
    $httpd->done;
    $db->set( ssl => 'off' );
    $db->allow_log(qr/could not accept SSL connection: EOF detected/);    # of those that it was stopped in the middle of
};

$db->done;
done_testing;

# ---------------------------------------------------------------- helpers

sub stopped ( $httpd, $endpoint, $judge_log ) {
    wait_for_states( $httpd, 'up' );
    my $logged = length $db->log_text;
    $db->pause;
    my $began = now();
    wait_for_states( $httpd, 'down' );
    outage_is( $httpd, 'db', $endpoint, 'login: timed out after 500ms', 'SIGSTOP' );
    is $httpd->body('/cgi-bin/value?DB_HOST'), 'spare', 'the variable is switched';
    Time::HiRes::sleep(0.5);    # some more pings for its queue
    $db->resume;
    wait_for_states( $httpd, 'up' );
    recovery_is( $httpd, 'db', $began );
    return $judge_log->( substr $db->log_text, $logged );
}

sub killed ( $httpd, $endpoint ) {
    $db->crash;
    my $began = now();
    wait_for_states( $httpd, 'down' );
    outage_is( $httpd, 'db', $endpoint, 'connect: Connection refused', 'kill -9' );
    $db->start;
    wait_for_states( $httpd, 'up' );
    recovery_is( $httpd, 'db', $began );
    $db->allow_log(qr/FATAL:  the database system is starting up/);
    return is $httpd->body('/cgi-bin/value?DB_HOST'), 'db1', 'the variable is what it was';
}

# Services: [ name, URL, further words ].
sub start_httpd ( $mpm, $services, $policy, $prepare = sub { } ) {
    my $config = join '', map {"FailoverService @$_\n"} @$services;
    my $httpd  = Failover::Httpd->new( mpm => $mpm, modules => [qw(cgi env)], config => $policy . $config . shows_states( map { $_->[0] } @$services ) );
    $httpd->file( 'secret', "$SECRET\n", 0400 );
    $httpd->file( 'wrong',  "wrong\n",   0400 );
    $prepare->($httpd);
    $httpd->allow_log(qr/FO0009: .*(?:a ping may take|: off: verify=off: whoever answers there)/);
    return $httpd->start;
}

sub password ( $name = 'secret' ) { return "password=file:\@DIR\@/$name" }

# A login takes longer than most answers do.
sub unhurried () { return quick() =~ s/200ms/500ms/gr }

# For logins that may take as long as they like.
sub calmly () { return quick() =~ s/FailoverPing(?:Timeout|Wait)\s+\K\w+/5s/gr }

# The same, and many pings.
sub often () { return calmly() =~ s/Frequency\s+\K200ms/50ms/gr }

# How many have logged in to this database and left.
sub sessions ($database) { return ( $db->sql("SELECT sessions FROM pg_stat_database WHERE datname = '$database'") )[0] }

sub use_certificate ( $cert, $key ) {
    $db->set( ssl => 'on', ssl_cert_file => server_file( 'server.crt', $cert ), ssl_key_file => server_file( 'server.key', $key ) );
    return;
}

# The server's own copy.
sub server_file ( $name, $path ) {
    my $copy = spew( $db->dir . "/$name", slurp($path), 0600 );
    $db->_own($copy);
    return $copy;
}

# libpq takes a key that only its user reads.
sub httpds_own ($path) {
    chown( ( getpwnam Failover::Httpd::_user() )[ 2, 3 ], $path ) if $> == 0;
    return $path;
}

# Takes the n-th place for good; it may take several tries, as pings want it as well.
sub hold_connection ( $server, $n ) {
    my $client;
    wait_for( sub {
        $client //= Failover::Process->start(
            command => [
                Failover::Server::PostgreSQL::_program('psql'), '--no-psqlrc', '--host=127.0.0.1', '--port=' . $server->port,
                '--username=monitor', '--dbname=postgres', '-c', 'SELECT pg_sleep(600)',
            ],
            output => $server->dir . "/held$n",
        );
        undef $client if !$client->leader_alive;
        return $n == held($server);
    }, "place $n", 30 );
    return $client;
}

sub held ($server) { return ( $server->sql(q{SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'}) )[0] }
