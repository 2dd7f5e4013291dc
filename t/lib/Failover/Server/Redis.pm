# A private Redis without a password and without snapshots.
#
#     my $redis = Failover::Server::Redis->new( config => "requirepass x\n" )->start;
#     $redis->ask( 'CONFIG', 'SET', 'maxclients', 4 );    # dies of an error
#     $redis->counter('rejected_connections');            # of INFO
#     Failover::Server::Redis->cluster(3);                # three of them, started, with all slots
#     my $port = $redis->tls_port;                        # made with tls => { 'cert-file' => $cert, ... }
package Failover::Server::Redis;

use v5.36;
use parent 'Failover::Server';
use Failover::File;
use Failover::Port qw(free_port);
use Failover::Process;
use Failover::Wait;
use IO::Socket::INET;

#   config     further lines of its configuration
#   password   what ask() logs in with
#   is_loading 1: it is ready as soon as it answers that it still loads
#   tls        one more port, for TLS; the keys are those of redis.conf without tls-
sub _prepare ($self) {
    my %tls = %{ $self->{tls} // {} };
    $tls{port} = $self->{tls_port} = free_port() if %tls;
    my $tls  = join '', map {"tls-$_ $tls{$_}\n"} sort keys %tls;
    my $file = spew( "$self->{dir}/redis.conf", <<~"CONF" . $tls . ( $self->{config} // '' ) );
        bind $self->{host}
        port $self->{port}
        dir $self->{dir}
        save ""
        appendonly no
        databases 16
        loglevel verbose
        repl-diskless-sync-delay 0
        CONF
    $self->_own($file);
    return;
}

sub tls_port ($self) { return $self->{tls_port} }

sub _command ($self) { return ( Failover::Process::find_program('redis-server'), "$self->{dir}/redis.conf" ) }

sub _is_ready ($self) {
    my $said = eval { $self->_say('PING') } // '';
    return $said =~ ( $self->{is_loading} ? qr/^-LOADING/ : qr/^(?:\+PONG|-(?!LOADING))/ );
}

# One command, and its answer: words; the bytes of a long one.
sub ask ( $self, @word ) {
    my $said = $self->_say(@word);
    die "$self->{name}: @word: $said\n" if $said !~ /^[+:\$*]/;
    return $said =~ s/^(?:[+:]|\$\d+\r\n)//r =~ s/\r\n\z//r;
}

# A number of INFO.
sub counter ( $self, $name ) {
    my ($value) = $self->ask( 'INFO', 'all' ) =~ /^\Q$name\E:(\d+)/m;
    return $value // die "$self->{name}: INFO has no $name\n";
}

# How many errors of this kind it has answered, as its INFO counts them: 'NOAUTH'.
sub errors ( $self, $kind ) {
    return $self->ask( 'INFO', 'errorstats' ) =~ /^errorstat_\Q$kind\E:count=(\d+)/m ? $1 : 0;
}

# So many primaries that know each other and share all slots.
sub cluster ( $class, $n ) {
    my @node = map { $class->new( name => "node$_", config => _cluster_lines() )->start } 1 .. $n;
    my $share = int( 16_384 / $n );
    for my $i ( 0 .. $#node ) {
        my $last = $i == $#node ? 16_383 : $share * ( $i + 1 ) - 1;
        $node[$i]->ask( 'CLUSTER', 'ADDSLOTSRANGE', $share * $i, $last );
        $node[0]->ask( 'CLUSTER', 'MEET', '127.0.0.1', $node[$i]->port, $node[$i]->_bus_port ) if $i;
    }
    wait_for( sub { !grep { $_->ask( 'CLUSTER', 'INFO' ) !~ /cluster_state:ok\r\n.*cluster_known_nodes:$n\r/s } @node }, 'the cluster to be whole', 30 );
    return @node;
}

sub _cluster_lines () {
    return "cluster-enabled yes\ncluster-port @{[ free_port() ]}\ncluster-node-timeout 1000\n";
}

sub _bus_port ($self) { return $self->{config} =~ /^cluster-port (\d+)/m ? $1 : die "$self->{name} is no node of a cluster\n" }

sub _say ( $self, @word ) {
    my $socket = IO::Socket::INET->new( PeerAddr => $self->address, Timeout => 5 ) or die "$self->{name} does not listen\n";
    local $SIG{ALRM} = sub { die "$self->{name} does not answer\n" };
    alarm 10;
    $socket->print( map { _command_of(@$_) } ( $self->{password} ? [ 'AUTH', $self->{password} ] : () ), \@word );
    $socket->flush;
    _read_reply($socket) if $self->{password};
    my $said = _read_reply($socket);
    alarm 0;
    return $said;
}

sub _command_of (@word) { return '*' . @word . "\r\n" . join '', map { '$' . length() . "\r\n$_\r\n" } @word }

# As it came; of an array the parts behind each other.
sub _read_reply ($socket) {
    my $line = $socket->getline // die "closed\n";
    if ( $line =~ /^\$(\d+)/ ) {
        read $socket, my $bytes, $1 + 2;
        return $line . $bytes;
    }
    return join '', $line, map { _read_reply($socket) } 1 .. ( $line =~ /^\*(\d+)/ ? $1 : 0 );
}

# '#' stands before what it warns of, and before these lines of each start and end.
sub _is_bad ($line) {
    state $usual = qr/oO0OoO0OoO0Oo|Redis version=|Configuration loaded|Server initialized|Memory overcommit|Transparent Huge|TCP backlog|exit now|ready to exit|bye bye/;
    return $line =~ /^\d+:[A-Z] \d+ \w+ \d+ [\d:.]+ # / && $line !~ $usual;
}

1;
