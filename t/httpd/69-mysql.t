# A real MariaDB over TLS and a Unix socket, as primary and replica, asked in SQL; and what it counts.
use v5.36;
use Test::More;
use Failover::Certificates;
use Failover::Httpd;
use Failover::Seen;
use Failover::Server::MariaDB;
use Failover::States qw(under_each_mpm quick);
use Failover::Wait;

my $SECRET = 'Geheim7';
my $tls    = Failover::Certificates->new;
my $ca     = 'ca=' . $tls->ca;
my $folder = 'ca-path=' . $tls->ca_folder;

# Whom the certificate must name, who must have signed it, and which one the account must show.
my %db = (
    good    => secure_db( 'good',    $tls->signed('DNS:localhost') ),
    other   => secure_db( 'other',   $tls->signed('DNS:db.example.com,IP:127.0.0.1') ),
    expired => secure_db( 'expired', $tls->expired('DNS:localhost') ),
    own     => secure_db( 'own',     $tls->self_signed('DNS:localhost') ),
    plain   => Failover::Server::MariaDB->new( name => 'plain' )->start,
);
$db{$_}->create_user( monitor => $SECRET ) for keys %db;
$db{good}->sql("CREATE USER $_") for q{'ssl' REQUIRE SSL}, q{'x509' REQUIRE X509};

under_each_mpm 'TLS', sub ($mpm) {
    my ( $cert, $key ) = $tls->signed('DNS:client');
    my @case = (
        # name         user       host         server     options                       state, code or the outage's words
        [ name      => 'monitor', 'localhost', 'good',    $ca,                          'up' ],
        [ address   => 'monitor', '127.0.0.1', 'other',   $ca,                          'up' ],
        [ folder    => 'monitor', 'localhost', 'good',    $folder,                      'up' ],
        [ needed    => 'ssl',     'localhost', 'good',    $ca,                          'up' ],
        [ mutual    => 'x509',    'localhost', 'good',    "$ca cert=$cert key=$key",    'up' ],
        [ nocert    => 'x509',    'localhost', 'good',    $ca,                          1045 ],
        [ off       => 'monitor', 'localhost', 'own',     'verify=off',                 'up' ],
        [ system    => 'monitor', 'localhost', 'good',    '',                           'tls: self-signed certificate in certificate chain' ],
        [ hostname  => 'monitor', 'localhost', 'other',   $ca,                          'tls: Validation of SSL server certificate failed' ],
        [ wrongip   => 'monitor', '127.0.0.1', 'good',    $ca,                          'tls: Validation of SSL server certificate failed' ],
        [ expired   => 'monitor', 'localhost', 'expired', $ca,                          'tls: certificate has expired' ],
        [ own       => 'monitor', 'localhost', 'own',     $ca,                          'tls: self-signed certificate' ],
        [ nottls    => 'monitor', 'localhost', 'plain',   $ca,                          'tls: the server has no TLS' ],
        [ offplain  => 'monitor', 'localhost', 'plain',   'verify=off',                 'tls: the server has no TLS' ],
    );
    my $config = join '', map {"FailoverService $_->[0] mysqls://$_->[1]\@$_->[2]:@{[ $db{ $_->[3] }->port ]} $_->[4]@{[ $_->[1] eq 'monitor' ? password() : '' ]}\n"} @case;
    my $httpd  = start_httpd( $mpm, [ map { $_->[0] } @case ], slowly(), $config );
    wait_for_states( $httpd, join ' ', map { $_->[5] =~ /^tls: / ? 'down' : 'up' } @case );
    for my $case (@case) {
        my ( $name, undef, $host, $server, undef, $words ) = @$case;
        outage_is( $httpd, $name, "$host:" . $db{$server}->port, $words ) if $words =~ /^tls: /;
    }
    wait_for( sub { $httpd->get('/'); said( $httpd, 'FO0004' ) }, 'the warning' );
    like $httpd->take_log(qr/FO0004: nocert: /), qr/login refused \(1045\)/, 'an account that must show a certificate';
    unlike $httpd->error_log . ( $httpd->configtest( '-D', 'DUMP_FAILOVER' ) )[1], qr/$SECRET/, 'the password is nowhere';
    $httpd->done;
};
$_->allow_log(qr/Access denied|Aborted connection|handshake|SSL error/) for values %db;
$_->done for values %db;

done_testing;

# ---------------------------------------------------------------- helpers

sub secure_db ( $name, $cert, $key ) {
    return Failover::Server::MariaDB->new(
        name => $name, options => [ "--ssl-cert=$cert", "--ssl-key=$key", '--ssl-ca=' . $tls->ca ] )->start;
}

sub start_httpd ( $mpm, $names, $policy, $services ) {
    my $httpd = Failover::Httpd->new( mpm => $mpm, modules => [qw(cgi env)], config => $policy . $services . shows_states(@$names) );
    $httpd->file( 'secret', "$SECRET\n", 0400 );
    $httpd->allow_log(qr/FO0009: .*(?: a ping may take|: off(?:plain)?: verify=off: whoever answers there)/);
    return $httpd->start;
}

sub password () { return ' password=file:@DIR@/secret' }

# For many services at a time on few workers.
sub slowly () { return quick() =~ s/200ms/2s/gr }
