# A web site to be pinged: an httpd of its own, without our modules, on IPv4 and IPv6, on plain HTTP and on TLS with
# good and bad certificates, and with Redis Enterprise's REST API as far as a lag check asks it.
#
#     my $web = Failover::Web->new->start;
#     $web->address;              # 127.0.0.1:port, plain
#     $web->tls('expired');       # the port of a listener: good, other, expired, own, mutual, old
#     $web->ca;                   # the authority's file
#     $web->lag('late');          # what the API says of the databases from now on
#     $web->pause; $web->resume; $web->crash; $web->start;
package Failover::Web;

use v5.36;
use Failover::Certificates;
use Failover::Httpd;
use Failover::Port qw(free_port);

# name => [ how the certificate is made, names, further directives ]
my %LISTENER = (
    good    => [ 'signed',      'DNS:localhost,IP:127.0.0.1,IP:::1' ],
    other   => [ 'signed',      'DNS:www.example.com,IP:192.0.2.1' ],
    expired => [ 'expired',     'DNS:localhost' ],
    own     => [ 'self_signed', 'DNS:localhost' ],
    mutual  => [ 'signed',      'DNS:localhost', 'SSLVerifyClient require', 'SSLCACertificateFile @CA@' ],
    old     => [ 'signed',      'DNS:localhost', 'SSLProtocol TLSv1.1', 'SSLCipherSuite DEFAULT@SECLEVEL=0' ],
);

sub new ($class) {
    my $self = bless { tls => Failover::Certificates->new, port => { map { $_ => free_port() } keys %LISTENER } }, $class;
    $self->{httpd} = Failover::Httpd->new(
        failover => 0, threads => 16,
        modules  => [qw(alias auth_basic authn_core authn_file authz_user cgi headers socache_shmcb ssl)],
        config   => $self->_config,
    );
    my $httpd = $self->{httpd};
    # What mod_ssl says at its start: of the library's version, of the absent cache, of bad certificates.
    $httpd->allow_log(qr/:warn\] .*AH(?:01873|01882|01906|01909)/);
    $httpd->file( 'users', "monitor:{SHA}" . _sha1('Geheim7') . "\n" );
    $httpd->file( 'htdocs/health', "status: fine\n" );
    $httpd->file( 'htdocs/large',  'x' x 3_000_000 );
    $httpd->file( 'htdocs/private/page', "for monitors\n" );
    $httpd->file( 'cgi-bin/status', <<~'CGI' );
        #!/usr/bin/perl
        my ($status) = $ENV{QUERY_STRING} =~ /^(\d+)$/;
        print "Status: $status\nContent-Type: text/plain\n", $status =~ /^30/ ? "Location: /cgi-bin/status?500\n" : '', "\nstatus $status\n";
        CGI
    $httpd->file( 'cgi-bin/bdbs', $self->_api );
    $self->lag('fine');
    return $self;
}

sub start ($self) { $self->{httpd}->start; return $self }
sub httpd   ($self) { return $self->{httpd} }
sub address ($self) { return '127.0.0.1:' . $self->{httpd}->port }
sub ca      ($self) { return $self->{tls}->ca }
sub ca_folder ($self) { return $self->{tls}->ca_folder }

# A client certificate that `mutual` takes, and its key.
sub client ($self) { return $self->{tls}->signed('DNS:client') }

sub tls ( $self, $name ) { return $self->{port}{$name} }

# fine: 200; late: 503 and the reason.
sub lag ( $self, $state ) { return $self->{httpd}->file( 'htdocs/lag', $state ) }

# The requests so far: "METHOD URL STATUS AGENT".
sub requests ($self) { return split /\n/, $self->{httpd}->log('access')->text }

sub pause  ($self) { return $self->{httpd}{process}->suspend_group }
sub resume ($self) { return $self->{httpd}{process}->signal_group('CONT') }

sub crash ($self) {
    delete( $self->{httpd}{process} )->kill_now;
    unlink $self->{httpd}->dir . '/httpd.pid';
    return;
}

sub done ( $self, $name = 'the site logs no warning' ) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return $self->{httpd}->done($name);
}

sub _config ($self) {
    return join "\n", <<~'CONF', map { $self->_listener($_) } sort keys %LISTENER;
        LogFormat "%m %U%q %>s %{User-Agent}i" requests
        CustomLog logs/access requests
        ScriptAlias /v1/bdbs @DIR@/cgi-bin/bdbs
        SSLSessionCache none
        Listen [::1]:@PORT@
        <Location "/v1">
            AuthType Basic
            AuthName api
            AuthUserFile @DIR@/users
            Require user monitor
        </Location>
        <Location "/private">
            AuthType Basic
            AuthName private
            AuthUserFile @DIR@/users
            Require user monitor
        </Location>
        CONF
}

sub _listener ( $self, $name ) {
    my ( $how, $names, @further ) = @{ $LISTENER{$name} };
    my ( $cert, $key ) = $self->{tls}->$how($names);
    s/\@CA\@/$self->{tls}->ca/e for @further;
    my $port = $self->{port}{$name};
    return join "\n", "Listen 127.0.0.1:$port", "Listen [::1]:$port", "<VirtualHost *:$port>",
        'ServerName localhost', 'SSLEngine On', "SSLCertificateFile $cert", "SSLCertificateKeyFile $key", @further, '</VirtualHost>', '';
}

# Two databases; of the second one the API says what the file has.
sub _api ($self) {
    return <<~'CGI';
        #!/usr/bin/perl
        my ( $path, $query ) = @ENV{qw(PATH_INFO QUERY_STRING)};
        sub answer { my ( $status, $body ) = @_; print "Status: $status\nContent-Type: application/json\n\n$body\n"; exit }
        sub database { my ( $uid, $name, $port ) = @_;
            return qq({"uid": $uid, "name": "db$uid", "endpoints": [{"addr": ["127.0.0.1"], "dns_name": "$name", "port": $port, "proxy_policy": "single"}]}) }
        answer( 200, '[' . database( 1, 'redis-1.example.com', 12001 ) . ', ' . database( 2, 'redis-2.example.com', 12002 ) . ']' ) if !$path;
        my ($uid) = $path =~ m{^/([12])/availability$} or answer( 404, '{"error_code": "db_not_exist"}' );
        answer( 400, '{"error_code": "bad_query"}' ) if $query !~ /^extend_check=lag&availability_lag_tolerance_ms=\d+$/;
        open my $file, '<', "$ENV{DOCUMENT_ROOT}/lag" or die;
        answer( 200, '' ) if $uid == 1 || <$file> eq 'fine';
        answer( 503, '{"error_code": "bdb_unavailable", "description": "Replication lags behind"}' );
        CGI
}

sub _sha1 ($password) {
    require Digest::SHA;
    return Digest::SHA::sha1_base64($password) . '=';
}

1;
