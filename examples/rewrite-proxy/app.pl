#!/usr/bin/perl
# A small application: it answers every request with its own name, and /health with whether it is
# fit for work, which it is not while there is a file named DRAIN.
#
#     app.pl NAME ADDRESS:PORT DRAIN
use v5.36;
use IO::Socket::INET;

my ( $name, $address, $drain ) = @ARGV;
die "usage: app.pl NAME ADDRESS:PORT DRAIN\n" if @ARGV != 3;
my $listener = IO::Socket::INET->new( LocalAddr => $address, Listen => 64, ReuseAddr => 1 )
    or die "cannot listen on $address: $!\n";
local $SIG{PIPE} = 'IGNORE';
while (1) {
    my $client = $listener->accept or next;
    $client->print( answer($client) );
    close $client;
}

# One request, whatever its headers say, and the whole answer.
sub answer ($client) {
    my ( $method, $target ) = split ' ', $client->getline // '';
    while ( defined( my $line = $client->getline ) ) { last if $line =~ /^\r?\n/ }
    return page( '400 Bad Request', '' ) if !defined $target;
    return page( '302 Found', "Location: http://$address/\r\n" ) if $target eq '/old';
    return page( '200 OK', '', "$name was asked for $target\n" ) if $target ne '/health';
    return -e $drain
        ? page( '503 Service Unavailable', '', "draining\n" )
        : page( '200 OK',                  '', "fine\n" );
}

sub page ( $status, $headers, $body = '' ) {
    my $length = length $body;
    return "HTTP/1.1 $status\r\n${headers}Content-Type: text/plain\r\nContent-Length: $length\r\n"
        . "Connection: close\r\n\r\n$body";
}
