# What a service can change while it is not up: set, unset, copy by prefix, notes; and FailoverMode
# observe, which changes nothing.
use v5.36;
use Test::More;
use Failover::Httpd;
use Failover::Peer;
use Failover::States;
use Failover::Wait;

in_each_state 'FailoverSetEnv, FailoverUnsetEnv, FailoverNote',
    modules => [qw(cgi env setenvif)],
    config  => <<~'CONF',
        SetEnv DB_HOST db1
        SetEnv DB_POOL big
        SetEnvIf Request_Method . DB_USER=shop
        <FailoverService db>
            FailoverEndpoint main tcp://@PEER@
            FailoverSetEnv   DB_HOST spare
            FailoverSetEnv   "DB_TEXT" "two words"
            FailoverSetEnv   DB_URL "mysql://%{reqenv:DB_USER}@%{failover:db.host}/"
            FailoverUnsetEnv DB_POOL DB_NEVER_WAS
            FailoverNote     advice "stay calm"
            FailoverNote     where  "not %{failover:db.endpoint}"
        </FailoverService>
        LogFormat "%q advice=%{advice}n where=%{where}n" notes
        CustomLog logs/access notes
        CONF
    expect => [
        [ 'a plain value',             '/cgi-bin/value?DB_HOST',      'db1',      'spare' ],
        [ 'a value with a space',      '/cgi-bin/value?DB_TEXT',      '(absent)', 'two words' ],
        [ 'a value from others',       '/cgi-bin/value?DB_URL',       '(absent)', 'mysql://shop@127.0.0.1/' ],
        [ 'a variable unset',          '/cgi-bin/value?DB_POOL',      'big',      '(absent)' ],
        [ 'an absent one unset',       '/cgi-bin/value?DB_NEVER_WAS', '(absent)', '(absent)' ],
        [ 'an untouched one',          '/cgi-bin/value?DB_USER',      'shop',     'shop' ],
        [ 'the endpoint by its name',  '/cgi-bin/value?FAILOVER_DB_ENDPOINT', '(absent)', 'main' ],
    ],
    check => sub ( $httpd, $state, $when ) {
        my $expected = $state eq 'up' ? 'advice=- where=-' : 'advice=stay calm where=not main';
        like $httpd->logged('/state.txt'), qr/ \Q$expected\E$/, "$when: notes";
    };

# An expression that reads the variable it sets is applied once, not once per pass, sub-request or
# redirect.
in_each_state 'a value that reads itself',
    modules => [qw(cgi env setenvif include rewrite dir negotiation mime)],
    files   => {
        'htdocs/echo.shtml'    => '<!--#echo var="TRAIL"-->',
        'htdocs/include.shtml' => '<!--#include virtual="/cgi-bin/value?TRAIL"-->',
        'htdocs/nested.shtml'  => '<!--#include virtual="/include.shtml"-->',
        'htdocs/listed/index.shtml' => '<!--#include virtual="/cgi-bin/value?TRAIL"-->',
        'htdocs/chosen.shtml.en'    => '<!--#include virtual="/cgi-bin/value?TRAIL"-->',
        'htdocs/page.txt'      => 'page',
        'htdocs/rewritten/.htaccess' => "RewriteEngine On\nRewriteRule ^cgi\$ /cgi-bin/value?TRAIL [L]\n",
    },
    config  => <<~'CONF',
        SetEnvIf Request_Method . TRAIL=a
        <FailoverService db>
            FailoverEndpoint main tcp://@PEER@
            FailoverSetEnv   TRAIL "%{reqenv:TRAIL}b"
        </FailoverService>
        <FilesMatch "\.shtml">
            SetOutputFilter INCLUDES
        </FilesMatch>
        <Directory @DIR@/htdocs>
            Options +Includes +FollowSymLinks +MultiViews
            DirectoryIndex index.shtml
            AddType text/html .shtml
            AddLanguage en .en
        </Directory>
        ErrorDocument 404 /cgi-bin/value?TRAIL
        Header set X-Trail "%{TRAIL}e"
        <If "reqenv('TRAIL') == 'ab'">
            Header set X-If once
        </If>
        CONF
    expect => [
        [ 'CGI',                           '/cgi-bin/value?TRAIL',        'a', 'ab' ],
        [ 'SSI echo',                      '/echo.shtml',                 'a', 'ab' ],
        [ 'sub-request',                   '/include.shtml',              'a', 'ab' ],
        [ 'sub-request of a sub-request',  '/nested.shtml',               'a', 'ab' ],
        [ 'sub-request of an index page',  '/listed/',                    'a', 'ab' ],
        [ 'sub-request of a chosen page',  '/chosen',                     'a', 'ab' ],
        [ 'ErrorDocument',                 '/missing',                    'a', 'ab' ],
        [ 'a directory rewrites',          '/rewritten/cgi',              'a', 'ab' ],
        [ 'Header',                        'header X-Trail of /page.txt', 'a', 'ab' ],
        [ 'If',                            'header X-If of /page.txt',    '',  'once' ],
    ];

# django-failover's Database class: the slave's variables take the default's values.
in_each_state 'FailoverDatabase',
    modules => [qw(cgi env)],
    config  => <<~'CONF',
        SetEnv DB_DEFAULT_HOST master
        SetEnv DB_DEFAULT_PORT 3306
        SetEnv DB_SLAVE_HOST   replica
        SetEnv DB_SLAVE_PORT   3307
        SetEnv DB_SLAVE_LAG    5
        SetEnv MY_DB_SLAVE_X   x
        FailoverDatabase db tcp://@PEER@
        CONF
    expect => [
        [ 'the host',                  '/cgi-bin/value?DB_SLAVE_HOST',   'replica', 'master' ],
        [ 'the port',                  '/cgi-bin/value?DB_SLAVE_PORT',   '3307',    '3306' ],
        [ 'one without a counterpart', '/cgi-bin/value?DB_SLAVE_LAG',    '5',       '(absent)' ],
        [ 'the stand-in itself',       '/cgi-bin/value?DB_DEFAULT_HOST', 'master',  'master' ],
        [ 'the prefix within a name',  '/cgi-bin/value?MY_DB_SLAVE_X',   'x',       'x' ],
    ];

in_each_state 'FailoverDatabase with prefixes of its own, from SetEnvIf',
    modules => [qw(cgi setenvif)],
    files   => { 'htdocs/page.txt' => 'page' },
    config  => <<~'CONF',
        SetEnvIf Request_Method . MAIN_HOST=master READ_HOST=replica READ_LAG=5
        FailoverDatabase db tcp://@PEER@ alias=READ_ failover=MAIN_
        <If "reqenv('READ_HOST') == 'master'">
            Header set X-If master
        </If>
        CONF
    expect => [
        [ 'the host',                  '/cgi-bin/value?READ_HOST',  'replica', 'master' ],
        [ 'one without a counterpart', '/cgi-bin/value?READ_LAG',   '5',       '(absent)' ],
        [ 'If',                        'header X-If of /page.txt',  '',        'master' ],
    ];

# A name on both sides: the copies are of the values before, whatever the order.
in_each_state 'FailoverAlias in a block',
    modules => [qw(cgi env)],
    config  => <<~'CONF',
        SetEnv CACHE_HOST c1
        SetEnv DISK_HOST  localhost
        <FailoverService db>
            FailoverEndpoint main tcp://@PEER@
            FailoverAlias    CACHE_ DISK_
        </FailoverService>
        CONF
    expect => [
        [ 'the host', '/cgi-bin/value?CACHE_HOST', 'c1', 'localhost' ],
    ];

in_each_state 'FailoverAlias without any counterpart',
    modules => [qw(cgi env)],
    config  => <<~'CONF',
        SetEnv CACHE_HOST c1
        <FailoverService db>
            FailoverEndpoint main tcp://@PEER@
            FailoverAlias    CACHE_ DISK_
        </FailoverService>
        CONF
    expect => [
        [ 'the host stays', '/cgi-bin/value?CACHE_HOST', 'c1', 'c1' ],
    ],
    check => sub ( $httpd, $state, $when ) {
        return if $when ne 'down';
        $httpd->get('/cgi-bin/env');
        like $httpd->take_log(qr/:warn\].* FO\d{4}: .*DISK_/), qr/db/, 'warned, once';
    };

under_each_mpm 'FailoverMode observe', \&observe;

done_testing;

# Only the log, and what asks for the truth, know of an outage.
sub observe ($mpm) {
    my $peer  = Failover::Peer->new;
    my $httpd = Failover::Httpd->new(
        mpm => $mpm, modules => [qw(cgi env headers)],
        config => quick() . <<~"CONF" );
            FailoverMode observe
            SetEnv DB_HOST db1
            FailoverService db tcp://@{[ $peer->address ]} DB_HOST=spare
            Header always set X-State "expr=%{failover:db}"
            LogFormat "%q truth=%{db}^fo note=%{failover:db}n" truth
            CustomLog logs/access truth
            CONF
    $httpd->file( 'htdocs/state.txt', 'state' );
    $httpd->start;
    $httpd->get('/state.txt');
    $peer->mode('refuse');
    wait_for( sub { $httpd->logged('/state.txt') =~ /truth=down/ }, 'the outage in the access log' );
    $httpd->take_log(qr/:crit\].* FO\d{4}: db outage[.] Observing only[.] \(Process ID: \d+\)/);
    my $env = $httpd->get('/cgi-bin/env')->env;
    is $env->{DB_HOST}, 'db1', 'the variable stays';
    is_deeply [ grep { /^FAILOVER/ } keys %$env ], [], 'no FAILOVER_ variable';
    is $httpd->get('/state.txt')->header('X-State'), 'up', "failover('db') says up";
    like $httpd->logged('/state.txt'), qr/truth=down note=-$/, 'no note';
    $peer->mode('mute');
    wait_for( sub { $httpd->logged('/state.txt') =~ /truth=up/ }, 'the recovery in the access log' );
    return $httpd->done;
}
