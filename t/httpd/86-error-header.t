# FailoverErrorHeader: an application reports errors of services in its response; nobody sees it, no
# cache keeps it, no client can send it.
use v5.36;
use Test::More;
use Failover::Httpd;
use Failover::Peer;
use Failover::Wait;
use JSON::PP qw(decode_json);

my ( $main, $spare, $cache ) = map { Failover::Peer->new } 1 .. 3;
my $httpd = Failover::Httpd->new( modules => [qw(alias proxy proxy_http cache cache_disk cgi dir include mime)], config => <<~"CONF" );
    FailoverMonitoringPingFrequency 1h
    FailoverOutagePingFrequency     1h
    FailoverErrorPingFrequency      50ms
    FailoverSpread                  0
    FailoverPingWait                5s
    FailoverGracePeriod             0
    <FailoverService db>
        FailoverEndpoint main  tcp://@{[ $main->address ]}
        FailoverEndpoint spare tcp://@{[ $spare->address ]} weight=0.5
        FailoverBreaker consecutive=3 trip=open reset=10m
    </FailoverService>
    FailoverService cache tcp://@{[ $cache->address ]}
    ScriptAlias /app   "\@DIR\@/cgi-bin/app"
    ScriptAlias /inner "\@DIR\@/cgi-bin/app"
    ProxyPass /proxied  http://127.0.0.1:\@PORT\@/inner
    ProxyPass /replaced http://127.0.0.1:\@PORT\@/inner
    <Files "part">
        FailoverErrorHeader Failover-Error
    </Files>
    <Directory "\@DIR\@/htdocs/bare">
        Options +Includes
        AddOutputFilter INCLUDES .shtml
        DirectoryIndex /cgi-bin/part
    </Directory>
    <LocationMatch "^/(app|proxied|replaced|pages)">
        FailoverErrorHeader Failover-Error
    </LocationMatch>
    <Location /app/counted>
        FailoverUses db
    </Location>
    <Location /app/open>
        FailoverErrorHeader none
    </Location>
    <Location /replaced>
        ProxyErrorOverride On
        ErrorDocument 500 /sorry.txt
        ErrorDocument 501 "words"
    </Location>
    <Location /status>
        SetHandler failover-status
        FailoverStatus On
    </Location>
    <Directory "\@DIR\@/htdocs/pages">
        Options +Includes
        AddOutputFilter INCLUDES .shtml
    </Directory>
    CacheRoot   "\@DIR\@/cache"
    CacheEnable disk /app/kept
    CacheHeader On
    CONF

# Says nothing but what the client sent, likewise.
$httpd->file( 'cgi-bin/part', <<~'CGI' );
    #!/usr/bin/perl
    print "Content-Type: text/plain\n\n", $ENV{HTTP_FAILOVER_ERROR} // 'a page';
    CGI

# Says the header and the status that the query names, and what the client sent as that header.
$httpd->file( 'cgi-bin/app', <<~'CGI' );
    #!/usr/bin/perl
    my ( $status, @value ) = split /&/, $ENV{QUERY_STRING};
    print "Status: $status\n", map {"Failover-Error: $_\n"} @value;
    print "Cache-Control: max-age=60\n" if $ENV{REQUEST_URI} =~ /kept/;
    print "Content-Type: text/plain\n\n", $ENV{HTTP_FAILOVER_ERROR} // 'a page';
    CGI
$httpd->file( 'htdocs/sorry.txt',        'sorry' );
$httpd->file( 'htdocs/pages/one.shtml', '<!--#include virtual="/app/part?200&cache" -->' );
$httpd->file( 'htdocs/bare/one.shtml',  '<!--#include virtual="/cgi-bin/part" -->' );
$httpd->file( 'cache/.there',           '' );
chmod 0777, $httpd->dir . '/cache' or die "cache: $!\n";
$httpd->start;
wait_for( sub { $httpd->get('/sorry.txt'); !grep { !$_->connections } $main, $spare, $cache }, 'the first pings' );

sub status () { return decode_json( $httpd->body('/status?format=json') ) }

# The rest of an answer that pings these peers, or nobody, and has no such header.
sub pinged ( $path, $peers, $what, %arg ) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my %before = map { $_ => $_->connections } $main, $spare, $cache;
    my $answer = $httpd->get( $path, %arg );
    if (@$peers) {
        wait_for( sub { !grep { $_->connections == $before{$_} } @$peers }, "$path: pings" );
        pass("$what: pings");
    }
    else {
        my $until = now() + 0.3;
        wait_for( sub { now() > $until }, 'a while' );
    }
    my %named = map { $_ => 1 } @$peers;
    is_deeply [ grep { !$named{$_} && $_->connections != $before{$_} } $main, $spare, $cache ], [], "$what: no other ones";
    is $answer->header('Failover-Error'), undef, "$what: the client does not see it";
    return join ' ', $answer->status, $answer->body;
}

is pinged( '/app?200&db',            [$main],           'a script' ),            '200 a page', 'its page';
is pinged( '/app?200&DB',            [$main],           'in capitals' ),         '200 a page', 'its page';
is pinged( '/app?500&cache',         [$cache],          'a script that fails' ), '500 a page', 'its page';
is pinged( '/app?200&db,cache',     [ $main, $cache ], 'two services' ),        '200 a page', 'its page';
is pinged( '/app?200&db&cache',      [ $main, $cache ], 'two headers' ),         '200 a page', 'its page';
is pinged( '/proxied?200&db',        [$main],           'a proxy' ),             '200 a page', 'its page';
is pinged( '/replaced?500&db',       [$main],           'a proxy, and a document instead' ),  '500 sorry', 'the document';
is pinged( '/replaced?501&db',       [$main],           'a proxy, and words instead' ),       '501 words', 'the words';
is pinged( '/pages/one.shtml',       [$cache],          'a part of a page' ),    '200 a page', 'the page';
is pinged( '/app/kept?200&db',       [$main],           'a page to be kept' ),   '200 a page', 'it';
is pinged( '/app/kept?200&db',       [],                'from the cache' ),      '200 a page', 'it';
is pinged( '/app?200',               [],                'no header' ),           '200 a page', 'its page';
is pinged( '/app?200',     [], 'from a client', headers => [ 'Failover-Error' => 'db' ] ), '200 a page', 'the script sees nothing of it';
is pinged( '/proxied?200', [], 'from a client, by a proxy', headers => [ 'Failover-Error' => 'db' ] ), '200 a page', 'likewise';

is pinged( $_, [], 'from a client, for a part of a page or in the place of a directory', headers => [ 'Failover-Error' => 'db' ] ), '200 a page', 'likewise'
    for qw(/bare/one.shtml /bare/?200);

my $answer = $httpd->get( '/app/open?200&db', headers => [ 'Failover-Error' => 'client' ] );
is $answer->header('Failover-Error'), 'db', 'none: it is a header as any other';
is $answer->body, 'client', 'from whomever';

is pinged( '/app?200&bd', [], 'an unknown name' ), '200 a page', 'its page';
is pinged( '/app?200&bd,db', [$main], 'one of two is unknown' ), '200 a page', 'its page';
my $told = () = $httpd->error_log =~ /:warn\].*FO0024: the response header Failover-Error names 'bd', which is no service here: it is ignored/g;
is $told, 1, 'the first is told';
$httpd->allow_log(qr/FO0024/);
is status()->{children}[0]{unknown_errors}, 2, 'all are counted';

# They count for the breaker where the request uses the service.
is status()->{services}[0]{state}, 'up', 'no request has used db so far';
pinged( '/app/counted?200&db', [$main], 'a failure that counts' ) for 1 .. 2;
$httpd->get('/app/counted?200&db');
wait_for( sub { status()->{services}[0]{state} eq 'failover' }, 'the breaker' );
$httpd->take_log(qr/FO0018: db: endpoint main down, using spare .*breaker: 3 of 3 requests failed/);
is pinged( '/app?200&db', [$spare], 'from now on the other endpoint is meant' ), '200 a page', 'its page';
$httpd->done;
done_testing;
