# MariaDB counts a connection that ends before its login as an error of the host that it came from,
# and after max_connect_errors of them refuses every program on that host. A ping must never count.
#
# It exempts 127.0.0.1, and counts only hosts whose address has a name: so this runs in network and
# mount namespaces of its own, where 127.0.0.2 talks to 127.0.0.2 and a hosts file names it.
use v5.36;
use Test::More;
use Failover::Cleanup qw(private_folder remove_folder);
use Failover::File;
use Failover::Httpd;
use Failover::Namespaces;
use Failover::Seen;
use Failover::Server::MariaDB;
use Failover::States qw(under_each_mpm);
use Failover::Wait;
use IO::Socket::INET;

my $ADDRESS = '127.0.0.2';
my $LIMIT   = 5;

enter_namespaces();
my $folder = private_folder('hosts');
mount_over( spew( "$folder/hosts", "127.0.0.1 localhost\n$ADDRESS client.failover.test\n" ), '/etc/hosts' );
ip(qw(link set lo up));
ip( qw(route replace table local local), $ADDRESS, qw(dev lo src), $ADDRESS );

my $db = Failover::Server::MariaDB->new(
    bind => $ADDRESS, resolve_names => 1, performance_schema => 1,
    options => [ "--max-connect-errors=$LIMIT", '--log-warnings=2', '--userstat=1', '--max-connections=200' ],
)->start;
$db->create_user( 'monitor', '' );

subtest 'a bare connect does count here' => sub {
    for my $i ( 1 .. $LIMIT ) {
        like greeting(), qr/mysql_native_password|MariaDB/, "connect $i: a greeting";
        wait_for( sub { connect_errors() >= $i }, 'the error to be counted' );
    }
    like greeting(), qr/is blocked because of many connection errors/, 'then the host is blocked';
    $db->allow_log(qr/Aborted connection .*unauthenticated|is blocked/);
};

# The outage is real for everyone here; the log says what to do.
subtest 'a ping that is blocked' => sub {
    my $httpd = start_httpd('event');
    wait_for_states( $httpd, 'down' );
    outage_is( $httpd, 'db', address(), qr/login: this host is blocked: run mariadb-admin flush-hosts .* raise max_connect_errors/ );
    flush_hosts();
    wait_for_states( $httpd, 'up' );
    recovery_is( $httpd, 'db', now() - 60 );
    $httpd->done;
};

under_each_mpm 'a hundred pings', sub ($mpm) {
    flush_hosts();
    my $httpd  = start_httpd($mpm);
    my $log    = $db->log_text;
    my $before = $db->status('Aborted_connects');
    my $pings  = logins();
    wait_for( sub { $httpd->get('/') for 1 .. 10; logins() >= $pings + 100 }, 'a hundred pings', 30 );
    is states($httpd), 'up', 'up';
    is connect_errors(), 0, 'SUM_CONNECT_ERRORS is unmoved';
    is $db->status('Aborted_connects'), $before, 'Aborted_connects is unmoved';
    is $db->log_text, $log, "and not a line in the server's log";
    $httpd->done;
};

# Frozen for some time, it finds all the pings that gave up on it. One in a hundred had sent its login
# just before; the server says so in its log, and does not count it as an error of the host.
under_each_mpm 'a server that was frozen', sub ($mpm) {
    flush_hosts();
    $db->allow_log(qr/Aborted connection .*user: 'monitor' .*Got an error writing communication packets/);
    my $httpd = start_httpd( $mpm, 'FailoverPingTimeout 50ms', 'FailoverMonitoringPingFrequency 50ms', 'FailoverOutagePingFrequency 50ms' );
    wait_for_states( $httpd, 'up' );
    $db->pause;
    wait_for_states( $httpd, 'down' );
    my $end = now() + 2;
    wait_for( sub { $httpd->get('/'); now() > $end }, "pings that time out, far more than $LIMIT" );
    $db->resume;
    wait_for_states( $httpd, 'up' );
    is connect_errors(), 0, 'SUM_CONNECT_ERRORS is unmoved';
    unlike greeting(), qr/is blocked/, 'nobody is blocked';
    $httpd->take_log($_) for qr/FO0001/, qr/FO0003/;
    $httpd->done;
};

$db->done;
undef $db;
remove_folder($folder);
done_testing;

# ---------------------------------------------------------------- helpers

sub address () { return "$ADDRESS:" . $db->port }

sub start_httpd ( $mpm, @lines ) {
    my $httpd = Failover::Httpd->new( mpm => $mpm, config => join "\n", <<~"CONF", @lines, shows_states('db') );
        FailoverMonitoringPingFrequency 10ms
        FailoverOutagePingFrequency     10ms
        FailoverErrorPingFrequency      10ms
        FailoverPingWait                1s
        FailoverSpread                  0
        FailoverService db mysql://monitor\@@{[ address() ]}
        CONF
    $httpd->allow_log(qr/FO0009: .* a ping may take/);
    return $httpd->start;
}

# Connects, reads what comes, and goes without a login.
sub greeting () {
    my $socket = IO::Socket::INET->new( PeerAddr => $ADDRESS, PeerPort => $db->port ) or die "cannot connect: $!\n";
    $socket->sysread( my $bytes, 1000 );
    return $bytes // '';
}

sub connect_errors () {
    my ($sum) = $db->sql("SELECT SUM_CONNECT_ERRORS FROM performance_schema.host_cache WHERE IP = '$ADDRESS'");
    return $sum // 0;
}

sub flush_hosts () { $db->sql('FLUSH HOSTS'); return }

sub logins () {
    my ($count) = $db->sql(q{SELECT TOTAL_CONNECTIONS FROM information_schema.USER_STATISTICS WHERE USER = 'monitor'});
    return $count // 0;
}
