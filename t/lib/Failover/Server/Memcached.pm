# A private memcached.
package Failover::Server::Memcached;

use v5.36;
use parent 'Failover::Server';
use Failover::Process;
use IO::Socket::INET;

sub _command ($self) {
    my $program = Failover::Process::find_program('memcached');
    return ( $program, '-l', '127.0.0.1', '-p', $self->{port}, '-U', 0, '-m', 8, '-t', 1 );
}

sub _is_ready ($self) { return $self->ask("version\r\n") =~ /^VERSION / }

# Sends one line and returns the answer's first one; empty where nobody listens.
sub ask ( $self, $line ) {
    my $socket = IO::Socket::INET->new( $self->address ) or return '';
    $socket->syswrite($line);
    return $socket->getline // '';
}

# It is silent by default: whatever it says is worth a look.
sub _is_bad ($line) { return $line =~ /\S/ }

1;
