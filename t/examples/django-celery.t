# examples/django as it stands, and a real RabbitMQ with a real worker: while the broker is down
# requests run their tasks themselves, and after it workers do so again. In embedded mode the
# application's own line in the error log tells of the outage; in daemon mode the pings.
use v5.36;
use Test::More;
use Failover::Django;
use Failover::Port qw(free_port);
use Failover::Recipe;
use Failover::Seen;
use Failover::Server::CeleryWorker;
use Failover::Server::MariaDB;
use Failover::Server::RabbitMQ;
use Failover::Wait;

my $mq = Failover::Server::RabbitMQ->new->start;
$mq->add_vhost('shop');
$mq->add_user( monitor => 'monitor-secret', 'shop' );
$mq->add_user( shop    => 'shop-secret' );
$mq->permit( shop => 'shop' );
my $db = Failover::Server::MariaDB->new->start;
$db->sql( recipe_text("$_.sql") ) for 'mariadb-replication/primary', 'django/database';
my %port = ( primary => $db->port, replica => free_port(), broker => $mq->port );

my %httpd = (
    embedded => start_django( 'embedded', impatient() . "FailoverMonitoringPingFrequency 1h\n", %port ),
    daemon   => start_django( 'daemon',   impatient(),                                          %port ),
);
manage( $httpd{embedded}, 'migrate' );
my $worker = Failover::Server::CeleryWorker->new( name => 'worker', folder => site_folder( $httpd{embedded} ) )->start;
my $WORKER = 'a worker, process ' . $worker->pid;
my $SELF   = qr/the request itself, process \d+/;

subtest 'the broker is there' => sub { workers_confirm('at first') };

my $died;
subtest 'the broker dies' => sub {
    $died = now();
    $mq->crash;
    confirmed( $httpd{embedded}, $SELF, 'the request that meets the outage' );
    $httpd{embedded}->take_log(qr/\[wsgi:error\] .*shop[.]views: the broker does not take a task: /);
    for my $mode (qw(embedded daemon)) {
        told( $httpd{$mode}, qr/FO0001: broker / );
        outage_is( $httpd{$mode}, 'broker', $mq->address, 'connect: Connection refused', $mode );
        my $before = refusals( $httpd{$mode} );
        confirmed( $httpd{$mode}, $SELF, "$mode: after that" );
        is refusals( $httpd{$mode} ), $before, "$mode: and the broker is not asked";
    }
};

subtest 'the broker comes back' => sub {
    $mq->start;
    for my $mode (qw(embedded daemon)) {
        told( $httpd{$mode}, qr/FO0003: broker / );
        recovery_is( $httpd{$mode}, 'broker', $died );
    }
    workers_confirm('again');
};

for my $httpd ( values %httpd ) {
    $httpd->take_log(qr/FO0001: replica outage/);    # there is none in this test
    $httpd->allow_log(qr/\[wsgi:error\] .*the broker does not take a task/);
    $httpd->done;
}
$worker->allow_log(qr/consumer: (?:Cannot connect|Connection to broker lost)|^Traceback|PendingDeprecationWarning/);
$worker->stop;
$worker->done;
$mq->allow_log(qr/closing AMQP connection|client unexpectedly closed/);
$_->done for $mq, $db;
done_testing;

# ---------------------------------------------------------------- helpers

sub workers_confirm ($when) {
    confirmed( $httpd{$_}, qr/$WORKER/, "$_: $when" ) for qw(embedded daemon);
    return;
}

# Places an order, which is to be confirmed by these in the end.
sub confirmed ( $httpd, $who, $what ) {
    my $answer = $httpd->get( '/orders', method => 'POST' );
    my ($number) = $answer->body =~ /^order (\d+)$/ or return fail("$what: " . $answer->status . ' ' . $answer->body);
    my $last = '';
    ok eval { wait_for( sub { ( $last = $httpd->body("/orders/$number") =~ s/\s+\z//r ) =~ /^order $number, confirmed by $who$/ }, 'the confirmation', 30 ) },
        "$what: $last" or diag "the last was: $last";
    return;
}

# Requests, which trigger pings, until httpd's error log has this line.
sub told ( $httpd, $line ) {
    wait_for( sub { $httpd->get('/'); $httpd->error_log =~ $line }, "$line", 20 );
    return;
}

# How often the application has tried the broker in vain.
sub refusals ($httpd) { return scalar( () = $httpd->error_log =~ /the broker does not take a task/g ) }
