# Real servers: killed, stopped in the middle of whatever they do, full, and with accounts that are
# not what they should be.
use v5.36;
use Test::More;
use Failover::Httpd;
use Failover::Process;
use Failover::Seen;
use Failover::Server::MariaDB;
use Failover::Server::Memcached;
use Failover::Sockets;
use Failover::States qw(under_each_mpm quick);
use Failover::Wait;

under_each_mpm 'real servers', sub ($mpm) {
    my $db    = Failover::Server::MariaDB->new->start;
    my $cache = Failover::Server::Memcached->new->start;
    $db->create_user( 'monitor', '' );
    my $httpd = Failover::Httpd->new( mpm => $mpm, modules => [ 'cgi', 'env' ], config => quick() . <<~"CONF" . shows_states(qw(db cache)) )->start;
        SetEnv DB_HOST db1
        FailoverService db mysql://monitor\@@{[ $db->address ]} DB_HOST=spare
        FailoverService cache memcached://@{[ $cache->address ]} CACHE_HOST=spare
        CONF
    wait_for_states( $httpd, 'up up' );
    my @case = (
        [ $db,    'db',    'DB_HOST',    'db1',      pause => "login: timed out after 200ms" ],
        [ $db,    'db',    'DB_HOST',    'db1',      crash => 'connect: Connection refused' ],
        [ $cache, 'cache', 'CACHE_HOST', '(absent)', pause => "answer: timed out after 200ms" ],
        [ $cache, 'cache', 'CACHE_HOST', '(absent)', crash => 'connect: Connection refused' ],
    );
    for my $case (@case) {
        my ( $server, $name, $variable, $own, $fault, $text ) = @$case;
        $server->$fault;
        my $began = now();
        wait_for_states( $httpd, $name eq 'db' ? 'down up' : 'up down' );
        outage_is( $httpd, $name, $server->address, $text, $fault );
        is $httpd->body("/cgi-bin/value?$variable"), 'spare', 'the variable is switched';
        $fault eq 'pause' ? $server->resume : $server->start;
        wait_for_states( $httpd, 'up up' );
        recovery_is( $httpd, $name, $began );
        is $httpd->body("/cgi-bin/value?$variable"), $own, 'and is what it was';
    }
    $httpd->done;
    # Pings that timed out before the greeting; doc/probe-mysql.md says that they are counted.
    $db->allow_log(qr/Aborted connection/);
    $_->done for $db, $cache;
};

# max_connections reached: the clients that are in go on working, so it is no outage unless told so.
under_each_mpm 'a full MariaDB', sub ($mpm) {
    my $db = Failover::Server::MariaDB->new( options => ['--max-connections=10'] )->start;
    $db->create_user( $_, '' ) for qw(monitor app);
    my $url   = 'mysql://monitor@' . $db->address;
    my $slow  = quick() =~ s/200ms/500ms/gr;    # no ping may run out of time beside what else is tested
    my $httpd = Failover::Httpd->new( mpm => $mpm, config => $slow . <<~"CONF" . shows_states(qw(keep fail early)) )->start;
        FailoverService keep $url busy=keep
        FailoverService fail $url busy=fail
        FailoverService early $url
        CONF
    wait_for_states( $httpd, 'up up up' );
    my @client = map { hold_connection($db) } 1 .. 10;
    wait_for( sub { connections_to( $db->port ) == 10 }, 'all to be connected, before any ping' );
    wait_for_states( $httpd, 'up down up' );
    outage_is( $httpd, 'fail', $db->address, qr/login: .*Too many connections/ );
    my $refused = $db->status('Connection_errors_max_connections');
    wait_for( sub {
        states($httpd) eq 'up down up' or die "not kept\n";
        return $db->status('Connection_errors_max_connections') > $refused + 4;
    }, 'further pings' );
    $_->kill_now for @client;
    wait_for_states( $httpd, 'up up up' );
    $httpd->take_log(qr/FO0003: fail is back up/);
    $httpd->done;
    $db->allow_log(qr/Aborted connection/);    # the clients were killed
    $db->done;
};

# What is wrong with the account is no outage; what the application meets as well is one.
under_each_mpm 'accounts', sub ($mpm) {
    my $db   = Failover::Server::MariaDB->new->start;
    my $at   = $db->address;
    my @case = (
        # prepared by                                                                        URL                       FO0004's code or FO0001's text
        [ nogrant => q{CREATE DATABASE blog; CREATE USER nogrant},                           "mysql://nogrant\@$at/blog", 1044 ],
        [ nobody  => q{SELECT 1},                                                            "mysql://nobody\@$at",       1045 ],
        [ locked  => q{CREATE USER locked ACCOUNT LOCK},                                     "mysql://locked\@$at",       4151 ],
        [ ssl     => q{CREATE USER needs_ssl REQUIRE SSL},                                   "mysql://needs_ssl\@$at",    1045 ],
        [ limited => q{CREATE USER limited WITH MAX_CONNECTIONS_PER_HOUR 1},                 "mysql://limited\@$at",      1226 ],
        [ grant   => q{CREATE USER granted; GRANT LOCK TABLES ON blog.* TO granted},         "mysql://granted\@$at/blog", 0 ],
        [ gone    => q{CREATE USER allowed; GRANT LOCK TABLES ON gone.* TO allowed},         "mysql://allowed\@$at/gone", qr/login: .*Unknown database 'gone'/ ],
    );
    $db->sql( $_->[1] ) for @case;
    my $config = join '', map {"FailoverService $_->[0] $_->[2]\n"} @case;
    my $httpd  = Failover::Httpd->new( mpm => $mpm, config => quick() . $config . shows_states( map { $_->[0] } @case ) )->start;
    wait_for_states( $httpd, join ' ', ('up') x $#case, 'down' );
    wait_for( sub { $httpd->get('/'); said( $httpd, 'FO0004' ) >= 5 }, 'all warnings' );
    for my $case (@case) {
        my ( $name, undef, undef, $expected ) = @$case;
        next if !$expected;
        if ( ref $expected ) { outage_is( $httpd, $name, $at, $expected ); next }
        like $httpd->take_log(qr/FO0004: $name: /), qr/login refused \($expected\): the server is alive, .*endpoint \Q$at\E: \S/, "$name: $expected";
    }
    $httpd->done;
    $db->allow_log(qr/Access denied|Aborted connection/);
    $db->done;
};

done_testing;

# ---------------------------------------------------------------- helpers

# A client that stays connected.
sub hold_connection ($db) {
    state $n = 0;
    return Failover::Process->start(
        command => [
            Failover::Process::find_program( 'mariadb', 'mysql' ), '--no-defaults', '--user=app', '--host=127.0.0.1',
            '--port=' . $db->port, '-e', 'SELECT SLEEP(60)',
        ],
        output => $db->dir . '/held' . ++$n,
    );
}
