# Certificates for TLS tests, made with openssl: an authority, what it signed, and what it did not.
#
#     my $made = Failover::Certificates->new;
#     $made->ca;                                             # the authority's file
#     $made->ca_folder;                                      # and it in a folder of hashed names
#     my ( $cert, $key ) = $made->signed('DNS:localhost');   # or ->expired, ->self_signed
#     my $shut = $made->locked( $key, 'geheim' );            # the key with a password
package Failover::Certificates;

use v5.36;
use Failover::Cleanup qw(private_folder remove_folder);
use Failover::File;
use Failover::Process;

sub new ($class) {
    my $self = bless { dir => private_folder('tls'), n => 0 }, $class;
    @$self{qw(ca ca_key)} = $self->self_signed('DNS:authority.test');
    return $self;
}

sub ca ($self) { return $self->{ca} }

# A folder in which OpenSSL finds the authority by its name's hash.
sub ca_folder ( $self, $name = 'authorities' ) {
    my $folder = "$self->{dir}/$name";
    mkdir $folder or die "cannot create $folder: $!\n";
    spew( "$folder/authority.pem", slurp( $self->{ca} ) );
    $self->_openssl( 'rehash', $folder );
    return $folder;
}

# For these names, as in subjectAltName: "DNS:localhost,IP:127.0.0.1".
sub signed  ( $self, $names ) { return $self->_issued( $names, 2 ) }
sub expired ( $self, $names ) { return $self->_issued( $names, -1 ) }

sub self_signed ( $self, $names ) {
    my ( $cert, $key ) = $self->_paths;
    $self->_openssl( qw(req -x509 -days 2), _new_key($key), '-addext', "subjectAltName=$names", '-out', $cert );
    return ( $cert, $key );
}

sub locked ( $self, $key, $password ) {
    $self->_openssl( qw(pkcs8 -topk8 -in), $key, '-passout', "pass:$password", '-out', "$key.locked" );
    return "$key.locked";
}

sub DESTROY ($self) { return remove_folder( $self->{dir} ) }

sub _issued ( $self, $names, $days ) {
    my ( $cert, $key ) = $self->_paths;
    $self->_openssl( 'req', _new_key($key), '-addext', "subjectAltName=$names", '-out', "$cert.request" );
    $self->_openssl(
        qw(x509 -req -copy_extensions copy -in), "$cert.request", '-CA', $self->{ca}, '-CAkey', $self->{ca_key},
        '-days', $days, '-out', $cert,
    );
    return ( $cert, $key );
}

sub _new_key ($path) {
    return ( qw(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=test -keyout), $path );
}

sub _paths ($self) { return map {"$self->{dir}/$self->{n}.$_"} 'crt', 'key' if ++$self->{n} }

# Servers under other users read the keys.
sub _openssl ( $self, @words ) {
    my ( $code, $output ) = Failover::Process->run(
        command => [ Failover::Process::find_program('openssl'), @words ], output => "$self->{dir}/log" );
    die "openssl @words:\n$output" if $code;
    chmod 0644, glob "$self->{dir}/*.key";
    return;
}

1;
