# examples/django as it stands: a replica of a real MariaDB is killed and comes back. In embedded
# mode nothing but the application's own error tells of it; in daemon mode, the pings.
use v5.36;
use Test::More;
use Failover::Django;
use Failover::Port qw(free_port);
use Failover::Recipe;
use Failover::Seen;
use Failover::Wait;

my ( $primary, $replica ) = mariadb_pair();
$primary->sql( recipe_text('django/database.sql') );
my %port = ( primary => $primary->port, replica => $replica->port, broker => free_port() );

subtest 'embedded mode' => sub {
    my $httpd = start_django( 'embedded', impatient() . "FailoverMonitoringPingFrequency 1h\n", %port );
    manage( $httpd, 'migrate' );
    $replica->catch_up_with($primary);
    reads_from( $httpd, 'replica (server 2)', 'at first' );
    my $began = now();
    $replica->crash;
    is $httpd->get('/')->status, 500, 'one request meets the outage';
    $httpd->take_log(qr/\[wsgi:error\] .*OperationalError: \(2002, .*Can't connect to/);
    outage_is( $httpd, 'replica', $replica->address, 'connect: Connection refused' );
    is $httpd->body('/'), "3 products, read from default (server 1)\n", 'the next one reads from the primary';
    comes_back( $httpd, $began );
};

subtest 'daemon mode' => sub {
    my $httpd = start_django( 'daemon', impatient(), %port );
    reads_from( $httpd, 'replica (server 2)', 'at first' );
    my $began = now();
    $replica->crash;
    reads_from( $httpd, 'default (server 1)', 'kill -9' );
    outage_is( $httpd, 'replica', $replica->address, 'connect: Connection refused' );
    comes_back( $httpd, $began );
};

$_->done for $primary, $replica;
done_testing;

# ---------------------------------------------------------------- helpers

sub reads_from ( $httpd, $database, $what ) {
    my $wanted = "3 products, read from $database\n";
    my $last   = '';
    ok eval { wait_for( sub { ( $last = $httpd->body('/') ) eq $wanted }, $wanted ) }, "$what: $database"
        or diag "the last was: $last";
    return;
}

sub comes_back ( $httpd, $began ) {
    $replica->start;
    reads_from( $httpd, 'replica (server 2)', 'it is back' );
    recovery_is( $httpd, 'replica', $began );
    $httpd->take_log(qr/FO0001: broker outage/);    # there is none in this test
    $httpd->allow_log(qr/\[wsgi:error\]/);          # the pages that met the outage
    $httpd->done;
    return;
}
