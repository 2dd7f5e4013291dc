# The TCP sockets of this network.
#
#     connections_to( $db->port );                           # how many are established
#     grep { $_->{unread} } sockets_of($pid);
package Failover::Sockets;

use v5.36;
use Exporter qw(import);
use Failover::Process;

our @EXPORT = qw(tcp_sockets connections_to sockets_of);

# All but those that wait for their time to pass, of which a test under load leaves tens of thousands:
# reading them in /proc/net/tcp takes seconds. A filter is one of ss, as: sport = :80
# By reference: { local, remote, state, unread, link }. Addresses are as 127.0.0.1:80, the state is in
# the words of ss, unread is in bytes, and link is where a descriptor of it in /proc leads.
sub tcp_sockets (@filter) {
    open my $pipe, '-|', Failover::Process::find_program('ss'), qw(-H -t -n -e -a exclude time-wait), @filter or die "cannot run ss: $!\n";
    my @socket;
    while ( my $line = <$pipe> ) {
        my ( $state, $unread, undef, $local, $remote ) = split ' ', $line;
        my ($inode) = $line =~ /\bino:(\d+)/;
        push @socket, { local => $local, remote => $remote, state => $state, unread => $unread, link => 'socket:[' . ( $inode // 0 ) . ']' };
    }
    close $pipe or die "ss failed: $?\n";
    return @socket;
}

# Established ones to a port of this machine, as those who made them see it.
sub connections_to ($port) {
    return scalar grep { $_->{remote} eq "127.0.0.1:$port" && $_->{state} eq 'ESTAB' } tcp_sockets("dport = :$port");
}

# Those that a process has under way or open. Its listener is none of them.
sub sockets_of ($pid) {
    my %open = map { ( readlink($_) // '' ) => 1 } glob "/proc/$pid/fd/*";
    return grep { $open{ $_->{link} } && $_->{state} ne 'LISTEN' } tcp_sockets();
}

1;
