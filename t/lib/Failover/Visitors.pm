# Unix sockets that write down who came when, in a process of their own. A unix:// ping takes them as
# up; what the kernel says of the other end is the pid of whoever connected.
#
#     my $visitors = Failover::Visitors->new( count => 100 );
#     ... $visitors->url(17) ...      # unix:///tmp/.../17
#     $visitors->refuse;              # all of them, in force when it returns
#     $visitors->accept;
#     $visitors->visits;              # ( { at => 4711.25, pid => 815, number => 17 }, ... )
#
# The instants are of the clock that Failover::Wait::now reads.
package Failover::Visitors;

use v5.36;
use Failover::Cleanup qw(fork_child private_folder release_group remove_folder);
use Failover::Wait;
use IO::Socket::UNIX;
use Socket qw(AF_UNIX PF_UNSPEC SOCK_STREAM SOL_SOCKET SO_PEERCRED);

my $STAYS = patience(0.5);    # seconds that a visitor is left alone before its connection is closed

sub new ( $class, %arg ) {
    my $self = bless { count => 1, %arg, folder => private_folder('visit'), visits => [], read => 0 }, $class;
    socketpair $self->{control}, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die "no socketpair: $!\n";
    $self->{pid} = fork_child( sub { close $self->{control}; $self->_serve($theirs) } );
    close $theirs;
    return $self->accept;
}

sub path ( $self, $number = 0 ) { return "$self->{folder}/$number" }
sub url  ( $self, $number = 0 ) { return 'unix://' . $self->path($number) }

sub accept ($self) { return $self->_order('accept') }
sub refuse ($self) { return $self->_order('refuse') }

# All of them so far.
sub visits ($self) {
    $self->_order('tell');
    open my $file, '<', "$self->{folder}/visits" or die "cannot read the visits: $!\n";
    seek $file, $self->{read}, 0;
    while ( my $line = <$file> ) {
        my %visit;
        @visit{qw(at pid number)} = split ' ', $line;
        push @{ $self->{visits} }, \%visit;
    }
    $self->{read} = tell $file;
    return @{ $self->{visits} };
}

# Those from that instant on.
sub visits_since ( $self, $at ) {
    return grep { $_->{at} >= $at } $self->visits;
}

sub DESTROY ($self) {
    local ( $@, $?, $! );
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
    release_group( $self->{pid} );
    remove_folder( $self->{folder} );
    return;
}

sub _order ( $self, $order ) {
    syswrite $self->{control}, "$order\n" or die "the visitors' process is gone: $!\n";
    my $answer = readline $self->{control} // die "the visitors' process died\n";
    die $answer if $answer ne "done\n";
    return $self;
}

# From here on: in the process of their own.

sub _serve ( $self, $control ) {
    open my $file, '>', "$self->{folder}/visits" or die "cannot write the visits: $!\n";
    my $state = { self => $self, control => $control, file => $file, listeners => {}, open => [] };
    while (1) {
        my $bits = '';
        vec( $bits, $_, 1 ) = 1 for fileno $control, keys %{ $state->{listeners} };
        select my $ready = $bits, undef, undef, @{ $state->{open} } ? $STAYS : undef;
        _welcome( $state, $_ ) for grep { vec $ready, $_, 1 } keys %{ $state->{listeners} };
        shift @{ $state->{open} } while @{ $state->{open} } && $state->{open}[0][0] < now() - $STAYS;
        next if !vec $ready, fileno $control, 1;
        _obey( $state, readline $control // POSIX::_exit(0) );
    }
}

sub _welcome ( $state, $fileno ) {
    my ( $listener, $number ) = @{ $state->{listeners}{$fileno} };
    my $client = $listener->accept or return;
    my ($pid)  = unpack 'i', getsockopt( $client, SOL_SOCKET, SO_PEERCRED );
    printf { $state->{file} } "%.6f %d %d\n", now(), $pid, $number;
    push @{ $state->{open} }, [ now(), $client ];
    return;
}

sub _obey ( $state, $line ) {
    chomp $line;
    my $self = $state->{self};
    if    ( $line eq 'tell' )   { $state->{file}->flush }
    elsif ( $line eq 'refuse' ) { _close_all($state) }
    elsif ( !%{ $state->{listeners} } ) { _open( $state, $_ ) for 0 .. $self->{count} - 1 }
    syswrite $state->{control}, "done\n";
    return;
}

sub _close_all ($state) {
    for my $open ( values %{ $state->{listeners} } ) {
        unlink $state->{self}->path( $open->[1] );
        close $open->[0];
    }
    $state->{listeners} = {};
    return;
}

sub _open ( $state, $number ) {
    my $path     = $state->{self}->path($number);
    my $listener = IO::Socket::UNIX->new( Local => $path, Listen => 256 ) // die "cannot listen on $path: $!\n";
    $listener->blocking(0);
    chmod 0777, $path;
    $state->{listeners}{ fileno $listener } = [ $listener, $number ];
    return;
}

1;
