# examples/postgresql-replication as it stands: a primary and a standby, each of them killed, the
# standby promoted, the old primary that comes back, and what it takes to make it a standby.
use v5.36;
use Test::More;
use Failover::File;
use Failover::Httpd;
use Failover::Process;
use Failover::Recipe;
use Failover::Seen;
use Failover::Server::PhpFpm;
use Failover::Server::PostgreSQL;
use Failover::Wait;
use File::Basename qw(dirname);

my $PID     = qr/\(Process ID: \d+\)/;
my $php     = Failover::Server::PhpFpm->new->start;
my $primary = start_db('db1');
$primary->sql_file( recipe_path('postgresql-replication/primary.sql') );
my $standby = start_db( 'db2', $primary );
my $httpd   = Failover::Httpd->new( modules => [qw(env proxy proxy_fcgi)], config => config( $primary, $standby ) );
$httpd->file( 'secrets/monitor', "monitor-secret\n", 0400 );
$httpd->file( 'htdocs/shop.php', recipe_text('postgresql-replication/shop.php') );
$httpd->allow_log(qr/FO0009: .* a ping may take/);
$httpd->allow_log(qr/AH01071: Got error 'PHP message: SQLSTATE/);    # of pages that met an outage before a ping did
$php->allow_log(qr/said into stderr/);
$httpd->start;
my $products = 3;

subtest 'all is well' => sub {
    reads_from( standby => $standby, 'at first' );
    is adds()->status, 201, 'something new';
    reads_from( standby => $standby, 'it is there' );
};

subtest 'the standby dies' => sub {
    my $began = now();
    $standby->crash;
    reads_from( primary => $primary, 'kill -9' );
    outage_is( $httpd, 'replica', $standby->address, 'connect: Connection refused' );
    is adds()->status, 201, 'something new meanwhile';
    $standby->start;
    reads_from( standby => $standby, 'it is back' );
    recovery_is( $httpd, 'replica', $began );
};

subtest 'the primary dies' => sub {
    my $began = now();
    $primary->crash;
    my $answer;
    wait_for( sub { ( $answer = adds() )->body =~ /takes nothing new/ }, 'the page to be read-only' );
    is $answer->status, 503, 'nothing new';
    outage_is( $httpd, 'writer', 'primary', 'connect: Connection refused' );
    reads_from( standby => $standby, 'the standby is still one' );

    $standby->promote;
    wait_for( sub { adds()->status == 201 }, 'the new primary to be written to' );
    like $httpd->take_log(qr/FO0017/), qr/:notice\] .*FO0017: writer: endpoint standby is back, using it $PID after \d+m?s$/, 'the line of the writer';
    reads_from( primary => $standby, 'and read from' );
    outage_is( $httpd, 'replica', $standby->address, 'answer: it is the primary, no replica' );
};

# Nobody has told it, so it takes itself for the primary. Nothing must go there.
subtest 'the old primary comes back' => sub {
    $primary->start;
    wait_for( sub { $httpd->body('/shop.php'); $httpd->error_log =~ /FO0021: writer: endpoint primary / }, 'a ping that finds it' );
    like $httpd->take_log(qr/FO0021: writer: endpoint primary /), qr/:info\] .*writer: endpoint primary is back, not in use $PID$/, 'it is seen';
    my $pings = sessions($primary);
    wait_for( sub { $httpd->body('/shop.php'); sessions($primary) > $pings + 5 }, 'the time in which it would be gone back to' );
    is adds()->status, 201, 'something new';
    reads_from( primary => $standby, 'it went to the new one' );
    is +( $primary->sql( 'SELECT count(*) FROM product', 'shop' ) )[0], $products - 2, 'and not to the old one';
};

# The two have changed places, and so do their names in the configuration.
subtest 'the old primary is made a standby' => sub {
    $primary->stop;
    my $again = start_db( 'db3', $standby );
    $httpd->config( config( $standby, $again ) );
    $httpd->graceful;
    reads_from( standby => $again, 'it is read from' );
    is adds()->status, 201, 'something new';
    reads_from( standby => $again, 'it is there' );
    is +( $standby->sql( 'SELECT count(*) FROM product', 'shop' ) )[0], $products, 'by way of the new primary';
    $httpd->done;
    $again->done;
};

$_->done for $standby, $primary, $php;
done_testing;

# ---------------------------------------------------------------- helpers

sub config ( $first, $second ) {
    return join "\n",
        'Define DB_PRIMARY_HOST 127.0.0.1', 'Define DB_PRIMARY_PORT ' . $first->port,
        'Define DB_STANDBY_HOST 127.0.0.1', 'Define DB_STANDBY_PORT ' . $second->port,
        'Define SHOP_SECRETS @DIR@/secrets', 'Define SHOP_PHP fcgi://' . $php->address,
        'Include ' . recipe_path('postgresql-replication/httpd.conf'), impatient();
}

# With the recipe's settings; a standby of $primary, or a primary.
sub start_db ( $name, $primary = undef ) {
    my $db = Failover::Server::PostgreSQL->new(
        name     => $name,
        settings => { include => recipe_path('postgresql-replication/replication.conf') },
        $primary ? ( clone => sub ($self) { clone( $self, $primary, $name ) } ) : (),
    )->start;
    $db->hba( split /\n/, recipe_text( 'postgresql-replication/pg_hba.conf', '192.0.2.0/24' => '127.0.0.1/32' ) );
    # Of a primary, or of a client, that was killed, and of a stop.
    $db->allow_log(qr/terminating (?:connection|walreceiver process) due to administrator command/);
    $db->allow_log(qr/could not (?:receive|send) data|could not connect to the primary server/);
    return $db;
}

# By the recipe's script, as the server's user.
sub clone ( $self, $primary, $slot ) {
    my $pass   = spew( $self->dir . '/pgpass', "*:*:replication:repl:repl-secret\n", 0600 );
    my $script = spew( $self->dir . '/clone', recipe_text('postgresql-replication/clone'), 0755 );
    $self->_own($pass);
    my ( $code, $output ) = Failover::Process->run(
        command => [ $script, '127.0.0.1', $primary->port, $slot, $self->data ],
        env     => { PATH => dirname( Failover::Server::PostgreSQL::_program('pg_basebackup') ) . ":$ENV{PATH}", PGPASSFILE => $pass },
        user    => $self->{user},
        output  => $self->dir . '/clone.out',
    );
    die "clone:\n$output" if $code;
    return;
}

# Until the page says so, with all that was added.
sub reads_from ( $role, $db, $what ) {
    my $wanted = "$products products, read from the $role (" . $db->address . ")\n";
    my $last   = '';
    ok eval { wait_for( sub { ( $last = $httpd->body('/shop.php') ) eq $wanted }, $wanted, 20 ) }, "$what: $role"
        or diag "the last was: $last";
    return;
}

# How many have logged in to its database and left.
sub sessions ($db) { return ( $db->sql(q{SELECT sessions FROM pg_stat_database WHERE datname = 'shop'}) )[0] }

sub adds () {
    my $answer = $httpd->get(
        '/shop.php', method => 'POST', body => 'name=scarf', headers => { 'Content-Type' => 'application/x-www-form-urlencoded' } );
    $products++ if $answer->status == 201;
    return $answer;
}
