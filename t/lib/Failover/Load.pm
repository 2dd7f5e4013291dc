# A client that asks for one page again and again, one request at a time, and takes each one's time.
#
#     $httpd->file( 'htdocs/page.txt', load_page() );
#     my @elapsed = load( $httpd, 20_000, keep_alive => 1 );    # seconds, sorted
#     my @elapsed = load( $httpd, 1_000, every => 0.005 );      # no faster than that
#     my @lists = load_in_turn( [ $one, $other ], 20_000 );
#     quantile( 0.99, @elapsed );
#
# The configuration needs kept_alive() of Failover::KeptAlive.
package Failover::Load;

use v5.36;
use Exporter qw(import);
use Socket qw(AF_INET IPPROTO_TCP SOCK_STREAM TCP_NODELAY inet_aton pack_sockaddr_in);
use Time::HiRes qw(CLOCK_MONOTONIC clock_gettime sleep);

our @EXPORT = qw(load load_in_turn load_page quantile median);

my $BODY = 'x' x 100;

sub load_page () { return $BODY }

#   host         of the request; 127.0.0.1
#   keep_alive   1: one connection for all
#   every        seconds from one request to the next, at least
#   until        a function: stops as soon as it is true
sub load ( $httpd, $count, %arg ) {
    my ($elapsed) = load_in_turn( [$httpd], $count, %arg );
    return @$elapsed;
}

# The same for several servers, one request to each in turn, so that whatever else the machine does
# befalls all alike: for each a list of its own.
sub load_in_turn ( $servers, $count, %arg ) {
    my $request = _request( $arg{host} // '127.0.0.1', $arg{keep_alive} );
    my @line    = map { { address => pack_sockaddr_in( $_->port, inet_aton('127.0.0.1') ), elapsed => [] } } @$servers;
    my $next_at = clock_gettime(CLOCK_MONOTONIC);
    for ( 1 .. $count ) {
        for my $line (@line) {
            _ask_once( $line, $request );
            undef $line->{socket} if !$arg{keep_alive};
        }
        last if $arg{until} && $arg{until}->();
        next if !$arg{every};
        my $left = ( $next_at += $arg{every} ) - clock_gettime(CLOCK_MONOTONIC);
        if   ( $left > 0 ) { sleep $left }
        else               { $next_at -= $left }
    }
    return map { [ sort { $a <=> $b } $_->{elapsed}->@* ] } @line;
}

sub _ask_once ( $line, $request ) {
    my $began = clock_gettime(CLOCK_MONOTONIC);
    $line->{socket} //= _connect( $line->{address} );
    syswrite $line->{socket}, $request or die "cannot ask: $!\n";
    _read( $line->{socket} );
    push $line->{elapsed}->@*, clock_gettime(CLOCK_MONOTONIC) - $began;
    return;
}

# Of sorted ones.
sub quantile ( $q, @sorted ) { return $sorted[ int $q * $#sorted ] }

sub median (@any) { return quantile( 0.5, sort { $a <=> $b } @any ) }

sub _request ( $host, $keep_alive ) {
    my @line = ( 'GET /page.txt HTTP/1.1', "Host: $host", $keep_alive ? () : 'Connection: close' );
    return join '', map {"$_\r\n"} @line, '';
}

sub _connect ($address) {
    socket my $socket, AF_INET, SOCK_STREAM, IPPROTO_TCP or die "no socket: $!\n";
    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
    connect $socket, $address or die "cannot connect to httpd: $!\n";
    return $socket;
}

sub _read ($socket) {
    my $text = '';
    until ( length $text > length $BODY && substr( $text, -length $BODY ) eq $BODY ) {
        sysread $socket, $text, 65_536, length $text or die "the connection was closed: $text\n";
    }
    die "an answer that is not 200: $text\n" if $text !~ m{^HTTP/1.1 200 };
    return;
}

1;
