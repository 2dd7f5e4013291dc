# Errors that real applications meet, at the default monitoring frequency of 120 s: each makes the
# next request use the fallback, and the other children follow by hints.
use v5.36;
use Test::More;
use Failover::Crowd;
use Failover::ErrorLog;
use Failover::Httpd;
use Failover::Peer;
use Failover::Port qw(free_port);
use Failover::Process;
use Failover::Seen;
use Failover::Server::MariaDB;
use Failover::Server::PhpFpm;
use Failover::States qw(under_each_mpm);
use Failover::Wait;
use IO::Socket::INET;

my $CHILDREN = 4;
my $ERROR    = 0.5;    # FailoverErrorPingFrequency, in seconds
my $CLIENT   = Failover::Process::find_program( 'mariadb', 'mysql' );
my $db       = Failover::Server::MariaDB->new->start;
my $spare    = Failover::Server::MariaDB->new->start;
for my $server ( $db, $spare ) {
    $server->create_user( $_, '' ) for qw(monitor app);
    $server->allow_log(qr/Aborted connection/);    # of pages and pings that a stopped server wakes up to
}

# What the tests of this file configure alike. Pings of the service are not triggered by time.
sub services () {
    return <<~"CONF" . tells_child('db') . shows_states('db');
        SetEnv DB_PORT @{[ $db->port ]}
        FailoverService db mysql://monitor\@@{[ $db->address ]} DB_PORT=@{[ $spare->port ]}
        FailoverErrorPingFrequency ${ERROR}s
        FailoverPingTimeout 1s
        FailoverSpread 0
        CONF
}

# FailoverErrorPingFrequency takes no fractions.
sub configured ($config) { return $config =~ s/${ERROR}s/500ms/r }

# Each child has pinged, and the last ping is older than the error frequency.
sub all_have_pinged ( $httpd, $path ) {
    my %seen;
    wait_for(
        sub {
            $seen{ $_->{child} }++ for crowd( $httpd, 2 * $CHILDREN, $path );
            return keys %seen == $CHILDREN;
        },
        'a request to each child'
    );
    my $pinged = now();
    wait_for( sub { now() > $pinged + $ERROR }, 'the error frequency to pass' );
    return;
}

# The page fails once; the next request has the fallback; then so have all children.
sub goes_over ( $httpd, $page, $error ) {
    like $httpd->body($page), qr/^from @{[ $db->port ]}$/m, 'at first it is the database';
    all_have_pinged( $httpd, '/' );
    $db->crash;
    $httpd->body($page);
    my $began = now();
    $httpd->take_log($error);    # in one word or another: a connect may meet the server as it dies
    $httpd->take_log(qr/FO0001: db outage/);
    wait_for( sub { $httpd->body($page) =~ /^from @{[ $spare->port ]}$/m }, 'the spare', 1 );
    ok now() - $began < 1, 'within a second';
    my %down;
    wait_for(
        sub {
            $_->{states} eq 'down' and $down{ $_->{child} }++ for crowd( $httpd, 2 * $CHILDREN );
            return keys %down == $CHILDREN;
        },
        'all children to follow', 2 * $ERROR + 1
    );
    $httpd->expect_log( qr/FO0001: db outage/, $CHILDREN - 1 );
    $httpd->allow_log($error);
    comes_back($httpd);
    return;
}

# Found by the one that looks first, at the outage frequency; the others follow by hints.
sub comes_back ($httpd) {
    $db->start;
    $httpd->expect_log( qr/FO0003: db is back up/, $CHILDREN );
    my $found = 0;
    my %up;
    wait_for(
        sub {
            for my $seen ( crowd( $httpd, 2 * $CHILDREN ) ) {
                $found ||= now() if $seen->{states} eq 'up';
                $up{ $seen->{child} }++ if $seen->{states} eq 'up';
            }
            return keys %up == $CHILDREN;
        },
        'the recovery'
    );
    ok now() - $found < $ERROR + 0.5, 'the recovery too: all within an error frequency of the first';
    return;
}

for my $mpm (qw(event worker)) {
    subtest "PHP under php-fpm, $mpm" => sub {
        my $php   = Failover::Server::PhpFpm->new->start;
        $php->allow_log(qr/said into stderr/);    # the page's own error
        my $httpd = Failover::Httpd->new(
            mpm => $mpm, children => $CHILDREN, modules => [qw(env proxy proxy_fcgi)],
            config => configured( services() ) . <<~"CONF" );
                FailoverOutagePingFrequency 1s
                <FilesMatch "[.]php\$">
                    SetHandler "proxy:fcgi://@{[ $php->address ]}"
                </FilesMatch>
                CONF
        $httpd->file( 'htdocs/page.php', <<~'PHP' );
            <?php
            mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
            $db = new mysqli('127.0.0.1', 'app', '', '', (int) $_SERVER['DB_PORT']);
            echo 'from ', $db->query('SELECT @@port')->fetch_row()[0], "\n";
            PHP
        $httpd->start;
        goes_over( $httpd, '/page.php', qr/AH01071: Got error .*Uncaught mysqli_sql_exception/ );
        $httpd->done;
        $php->done;
    };
}

subtest 'a CGI under mod_cgi, prefork' => sub {
    my $httpd = Failover::Httpd->new(
        mpm => 'prefork', children => $CHILDREN, modules => [qw(cgi env)],
        config => configured( services() ) . "FailoverOutagePingFrequency 1s\n" );
    $httpd->file( 'cgi-bin/page', page_of_client() );
    $httpd->start;
    goes_over( $httpd, '/cgi-bin/page', qr/AH01215: / );    # in one or several entries, as the client writes it
    $httpd->done;
};

# mod_cgid's daemon writes what a CGI says on its standard error straight into the file of the log.
for my $mpm (qw(event worker)) {
    subtest "a CGI under mod_cgid, $mpm" => sub {
        my $peer  = Failover::Peer->new;
        my $httpd = Failover::Httpd->new( mpm => $mpm, modules => [qw(cgi env)], config => <<~"CONF" . shows_states('db') );
            SetEnv DB_PORT 1
            FailoverService db tcp://@{[ $peer->address ]}
            FailoverErrorPingFrequency 10ms
            FailoverSpread 0
            CONF
        $httpd->file( 'cgi-bin/page', page_of_client() );
        $httpd->start;
        is states($httpd), 'up', 'pinged once';
        is $peer->connections, 1, 'by the first request';
        $httpd->body('/cgi-bin/page') for 1 .. 5;
        $httpd->take_log(qr/^ERROR 2002.*: Can't connect to .*server on/) for 1 .. 5;
        is states($httpd), 'up', 'some requests later';
        is $peer->connections, 1, 'the words are in the log, raw, and no ping was triggered';
        $httpd->done;
    };
}

# The way around that: the same program as FastCGI, its standard error relayed by mod_proxy_fcgi.
for my $mpm (qw(event worker)) {
    subtest "a CGI under fcgiwrap, $mpm" => sub {
        my $port  = free_port();
        my $httpd = Failover::Httpd->new(
            mpm => $mpm, children => $CHILDREN, modules => [qw(env alias proxy proxy_fcgi)],
            config => configured( services() ) . <<~"CONF" );
                FailoverOutagePingFrequency 1s
                Alias /cgi-bin/ "\@DIR\@/cgi-bin/"
                <Directory "\@DIR\@/cgi-bin">
                    Require all granted
                    SetHandler "proxy:fcgi://127.0.0.1:$port"
                    ProxyFCGIBackendType GENERIC
                </Directory>
                CONF
        $httpd->file( 'cgi-bin/page', page_of_client() );
        my $wrap = Failover::Process->start(
            command => [ Failover::Process::find_program('fcgiwrap'), '-f', '-c', 2, '-s', "tcp:127.0.0.1:$port" ],
            output  => $httpd->dir . '/logs/fcgiwrap', user => 'nobody' );
        wait_for( sub { IO::Socket::INET->new("127.0.0.1:$port") }, 'fcgiwrap to start' );
        $httpd->start;
        goes_over( $httpd, '/cgi-bin/page', qr/AH01071: Got error / );
        $httpd->done;
        $wrap->kill_now;
    };
}

# The real client of the database, from within a CGI.
sub page_of_client () {
    return <<~"CGI";
        #!/bin/sh
        printf 'Content-Type: text/plain\\n\\nfrom '
        exec $CLIENT --no-defaults --host=127.0.0.1 --port="\$DB_PORT" --user=app --batch --skip-column-names -e 'SELECT \@\@port'
        CGI
}

# The backend of a proxy dies; the rewrite rule takes its address from the environment.
under_each_mpm 'mod_proxy_http with a dead backend', sub ($mpm) {
    my @backend = map { Failover::Peer->new( mode => 'reply', bytes => page("backend $_") ) } 0, 1;
    my $httpd   = Failover::Httpd->new(
        mpm => $mpm, children => $CHILDREN, modules => [qw(setenvif rewrite proxy proxy_http)],
        config => configured(<<~"CONF") . tells_child('app') . shows_states('app') );
            SetEnvIf Request_Method . APP=@{[ $backend[0]->address ]}
            FailoverService app tcp://@{[ $backend[0]->address ]} APP=@{[ $backend[1]->address ]}
            FailoverErrorPingFrequency ${ERROR}s
            FailoverSpread 0
            RewriteEngine On
            RewriteRule ^/app http://%{ENV:APP}/ [P]
            CONF
    $httpd->start;
    is $httpd->body('/app'), 'backend 0', 'at first the backend';
    all_have_pinged( $httpd, '/app' );
    $backend[0]->mode('refuse');
    is $httpd->get('/app')->status, 503, 'one request finds it dead';
    my $error  = $httpd->take_log(qr/[(]111[)]Connection refused: AH00957/);
    my $outage = $httpd->take_log(qr/:crit\].*FO0001: app outage/);
    my $took   = seconds_between( $error, $outage );
    ok $took <= 0.05, sprintf 'from the error line to the verdict: %.1f ms', 1000 * $took;
    wait_for( sub { $httpd->body('/app') eq 'backend 1' }, 'the fallback', 1 );
    my %down;
    wait_for(
        sub {
            $_->{states} eq 'down' and $down{ $_->{child} }++ for crowd( $httpd, 2 * $CHILDREN, '/app' );
            return keys %down == $CHILDREN;
        },
        'all children to follow', 2 * $ERROR + 1
    );
    $httpd->expect_log( qr/FO0001: app outage/, $CHILDREN - 1 );
    $httpd->allow_log(qr/AH00957|AH01114/);
    $httpd->done;
};

sub page ($body) { return "HTTP/1.0 200 OK\r\nContent-Length: @{[ length $body ]}\r\n\r\n$body" }

# A server that accepts and says nothing: the verdict takes the ping's time, and not much more.
under_each_mpm 'a hung service', sub ($mpm) {
    my $dead  = Failover::Peer->new( mode => 'refuse' );
    my $httpd = Failover::Httpd->new( mpm => $mpm, modules => [qw(proxy proxy_http)], config => configured(<<~"CONF") . shows_states('db') );
        FailoverService db mysql://monitor\@@{[ $db->address ]} timeout=300ms
        FailoverErrorPingFrequency ${ERROR}s
        FailoverSpread 0
        ProxyPass /dead http://@{[ $dead->address ]}/
        CONF
    $httpd->start;
    wait_for_states( $httpd, 'up' );
    my $pinged = now();
    wait_for( sub { now() > $pinged + $ERROR }, 'the error frequency to pass' );
    $db->pause;
    $httpd->get('/dead');
    my $error  = $httpd->take_log(qr/AH00957/);
    my $outage = $httpd->take_log(qr/FO0001: db outage.* login: timed out after 300ms/);
    my $took   = seconds_between( $error, $outage );
    between( $took, 0.3, 0.35, sprintf 'from the error line to the verdict: %.1f ms of 300', 1000 * $took );
    $db->resume;
    $httpd->allow_log(qr/AH00957|AH01114/);
    $httpd->done;
};

$_->done for $db, $spare;
done_testing;
