# A private memcached, over TCP, or over a socket file alone: new( is_local => 1 ).
package Failover::Server::Memcached;

use v5.36;
use parent 'Failover::Server';
use Failover::Process;
use IO::Socket::INET;
use IO::Socket::UNIX;

sub _command ($self) {
    my $program = Failover::Process::find_program('memcached');
    my @where   = $self->{is_local} ? ( '-s', $self->socket, '-a', '0777' ) : ( '-l', '127.0.0.1', '-p', $self->{port}, '-U', 0 );
    return ( $program, @where, '-m', 8, '-t', 1 );
}

sub socket ($self) { return "$self->{dir}/socket" }

sub _is_ready ($self) { return $self->ask("version\r\n") =~ /^VERSION / }

# Sends one line and returns the answer's first one; empty where nobody listens.
sub ask ( $self, $line ) {
    my $socket = ( $self->{is_local} ? IO::Socket::UNIX->new( Peer => $self->socket ) : IO::Socket::INET->new( $self->address ) )
        or return '';
    $socket->syswrite($line);
    return $socket->getline // '';
}

# It is silent by default: whatever it says is worth a look.
sub _is_bad ($line) { return $line =~ /\S/ }

1;
