# The state itself: FAILOVER_ variables, notes, expressions and log formats.
use v5.36;
use Test::More;
use Failover::States;

my $ADDRESS = qr/^127[.]0[.]0[.]1:\d+$/;

# What is present only while the service is not up.
in_each_state 'variables and notes',
    modules => [qw(cgi env)],
    config  => <<~'CONF',
        FailoverService db tcp://@PEER@ DB_HOST=spare
        LogFormat "%q state=%{failover:db}n endpoint=%{failover:db:endpoint}n word=%{db}^fo" notes
        CustomLog logs/access notes
        CONF
    expect => [
        [ 'FAILOVER_DB',          '/cgi-bin/value?FAILOVER_DB',          '(absent)', 'down' ],
        [ 'FAILOVER_DB_ENDPOINT', '/cgi-bin/value?FAILOVER_DB_ENDPOINT', '(absent)', $ADDRESS ],
        [ 'FAILOVER_DB_EPOCH',    '/cgi-bin/value?FAILOVER_DB_EPOCH',    '(absent)', qr/^\d+$/ ],
    ],
    check => sub ( $httpd, $state, $when ) {
        like $httpd->logged('/state.txt'), $state eq 'up'
            ? qr/ state=- endpoint=- word=up$/
            : qr/ state=down endpoint=127[.]0[.]0[.]1:\d+ word=down$/, "$when: notes in a LogFormat";
        epoch_rises( $httpd, $when ) if $state eq 'down';
        my @own = grep { /^FAILOVER_/ } keys $httpd->get('/cgi-bin/env')->env->%*;
        is scalar @own, $state eq 'up' ? 0 : 3, "$when: no further FAILOVER_ variable";
    };

# Everything an expression can ask, in the directives that take one.
in_each_state 'expressions',
    modules => [qw(cgi rewrite setenvif include)],
    files   => {
        'htdocs/page.txt'      => 'page',
        'htdocs/open/page.txt' => 'open',
        'htdocs/page.shtml'    =>
            q{<!--#if expr="failover('db') == 'down'"-->down<!--#else-->up<!--#endif-->},
        'htdocs/reason.shtml'  =>
            q{<!--#if expr="failover('db.reason') == ''"-->none<!--#else-->some<!--#endif-->},
    },
    config  => <<~'CONF',
        FailoverService db tcp://@PEER@ DB_HOST=spare
        Header set X-State    "expr=%{failover:db}"
        Header set X-Host     "expr=%{failover:db.host}"
        Header set X-Port     "expr=%{failover:db.port}"
        Header set X-Endpoint "expr=%{failover:db.endpoint}"
        Header set X-Since    "expr=%{failover:db.since}"
        Header set X-Reason   "expr=%{failover:db.reason}"
        <If "failover('db') == 'down'">
            Header set X-If down
        </If>
        <FilesMatch "\.shtml$">
            Options +Includes
            SetOutputFilter INCLUDES
        </FilesMatch>
        <Location /open>
            Require expr "failover('db') == 'up'"
        </Location>
        RewriteEngine On
        RewriteCond expr "failover('db') == 'down'"
        RewriteRule ^/pick$ /cgi-bin/value?FAILOVER_DB [PT]
        RewriteRule ^/pick$ /page.txt [PT]
        CONF
    expect => [
        [ 'the state',             'header X-State of /page.txt',    'up',  'down' ],
        [ 'the host',              'header X-Host of /page.txt',     '127.0.0.1', '127.0.0.1' ],
        [ 'the port',              'header X-Port of /page.txt',     qr/^\d+$/, qr/^\d+$/ ],
        [ 'the endpoint',          'header X-Endpoint of /page.txt', $ADDRESS, $ADDRESS ],
        [ 'since',                 'header X-Since of /page.txt',    qr/^\S/, qr/^\S/ ],
        [ 'the reason',            'header X-Reason of /page.txt',   qr/^(?!.*refused)/, qr/Connection refused/ ],
        [ 'If',                    'header X-If of /page.txt',       '',    'down' ],
        [ 'Require expr',          'status of /open/page.txt',       200,   403 ],
        [ 'SSI if',                '/page.shtml',                    'up',  'down' ],
        [ 'SSI sees the state alone', '/reason.shtml', qr/error occurred/, qr/error occurred/ ],
        [ 'RewriteCond expr',      '/pick',                          'page', 'down' ],
    ],
    check => sub ( $httpd, $state, $when ) { $httpd->allow_log(qr/AH01630|failover: only the state/) };

done_testing;

# The epoch is another one in each outage, and the same within one.
sub epoch_rises ( $httpd, $when ) {
    my $epoch = sub { $httpd->body('/cgi-bin/value?FAILOVER_DB_EPOCH') };
    my $first = $epoch->();
    is $epoch->(), $first, "$when: the epoch stays within an outage";
    cmp_ok $first, '>', $httpd->{last_epoch} // 0, "$when: the epoch has risen";
    $httpd->{last_epoch} = $first;
    return;
}
