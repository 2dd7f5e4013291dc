# What the real servers have in common: a private folder, a free port, a log that is judged, and
# faults made for real. See Failover::Server::MariaDB, ::Memcached and ::PhpFpm.
#
#     my $db = Failover::Server::MariaDB->new->start;
#     $db->crash;        # kill -9
#     $db->start;        # again, on the same port and data
#     $db->pause;        # SIGSTOP: the kernel accepts, nobody answers
#     $db->resume;
#     $db->stop;
#     $db->done;         # stops it; an unannounced warning in its log fails the test
#
# Each kind says in its own file how it is prepared (_prepare), what command runs it (_command),
# when it is ready (_is_ready), and which lines of its log are bad (_is_bad).
package Failover::Server;

use v5.36;
use Failover::Cleanup qw(private_folder remove_folder);
use Failover::File;
use Failover::Log;
use Failover::Port qw(free_port);
use Failover::Process;
use Failover::Wait;

#   name      for messages; the kind in small letters
#   options   further words for its command line
#   host      an address, for kinds that can listen there
#   port      one that another has got for it
#   user      whom it runs as when the test is run by root
sub new ( $class, %arg ) {
    my $self = bless { host => '127.0.0.1', options => [], user => $class->_user, %arg }, $class;
    $self->{name} //= lc( $class =~ s/.*:://r );
    $self->{dir}  = private_folder( $self->{name} );
    $self->{port} //= free_port();
    $self->{log}  = Failover::Log->new(
        path   => "$self->{dir}/log",
        name   => "the log of $self->{name}",
        is_bad => $class->can('_is_bad'),
    );
    $self->_own( $self->{dir}, spew( "$self->{dir}/log", '' ) );
    $self->_prepare;
    return $self;
}

sub name    ($self) { return $self->{name} }
sub dir     ($self) { return $self->{dir} }
sub port    ($self) { return $self->{port} }
sub address ($self) { return "$self->{host}:$self->{port}" }
sub pid     ($self) { return $self->{process}->pid }

sub is_alive ($self) { return $self->{process} && $self->{process}->leader_alive }

# Starts it and returns when it answers. Dies with the log's tail if it does not.
sub start ( $self, $limit = 30 ) {
    $self->{process} = Failover::Process->start(
        command => [ $self->_command, @{ $self->{options} } ],
        output  => "$self->{dir}/log",
        user    => $self->{user},
    );
    my $ready = eval { wait_for( sub { $self->_ready_or_dead }, "$self->{name} to start", $limit ) };
    die "$@" . $self->{log}->tail if !$ready;
    return $self;
}

# The polite way down. Returns the seconds that it took.
sub stop ( $self, $limit = 30 ) {
    my $process = delete $self->{process} // return 0;
    $process->signal_group('CONT');
    return $process->stop( 'TERM', $limit );
}

# kill -9, and it is gone when this returns.
sub crash ($self) {
    my $process = delete $self->{process} // return;
    $process->kill_now;
    return;
}

sub pause  ($self) { return $self->{process}->suspend_group }
sub resume ($self) { return $self->{process}->signal_group('CONT') }

# The log: announce lines before `done`, or take them as they come. See Failover::Log.
sub expect_log ( $self, @arg ) { return $self->{log}->expect(@arg) }
sub allow_log  ( $self, @arg ) { return $self->{log}->allow(@arg) }
sub take_log   ( $self, @arg ) { return $self->{log}->take(@arg) }
sub log_text ($self) { return $self->{log}->text }
sub log_tail ($self) { return $self->{log}->tail }
sub problems ($self) { return $self->{log}->problems }

# Ends it and makes one test of its log.
sub done ( $self, $name = "$self->{name}: no unannounced line in its log" ) {
    require Test::More;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $self->crash;
    my @problem = $self->problems;
    Test::More::ok( !@problem, $name )
        or Test::More::diag( join "\n", @problem, $self->{log}->tail );
    return !@problem;
}

sub DESTROY ($self) {
    local ( $@, $?, $! );
    eval { $self->crash };
    remove_folder( $self->{dir} );
    return;
}

# Its certificate and key, where its user can read them, and a port for them.
sub _keep_certificate ($self) {
    my @file = map { spew( "$self->{dir}/tls-$_", slurp( $self->{certificate}[$_] ), 0400 ) } 0, 1;
    $self->_own(@file);
    $self->{tls_port} = free_port();
    return @file;
}

sub _ready_or_dead ($self) {
    die "$self->{name} ended instead of starting\n" if !$self->{process}->leader_alive;
    return $self->_is_ready;
}

sub _prepare ($self) { return }
sub _user    ($class) { return 'nobody' }

# Gives a file or folder to the server's user.
sub _own ( $self, @path ) {
    return if $> != 0;
    chown( ( getpwnam $self->{user} )[ 2, 3 ], @path ) == @path or die "cannot chown @path: $!\n";
    return;
}

1;
