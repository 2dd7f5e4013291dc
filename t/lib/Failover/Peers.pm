# Many TCP peers in one process: each accepts and notes when.
#
#     my $peers = Failover::Peers->new( hosts => \@host );    # one port for all
#     ... hosts => \@host, reply => "VERSION 1.6.18\r\n"     # to whatever a client says
#     $peers->address( $host[0] );                            # host:port
#     $peers->instants;     # { host => [ seconds of now(), ... ] }: when each accepted
#     $peers->forget;       # begins anew
package Failover::Peers;

use v5.36;
use Failover::Cleanup qw(fork_child release_group);
use Failover::Port    qw(free_port);
use Failover::Wait;
use IO::Select;
use IO::Socket::INET;
use Socket qw(AF_UNIX PF_UNSPEC SOCK_STREAM);

sub new ( $class, %arg ) {
    my $self = bless { port => free_port(), %arg }, $class;
    socketpair $self->{control}, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC
        or die "no socketpair: $!\n";
    $self->{pid} = fork_child( sub { close $self->{control}; _serve( $self, $theirs ) } );
    $self->forget;
    return $self;
}

sub address ( $self, $host ) { return "$host:$self->{port}" }

sub forget ($self) { return $self->_ask('forget') }

sub instants ($self) {
    my %at = map { $_ => [] } $self->{hosts}->@*;
    my $count = $self->_ask('instants');
    for ( 1 .. $count ) {
        my ( $host, @instant ) = split ' ', readline( $self->{control} );
        $at{$host} = \@instant;
    }
    return \%at;
}

sub DESTROY ($self) {
    local ( $@, $?, $! );
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
    release_group( $self->{pid} );
    return;
}

sub _ask ( $self, $order ) {
    syswrite $self->{control}, "$order\n" or die "the peers are gone: $!\n";
    my $answer = readline $self->{control} // die "the peers died\n";
    die $answer if $answer =~ /[^\d\n]/;
    return 0 + $answer;
}

# From here on: in the peers' own process.

sub _serve ( $self, $control ) {
    $SIG{PIPE} = 'IGNORE';
    my @listener = map { _listen( $_, $self->{port} ) } $self->{hosts}->@*;
    my %host_of;
    @host_of{@listener} = $self->{hosts}->@*;
    my $select = IO::Select->new( $control, @listener );
    my %at;
    while (1) {
        for my $handle ( $select->can_read ) {
            if    ( $handle == $control ) { _obey( $control, \%at ) or POSIX::_exit(0) }
            elsif ( my $host = $host_of{$handle} ) {
                push $at{$host}->@*, now();
                $select->add( $handle->accept // next );
            }
            elsif ( !_read( $self, $handle ) ) {
                $select->remove($handle);
                close $handle;
            }
        }
    }
}

# False once the client has gone.
sub _read ( $self, $handle ) {
    sysread $handle, my $bytes, 4096 or return 0;
    syswrite $handle, $self->{reply} if defined $self->{reply};
    return 1;
}

sub _listen ( $host, $port ) {
    return IO::Socket::INET->new( LocalAddr => $host, LocalPort => $port, Listen => 128, ReuseAddr => 1, Blocking => 0 )
        // die "cannot listen on $host:$port: $!\n";
}

sub _obey ( $control, $at ) {
    my $order = readline $control // return 0;
    %$at = () if $order eq "forget\n";
    my @line = map {"$_ @{ $at->{$_} }\n"} keys %$at;
    syswrite $control, join '', scalar(@line) . "\n", @line;
    return 1;
}

1;
