# FailoverRequire and FailoverOutageDocument: what is closed while a service is down, what is served
# instead, and what stays open.
use v5.36;
use Test::More;
use Failover::File;
use Failover::Httpd;
use Failover::Peer;
use Failover::States qw(quick);
use Failover::Wait;

my $OFTEN = quick() =~ s/FailoverPingWait.*/FailoverPingWait 5s/r;

my %peer = map { $_ => Failover::Peer->new } qw(db cache watched);

sub service ( $name, %arg ) {
    my $peer = $arg{peer} // $peer{$name};
    return "<FailoverService $name>\nFailoverEndpoint one tcp://@{[ $peer->address ]}\n@{[ $arg{more} // '' ]}\n</FailoverService>\n";
}

my $httpd = Failover::Httpd->new( modules => [qw(alias dir mime include authn_core auth_basic authn_file authz_user rewrite cgi)], config => join '', $OFTEN, map( { service($_) } qw(db cache) ), service( 'watched', more => 'FailoverMode observe' ), <<~'CONF' );
    ErrorDocument 503 "the canned words"
    <Directory "@DIR@/htdocs">
        AllowOverride FileInfo
        Options +Includes
        AddOutputFilter INCLUDES .shtml
    </Directory>
    <Location /shop>
        FailoverRequire db
    </Location>
    <Location /shop/open>
        FailoverRequire none
    </Location>
    <Location /shop/cart>
        FailoverRequire cache
    </Location>
    <Location /shop/only-cache>
        FailoverRequire none
        FailoverRequire cache
    </Location>
    <Files "*.cart">
        FailoverRequire cache
    </Files>
    <Directory "@DIR@/htdocs/indexed">
        DirectoryIndex page.cart
    </Directory>
    <If "%{QUERY_STRING} == 'closed'">
        FailoverRequire db
    </If>
    <Location /watched>
        FailoverRequire watched
    </Location>
    <Location /secret>
        FailoverRequire db
        AuthType Basic
        AuthName "secret"
        AuthUserFile "@DIR@/nobody"
        Require valid-user
    </Location>
    <Location /own>
        FailoverRequire db
        ErrorDocument 503 /own/sorry.html
    </Location>
    <Location /page>
        FailoverOutageDocument db /outage.html
    </Location>
    <Location /page/inside>
        FailoverOutageDocument db /outage.html?from=inside 200
        FailoverOutageDocument cache /cache.html 404
    </Location>
    <Location /page/both>
        FailoverRequire db cache
    </Location>
    <Location /page/open>
        FailoverOutageDocument none
    </Location>
    <Location /slash>
        FailoverOutageDocument db /slash/doc 200
    </Location>
    <Location /error>
        ErrorDocument 404 /shop/404.html
    </Location>
    <Location /page/gone>
        FailoverOutageDocument db /missing.html
    </Location>
    <VirtualHost *:@PORT@>
        ServerName 127.0.0.1
    </VirtualHost>
    <VirtualHost *:@PORT@>
        ServerName closed.example.com
        FailoverRequire db cache
        FailoverOutageDocument db /outage/
        DirectoryIndex index.shtml
        RewriteEngine On
        RewriteRule ^/moved /outage/ [PT]
        <Location /none>
            FailoverRequire none
            FailoverOutageDocument none
        </Location>
        <Location /none/cache>
            FailoverRequire cache
        </Location>
        <Location /status>
            SetHandler failover-status
            FailoverStatus On
        </Location>
    </VirtualHost>
    CONF
$httpd->file( "htdocs/$_", "this is $_\n" )
    for qw(page.txt indexed/page.cart shop/page.txt shop/open/page.txt shop/cart/page.txt shop/only-cache/page.txt a.cart watched/page.txt secret/page.txt own/page.txt own/sorry.html
    page/page.txt page/inside/page.txt page/both/page.txt page/open/page.txt page/gone/page.txt outage.html cache.html outage/part.txt ht/page.txt bad/page.txt worse/page.txt none/cache/page.txt slash/doc/index.html);
$httpd->file( 'htdocs/shop.shtml',         'a page with <!--#include virtual="/shop/page.txt" -->' );
$httpd->file( 'htdocs/outage/index.shtml', 'closed: <!--#include virtual="/outage/part.txt" --><!--#echo var="REDIRECT_STATUS" -->' );
$httpd->file( 'htdocs/ht/.htaccess',       "FailoverRequire cache\nFailoverOutageDocument cache /cache.html\n" );
$httpd->file( 'htdocs/bad/.htaccess',      "FailoverRequire nobody\n" );
$httpd->file( 'htdocs/worse/.htaccess',    "FailoverOutageDocument db outage.html\n" );
$httpd->start;

sub answer ( $path, %arg ) {
    my $answer = $httpd->get( $path, %arg );
    return join ' ', $answer->status, ( split /\n/, $answer->body )[0] // '';
}

sub logged ($words) { return index( $httpd->error_log, $words ) >= 0 }

sub down ($name) {
    $peer{$name}->mode('refuse');
    $httpd->expect_log(qr/FO0001: $name outage/);
    return wait_for( sub { $httpd->get('/page.txt'); logged("FO0001: $name outage") }, "the outage of $name" );
}

sub back ($name) {
    $peer{$name}->mode('mute');
    return wait_for( sub { $httpd->get('/page.txt'); logged("FO0003: $name is back up") }, "$name to be back" );
}

my @open = qw(/page.txt /shop/page.txt /shop/open/page.txt /shop/cart/page.txt /shop/only-cache/page.txt /a.cart /watched/page.txt /own/page.txt /page/page.txt /page/inside/page.txt /page/both/page.txt /page/open/page.txt /ht/page.txt);

sub all_open ($when) {
    my @closed = grep { answer($_) ne '200 this is ' . substr $_, 1 } @open;
    return is "@closed", '', "$when: nothing is closed";
}

all_open('all is well');
is $httpd->get('/secret/page.txt')->status, 401, 'who may see the rest is asked for a password';

# The very request that finds the outage: it waits for the ping that it has triggered.
$peer{db}->mode('refuse');
$httpd->expect_log(qr/FO0001: db outage/);
my $found;
wait_for( sub { $found = answer('/shop/page.txt'); logged('FO0001: db outage') }, 'the outage of db' );
is $found, '503 the canned words', 'the very request that found the outage is turned away';

subtest 'db is down' => sub {
    my $answer = $httpd->get('/shop/page.txt');
    is $answer->status, 503, 'closed';
    is $answer->body,   'the canned words', 'ErrorDocument is honoured';
    is $answer->header('Retry-After'),   1,          'the next ping is due at once';
    is $answer->header('Cache-Control'), 'no-store', 'and nobody is to keep it';
    is answer($_), '503 the canned words', $_ for qw(/shop/cart/page.txt /page.txt?closed);
    is answer($_), '200 this is ' . substr( $_, 1 ), $_ for qw(/page.txt /shop/open/page.txt /shop/only-cache/page.txt /a.cart /watched/page.txt /ht/page.txt);
    is answer('/secret/page.txt'), '503 the canned words', 'before anybody is asked for a password';
    is answer('/own/page.txt'),    '503 this is own/sorry.html', 'an ErrorDocument that would be closed itself';
    is answer('/own/sorry.html'),  '503 this is own/sorry.html', 'and asked for by name it is closed as all around it';
    is answer('/shop.shtml'),      '200 a page with this is shop/page.txt', 'a part of a page that is open';
    is answer( '/shop/page.txt', method => 'POST', body => 'a=b' ), '503 the canned words', 'POST';
    is answer( '/shop/page.txt', method => 'HEAD' ), '503 ', 'HEAD';
    $answer = $httpd->get('/error/nothing');
    is $answer->status, 404, 'an error whose page is closed is that error still';
    is $answer->header('Retry-After'), undef, 'and nobody is told to come again';
};

subtest 'the documents' => sub {
    my $answer = $httpd->get('/page/page.txt');
    is $answer->status, 503, 'with 503';
    is $answer->body,   "this is outage.html\n", 'the document';
    is $answer->header('Retry-After'),   1,          'with the time to come again';
    is $answer->header('Cache-Control'), 'no-store', 'and nobody is to keep it';
    $answer = $httpd->get('/page/inside/page.txt');
    is $answer->status, 200, 'with a status of its own';
    is $answer->body,   "this is outage.html\n", 'and a query';
    is $answer->header('Retry-After'),   undef,      'where it is no error there is no time to come again';
    is $answer->header('Cache-Control'), 'no-store', 'and nobody is to keep it either';
    is answer('/page/both/page.txt'), '503 this is outage.html', 'it goes before a FailoverRequire';
    is answer('/page/open/page.txt'), '200 this is page/open/page.txt', 'none';
    is answer('/outage.html'),        '200 this is outage.html', 'asked for by name where nothing is closed';
    like answer('/page/gone/page.txt'), qr/^503 <!DOCTYPE/, 'one that is missing';
    is answer( '/page/page.txt', method => 'POST', body => 'a=b' ), '503 this is outage.html', 'POST';
    is answer('/slash/doc/'), '200 this is slash/doc/index.html', 'where mod_dir sends browsers for a document that is a directory';
    is $httpd->get( '/page/page.txt', method => 'HEAD' )->header('Content-Length'), length("this is outage.html\n"), 'HEAD';
    $httpd->allow_log(qr{AH00128: File does not exist: .*/missing[.]html});
};

subtest 'a whole site' => sub {
    my @host = ( host => 'closed.example.com' );
    is answer( '/page.txt', @host ),      '503 closed: this is outage/part.txt', 'its pages';
    is answer( '/moved',    @host ),      '200 closed: this is outage/part.txt', 'the document itself, wherever it is led to';
    is answer( '/outage/',  @host ),      '200 closed: this is outage/part.txt', 'and by name';
    is answer( '/outage/part.txt', @host ), '503 closed: this is outage/part.txt', 'not what lies beside it';
    is answer( '/none/cache/page.txt', @host ), '200 this is none/cache/page.txt', 'what none has opened, and an inner section not closed again';
    is answer( '/status?auto',     @host ) =~ s/ .*//r, 200, 'and whoever looks why is let in';
};

down('cache');
is answer('/ht/page.txt'),            '503 this is cache.html', '.htaccess';
is answer('/a.cart'),                 '503 the canned words',   'Files';
is answer('/indexed/'),               '503 the canned words',   'a file in the place of its directory';
is answer('/page/inside/page.txt'),   '200 this is outage.html', 'of two documents the first whose service is down';
is answer('/shop/only-cache/page.txt'), '503 the canned words', 'none, and another';
down('watched');
is answer('/watched/page.txt'), '200 this is watched/page.txt', 'FailoverMode observe closes nothing';
back('db');
is answer('/shop/page.txt'),        '200 this is shop/page.txt', 'db is back';
is answer('/shop/cart/page.txt'),   '503 the canned words',      'FailoverRequire of two sections add up';
is answer('/page/both/page.txt'),   '503 the canned words',      'the second of two';
is answer('/page/inside/page.txt'), '404 this is cache.html',    'the second document';
is answer( '/page.txt', host => 'closed.example.com' ), '503 the canned words', 'a service that the document is not for';
back($_) for qw(cache watched);
all_open('all is back');

is $httpd->get("/$_/page.txt")->status, 500, "$_/.htaccess" for qw(bad worse);
ok $httpd->take_log(qr{:alert\].*/bad/[.]htaccess: FailoverRequire: there is no service 'nobody'}), 'an unknown name in a .htaccess is told';
ok $httpd->take_log(qr{:alert\].*/worse/[.]htaccess: FailoverOutageDocument: 'outage[.]html' is not a local path}), 'so is what is no local path';
$httpd->done;

subtest 'in .htaccess files alone' => sub {
    my $peer = Failover::Peer->new( mode => 'refuse' );
    my $other = Failover::Httpd->new( modules => ['dir'], config => $OFTEN . service( 'db', peer => $peer ) . "DirectoryIndex sub/index.html\nFailoverRequire none\n" );
    $other->file( 'htdocs/sub/index.html', 'a page' );
    $other->file( 'htdocs/sub/.htaccess',  "FailoverRequire db\n" );
    $other->start;
    $other->expect_log(qr/FO0001: db outage/);
    is $other->get($_)->status, 503, $_ for qw(/sub/index.html /);
    $other->done;
};

# When a client may come again: when the next ping is due, until nobody can tell.
subtest 'Retry-After' => sub {
    my $peer = Failover::Peer->new( mode => 'refuse' );
    my $rare = Failover::Httpd->new( mpm => 'prefork', config => <<~"CONF" . service( 'db', peer => $peer ) );
        FailoverOutagePingFrequency 30s
        FailoverSpread 0
        FailoverPingWait 5s
        FailoverAttempts 3 delay=1s
        FailoverRequire db
        CONF
    $rare->file( 'htdocs/page.txt', 'page' );
    $rare->start;
    $rare->expect_log(qr/FO0001: db outage/);
    my $answer = $rare->get('/page.txt');
    is $answer->status, 503, 'the first request that there is';
    cmp_ok $answer->header('Retry-After'), '<=', 30, 'until the next ping';
    cmp_ok $answer->header('Retry-After'), '>=', 25, 'and not before';
    wait_for( sub { !defined $rare->get('/page.txt')->header('Retry-After') }, 'it to be unavailable' );
    is $rare->get('/page.txt')->status, 503, 'closed as ever, and nobody can say until when';
    $rare->allow_log(qr/FO0016: db: unavailable/);
    $rare->done;
};
done_testing;
