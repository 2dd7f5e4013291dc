# A real MariaDB over TLS and a Unix socket, as primary and replica, asked in SQL; and what it counts.
# And memcached over a Unix socket.
use v5.36;
use Test::More;
use Failover::Certificates;
use Failover::File;
use Failover::Httpd;
use Failover::Process;
use Failover::Seen;
use Failover::Server::MariaDB;
use Failover::Server::Memcached;
use Failover::States qw(under_each_mpm quick);
use Failover::Wait;

my $SECRET = 'Geheim7';
my $tls    = Failover::Certificates->new;
my $ca     = 'ca=' . $tls->ca;
my $folder = 'ca-path=' . $tls->ca_folder;

# Whom the certificate must name, who must have signed it, and which one the account must show.
my %db = (
    good    => secure_db( 'good',    $tls->signed('DNS:localhost') ),
    other   => secure_db( 'other',   $tls->signed('DNS:db.example.com,IP:127.0.0.1') ),
    expired => secure_db( 'expired', $tls->expired('DNS:localhost') ),
    own     => secure_db( 'own',     $tls->self_signed('DNS:localhost') ),
    plain   => Failover::Server::MariaDB->new( name => 'plain' )->start,
);
$db{$_}->create_user( monitor => $SECRET ) for keys %db;
$db{good}->sql("CREATE USER $_") for q{'ssl' REQUIRE SSL}, q{'x509' REQUIRE X509};

under_each_mpm 'TLS', sub ($mpm) {
    my ( $cert, $key ) = $tls->signed('DNS:client');
    my $shut = $tls->locked( $key, $SECRET );
    chmod 0644, $shut;
    my @case = (
        # name         user       host         server     options                       state, code or the outage's words
        [ name      => 'monitor', 'localhost', 'good',    $ca,                          'up' ],
        [ address   => 'monitor', '127.0.0.1', 'other',   $ca,                          'up' ],
        [ folder    => 'monitor', 'localhost', 'good',    $folder,                      'up' ],
        [ needed    => 'ssl',     'localhost', 'good',    $ca,                          'up' ],
        [ mutual    => 'x509',    'localhost', 'good',    "$ca cert=$cert key=$key",    'up' ],
        [ locked    => 'x509',    'localhost', 'good',    "$ca cert=$cert key=$shut key-password=file:\@DIR\@/secret", 'up' ],
        [ nocert    => 'x509',    'localhost', 'good',    $ca,                          1045 ],
        [ off       => 'monitor', 'localhost', 'own',     'verify=off',                 'up' ],
        [ system    => 'monitor', 'localhost', 'good',    '',                           'tls: self-signed certificate in certificate chain' ],
        [ hostname  => 'monitor', 'localhost', 'other',   $ca,                          'tls: Validation of SSL server certificate failed' ],
        [ wrongip   => 'monitor', '127.0.0.1', 'good',    $ca,                          'tls: Validation of SSL server certificate failed' ],
        [ expired   => 'monitor', 'localhost', 'expired', $ca,                          'tls: certificate has expired' ],
        [ own       => 'monitor', 'localhost', 'own',     $ca,                          'tls: self-signed certificate' ],
        [ nottls    => 'monitor', 'localhost', 'plain',   $ca,                          'tls: the server has no TLS' ],
        [ offplain  => 'monitor', 'localhost', 'plain',   'verify=off',                 'tls: the server has no TLS' ],
    );
    my $config = join '', map {"FailoverService $_->[0] mysqls://$_->[1]\@$_->[2]:@{[ $db{ $_->[3] }->port ]} $_->[4]@{[ $_->[1] eq 'monitor' ? password() : '' ]}\n"} @case;
    my $httpd  = start_httpd( $mpm, [ map { $_->[0] } @case ], slowly(), $config );
    wait_for_states( $httpd, join( ' ', map { $_->[5] =~ /^tls: / ? 'down' : 'up' } @case ), 30 );
    for my $case (@case) {
        my ( $name, undef, $host, $server, undef, $words ) = @$case;
        outage_is( $httpd, $name, "$host:" . $db{$server}->port, $words ) if $words =~ /^tls: /;
    }
    wait_for( sub { $httpd->get('/'); said( $httpd, 'FO0004' ) }, 'the warning' );
    like $httpd->take_log(qr/FO0004: nocert: /), qr/login refused \(1045\)/, 'an account that must show a certificate';
    unlike $httpd->error_log . ( $httpd->configtest( '-D', 'DUMP_FAILOVER' ) )[1], qr/$SECRET/, 'the password is nowhere';
    $httpd->done;
};

# A handshake and a greeting that never come, and a key that the children may not read.
under_each_mpm 'TLS that hangs', sub ($mpm) {
    my $db    = $db{good};
    my $host  = 'mysqls://monitor@localhost:' . $db->port;
    my ( $cert, $key ) = $tls->signed('DNS:client');
    my $httpd = start_httpd( $mpm, [qw(db key)], quick(), <<~"CONF", $key );
        FailoverService db $host $ca@{[ password() ]}
        FailoverService key $host $ca cert=$cert key=\@DIR\@/private.key@{[ password() ]}
        CONF
    wait_for_states( $httpd, 'up up' );
    wait_for( sub { $httpd->get('/'); said( $httpd, 'FO0005' ) }, 'the warning' );
    like $httpd->take_log(qr/FO0005: key: /), qr/tls: key=: \S+: Permission denied: User and Group must be able to read the files of TLS$/, 'a key that cannot be read';
    $db->pause;
    wait_for_states( $httpd, 'down up' );
    outage_is( $httpd, 'db', 'localhost:' . $db->port, qr/(?:login|tls): timed out after 200ms/ );
    $db->resume;
    wait_for_states( $httpd, 'up up' );
    $httpd->take_log(qr/FO0003: db/);
    $httpd->allow_log(qr/FO0005: db: .*this host is overloaded/);    # it may be, in tests
    $httpd->done;
};

# What passes leaves nothing behind: no line, no connection that counts as aborted.
under_each_mpm 'what the server counts', sub ($mpm) {
    my $db    = $db{good};
    my $socket = 'socket=' . $db->socket;
    my @case  = (
        [ plain  => 'mysql://monitor@' . $db->address,                  '' ],
        [ socket => 'mysql://monitor@localhost/',                       $socket ],
        [ asked  => 'mysql://monitor@' . $db->address,                  'role=primary "query=SELECT 1 FROM information_schema.engines"' ],
        [ secure => 'mysqls://monitor@localhost:' . $db->port,          "$ca role=primary \"query=SELECT 'yes'\"" ],
        [ more   => 'mysql://monitor@localhost',                        "$socket role=primary \"query=DO 1\"" ],
    );
    my $config = join '', map {"FailoverService $_->[0] $_->[1] $_->[2]@{[ password() ]}\n"} @case;
    my $httpd  = start_httpd( $mpm, [ map { $_->[0] } @case ], patient(), $config );
    wait_for_states( $httpd, join ' ', ('up') x @case );
    my %before = map { $_ => $db->status($_) } qw(Connections Aborted_clients Aborted_connects);
    my $log    = length $db->log_text;
    wait_for( sub { $httpd->get('/'); $db->status('Connections') > $before{Connections} + 100 }, 'further pings', 60 );
    is states($httpd), join( ' ', ('up') x @case ), 'up';
    $httpd->done;
    is $db->status($_), $before{$_}, "$_ has not moved" for qw(Aborted_clients Aborted_connects);
    is substr( $db->log_text, $log ), '', 'nothing in its log';
};

# A socket whose server was killed, that is not there, and that may not be used.
under_each_mpm 'socket files', sub ($mpm) {
    my $db    = $db{plain};
    my $cache = Failover::Server::Memcached->new( is_local => 1 )->start;
    my $httpd = start_httpd( $mpm, [qw(there gone cache)], quick(), <<~"CONF" );
        FailoverService there mysql://monitor\@localhost:3306 socket=@{[ $db->socket ]}@{[ password() ]}
        FailoverService gone mysql://monitor\@localhost:3306/shop socket=/no/such/socket@{[ password() ]}
        FailoverService cache memcached://localhost socket=@{[ $cache->socket ]} CACHE=off
        CONF
    wait_for_states( $httpd, 'up down up' );
    outage_is( $httpd, 'gone', 'localhost:3306', 'connect: No such file or directory' );
    $db->crash;
    $cache->pause;
    wait_for_states( $httpd, 'down down down' );
    outage_is( $httpd, 'there', 'localhost:3306', 'connect: Connection refused' );
    outage_is( $httpd, 'cache', 'localhost:11211', 'answer: timed out after 200ms' );
    $db->start;
    $cache->resume;
    wait_for_states( $httpd, 'up down up' );
    $httpd->take_log(qr/FO0003: $_/) for qw(there cache);
    $httpd->done;
    $cache->done;
};

under_each_mpm 'query=', sub ($mpm) {
    my $db   = $db{plain};
    my @case = (
        # name    SQL                                               undef: up
        [ one   => 'SELECT 1',                                        undef ],
        [ word  => q{SELECT 'no'},                                    undef ],
        [ show  => q{SHOW GLOBAL STATUS LIKE 'Uptime'},               undef ],
        [ none  => 'SELECT 0 FROM information_schema.engines WHERE 0', undef ],
        [ zero  => 'SELECT 0, 1',                                     'answer: query=: the answer is NULL, 0 or empty' ],
        [ null  => 'SELECT NULL',                                     'answer: query=: the answer is NULL, 0 or empty' ],
        [ empty => q{SELECT ''},                                      'answer: query=: the answer is NULL, 0 or empty' ],
        [ wrong => 'SELEKT 1',                                        qr/answer: You have an error in your SQL syntax;.*/ ],
        [ two   => 'SELECT 1; SELECT 1',                              qr/answer: You have an error in your SQL syntax;.*/ ],
        [ wide  => q{SELECT REPEAT('x', 1000000)},                    'answer: the answer is longer than 256 KiB' ],
        [ long  => q{SELECT REPEAT('x', 10000) FROM information_schema.collations}, 'answer: the answer is longer than 256 KiB' ],
        [ slow  => 'SELECT SLEEP(10)',                                'answer: timed out after 200ms' ],
        [ may   => 'SELECT * FROM mysql.global_priv',                 undef ],
    );
    my $at     = $db->address;
    my $config = join '', map {qq{FailoverService $_->[0] mysql://monitor\@$at "query=$_->[1]"@{[ password() ]}\n}} @case;
    my $httpd  = start_httpd( $mpm, [ map { $_->[0] } @case ], quick(), $config );
    wait_for_states( $httpd, join ' ', map { $_->[2] ? 'down' : 'up' } @case );
    outage_is( $httpd, $_->[0], $at, $_->[2] ) for grep { $_->[2] } @case;
    like $httpd->take_log(qr/FO0004: may: /), qr/\(1142\).*SELECT command denied/, 'a privilege that is missing';
    $httpd->done;
};

$_->allow_log(qr/Access denied|Aborted connection|handshake|SSL error/) for values %db;
$_->done for values %db;

# A replica of its own primary: read-only, behind, and stopped; nothing but an answer ends that.
my $primary = Failover::Server::MariaDB->new( name => 'primary', options => [qw(--log-bin=log --server-id=1)] )->start;
my $replica = Failover::Server::MariaDB->new( name => 'replica', options => [qw(--server-id=2 --read-only=ON --max-user-connections=100)] )->start;
$primary->sql("CREATE USER repl IDENTIFIED BY '$SECRET'; GRANT REPLICATION SLAVE ON *.* TO repl; CREATE DATABASE shop; CREATE TABLE shop.t (n INT)");
$replica->sql( "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=@{[ $primary->port ]}, MASTER_USER='repl', "
        . "MASTER_PASSWORD='$SECRET', MASTER_LOG_FILE='log.000001', MASTER_LOG_POS=4, MASTER_CONNECT_RETRY=1; START SLAVE" );
wait_for( sub { ( $replica->sql('SHOW TABLES IN information_schema'), eval { $replica->sql('SELECT n FROM shop.t'); 1 } )[-1] }, 'the replica' );
for my $db ( $primary, $replica ) {
    $db->sql("SET sql_log_bin=0; CREATE USER monitor IDENTIFIED BY '$SECRET', granted IDENTIFIED BY '$SECRET'; GRANT SLAVE MONITOR ON *.* TO granted");
}

under_each_mpm 'a replica', sub ($mpm) {
    my ( $at, $from ) = map { $_->address } $replica, $primary;
    my @case = (
        [ replica => "mysql://granted\@$at role=replica" ],
        [ lag     => "mysql://granted\@$at max-lag=1s" ],
        [ right   => "mysql://granted\@$from role=primary" ],
        [ wrong   => "mysql://granted\@$at role=primary",      'answer: wrong role: read_only is on, and role=primary is wanted' ],
        [ other   => "mysql://granted\@$from role=replica",    'answer: wrong role: read_only is off, and role=replica is wanted' ],
        [ none    => "mysql://granted\@$from max-lag=1h",      'answer: this is no replica: no replication is set up' ],
        [ keeps   => "mysql://monitor\@$at max-lag=1h" ],
        [ barred  => "mysql://monitor\@$at max-lag=1h busy=fail" ],
    );
    my @words = map { $_->[2] ? 'down' : 'up' } @case;
    my $httpd = start_httpd( $mpm, [ map { $_->[0] } @case ], patient(), join '', map {"FailoverService $_->[0] $_->[1]@{[ password() ]}\n"} @case );
    wait_for_states( $httpd, "@words" );
    for my $case ( grep { $_->[2] } @case ) {
        my ($endpoint) = $case->[1] =~ /\@(\S+)/;
        outage_is( $httpd, $case->[0], $endpoint, $case->[2] );
    }

    # Stopped: there is no figure.
    my $is_lagging = sub ( $state, $what ) {
        $words[1] = $state;
        wait_for( sub { ( states($httpd) =~ s/( \S+){2}$//r ) eq "@words[ 0 .. 5 ]" }, $what, 30 );
        return pass $what;
    };
    $replica->sql('STOP SLAVE SQL_THREAD');
    $is_lagging->( 'down', 'replication is stopped' );
    outage_is( $httpd, 'lag', $at, 'answer: replication is not running' );
    $replica->sql('START SLAVE SQL_THREAD');
    $is_lagging->( 'up', 'it runs again' );
    $httpd->take_log(qr/FO0003: lag/);

    # Behind.
    $replica->sql('STOP SLAVE; CHANGE MASTER TO MASTER_DELAY=3600; START SLAVE');
    $primary->sql('INSERT INTO shop.t VALUES (1)');
    $is_lagging->( 'down', 'replication is behind' );
    like $httpd->take_log(qr/FO0001: lag/), qr/answer: replication is (?:not running|[2-9]s behind, over max-lag=1s)$/, 'the outage';

    # A hang, a full server and a password that is wrong say nothing of the lag.
    $replica->pause;
    wait_for( sub { states($httpd) !~ /up up up/ }, 'pings that time out' );
    is +( split ' ', states($httpd) )[1], 'down', 'a time-out does not end it';
    $replica->resume;
    $is_lagging->( 'down', 'it comes round, and is behind' );
    my $refused = sub { $replica->status('Aborted_connects') };
    my $stays   = sub ( $count, $what ) {
        my $before = $count->();
        wait_for( sub { states($httpd) =~ /^\S+ down/ or die "it is up\n"; $count->() > $before + 10 }, $what );
        return pass "$what does not end it";
    };
    $replica->sql("ALTER USER granted IDENTIFIED BY 'other'");
    $stays->( $refused, 'a login that is refused' );
    $replica->sql("ALTER USER granted IDENTIFIED BY '$SECRET'");
    my $client = hold_connection( $replica, 'granted' );
    $replica->sql('SET GLOBAL max_user_connections=1');
    $stays->( $refused, 'a full server' );
    $replica->sql('SET GLOBAL max_user_connections=100');
    $client->kill_now;
    is +( split ' ', states($httpd) )[1], 'down', 'down to the end';

    $replica->sql('STOP SLAVE; CHANGE MASTER TO MASTER_DELAY=0; START SLAVE');
    $is_lagging->( 'up', 'it has caught up' );
    like $httpd->take_log(qr/FO0004: keeps: /), qr/\(1227\).*SLAVE MONITOR/, 'a privilege that is missing';
    $httpd->allow_log(qr/FO000[13]: \w+ |FO0004: (?:lag|barred|replica|wrong): /);
    $httpd->done;
};
$_->allow_log(qr/Access denied|Aborted connection|[Ss]lave|reading packet from server/) for $primary, $replica;
$_->done for $primary, $replica;

done_testing;

# ---------------------------------------------------------------- helpers

sub secure_db ( $name, $cert, $key ) {
    return Failover::Server::MariaDB->new(
        name => $name, options => [ "--ssl-cert=$cert", "--ssl-key=$key", '--ssl-ca=' . $tls->ca ] )->start;
}

sub start_httpd ( $mpm, $names, $policy, $services, $key = undef ) {
    my $httpd = Failover::Httpd->new( mpm => $mpm, modules => [qw(cgi env)], config => $policy . $services . shows_states(@$names) );
    $httpd->file( 'secret', "$SECRET\n", 0400 );
    $httpd->file( 'private.key', slurp($key), 0400 ) if $key;
    $httpd->allow_log(qr/FO0009: .*(?: a ping may take|: off(?:plain)?: verify=off: whoever answers there)/);
    return $httpd->start;
}

sub password () { return ' password=file:@DIR@/secret' }

# Where nothing is to time out that is not stopped.
sub patient () { return quick() =~ s/Timeout\s+\K200ms/1s/r }

# For many services at a time on few workers.
sub slowly () { return quick() =~ s/Timeout\s+\K200ms/6s/r =~ s/200ms/2s/gr }

# A client that stays connected.
sub hold_connection ( $db, $user ) {
    state $n = 0;
    my $client = Failover::Process->start(
        command => [
            Failover::Process::find_program( 'mariadb', 'mysql' ), '--no-defaults', "--user=$user", "--password=$SECRET", '--host=127.0.0.1',
            '--port=' . $db->port, '-e', 'SELECT SLEEP(60)',
        ],
        output => $db->dir . '/held' . ++$n,
    );
    wait_for( sub { $db->sql("SELECT 1 FROM information_schema.processlist WHERE user='$user' AND info LIKE '%SLEEP(60)%'") }, 'a client' );
    return $client;
}
