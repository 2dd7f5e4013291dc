# A small HTTP client: one request per connection, and an answer that tests can ask.
package Failover::Http;

use v5.36;
use Exporter qw(import);
use Failover::Wait;
use IO::Select;
use IO::Socket::INET;

our @EXPORT_OK = qw(http_request http_text http_answer);

# Sends one request to 127.0.0.1:$port and reads the answer to its end. An answer that never came
# has status 0 and says why in `error`.
#   method, body, host   GET, none, 127.0.0.1
#   headers              a list or a hash, by reference
#   limit                seconds, 10
sub http_request ( $port, $path, %arg ) {
    my $began  = now();
    my $answer = _exchange( $port, http_text( $path, %arg ), $arg{limit} // 10 );
    $answer->{elapsed} = now() - $began;
    return bless $answer, 'Failover::Http::Answer';
}

# The bytes of a request, and what an answer's bytes say, for those who send and read by themselves.
sub http_text ( $path, %arg ) {
    my $headers = $arg{headers} // [];
    my @pair    = ref $headers eq 'HASH' ? %$headers : @$headers;
    my $body    = $arg{body} // '';
    unshift @pair, 'Content-Length', length $body if length $body;
    unshift @pair, Host => $arg{host} // '127.0.0.1', Connection => 'close';
    my $text = ( $arg{method} // 'GET' ) . " $path HTTP/1.1\r\n";
    while ( my ( $name, $value ) = splice @pair, 0, 2 ) { $text .= "$name: $value\r\n" }
    return "$text\r\n$body";
}

sub http_answer ($text) { return bless _parse($text), 'Failover::Http::Answer' }

sub _exchange ( $port, $request, $limit ) {
    $limit = patience($limit);
    my $end    = now() + $limit;
    my $socket = IO::Socket::INET->new( PeerAddr => '127.0.0.1', PeerPort => $port )
        or return { status => 0, error => "connect: $!" };
    local $SIG{PIPE} = 'IGNORE';
    $socket->syswrite($request) // return { status => 0, error => "write: $!" };
    my $ready = IO::Select->new($socket);
    my $text  = '';
    while (1) {
        my $left = $end - now();
        return { status => 0, error => "no answer within ${limit}s" }
            if $left <= 0 || !$ready->can_read($left);
        my $got = $socket->sysread( $text, 65_536, length $text );
        return { status => 0, error => "read: $!" } if !defined $got;
        return _parse($text) if !$got;
    }
}

sub _parse ($text) {
    my ( $head, $body )  = split /\r\n\r\n/, $text, 2;
    my ( $first, @line ) = split /\r\n/, $head // '';
    my ($status) = ( $first // '' ) =~ m{^HTTP/\S+ (\d+)} or return { status => 0, error => 'no HTTP' };
    my %header;
    for (@line) {
        my ( $name, $value ) = split /:\s*/, $_, 2;
        $name = lc $name;
        $header{$name} = defined $header{$name} ? "$header{$name}, $value" : $value;
    }
    $body = _unchunk($body) if ( $header{'transfer-encoding'} // '' ) eq 'chunked';
    return { status => $status, headers => \%header, body => $body // '' };
}

sub _unchunk ($raw) {
    my $body = '';
    while ( $raw =~ s/^([0-9a-fA-F]+)[^\n]*\n// ) {
        my $size = hex $1 or last;
        $body .= substr $raw, 0, $size, '';
        $raw =~ s/^\r\n//;
    }
    return $body;
}

package Failover::Http::Answer;

sub status  ($self) { return $self->{status} }
sub error   ($self) { return $self->{error} }
sub body    ($self) { return $self->{body} // '' }
sub elapsed ($self) { return $self->{elapsed} }
sub header  ( $self, $name ) { return $self->{headers}{ lc $name } }

# The body of a CGI or page that prints NAME=value lines: one value, undef where it is absent, or
# without a name all of them as a hash.
sub env ( $self, $name = undef ) {
    my %env = map { /^([^=]+)=(.*)/ ? ( $1, $2 ) : () } split /\n/, $self->body;
    return defined $name ? $env{$name} : \%env;
}

1;
