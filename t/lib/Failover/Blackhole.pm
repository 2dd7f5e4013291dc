# An address that does not even answer a connect, as behind a firewall that drops: a listener whose
# queue is full.
#
#     my $hole = Failover::Blackhole->new;
#     $hole->address;
package Failover::Blackhole;

use v5.36;
use Failover::Port qw(free_port);
use Failover::Wait;
use IO::Select;
use IO::Socket::INET;

sub new ($class) {
    my $port     = free_port();
    my $listener = IO::Socket::INET->new( LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 1 )
        or die "cannot listen: $!\n";
    my $self = bless { port => $port, listener => $listener, waiting => [] }, $class;
    wait_for( sub { $self->_fill }, 'the queue to be full' );
    return $self;
}

sub address ($self) { return "127.0.0.1:$self->{port}" }

# One more connection; true if it found no place.
sub _fill ($self) {
    my $socket = IO::Socket::INET->new( PeerAddr => '127.0.0.1', PeerPort => $self->{port}, Blocking => 0 )
        or die "cannot connect: $!\n";
    push $self->{waiting}->@*, $socket;
    return !IO::Select->new($socket)->can_write(0.1);
}

1;
