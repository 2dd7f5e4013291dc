# A private PostgreSQL with a database of its own, set up for speed. `postgres` is the superuser, and
# logs in by the Unix socket alone.
#
#     my $db = Failover::Server::PostgreSQL->new->start;
#     $db->sql('CREATE DATABASE shop');
#     my ($n) = $db->sql( 'SELECT count(*) FROM product', 'shop' );
#     $db->pause;                                # stops the postmaster: nobody answers a connect
#     $db->set( ssl_cert_file => $cert );        # from now on
#     $db->hba('host all all all trust');        # likewise; by TCP
#     $db->stop;
#     $db->stand_by('open')->start;              # in recovery, and clients may read
#     $db->promote;
package Failover::Server::PostgreSQL;

use v5.36;
use parent 'Failover::Server';
use Failover::Cleanup qw(private_folder);
use Failover::File;
use Failover::Process;
use Failover::Wait;

my %SPEED = ( fsync => 'off', shared_buffers => '1MB', autovacuum => 'off', jit => 'off' );

#   settings   further ones for postgresql.conf, by reference
#   clone      a function of the server that makes its folder of data, instead of an empty cluster
sub _prepare ($self) {
    $self->{data}     = "$self->{dir}/data";
    $self->{settings} = {
        %SPEED,
        listen_addresses        => '127.0.0.1',
        port                    => $self->{port},
        unix_socket_directories => $self->{dir},
        %{ $self->{settings} // {} },
    };
    ( $self->{clone} // \&_copy_template )->($self);
    $self->_write_settings;
    $self->_write_hba('host all all all scram-sha-256');
    return;
}

sub data ($self) { return $self->{data} }

sub _copy_template ($self) {
    my ( $code, $output ) = Failover::Process->run(
        command => [ 'cp', '-a', '--', _template( $self->{user} ), $self->{data} ],
        output  => "$self->{dir}/prepare",
    );
    die "cannot copy PostgreSQL's empty cluster:\n$output" if $code;
    return;
}

# Changes settings that need no restart.
sub set ( $self, %setting ) {
    $self->{settings}{$_} = $setting{$_} for keys %setting;
    $self->_write_settings;
    return $self->_reload;
}

# What pg_hba.conf says of those who come by TCP.
sub hba ( $self, @line ) {
    $self->_write_hba(@line);
    return $self->_reload;
}

# Runs SQL as the superuser, through the socket: the rows, each one's columns joined by '|'. Dies
# with the server's words on an error.
sub sql ( $self, $statement, $database = 'postgres' ) {
    return $self->_psql( $database, '-c', $statement );
}

# The same with a file for psql, which may change the database by \connect.
sub sql_file ( $self, $path ) { return $self->_psql( 'postgres', '-f', $path ) }

sub _psql ( $self, $database, @words ) {
    my ( $code, $output ) = $self->_client( $database, @words );
    die "$self->{name}: @words\n$output" if $code;
    return split /\n/, $output;
}

# A role that may log in, and connect where PUBLIC may.
sub create_user ( $self, $user, $password = undef ) {
    $self->sql( "CREATE ROLE $user LOGIN" . ( defined $password ? " PASSWORD '$password'" : '' ) );
    return;
}

# From its next start on it waits for a primary that never comes: open to those who read, or closed.
sub stand_by ( $self, $how ) {
    $self->{standby} = $how;
    $self->{settings}{restore_command} = '/bin/false';
    $self->{settings}{hot_standby}     = $how eq 'open' ? 'on' : 'off';
    $self->_own( spew( "$self->{data}/standby.signal", '' ) );
    $self->_write_settings;
    return $self;
}

# Ends the recovery, and returns when it has ended.
sub promote ($self) {
    $self->_own( spew( "$self->{data}/promote", '' ) );
    $self->{process}->signal('USR1');
    $self->{standby} = '';
    wait_for( sub { $self->_last_start =~ /archive recovery complete.*ready to accept connections/s }, 'the promotion', 30 );
    return;
}

# A fast shutdown: clients are sent away.
sub stop ( $self, $limit = 30 ) {
    my $process = delete $self->{process} // return 0;
    $process->signal_group('CONT');
    return $process->stop( 'INT', $limit );
}

# Its children have process groups of their own, and end when they see that it has gone.
sub crash ($self) {
    my $process = delete $self->{process} // return;
    my @child   = $process->children;
    $process->kill_now;
    wait_for( sub { !$process->leader_alive && !grep { Failover::Process::is_running($_) } @child }, 'its children to end' );
    return;
}

# Politely: what it does after kill -9 would be in its log.
sub done ( $self, @name ) {
    $self->stop;
    return $self->SUPER::done(@name);
}

sub _command ($self) { return ( _program('postgres'), '-D', $self->{data} ) }

# By its log: whoever asks it too early is in there as an error.
sub _is_ready ($self) {
    my $is_closed = ( $self->{standby} // '' ) eq 'closed';
    return $self->_last_start =~ ( $is_closed ? qr/consistent recovery state/ : qr/ready to accept (?:read-only )?connections/ );
}

# What the log holds of it.
sub _last_start ($self) { return substr $self->log_text, $self->{started_at} }

sub start ( $self, @limit ) {
    $self->{started_at} = length $self->log_text;
    return $self->SUPER::start(@limit);
}

# What it says of itself when it starts, stops, recovers and reads its settings.
my @ITSELF = (
    'starting PostgreSQL', 'listening on', 'database system ', 'received ', 'shutting down', 'checkpoint ', 'aborting any active',
    'background worker ', 'parameter "', 'redo ', 'entering standby mode', 'consistent recovery state', 'invalid record length',
    'selected new timeline', 'archive recovery complete', 'last completed transaction', 'waiting for WAL',
    'starting backup recovery', 'completed backup recovery', 'started streaming WAL',
);
my $ITSELF = join '|', map {quotemeta} @ITSELF;

sub _is_bad ($line) { return $line =~ /\b(?:WARNING|ERROR|LOG|FATAL|PANIC):/ && $line !~ /LOG:  (?:$ITSELF)/ }

sub _client ( $self, $database, @words ) {
    my $output = "$self->{dir}/client";
    unlink $output;
    return Failover::Process->run(
        command => [
            _program('psql'), '--no-psqlrc', '--no-password', '--tuples-only', '--no-align', '--quiet', '-v', 'ON_ERROR_STOP=1',
            "--host=$self->{dir}", "--port=$self->{port}", '--username=postgres', "--dbname=$database", @words,
        ],
        output => $output,
    );
}

sub _write_settings ($self) {
    my $text = join '', map {"$_ = '$self->{settings}{$_}'\n"} sort keys %{ $self->{settings} };
    $self->_own( spew( "$self->{data}/postgresql.conf", $text ) );
    return;
}

sub _write_hba ( $self, @line ) {
    $self->_own( spew( "$self->{data}/pg_hba.conf", join "\n", 'local all postgres trust', 'local all all scram-sha-256', @line, '' ) );
    return;
}

# Until a new client is served by what was read; the postmaster reads before it accepts again.
sub _reload ($self) {
    my ($before) = $self->sql('SELECT pg_conf_load_time()');
    $self->{process}->signal('HUP');
    wait_for( sub { ( $self->sql('SELECT pg_conf_load_time()') )[0] ne $before }, 'the settings to be read' );
    return;
}

# Debian keeps them out of the path, in a folder for each version.
sub _program ($name) {
    my @folder = sort { ( $b =~ /(\d+)/ )[0] <=> ( $a =~ /(\d+)/ )[0] } grep {m{/\d+/bin$}} glob '/usr/lib/postgresql/*/bin';
    local $ENV{PATH} = join ':', @folder, $ENV{PATH} // '';
    return Failover::Process::find_program($name);
}

# An empty cluster, made once per test program: a server's is a copy.
sub _template ($user) {
    state %made;
    return $made{$user} //= _make_template($user);
}

sub _make_template ($user) {
    my $dir = private_folder('initdb');
    chown( ( getpwnam $user )[ 2, 3 ], $dir ) if $> == 0;
    my ( $code, $output ) = Failover::Process->run(
        command => [
            _program('initdb'), "--pgdata=$dir/data", '--username=postgres', '--auth=trust', '--no-sync', '--no-instructions',
            '--encoding=UTF8', '--locale=C',
        ],
        output => "$dir/log", user => $user, limit => 120,
    );
    die "cannot create a PostgreSQL cluster:\n$output" if $code;
    return "$dir/data";
}

1;
