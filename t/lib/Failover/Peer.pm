# A fake TCP (or Unix socket) peer that misbehaves on demand, in a process of its own.
#
#     my $peer = Failover::Peer->new( mode => 'mute' );
#     ... $peer->address ...          # 127.0.0.1:port, or the path
#     $peer->mode('refuse');          # in force when it returns
#     $peer->connections;             # how many it accepted so far
#
# mode      what a client finds
# mute      accepted, and no word; open until the client closes. A tcp:// ping takes it as up.
# say       accepted, then `bytes`, then as mute
# reply     accepted; every read of the client's bytes is answered by `bytes`
# garbage   accepted, then 64 bytes of nonsense
# drip      accepted, then one of `bytes` every `every` seconds (0.05)
# close     accepted and closed at once
# reset     accepted and reset at once
# refuse    nobody listens: connection refused
# deaf      the kernel accepts, the process never does: what a stopped server looks like
package Failover::Peer;

use v5.36;
use Failover::Cleanup qw(fork_child private_folder release_group remove_folder);
use Failover::Port    qw(free_port);
use Failover::Wait;
use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket qw(AF_UNIX PF_UNSPEC SOCK_STREAM SOL_SOCKET SO_LINGER);

my %GARBAGE = ( bytes => join '', map { chr( ( $_ * 151 + 7 ) % 256 ) } 0 .. 63 );

# mode   mute
# bytes  what it says or replies
# unix   1: a Unix socket
# port   one that the test has got already
sub new ( $class, %arg ) {
    my $self = bless { mode => 'mute', bytes => '', every => 0.05, %arg }, $class;
    $self->_choose_address;
    socketpair $self->{control}, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC
        or die "no socketpair: $!\n";
    $self->{pid} = fork_child( sub { close $self->{control}; $self->_serve($theirs) } );
    $self->mode( $self->{mode} );
    return $self;
}

sub address ($self) { return $self->{path} // "127.0.0.1:$self->{port}" }
sub port    ($self) { return $self->{port} }
sub path    ($self) { return $self->{path} }

# Changes what the next client finds; connections that are open go on as they were.
sub mode ( $self, $mode, %arg ) {
    my %all = ( bytes => $self->{bytes}, every => $self->{every}, %arg );
    $self->_ask( join ' ', 'mode', $mode, $all{every}, unpack 'H*', $all{bytes} );
    return $self;
}

# How many connections it accepted since it was made.
sub connections ($self) { return $self->_ask('count') }

# How many of them are open at this moment.
sub open_connections ($self) { return $self->_ask('open') }

# Waits until it has accepted $more further connections.
sub wait_for_connections ( $self, $more = 1, $limit = 10 ) {
    my $goal = $self->connections + $more;
    wait_for( sub { $self->connections >= $goal }, "$more more connections", $limit );
    return;
}

sub DESTROY ($self) {
    local ( $@, $?, $! );
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
    release_group( $self->{pid} );
    remove_folder( $self->{folder} ) if $self->{folder};
    return;
}

sub _choose_address ($self) {
    if ( $self->{unix} ) {
        $self->{folder} = private_folder('peer');
        $self->{path}   = "$self->{folder}/socket";
    }
    else { $self->{port} //= free_port() }
    return;
}

sub _ask ( $self, $order ) {
    syswrite $self->{control}, "$order\n" or die "the peer on @{[ $self->address ]} is gone: $!\n";
    my $answer = readline $self->{control};
    die "the peer on @{[ $self->address ]} died\n" if !defined $answer;
    chomp $answer;
    die "$answer\n" if $answer =~ /\D/;
    return $answer;
}

# From here on: in the peer's own process.

sub _serve ( $self, $control ) {
    $SIG{PIPE} = 'IGNORE';
    my $state = {
        self => $self, control => $control, count => 0, clients => {}, listener => undef,
        select => IO::Select->new($control),
    };
    while (1) {
        my @ready = $state->{select}->can_read( _dripping($state) ? $state->{every} : undef );
        for my $handle (@ready) {
            if    ( $handle == $control ) { _obey($state) or POSIX::_exit(0) }
            elsif ( $handle == ( $state->{listener} // 0 ) ) { _accept($state) }
            else                                             { _read( $state, $handle ) }
        }
        _drip($state);
    }
}

sub _obey ($state) {
    my $line = readline $state->{control} // return 0;
    my ( $verb, @word ) = split ' ', $line;
    my $answer
        = $verb eq 'count' ? $state->{count}
        : $verb eq 'open'  ? scalar keys %{ $state->{clients} }
        :                    _set_mode( $state, @word );
    syswrite $state->{control}, "$answer\n";
    return 1;
}

sub _set_mode ( $state, $mode, $every, $hex = '' ) {
    state %known = map { $_ => 1 } qw(mute say reply garbage drip close reset refuse deaf);
    return "unknown peer mode: $mode" if !$known{$mode};
    @$state{qw(mode every bytes)} = ( $mode, $every, pack 'H*', $hex );
    $state->{bytes} = $GARBAGE{bytes} if $mode eq 'garbage';
    if ( $mode eq 'refuse' ) { _close_listener($state) }
    else {
        $state->{listener} //= _listen( $state->{self} );
        $state->{select}->remove( $state->{listener} );
        $state->{select}->add( $state->{listener} ) if $mode ne 'deaf';
    }
    return 0;
}

sub _listen ($self) {
    my $listener
        = $self->{path}
        ? IO::Socket::UNIX->new( Local => $self->{path}, Listen => 128 )
        : IO::Socket::INET->new(
            LocalAddr => '127.0.0.1', LocalPort => $self->{port}, Listen => 128, ReuseAddr => 1 );
    $listener or die "cannot listen on @{[ $self->address ]}: $!\n";
    chmod 0777, $self->{path} if $self->{path};
    return $listener;
}

sub _close_listener ($state) {
    my $listener = delete $state->{listener} // return;
    $state->{select}->remove($listener);
    close $listener;
    unlink $state->{self}{path} if $state->{self}{path};
    return;
}

sub _accept ($state) {
    my $client = $state->{listener}->accept or return;
    $state->{count}++;
    my $mode = $state->{mode};
    $client->setsockopt( SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 ) if $mode eq 'reset';
    return close $client if $mode eq 'reset' || $mode eq 'close';
    syswrite $client, $state->{bytes} if $mode eq 'say' || $mode eq 'garbage';
    $state->{clients}{ fileno $client } = { handle => $client, mode => $mode, sent => 0, next_at => 0 };
    $state->{select}->add($client);
    return;
}

sub _read ( $state, $handle ) {
    my $client = $state->{clients}{ fileno $handle };
    my $got    = sysread $handle, my $bytes, 65_536;
    return _forget( $state, $handle ) if !$got;
    syswrite $handle, $state->{bytes} if $client->{mode} eq 'reply';
    return;
}

sub _forget ( $state, $handle ) {
    $state->{select}->remove($handle);
    delete $state->{clients}{ fileno $handle };
    close $handle;
    return;
}

sub _dripping ($state) {
    return scalar grep { $_->{mode} eq 'drip' } values %{ $state->{clients} };
}

sub _drip ($state) {
    for my $client ( grep { $_->{mode} eq 'drip' } values %{ $state->{clients} } ) {
        next if now() < $client->{next_at};
        my $byte = substr $state->{bytes}, $client->{sent}++, 1;
        syswrite $client->{handle}, $byte if length $byte;
        $client->{next_at} = now() + $state->{every};
    }
    return;
}

1;
