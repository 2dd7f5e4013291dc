# Free loopback ports for tests that run side by side.
package Failover::Port;

use v5.36;
use Exporter qw(import);
use IO::Socket::INET;
use Socket qw(AF_UNIX SOCK_STREAM pack_sockaddr_un);

our @EXPORT_OK = qw(free_port);

my @held;    # the locks, for as long as this process lives

# A TCP port on 127.0.0.1 that nobody listens on and that no other test will get while this process
# (or a child of it) lives. It lies below the kernel's own range, so that no outgoing connection
# takes it while a server of ours is down.
sub free_port () {
    state $next = 10_000 + ( $$ * 37 ) % _span();
    for ( 1 .. _span() ) {
        my $port = $next;
        $next = 10_000 + ( $next - 10_000 + 1 ) % _span();
        my $lock = _lock($port) or next;
        next if !_is_free($port);
        push @held, $lock;
        return $port;
    }
    die "no free port between 10000 and @{[ 10_000 + _span() ]}\n";
}

sub _span () {
    state $span = do {
        open my $file, '<', '/proc/sys/net/ipv4/ip_local_port_range'
            or die "cannot read the kernel's port range: $!\n";
        my ($low) = split ' ', <$file>;
        $low > 11_000 ? $low - 10_000 : 20_000;
    };
    return $span;
}

# An abstract Unix socket is a lock that vanishes with its process and, like a port, belongs to a
# network namespace.
sub _lock ($port) {
    socket my $lock, AF_UNIX, SOCK_STREAM, 0 or die "no socket: $!\n";
    return bind( $lock, pack_sockaddr_un("\0mod_failover-test-port-$port") ) ? $lock : undef;
}

sub _is_free ($port) {
    return IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 1, ReuseAddr => 1,
    );
}

1;
