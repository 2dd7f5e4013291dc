# A program that listens where it is told and needs no more than that, such as an application of an
# example:
#
#     my $words = sub ($server) { $server->address };
#     my $app   = Failover::Server::Program->new( file => 'app.pl', words => $words )->start;
package Failover::Server::Program;

use v5.36;
use parent 'Failover::Server';
use Failover::File;
use IO::Socket::INET;

#   file    the program; a copy of it is run, which the server's user can read
#   words   a function that returns its arguments
sub _prepare ($self) {
    $self->_own( $self->{program} = spew( "$self->{dir}/program", slurp( $self->{file} ), 0755 ) );
    return;
}

sub _command ($self) { return ( $self->{program}, $self->{words}->($self) ) }

sub _is_ready ($self) { return IO::Socket::INET->new( $self->address ) ? 1 : 0 }

# Whatever it says is worth a look.
sub _is_bad ($line) { return $line =~ /\S/ }

1;
