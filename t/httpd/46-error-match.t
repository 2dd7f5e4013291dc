# FailoverErrorMatch: which entries trigger a ping of which service.
use v5.36;
use Test::More;
use Failover::Httpd;
use Failover::Peer;
use Failover::Sayer;
use Failover::Seen;
use Failover::States qw(under_each_mpm);
use Failover::Wait;

# Pings by time alone come after two minutes; an error may trigger one every 10 ms.
my $RARE = <<~'CONF';
    FailoverErrorPingFrequency 10ms
    FailoverSpread 0
    CONF

# One httpd with a service for each peer: what is pinged shows there. Its last service listens to
# nothing but "TICK": once that is pinged, what was said before has had its effect.
sub start ( $mpm, $config, @peers ) {
    my $clock = Failover::Peer->new;
    my $httpd = Failover::Httpd->new(
        mpm => $mpm, modules => [ sayer_modules(), qw(proxy proxy_http dir) ],
        config => $RARE . sayer_config() . $config . <<~"CONF" . shows_states('clock') );
            <FailoverService clock>
                FailoverEndpoint main tcp://@{[ $clock->address ]}
                FailoverErrorMatch only "TICK"
            </FailoverService>
            CONF
    may_say($httpd)->start;
    wait_for_states( $httpd, 'up' );
    $httpd->get( '/', host => "$_.example.com" ) for 'b', 'c';
    wait_for( sub { $_->connections }, 'the first ping' ) for @peers;
    return bless { httpd => $httpd, clock => $clock, peers => \@peers }, 'Listening';
}

# Says the text and returns who was pinged: "a", "ab" or "".
sub Listening::hears ( $self, $text, %arg ) {
    return $self->after( sub { say_error( $self->{httpd}, $text, %arg ) } );
}

sub Listening::after ( $self, $act ) {
    my @before = map { $_->connections } $self->{peers}->@*;
    $act->();
    for ( 1, 2 ) {
        my $ticks = $self->{clock}->connections;
        say_error( $self->{httpd}, 'TICK' );
        wait_for( sub { $self->{clock}->connections > $ticks }, 'the clock to be pinged' );
    }
    my $names = 'a';
    return join '', map { my $name = $names++; $self->{peers}[$_]->connections > $before[$_] ? $name : () } 0 .. $#before;
}

sub Listening::done ($self) { return $self->{httpd}->done }

under_each_mpm 'the built-in patterns', sub ($mpm) {
    my ( $a, $b, $dead ) = ( Failover::Peer->new, Failover::Peer->new, Failover::Peer->new( mode => 'refuse' ) );
    my $listening = start( $mpm, <<~"CONF", $a, $b );
        FailoverService a tcp://@{[ $a->address ]}
        FailoverService b tcp://localhost:@{[ $b->port ]}
        ProxyPass /dead http://@{[ $dead->address ]}/
        CONF
    my ( $port_a, $port_b ) = ( $a->port, $b->port );
    for my $row (
        [ 'ab', 'PHP Warning: mysqli_connect(): (HY000/2002): Connection refused in /srv/page.php' ],
        [ 'ab', "PHP Warning: Can't connect to local MySQL server through socket" ],
        [ 'ab', 'SQLSTATE[HY000]: General error: 2006 MySQL server has gone away' ],
        [ 'ab', 'redis.exceptions.ConnectionError: Error 111 connecting to cache:6379. Connection refused.' ],
        [ 'ab', 'curl: (7) Failed to connect to api.example.com port 80' ],
        [ '',   'PHP Warning: Undefined array key "user" in /srv/page.php' ],
        [ '',   'connection refused, in other letters' ],
        [ '',   "Connection\nrefused" ],
        [ 'a',  "Can't connect to MySQL server on '127.0.0.1:$port_a' (111)" ],
        [ 'b',  "Can't connect to MySQL server on 'LocalHost:$port_b' (111)" ],
        [ 'b',  "Can't connect to MySQL server on '127.0.0.1:$port_b' (111)", 'its address' ],
        [ 'b',  qq{connection to server at "localhost" (127.0.0.1), port $port_b failed: Connection refused}, 'as libpq says it' ],
        [ 'ab', 'Connection refused: db.example.com:3306', 'of a host that is none of ours' ],
        [ 'ab', "Connection refused: 127.0.0.1:1$port_a", 'nor that port' ],
    ) {
        my ( $expected, $text, $what ) = @$row;
        is $listening->hears($text), $expected, $what // $text;
    }
    is $listening->after( sub { $listening->{httpd}->get('/dead') } ), 'ab', "mod_proxy's errno";
    is $listening->after( sub { $listening->{httpd}->get('/nowhere') } ), '', 'a page that is not there';
    $listening->{httpd}->allow_log(qr/AH00957|AH01114/);
    $listening->done;
};

under_each_mpm 'lines at each level', sub ($mpm) {
    my ( $a, $b, $c, $d, $dead ) = ( ( map { Failover::Peer->new } 1 .. 4 ), Failover::Peer->new( mode => 'refuse' ) );
    my $listening = start( $mpm, <<~"CONF", $a, $b, $c, $d );
        FailoverErrorMatch "ORA-12541" /listener.*gone/i
        FailoverErrorMatch from=authz_core "client denied"
        FailoverService a tcp://@{[ $a->address ]}
        <FailoverService b>
            FailoverEndpoint main tcp://@{[ $b->address ]}
            FailoverErrorMatch only "b is gone" EHOSTUNREACH
        </FailoverService>
        <FailoverService c>
            FailoverEndpoint main tcp://@{[ $c->address ]}
            FailoverErrorMatch add "c is gone"
        </FailoverService>
        <FailoverService d>
            FailoverEndpoint main tcp://@{[ $d->address ]}
            FailoverErrorMatch none
        </FailoverService>
        ProxyPass /dead http://@{[ $dead->address ]}/
        DirectoryIndex "the secret.html"
        <Files "the secret.html">
            Require all denied
        </Files>
        CONF
    my %expected = (
        'ORA-12541: no listener' => 'ac',
        'THE LISTENER IS GONE'   => 'ac',
        'Connection refused'     => 'ac',
        'b is gone'              => 'b',
        'c is gone'              => 'c',
        'all is well'            => '',
    );
    is $listening->hears($_), $expected{$_}, "$_: '$expected{$_}'" for sort keys %expected;
    is $listening->after( sub { $listening->{httpd}->get('/dead') } ), 'ac', 'ECONNREFUSED is none of the patterns of b';
    is $listening->after( sub { $listening->{httpd}->get('/') } ), 'ac', 'from= adds a module';
    $listening->{httpd}->allow_log(qr/AH00957|AH01114|AH01630/);
    $listening->done;
};

# Its own services for each virtual host, and the server's for all.
under_each_mpm 'virtual hosts', sub ($mpm) {
    my ( $a, $b, $c ) = map { Failover::Peer->new } 1 .. 3;
    my $listening = start( $mpm, <<~"CONF", $a, $b, $c );
        FailoverService a tcp://@{[ $a->address ]}
        <VirtualHost *:\@PORT\@>
            ServerName 127.0.0.1
        </VirtualHost>
        <VirtualHost *:\@PORT\@>
            ServerName b.example.com
            FailoverService b tcp://@{[ $b->address ]}
            FailoverErrorMatch "b has its own"
        </VirtualHost>
        <VirtualHost *:\@PORT\@>
            ServerName c.example.com
            FailoverService c tcp://@{[ $c->address ]}
            FailoverErrorMatch only "c alone"
        </VirtualHost>
        CONF
    my $httpd = $listening->{httpd};
    is $listening->hears('Connection refused'), 'a', 'of the server';
    is $listening->hears( 'Connection refused', host => 'b.example.com' ), 'ab', 'of a host';
    is $listening->hears( 'Connection refused', host => 'c.example.com' ), 'a',  'of a host that listens to something else';
    is $listening->hears( 'c alone',            host => 'c.example.com' ), 'c',  'its own words';
    is $listening->hears( 'b has its own',      host => 'b.example.com' ), 'b',  'of another';
    is $listening->hears( 'c alone',            host => 'b.example.com' ), '',   'of a host that it does not hold for';
    is $listening->hears( "Connection refused: @{[ $b->address ]}", host => 'c.example.com' ), '', "another host's endpoint";
    $listening->done;
};

# An error that comes too soon is remembered: the ping follows by itself, without any request.
under_each_mpm 'an error right after a ping', sub ($mpm) {
    my $peer  = Failover::Peer->new;
    my $httpd = Failover::Httpd->new( mpm => $mpm, modules => [ sayer_modules() ], config => sayer_config() . <<~"CONF" . shows_states('db') );
        FailoverErrorPingFrequency 1s
        FailoverSpread 0
        FailoverService db tcp://@{[ $peer->address ]} DB=spare
        CONF
    may_say($httpd)->start;
    my $asked = now();
    wait_for_states( $httpd, 'up' );
    is $peer->connections, 1, 'pinged once';
    say_error( $httpd, 'Connection refused' ) for 1 .. 10;
    $peer->mode('refuse');
    $httpd->take_log(qr/FO0001: db outage/);
    between( now() - $asked, 1, 1.3, 'and again an error frequency later, by itself' );
    is $peer->connections, 1, 'not sooner';
    is states($httpd), 'down', 'so that the next request knows';
    $httpd->done;
};

# Who writes too much costs a ping for each error frequency, no more.
under_each_mpm 'a hundred errors a second of a healthy service', sub ($mpm) {
    my $peer  = Failover::Peer->new;
    my $httpd = Failover::Httpd->new( mpm => $mpm, children => 2, modules => [ sayer_modules() ], config => sayer_config() . <<~"CONF" . shows_states('db') );
        FailoverErrorPingFrequency 1s
        FailoverSpread 0
        FailoverService db tcp://@{[ $peer->address ]} DB=spare
        CONF
    may_say($httpd)->start;
    my $began = now();
    my $n     = 0;
    wait_for(
        sub {
            say_error( $httpd, 'Lost connection to the database' );
            return now() > $began + ++$n / 100 && $n >= 250;
        },
        '250 errors', 20
    );
    my $spent = now() - $began;
    my $most  = 2 * ( 1 + int $spent );
    my $pings = $peer->connections;
    ok $pings <= $most, sprintf '%d pings in %.1f s, %d errors and two children', $pings, $spent, $n;
    ok $pings >= 2 * int($spent), 'and no fewer than that allows' or diag $pings;
    is states($httpd), 'up', 'it is up all the time';
    $httpd->done;
};

# Errors that no ping can follow are told of at the start.
subtest 'LogLevel' => sub {
    my $httpd = Failover::Httpd->new( modules => [qw(proxy proxy_http lua)], log_level => 'crit', config => <<~'CONF' );
        FailoverService db tcp://127.0.0.1:1
        <Location "/quiet">
            LogLevel emerg
        </Location>
        <Location "/fine">
            LogLevel crit proxy:warn mod_proxy_http.c:error lua_module:info
        </Location>
        <VirtualHost *:@PORT@>
            LogLevel warn
            <Directory "/srv">
                LogLevel proxy:alert
            </Directory>
        </VirtualHost>
        CONF
    my ( $code, $output ) = $httpd->configtest;
    is $code, 0, 'it is no error';
    my ($main) = line_of( $httpd, 'LogLevel crit' );
    my ( $quiet, $dir ) = ( ( line_of( $httpd, 'LogLevel emerg' ) )[0], ( line_of( $httpd, 'LogLevel proxy:alert' ) )[0] );
    my %said = $output =~ /FO0009: \S+:(\d+): LogLevel hides the errors of ([^;]*?), so they trigger no ping/g;
    is_deeply {%said}, { $main => 'proxy, proxy_http, lua', $quiet => 'proxy, proxy_http, lua', $dir => 'proxy' },
        'the server, a location and a directory, each with its place' or diag $output;
};

# Only where somebody listens.
subtest 'LogLevel of those that nobody listens to' => sub {
    for my $row (
        [ 'LogLevel crit',                  'FailoverErrorMatch none',                 undef ],
        [ 'LogLevel warn proxy:crit',       'FailoverErrorMatch none',                 undef ],
        [ 'LogLevel warn authz_core:crit',  '',                                        undef ],
        [ 'LogLevel warn authz_core:crit',  'FailoverErrorMatch from=authz_core "a b"', 'authz_core' ],
        [ 'LogLevel warn lua:crit rewrite:crit', '',                                   'lua' ],
    ) {
        my ( $level, $match, $expected ) = @$row;
        my $httpd = Failover::Httpd->new( modules => [qw(proxy lua rewrite)], config => "$level\n$match\nFailoverService db tcp://127.0.0.1:1\n" );
        my ( undef, $output ) = $httpd->configtest;
        my ($list) = $output =~ /LogLevel hides the errors of (.*?), so/;
        is $list, $expected, "$level, $match";
    }
};

done_testing;
