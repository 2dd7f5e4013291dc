# A private RabbitMQ node without guests or plugins, with an epmd of its own. Each is the leader of a
# process group and ends with it; Erlang's helpers for names and ports end when their pipe does.
#
#     my $mq = Failover::Server::RabbitMQ->new->start;
#     $mq->add_vhost('shop');
#     $mq->add_user( monitor => 'secret', 'shop' );    # may open shop, and nothing in it
#     $mq->permit( app => 'shop' );                    # may do everything in there
#     $mq->limit_user( monitor => 0 );                 # connections; undef: no limit any more
#     my $port = $mq->listen_tls( certfile => $cert, keyfile => $key );
package Failover::Server::RabbitMQ;

use v5.36;
use parent 'Failover::Server';
use Failover::File;
use Failover::Port qw(free_port);
use Failover::Process;
use Failover::Wait;
use IO::Socket::INET;

sub _prepare ($self) {
    my $dir = $self->{dir};
    $self->{$_} = free_port() for qw(distribution_port epmd_port);
    spew( "$dir/rabbitmq.conf", <<~"CONF" );
        listeners.tcp.1 = 127.0.0.1:$self->{port}
        load_definitions = $dir/definitions.json
        num_acceptors.tcp = 2
        disk_free_limit.absolute = 1MB
        CONF

    # Where there are definitions to load, no guest is made.
    spew( "$dir/definitions.json", '{"users": [], "vhosts": [{"name": "/"}]}' );
    spew( "$dir/plugins",          "[].\n" );
    spew( "$dir/environment",      '' );
    spew( "$dir/.erlang.cookie",   join( '', map { chr 65 + rand 26 } 1 .. 20 ), 0400 );
    mkdir "$dir/$_" or die "cannot create $dir/$_: $!\n" for qw(data generated);
    $self->_own( map {"$dir/$_"} qw(data generated plugins .erlang.cookie) );
    return;
}

# Kept up beside the node, for nobody else: nothing of the machine's own is asked or told.
sub start ( $self, $limit = 60 ) {
    $self->{epmd} //= Failover::Process->start(
        command => [ $self->_with_environment( Failover::Process::find_program('epmd') ) ],
        output  => "$self->{dir}/epmd.log",
        user    => $self->{user},
    );
    my $at = "127.0.0.1:$self->{epmd_port}";
    wait_for( sub { IO::Socket::INET->new($at) }, 'epmd to start' );
    $self->{starts} = $self->_starts + 1;
    return $self->SUPER::start($limit);
}

sub done ( $self, @arg ) {
    my $is_fine = $self->SUPER::done(@arg);
    $self->_end_epmd;
    return $is_fine;
}

sub DESTROY ($self) {
    local ( $@, $?, $! );
    eval { $self->_end_epmd };
    return $self->SUPER::DESTROY;
}

# ---------------------------------------------------------------- what rabbitmqctl does

sub add_vhost ( $self, $vhost ) { return $self->call( 'rabbit_vhost', 'add', $vhost, 'test' ) }

# May open these virtual hosts, and nothing in them.
sub add_user ( $self, $user, $password, @vhost ) {
    $self->call( 'rabbit_auth_backend_internal', 'add_user', $user, $password, 'test' );
    $self->_permit( $user, $_, '^$' ) for @vhost;
    return;
}

# May configure, write and read everything in this virtual host.
sub permit ( $self, $user, $vhost ) { return $self->_permit( $user, $vhost, '.*' ) }

sub _permit ( $self, $user, $vhost, $what ) {
    return $self->call( 'rabbit_auth_backend_internal', 'set_permissions', $user, $vhost, ($what) x 3, 'test' );
}

# How many connections a user, or a virtual host, may have; undef: as many as they like.
sub limit_user ( $self, $user, $limit ) {
    return $self->call( 'rabbit_auth_backend_internal', 'clear_user_limits', $user, 'all', 'test' ) if !defined $limit;
    return $self->call( 'rabbit_auth_backend_internal', 'set_user_limits', $user, qq({"max-connections":$limit}), 'test' );
}

sub limit_vhost ( $self, $vhost, $limit ) {
    return $self->call( 'rabbit_vhost_limit', 'clear', $vhost, 'test' ) if !defined $limit;
    return $self->call( 'rabbit_vhost_limit', 'set', $vhost, \"[{<<\"max-connections\">>,$limit}]", 'test' );
}

# One more listener, for TLS, until the node ends: its port. The keys are those of Erlang's ssl:
# certfile, keyfile, cacertfile, verify, fail_if_no_peer_cert.
sub listen_tls ( $self, %option ) {
    my $port = free_port();
    my $list = join ',', map {"{$_," . ( /file$/ ? qq("$option{$_}") : $option{$_} ) . '}'} sort keys %option;
    $self->call( 'rabbit_networking', 'start_ssl_listener', \qq({"127.0.0.1",$port}), \"[$list]", \'1' );
    return $port;
}

# Calls a function of the node: the words are binaries, references to words are Erlang's own terms.
# Dies unless it returns ok.
sub call ( $self, $module, $function, @word ) {
    my $list    = join ', ', map { ref ? $$_ : '<<"' . s/(["\\])/\\$1/gr . '">>' } @word;
    my $code    = spew( "$self->{dir}/call.in", "$module:$function($list).\n" );
    my @program = (
        Failover::Process::find_program('erl_call'), '-h', "call$$", '-sname', $self->_node, '-timeout', 20, '-e',
    );
    unlink "$code.out";
    my ( $exit, $said ) = Failover::Process->run(
        command => [ $self->_with_environment( 'sh', '-c', 'exec "$@" <"$0"', $code, @program ) ],
        output  => "$code.out",
    );
    die "$self->{name}: $module:$function($list): $said\n" if $exit || $said !~ /^\{ok, \{?ok\b/;
    return;
}

# ---------------------------------------------------------------- how it is run

# The program behind Debian's wrapper, which insists on a user of its own.
sub _command ($self) {
    local $ENV{PATH} = '/usr/lib/rabbitmq/bin:' . ( $ENV{PATH} // '' );
    return $self->_with_environment( Failover::Process::find_program('rabbitmq-server') );
}

sub _node ($self) { return "fo$self->{port}\@localhost" }

sub _with_environment ( $self, @command ) {
    my $dir = $self->{dir};
    my %set = (
        HOME                          => $dir,
        ERL_EPMD_ADDRESS              => '127.0.0.1',
        ERL_EPMD_PORT                 => $self->{epmd_port},
        ERL_CRASH_DUMP                => "$dir/data/crash",
        RABBITMQ_CONF_ENV_FILE        => "$dir/environment",
        RABBITMQ_CONFIG_FILE          => "$dir/rabbitmq.conf",
        RABBITMQ_ADVANCED_CONFIG_FILE => "$dir/none.config",
        RABBITMQ_GENERATED_CONFIG_DIR => "$dir/generated",
        RABBITMQ_ENABLED_PLUGINS_FILE => "$dir/plugins",
        RABBITMQ_MNESIA_BASE          => "$dir/data",
        RABBITMQ_LOG_BASE             => "$dir/data",
        RABBITMQ_LOGS                 => '-',
        RABBITMQ_PID_FILE             => "$dir/data/pid",
        RABBITMQ_NODENAME             => $self->_node,
        RABBITMQ_NODE_IP_ADDRESS      => '127.0.0.1',
        RABBITMQ_NODE_PORT            => $self->{port},
        RABBITMQ_DIST_PORT            => $self->{distribution_port},
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS =>
            '+S 1:1 +A 1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}',
    );
    return ( Failover::Process::find_program('env'), ( map {"$_=$set{$_}"} sort keys %set ), @command );
}

sub _starts ($self) { return scalar( () = $self->log_text =~ /Server startup complete/g ) }

sub _is_ready ($self) { return $self->_starts >= $self->{starts} }

# It warns of the empty store of each new virtual host.
sub _is_bad ($line) {
    return $line =~ /\[(?:warning|error|critical|alert|emergency)\]/ && $line !~ /rebuilding indices from scratch/;
}

sub _end_epmd ($self) {
    my $epmd = delete $self->{epmd} // return;
    $epmd->kill_now;
    return;
}

1;
