# FailoverMonitor where it is wanted: which requests trigger which pings, counted at the service.
use v5.36;
use Test::More;
use Failover::Httpd;
use Failover::Peer;
use Failover::Sayer;
use Failover::Seen;
use Failover::States qw(under_each_mpm);
use Failover::Wait;

# Every request finds a ping due, if it may trigger one.
my $OFTEN = <<~'CONF';
    FailoverMonitoringPingFrequency 50ms
    FailoverOutagePingFrequency     50ms
    FailoverErrorPingFrequency      50ms
    FailoverPingTimeout             50ms
    FailoverPingWait                1s
    FailoverSpread                  0
    CONF

# Requests of this path for a time in which it would be pinged several times; the number of pings.
sub pings_by ( $httpd, $peer, $path, %arg ) {
    my $began = now();
    wait_for( sub { now() > $began + 0.06 }, 'a ping to be due' );    # and the last one to have ended
    my $before = $peer->connections;
    $began = now();
    wait_for( sub { $httpd->get( $path, %arg ); now() > $began + 0.3 }, 'some requests' );
    return $peer->connections - $before;
}

sub triggers ( $httpd, $peer, $path, $what, %arg ) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $pings = pings_by( $httpd, $peer, $path, %arg );
    return cmp_ok $pings, '>=', 2, "$what: $pings pings";
}

sub is_quiet ( $httpd, $peer, $path, $what, %arg ) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is pings_by( $httpd, $peer, $path, %arg ), 0, "$what: no ping";
}

under_each_mpm 'sections', sub ($mpm) {
    my $peer  = Failover::Peer->new;
    my $httpd = Failover::Httpd->new( mpm => $mpm, modules => [qw(rewrite dir alias)], config => $OFTEN . <<~"CONF" . shows_states('db') );
        FailoverService db tcp://@{[ $peer->address ]} DB=spare
        <Directory "\@DIR\@/htdocs/static">
            FailoverMonitor Off
        </Directory>
        <Directory "\@DIR\@/htdocs/static/live">
            FailoverMonitor On
        </Directory>
        <Location "/status">
            FailoverMonitor Off
        </Location>
        <LocationMatch "^/api/v[0-9]/ping">
            FailoverMonitor Off
        </LocationMatch>
        <Files "*.css">
            FailoverMonitor Off
        </Files>
        <If "%{QUERY_STRING} == 'quiet'">
            FailoverMonitor Off
        </If>
        Alias "/mirror" "\@DIR\@/htdocs/static"
        RewriteEngine On
        RewriteRule "^/short\$" "/static/page.txt"
        <VirtualHost *:\@PORT\@>
            ServerName 127.0.0.1
        </VirtualHost>
        <VirtualHost *:\@PORT\@>
            ServerName off.example.com
            FailoverMonitor Off
            <Location "/on">
                FailoverMonitor On
            </Location>
        </VirtualHost>
        CONF
    $httpd->file( "htdocs/$_", 'page' ) for qw(page.txt page.css static/page.txt static/live/page.txt on/page.txt);
    $httpd->start;
    triggers( $httpd, $peer, '/page.txt', 'elsewhere' );
    is_quiet( $httpd, $peer, '/static/page.txt', 'a directory' );
    is_quiet( $httpd, $peer, '/mirror/page.txt', 'reached by an alias' );
    triggers( $httpd, $peer, '/static/live/page.txt', 'a directory in it' );
    is_quiet( $httpd, $peer, '/status',          'a location, though nothing is there' );
    is_quiet( $httpd, $peer, '/api/v1/ping/x',   'one by an expression' );
    is_quiet( $httpd, $peer, '/page.css',        'files' );
    is_quiet( $httpd, $peer, '/page.txt?quiet',  'an <If>' );
    is_quiet( $httpd, $peer, '/page.txt', 'a virtual host', host => 'off.example.com' );
    triggers( $httpd, $peer, '/on/page.txt', 'a location in it', host => 'off.example.com' );
    $httpd->done;
};

# The verdict of such a request serves the next one: nobody waits for it.
under_each_mpm 'judged when the directory is known', sub ($mpm) {
    my $peer  = Failover::Peer->new( mode => 'refuse' );
    my $httpd = Failover::Httpd->new( mpm => $mpm, config => <<~"CONF" . shows_states('db') );
        FailoverPingWait 1s
        FailoverSpread 0
        FailoverService db tcp://@{[ $peer->address ]} DB=spare
        <Location "/off">
            FailoverMonitor Off
        </Location>
        CONF
    $httpd->start;
    is states( $httpd, '/off' ), 'up', 'off: nothing is known';
    is states($httpd), 'up', 'the triggering request goes on with the last known state';
    wait_for_states( $httpd, 'down' );
    is states( $httpd, '/off' ), 'down', 'and what is known holds for all';
    $httpd->take_log(qr/FO0001/);
    $httpd->done;
};

# Who only wants to recover: errors alone find the outage, requests its end.
under_each_mpm 'Outages', sub ($mpm) {
    for my $row (
        [ 'for the server',    'FailoverMonitor Outages' ],
        [ 'for a location', qq{<Location "/">\n    FailoverMonitor Outages\n</Location>} ],
    ) {
        my ( $what, $line ) = @$row;
        my $peer  = Failover::Peer->new;
        my $httpd = Failover::Httpd->new(
            mpm => $mpm, modules => [ sayer_modules() ], config => $OFTEN . sayer_config() . <<~"CONF" . shows_states('db') );
                $line
                FailoverService db tcp://@{[ $peer->address ]} DB=spare
                CONF
        may_say($httpd)->start;
        is_quiet( $httpd, $peer, '/', "$what, while it is up" );
        say_error( $httpd, 'Connection refused' );
        wait_for( sub { $peer->connections == 1 }, 'the ping of an error' );
        $peer->mode('refuse');
        say_error( $httpd, 'Connection refused' );
        $httpd->take_log(qr/FO0001: db outage/);
        is states($httpd), 'down', "$what: an error finds it down";
        $peer->mode('mute');
        wait_for_states( $httpd, 'up' );
        pass("$what: requests find it up again");
        $httpd->take_log(qr/FO0003/);
        is_quiet( $httpd, $peer, '/', "$what, up again" );
        $httpd->done;
    }
};

# Nothing but errors, and siblings, where it is Off for all.
under_each_mpm 'Off for the server', sub ($mpm) {
    my $peer  = Failover::Peer->new;
    my $httpd = Failover::Httpd->new(
        mpm => $mpm, modules => [ sayer_modules() ], config => $OFTEN . sayer_config() . <<~"CONF" . shows_states('db') );
            FailoverMonitor Off
            FailoverService db tcp://@{[ $peer->address ]} DB=spare
            CONF
    may_say($httpd)->start;
    is_quiet( $httpd, $peer, '/', 'while it is up' );
    $peer->mode('refuse');
    say_error( $httpd, 'Connection refused' );
    $httpd->take_log(qr/FO0001: db outage/);
    is states($httpd), 'down', 'an error finds it down';
    $peer->mode('mute');
    is_quiet( $httpd, $peer, '/', 'while it is down' );
    is states($httpd), 'down', 'no request finds it up again';
    say_error( $httpd, 'Connection refused' );
    $httpd->take_log(qr/FO0003/);
    is states($httpd), 'up', 'another error does';
    $httpd->done;
};

subtest 'a .htaccess file may not say' => sub {
    my $httpd = Failover::Httpd->new( config => "FailoverService db tcp://127.0.0.1:\@PORT\@\n" );
    $httpd->file( 'htdocs/.htaccess', "FailoverMonitor Off\n" );
    $httpd->start;
    is $httpd->get('/')->status, 500, 'the request fails';
    $httpd->take_log(qr/FailoverMonitor not allowed here/);
    $httpd->done;
};

done_testing;
