# Connections that mod_failover makes itself, over TLS: whom they trust, what they show of themselves,
# and what the administrator reads when it does not fit.
use v5.36;
use Test::More;
use Failover::Certificates;
use Failover::Httpd;
use Failover::Peer;
use Failover::Seen;
use Failover::Server::OpenSSL;
use Failover::States qw(under_each_mpm quick);

my $made  = Failover::Certificates->new;
my $other = Failover::Certificates->new;
my $ca    = 'ca=' . $made->ca;
my @wants = ( '-Verify', 1, '-verify_return_error', '-CAfile', $made->ca );
my ( $cert, $key ) = $made->signed('DNS:client');
my ( $alien_cert, $alien_key ) = $other->signed('DNS:client');
my $shut = $made->locked( $key, 'Geheim7' );

my %server = (
    good    => server( $made->signed('DNS:localhost,IP:127.0.0.1') ),
    foreign => server( $made->signed('DNS:localhost') ),
    other   => server( $made->signed('DNS:app.example.com,IP:192.0.2.1') ),
    expired => server( $made->expired('DNS:localhost') ),
    own     => server( $made->self_signed('DNS:localhost') ),
    old     => server( $made->signed('DNS:localhost'), '-tls1_1', '-cipher', 'DEFAULT:@SECLEVEL=0' ),
    mutual  => server( $made->signed('DNS:localhost'), @wants ),
    twelve  => server( $made->signed('DNS:localhost'), @wants, '-tls1_2' ),
);
my $plain = Failover::Peer->new( mode => 'say', bytes => "220 mail.example.com ESMTP\r\n" );
my $hung  = Failover::Peer->new( mode => 'deaf' );

my $PAIR = "cert=$cert key=$key";
my @CASE = (
    # name      host         server      options                             state or the outage's words
    [ name     => 'localhost', 'good',    $ca,                                'up' ],
    [ address  => '127.0.0.1', 'good',    $ca,                                'up' ],
    [ folder   => 'localhost', 'good',    'ca-path=' . $made->ca_folder,      'up' ],
    [ system   => 'localhost', 'foreign', '',                                 'unable to get local issuer certificate' ],
    [ hostname => 'localhost', 'other',   $ca,                                'hostname mismatch' ],
    [ wrongip  => '127.0.0.1', 'other',   $ca,                                'IP address mismatch' ],
    [ expired  => 'localhost', 'expired', $ca,                                'certificate has expired' ],
    [ own      => 'localhost', 'own',     $ca,                                'self-signed certificate' ],
    [ off      => 'localhost', 'own',     'verify=off',                       'up' ],
    [ old      => 'localhost', 'old',     $ca,                                'the server offers no TLS 1.2 or later' ],
    [ nocert   => 'localhost', 'twelve',  $ca,                                'sslv3 alert handshake failure' ],
    [ alien    => 'localhost', 'twelve',  "$ca cert=$alien_cert key=$alien_key", 'the server does not know who signed the client certificate' ],
    [ twelve   => 'localhost', 'twelve',  "$ca $PAIR",                        'up' ],
    [ mutual   => 'localhost', 'mutual',  "$ca $PAIR",                        'up' ],
    [ locked   => 'localhost', 'mutual',  "$ca cert=$cert key=$shut key-password=file:\@DIR\@/lock", 'up' ],
    [ plain    => 'localhost', $plain,    $ca,                                'the server speaks no TLS here' ],
    [ hung     => 'localhost', $hung,     "$ca timeout=200ms",                'timed out after 200ms' ],
);

under_each_mpm 'certificates', sub ($mpm) {
    my $config = join '', map {"FailoverService $_->[0] tcp://$_->[1]:@{[ port( $_->[2] ) ]} tls=on $_->[3]\n"} @CASE;
    my $httpd  = Failover::Httpd->new( mpm => $mpm, modules => [qw(cgi env)], config => slowly() . $config . shows_states( map { $_->[0] } @CASE ) );
    $httpd->file( 'lock', "Geheim7\n", 0400 );
    $httpd->allow_log(qr/FO0009: .*(?: a ping may take|: off: verify=off: whoever answers there)/);
    $httpd->allow_log(qr/FO0005: hung: .*this host is overloaded/);
    $httpd->start;
    wait_for_states( $httpd, join ' ', map { $_->[4] eq 'up' ? 'up' : 'down' } @CASE );
    for my $case (@CASE) {
        my ( $name, $host, $server, undef, $words ) = @$case;
        outage_is( $httpd, $name, "$host:@{[ port($server) ]}", "tls: $words" ) if $words ne 'up';
    }
    unlike $httpd->error_log, qr/Geheim7/, 'the password is not shown';
    $httpd->done;
};

subtest 'the password of a key' => sub {
    my $httpd = Failover::Httpd->new( config => slowly() . <<~"CONF" . shows_states('app'), modules => [qw(cgi env)] );
        FailoverService app tcp://localhost:@{[ port('twelve') ]} tls=on $ca cert=$cert key=$shut key-password=file:\@DIR\@/lock
        CONF
    $httpd->file( 'lock', "falsch\n", 0400 );
    $httpd->start;
    $httpd->take_log(qr/FO0006: .*httpd.conf:\d+: key=: the password of \Q$shut\E is another one; the pings go on without the key$/);
    wait_for_states( $httpd, 'down' );
    outage_is( $httpd, 'app', 'localhost:' . port('twelve'), 'tls: sslv3 alert handshake failure' );
    $httpd->file( 'lock', "Geheim7\n", 0400 );
    $httpd->graceful;
    wait_for_states( $httpd, 'up' );
    $httpd->take_log(qr/FO0003: app is back up/);
    unlike $httpd->error_log, qr/Geheim7|falsch/, 'neither is shown';
    $httpd->done;
};

# As httpd's User: that the child cannot read it is no fault of the server's.
subtest 'authorities that the children may not read' => sub {
    my $folder = $made->ca_folder('closed');
    chmod 0600, "$folder/authority.pem" or die "$folder: $!\n";
    my $httpd = Failover::Httpd->new( config => slowly() . <<~"CONF" . shows_states(qw(app web)), modules => [qw(cgi env)] )->start;
        FailoverService app tcp://localhost:@{[ port('foreign') ]} tls=on ca-path=$folder
        FailoverService web https://localhost:@{[ port('foreign') ]}/ ca-path=$folder
        CONF
    $httpd->get('/');
    like $httpd->take_log(qr/FO0005: $_: /), qr/tls: Permission denied: User and Group must be able to read the files of TLS$/, "said of $_" for qw(app web);
    is states($httpd), 'up up', 'and no outage';
    $httpd->done;
};

subtest 'a socket file, in plain and over TLS' => sub {
    my $unix  = Failover::Peer->new( unix => 1 );
    my $httpd = Failover::Httpd->new( config => quick() . <<~"CONF" . shows_states('app'), modules => [qw(cgi env)] );
        FailoverService app tcp://app.example.com:5000 socket=@{[ $unix->path ]}
        CONF
    $httpd->start;
    wait_for_states( $httpd, 'up' );
    $unix->mode('refuse');
    wait_for_states( $httpd, 'down' );
    outage_is( $httpd, 'app', 'app.example.com:5000', 'connect: No such file or directory' );
    $httpd->done;
};

# Those that fit left nothing in the servers' logs.
$server{$_}->done for qw(good mutual);
done_testing;

# ---------------------------------------------------------------- helpers

sub server ( $cert, $key, @option ) {
    return Failover::Server::OpenSSL->new( cert => $cert, key => $key, options => \@option )->start;
}

sub port ($server) { return ref $server ? $server->port : $server{$server}->port }

sub slowly () { return quick() =~ s/200ms/500ms/gr }
