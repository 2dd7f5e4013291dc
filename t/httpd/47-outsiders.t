# What a client sends never triggers a ping, though an application, a proxy and httpd itself write it
# into the error log; and a crowd of genuine errors does not take the database from the application.
use v5.36;
use Test::More;
use Failover::Crowd;
use Failover::File;
use Failover::Httpd;
use Failover::KeptAlive;
use Failover::Peer;
use Failover::Process;
use Failover::Seen;
use Failover::Server::MariaDB;
use Failover::Sockets;
use Failover::States qw(under_each_mpm);
use Failover::Wait;
use IO::Select;
use IO::Socket::INET;

my $CHILDREN = 8;

# Every built-in pattern that is text, as the dump shows it.
sub built_in_texts ($httpd) {
    my ( undef, $dump ) = $httpd->configtest( '-D', 'DUMP_FAILOVER' );
    my ($patterns) = $dump =~ /trigger pings of db when they have\n +(.*)/ or die "no patterns: $dump\n";
    return $patterns =~ /"([^"]*)"/g;
}

# An application that complains of all that a request holds, raw and decoded, on mod_lua and, under
# prefork, on a CGI's standard error; and one behind a proxy whose backend is dead has it too.
my $COMPLAIN = <<~'LUA';
    function decode(s)
        return (s:gsub("+", " "):gsub("%%(%x%x)", function(h) return string.char(tonumber(h, 16)) end))
    end
    function handle(r)
        for _, text in ipairs { r.unparsed_uri, r.uri, r.args or "", r.the_request,
            r.headers_in["User-Agent"] or "", r.headers_in["Referer"] or "", r.headers_in["Cookie"] or "", r.headers_in["Host"] or "" } do
            r:err("bad: " .. text)
            r:err("bad: " .. decode(text))
        end
        r:puts("done")
        return apache2.OK
    end
    LUA
my $COMPLAIN_CGI = <<~'CGI';
    #!/usr/bin/perl
    print "Content-Type: text/plain\n\ndone";
    for my $name (qw(REQUEST_URI QUERY_STRING HTTP_USER_AGENT HTTP_REFERER HTTP_COOKIE HTTP_HOST PATH_INFO)) {
        ( my $text = $ENV{$name} // '' ) =~ tr/+/ /;
        $text =~ s/%([0-9a-fA-F]{2})/chr hex $1/ge;
        syswrite STDERR, "bad: $ENV{$name}\n" if defined $ENV{$name};
        syswrite STDERR, "bad: $text\n";
    }
    CGI

under_each_mpm 'a thousand requests that hold every pattern', sub ($mpm) {
    my $peer  = Failover::Peer->new;
    my $httpd = Failover::Httpd->new(
        mpm => $mpm, children => $CHILDREN, threads => 4, modules => [qw(cgi mime lua dir)],
        config => <<~"CONF" . tells_child('db') . shows_states('db') );
            HttpProtocolOptions Unsafe
            FailoverErrorPingFrequency 10ms
            FailoverSpread 0
            FailoverService db tcp://@{[ $peer->address ]} DB=spare
            <Files "complain*">
                SetHandler lua-script
            </Files>
            CONF
    $httpd->file( "htdocs/complain$_.lua", $COMPLAIN ) for '', '-more';
    $httpd->file( 'cgi-bin/grumble',    $COMPLAIN_CGI );
    my @texts = built_in_texts($httpd);
    cmp_ok scalar @texts, '>', 20, 'the patterns: ' . scalar @texts;
    $httpd->start;
    my %pinged;
    wait_for( sub { $pinged{ $_->{child} }++ for crowd( $httpd, 3 * $CHILDREN ); keys %pinged == $CHILDREN }, 'a request to each child' );
    wait_for( sub { $peer->connections >= $CHILDREN }, 'the first ping of each' );
    my $before = $peer->connections;
    my $began  = now();
    my $said   = send_all( $httpd, 1000, @texts );
    my $took   = now() - $began;
    cmp_ok $took, '<', patience(60), sprintf 'sent within %.1f s', $took;    # a few, where nobody else runs
    cmp_ok scalar(@$said), '>=', 800, scalar(@$said) . ' were answered by the application';
    my $log = $httpd->error_log;
    is_deeply [ grep { my $n = () = $log =~ /:error\].*\Q$_\E/g; $n < 500 } @texts ], [], 'each pattern stands in more than 500 errors';
    is $peer->connections, $before, 'and no ping was made';
    is states($httpd), 'up', 'some requests later';
    is $peer->connections, $before, 'nor is one remembered';
    $httpd->allow_log(qr/./);    # that it is full of errors is the matter of this test
    $httpd->done;
};

# Requests with each text in another place, some at a time; returns the bodies that said "done".
sub send_all ( $httpd, $n, @texts ) {
    my @done;
    my $serial = 0;
    while ( $serial < $n ) {
        my @socket = map { send_one( $httpd, $serial++, @texts ) } 1 .. 20;
        push @done, grep {/done/} map { answer_of($_) } @socket;
    }
    return \@done;
}

sub send_one ( $httpd, $serial, @texts ) {
    my $all     = join '; ', @texts;
    my $encoded = $all =~ s/([^A-Za-z0-9])/sprintf '%%%02x', ord $1/ger;
    my $plus    = $all =~ s/([^A-Za-z0-9 ])/sprintf '%%%02X', ord $1/ger =~ tr/ /+/r;
    my @path    = (
        "/complain.lua?q=$encoded", "/complain.lua?$plus", "/complain-more.lua?$plus&again=$encoded",
        "/cgi-bin/grumble/$encoded?$plus", "/cgi-bin/$encoded", "/cgi-bin/grumble?$encoded",
    );
    my $socket = IO::Socket::INET->new( PeerAddr => '127.0.0.1', PeerPort => $httpd->port ) or die "cannot connect: $!\n";
    $socket->syswrite( "GET $path[ $serial % @path ] HTTP/1.0\r\nHost: $all\r\n"
            . "User-Agent: $all\r\nReferer: http://127.0.0.1/?q=$encoded\r\nCookie: last=$all; again=$encoded\r\n\r\n" );
    return $socket;
}

sub answer_of ($socket) {
    my $text = '';
    while ( IO::Select->new($socket)->can_read(10) ) {
        last if !$socket->sysread( $text, 65_536, length $text );
    }
    close $socket;
    return $text;
}

# An errno is the client's own when it is the client that goes away.
under_each_mpm 'a client that resets the connection in the middle of its body', sub ($mpm) {
    my $peer    = Failover::Peer->new;
    my $backend = Failover::Peer->new( mode => 'mute' );
    my $asking  = Failover::Peer->new( mode => 'reply', bytes => "AB\0\3\6\x1f\xfa" );    # AJP: more of the body, please
    my $httpd   = Failover::Httpd->new(
        mpm => $mpm, modules => [qw(proxy proxy_http proxy_fcgi proxy_ajp cgi fcgid alias)],
        config => <<~"CONF" . shows_states('db') );
            FailoverErrorPingFrequency 10ms
            FailoverSpread 0
            FailoverService db tcp://@{[ $peer->address ]} DB=spare
            ProxyPass /http http://@{[ $backend->address ]}/
            ProxyPass /fcgi fcgi://@{[ $backend->address ]}/
            ProxyPass /ajp ajp://@{[ $asking->address ]}/
            FcgidIPCDir "\@DIR\@/logs"
            FcgidProcessTableFile "\@DIR\@/logs/fcgid"
            FcgidMaxRequestLen 1000000
            Alias /fcgid/ "\@DIR\@/fcgid/"
            <Directory "\@DIR\@/fcgid">
                Require all granted
                Options +ExecCGI
                SetHandler fcgid-script
            </Directory>
            CONF
    my $reads = "#!/bin/sh\ncat >/dev/null\nprintf 'Content-Type: text/plain\\n\\nread'\n";
    $httpd->file( 'cgi-bin/reads', $reads );
    $httpd->file( 'fcgid/reads', $reads, 0755 );
    $httpd->allow_log(qr/AH\d{5}|mod_fcgid/);
    $httpd->start;
    is states($httpd), 'up', 'pinged once';
    for my $row (
        [ '/http',          qr/AH(?:01095|02608)/ ],
        [ '/fcgi',          qr/AH01075/ ],
        [ '/ajp',           qr/AH02822/ ],
        [ '/cgi-bin/reads', qr/AH0(?:1225|1270)/ ],
        [ '/fcgid/reads',   qr/mod_fcgid: can't get data from http client/ ],
    ) {
        my ( $path, $complaint ) = @$row;
        my $socket = IO::Socket::INET->new( PeerAddr => '127.0.0.1', PeerPort => $httpd->port ) or die "cannot connect: $!\n";
        $socket->syswrite("POST $path HTTP/1.0\r\nContent-Length: 200000\r\n\r\n");
        $socket->syswrite( 'x' x 100_000 );
        wait_for( sub { unread( $httpd->port, $socket->sockport ) == 0 }, 'all to be read' );
        my $read = now();
        wait_for( sub { now() > $read + 0.1 }, 'the child to read on' );    # it sleeps in the read, nothing tells that
        $socket->setsockopt( Socket::SOL_SOCKET(), Socket::SO_LINGER(), pack 'ii', 1, 0 );
        close $socket;
        like $httpd->take_log($complaint), qr/[(]104[)]Connection reset by peer/, "$path: the log has an errno of it";
        is states($httpd), 'up', "$path: a request later";
        is $peer->connections, 1, "$path: no ping was triggered";
    }
    $httpd->done;
};

# Bytes that httpd has been sent from this port and not read; undef where there is no such connection.
sub unread ( $port, $from ) {
    my ($socket) = tcp_sockets("sport = :$port and dport = :$from");
    return $socket && $socket->{unread};
}

# Backends that a client chooses say nothing of ours, but where it is one of ours.
under_each_mpm 'a forward proxy', sub ($mpm) {
    my ( $peer, $other ) = map { Failover::Peer->new } 1, 2;
    my $dead  = Failover::Peer->new( mode => 'refuse' );
    my $rude  = Failover::Peer->new( mode => 'reset' );
    my $httpd = Failover::Httpd->new(
        mpm => $mpm, modules => [qw(proxy proxy_http proxy_connect proxy_ajp)],
        config => <<~"CONF" . shows_states(qw(db web)) );
            FailoverErrorPingFrequency 10ms
            FailoverSpread 0
            FailoverService db tcp://@{[ $peer->address ]} DB=spare
            FailoverService web tcp://@{[ $other->address ]} WEB=spare
            ProxyRequests "On"
            AllowCONNECT 1-65535
            CONF
    $httpd->allow_log(qr/AH\d{5}/);
    $httpd->start;
    is states($httpd), 'up up', 'pinged once';
    my $dead_port = $dead->port;
    for my $request (
        "GET http://127.0.0.1:$dead_port/ HTTP/1.0", "CONNECT 127.0.0.1:$dead_port HTTP/1.0",
        "GET ajp://127.0.0.1:$dead_port/ HTTP/1.0",  "GET ajp://@{[ $rude->address ]}/ HTTP/1.0",
    ) {
        like raw( $httpd, "$request\r\n\r\n" ), qr{^HTTP/1.1 50\d }, $request =~ s/:\d+/:N/r;
        $httpd->take_log(qr/[(](?:111|104)[)]Connection/);
        is states($httpd), 'up up', 'a request later';
        is_deeply [ $peer->connections, $other->connections ], [ 1, 1 ], 'no ping was triggered';
    }
    $other->mode('refuse');
    raw( $httpd, "GET http://@{[ $other->address ]}/ HTTP/1.0\r\n\r\n" );
    $httpd->take_log(qr/FO0001: web outage/);
    is $peer->connections, 1, 'one of ours is genuine, whoever asked for it: it alone is pinged';
    $httpd->done;
};

sub raw ( $httpd, $request ) {
    my $socket = IO::Socket::INET->new( PeerAddr => '127.0.0.1', PeerPort => $httpd->port ) or die "cannot connect: $!\n";
    $socket->syswrite($request);
    return answer_of($socket);
}

# An application that tells of its own error and of the request in one entry.
under_each_mpm 'words beside an error', sub ($mpm) {
    my ( $peer, $other ) = map { Failover::Peer->new } 1, 2;
    my $httpd = Failover::Httpd->new(
        mpm => $mpm, modules => [qw(mime lua)], config => <<~"CONF" . shows_states(qw(db web)) );
            FailoverErrorPingFrequency 10ms
            FailoverSpread 0
            FailoverService db tcp://@{[ $peer->address ]} DB=spare
            FailoverService web tcp://@{[ $other->address ]} WEB=spare
            FailoverErrorMatch "X-Gone-Word" /refusal\$/ /(timeout).*redis/
            AddHandler lua-script .lua
            CONF
    $httpd->file( 'htdocs/say.lua', <<~'LUA' );
        function handle(r)
            local kind = r.args:match("^(%w+)") or ""
            if kind == "fails" then r:err("Connection refused, in page " .. r.unparsed_uri) end
            if kind == "names" then for name, value in pairs(r:headers_in_table()) do r:err("has " .. name) end end
            if kind == "ends" then r:err("asked for " .. r.unparsed_uri) end
            if kind == "cookie" then r:err("cookie " .. (r.headers_in["Cookie"] or "")) end
            r:puts("said")
            return apache2.OK
        end
        LUA
    $httpd->allow_log(qr/\[lua:error\]/);
    $httpd->start;
    is states($httpd), 'up up', 'pinged once';
    my @before = ( 1, 1 );
    for my $row (
        [ 'fails',                                     {},                                                                     [ 1, 1 ], 'a genuine error' ],
        [ "fails=@{[ $other->address ]}",              {},                                                                     [ 1, 1 ], 'one in which the client names an endpoint: for all' ],
        [ 'names',                                     { 'X-Gone-Word' => 1 },                                                 [ 0, 0 ], "a header's name" ],
        [ 'ends=a-refusal',                            {},                                                                     [ 0, 0 ], 'an anchor at the end of what was sent' ],
        [ 'cookie', { Cookie => ( 'f' x 900 ) . ' timeout' . ( 'x' x 1300 ) . 'redis' }, [ 0, 0 ], 'a long match' ],
    ) {
        my ( $query, $headers, $pings, $what ) = @$row;
        is $httpd->body( "/say.lua?$query", headers => $headers ), 'said', $what;
        @before = map { $before[$_] + $pings->[$_] } 0, 1;
        wait_for( sub { $peer->connections >= $before[0] && $other->connections >= $before[1] }, 'the pings' );
        is states($httpd), 'up up', 'a request later';
        is_deeply [ $peer->connections, $other->connections ], \@before, join ' and ', map {"$_ ping(s)"} @$pings;
    }
    $httpd->done;
};

# 64 children, each with an error of its own at the same time, and room for 30 connections.
subtest 'a crowd of genuine errors, prefork' => sub {
    my $crowd = 64;
    my $db    = Failover::Server::MariaDB->new( options => ['--max-connections=30'] )->start;
    $db->create_user( $_, '' ) for qw(monitor app);
    my $httpd = Failover::Httpd->new(
        mpm => 'prefork', children => $crowd, modules => [qw(cgi env)],
        config => <<~"CONF" . kept_alive() . tells_child('db') . shows_states('db') );
            FailoverErrorPingFrequency 500ms
            FailoverSpread 0
            FailoverService db mysql://monitor\@@{[ $db->address ]} DB=spare
            CONF
    my $client = Failover::Process::find_program( 'mariadb', 'mysql' );
    $httpd->file( 'cgi-bin/fails', <<~'CGI' );
        #!/bin/sh
        echo "Lost connection to MySQL server during query" >&2
        printf 'Content-Type: text/plain\n\nfailed'
        CGI
    $httpd->start;
    my @line = map { persistent($httpd) } 1 .. $crowd;
    ask( $_, '/?all' ) for @line;
    wait_for(
        sub {
            my %child = map { /^\S+ (\d+)/ ? ( $1 => 1 ) : () } split /\n/, $httpd->log('crowd')->text;
            return keys %child == $crowd;
        },
        'each connection to have a child of its own'
    );
    wait_for( sub { $db->status('Connections') >= $crowd }, 'the first pings' );
    my $logins = $db->status('Connections');
    my $pinged = now();
    wait_for( sub { now() > $pinged + 0.5 }, 'the error frequency to pass' );

    # The application goes on meanwhile, with as many connections as leave room for the pings.
    my @app = map { application( $db, $client ) } 1 .. 8;
    $_->syswrite("GET /cgi-bin/fails HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") for @line;
    wait_for( sub { $db->status('Connections') >= $logins + $crowd }, 'each child to have pinged again', 20 );
    my @words = map { ended($_) } @app;
    is_deeply [ grep {/ERROR/} @words ], [], 'the application never meets an error';
    cmp_ok $db->status('Max_used_connections'), '<=', 30, 'connections in use at a time: ' . $db->status('Max_used_connections');
    is_deeply [ said( $httpd, 'FO0001' ) ], [], 'and no child takes it for down';
    is $db->status('Connection_errors_max_connections'), 0, 'nobody was turned away';
    read_answer($_) for @line;

    # It hangs for a moment: pings that have begun wait, the others wait for a place.
    wait_for( sub { now() > $pinged + 1.5 }, 'the error frequency to pass' );
    $db->pause;
    $_->syswrite("GET /cgi-bin/fails HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") for @line;
    read_answer($_) for @line;
    wait_for( sub { connections_to( $db->port ) == 16 }, 'as many pings as may be' );
    my $hung = now();
    my %seen;
    wait_for( sub { $seen{ connections_to( $db->port ) }++; now() > $hung + 0.5 }, 'half a second' );
    is_deeply [ keys %seen ], [16], 'and never more at a time';
    $db->resume;
    $logins = $db->status('Connections');
    wait_for( sub { $db->status('Connections') >= $logins + $crowd - 32 }, 'the others to have pinged', 20 );
    is $db->status('Connection_errors_max_connections'), 0, 'nobody was turned away when it went on';
    is_deeply [ said( $httpd, 'FO0001' ) ], [], 'and still no child takes it for down';

    # The same when it is down, and when it is back: all converge, within the limit of pings.
    $db->crash;
    ask( $_, '/cgi-bin/fails' ) for @line[ 0 .. 7 ];
    follows( $httpd, 'FO0001', $crowd, @line );
    $db->start;
    my @again = map { application( $db, $client ) } 1 .. 8;
    ask( $line[0], '/cgi-bin/fails' );    # the outage frequency is long: an error makes one look
    follows( $httpd, 'FO0003', $crowd, @line );
    is_deeply [ grep {/ERROR/} map { ended($_) } @again ], [], 'the application gets its connections from the first moment on';
    is $db->status('Connection_errors_max_connections'), 0, 'nobody was turned away';
    $httpd->allow_log(qr/AH01215|FO0001/);
    $db->allow_log(qr/Aborted connection/);
    $httpd->done;
    $db->done;
};


# Requests to all, steadily, until each child has said so.
sub follows ( $httpd, $tag, $count, @line ) {
    my $began = now();
    wait_for(
        sub {
            ask( $_, '/' ) for @line;
            my %said = map { /Process ID: (\d+)/ ? ( $1 => 1 ) : () } said( $httpd, $tag );
            return keys %said == $count;
        },
        "$tag from each of $count children", 40
    );
    return pass( sprintf '%s: all %d children, %.1f s after the first was asked', $tag, $count, now() - $began );
}

# The real client, with one connection after the other for a second.
sub application ( $db, $client ) {
    my $output = $db->dir . '/application-' . ++state $serial;
    my $port   = $db->port;
    return {
        output  => $output,
        process => Failover::Process->start(
            command => [ '/bin/sh', '-c', "for i in \$(seq 40); do $client --no-defaults -h127.0.0.1 -P$port -uapp -e 'SELECT 1' >/dev/null || exit 1; done" ],
            output => $output ),
    };
}

sub ended ($app) {
    wait_for( sub { !$app->{process}->leader_alive }, 'the application to end', 60 );
    return slurp( $app->{output} );
}

done_testing;
