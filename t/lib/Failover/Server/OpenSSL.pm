# A private TLS server, OpenSSL's own, for connections of which nothing but TLS is of interest.
#
#     my $server = Failover::Server::OpenSSL->new( cert => $cert, key => $key, options => [qw(-tls1_1)] )->start;
package Failover::Server::OpenSSL;

use v5.36;
use parent 'Failover::Server';
use Failover::Process;

sub _command ($self) {
    my $program = Failover::Process::find_program('openssl');
    return ( $program, 's_server', '-accept', $self->address, '-cert', $self->{cert}, '-key', $self->{key}, '-www' );
}

sub _is_ready ($self) { return $self->log_text =~ /^ACCEPT$/m }

sub _is_bad ($line) { return $line =~ /error/i }

1;
