# A private Exim that greets and listens, and delivers nothing.
#
#     my $smtp = Failover::Server::Exim->new( most => 3 )->start;    # connections at a time; 100
#     ... certificate => [ $cert, $key ] ...    # speaks TLS on ->tls_port as well
#
# Only root and Exim's own user may run its daemon.
package Failover::Server::Exim;

use v5.36;
use parent 'Failover::Server';
use Failover::File;
use Failover::Process;

# Its main, its reject and its panic log are one.
sub _prepare ($self) {
    my $dir  = $self->{dir};
    my $most = $self->{most} // 100;
    mkdir "$dir/spool" or die "cannot create $dir/spool: $!\n";
    symlink 'log', "$dir/log-$_" or die "cannot link $dir/log-$_: $!\n" for qw(main reject panic);
    my $tls  = $self->{certificate} ? $self->_prepare_tls : 'tls_advertise_hosts =';
    my $file = spew( "$dir/exim.conf", <<~"CONF" );
        primary_hostname = localhost
        log_file_path = $dir/log-%s
        log_selector = +smtp_connection +smtp_no_mail +smtp_protocol_error +smtp_syntax_error
        spool_directory = $dir/spool
        local_interfaces = 127.0.0.1
        daemon_smtp_ports = @{[ join ' : ', $self->{port}, $self->{tls_port} // () ]}
        $tls
        host_lookup =
        rfc1413_query_timeout = 0s
        keep_environment =
        smtp_accept_max = $most
        CONF
    $self->_own( $dir, "$dir/spool", $file );
    return;
}

sub tls_port ($self) { return $self->{tls_port} }

sub _prepare_tls ($self) {
    my ( $cert, $key ) = $self->_keep_certificate;
    return "tls_on_connect_ports = $self->{tls_port}\ntls_certificate = $cert\ntls_privatekey = $key";
}

sub start ( $self, @limit ) {
    $self->{starts} = $self->_starts + 1;
    return $self->SUPER::start(@limit);
}

sub _command ($self) {
    my $program = Failover::Process::find_program( 'exim4', 'exim' );
    return ( $program, '-C', "$self->{dir}/exim.conf", '-oP', "$self->{dir}/pid", '-bdf' );
}

sub _user ($class) { return ( grep { defined getpwnam $_ } qw(Debian-exim exim mail) )[0] }

sub _starts ($self) { return scalar( () = $self->log_text =~ /listening for SMTP on/g ) }

# A connection to ask it by would be one more in the log.
sub _is_ready ($self) { return $self->_starts >= $self->{starts} }

# What is said of a client that greets and takes leave, and of its own start; all else is worth a look.
sub _is_bad ($line) {
    return $line !~ m{
        ^\S+\ \S+\ (?:
            SMTP\ connection\ from\ \[127[.]0[.]0[.]1\]\ \(TCP/IP\ connection\ count\ =\ \d+\)
          | SMTP\ connection\ from\ \(\S+\)\ \[127[.]0[.]0[.]1\]\ closed\ by\ QUIT
          | no\ MAIL\ in\ SMTP\ connection\ from\ \(\S+\)\ \[127[.]0[.]0[.]1\]\ .*\ C=EHLO,QUIT
          | exim\ .*\ daemon\ started:.*
          | exim\ user\ lost\ privilege\ for\ using\ -C\ option
        )$
    }x;
}

1;
