# Connections that are kept alive: under prefork each has a child of its own.
#
#     my @line = map { persistent($httpd) } 1 .. 32;
#     ask( $_, '/' ) for @line;
#
# The configuration needs kept_alive().
package Failover::KeptAlive;

use v5.36;
use Exporter qw(import);
use IO::Select;
use IO::Socket::INET;

our @EXPORT = qw(kept_alive persistent ask read_answer);

sub kept_alive () { return "KeepAliveTimeout 60\nMaxKeepAliveRequests 0\n" }

sub persistent ($httpd) {
    return IO::Socket::INET->new( PeerAddr => '127.0.0.1', PeerPort => $httpd->port ) // die "cannot connect: $!\n";
}

sub ask ( $socket, $path ) {
    $socket->syswrite("GET $path HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    return read_answer($socket);
}

sub read_answer ($socket) {
    my $text = '';
    until ( $text =~ /\r\n\r\n/ && is_whole($text) ) {
        IO::Select->new($socket)->can_read(20) or die "no answer within 20s\n";
        $socket->sysread( $text, 65_536, length $text ) or die "the connection was closed\n";
    }
    return $text;
}

sub is_whole ($text) {
    my ( $head, $body ) = split /\r\n\r\n/, $text, 2;
    return length $body >= $1 if $head =~ /Content-Length: (\d+)/i;
    return $body =~ /(?:^|\r\n)0\r\n\r\n\z/;
}

1;
