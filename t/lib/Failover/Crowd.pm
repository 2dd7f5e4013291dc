# Many requests at once, each one's time taken from the outside, less what the machine withheld.
#
#     my @seen = crowd( $httpd, 4 );          # four at the same time
#     $_->{elapsed}, $_->{child}, $_->{states}
#
# Its configuration needs tells_child(@services): child is the pid that answered, and states what the
# request saw of these services.
package Failover::Crowd;

use v5.36;
use Exporter qw(import);
use Failover::Stalls;
use Failover::Wait;
use IO::Select;
use IO::Socket::INET;

our @EXPORT = qw(crowd children_see tells_child slowest waited_by_child);

sub tells_child (@services) {
    my $words = join ' ', map {"%{$_}^fo"} @services;
    return qq{LogFormat "%q %P $words" crowd\nCustomLog logs/crowd crowd\n};
}

sub crowd ( $httpd, $count, $path = '/' ) {
    state $serial = 0;
    watch_stalls();
    my @request = map { _send( $httpd->port, $path, 'crowd=' . ++$serial ) } 1 .. $count;
    _receive(@request);
    for my $request (@request) {
        my $line = $httpd->log('crowd')->take(qr/[?]$request->{mark}\b/);
        @$request{qw(child states)} = $line =~ /^\S+ (\d+) ?(.*)/;
    }
    return @request;
}

# Asks until so many children's last requests have seen states like this, whoever answers when.
sub children_see ( $httpd, $children, $states ) {
    my %last;
    return wait_for(
        sub {
            $last{ $_->{child} } = $_->{states} for crowd( $httpd, 2 * $children );
            return $children == grep {/$states/} values %last;
        },
        "$children children to see $states"
    );
}

# The longest of them, in seconds.
sub slowest (@seen) {
    my ($longest) = sort { $b <=> $a } map { $_->{elapsed} } @seen;
    return $longest;
}

# How many of each child's requests took that long: { pid => count }.
sub waited_by_child ( $long, @seen ) {
    my %count = map { $_->{child} => 0 } @seen;
    $count{ $_->{child} }++ for grep { $_->{elapsed} >= $long } @seen;
    return \%count;
}

sub _send ( $port, $path, $mark ) {
    my $socket = IO::Socket::INET->new( PeerAddr => '127.0.0.1', PeerPort => $port )
        or die "cannot connect to httpd: $!\n";
    my $began = now();
    $socket->syswrite("GET $path?$mark HTTP/1.0\r\n\r\n");
    return { socket => $socket, mark => $mark, began => $began };
}

sub _receive (@request) {
    my %by_socket = map { $_->{socket} => $_ } @request;
    my $open      = IO::Select->new( map { $_->{socket} } @request );
    my $end       = now() + 30;
    while ( $open->count ) {
        die "no answer within 30s\n" if now() > $end;
        for my $socket ( $open->can_read(1) ) {
            next if $socket->sysread( my $bytes, 65_536 );
            $by_socket{$socket}{ended} = now();
            $open->remove($socket);
            close $socket;
        }
    }
    $_->{elapsed} = $_->{ended} - $_->{began} - stalled( $_->{began}, $_->{ended} ) for @request;
    return;
}

1;
