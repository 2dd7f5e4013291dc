# Every mistake in the configuration is an error at httpd -t that names the file and the line and
# says what was wrong and what is allowed; every form that the manual shows is accepted.
use v5.36;
use Test::More;
use Cwd ();
use Failover::Certificates;
use Failover::File;
use Failover::Httpd;
use File::Basename ();

my $httpd = Failover::Httpd->new(
    modules => [qw(cgi env headers rewrite setenvif)], config => "Include \@DIR\@/case.conf\n" );
my $file    = $httpd->dir . '/case.conf';
my $without = Failover::Httpd->new(
    failover => ['failover'], config => "Include @{[ $httpd->dir ]}/case.conf\n" );
my $ROOT = File::Basename::dirname(__FILE__) . '/../..';

subtest 'durations' => sub {
    for my $text ( qw(5sxyz 0.5s s ms -1 +5 1e3 5S 5sec 0x10 5s5s 99999999999999999999 3651d), '"5 s"', '" 5"' ) {
        my $shown = $text =~ tr/"//dr;
        bad( "FailoverMonitoringPingFrequency $text", 1, "'$shown' ", $text =~ /99|3651/
            ? qr/is (?:not a duration|longer than 3650 days)/
            : qr/is not a duration: write a whole number and ms, s, m, min, h or d; a bare number is seconds/ );
    }
    for my $directive ( qw(FailoverOutagePingFrequency FailoverErrorPingFrequency FailoverOutageLoggingFrequency
            FailoverPingTimeout FailoverPingWait), 'FailoverPingTimeout 1s' ) {
        bad( "$directive 5sxyz", 1, "'5sxyz' is not a duration" );
    }
    bad( 'FailoverThresholds confirm=5sxyz',      1, 'confirm=', "'5sxyz' is not a duration" );
    bad( 'FailoverThresholds cap=',               1, 'cap=',     "'' is not a duration" );
    bad( 'FailoverService db tcp://h:1 timeout=5sxyz', 1, 'timeout=', "'5sxyz' is not a duration" );
    bad( 'FailoverService db tcp://h:1 timeout=', 1, 'timeout=', "'' is not a duration" );
};

# What a message says of a number that is out of range: what is allowed.
subtest 'ranges' => sub {
    bad(@$_) for (
        [ 'FailoverMonitoringPingFrequency 0',     1, "'0' is not within 10ms and 30d" ],
        [ 'FailoverMonitoringPingFrequency 9ms',   1, "'9ms' is not within 10ms and 30d" ],
        [ 'FailoverMonitoringPingFrequency 31d',   1, "'31d' is not within 10ms and 30d" ],
        [ 'FailoverOutagePingFrequency 9ms',       1, "'9ms' is not within 10ms and" ],
        [ 'FailoverErrorPingFrequency 2d',         1, "'2d' is not within 10ms and" ],
        [ 'FailoverOutageLoggingFrequency 999ms',  1, "'999ms' is not within 1s and 365d" ],
        [ 'FailoverPingTimeout 0',                 1, "'0' is not within 1ms and" ],
        [ 'FailoverPingTimeout 1s 0',              1, "'0' is not within 1ms and" ],
        [ 'FailoverPingTimeout 2h',                1, "'2h' is not within 1ms and" ],
        [ 'FailoverPingWait 61s',                  1, "'61s' is not within 0 and 60s" ],
        [ 'FailoverSpread 101',                    1, "'101' is not a whole number from 0 to 100" ],
        [ 'FailoverSpread -1',                     1, "'-1' is not a whole number from 0 to 100" ],
        [ 'FailoverSpread 5%',                     1, "'5%' is not a whole number from 0 to 100" ],
        [ 'FailoverThresholds fall=0',             1, "fall=: '0' is not a whole number from 1 to" ],
        [ 'FailoverThresholds rise=two',           1, "rise=: 'two' is not a whole number from 1 to" ],
        [ 'FailoverThresholds confirm=1ms',        1, "confirm=: '1ms' is not within 10ms and" ],
        [ 'FailoverThresholds fall=2 cap=2h',      1, "cap=: '2h' is not within 10ms and" ],
        [ 'FailoverService db tcp://h:1 timeout=0', 1, "timeout=: '0' is not within 1ms and 1h" ],
        [ 'FailoverService db tcp://h:1 weight=0', 1, "weight=: '0' is not a weight: write a decimal number greater than 0" ],
        ( map { [ "FailoverService db tcp://h:1 weight=$_", 1, "weight=: '$_' is not a weight" ] } qw(-1 nan inf 1e3 0x10 1.x 1000001 .) ),
    );
};

subtest 'words' => sub {
    bad(@$_) for (
        [ 'FailoverMode maybe',                    1, "FailoverMode: 'maybe' is none of enforce, observe" ],
        [ 'FailoverMonitor maybe',                 1, "FailoverMonitor: 'maybe' is none of On, Outages, Off" ],
        ( map { my $name = $_; map { [ "$name $_", 1, "$name: '$_' is none of On, Off" ] } 'maybe', 'yes', '1', 'On,' } qw(FailoverStatus FailoverHealth) ),
        ( map { [ in_block( 'FailoverEndpoint main tcp://h:1', "FailoverCritical $_" ), 3, "FailoverCritical: '$_' is none of On, Off" ] } qw(maybe yes 1) ),
        [ in_block( 'FailoverEndpoint main tcp://h:1', 'FailoverCritical' ), 3, 'FailoverCritical takes one argument' ],
        [ 'FailoverHealth On Off',                 1, 'FailoverHealth takes one argument' ],
        [ in_block( 'FailoverEndpoint main tcp://h:1', 'FailoverHealth On' ), 3, 'FailoverHealth has no place inside <FailoverService>' ],
        [ in_block( '<FailoverEndpoint main tcp://h:1>', 'FailoverCritical On', '</FailoverEndpoint>' ), 3, 'FailoverCritical has no place inside <FailoverEndpoint>' ],
        [ "<Location /x>\nFailoverCritical On\n</Location>", 2, 'FailoverCritical not allowed in <Location> context' ],
        [ 'FailoverThresholds speed=1',            1, "FailoverThresholds: 'speed=1' is none of fall=, rise=, confirm=, cap=" ],
        [ 'FailoverThresholds fall',               1, "'fall' is none of fall=" ],
        [ 'FailoverThresholds FALL=1',             1, "'FALL=1' is none of fall=" ],
        [ 'FailoverService db tcp://h:1 busy=maybe', 1, "busy=: 'maybe' is neither keep nor fail" ],
        [ 'FailoverMonitoringPingFrequency',       1, 'takes one argument' ],
        [ 'FailoverMonitoringPingFrequency ""',    1, 'takes one argument' ],
        [ 'FailoverMonitoringPingFrequency 1s 2s', 1, 'takes one argument' ],
        [ 'FailoverPingTimeout 1s 2s 3s',          1, 'takes 1-2 arguments', 'UP [DOWN]' ],
        [ 'FailoverService db',                    1, 'FailoverService NAME URL [option=value ...] [VAR=value ...]' ],
        [ 'FailoverService',                       1, 'FailoverService NAME URL' ],
        [ 'FailoverDatabase db',                   1, 'FailoverDatabase NAME URL [alias=DB_SLAVE_]' ],
        [ 'FailoverCelery db',                     1, 'FailoverCelery NAME URL [setting=CELERY_ALWAYS_EAGER]' ],
        [ in_block('FailoverEndpoint main'),       2, 'FailoverEndpoint NAME URL [weight=N]' ],
        [ in_block('FailoverSetEnv'),              2, 'FailoverSetEnv takes one, two or three arguments', 'VAR' ],
        [ in_block('FailoverAlias DB_SLAVE_'),     2, 'FailoverAlias takes two arguments', 'ALIAS_ STAND_IN_' ],
        [ in_block('FailoverSetEnv X a b'),        2, "the third word can only be 'unsafe', not 'b'", 'quote a value' ],
        [ in_block('FailoverNote X a b'),          2, "the third word can only be 'unsafe', not 'b'" ],
        [ 'FailoverPingFrequency 5s',              1, "Invalid command 'FailoverPingFrequency'" ],
    );
};

# What points at a service in the error log.
subtest 'FailoverErrorMatch' => sub {
    my $kinds = 'text stands in quotes, "gone away", an expression in slashes, /gone.away/';
    bad( "FailoverErrorMatch $_->[0]", 1, 'FailoverErrorMatch: ', @$_[ 1 .. $#$_ ] ) for (
        [ 'ECONNREFUSD',          "'ECONNREFUSD' is no errno that this system knows", $kinds ],
        [ 'econnrefused',         "'econnrefused' is no errno" ],
        [ '111',                  "'111' is no errno" ],
        [ 'gone',                 "'gone' is no errno", $kinds ],
        [ '""',                   'an empty pattern would match everything' ],
        [ "''",                   'an empty pattern would match everything' ],
        [ '//',                   'an empty pattern would match everything' ],
        [ '"gone away',           'the closing quote of "gone away is missing' ],
        [ 'EPIPE "a" "b',         'the closing quote of "b is missing' ],
        [ '/gone away',           "the closing '/' of /gone away is missing" ],
        [ '/gone(away/',          '/gone(away/: missing closing parenthesis, at character 10' ],
        [ '/[a/',                 'missing terminating ]' ],
        [ '/a*/',                 'it may match no character at all' ],
        [ '/(a)\\1/',           'back references are not to be had here' ],
        [ '/gone/x',              'a blank must follow /gone/', 'may end in i alone' ],
        [ '"gone"away',           'a blank must follow "gone"' ],
        [ 'only',                 'a pattern is missing', 'none switches the trigger off' ],
        [ 'add',                  'a pattern is missing' ],
        [ 'only from=core',       'a pattern is missing' ],
        [ 'none EPIPE',           'nothing may follow none' ],
        [ 'from=nothere "x y"',   "from=: no module 'nothere' is loaded", 'httpd -M lists them' ],
        [ 'from=core,nothere "x y"', "from=: no module 'nothere' is loaded" ],
        [ 'from= "x y"',          'from= takes names of modules with commas between them' ],
        [ 'from=core,,env "x y"', 'from= takes names of modules' ],
        [ '"x y" from=core',      "'from=core' is no errno" ],
    );
    bad( 'FailoverErrorMatch', 1, 'a pattern is missing' );
    bad( in_block( 'FailoverEndpoint main tcp://h:1', 'FailoverErrorMatch EFOO' ), 3, "FailoverErrorMatch: 'EFOO' is no errno" );
    bad( "\n<VirtualHost *:81>\nFailoverErrorMatch /(/\n</VirtualHost>", 3, 'FailoverErrorMatch: /(/: ' );
    bad( "<Directory /srv>\nFailoverErrorMatch EPIPE\n</Directory>", 2, 'FailoverErrorMatch not allowed' );
    bad( join( ' ', 'FailoverErrorMatch', map {"\"pattern $_\""} 1 .. 300 ) . "\nFailoverService db tcp://h:1", 2, 'FailoverErrorMatch: there are more than 256 different patterns' );
    good($_) for (
        'FailoverErrorMatch ECONNREFUSED',
        'FailoverErrorMatch add "gone away" \'don\\\'t\' /time.?out/i /a\/b/ EPIPE EWOULDBLOCK',
        'FailoverErrorMatch ONLY from=core,mod_env.c,rewrite_module,mod_set* "ORA-12541"',
        'FailoverErrorMatch from=core',
        'FailoverErrorMatch none',
        "FailoverErrorMatch \"a b\"\nFailoverErrorMatch only /c d/\nFailoverService db tcp://h:1",
        in_block( 'FailoverEndpoint main tcp://h:1', 'FailoverErrorMatch only "mine alone"', 'FailoverErrorMatch EHOSTDOWN' ),
    );
};

subtest 'FailoverPingConcurrency and FailoverMonitor' => sub {
    bad(@$_) for (
        [ 'FailoverPingConcurrency 0',    1, "FailoverPingConcurrency: '0' is not a whole number from 1 to 1024" ],
        [ 'FailoverPingConcurrency 1025', 1, "'1025' is not a whole number from 1 to 1024" ],
        [ 'FailoverPingConcurrency some', 1, "'some' is not a whole number from 1 to 1024" ],
        [ "<VirtualHost *:81>\nFailoverPingConcurrency 1\n</VirtualHost>", 2, 'FailoverPingConcurrency cannot occur within <VirtualHost> section' ],
        [ in_block( 'FailoverEndpoint main tcp://h:1', 'FailoverPingConcurrency 1' ), 3, 'has no place inside <FailoverService>' ],
        [ in_block( 'FailoverEndpoint main tcp://h:1', 'FailoverMonitor Off' ),       3, 'has no place inside <FailoverService>' ],
        [ "<Location /x>\nFailoverMonitor never\n</Location>", 2, "FailoverMonitor: 'never' is none of On, Outages, Off" ],
    );
    good($_) for (
        'FailoverPingConcurrency 1', 'FailoverPingConcurrency 1024',
        map {"<$_>\nFailoverMonitor Outages\n</@{[ /^(\w+)/ ]}>"} 'Directory /srv', 'DirectoryMatch ^/srv', 'Location /x', 'LocationMatch ^/x',
        'Files x', 'FilesMatch x$', 'If "true"', 'VirtualHost *:81',
    );
};

# What the children have in common holds for the whole server.
subtest 'the four ways of the children' => sub {
    my %words = (
        FailoverInherit       => [ 'On, Off',       qw(On off) ],
        FailoverTimer         => [ 'On, Off',       qw(ON Off) ],
        FailoverScope         => [ 'child, server', qw(child Server) ],
        FailoverOutageLogging => [ 'first, child',  qw(first CHILD) ],
    );
    for my $directive ( sort keys %words ) {
        my ( $allowed, @good ) = $words{$directive}->@*;
        bad( "$directive $_", 1, "$directive: '$_' is none of $allowed" ) for 'maybe', 'yes', '1', 'On,';
        bad( "$directive \"\"", 1, $directive );
        bad( $directive,             1, "$directive takes", $directive eq 'FailoverScope' ? '1-2 arguments' : 'one argument' );
        bad( "$directive $good[0] x y", 1, "$directive takes" );
        bad( "<VirtualHost *:81>\n$directive $good[0]\n</VirtualHost>", 2, "$directive cannot occur within <VirtualHost> section" );
        bad( in_block( 'FailoverEndpoint main tcp://h:1', "$directive $good[0]" ), 3, "$directive has no place inside <FailoverService>" );
        bad( "<$_>\n$directive $good[0]\n</@{[ /^(\w+)/ ]}>", 2, qr/$directive (?:not allowed|cannot occur within)/ )
            for 'Directory /srv', 'Location /x', 'Files x', 'If "true"';
        good("$directive $_") for @good;
    }
};

# A ping that its own child's lease does not outlast would be made again by the next one.
subtest 'the lease of FailoverScope' => sub {
    my $db = 'FailoverService db tcp://h:1';
    bad(@$_) for (
        [ 'FailoverScope child lease=5s',       1, "FailoverScope: 'lease=5s' belongs to 'server' alone" ],
        [ 'FailoverScope server 5s',            1, "FailoverScope: '5s' is not lease=SPAN" ],
        [ 'FailoverScope server LEASE=5s',      1, "FailoverScope: 'LEASE=5s' is not lease=SPAN" ],
        [ 'FailoverScope server lease=',        1, "FailoverScope: lease=: '' is not a duration" ],
        [ 'FailoverScope server lease=5x',      1, "FailoverScope: lease=: '5x' is not a duration" ],
        [ 'FailoverScope server lease=99ms',    1, "FailoverScope: lease=: '99ms' is not within 100ms and 1h" ],
        [ 'FailoverScope server lease=2h',      1, "FailoverScope: lease=: '2h' is not within 100ms and 1h" ],
        [ "\nFailoverScope server lease=2s\n$db", 2, "FailoverScope: lease=2s is not longer than the 3s that a ping of db may take", 'FailoverPingTimeout' ],
        [ "$db\nFailoverScope server lease=3s", 2, 'lease=3s is not longer than the 3s that a ping of db may take' ],
        [ "FailoverScope server\n$db timeout=11s", 1, 'lease=10s is not longer than the 11s that a ping of db may take' ],
        [ "FailoverScope server lease=1500ms\nFailoverPingTimeout 1s 2s\n$db", 1, 'lease=1500ms is not longer than the 2s' ],
        [ "FailoverScope server lease=5s\n$db\n<VirtualHost *:81>\nServerName x\nFailoverService cache tcp://h:1 timeout=6s\n</VirtualHost>", 1, 'the 6s that a ping of cache@x:81 may take' ],
    );
    good($_) for (
        "FailoverScope server lease=3001ms\n$db",
        "FailoverScope server lease=1s\n$db timeout=500ms",
        "FailoverScope child\n$db timeout=15s",
        "FailoverScope server lease=1h\n$db",
        'FailoverScope server lease=100ms',
        "FailoverScope server lease=2s\nFailoverScope child\n$db",
    );
};

subtest 'names' => sub {
    my $allowed = q{a letter, then up to 31 letters, digits, '_' or '-'};
    for my $name ( qw(1db -db _db db.x db:x d/b), 'a' x 33, '"d b"', '""', "d\xc3\xa4" ) {
        # The log escapes what is not ASCII, and what follows a colon may be a password.
        my $shown = ( $name =~ tr/"//dr ) =~ s/[^ -~].*|:.*//r;
        bad( "FailoverService $name tcp://h:1",           1, "'$shown", $allowed );
        bad( in_block("FailoverEndpoint $name tcp://h:1"), 2, "'$shown", $allowed );
    }
    bad( join( "\n", '<FailoverService 1db>', 'FailoverEndpoint main tcp://h:1', '</FailoverService>' ), 1, "'1db'", $allowed );
    bad( join( "\n", '<FailoverService>', 'FailoverEndpoint main tcp://h:1', '</FailoverService>' ), 1, $allowed );
    bad( join( "\n", '<FailoverService a b>', 'FailoverEndpoint main tcp://h:1', '</FailoverService>' ), 1, 'takes one name', 'b' );
    bad( in_block('FailoverSetEnv A=B x'),      2, "'A=B' is not a variable's name" );
    bad( in_block('FailoverSetEnv "A B" x'),    2, "'A B' is not a variable's name" );
    bad( in_block('FailoverSetEnv "" x'),       2, 'VAR [value [unsafe]]' );
    bad( in_block('FailoverUnsetEnv A B=C'),    2, "'B=C' is not a variable's name" );
    bad( in_block('FailoverAlias "" DB_'),      2, 'ALIAS_ STAND_IN_' );
    bad( in_block('FailoverAlias DB_ DB_'),     2, "'DB_' begins with 'DB_'" );
    bad( in_block('FailoverAlias DB_ DB_MAIN_'), 2, "'DB_MAIN_' begins with 'DB_'" );
    bad( 'FailoverDatabase db tcp://h:1 alias=A_ failover=A_', 1, "'A_' begins with 'A_'" );
};

subtest 'duplicates' => sub {
    my $same = q{('-' is '_', case ignored) are the same};
    my $one  = 'FailoverService DB-1 tcp://h:1';
    for my $again ( 'FailoverService DB-1 tcp://i:2', 'FailoverService db_1 tcp://i:2', 'FailoverDatabase Db_1 tcp://i:2', 'FailoverCelery db-1 tcp://i:2' ) {
        bad( "$one\n\n$again", 3, qr/'\S+' is declared already, as 'DB-1' at \Q$file\E:1/, $same );
    }
    bad( "$one\n<FailoverService dB-1>\nFailoverEndpoint main tcp://i:2\n</FailoverService>", 2, "'dB-1' is declared already, as 'DB-1' at $file:1", $same );
    bad( "<VirtualHost *:81>\n$one\n$one\n</VirtualHost>", 3, "'DB-1' is declared already", "$file:2" );
    good( "$one\n<VirtualHost *:81>\n$one\n</VirtualHost>\n<VirtualHost *:82>\n$one\n</VirtualHost>" );
    bad( 'FailoverService db tcp://h:1 timeout=1s timeout=2s', 1, 'timeout= stands there twice' );
    bad( "FailoverService a tcp://h:1\n<VirtualHost *:1>\nFailoverService a-$_ tcp://h:2\n</VirtualHost>", 3, "FailoverService: 'a-$_' and 'a', declared at" ) for qw(endpoint epoch);
    bad( "<VirtualHost *:1>\nFailoverService a-epoch tcp://h:2\n</VirtualHost>\nFailoverService a tcp://h:1", 4, "FailoverService: 'a' and 'a-epoch', declared at" );
    good("<VirtualHost *:1>\nFailoverService a-epoch tcp://h:2\n</VirtualHost>\n<VirtualHost *:2>\nFailoverService a tcp://h:1\n</VirtualHost>");
};

subtest 'options' => sub {
    bad(@$_) for (
        [ 'FailoverService db tcp://h:1 colour=red',          1, qr/colour=/ ],
        [ 'FailoverService db memcached://h colour=red',      1, qr/colour=/ ],
        [ 'FailoverService db mysql://u@h colour=red',        1, qr/colour=/ ],
        [ 'FailoverService db tcp://h:1 Timeout=5s',          1, "'Timeout' is neither an option (option=value, lower case) nor a variable (VAR=value, upper case)" ],
        [ 'FailoverService db tcp://h:1 hunter2',             1, "a word without '=' is neither an option" ],
        [ 'FailoverService db tcp://h:1 =x',                  1, "'' is neither an option" ],
        [ 'FailoverService db tcp://h:1 DB-HOST=x',           1, "'DB-HOST' is neither an option" ],
        [ 'FailoverService db tcp://h:1 alias=A_',            1, 'alias=: belongs to FailoverDatabase', 'FailoverAlias' ],
        [ 'FailoverService db tcp://h:1 failover=A_',         1, 'failover=: belongs to FailoverDatabase' ],
        [ 'FailoverService db tcp://h:1 setting=A',           1, 'setting=: belongs to FailoverCelery', 'FailoverSetEnv' ],
        [ 'FailoverDatabase db tcp://h:1 setting=A',          1, 'setting=: belongs to FailoverCelery' ],
        [ in_block('FailoverEndpoint main tcp://h:1 setting=A'), 2, 'setting=: belongs to FailoverCelery' ],
        [ 'FailoverCelery mq tcp://h:1 alias=A_',             1, 'alias=: belongs to FailoverDatabase' ],
        [ 'FailoverCelery mq tcp://h:1 setting=',             1, "setting=: '' is not a variable's name" ],
        [ 'FailoverCelery mq tcp://h:1 "setting=A B"',        1, "setting=: 'A B' is not a variable's name" ],
        [ 'FailoverCelery mq tcp://h:1 setting=A=B',          1, "setting=: 'A=B' is not a variable's name" ],
        [ 'FailoverCelery mq tcp://h:1 setting=A setting=B',  1, 'setting= stands there twice' ],
        ( map { [ "FailoverCelery mq $_", 1, 'FailoverCelery: ', 'is no broker of Celery; there are tcp://, amqp://, amqps://, redis:// and rediss://' ] }
            qw(mysql://u@h memcached://h unix:///run/x http://h) ),
        [ 'FailoverCelery mq h:1/x',                          1, 'is no broker of Celery' ],
        [ 'FailoverCelery mq h.example.com',                  1, 'no URL' ],
        [ 'FailoverCelery mq redis://:x@h:6379/0',            1, 'a password has no place in a URL' ],
        [ in_block('FailoverEndpoint main tcp://h:1 DB_HOST=x'), 2, 'DB_HOST= is a variable: inside <FailoverService> write FailoverSetEnv DB_HOST' ],
        [ in_block('FailoverEndpoint main tcp://h:1 colour=red'), 2, 'colour=' ],
    );
};

subtest 'URLs' => sub {
    my $tcp = 'as in tcp://app.example.com:5000';
    bad( "FailoverService db $_->[0]", 1, @$_[ 1 .. $#$_ ] ) for (
        [ 'h:1',                       'nothing that is loaded pings h://' ],
        [ 'db.example.com',            'no URL', 'tcp://db.example.com:5000 or unix:///run/app.sock' ],
        [ '//h:1',                     'no URL' ],
        [ 'TCP://h:1',                 'no URL' ],
        [ 'tcp:h:1',                   q{'://' is missing behind the scheme}, $tcp ],
        [ 'ftp://h:1',                 qr{nothing that is loaded pings ftp://; there are: tcp, unix, script(?:, (?:mysqls?|memcached|amqps?|rediss?|https?|redis-lag[+]https|postgresql|plugin)){12}} ],
        [ 'tcp://',                    'a host is missing', $tcp ],
        [ 'tcp://:80',                 qr/':[^']*' is not a host name or address/ ],
        [ 'tcp://h',                   "'h' needs a port", $tcp ],
        [ 'tcp://h:',                  "what stands behind 'h' is not ':' and a port from 1 to 65535" ],
        [ 'tcp://h:0',                 'a port from 1 to 65535' ],
        [ 'tcp://h:65536',             'a port from 1 to 65535' ],
        [ 'tcp://h:80x',               'a port from 1 to 65535' ],
        [ '"tcp://a b:80"',            qr/'a b:[^']*' is not a host name or address/ ],
        [ 'tcp://::1:80',              qr/':[^']*' is not a host name or address \(an IPv6 address stands in brackets\)/ ],
        [ 'tcp://[::1:80',             'is not a host name or address' ],
        [ 'tcp://[h]:80',              'is not a host name or address' ],
        [ 'tcp://[::1]80',             'a port from 1 to 65535' ],
        [ 'tcp://h:1,i:2',             'tcp takes at most 1 host,', $tcp ],
        [ 'tcp://h:1/path',            'tcp:// takes no path', $tcp ],
        [ 'tcp://me@h:1',              'tcp:// does not log in: it takes no user and no password' ],
        [ 'tcp://h:1 password=file:/dev/null', 'tcp:// does not log in' ],
        [ 'unix://',                   'a path is missing, as in unix:///run/app.sock' ],
        [ 'unix:///',                  "the socket's path is missing, as in unix:///run/app.sock" ],
        [ 'unix://run/app.sock',       'unix takes a path and no host, as in unix:///run/app.sock' ],
        [ 'unix:///run/%zz',           'broken %XX' ],
        [ 'unix:///run/%0a',           'control byte' ],
        [ 'memcached://',              'a host is missing, as in memcached://' ],
        [ 'memcached://h/0',           'memcached:// takes no path' ],
        [ 'memcached://me@h',          'memcached:// takes no user and no password' ],
        [ 'memcached://h,',            'is not a host name or address' ],
        [ 'memcached://' . join( ',', ('h') x 65 ), 'memcached takes at most 64 hosts' ],
        [ 'mysql://u@h/a/b',           'the path of mysql:// is one database, as in /blog' ],
        [ 'mysql://u@h,i',             'mysql takes at most 1 host,' ],
        [ 'mysql://@h',                qr/user before '\@' is empty/ ],
        [ 'mysql://%zz@h',             'broken %XX' ],
        [ 'tcp://' . 'h' x 4000 . ':1', qr/a URL of more than \d+ bytes|is not a host name/ ],
    );
};

# MySQL and MariaDB block a host that connects without logging in: the statement to paste is shown.
subtest 'mysql:// needs a user' => sub {
    my $create = q{CREATE USER 'monitor'@'%' IDENTIFIED BY '...'};
    bad( 'FailoverService db mysql://h',          1, 'mysql:// needs a user', $create, 'mysql://monitor@h' );
    bad( 'FailoverService db mysql://h:3307/blog', 1, 'mysql:// needs a user', $create,
        q{GRANT LOCK TABLES ON `blog`.* TO 'monitor'@'%'}, 'leave the database out', 'mysql://monitor@h:3307/blog' );
    unlike message('FailoverService db mysql://h'), qr/GRANT/, 'no grant without a database';

    # `_` is a wildcard in a grant, and httpd's log doubles a backslash: what is shown works when pasted.
    bad( 'FailoverService db mysql://h/my_blog', 1, qr/ON `my[\\]?_blog`[.][*]/ );
};

subtest 'passwords' => sub {
    my $secret  = 'hunter2';
    my $allowed = 'password=file:PATH or password=exec:PROGRAM';
    for my $url ( "mysql://u:$secret\@h/db", "mysql://u:$secret\@h", "mysql://:$secret\@h", "tcp://u:$secret\@h:1",
        "memcached://u:$secret\@h", "mysql://u:x\@$secret\@h" ) {
        bad( "FailoverService db $url", 1, 'a password has no place in a URL', $allowed );
        bad( in_block("FailoverEndpoint main $url"), 2, 'a password has no place in a URL', $allowed );
        never_shown( "FailoverService db $url", $secret );
    }
    my $in_file = 'a password has no place in the configuration: name where it stands, file:PATH or exec:PROGRAM';
    bad( "FailoverService db mysql://u\@h password=$secret", 1, $in_file );
    bad( in_block("FailoverEndpoint main mysql://u\@h password=$secret"), 2, $in_file );
    bad( 'FailoverService db mysql://u@h password=', 1, $in_file );
    never_shown( "FailoverService db $_", $secret ) for (
        "mysql://u\@h $secret", "mysql://u\@h password=$secret", "mysql://u\@h Password=$secret", "mysql://u\@h passwd=$secret",
        "mysql://u\@h:$secret/db",       "mysql://u:a/$secret\@h/db",     "mysql://u\@h password=file:$secret",
        "mysql://u\@h password=exec:$secret",
    );

    # The way that other software writes it. Taken as a part of the database's name it would be shown by the dump.
    for my $url ( "mysql://u\@h/db?password=$secret", "mysql://u\@h?password=$secret" ) {
        isnt +( check("FailoverService db $url") )[0], 0, "an error: $url";
        never_shown( "FailoverService db $url", $secret );
    }
};

subtest 'files of secrets' => sub {
    bad( "FailoverService db mysql://u\@h password=$_->[0]", 1, 'password=', $_->[1] ) for (
        [ 'file:/no/such/file',        'there is no file /no/such/file' ],
        [ 'file:relative',             'an absolute path must follow' ],
        [ 'file:',                     'an absolute path must follow' ],
        [ 'exec:/no/such/program',     'there is no file /no/such/program' ],
        [ 'exec:program',              'an absolute path must follow' ],
    );
    bad( 'FailoverService db mysql://u@h "password=exec:/no/such/program with words"', 1, 'there is no file /no/such/program' );
};

subtest 'missing probe modules' => sub {
    bad_without( "FailoverService db $_->[0]", 1, "pinged by $_->[1], which is not loaded", "LoadModule failover_$_->[2]_module" ) for (
        [ 'mysql://u@h',    'mod_failover_mysql',     'mysql' ],
        [ 'mysqls://u@h',   'mod_failover_mysql',     'mysql' ],
        [ 'memcached://h',  'mod_failover_memcached', 'memcached' ],
        [ 'amqp://u@h',     'mod_failover_amqp',      'amqp' ],
        [ 'amqps://u@h',    'mod_failover_amqp',      'amqp' ],
        [ 'redis://h',      'mod_failover_redis',     'redis' ],
        [ 'rediss://h',     'mod_failover_redis',     'redis' ],
        [ 'http://h',       'mod_failover_http',      'http' ],
        [ 'https://h',      'mod_failover_http',      'http' ],
        [ 'redis-lag+https://h', 'mod_failover_http', 'http' ],
        [ 'postgresql://u@h', 'mod_failover_pgsql',   'pgsql' ],
        [ 'plugin:///bin/true', 'mod_failover_plugin', 'plugin' ],
    );
    bad_without( in_block('FailoverEndpoint main mysql://u@h'), 2, 'mod_failover_mysql' );
};

subtest 'redis' => sub {
    my $known = 'there are weight=, check=, timeout=, busy=, password=, role=, cluster=, socket=';
    bad( "FailoverService db redis://h $_=x", 1, "'$_=' is no option of redis://; $known; TLS is rediss://" ) for qw(ca ca-path cert key key-password verify tls);
    bad( 'FailoverService db redis://h colour=x', 1, qr/is no option of redis:\/\/; $known$/m );
    bad( 'FailoverService db redis://monitor@h',  1, 'redis://monitor@... needs password=file:PATH', 'ACL SETUSER monitor on >PASSWORD +ping +select', 'requirepass' );
    bad( "FailoverService db $_", 1, 'is the number of a database, as in redis://redis.example.com/2' ) for qw(redis://h/shop redis://h/1/2 redis://h/-1);
    bad( 'FailoverService db rediss://h/x',             1, 'the path of rediss:// is the number of a database' );
    bad( 'FailoverService db redis://a,b',              1, 'redis takes at most 1 host' );
    bad( 'FailoverService db redis://h role=master',    1, "role=: 'master' is neither primary nor replica" );
    bad( 'FailoverService db redis://h cluster=yes',    1, "cluster=: 'yes' is neither on nor off" );
    bad( 'FailoverService db redis://h/1 cluster=on',   1, 'cluster=on: a cluster has database 0 alone' );
    bad( 'FailoverService db redis://h cluster=on role=primary', 1, 'cluster=on and role= exclude each other' );
};

subtest 'plugin' => sub {
    my $plain = $httpd->file( 'check_plain', "#!/bin/sh\n" );
    my $good  = $httpd->file( 'check_good',  "#!/bin/sh\n", 0755 );
    my $dir   = $httpd->dir;
    bad( "FailoverService app plugin://$plain",          1, "$plain is not executable: chmod +x $plain" );
    bad( "FailoverService app plugin://$dir",            1, "$dir is no plain file: the path of plugin:// is a program, as in plugin:///usr/lib/nagios/plugins/check_load" );
    bad( 'FailoverService app plugin:///no/such/plugin', 1, '/no/such/plugin cannot be used: No such file or directory' );
    bad( "FailoverService app plugin://me\@$good",       1, 'plugin:// takes no user and no password' );
    bad( "FailoverService app plugin://h$good",          1, 'plugin takes a path and no host, as in plugin:///usr/lib/nagios/plugins/check_load' );
    bad( 'FailoverService app plugin://',                1, 'a path is missing, as in plugin:///usr/lib/nagios/plugins/check_load' );
    bad( "FailoverService app plugin://$good warning=on", 1, "warning=: 'on' is neither pass nor fail" );
    bad( "FailoverService app plugin://$good args=\"-w 5\"", 1, 'args=: a quote inside a word is not taken away' );
    bad( "FailoverService app plugin:$good",             1, q{'://' is missing behind the scheme, as in plugin:///} );
    bad( "FailoverService app plugin://$good colour=x",  1, "'colour=' is no option of plugin://; there are weight=, check=, timeout=, busy=, password=, args=, warning=" );
    bad( "FailoverService app plugin://$good password=file:$good", 1, q{takes no user and no password: everybody on this host can read a program's command line} );
    good(qq{FailoverService app plugin://$good "args=-w 5 -c '10 x'" warning=fail APP=off});
};

# An account and certificates that a broker will not take are better known now.
subtest 'amqp' => sub {
    my $login = 'password=file:' . $httpd->file( 'broker', "Geheim7\n", 0400 );
    my $tls   = "FailoverService mq amqps://monitor\@mq.example.com/shop $login";
    my @least = ( 'needs a user and password=', 'RabbitMQ logs a warning or an error', 'rabbitmqctl add_user monitor', q{monitor '^$' '^$' '^$'} );
    bad( 'FailoverService mq amqp://mq.example.com', 1, 'amqp:// ', @least, "-p '/'", 'tcp://mq.example.com:5672' );
    bad( "FailoverService mq amqp://mq.example.com/shop $login", 1, @least, "-p 'shop'", 'amqp://monitor@mq.example.com:5672/shop password=file:PATH' );
    bad( 'FailoverService mq amqp://monitor@mq.example.com/shop', 1, @least );
    bad( 'FailoverCelery mq amqps://monitor@[::1]/a/b', 1, 'amqps:// ', @least, "-p 'a/b'", 'amqps://monitor@[::1]:5671/a/b', 'tcp://[::1]:5671' );
    bad( "FailoverService mq amqp://monitor\@a,b $login", 1, 'takes' );
    bad( "FailoverService mq amqp://monitor\@h/@{[ 'v' x 256 ]} $login", 1, 'the virtual host in amqp:// has more than 255 bytes' );
    bad( "FailoverService mq amqp://monitor\@h $login $_=x", 1, "'$_=' is no option of amqp://" ) for qw(ca cert key verify key-password);
    bad( "$tls ciphers=x",                   1, "'ciphers=' is no option of amqps://; there are weight=, check=, timeout=, busy=, password=, ca=, ca-path=, cert=, key=, key-password=, verify=" );
    bad( "$tls verify=maybe",                1, "verify=: 'maybe' is neither on nor off" );
    bad( "$tls ca=ca.pem",                   1, "ca=: 'ca.pem' is not an absolute path" );
    bad( "$tls ca=/no/such/file",            1, 'ca=: there is no file /no/such/file' );
    bad( "$tls ca=$file",                    1, "ca=: $file: no certificate" );
    bad( "$tls cert=/no/such/file",          1, 'cert= takes key= beside it' );
    bad( "$tls key=/no/such/file",           1, 'key= takes cert= beside it' );
    bad( "$tls cert=/no/such/file key=$file", 1, 'cert=: there is no file /no/such/file' );
    bad( "$tls cert=$file key=$file",        1, "cert=: $file: no start line" );
    warned( "$tls verify=off", 1, 'mq: verify=off: whoever answers there is taken for the server' );
    good($_) for (
        "FailoverService mq amqp://monitor\@mq.example.com $login",   "FailoverService mq amqp://monitor\@mq.example.com/ $login",
        "FailoverService mq amqp://monitor\@[::1]:5673/%2f $login",   "FailoverService mq amqp://monitor\@h/shop/eu $login busy=fail MQ=spare",
        $tls, "$tls verify=on",
    );
};

# A file of steps is read with the configuration; a mistake in it names its own line as well.
subtest 'script' => sub {
    my $mail  = 'FailoverService mail script://mail.example.com:25';
    my $dir   = $httpd->dir;
    my $steps = sub ($text) { $httpd->file( 'x.steps', $text ); return "$mail steps=\@DIR\@/x.steps" };
    bad( $mail, 1, 'steps=FILE is missing' );
    bad( "$mail steps=smtp.steps", 1, "steps=: 'smtp.steps' is not an absolute path" );
    bad( "$mail steps=\@DIR\@/none.steps", 1, "steps=: there is no file $dir/none.steps" );
    bad( "$mail steps=$_->[0]",            1, "steps=: $_->[0] is $_->[1]" ) for [ '/dev/zero', 'no plain file' ], [ $dir, 'no plain file' ];
    bad( $steps->( 'x' x 65_537 ),         1, "steps=: $dir/x.steps is longer than 65536 bytes" );
    bad( $steps->( qq{find "a"\n} x 65 ), 1, "steps=: $dir/x.steps:65: a script has at most 64 steps" );
    bad( $steps->($_->[0]),                1, "steps=: $dir/x.steps", @$_[ 1 .. $#$_ ] ) for (
        [ "# none\n",                      'nothing is expected' ],
        [ qq{expect "220"\nsleep 5\n},     ":2: 'sleep' is no word of a script", 'send, expect, find, skip, busy, login and refuse' ],
        [ qq{\n\nexpect 220\n},            ':3: text in double quotes must follow' ],
        [ 'expect "220',                   q{:1: the closing '"' is missing} ],
        [ 'expect "\q"',                   ':1: after a backslash stands r, n, t' ],
        [ 'expect-hex 3',                  ':1: bytes are two hex digits each' ],
        [ qq{busy "421"\nexpect "220"\n},  ':1: busy tells what may come instead' ],
        [ qq{expect "25"\n skip "250-"\n}, ':2: it would never be found: line 1 takes whatever begins so' ],
        [ qq{expect "a"\nsend "%{user}"\n}, ':2: %{user} needs a user in the URL' ],
        [ qq{expect "a"\nsend "%{password}"\n}, ':2: %{password} needs password=file:PATH' ],
    );
    my $login = 'script://monitor@mail.example.com:25 steps=@DIR@/x.steps password=file:@DIR@/secret';
    $steps->(qq{send "%{password}"\nfind "a"\n});
    bad( "FailoverService mail $login", 1, 'the URL has a user, but no step', 'sends %{user}' );
    $steps->(qq{send "%{user}"\nfind "a"\n});
    bad( "FailoverService mail $login", 1, 'password=: no step', 'sends %{password}' );
    bad( "FailoverService mail script://h$_->[0]", 1, $_->[1] ) for [ '', "'h' needs a port" ], [ ':1/x', 'script:// takes no path' ];
    bad( "$mail steps=\@DIR\@/x.steps expect=220", 1, "'expect=' is no option of script://", 'steps=' );
    never_shown( $steps->(qq{PASS hunter2\n}),          'hunter2' );
    never_shown( $steps->(qq{send "PASS hunter2" x\n}), 'hunter2' );
    good( $steps->(qq{expect "220"\n}) );
    my ($shown) = slurp("$ROOT/doc/probe-script.md") =~ /^```\n(#.*?)^```$/ms;
    $steps->($shown);
    good("FailoverService mail $login");
    my $conf = Cwd::realpath("$ROOT/conf");
    good("FailoverService s script://h:1 steps=$_") for glob "$conf/*.steps";
};

subtest 'mysql' => sub {
    my $tls   = 'FailoverService db mysqls://monitor@db.example.com/shop';
    my $plain = $tls =~ s/mysqls/mysql/r;
    my $known = 'there are weight=, check=, timeout=, busy=, password=, query=, role=, max-lag=';
    bad(@$_) for (
        ( map { [ "$plain $_=x", 1, "'$_=' is no option of mysql://; $known, socket=; TLS is mysqls://" ] } qw(ca ca-path cert key verify) ),
        [ "$tls socket=/run/db.sock",   1, "'socket=' is no option of mysqls://; $known, ca=, ca-path=, cert=, key=, verify=, key-password=" ],
        [ "$plain role=master",         1, "role=: 'master' is neither primary nor replica" ],
        [ "$plain max-lag=soon",        1, "max-lag=: 'soon' is not a duration" ],
        [ "$plain max-lag=100ms",       1, "max-lag=: '100ms' is not in whole seconds" ],
        [ "$plain query=",              1, 'query=: there is no SQL' ],
        [ "$plain socket=db.sock",      1, "socket=: 'db.sock' is not an absolute path" ],
        [ "$plain socket=/" . 'x' x 107, 1, "socket=: a socket's path has at most 107 bytes" ],
        [ "$tls verify=maybe",          1, "verify=: 'maybe' is neither on nor off" ],
        [ "$tls ca=ca.pem",             1, "ca=: 'ca.pem' is not an absolute path" ],
        [ "$tls ca=/no/such/file",      1, 'ca=: there is no file /no/such/file' ],
        [ "$tls ca=$file",              1, "ca=: $file: no certificate" ],
        [ "$tls cert=/no/such/file",    1, 'cert= takes key= beside it' ],
        [ "$tls cert=$file key=$file",  1, "cert=: $file: no start line" ],
        [ 'FailoverService db mysqls://h/shop', 1, 'mysqls:// needs a user', 'then mysqls://monitor@h/shop' ],
        [ 'FailoverService c memcached://h socket=c.sock',        1, "socket=: 'c.sock' is not an absolute path" ],
        [ 'FailoverService c memcached://h,i socket=/run/c.sock', 1, "socket= is one server's, and the URL names several" ],
    );
    warned( "$tls verify=off", 1, 'db: verify=off: whoever answers there is taken for the server' );
    good($_) for (
        $tls, "$tls verify=on role=primary", qq{$tls max-lag=30s "query=SELECT 1"},
        "$plain socket=/run/mysqld/mysqld.sock role=replica max-lag=5m", 'FailoverService c memcached://localhost socket=/run/c.sock',
    );
};

# What mod_failover's own connections have to say of TLS and of sockets.
subtest 'tls and sockets' => sub {
    my $made     = Failover::Certificates->new;
    my ( $cert, $key ) = $made->signed('DNS:client');
    my $shut     = $made->locked( $key, 'Geheim7' );
    my $password = 'key-password=file:' . $httpd->file( 'lock', "Geheim7\n", 0400 );
    my $pair     = "cert=$cert key=$shut";
    my $plain    = 'FailoverService app tcp://app.example.com:5000';
    my $tls      = "$plain tls=on";
    bad( "$plain foo=bar",         1, "'foo=' is no option of tcp://; there are weight=, check=, timeout=, busy=, password=, tls=, ca=, ca-path=, cert=, key=, key-password=, verify=, socket=" );
    bad( "$plain tls=yes",         1, "tls=: 'yes' is neither on nor off" );
    bad( "$plain $_",              1, qr/^.*\b\Q@{[ s{=.*}{=}r ]}\E takes tls=on beside it/m ) for 'verify=off', "ca=$file", "ca-path=/", "cert=$cert", "key=$key", $password;
    bad( "$plain tls=off ca=$file", 1, 'ca= takes tls=on beside it' );
    bad( "$tls ca=/no/such/file",  1, 'ca=: there is no file /no/such/file' );
    bad( "$tls $pair",             1, "key=: $shut has a password: name where that stands, key-password=file:PATH or key-password=exec:PROGRAM" );
    bad( "$tls $password",         1, 'key-password= takes cert= and key= beside it' );
    bad( "$tls $pair key-password=Geheim7",      1, 'key-password=: a password has no place in the configuration' );
    bad( "$tls $pair key-password=file:/no/one", 1, 'key-password=: there is no file /no/one' );
    bad( "$plain socket=run/app.sock",           1, "socket=: 'run/app.sock' is not an absolute path" );
    bad( "$plain socket=/@{[ 'x' x 107 ]}",      1, q{socket=: a socket's path has at most 107 bytes} );
    bad( 'FailoverService app unix:///run/app.sock socket=/x', 1, "'socket=' is no option of unix://" );
    bad( 'FailoverService app unix:///run/app.sock tls=on',    1, "'tls=' is no option of unix://" );
    warned( "$tls verify=off", 1, 'app: verify=off: whoever answers there is taken for the server' );
    good($_) for ( $tls, "$plain tls=off", "$tls verify=on", "$tls $pair $password", "$tls cert=$cert key=$key", "$plain socket=/run/app.sock", "$tls socket=/run/app.sock" );
};

subtest 'http' => sub {
    my $login = 'password=file:' . $httpd->file( 'site', "Geheim7\n", 0400 );
    my $web   = 'FailoverService app http://app.example.com/health';
    my $tls   = 'FailoverService app https://monitor@app.example.com/health ' . $login;
    my $lag   = 'FailoverService app redis-lag+https://monitor@redis.example.com ' . $login;
    bad( "$web?full=1",                  1, "a URL has no '?' or '#' here", 'http://app.example.com/health' );
    bad( "$web query=a#b",               1, "query=: blanks, '#'" );
    bad( "$web method=DELETE",           1, "method=: 'DELETE' is none of GET, HEAD and OPTIONS" );
    bad( "$web status=2xx",              1, "status=: '2xx' is no status from 200 to 599", 'status=200,204,300-399' );
    bad( "$web method=HEAD body=x",      1, 'body=: the answer to method=HEAD has none' );
    bad( "$web body=",                   1, 'body=: a text of 1 to 1024 bytes is looked for' );
    bad( "$web max-body=1G",             1, "max-body=: '1G' is not a whole number from 1 to 16777216 of bytes" );
    bad( "$web header=X-A",              1, "header=: there is no ':' in 'X-A'" );
    bad( "$web \"header=Authorization: Bearer x\"", 1, 'Authorization: is not for you to set', 'password=' );
    bad( "$web \"header=A: 1|Host: x\"", 1, 'Host: is not for you to set: write host=' );
    bad( "$web host=a/b",                1, "host=: 'a/b' is no host name or address" );
    bad( "$web $login",                  1, 'password= takes a user in front of the host, as in http://monitor@app.example.com/health' );
    bad( "FailoverService app http://a%3ab\@h $login", 1, "a user of basic authentication has no ':' in its name" );
    bad( "$web $_=x",                    1, "'$_=' is no option of http://" ) for qw(ca ca-path cert key verify);
    for my $secure ( $tls, $lag ) {
        bad( "$secure verify=maybe",     1, "verify=: 'maybe' is neither on nor off" );
        bad( "$secure ca=/no/such/file", 1, 'ca=: there is no file /no/such/file' );
        bad( "$secure ca=$file",         1, "ca=: $file: no certificate" );
        bad( "$secure ca-path=$file",    1, "ca-path=: $file is no directory" );
        bad( "$secure cert=/no/such/file", 1, 'cert= takes key= beside it' );
        bad( "$secure cert=$file key=$file", 1, "cert=: $file: no start line" );
        warned( "$secure verify=off",    1, 'app: verify=off: whoever answers there is taken for the server' );
        good($secure);
    }
    bad( "$lag tolerance=0",             1, "tolerance=: '0' is not within 1ms and 1h" );
    bad( "$lag database=redis://h",      1, "database=: 'redis://h' is not where clients reach it" );
    bad( "$lag status=200",              1, "'status=' is no option of redis-lag+https://" );
    bad( 'FailoverService app redis-lag+https://h/v1', 1, 'redis-lag+https:// takes no path' );
    good($_) for (
        $web, 'FailoverService app http://h', 'FailoverService app https://[::1]:8443/',
        "$web method=OPTIONS query=a=b&c=%20d status=200,401-403 \"body=all is well\" max-body=100 \"header=A: 1|B: 2\" host=www.example.com:81 APP=off",
        "$lag database=[2001:db8::1]:12000 tolerance=5s timeout=2s",
    );
};

subtest 'postgresql' => sub {
    my $db     = 'FailoverService db postgresql://monitor@db1.example.com/shop';
    my $tls    = "$db tls=on verify=off";
    my $create = q{CREATE ROLE monitor LOGIN PASSWORD '...'; GRANT CONNECT ON DATABASE };
    my $made   = Failover::Certificates->new;
    my ( $cert, $key ) = $made->signed('DNS:client');
    my $closed = $httpd->file( 'closed.key', slurp($key), 0600 );
    my $shut   = $httpd->file( 'shut.key', slurp( $made->locked( $key, 'Geheim7' ) ), 0600 );
    my $lock   = 'key-password=file:' . $httpd->file( 'lock', "Geheim7\n", 0400 );
    bad( 'FailoverService db postgresql://h',          1, 'postgresql:// needs a user', $create . '"postgres" TO monitor;', 'postgresql://monitor@h ' );
    bad( 'FailoverService db postgresql://h:5433/shop', 1, 'postgresql:// needs a user', $create . '"shop" TO monitor;', 'postgresql://monitor@h:5433/shop ' );
    bad( 'FailoverService db postgresql://u@h/a/b',    1, 'the path of postgresql:// is one database, as in /shop' );
    bad( 'FailoverService db postgresql://u@h,i',      1, 'postgresql takes at most 1 host,' );
    bad( "$db ca-path=/etc",                           1, "'ca-path=' is no option of postgresql://", 'tls=, ca=, cert=, key=, verify=, role=, socket=' );
    bad( "$db $_->[0]",                                1, $_->[1] ) for (
        [ 'role=master',              "role=: 'master' is neither primary nor replica" ],
        [ 'tls=prefer',               "tls=: 'prefer' is neither on nor off" ],
        [ 'verify=off',               'verify= takes tls=on beside it' ],
        [ 'ca=/etc/ssl/ca.pem',       'ca= takes tls=on beside it' ],
        [ $lock,                      'key-password= takes tls=on beside it' ],
        [ "tls=on $lock",             'key-password= takes cert= and key= beside it' ],
        [ 'tls=on verify=maybe',      "verify=: 'maybe' is neither on nor off" ],
        [ 'tls=on ca=ca.pem',         "ca=: 'ca.pem' is not an absolute path" ],
        [ 'tls=on ca=/no/such/file',  'ca=: there is no file /no/such/file' ],
        [ "tls=on ca=$file",          "ca=: $file: no certificate" ],
        [ 'socket=run',               "socket=: 'run' is not an absolute path" ],
        [ 'socket=/run/.s.PGSQL.x',   'does not end in a port, as in /run/postgresql/.s.PGSQL.5432' ],
        [ 'tls=on verify=off socket=/run', 'tls=on and socket= exclude each other' ],
    );
    bad( "$tls cert=$cert",                      1, 'cert= takes key= beside it' );
    bad( "$tls cert=$cert key=/no/such/file",    1, 'key=: there is no file /no/such/file' );
    bad( "$tls cert=$cert key=$file",            1, "key=: $file: " );
    bad( "$tls cert=$cert key=$key",             1, "key=: $key is open to everybody, and libpq takes no such key", 'chmod 0640' );
    bad( "$tls cert=$cert key=$shut",            1, "key=: $shut has a password: name where that stands" );
    bad( "$tls cert=$cert key=" . $made->{ca_key}, 1, 'key values mismatch' );
    warned( $tls, 1, 'db: verify=off: whoever answers there is taken for the server' );
    good($_) for (
        $db, "$db busy=fail role=primary DB=spare", "$db role=replica tls=off", "$db tls=on ca=" . $made->ca,
        "$db tls=on ca=@{[ $made->ca ]} cert=$cert key=$closed verify=on", "$db tls=on cert=$cert key=$shut $lock", "$db socket=/run/postgresql", "$db socket=/run/postgresql/.s.PGSQL.5432",
        'FailoverDatabase replica postgresql://monitor@[::1]:5433 role=replica',
    );
};

# httpd would run another module's directive as if it stood outside of the block.
subtest 'foreign directives in a block' => sub {
    for my $foreign ( 'SetEnv X y', 'ServerName x', 'FailoverMonitor On', 'FailoverPingWait 1s', 'Header set X y',
        'FailoverService b tcp://h:1', 'FailoverDatabase b tcp://h:1', 'FailoverCelery b tcp://h:1' ) {
        my ($name) = split ' ', $foreign;
        bad( in_block( 'FailoverEndpoint main tcp://h:1', $foreign ), 3, "$name has no place inside <FailoverService>",
            'FailoverEndpoint', 'FailoverSetEnv', 'policy' );
    }
    bad( in_block( 'FailoverEndpoint main tcp://h:1', $_, 'FailoverEndpoint main tcp://h:1', s/<(\w+).*/<\/$1>/r ), 3,
        'has no place inside <FailoverService>' ) for '<FailoverService b>', '<Location />', '<If true>';

    bad( in_block( 'FailoverEndpoint main tcp://h:1', '<IfModule failover_module>', 'SetEnv X y', '</IfModule>' ), 4,
        'SetEnv has no place inside <FailoverService>' );
    good( in_block( 'FailoverEndpoint main tcp://h:1', '<IfModule failover_module>', 'FailoverSetEnv X y', '</IfModule>' ) );
};

subtest 'blocks' => sub {
    for my $inner ( 'FailoverEndpoint main tcp://h:1', 'FailoverSetEnv X y', 'FailoverUnsetEnv X', 'FailoverAlias A_ B_',
        'FailoverNote X y', 'FailoverCritical On' ) {
        my ($name) = split ' ', $inner;
        bad( $inner, 1, "$name stands inside <FailoverService NAME> only" );
        bad( "FailoverService db tcp://h:1\n<VirtualHost *:81>\n$inner\n</VirtualHost>", 3, "$name stands inside <FailoverService NAME> only" );
    }
    bad( in_block('FailoverSetEnv X y'), 1, '<FailoverService db> has no FailoverEndpoint' );
    bad( in_block(),                     1, '<FailoverService db> has no FailoverEndpoint' );
    bad( "<FailoverService db\nFailoverEndpoint main tcp://h:1\n</FailoverService>", 1, q{the closing '>' is missing} );
    bad( "<FailoverService db>\nFailoverEndpoint main tcp://h:1", 1, '<FailoverService> was not closed' );
    bad( "Listen 1\n</FailoverService>", 2, '</FailoverService>' );

    # An error within leaves nothing open for the next try.
    bad( in_block( 'FailoverEndpoint main tcp://h:1', 'FailoverSpread 200' ), 3, "'200' is not a whole number" );
};

subtest 'several endpoints' => sub {
    my @two = ( 'FailoverEndpoint one tcp://h:1', 'FailoverEndpoint two tcp://h:2 weight=0.5' );
    good( in_block(@two) );
    good( in_block( map {"FailoverEndpoint e$_ tcp://h:$_"} 1 .. 32 ) );
    bad( in_block( map {"FailoverEndpoint e$_ tcp://h:$_"} 1 .. 33 ), 34, 'db has 32 endpoints, and no service may have more' );
    bad( in_block( @two, 'FailoverEndpoint ONE tcp://h:3' ), 4, "db has an endpoint 'one' already, at", ':2' );
    bad( in_block( @two, 'FailoverEndpoint three tcp://h:2' ), 4, "db has an endpoint with this URL already, 'two' at", ':3' );
    bad( in_block("FailoverEndpoint one tcp://h:1 weight=$_"), 2, "weight=: '$_' is not a weight: write a decimal number greater than 0" ) for qw(0 -1 heavy 0.0);

    good( in_block( '<FailoverEndpoint one tcp://h:1 weight=1>', 'FailoverCheck tcp://h:2', '</FailoverEndpoint>', $two[1] ) );
    good( in_block( $two[0], '<FailoverEndpoint two tcp://h:2 weight=0.5>', 'FailoverSetEnv X y', 'FailoverUnsetEnv A', 'FailoverAlias B_ C_', 'FailoverNote n v', '</FailoverEndpoint>' ) );
    bad( '<FailoverEndpoint one tcp://h:1>' . "\n</FailoverEndpoint>", 1, 'stands inside <FailoverService NAME> only' );
    bad( in_block( '<FailoverEndpoint one>', '</FailoverEndpoint>' ), 2, 'NAME and URL are missing' );
    bad( in_block( '<FailoverEndpoint one tcp://h:1', '</FailoverEndpoint>' ), 2, q{the closing '>' is missing} );
    for my $foreign ( 'SetEnv X y', 'FailoverSpread 1', 'FailoverEndpoint b tcp://h:2', 'FailoverProbes 2' ) {
        my ($name) = split ' ', $foreign;
        bad( in_block( '<FailoverEndpoint one tcp://h:1>', $foreign, '</FailoverEndpoint>' ), 3, "$name has no place inside <FailoverEndpoint>: it takes FailoverCheck and settings" );
    }
    bad( in_block( '<FailoverEndpoint one tcp://h:1>', 'FailoverSetEnv "A B" x', '</FailoverEndpoint>' ), 3, 'FailoverSetEnv' );
    warned( in_block( '<FailoverEndpoint one tcp://h:1>', 'FailoverSetEnv X y', '</FailoverEndpoint>', $two[1] ), 2, 'db: the settings of endpoint one never hold', 'it is the primary' );
};

subtest 'closed parts' => sub {
    my $db = "FailoverService db tcp://h:1\n";
    good( "$db$_" ) for 'FailoverRequire db', 'FailoverRequire DB db', 'FailoverRequire NONE', "FailoverRequire none\nFailoverRequire db",
        "<Location /x>\nFailoverRequire db\n</Location>", "<Directory />\nFailoverOutageDocument db /x.html\n</Directory>",
        'FailoverOutageDocument none', 'FailoverOutageDocument db /x.html?a=b 200', 'FailoverOutageDocument db / 511', "<If \"true\">\nFailoverRequire db\n</If>";
    good("FailoverRequire db\n$db");
    good("FailoverRequire db\n<VirtualHost *:1>\n$db</VirtualHost>");
    bad( 'FailoverRequire',     1, 'FailoverRequire NAME ... or none: a word is missing' );
    bad( 'FailoverRequire ' . join( ' ', ('db') x 64 ), 1, 'FailoverRequire: at most 63 services' );
    bad( 'FailoverRequire 1st', 1, "FailoverRequire: '1st'" );
    bad( "${db}FailoverRequire db bd", 2, "FailoverRequire: there is no service 'bd'" );
    bad( "${db}FailoverRequire db none", 2, "FailoverRequire: there is no service 'none'" );
    bad( "$db<Location /x>\nFailoverRequire bd\n</Location>", 3, "FailoverRequire: there is no service 'bd'" );
    bad( "<VirtualHost *:1>\n$db</VirtualHost>\n<VirtualHost *:2>\nFailoverRequire db\n</VirtualHost>", 5, "FailoverRequire: there is no service 'db' in this virtual host, though there is one in another" );
    bad( "${db}FailoverOutageDocument", 2, 'FailoverOutageDocument takes one, two or three arguments' );
    bad( "${db}FailoverOutageDocument db", 2, 'FailoverOutageDocument NAME /local/url [status], or none: the URL is missing' );
    bad( "${db}FailoverOutageDocument bd /x", 2, "FailoverOutageDocument: there is no service 'bd'" );
    bad( "${db}FailoverOutageDocument db $_", 2, "FailoverOutageDocument: '$_' is not a local path: it is to begin with one slash, as in /outage.html" ) for 'x.html', 'http://h/x', '//h/x';
    bad( "${db}FailoverOutageDocument db /x $_", 2, "FailoverOutageDocument: '$_' is not an HTTP status of 200 to 599" ) for qw(1 100 199 600 50x 0503 -503);
    bad( "${db}FailoverOutageDocument db /x $_", 2, "FailoverOutageDocument: a response of status $_ has no page" ) for qw(204 205 206 301 304);
    bad( "${db}FailoverOutageDocument db /x $_", 2, "FailoverOutageDocument: httpd knows no status $_" ) for qw(299 450 599);
    bad( in_block( 'FailoverEndpoint one tcp://h:1', "$_" ), 3, 'FailoverService' ) for 'FailoverRequire db', 'FailoverOutageDocument db /x';
};

subtest 'the error header' => sub {
    good("FailoverErrorHeader $_") for 'Failover-Error', 'X-Err', 'none', 'NONE';
    good("<Location /x>\nFailoverErrorHeader Failover-Error\n</Location>");
    bad( 'FailoverErrorHeader', 1, 'FailoverErrorHeader takes one argument' );
    bad( "FailoverErrorHeader '$_'", 1, "FailoverErrorHeader: '$_' cannot be the name of a header" ) for 'Failover Error', 'Failover:', 'F@i';
    bad( "FailoverErrorHeader $_",   1, "FailoverErrorHeader: $_ has a meaning of its own: take another, as Failover-Error" ) for qw(Set-Cookie Content-Type);
};

subtest 'the breaker' => sub {
    my @two = ( 'FailoverEndpoint one tcp://h:1', 'FailoverEndpoint two tcp://h:2 weight=0.5' );
    my $used = "FailoverUses db\n";
    good( $used . in_block( @two, "FailoverBreaker $_" ) ) for '', 'off', 'window=100ms failures=0 rate=0', 'rate=1 consecutive=5 reset=10m', 'count=5xx trip=open', 'count=ERRORS trip=ping rate=.5';
    good( $used . "FailoverService db tcp://h:1\n<Location /x>\nFailoverUses db\n</Location>\n<Location /y>\nFailoverUses none\n</Location>" );
    bad( in_block( @two, "FailoverBreaker $_->[0]" ), 4, "FailoverBreaker: $_->[1]" ) for (
        [ 'rate=1.1',      "rate=: '1.1' is not a rate: write a decimal number from 0 to 1" ],
        [ 'rate=-1',       "rate=: '-1' is not a rate" ],
        [ 'rate=half',     "rate=: 'half' is not a rate" ],
        [ 'rate=1e-1',     "rate=: '1e-1' is not a rate" ],
        [ 'window=99ms',   "window=: '99ms' is not within 100ms and 1h" ],
        [ 'failures=-1',   "failures=: '-1' is not a whole number from 0 to 1000000" ],
        [ 'consecutive=0', "consecutive=: '0' is not a whole number from 1 to 1000000" ],
        [ 'reset=11m',     "reset=: '11m' is not within 10ms and 10m" ],
        [ 'count=all',     "count=: 'all' is none of errors, 5xx" ],
        [ 'trip=now',      "trip=: 'now' is none of ping, open" ],
        [ 'fast',          "'fast' is none of window=, failures=, rate=, consecutive=, reset=, count=, trip=" ],
    );
    bad( 'FailoverUses',      1, 'FailoverUses NAME ... or none: a word is missing' );
    bad( 'FailoverUses 1st',  1, "FailoverUses: '1st'" );
    bad( "FailoverService db tcp://h:1\nFailoverUses bd", 2, "FailoverUses: there is no service 'bd'" );
    bad( "FailoverService db tcp://h:1\n<Location /x>\nFailoverUses bd\n</Location>", 3, "FailoverUses: there is no service 'bd'" );
    bad( 'FailoverUses ' . join( ' ', map {"s$_"} 1 .. 65 ), 1, 'FailoverUses: at most 63 services' );
    warned( "FailoverService db tcp://h:1\n" . in_block( @two, 'FailoverBreaker' ) =~ s/db/other/r, 2, 'other: FailoverBreaker: no request counts for it: FailoverUses names it nowhere' );
    warned( "FailoverUses db\nFailoverBreaker window=100ms failures=1000000\nFailoverService db tcp://h:1", 3, 'db: FailoverBreaker: failures=1000000 within 100ms can never be reached: with MaxRequestWorkers this server answers at most some ', 'write fewer failures, a longer window=, or consecutive=' );
    good("FailoverUses db\nFailoverBreaker window=100ms failures=1000000 consecutive=5\nFailoverService db tcp://h:1");
    good("FailoverUses db\nFailoverBreaker window=1h failures=1000000\nFailoverService db tcp://h:1");
    warned( "FailoverUses db\nFailoverBreaker trip=open\nFailoverService db tcp://h:1", 3, 'db: FailoverBreaker: trip=open can never open its only endpoint: write trip=ping' );
};

subtest 'checks and probes' => sub {
    my $main = 'FailoverEndpoint main tcp://h:1';
    good( in_block( $main, 'FailoverCheck tcp://h:2 timeout=1s' ) );
    good( in_block( "$main check=off", 'FailoverCheck tcp://h:2' ) );
    good( in_block( "$main check=on" ) );
    warned( in_block( "$main check=off", 'FailoverEndpoint other tcp://h:3 weight=0.5 check=off', 'FailoverCheck tcp://h:2' ), 3, 'db: endpoint other is asked the same as another one of it, so both fall together' );
    bad( in_block("$main check=off"), 1, 'endpoint main has check=off and no FailoverCheck in its place' );
    bad( 'FailoverService db tcp://h:1 check=off', 1, 'has check=off and no FailoverCheck in its place' );
    bad( in_block("$main check=maybe"), 2, "check=: 'maybe' is neither on nor off" );
    bad( 'FailoverCheck tcp://h:2', 1, 'FailoverCheck stands inside <FailoverService NAME> only' );
    bad( in_block( $main, 'FailoverCheck' ), 3, 'FailoverCheck URL [option=value ...]: the URL is missing' );
    bad( in_block( $main, "FailoverCheck tcp://h:2 $_=x" ), 3, "FailoverCheck: '$_=' is no option of a check by tcp://; there are timeout=, password=" ) for qw(weight busy check alias setting);
    bad( in_block( $main, 'FailoverCheck nothing://h:2' ), 3, 'nothing that is loaded pings nothing://' );
    bad( in_block( $main, map {"FailoverCheck tcp://h:$_"} 2 .. 18 ), 19, 'there are 16 of them already, and no endpoint may have more' );

    good("FailoverProbes $_") for '1', '3', '3 delay=0', '100 delay=1ms policy=any', '5 policy=ALL delay=1s';
    bad(@$_) for (
        [ 'FailoverProbes',                   1, 'FailoverProbes N [delay=SPAN] [policy=majority|all|any]: a word is missing' ],
        [ 'FailoverProbes 0',                 1, "FailoverProbes: '0' is not a whole number from 1 to 100" ],
        [ 'FailoverProbes 101',               1, "'101' is not a whole number from 1 to 100" ],
        [ 'FailoverProbes 3 policy=most',     1, "policy=: 'most' is none of majority, all, any" ],
        [ 'FailoverProbes 3 delay=2h',        1, "delay=: '2h' is not within 0 and" ],
        [ 'FailoverProbes 3 often',           1, "'often' is none of delay=, policy=" ],
        [ 'FailoverProbes 1 policy=any',      1, "'policy=any' says something of several probes, and there is one" ],
        [ 'FailoverGracePeriod 31d',          1, "'31d' is not within 0 and 30d" ],
        [ 'FailoverFailback',                 1, 'FailoverFailback auto|manual [interval=SPAN]: a word is missing' ],
        [ 'FailoverFailback never',           1, "FailoverFailback: 'never' is none of auto, manual" ],
        [ 'FailoverFailback manual interval=1s', 1, "'interval=1s' belongs to 'auto' alone" ],
        [ 'FailoverFailback auto interval=0', 1, "interval=: '0' is not within 10ms and 30d" ],
        [ 'FailoverAttempts',                 1, 'FailoverAttempts N [delay=SPAN]: a word is missing' ],
        [ 'FailoverAttempts -1',              1, "'-1' is not a whole number from 0 to 1000000" ],
        [ 'FailoverAttempts 3 delay=1ms',     1, "delay=: '1ms' is not within 10ms and" ],
        [ 'FailoverPreset redis',             1, "FailoverPreset: 'redis' is none of multidb" ],
    );
    good($_) for 'FailoverGracePeriod 0', 'FailoverFailback manual', 'FailoverFailback AUTO interval=10ms', 'FailoverAttempts 0 delay=1s', 'FailoverPreset multidb';
    good("FailoverPreset multidb\nFailoverService db tcp://h:1");
    warned( in_block( $main, 'FailoverProbes 9', 'FailoverCheck tcp://h:2 timeout=14s', 'FailoverOutagePingFrequency 200s' ), 2, 'db: a ping may take 130s (9 probes, 500ms apart), longer than FailoverMonitoringPingFrequency 2m' );
};

subtest 'places' => sub {
    for my $line ( 'FailoverService db tcp://h:1', 'FailoverDatabase db tcp://h:1', 'FailoverCelery db tcp://h:1', 'FailoverSpread 0', 'FailoverPingConcurrency 2' ) {
        my ($name) = split ' ', $line;
        bad( "<$_>\n$line\n</@{[ /(\w+)/ ]}>", 2, qr/\Q$name\E (?:not allowed|cannot occur)/ ) for 'Directory />', 'Location /', 'Files x', 'If true'
    }
    bad( "<VirtualHost *:81>\nFailoverPingWait 1s\n</VirtualHost>", 2, 'FailoverPingWait', '<VirtualHost>' );
    bad( "<VirtualHost *:81>\nFailoverSpread 200\n</VirtualHost>",  2, "'200' is not a whole number" );
};

subtest 'references to services' => sub {
    my $none = "there is no service 'nope'";
    my $db   = 'FailoverService db tcp://h:1';
    for my $name ( 'nope', 'nope.host' ) {
        bad( "$db\n\n$_", 3, $none ) for (
            qq{<If "failover('$name') == 'up'">\nHeader set X y\n</If>},
            qq{Header set X "expr=%{failover:$name}"},
            qq{RewriteCond expr "failover('$name') == 'up'"\nRewriteRule ^ -},
            qq{RewriteCond expr "%{failover:$name} == 'up'"\nRewriteRule ^ -},
            qq{SetEnvIfExpr "failover('$name') == 'up'" X=y},
            qq{Header set X y "expr=failover('$name') == 'up'"},
            qq{FailoverService other tcp://h:1 X=%{failover:$name}},
        );
    }
    bad( "$db\n<Location />\nRequire expr \"failover('nope') == 'up'\"\n</Location>", 3, $none );
    bad( "$db\n<Location />\n<If \"true\">\n<If \"failover('nope') == 'up'\">\nHeader set X y\n</If>\n</If>\n</Location>", 4, $none );
    bad( "$db\n" . in_other( 'FailoverSetEnv X %{failover:nope}' ), 4, $none );
    bad( "$db\n" . in_other( 'FailoverNote X %{failover:nope.port}' ), 4, $none );
    bad( "$db\nErrorDocument 404 \"%{failover:nope}\"", 2, $none );

    my $parts = "'nonsense' is no part of a service; there are endpoint, host, port, since and reason";
    bad( "$db\n$_", 2, $parts ) for (
        q{<If "failover('db.nonsense') == 'up'">} . "\nHeader set X y\n</If>",
        q{Header set X "expr=%{failover:db.nonsense}"},
        q{FailoverService other tcp://h:1 X=%{failover:db.nonsense}},
    );
    bad( "$db\n" . in_other('FailoverSetEnv X %{failover:db.nonsense}'), 4, $parts );
    bad( qq{Header set X "expr=%{failover:1x}"}, 1, "'1x' is not a name" );
    bad( "$db\n" . q{<If "failover(%{REQUEST_URI}) == 'up'">} . "\nHeader set X y\n</If>", 2, 'the name must be a constant' );
};

# The line is that of the reference, whatever else looks alike.
subtest 'references and their line' => sub {
    my $none = "there is no service 'cache'";
    my $use  = q{Header set X "expr=%{failover:cache}"};
    bad( "$_\n$use", 2, $none ) for (
        'Header set X-Note "failover of the cache"',
        'FailoverService cache2 tcp://h:1 X=failover',
        'FailoverDatabase db tcp://h:1 failover=cache_',
    );
    bad( "FailoverService cachedb tcp://h:1\nHeader set Y \"expr=%{failover:cachedb}\"\n$use", 3, $none );
};

# In a virtual host that has no such service the variable would silently be empty.
subtest 'a setting and a service of some virtual host' => sub {
    my $vhost = "<VirtualHost *:80>\nServerName own\nFailoverService %s tcp://h:2%s\n</VirtualHost>";
    bad( "FailoverService db tcp://h:1 X=%{failover:own.host}\n" . sprintf( $vhost, 'own', '' ),
        1, "there is no service 'own'", 'in some virtual host' );
    good( 'FailoverService db tcp://h:1 X=%{failover:db.host}' . "\n"
            . sprintf( $vhost, 'db', '' ) );
    good( "FailoverService db tcp://h:1\n" . sprintf( $vhost, 'own', ' X=%{failover:db} Y=%{failover:own}' ) );
};

# A visitor must not choose where an application connects to.
subtest 'what a client sends' => sub {
    for my $value ( qw(%{REQUEST_URI} %{HTTP_HOST} %{req:X} %{http:X} %{QUERY_STRING} %{SERVER_NAME} %{REMOTE_USER} %{THE_REQUEST}
            %{HTTP_USER_AGENT} %{REQUEST_METHOD} %{REMOTE_ADDR} %{REQUEST_FILENAME} %{PATH_INFO}), 'a%{env:A}%{req:X}b', '%{req_novary:X}' ) {
        my ($name) = $value =~ /.*%\{(\w+)/;
        bad( "FailoverService db tcp://h:1 X=$value", 1, "reads '$name', which a client can choose", 'unsafe' );
        bad( in_block( 'FailoverEndpoint main tcp://h:1', "FailoverSetEnv X $value" ), 3, "reads '$name', which a client can choose", 'third word, unsafe' );
        bad( in_block( 'FailoverEndpoint main tcp://h:1', "FailoverNote X $value" ),   3, "reads '$name', which a client can choose", 'unsafe' );
        good( in_block( 'FailoverEndpoint main tcp://h:1', "FailoverSetEnv X $value unsafe", "FailoverNote X $value unsafe" ) );
    }
    good( in_block( 'FailoverEndpoint main tcp://h:1', "FailoverSetEnv X $_" ) )
        for qw(%{reqenv:A} %{env:A} %{failover:db.host} %{TIME_YEAR} plain 50% %x);
    bad( in_block( 'FailoverEndpoint main tcp://h:1', 'FailoverSetEnv X %{nosuch:thing}' ), 3, '%{nosuch:thing}' );
    bad( in_block( 'FailoverEndpoint main tcp://h:1', 'FailoverSetEnv X "%{reqenv:A"' ),    3, '%{reqenv:A' );
};

subtest 'what is accepted' => sub {
    good("FailoverMonitoringPingFrequency $_") for qw(10ms 200ms 5s 5 5m 5min 1h 30d 120);
    good($_) for (
        'FailoverOutagePingFrequency 30s', 'FailoverErrorPingFrequency 5s', 'FailoverOutageLoggingFrequency 3600s',
        'FailoverPingTimeout 3s 1s',       'FailoverPingTimeout 500ms',     'FailoverPingWait 0',
        'FailoverPingWait 100ms',          'FailoverThresholds fall=3 rise=2 confirm=1s cap=10s',
        'FailoverThresholds rise=2',       'FailoverMode observe',          'FailoverMode Enforce',
        'FailoverSpread 0',                'FailoverMonitor on',            'FailoverMonitor Outages',
        'FailoverMonitor Off',
        'FailoverService db tcp://db.example.com:5000',
        'FailoverService db tcp://[::1]:5000 X=1 DB_HOST= A=b=c _X=1',
        'FailoverService db tcp://10.0.0.1:5000 weight=0.5 timeout=500ms busy=fail',
        'FailoverService db unix:///run/app.sock',
        'FailoverService db memcached://c1.example.com,c2.example.com:11212,[::1]:11213',
        'FailoverService db mysql://monitor@db1.example.com',
        'FailoverService db mysql://mon%40itor@[::1]:3307/blog password=file:@DIR@/secret busy=keep',
        'FailoverService db mysql://monitor@db1.example.com/blog password=exec:@DIR@/cgi-bin/env WORDPRESS_CONFIG=spare',
        'FailoverService db mysql://monitor@h "password=exec:@DIR@/cgi-bin/env one two"',
        'FailoverDatabase replica mysql://monitor@db2.example.com/shop',
        'FailoverDatabase replica mysql://monitor@db2.example.com/shop alias=DB_SLAVE_ failover=DB_DEFAULT_ timeout=1s',
        'FailoverCelery mq tcp://mq.example.com:5672',
        'FailoverCelery mq tcp://mq.example.com:5672 setting=TASKS_EAGER timeout=1s TASKS_EAGER=yes',
        'FailoverCelery mq amqp://monitor@mq.example.com/shop password=file:@DIR@/secret busy=fail',
        'FailoverService db redis://redis.example.com',
        'FailoverService db redis://monitor@[::1]:6380/15 password=file:@DIR@/secret role=replica busy=fail',
        'FailoverService db rediss://redis.example.com/0 cluster=on',
        'FailoverCelery mq redis://mq.example.com:6379/0 password=file:@DIR@/secret',
        'FailoverService ' . 'a' x 32 . ' tcp://h:1',
        in_block('FailoverEndpoint main tcp://h:1 weight=0.5'),
        in_block(
            'FailoverEndpoint main tcp://h:1', 'FailoverSetEnv A x', 'FailoverSetEnv B', 'FailoverSetEnv C "a b"',
            'FailoverSetEnv D %{failover:db.port}', 'FailoverUnsetEnv E F', 'FailoverAlias G_ H_', 'FailoverNote i x',
            'FailoverMonitoringPingFrequency 5s', 'FailoverOutagePingFrequency 5s', 'FailoverErrorPingFrequency 5s',
            'FailoverOutageLoggingFrequency 1h', 'FailoverPingTimeout 1s', 'FailoverThresholds fall=2 rise=2',
            'FailoverMode observe', 'FailoverSpread 10', 'FailoverCritical off',
        ),
        ( map {"<$_>\nFailoverHealth On\n</@{[ /^(\w+)/ ]}>"} 'Directory /srv', 'DirectoryMatch ^/srv', 'Location /x', 'LocationMatch ^/x', 'Files x', 'FilesMatch x$', 'If "true"', 'VirtualHost *:81' ),
        "FailoverService db tcp://h:1\n<VirtualHost *:81>\nFailoverSpread 1\nFailoverMonitor Off\nFailoverService db tcp://h:2\nFailoverService web tcp://h:3\n</VirtualHost>\n"
            . q{Header set X "expr=%{failover:web}"},
        "failoverservice db tcp://h:1\n<failoverservice b>\nfailoverendpoint main tcp://h:1\n</failoverservice>",
    );
};

subtest 'warnings' => sub {
    warned( "\nFailoverService db tcp://h:3306 X=1",     2, 'db: ', '3306', 'mysql://' );
    warned( 'FailoverService db tcp://h:5432 X=1',       1, 'db: ', '5432', 'postgresql://' );
    warned( in_block('FailoverEndpoint main tcp://h:3306'), 2, 'db: ', '3306' );
    warned( "<VirtualHost *:81>\nFailoverService db tcp://h:3306\n</VirtualHost>", 2, '3306' );

    my $late = 'a ping may take';
    warned( "FailoverMonitoringPingFrequency 2s\nFailoverService db tcp://h:1", 2, "db: $late 3s, longer than FailoverMonitoringPingFrequency 2s" );
    warned( "FailoverOutagePingFrequency 500ms\nFailoverService db tcp://h:1",  2, "db: $late 1s, longer than FailoverOutagePingFrequency 500ms" );
    warned( 'FailoverService db tcp://h:1 timeout=40s',                         1, "db: $late 40s, longer than FailoverOutagePingFrequency 30s" );
    warned( in_block( 'FailoverEndpoint main tcp://h:1', 'FailoverPingTimeout 5s', 'FailoverMonitoringPingFrequency 4s' ), 2, "db: $late 5s, longer than" );
    warned( "<VirtualHost *:81>\nServerName shop\nFailoverMonitoringPingFrequency 2s\nFailoverService db tcp://h:1\n</VirtualHost>", 4, "db\@shop:81: $late 3s" );
    good("FailoverMonitoringPingFrequency 2s\nFailoverPingTimeout 2s\nFailoverService db tcp://h:1");
};

# What a probe's warning says at -t, the start logs.
subtest 'warnings at the start' => sub {
    my $other = Failover::Httpd->new( config => "FailoverService db tcp://127.0.0.1:3306\n" )->start;
    like $other->take_log(qr/FO\d{4}: /), qr/:warn\].* FO\d{4}: \S+httpd[.]conf:\d+: db: .*3306/, 'once, in the error log';
    $other->expect_output(qr/FO0009: .*3306/) if slurp( $other->dir . '/logs/startup' ) =~ /FO0009/;
    $other->done;
};

# A .htaccess file is judged when it is read.
subtest '.htaccess' => sub {
    my $other = Failover::Httpd->new( modules => [qw(headers)], config => "FailoverService db tcp://127.0.0.1:1\nFailoverMonitor Off\n" )->start;
    my %case  = (
        'FailoverService x tcp://h:1'                                  => [ 500, qr/FailoverService not allowed here/ ],
        'FailoverMonitor Off'                                          => [ 500, qr/FailoverMonitor not allowed here/ ],
        "<If \"failover('nope') == 'up'\">\nHeader set X y\n</If>"     => [ 500, qr/there is no service 'nope'/ ],
        "<If \"failover('db') == 'up'\">\nHeader set X y\n</If>"       => [ 200, undef ],
    );
    $other->file( 'htdocs/page.txt', 'page' );
    for my $text ( sort keys %case ) {
        my ( $status, $words ) = $case{$text}->@*;
        $other->file( 'htdocs/.htaccess', "$text\n" );
        is $other->get('/page.txt')->status, $status, $text;
        like $other->take_log(qr/[.]htaccess/), $words, 'its words' if $words;
    }
    $other->done;
};

subtest 'the samples' => sub {
    for my $name (qw(failover.conf failover-reference.conf)) {
        ok -e "$ROOT/conf/$name", "conf/$name is there" or next;
        my ( $code, $output ) = check( slurp("$ROOT/conf/$name") );
        is $code, 0, "conf/$name passes" or diag $output;
        unlike $output, qr/FO\d{4}|:warn\]/, 'without a warning';
    }
};

subtest 'DUMP_FAILOVER' => sub {
    $httpd->file( 'secret', "hunter2\n", 0400 );
    my $output = dump_of(<<~"CONF");
        FailoverMonitoringPingFrequency 60s
        FailoverService plain tcp://app.example.com:5000 APP_HOST=spare DB_PASSWORD=hunter3 API_TOKEN=hunter3 AWS_SECRET=hunter3
        FailoverService blogdb mysql://monitor\@db1.example.com/blog password=file:@{[ $httpd->dir ]}/secret
        <FailoverService cache>
            FailoverEndpoint east memcached://c1.example.com,c2.example.com:11212 timeout=500ms busy=fail
            FailoverSetEnv   CACHE_URL %{failover:cache.host}
            FailoverSetEnv   SSL_KEY hunter3
            FailoverUnsetEnv OLD
            FailoverAlias    DB_A_ DB_B_
            FailoverNote     why down
            FailoverNote     db-password hunter3
            FailoverThresholds fall=3 rise=2 confirm=1s cap=10s
            FailoverMode     observe
            FailoverSpread   0
            FailoverCritical On
        </FailoverService>
        <FailoverService redis>
            FailoverCritical On
            FailoverEndpoint east tcp://east.example.com:6379 weight=0.5
            <FailoverEndpoint west tcp://west.example.com:6379 timeout=1s>
                FailoverCheck tcp://west.example.com:26379 timeout=2s
            </FailoverEndpoint>
            <FailoverEndpoint north tcp://north.example.com:6379 weight=0.1>
                FailoverSetEnv REDIS_MODE readonly
            </FailoverEndpoint>
            FailoverProbes   3 delay=250ms policy=all
            FailoverGracePeriod 90s
            FailoverFailback manual
            FailoverAttempts 7 delay=3s
            FailoverBreaker  failures=20 rate=0.1234 consecutive=5 count=5xx trip=open
        </FailoverService>
        <VirtualHost 127.0.0.1:81>
            ServerName shop.example.com
            FailoverService blogdb tcp://h:1
        </VirtualHost>
        CONF
    my $text = $output =~ s/\s+/ /gr;
    like $text, qr/\Q$_\E/, "shows $_" for (
        'plain', 'tcp://app.example.com:5000', 'APP_HOST=spare', 'mysql://monitor@db1.example.com/blog',
        'east memcached://c1.example.com,c2.example.com:11212', 'timeout 500ms', 'busy=fail', 'CACHE_URL=%{failover:cache.host}',
        'unsets OLD', 'DB_A_* as DB_B_*', 'why=down', 'up 60s', 'fall=3 rise=2 confirm=1s cap=10s', 'observe', 'spread 0%',
        'blogdb@shop.example.com:81', 'pings per second', 'DB_PASSWORD=***', 'API_TOKEN=***', 'AWS_SECRET=***', 'SSL_KEY=***',
        'each ping 3 probes, 250ms apart, all must pass: 6500ms, down 6500ms', 'checks tcp://west.example.com:26379 timeout 2s, down 2s',
        'west is the primary, grace 90s, failback manual', 'sets REDIS_MODE=readonly', 'unavailable after 7 x 3s',
        'breaker window=2s failures=20 rate=0.1234 consecutive=5 reset=60s count=5xx trip=open',
        'not ready while it is down, but not while it observes', 'not ready while it is down blogdb@shop',
    );
    is scalar( () = $output =~ /^ +breaker /mg ), 1, 'no breaker where there is none';
    unlike $output, qr/hunter/, 'no secret';
    like $output, qr/Syntax OK\n\z/, 'and checks the syntax';
    like dump_of(''), qr/none/, 'no service';
};

# Frequencies without spread, so that the figures are exact; 4 children unless one pings for all.
subtest 'the pings per second to expect' => sub {
    my $many = Failover::Httpd->new( children => 4, mpm => 'prefork', config => "Include \@DIR\@/case.conf\n" );
    for my $case (
        [ '',                       'at most 0.4 pings per second from 4 children while up, 2 while down' ],
        [ 'FailoverTimer On',       '0.4 pings per second from 4 children while up, 2 while down' ],
        [ 'FailoverScope server',   '0.1 pings per second from 1 child for all while up, 0.5 while down' ],
    ) {
        my ( $way, $words ) = @$case;
        $many->file( 'case.conf', <<~"CONF" );
            $way
            FailoverSpread 0
            <FailoverService slow>
                FailoverEndpoint main tcp://same.example.com:5000
                FailoverMonitoringPingFrequency 20s
                FailoverOutagePingFrequency 2s
            </FailoverService>
            <FailoverService fast>
                FailoverEndpoint main tcp://same.example.com:5000
                FailoverMonitoringPingFrequency 10s
                FailoverOutagePingFrequency 10s
            </FailoverService>
            FailoverService other tcp://other.example.com:5000
            CONF
        my ( undef, $dump ) = $many->configtest( '-D', 'DUMP_FAILOVER' );
        my %of = map { /^(\w+)\n(.*)/s ? ( $1 => $2 ) : () } split /\n(?=\w)/, $dump;
        my $name = $way || 'by requests';
        like $of{$_}, qr/expect \Q$words\E\n/, "$name: equal checks are pinged once, as the faster wants it: $_" for qw(slow fast);
        like $of{slow}, qr/the same pings serve fast\n/, "$name: who shares them";
        unlike $of{other}, qr/the same pings/, "$name: alone";
    }
    like dump_of("FailoverSpread 100\nFailoverMonitoringPingFrequency 10s\nFailoverService a tcp://h:1"),
        qr/expect at most 0[.]0667 pings/, 'a span is stretched by half the spread on average';
};

undef $_ for $httpd, $without;
done_testing;

# A block called db around these lines; the first of them is line 2.
sub in_block (@lines) { return join "\n", '<FailoverService db>', @lines, '</FailoverService>' }

# One called other with an endpoint, behind another line: the given lines begin at line 4.
sub in_other (@lines) {
    return join "\n", '<FailoverService other>', 'FailoverEndpoint main tcp://h:1', @lines, '</FailoverService>';
}

# (exit code, output) of httpd -t.
sub check ( $text, $server = $httpd, @words ) {
    $httpd->file( 'secret', "hunter2\n", 0400 );
    $httpd->file( 'case.conf', ( $text =~ s/\@DIR\@/$httpd->dir/ger ) . "\n" );
    return $server->configtest(@words);
}

sub message ($text) { return ( check($text) )[1] }

sub dump_of ($text) { return ( check( $text, $httpd, '-D', 'DUMP_FAILOVER' ) )[1] }

sub bad ( $text, $line, @words ) { return _bad( $httpd, $text, $line, @words ) }

sub bad_without ( $text, $line, @words ) { return _bad( $without, $text, $line, @words ) }

# One test: it fails, at this line of this file, in these words.
sub _bad ( $server, $text, $line, @words ) {
    local $Test::Builder::Level = $Test::Builder::Level + 2;
    my ( $code, $output ) = check( $text, $server );
    my @missing = grep { $output !~ $_ } (
        qr/Syntax error on line $line of \Q$file\E:|\Q$file\E:$line:/,
        map { ref $_ ? $_ : qr/\Q$_\E/ } @words,
    );
    return ok( $code != 0 && !@missing, "an error: " . shown($text) )
        || diag join "\n", "exit code $code, not found:", @missing, "in:", $output;
}

sub good ($text) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ( $code, $output ) = check($text);
    return ok( $code == 0 && $output eq "Syntax OK\n", 'accepted: ' . shown($text) ) || diag $output;
}

# Accepted, with one warning that names the place.
sub warned ( $text, $line, @words ) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ( $code, $output ) = check($text);
    my @warning = grep { /:warn\]/ } split /\n/, $output;
    my @missing = grep { ( $warning[0] // '' ) !~ /\Q$_\E/ } " $file:$line: ", @words;
    return ok( $code == 0 && @warning == 1 && !@missing, 'a warning: ' . shown($text) )
        || diag join "\n", "exit code $code, not found:", @missing, "in:", $output;
}

sub never_shown ( $text, $secret ) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $all = join '', map { ( check( $text, $httpd, @$_ ) )[1] } [], [ '-D', 'DUMP_FAILOVER' ];
    return unlike( $all, qr/\Q$secret\E/, 'not shown: ' . shown($text) );
}

sub shown ($text) { return substr( $text =~ s/\n/ | /gr, 0, 100 ) }
