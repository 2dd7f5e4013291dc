# Real Redis servers: what they log and count of pings, killed, stopped, full, loading, without a
# primary, unable to write, with accounts that are not what they should be; roles, a cluster, and
# Celery's broker.
use v5.36;
use Test::More;
use Failover::Certificates;
use Failover::Httpd;
use Failover::Peer;
use Failover::Seen;
use Failover::Server::Redis;
use Failover::States qw(under_each_mpm quick);
use Failover::Wait;
use IO::Socket::INET;
use JSON::PP qw(decode_json);
use Time::HiRes ();

my $SECRET = 'Geheim7';
my $OTHER  = 'Offen8';

# What servers say of each other.
my $REPLICATION = qr/Failed to read response from the server|did not respond to command during SYNC|Diskless rdb transfer|Master replication ID|Setting secondary replication ID|Connection with (?:master|replica)|Error condition on socket for SYNC|Connection lost/;

# The least that an account needs.
sub make_user ( $redis, $name, @grant ) {
    $redis->ask( 'ACL', 'SETUSER', $name, 'on', ">$SECRET", @grant );
    return;
}

# A connection that comes and goes, as information, and nothing else.
under_each_mpm 'what Redis logs and counts', sub ($mpm) {
    my $redis = Failover::Server::Redis->new( config => "requirepass $OTHER\n", password => $OTHER )->start;
    my $at    = $redis->address;
    make_user( $redis, 'monitor', '+ping', '+select', '+role' );
    my @name  = qw(pass user db role);
    my $httpd = start_httpd( $mpm, \@name, quick() =~ s/Frequency\s+\K200ms/20ms/gr, <<~"CONF" );
        FailoverService pass redis://$at @{[ password('other') ]}
        FailoverService user redis://monitor\@$at/0 @{[ password() ]}
        FailoverService db   redis://monitor\@$at/15 @{[ password() ]}
        FailoverService role redis://monitor\@$at @{[ password() ]} role=primary
        CONF
    wait_for_states( $httpd, 'up up up up' );
    $httpd->allow_log(qr/FO0009: .* a ping may take/);
    my $pings  = sub { $redis->ask( 'INFO', 'commandstats' ) =~ /cmdstat_ping:calls=(\d+)/ ? $1 : 0 };
    my $before = $pings->();
    wait_for( sub { $httpd->get('/'); $pings->() >= $before + 80 }, '20 pings of each' );
    is states($httpd), 'up up up up', 'up';
    $httpd->done;
    wait_for( sub { $redis->ask( 'CLIENT', 'LIST' ) !~ /\n.+\n/ }, 'the last one to be gone' );
    is $redis->counter($_), 0, "$_ has not moved" for qw(total_error_replies rejected_connections);
    is $redis->ask( 'ACL', 'LOG' ), '*0', 'nothing in the log of accesses denied';
    my @odd = grep { !/ - (?:Accepted|Client closed connection|DB \d+|\d+ clients connected)/ && / - / } split /\n/, $redis->log_text;
    is "@odd", '', 'connections that come and go';
    $redis->done;
};

# The URL's name is what it is called by, and never looked up.
under_each_mpm 'a socket file', sub ($mpm) {
    my $redis  = Failover::Server::Redis->new( config => "unixsocket redis.sock\nunixsocketperm 777\n" )->start;
    my $socket = $redis->dir . '/redis.sock';
    my $httpd  = start_httpd( $mpm, ['cache'], quick(), "FailoverService cache redis://redis.example.com/1 socket=$socket role=primary\n" );
    wait_for_states( $httpd, 'up' );
    my $before = $redis->counter('total_connections_received');
    wait_for( sub { $httpd->get('/'); $redis->counter('total_connections_received') > $before + 5 }, 'pings' );
    $redis->crash;
    wait_for_states( $httpd, 'down' );
    outage_is( $httpd, 'cache', 'redis.example.com:6379', 'connect: Connection refused' );
    $redis->start;
    wait_for_states( $httpd, 'up' );
    $httpd->take_log(qr/FO0003: cache/);
    $httpd->done;
    is $redis->counter('total_error_replies'), 0, 'and no error for Redis';
    $redis->done;
};

under_each_mpm 'killed and stopped', sub ($mpm) {
    my $redis = Failover::Server::Redis->new->start;
    my $at    = $redis->address;
    my $httpd = start_httpd( $mpm, ['cache'], quick(), <<~"CONF" );
        SetEnv REDIS_HOST redis1
        FailoverService cache redis://$at REDIS_HOST=spare
        CONF
    wait_for_states( $httpd, 'up' );
    $redis->pause;
    my $began = now();
    my $slow  = 0;
    wait_for( sub { my $asked = now(); my $state = states($httpd); $slow = now() - $asked if now() - $asked > $slow; $state eq 'down' }, 'the outage' );
    note sprintf 'the request took %.0f ms', 1000 * $slow;
    between( $slow, 0.19, 0.26, 'the request that found out waited for the time-out and no longer' );
    outage_is( $httpd, 'cache', $at, 'ask: timed out after 200ms', 'SIGSTOP' );
    is $httpd->body('/cgi-bin/value?REDIS_HOST'), 'spare', 'the variable is switched';
    $redis->resume;
    wait_for_states( $httpd, 'up' );
    recovery_is( $httpd, 'cache', $began );

    $redis->crash;
    $began = now();
    wait_for_states( $httpd, 'down' );
    outage_is( $httpd, 'cache', $at, 'connect: Connection refused', 'kill -9' );
    $redis->start;
    wait_for_states( $httpd, 'up' );
    recovery_is( $httpd, 'cache', $began );
    is $httpd->body('/cgi-bin/value?REDIS_HOST'), 'redis1', 'the variable is what it was';
    is $redis->counter('total_error_replies'), 0, 'no error';
    $httpd->done;
    $redis->done;
};

# What is wrong with the account is no outage; what the application meets as well is one.
under_each_mpm 'accounts', sub ($mpm) {
    my $redis = Failover::Server::Redis->new( config => "requirepass $OTHER\n", password => $OTHER )->start;
    my $open  = Failover::Server::Redis->new->start;
    my $at    = $redis->address;
    make_user( $redis, 'monitor', '+ping', '+select' );
    make_user( $redis, 'nothing' );
    make_user( $redis, 'noselect', '+ping' );
    my @case = (
        # name       URL                             password     FO0004's words, or FO0001's
        [ wrong    => "redis://$at",                   'secret',    'WRONGPASS invalid username-password pair' ],
        [ nobody   => "redis://nobody\@$at/2",         'secret',    'WRONGPASS invalid username-password pair' ],
        [ none     => "redis://$at",                   undef,       'NOAUTH Authentication required.' ],
        [ nothing  => "redis://nothing\@$at",          'secret',    'NOPERM to run ping: ACL SETUSER nothing +ping' ],
        [ noselect => "redis://noselect\@$at/1",       'secret',    'NOPERM to run select: ACL SETUSER noselect +select' ],
        [ needless => 'redis://' . $open->address,     'secret',    'ERR AUTH <password> called without any password configured' ],
        [ missing  => "redis://monitor\@$at/16",       'secret',    undef, 'ask: ERR DB index is out of range' ],
    );
    my $config = join '', map { "FailoverService $_->[0] $_->[1] " . ( $_->[2] ? password( $_->[2] ) : '' ) . "\n" } @case;
    my $httpd  = start_httpd( $mpm, [ map { $_->[0] } @case ], quick(), $config );
    wait_for_states( $httpd, 'up up up up up up down' );
    wait_for( sub { $httpd->get('/'); said( $httpd, 'FO0004' ) >= 6 }, 'all warnings' );
    for my $case (@case) {
        my ( $name, $url, undef, $warning, $words ) = @$case;
        my ($endpoint) = $url =~ /([\d.]+:\d+)/;
        if ($words) { outage_is( $httpd, $name, $endpoint, $words ) }
        else {
            like $httpd->take_log(qr/FO0004: $name: /), qr/login refused: the server is alive, .*endpoint \Q$endpoint\E: \Q$warning\E/, $name;
        }
    }
    unlike $httpd->error_log . ( $httpd->configtest( '-D', 'DUMP_FAILOVER' ) )[1], qr/$SECRET/, 'the password is nowhere';
    unlike $redis->log_text . $open->log_text, qr/$SECRET/, "nor in Redis's log";
    $httpd->done;
    $_->done for $redis, $open;
};

# Without a login nothing is known of the role: it neither falls nor recovers.
under_each_mpm 'a login refused where the role is asked for', sub ($mpm) {
    my $primary = Failover::Server::Redis->new->start;
    my $redis   = Failover::Server::Redis->new( config => "requirepass $OTHER\n", password => $OTHER )->start;
    make_user( $redis, 'monitor', '+ping', '+role' );
    $redis->ask( 'REPLICAOF', '127.0.0.1', $primary->port );
    wait_for( sub { $redis->ask('ROLE') =~ /connected/ }, 'the replication' );
    my $httpd = start_httpd( $mpm, ['role'], quick(), "FailoverService role redis://monitor\@@{[ $redis->address ]} @{[ password() ]} role=replica\n" );
    wait_for_states( $httpd, 'up' );
    my $stays = sub ($state) {
        my $refused = $redis->errors('WRONGPASS');
        wait_for( sub { is_state( $httpd, $state ); $redis->errors('WRONGPASS') > $refused + 3 }, 'pings' );
    };
    $redis->ask( 'ACL', 'SETUSER', 'monitor', 'resetpass', '>another' );
    $redis->ask( 'REPLICAOF', 'NO', 'ONE' );
    $stays->('up');
    $httpd->take_log(qr/FO0004: role: login refused: the server is alive, the ping's own credentials are wrong, so its state stays as it is: /);
    $redis->ask( 'ACL', 'SETUSER', 'monitor', ">$SECRET" );
    wait_for_states( $httpd, 'down' );
    outage_is( $httpd, 'role', $redis->address, 'answer: it is a primary, not a replica' );
    $redis->ask( 'ACL', 'SETUSER', 'monitor', "<$SECRET" );
    $stays->('down');
    $httpd->done;
    $_->allow_log($REPLICATION) for $primary, $redis;
    $_->done for $primary, $redis;
};

# It answers, and says that it is not fit.
under_each_mpm 'loading, a busy script, no snapshots', sub ($mpm) {
    my $redis = Failover::Server::Redis->new( config => <<~'CONF' )->start;
        enable-debug-command local
        busy-reply-threshold 50
        loading-process-events-interval-bytes 1024
        CONF
    my $at    = $redis->address;
    my $httpd = start_httpd( $mpm, ['cache'], quick(), "FailoverService cache redis://$at\n" );
    wait_for_states( $httpd, 'up' );

    my $script = client_of( $redis, 'EVAL', 'while true do end', 0 );
    wait_for_states( $httpd, 'down' );
    $redis->take_log(qr/Slow script detected/);
    like $httpd->take_log(qr/FO0001: cache outage/), qr/endpoint \Q$at\E: ask: (?:BUSY Redis is busy running a script|timed out)/, 'a script';
    $redis->ask( 'SCRIPT', 'KILL' );
    wait_for_states( $httpd, 'up' );
    $httpd->take_log(qr/FO0003/);
    $redis->allow_log(qr/Lua script killed by user/);

    $redis->ask( 'CONFIG', 'SET', 'save', '3600 1' );
    chmod 0555, $redis->dir;
    $redis->ask( 'SET',    'key', 'value' );
    $redis->ask('BGSAVE');
    wait_for_states( $httpd, 'down' );
    outage_is( $httpd, 'cache', $at, qr/ask: MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.*/, 'no snapshots' );
    chmod 0755, $redis->dir;
    $redis->ask('BGSAVE');
    wait_for_states( $httpd, 'up' );
    $httpd->take_log(qr/FO0003/);
    $redis->allow_log(qr/Failed opening the temp RDB file|Background saving error/);

    $redis->ask( 'DEBUG', 'POPULATE', 20_000 );
    $redis->ask('SAVE');
    $redis->crash;
    wait_for_states( $httpd, 'down' );
    $httpd->take_log(qr/FO0001/);
    $redis->{options}    = [ '--key-load-delay', 100 ];
    $redis->{is_loading} = 1;
    $redis->start;
    wait_for( sub { reason_of( $httpd, 'cache' ) eq 'ask: LOADING Redis is loading the dataset in memory' }, 'the reason' );
    is states($httpd), 'down', 'and is no recovery';
    $redis->ask( 'CONFIG', 'SET', 'key-load-delay', 0 );
    wait_for_states( $httpd, 'up' );
    $httpd->take_log(qr/FO0003/);
    $httpd->done;
    $redis->done;
};

under_each_mpm 'full', sub ($mpm) {
    my $redis = Failover::Server::Redis->new( config => "maxclients 12\n" )->start;
    my $url   = 'redis://' . $redis->address;
    my $httpd = start_httpd( $mpm, [qw(keep fail early)], quick(), <<~"CONF" );
        FailoverService keep $url busy=keep
        FailoverService fail $url busy=fail
        FailoverService early $url
        CONF
    wait_for_states( $httpd, 'up up up' );
    my @client = map { IO::Socket::INET->new( $redis->address ) || die "no client: $!\n" } 1 .. 12;
    wait_for_states( $httpd, 'up down up' );
    outage_is( $httpd, 'fail', $redis->address, 'ask: ERR max number of clients reached' );
    for ( 1 .. 5 ) { is_state( $httpd, 'up down up' ); Time::HiRes::sleep(0.2) }
    close $_ for @client;
    wait_for_states( $httpd, 'up up up' );
    $httpd->take_log(qr/FO0003: fail is back up/);
    cmp_ok $redis->counter('rejected_connections'), '>=', 2, 'which Redis counts';
    $httpd->done;
    $redis->done;
};

under_each_mpm 'roles', sub ($mpm) {
    my ( $east, $west ) = map { Failover::Server::Redis->new( name => $_ )->start } qw(east west);
    my $httpd = start_httpd( $mpm, [qw(primary replica stale)], quick(), <<~"CONF" );
        FailoverService primary redis://@{[ $east->address ]} role=primary
        FailoverService replica redis://@{[ $west->address ]} role=replica
        FailoverService stale redis://@{[ $west->address ]}
        CONF
    wait_for_states( $httpd, 'up down up' );
    outage_is( $httpd, 'replica', $west->address, 'answer: it is a primary, not a replica' );
    $west->ask( 'REPLICAOF', '127.0.0.1', $east->port );
    wait_for_states( $httpd, 'up up up' );
    $httpd->take_log(qr/FO0003: replica/);
    $east->crash;
    wait_for_states( $httpd, 'down down up' );
    outage_is( $httpd, 'primary', $east->address, 'connect: Connection refused' );
    outage_is( $httpd, 'replica', $west->address, qr/answer: its link to the primary is down: connect(?:ing)?/ );
    $west->ask( 'CONFIG', 'SET', 'replica-serve-stale-data', 'no' );
    wait_for_states( $httpd, 'down down down' );
    outage_is( $httpd, 'stale', $west->address, q{ask: MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.} );
    $east->start;
    wait_for_states( $httpd, 'up up up' );
    $httpd->take_log(qr/FO0003: $_ /) for qw(primary replica stale);
    $west->ask( 'REPLICAOF', 'NO', 'ONE' );
    $east->ask( 'REPLICAOF', '127.0.0.1', $west->port );
    wait_for_states( $httpd, 'down down up' );
    outage_is( $httpd, 'primary', $east->address, 'answer: it is a replica, not the primary' );
    outage_is( $httpd, 'replica', $west->address, 'answer: it is a primary, not a replica' );
    $httpd->done;
    $_->allow_log($REPLICATION) for $east, $west;
    $_->done for $east, $west;
};

under_each_mpm 'a cluster', sub ($mpm) {
    my @node  = Failover::Server::Redis->cluster(3);
    my $alone = Failover::Server::Redis->new->start;
    my ( $seed, $second, $third ) = map { $_->address } @node;
    my $httpd = start_httpd( $mpm, [qw(all seed alone)], quick(), <<~"CONF" );
        FailoverService all redis://$seed cluster=on
        FailoverService seed redis://$seed
        FailoverService alone redis://@{[ $alone->address ]} cluster=on
        CONF
    wait_for_states( $httpd, 'up up down' );
    outage_is( $httpd, 'alone', $alone->address, 'answer: ERR This instance has cluster support disabled' );
    my $pings = sub ($node) { $node->ask( 'INFO', 'commandstats' ) =~ /cmdstat_ping:calls=(\d+)/ ? $1 : 0 };
    my @before = map { $pings->($_) } @node;
    wait_for( sub { $httpd->get('/'); !grep { $pings->( $node[$_] ) < $before[$_] + 3 } 0 .. 2 }, 'each node to be pinged' );
    $node[2]->pause;
    wait_for_states( $httpd, 'down up down' );
    outage_is( $httpd, 'all', $seed, qr/ask: \Q$third\E: timed out after 200ms/, 'a node that hangs' );
    $node[2]->resume;
    wait_for_states( $httpd, 'up up down' );
    $httpd->take_log(qr/FO0003: all/);
    $node[2]->crash;
    wait_for_states( $httpd, 'down up down' );
    outage_is( $httpd, 'all', $seed, qr/(?:connect: \Q$third\E: Connection refused|answer: the cluster's state is not ok)/, 'a node that is gone' );
    wait_for( sub { reason_of( $httpd, 'all' ) eq "answer: the cluster's state is not ok" }, 'the others to see it' );
    is states($httpd), 'down up down', 'the seed alone answers';
    $node[2]->start;
    wait_for_states( $httpd, 'up up down', 30 );
    $httpd->take_log(qr/FO0003: all/);
    $httpd->done;
    $_->allow_log(qr/IP address for this node|Cluster state changed|\bFAIL\b|failing|reachable|configEpoch/) for @node;
    $_->done for @node, $alone;
};

# Whatever listens there, each ping is one plain reason.
under_each_mpm 'peers that are no Redis', sub ($mpm) {
    my @case = (
        # name      mode      its bytes                              the outage's words
        [ mute   => 'mute',    '',                                    'ask: timed out after 200ms' ],
        [ web    => 'reply',   "HTTP/1.1 400 Bad Request\r\n\r\n",    "ask: the answer is not Redis's" ],
        [ noise  => 'garbage', '',                                    "ask: the answer is not Redis's" ],
        [ closed => 'close',   '',                                    qr/(?:ask: closed early|answer: Connection reset by peer)/ ],
        [ reset  => 'reset',   '',                                    qr/(?:ask|answer|connect): Connection reset by peer/ ],
        [ drip   => 'drip',    "+PONG and on and on\r\n",             'ask: timed out after 200ms' ],
        [ huge   => 'say',     "\$104857600\r\n",                     'ask: the answer is too long' ],
        [ long   => 'say',     '-' . 'x' x 20_000,                    'answer: the answer is too long' ],
    );
    my @peer   = map { Failover::Peer->new( mode => $_->[1], bytes => $_->[2] ) } @case;
    my $config = join '', map {"FailoverService $case[$_][0] redis://@{[ $peer[$_]->address ]}\n"} 0 .. $#case;
    my $httpd  = start_httpd( $mpm, [ map { $_->[0] } @case ], quick(), $config );
    wait_for_states( $httpd, join ' ', ('down') x @case );
    outage_is( $httpd, $case[$_][0], $peer[$_]->address, $case[$_][3] ) for 0 .. $#case;
    $httpd->done;
};

under_each_mpm 'certificates', sub ($mpm) {
    my $tls  = Failover::Certificates->new;
    my $ca   = 'ca=' . $tls->ca;
    my %made = (
        good    => [ $tls->signed('DNS:localhost,IP:127.0.0.1') ],
        other   => [ $tls->signed('DNS:redis.example.com,IP:192.0.2.1') ],
        expired => [ $tls->expired('DNS:localhost') ],
        own     => [ $tls->self_signed('DNS:localhost') ],
        mutual  => [ $tls->signed('DNS:localhost') ],
    );
    my %redis = map { $_ => tls_redis( $tls, $_ eq 'mutual', @{ $made{$_} } ) } sort keys %made;
    make_user( $redis{good}, 'monitor', '+ping', '+select' );
    my ( $cert, $key ) = $tls->signed('DNS:client');
    my @case = (
        # name         URL                      server     options                       state or the outage's words
        [ name      => 'monitor@localhost',     'good',    "$ca @{[ password() ]}",      'up' ],
        [ address   => '127.0.0.1',             'good',    $ca,                          'up' ],
        [ folder    => 'localhost',             'good',    'ca-path=' . $tls->ca_folder, 'up' ],
        [ system    => 'localhost',             'good',    '',                           'tls: self-signed certificate in certificate chain' ],
        [ hostname  => 'localhost',             'other',   $ca,                          'tls: hostname mismatch' ],
        [ wrongip   => '127.0.0.1',             'other',   $ca,                          'tls: IP address mismatch' ],
        [ expired   => 'localhost',             'expired', $ca,                          'tls: certificate has expired' ],
        [ own       => 'localhost',             'own',     $ca,                          'tls: self-signed certificate' ],
        [ off       => 'localhost',             'own',     'verify=off',                 'up' ],
        [ nocert    => 'localhost',             'mutual',  $ca,                          'tls: the server demands a client certificate' ],
        [ mutual    => 'localhost',             'mutual',  "$ca cert=$cert key=$key",    'up' ],
    );
    my $plain  = 'rediss://' . $redis{good}->address;
    my $config = join '', map {"FailoverService $_->[0] rediss://$_->[1]:@{[ $redis{ $_->[2] }->tls_port ]} $_->[3]\n"} @case;
    my $httpd  = start_httpd( $mpm, [ ( map { $_->[0] } @case ), 'plain' ], quick() =~ s/200ms/500ms/gr, "${config}FailoverService plain $plain $ca\n" );
    $httpd->allow_log(qr/FO0009: .* off: verify=off: whoever answers there/);
    wait_for_states( $httpd, join ' ', ( map { $_->[4] eq 'up' ? 'up' : 'down' } @case ), 'down' );
    for my $case (@case) {
        my ( $name, $url, $server, undef, $words ) = @$case;
        outage_is( $httpd, $name, $url =~ s/.*@//r . ':' . $redis{$server}->tls_port, $words ) if $words ne 'up';
    }
    outage_is( $httpd, 'plain', $redis{good}->address, qr/tls: .+/, 'no TLS there' );
    $httpd->done;
    $_->allow_log(qr/Error accepting a client connection|Possible SECURITY ATTACK/) for values %redis;
    $_->done for values %redis;
};

under_each_mpm 'FailoverCelery', sub ($mpm) {
    my $redis = Failover::Server::Redis->new( config => "requirepass $OTHER\n", password => $OTHER )->start;
    my $at    = $redis->address;
    my $httpd = start_httpd( $mpm, [qw(broker last)], quick(), <<~"CONF" );
        SetEnv CELERY_ALWAYS_EAGER False
        FailoverCelery broker redis://$at/0 @{[ password('other') ]}
        FailoverCelery last redis://$at/1 @{[ password('other') ]} setting=LAST_EAGER LAST_EAGER=yes
        CONF
    my $values = sub { join ' ', map { $httpd->body("/cgi-bin/value?$_") } qw(CELERY_ALWAYS_EAGER LAST_EAGER) };
    wait_for_states( $httpd, 'up up' );
    is $values->(), 'False (absent)', 'up';
    $redis->crash;
    wait_for_states( $httpd, 'down down' );
    is $values->(), 'True yes', 'down';
    $redis->start;
    wait_for_states( $httpd, 'up up' );
    is $values->(), 'False (absent)', 'up again';
    $httpd->take_log($_) for ( qr/FO0001/, qr/FO0003/ ) x 2;
    $httpd->done;
    $redis->done;
};

done_testing;

# ---------------------------------------------------------------- helpers

sub start_httpd ( $mpm, $names, $policy, $services ) {
    my $status = "<Location /fo>\nSetHandler failover-status\nFailoverStatus On\n</Location>\n";
    my $httpd  = Failover::Httpd->new( mpm => $mpm, modules => [qw(cgi env)], config => $policy . $services . $status . shows_states(@$names) );
    $httpd->file( 'secret', "$SECRET\n", 0400 );
    $httpd->file( 'other',  "$OTHER\n",  0400 );
    return $httpd->start;
}

sub password ( $name = 'secret' ) { return "password=file:\@DIR\@/$name" }

# What its last ping that did not pass said.
sub reason_of ( $httpd, $name ) {
    my $status = decode_json( $httpd->body('/fo?format=json') );
    my ($service) = grep { $_->{name} eq $name } @{ $status->{services} };
    my $reason = $service->{endpoints}[0]{last_reason};
    return "$reason->{stage}: $reason->{text}";
}

sub is_state ( $httpd, $state ) {
    my $seen = states($httpd);
    die "not kept: $seen\n" if $seen ne $state;
    return;
}

# One that speaks TLS as well; some ask for a client certificate of the authority's.
sub tls_redis ( $tls, $asks, $cert, $key ) {
    return Failover::Server::Redis->new(
        tls => { 'cert-file' => $cert, 'key-file' => $key, 'ca-cert-file' => $tls->ca, 'auth-clients' => $asks ? 'yes' : 'no' },
    )->start;
}

# A client that waits for its answer, or does not.
sub client_of ( $redis, @word ) {
    my $socket = IO::Socket::INET->new( $redis->address ) or die "no client: $!\n";
    $socket->print( '*' . @word . "\r\n" . join '', map { '$' . length() . "\r\n$_\r\n" } @word );
    $socket->flush;
    return $socket;
}
