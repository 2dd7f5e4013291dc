# http:// and https:// against a real web server: killed, stopped, with statuses and bodies that are
# not what they should be, and with certificates that are not; and Redis Enterprise's check of lag.
use v5.36;
use Test::More;
use Failover::File;
use Failover::Httpd;
use Failover::Peer;
use Failover::Seen;
use Failover::States qw(under_each_mpm quick);
use Failover::Wait;
use Failover::Web;

my $SECRET = 'Geheim7';
my $web    = Failover::Web->new->start;
my $at     = $web->address;
my $good   = 'localhost:' . $web->tls('good');
my $ca     = 'ca=' . $web->ca;

# One request per ping, each answered, and nothing else.
under_each_mpm 'what the site logs', sub ($mpm) {
    my $before = $web->requests;
    my $log    = length $web->httpd->error_log;
    my $httpd  = start_httpd( $mpm, [ 'plain', 'tls', 'lag' ], quick() =~ s/Frequency\s+\K200ms/20ms/gr, <<~"CONF" );
        FailoverService plain http://$at/health
        FailoverService tls https://$good/health $ca
        FailoverService lag redis-lag+https://monitor\@$good $ca @{[ password() ]} database=redis-1.example.com timeout=3s
        CONF
    wait_for_states( $httpd, 'up up up' );
    wait_for( sub { $httpd->get('/'); $web->requests - $before >= 60 }, '60 requests' );
    is states($httpd), 'up up up', 'up';
    $httpd->done;
    my @request = $web->requests;
    my %kind    = map { $_ => 1 } @request[ $before .. $#request ];
    is_deeply [ sort keys %kind ], [
        sort map {"GET $_ 200 mod_failover/0.1.0"} '/health', '/v1/bdbs',
        '/v1/bdbs/1/availability?extend_check=lag&availability_lag_tolerance_ms=100'
        ],
        'the requests, all answered';
    unlike substr( $web->httpd->error_log, $log ), qr/SSL library error|handshake|reset|closed/i, 'no connection is complained of, not even as information';
};

under_each_mpm 'killed and stopped', sub ($mpm) {
    my $httpd = start_httpd( $mpm, [ 'plain', 'tls' ], quick(), <<~"CONF" );
        SetEnv APP_HOST app1
        FailoverService plain http://$at/health APP_HOST=spare
        FailoverService tls https://$good/health $ca
        CONF
    wait_for_states( $httpd, 'up up' );
    for my $fault ( [ pause => 'answer: timed out after 200ms', 'tls: timed out after 200ms' ],
        [ crash => ('connect: Connection refused') x 2 ] ) {
        my ( $what, $plain, $tls ) = @$fault;
        my $began = now();
        $web->$what;
        wait_for_states( $httpd, 'down down' );
        outage_is( $httpd, 'plain', $at,   $plain, $what );
        outage_is( $httpd, 'tls',   $good, $tls,   $what );
        is $httpd->body('/cgi-bin/value?APP_HOST'), 'spare', "$what: the variable is switched";
        $what eq 'pause' ? $web->resume : $web->start;
        wait_for_states( $httpd, 'up up' );
        recovery_is( $httpd, $_, $began ) for qw(plain tls);
        is $httpd->body('/cgi-bin/value?APP_HOST'), 'app1', "$what: the variable is what it was";
    }
    $httpd->done;
};

# Each [ name, URL and options, 'up' or the outage's words ].
sub judged ( $topic, @case ) {
    return under_each_mpm $topic, sub ($mpm) {
        my $config = join '', map {"FailoverService $_->[0] $_->[1]\n"} @case;
        my $httpd  = start_httpd( $mpm, [ map { $_->[0] } @case ], slowly(), $config );
        wait_for_states( $httpd, join ' ', map { $_->[2] eq 'up' ? 'up' : 'down' } @case );
        for my $case (@case) {
            my ( $name, $url, $words ) = @$case;
            next if $words eq 'up';
            my ($endpoint) = $url =~ m{://(?:[^@/ ]+@)?([^/ ]+)};
            outage_is( $httpd, $name, $endpoint, $words );
        }
        $httpd->done;
    };
}

judged 'answers',
    [ path     => "http://$at/health",                                'up' ],
    [ six      => "http://[::1]:@{[ $web->httpd->port ]}/health",        'up' ],
    [ body     => "http://$at/health \"body=status: fine\"",          'up' ],
    [ other    => "http://$at/health body=broken",                    'answer: the text of body= is not in the answer' ],
    [ head     => "http://$at/large method=HEAD",                     'up' ],
    [ options  => "http://$at/health method=OPTIONS",                 'up' ],
    [ large    => "http://$at/large",                                 'answer: the answer has more than 1048576 bytes (max-body=)' ],
    [ enough   => "http://$at/large max-body=3000000",                'up' ],
    [ missing  => "http://$at/gone",                                  'answer: 404 Not Found' ],
    [ wanted   => "http://$at/gone status=404",                       'up' ],
    [ moved    => "http://$at/cgi-bin/status query=302",              'up' ],
    [ unmoved  => "http://$at/cgi-bin/status query=302 status=200",   'answer: 302 Found' ],
    [ broken   => "http://$at/cgi-bin/status query=503",              'answer: 503 Service Unavailable' ],
    [ denied   => "http://$at/private/page",                          'answer: 401 Unauthorized' ],
    [ allowed  => "http://monitor\@$at/private/page body=monitors @{[ password() ]}", 'up' ],
    [ plaintls => "http://$good/",                                    'answer: 400 Bad Request' ],
    [ tlsplain => "https://$at/ $ca",                                 'tls: wrong version number' ];

my ( $cert, $key ) = $web->client;
judged 'certificates',
    [ name     => "https://$good/health $ca",                                     'up' ],
    [ address  => 'https://127.0.0.1:' . $web->tls('good') . "/health $ca",       'up' ],
    [ six      => 'https://[::1]:' . $web->tls('good') . "/health $ca",           'up' ],
    [ folder   => "https://$good/health ca-path=" . $web->ca_folder,              'up' ],
    [ system   => "https://$good/health",                                         'tls: unable to get local issuer certificate' ],
    [ hostname => 'https://localhost:' . $web->tls('other') . "/health $ca",      qr/tls: no alternative certificate subject name matches target host name 'localhost'/ ],
    [ wrongip  => 'https://127.0.0.1:' . $web->tls('other') . "/health $ca",      qr/tls: no alternative certificate subject name matches target host name '127.0.0.1'/ ],
    [ expired  => 'https://localhost:' . $web->tls('expired') . "/health $ca",    'tls: certificate has expired' ],
    [ own      => 'https://localhost:' . $web->tls('own') . "/health $ca",        'tls: self-signed certificate' ],
    [ off      => 'https://localhost:' . $web->tls('own') . '/health verify=off', 'up' ],
    [ old      => 'https://localhost:' . $web->tls('old') . "/health $ca",        qr/tls: \S*.*protocol version/ ],
    [ nocert   => 'https://localhost:' . $web->tls('mutual') . "/health $ca",     qr/tls: tlsv13 alert certificate required/ ],
    [ mutual   => 'https://localhost:' . $web->tls('mutual') . "/health $ca cert=$cert key=$key", 'up' ];

# What is wrong with the account is no outage of the site.
under_each_mpm 'a wrong password', sub ($mpm) {
    my $httpd = start_httpd( $mpm, ['app'], slowly(), "FailoverService app http://monitor\@$at/private/page @{[ password('wrong') ]}\n" );
    wait_for_states( $httpd, 'up' );
    wait_for( sub { $httpd->get('/'); said( $httpd, 'FO0004' ) }, 'the warning' );
    like $httpd->take_log(qr/FO0004: app: /), qr/login refused \(401\): the server is alive, .*endpoint \Q$at\E: 401 Unauthorized/, 'a warning';
    unlike $httpd->error_log . ( $httpd->configtest( '-D', 'DUMP_FAILOVER' ) )[1], qr/wrong1/, 'the password is nowhere';
    $httpd->done;
    $web->httpd->allow_log(qr/AH01617|AH01618/);
};

# Servers that hang, drip or never end cost a ping its time-out, and no more.
under_each_mpm 'peers that misbehave', sub ($mpm) {
    my $head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    my %peer = (
        mute    => Failover::Peer->new,
        drip    => Failover::Peer->new( mode => 'drip', bytes => $head . 'x' x 900 ),
        garbage => Failover::Peer->new( mode => 'garbage' ),
        close   => Failover::Peer->new( mode => 'close' ),
    );
    my @name  = sort keys %peer;
    my $httpd = start_httpd( $mpm, \@name, quick(), join '', map { "FailoverService $_ http://" . $peer{$_}->address . "/\n" } @name );
    wait_for_states( $httpd, 'down down down down' );
    my $address = sub ($name) { ( $httpd, $name, $peer{$name}->address ) };
    outage_is( $address->('mute'),    'answer: timed out after 200ms' );
    outage_is( $address->('drip'),    'answer: timed out after 200ms' );
    outage_is( $address->('garbage'), 'answer: the answer is not HTTP' );
    outage_is( $address->('close'),   qr/answer: (?:the server closed the connection|Connection reset by peer)/ );
    cmp_ok $httpd->stop, '<', 3, 'it stops in the middle of all that';
    $httpd->done;
};

under_each_mpm 'lag', sub ($mpm) {
    my $api   = "redis-lag+https://monitor\@$good $ca @{[ password() ]} timeout=3s";
    my $wrong = "redis-lag+https://monitor\@$good $ca @{[ password('wrong') ]} timeout=3s";
    my $httpd = start_httpd( $mpm, [qw(name address both other denied first)], slowly(), <<~"CONF" );
        FailoverService name $api database=redis-2.example.com tolerance=50ms
        FailoverService address $api database=127.0.0.1:12002
        FailoverService both $api database=127.0.0.1
        FailoverService other $api
        FailoverService denied $wrong database=redis-1.example.com
        FailoverService first $api database=redis-1.example.com
        CONF
    wait_for_states( $httpd, 'up up down down down up' );
    outage_is( $httpd, 'both',   $good, 'answer: 2 databases are at 127.0.0.1: write database=HOST:PORT' );
    outage_is( $httpd, 'other',  $good, 'answer: no database has an endpoint at localhost' );
    outage_is( $httpd, 'denied', $good, 'answer: 401 Unauthorized' );
    $web->lag('late');
    my $began = now();
    wait_for_states( $httpd, 'down down down down down up' );
    outage_is( $httpd, $_, $good, 'answer: 503 Service Unavailable: Replication lags behind' ) for qw(name address);
    $web->lag('fine');
    wait_for_states( $httpd, 'up up down down down up' );
    recovery_is( $httpd, $_, $began ) for qw(name address);
    like join( "\n", $web->requests ), qr/^GET \S+_ms=50 503 /m, 'the tolerance is asked for';
    $httpd->done;
};

# Its time-out is its own, of 30 s, unless told otherwise.
{
    my $httpd = Failover::Httpd->new( config => <<~"CONF" );
        FailoverService own redis-lag+https://redis.example.com
        FailoverService told redis-lag+https://redis.example.com timeout=2s
        CONF
    my ( undef, $dump ) = $httpd->configtest( '-D', 'DUMP_FAILOVER' );
    like $dump, qr{redis-lag\+https://redis\.example\.com weight=\S+ timeout 30s, down 30s}, '30 s';
    like $dump, qr{redis-lag\+https://redis\.example\.com weight=\S+ timeout 2s, down 2s},   'as told';
}

# The files are read as root with the configuration; no ping needs them, and a renewed one counts
# after a restart.
under_each_mpm 'a graceful restart', sub ($mpm) {
    my $url   = "https://localhost:@{[ $web->tls('mutual') ]}/health";
    my $httpd = start_httpd( $mpm, ['app'], slowly(), "FailoverService app $url ca=\@DIR\@/ca.crt cert=\@DIR\@/own.crt key=\@DIR\@/own.key\n",
        sub ($httpd) {
            $httpd->file( 'ca.crt',  slurp( $web->ca ) );
            $httpd->file( 'own.crt', slurp($cert) );
            $httpd->file( 'own.key', slurp($key), 0400 );
        } );
    wait_for_states( $httpd, 'up' );
    $httpd->file( 'ca.crt', slurp( Failover::Certificates->new->ca ) );
    $httpd->graceful for 1 .. 2;
    wait_for_states( $httpd, 'down' );
    outage_is( $httpd, 'app', 'localhost:' . $web->tls('mutual'), qr/tls: .*certificate.*/ );
    unlike $httpd->error_log, qr/exit signal/, 'nothing crashed';
    $httpd->done;
};

$web->done;
done_testing;

# ---------------------------------------------------------------- helpers

sub start_httpd ( $mpm, $names, $policy, $services, $prepare = sub { } ) {
    my $httpd = Failover::Httpd->new( mpm => $mpm, modules => [qw(cgi env)], config => $policy . $services . shows_states(@$names) );
    $httpd->file( 'secret', "$SECRET\n", 0400 );
    $httpd->file( 'wrong',  "wrong1\n",  0400 );
    $prepare->($httpd);
    $httpd->allow_log(qr/FO0009: .*(?: a ping may take|: off: verify=off: whoever answers there)/);
    return $httpd->start;
}

sub password ( $name = 'secret' ) { return "password=file:\@DIR\@/$name" }

# For many services at a time.
sub slowly () { return quick() =~ s/200ms/500ms/gr }
