# examples/mariadb-replication as it stands: a primary and a replica, each of them killed, and a
# replica that has stopped replicating. Where does the page read, and what does the log say?
use v5.36;
use Test::More;
use Failover::Httpd;
use Failover::Recipe;
use Failover::Seen;
use Failover::Server::PhpFpm;
use Failover::Wait;

my ( $primary, $replica ) = mariadb_pair();
my $php      = Failover::Server::PhpFpm->new->start;
my $httpd    = start_httpd();
my $PID      = qr/\(Process ID: \d+\)/;
my $products = 3;

subtest 'all is well' => sub {
    reads_from( 'server 2', 'at first' );
    is adds()->status, 201, 'something new';
    reads_from( 'server 2', 'it is there' );
};

subtest 'the replica dies' => sub {
    $replica->crash;
    reads_from( 'server 1', 'kill -9' );
    like $httpd->take_log(qr/FO0018/), qr/:warn\] .*FO0018: reads: endpoint replica down, using primary $PID: connect: Connection refused$/, 'the line';
    is adds()->status, 201, 'something new meanwhile';
    reads_from( 'server 1', 'it is there' );
    $replica->start;
    reads_from( 'server 2', 'it is back, and has caught up' );
    like $httpd->take_log(qr/FO0019/), qr/:notice\] .*FO0019: reads: endpoint replica is back, using it again $PID after \d+m?s with primary$/, 'the line';
};

subtest 'the replica stops replicating' => sub {
    $replica->sql('STOP SLAVE SQL_THREAD');
    reads_from( 'server 1', 'nobody knows how old its data are' );
    like $httpd->take_log(qr/FO0018/), qr/reads: endpoint replica down, using primary $PID: answer: replication is not running$/, 'the line';
    $replica->sql('START SLAVE SQL_THREAD');
    reads_from( 'server 2', 'it goes on' );
    $httpd->take_log(qr/FO0019/);
};

# The replica fails its check of the lag with that, so that old data are all that is left to read.
subtest 'the primary dies' => sub {
    my $died = now();
    $primary->crash;
    reads_from( 'server 2, perhaps out of date', 'kill -9' );
    outage_is( $httpd, 'primary', $primary->address, 'connect: Connection refused' );
    like $httpd->take_log(qr/FO0018: .* using stale/), qr/:warn\] .*FO0018: reads: endpoint (?:primary|replica) down, using stale $PID: /, 'the line';
    my $answer = adds();
    is $answer->status, 503, 'nothing new';
    is $answer->body, "The shop takes nothing new at the moment.\n", 'in the words of the page';
    $primary->start;
    wait_for( sub { $httpd->body('/shop.php'); said( $httpd, 'FO0003' ) }, 'the recovery' );
    recovery_is( $httpd, 'primary', $died );
    is adds()->status, 201, 'something new again';
    reads_from( 'server 2', 'and from the replica, once that replicates again' );
};

$httpd->allow_log(qr/FO001[789]: reads: /);    # more than one of them, as the two find each other
$httpd->allow_log(qr/AH01071: Got error 'PHP message: /);    # of pages that met the outage before a ping did
$php->allow_log(qr/said into stderr/);
$_->done for $httpd, $php, $primary, $replica;
done_testing;

# ---------------------------------------------------------------- helpers

sub start_httpd () {
    my $httpd = Failover::Httpd->new(
        modules => [qw(env proxy proxy_fcgi)],
        config  => join "\n",
        'Define DB_PRIMARY_HOST 127.0.0.1', 'Define DB_PRIMARY_PORT ' . $primary->port,
        'Define DB_REPLICA_HOST 127.0.0.1', 'Define DB_REPLICA_PORT ' . $replica->port,
        'Define SHOP_SECRETS @DIR@/secrets', 'Define SHOP_PHP fcgi://' . $php->address,
        'Include ' . recipe_path('mariadb-replication/httpd.conf'), impatient(),
    );
    $httpd->file( 'secrets/monitor', "monitor-secret\n", 0400 );
    $httpd->file( 'htdocs/shop.php', recipe_text('mariadb-replication/shop.php') );
    $httpd->allow_log(qr/FO0009: .* a ping may take/);
    return $httpd->start;
}

# Until the page says so, with all that was added.
sub reads_from ( $server, $what ) {
    my $wanted = "$products products, read from $server\n";
    my $last   = '';
    ok eval { wait_for( sub { ( $last = $httpd->body('/shop.php') ) eq $wanted }, $wanted, 20 ) }, "$what: $server"
        or diag "the last was: $last";
    return;
}

sub adds () {
    my $answer = $httpd->get(
        '/shop.php', method => 'POST', body => 'name=scarf', headers => { 'Content-Type' => 'application/x-www-form-urlencoded' } );
    $products++ if $answer->status == 201;
    return $answer;
}
