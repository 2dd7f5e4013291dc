# A private MariaDB with empty tables of its own, set up for speed.
#
#     my $db = Failover::Server::MariaDB->new( name => 'replica' )->start;
#     $db->sql('CREATE DATABASE shop');
#     my ($n) = $db->sql('SELECT COUNT(*) FROM shop.product');
package Failover::Server::MariaDB;

use v5.36;
use parent 'Failover::Server';
use Failover::Cleanup qw(private_folder);
use Failover::File;
use Failover::Process;

# Small and quick: what it holds survives kill -9, and need not survive a power cut.
my @SPEED = qw(
    --innodb-buffer-pool-size=8M --innodb-log-file-size=4M
    --innodb-flush-method=nosync --innodb-flush-log-at-trx-commit=2 --innodb-use-native-aio=0
    --innodb-buffer-pool-load-at-startup=0 --innodb-buffer-pool-dump-at-shutdown=0
    --key-buffer-size=1M --aria-pagecache-buffer-size=1M --table-open-cache=64
    --table-definition-cache=400 --max-connections=50 --open-files-limit=1024 --thread-cache-size=0
);

#   bind                 127.0.0.1
#   defaults             an option file; what is said here has the last word. Without one there are no
#                        defaults, and no binary log
#   data                 the folder of its tables, which is not there yet; in the private folder
#   tmp                  that of its temporary tables. When a MariaDB starts it removes all of them that it
#                        finds, so no two may have the same one; the private folder
#   performance_schema   off
#   resolve_names        off; with it on, MariaDB looks up who connects (its host cache needs that)
sub _prepare ($self) {
    $self->{data} //= "$self->{dir}/data";
    $self->{tmp}  //= $self->{dir};
    $self->_own( spew( $self->_defaults, slurp( $self->{defaults} ) ) ) if $self->{defaults};
    my ( $code, $output ) = Failover::Process->run(
        command => [ 'cp', '-a', '--', _template( $self->{user} ), $self->{data} ],
        output  => "$self->{dir}/prepare",
    );
    die "cannot copy MariaDB's empty tables:\n$output" if $code;
    $self->allow_log(qr/failed to retrieve the MAC address/);    # where there is no network card
    return;
}

sub _command ($self) {
    return (
        Failover::Process::find_program( 'mariadbd', 'mysqld' ),
        ( $self->{defaults} ? '--defaults-file=' . $self->_defaults : qw(--no-defaults --skip-log-bin) ), @SPEED,
        "--datadir=$self->{data}",            "--socket=" . $self->socket,
        "--pid-file=$self->{dir}/pid",        "--port=$self->{port}",
        "--tmpdir=$self->{tmp}",
        '--bind-address=' . ( $self->{bind} // '127.0.0.1' ),
        ( $self->{resolve_names} ? () : '--skip-name-resolve' ),
        '--performance-schema=' . ( $self->{performance_schema} ? 'ON' : 'OFF' ),
    );
}

sub _defaults ($self) { return "$self->{dir}/my.cnf" }

sub socket ($self) { return "$self->{dir}/socket" }

# Runs SQL as root, through the socket: the rows, each one's columns joined by tabs. Dies with the
# server's words on an error.
sub sql ( $self, $statement ) {
    my ( $code, $output ) = $self->_client($statement);
    die "$self->{name}: $statement\n$output" if $code;
    return split /\n/, $output;
}

# A user that can do as little as a ping needs, and, where a database is named, read that.
sub create_user ( $self, $user, $password, $database = undef ) {
    $self->sql("CREATE USER '$user'\@'%' IDENTIFIED BY '$password'");
    $self->sql("GRANT SELECT ON $database.* TO '$user'\@'%'") if defined $database;
    return;
}

# Waits until this replica holds all that its primary holds now.
sub catch_up_with ( $self, $primary ) {
    my ($position) = $primary->sql('SELECT @@gtid_binlog_pos');
    my ($code)     = $self->sql("SELECT MASTER_GTID_WAIT('$position', 20)");
    die "$self->{name} is not at $position\n" if $code ne '0';
    return;
}

# A counter of SHOW GLOBAL STATUS, such as Aborted_connects.
sub status ( $self, $variable ) {
    my ($row) = $self->sql("SHOW GLOBAL STATUS LIKE '$variable'");
    return ( split /\t/, $row )[1];
}

sub _is_ready ($self) {
    return 0 if !-S $self->socket;
    my ($code) = $self->_client('SELECT 1');
    return $code == 0;
}

sub _client ( $self, $statement ) {
    my $output = "$self->{dir}/client";
    unlink $output;
    return Failover::Process->run(
        command => [
            Failover::Process::find_program( 'mariadb', 'mysql' ), '--no-defaults', '--user=root',
            '--socket=' . $self->socket, '--batch', '--skip-column-names', '-e', $statement,
        ],
        output => $output,
    );
}

sub _is_bad ($line) { return $line =~ /\[(?:Warning|ERROR)\]/ }

# The folder of empty system tables, made once per test program: a second server's are a copy.
sub _template ($user) {
    state %made;
    return $made{$user} //= _make_template($user);
}

sub _make_template ($user) {
    my $dir = private_folder('install');

    # Users at a host's name would be warned about in each log where names are not resolved.
    my $local_root = spew( "$dir/local-root.sql", <<~'SQL' );
        DELETE FROM mysql.global_priv WHERE Host <> 'localhost';
        DELETE FROM mysql.proxies_priv WHERE Host <> 'localhost';
        SQL
    mkdir "$dir/data" or die "cannot create $dir/data: $!\n";
    chown( ( getpwnam $user )[ 2, 3 ], $dir, "$dir/data" ) if $> == 0;
    my ( $code, $output ) = Failover::Process->run(
        command => [
            Failover::Process::find_program( 'mariadb-install-db', 'mysql_install_db' ),
            '--no-defaults', '--skip-log-bin', "--datadir=$dir/data", "--tmpdir=$dir", '--auth-root-authentication-method=normal',
            '--skip-test-db', '--skip-name-resolve', "--extra-file=$local_root", @SPEED,
        ],
        output => "$dir/log", user => $user, limit => 120,
    );
    die "cannot create MariaDB's system tables:\n$output" if $code;
    return "$dir/data";
}

1;
