# A private OpenLDAP server with an empty directory dc=shop.
#
#     my $ldap = Failover::Server::Slapd->new( password => 'secret', config => "disallow bind_anon\n" )->start;
#
# With certificate => [ $cert, $key ] it speaks TLS on ->tls_port as well.
# The password is that of cn=monitor,dc=shop.
package Failover::Server::Slapd;

use v5.36;
use parent 'Failover::Server';
use Failover::File;
use Failover::Process;

my ($SCHEMA) = grep { -e "$_/core.schema" } qw(/etc/ldap/schema /etc/openldap/schema);

sub _prepare ($self) {
    my $dir = $self->{dir};
    die "OpenLDAP's core.schema is not there\n" if !$SCHEMA;
    mkdir "$dir/data" or die "cannot create $dir/data: $!\n";
    my $config = $self->{config} // '';
    $config .= "\n" . $self->_prepare_tls if $self->{certificate};
    my $file   = spew( "$dir/slapd.conf", <<~"CONF" );
        include $SCHEMA/core.schema
        pidfile $dir/data/pid
        argsfile $dir/data/args
        $config
        database ldif
        directory $dir/data
        suffix dc=shop
        rootdn cn=monitor,dc=shop
        rootpw @{[ $self->{password} // 'none' ]}
        CONF
    $self->_own( "$dir/data", $file );
    return;
}

sub tls_port ($self) { return $self->{tls_port} }

sub _prepare_tls ($self) {
    my ( $cert, $key ) = $self->_keep_certificate;
    return "TLSCertificateFile $cert\nTLSCertificateKeyFile $key";
}

sub start ( $self, @limit ) {
    $self->{starts} = $self->_starts + 1;
    return $self->SUPER::start(@limit);
}

sub _command ($self) {
    my $program = Failover::Process::find_program('slapd');
    my @url     = ( 'ldap://' . $self->address . '/', map {"ldaps://127.0.0.1:$_/"} $self->{tls_port} // () );
    return ( $program, '-h', "@url", '-f', "$self->{dir}/slapd.conf", '-d', 'stats' );
}

sub _starts ($self) { return scalar( () = $self->log_text =~ /slapd starting/g ) }

# It listens before it says so.
sub _is_ready ($self) { return $self->_starts >= $self->{starts} }

# Connections that ended without leave, and answers other than success.
sub _is_bad ($line) { return $line =~ /closed \((?!UNBIND)|err=(?!0 )|error|fail/i }

1;
