# A network of the test's own, in which hosts can be made to vanish as behind a firewall that drops.
#
#     use Failover::Network;
#     enter_network();                        # first of all: the test begins anew inside
#     my @host = hosts(200);                  # 192.0.2.1 and on, all of them here
#     drop_packets( @host[ 0 .. 31 ] );       # what is sent there is lost, and nobody says so
#     pass_packets( @host[ 0 .. 31 ] );
#
# What is sent to a host that is not here goes into one end of a cable; the other end drops it. It
# takes root, and works on no network but its own.
package Failover::Network;

use v5.36;
use Exporter qw(import);
use Failover::Process;

our @EXPORT = qw(enter_network hosts drop_packets pass_packets);

my $PREFIX = '192.0.2';    # for documentation and examples: nobody's
my $LIMIT  = 253;

sub enter_network () {
    if ( ( $ENV{FAILOVER_NETWORK} // 0 ) != $$ ) {    # the process stays the same
        local $ENV{FAILOVER_NETWORK} = $$;
        exec Failover::Process::find_program('unshare'), '--net', $^X, ( map {"-I$_"} @INC ), $0, @ARGV
            or die "cannot run unshare: $!\n";
    }
    _ip(
        'link set lo up',
        'link add near type veth peer name far',
        "addr add $PREFIX.254/24 dev near",
        'link set near arp off up',
        'link set far up',
    );
    return;
}

sub hosts ($count) {
    die "no more than $LIMIT hosts\n" if $count > $LIMIT;
    my @host = map {"$PREFIX.$_"} 1 .. $count;
    pass_packets(@host);
    return @host;
}

sub drop_packets (@host) { return _ip( map {"addr del $_/32 dev lo"} @host ) }
sub pass_packets (@host) { return _ip( map {"addr add $_/32 dev lo"} @host ) }

sub _ip (@line) {
    open my $ip, '|-', Failover::Process::find_program('ip'), '-batch', '-' or die "cannot run ip: $!\n";
    print {$ip} map {"$_\n"} @line;
    close $ip or die "ip: @line: failed\n";
    return;
}

1;
