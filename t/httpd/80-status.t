# A look inside: SetHandler failover-status as a page, as JSON and as lines, and mod_status's section;
# always what all children see, whichever one answers.
use v5.36;
use Test::More;
use Digest::SHA qw(sha256_base64);
use Failover::File;
use Failover::Httpd;
use Failover::Peer;
use Failover::Permit;
use Failover::States qw(under_each_mpm quick);
use Failover::Wait;
use JSON::PP qw(decode_json);

my %PERMIT   = ( handler => 'failover-status', directive => 'FailoverStatus' );
my @FORMS    = ( '', '?format=json', '?format=auto' );
my $INSTANT  = qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.]\d{3}Z$/;
my $HANDLERS = <<~'CONF';
    <Location /fo>
        FailoverMonitor Off
    </Location>
    <LocationMatch ^/fo>
        SetHandler failover-status
        FailoverStatus On
    </LocationMatch>
    <Location /server-status>
        SetHandler server-status
        FailoverMonitor Off
    </Location>
    CONF

# As `quick`, but requests never wait: looking is all that most of these tests do.
sub quiet () { return quick() =~ s/FailoverPingWait.*/FailoverPingWait 0/r }

sub status ( $httpd, $path = '/fo' ) { return decode_json( $httpd->body("$path?format=json") ) }

sub service_in ( $status, $name ) { return ( grep { $_->{name} eq $name } @{ $status->{services} } )[0] }
sub service ( $httpd, $name ) { return service_in( status($httpd), $name ) }

# Asks for pages that trigger pings until the status fulfils the condition.
sub until_status ( $httpd, $condition, $what ) {
    return wait_for( sub { $httpd->get('/page') for 1 .. 4; $condition->( status($httpd) ) }, $what );
}

# $n children see $name in $state.
sub until_seen ( $httpd, $name, $state, $n ) {
    until_status( $httpd, sub ($status) { service_in( $status, $name )->{children}{$state} == $n }, "$n children to see $name $state" );
    return service( $httpd, $name );
}

sub keys_of ( $value, $path = '' ) {
    return map { ( "$path$_", keys_of( $value->{$_}, "$path$_." ) ) } keys %$value if ref $value eq 'HASH';
    return () if ref $value ne 'ARRAY';
    my $list = $path =~ s/[.]$/[]/r;
    return map { ( $list, keys_of( $_, "$list." ) ) } @$value;
}

# The marks of a page that are no well-formed XML, which HTML of this kind is as well; "" if all are.
sub malformed ($page) {
    my @open;
    $page =~ s/^<!DOCTYPE html>\n//;
    while ( $page =~ /\G(?:<(\/?)([a-z][a-z0-9]*)((?:\s+[a-z-]+="[^"<>]*")*)\s*(\/?)>|&(?:lt|gt|amp|quot|\#\d+);|[^<>&]+)/gc ) {
        my ( $end, $name, $empty ) = ( $1, $2, $4 );
        next if !defined $name || $empty;
        if   ($end) { return "</$name> closes <" . ( $open[-1] // '' ) . '>' if ( pop(@open) // '' ) ne $name }
        else        { push @open, $name }
    }
    return 'at: ' . substr $page, pos $page, 60 if ( pos $page // 0 ) < length $page;
    return "open: @open" x !!@open;
}

# Lists themselves are not told apart from what is in them.
sub is_documented ( $httpd, $name ) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my %told = map { $_ => 1 } keys_of( status($httpd) );
    my %documented = map { /^\| `([a-z_.\[\]]+)` \|/ ? ( $1 => 1 ) : () } split /\n/, slurp('doc/status.md');
    delete $told{$_} for grep { /^(?:services|children)$|(?:endpoints|history|down_names)$/ } keys %told;
    cmp_ok scalar keys %documented, '>', 60, "$name: the manual has keys";
    is join( ' ', grep { !$documented{$_} } sort keys %told ), '', "$name: each key is documented";
    return is join( ' ', grep { !$told{$_} } sort keys %documented ), '', "$name: each documented key is there";
}

sub breaker_of ($service) { return join ' ', $service->{breaker}->@{qw(calls failures consecutive window_seconds)} }

under_each_mpm 'what two children see', sub ($mpm) {
    my $up    = Failover::Peer->new;
    my $gone  = Failover::Peer->new( mode => 'refuse' );
    my $httpd = Failover::Httpd->new( mpm => $mpm, children => 2, modules => [qw(status alias)], config => quiet() . <<~"CONF" . $HANDLERS );
        FailoverService db tcp://@{[ $up->address ]} DB=spare
        <Location "/app">
            FailoverUses gone
        </Location>
        Redirect 500 /app/fail
        <FailoverService gone>
            FailoverBreaker count=5xx window=1h
            FailoverEndpoint first tcp://@{[ $gone->address ]} weight=2.5
            FailoverSetEnv GONE 1
            FailoverMode observe
        </FailoverService>
        CONF
    $httpd->allow_log(qr/FO000[123]: gone/);
    $httpd->start;
    wait_for( sub { status($httpd)->{server}{children} == 2 }, 'two children' );

    my $db = service( $httpd, 'db' );
    is $db->{state}, 'unknown', 'not pinged yet';
    is $db->{children}{unknown}, 2, 'by none of the two';
    is $db->{endpoints}[0]{last_ping}, undef, 'no last ping';
    is $db->{endpoints}[0]{next_due_seconds} + 0, 0, 'it is due at once';
    is scalar @{ $db->{endpoints}[0]{history} }, 0, 'no history';
    is $up->connections, 0, 'and looking at it pings nothing';

    $db = until_seen( $httpd, 'db', 'up', 2 );
    is "$db->{state} $db->{epoch} $db->{mode}", 'up 0 enforce', 'up';
    my $end = $db->{endpoints}[0];
    is $end->{url}, 'tcp://' . $up->address, 'its URL';
    is "$end->{scheme} $end->{state} $end->{last_verdict} $end->{children}{up}", 'tcp up pass 2', 'its endpoint';
    is $end->{last_reason}, undef, 'nothing failed';
    cmp_ok $end->{pings}{pass}, '>=', 2, 'pings of both are counted';
    wait_for( sub { service( $httpd, 'db' )->{endpoints}[0]{pings}{pass} == $up->connections }, 'as many as the service saw' );    # one may be under way
    cmp_ok scalar @{ $end->{history} }, '>=', 2, 'and remembered';
    cmp_ok $end->{took_us}, '>', 10_000, 'the time that it takes to be quiet';
    like $end->{$_}, $INSTANT, $_ for qw(since last_ping);
    cmp_ok $end->{since_seconds}, '>=', 0, 'since then';
    cmp_ok $end->{since_seconds}, '<', 60, 'not for long';

    my $down = until_seen( $httpd, 'gone', 'down', 2 );
    is "$down->{state} $down->{mode}", 'down observe', 'the other one is down, observed';
    my $reason = $down->{endpoints}[0]{last_reason};
    is "@$reason{qw(verdict stage status status_text code)}", 'fail connect 111 Connection refused 0', 'the last reason';
    is $down->{endpoints}[0]{weight}, 2.5, 'its weight';
    is breaker_of($down), '0 0 0 3600', 'its breaker has counted nothing';
    is $db->{breaker}, undef, 'and the other has none';
    $httpd->get($_) for qw(/app/fail /app/none /app/fail /app/fail);
    is breaker_of( service( $httpd, 'gone' ) ), '4 3 2 3600', 'what became of requests of both children';
    like $httpd->body('/fo'), qr{<td>3 of 4 failed, 2 in a row</td>}, 'the page says so too';
    is $down->{endpoints}[0]{history}[-1]{verdict}, 'fail', 'the last ping';

    my $status   = status($httpd);
    my @children = sort { $a <=> $b } map { $_->{pid} } @{ $status->{children} };
    is_deeply \@children, [ sort { $a <=> $b } $httpd->children ], 'the children';
    is_deeply $_->{down_names}, ['gone'], "child $_->{pid} sees one down" for @{ $status->{children} };
    is "@{ $status->{server} }{qw(scope generation services children slots_used)}", 'child 1 2 2 2', 'the server';
    is $status->{server}{lease_holder}, undef, 'nobody pings for all';
    is_documented( $httpd, 'a server with an outage' );

    $gone->mode('mute');
    my $back = until_seen( $httpd, 'gone', 'up', 2 );
    is "$back->{state} $back->{epoch}", 'up 2', 'back again';
    is $back->{endpoints}[0]{last_reason}{stage}, 'connect', 'with the reason why it was not';
    page_is_good( $httpd, $_ ) for qw(db gone);
    section_is_good( $httpd );

    kill 'KILL', $children[0];
    wait_for( sub { !kill 0, $children[0] }, 'its end' );    # until then it may take a request with it
    wait_for( sub { my @now = map { $_->{pid} } @{ status($httpd)->{children} }; @now == 2 && !grep { $_ == $children[0] } @now },
        'another child in the place of one that was killed' );
    $httpd->allow_log(qr/AH00052: child pid \d+ exit signal Killed/);

    $httpd->graceful;
    wait_for( sub { my $server = status($httpd)->{server}; $server->{generation} == 2 && $server->{children} == 2 && $server->{slots_used} == 2 },
        'the children of the next generation alone' );
    $httpd->done;
};

sub page_is_good ( $httpd, $name ) {
    my $answer = $httpd->get('/fo');
    my $page   = $answer->body;
    is $answer->header('Content-Type'), 'text/html; charset=utf-8', 'a page';
    is malformed($page), '', 'well formed';
    like $page, qr/<td>$name<\/td><td class="up">up<\/td>/, "it has $name, up";
    my ($style) = $page =~ /<style>(.*)<\/style>/s;
    my ($hash)  = $answer->header('Content-Security-Policy') =~ /^default-src 'none'; style-src 'sha256-([^']+)'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/;
    is sha256_base64($style) . '=', $hash // '', 'its policy allows its style alone';
    unlike $page, qr/<script|\son\w+=|src=|href=|style=|<form/i, 'no script, link or form';
    return;
}

# mod_status: the same tables, and the same lines.
sub section_is_good ($httpd) {
    like $httpd->body('/server-status'), qr/<h1>Failover<\/h1>.*<td>db<\/td><td class="up">up<\/td>/s, 'a section in mod_status';
    like $httpd->body('/server-status?notable'), qr/<h1>Failover<\/h1>\n<pre>FailoverVersion: .*\nFailoverService\[0\]Name: db\n/s, 'without tables';
    my $lines = $httpd->body('/server-status?auto');
    like $lines, qr/^Scoreboard: .*^FailoverService\[0\]Name: db\nFailoverService\[0\]State: up\n/ms, 'and in its lines';
    unlike $lines, qr/<|Failover[^:]*\s[^:]*: /, 'without HTML, or blanks in a key';
    my %ours = map { /^(Failover[^:]*): / ? ( $1 => 1 ) : () } split /\n/, $lines;
    my %same = map { /^([^:]*): /         ? ( $1 => 1 ) : () } split /\n/, $httpd->body('/fo?auto');
    is_deeply \%ours, \%same, 'the same as those of the handler';
    ok $same{$_}, "with $_" for 'FailoverChildren', 'FailoverService[1]Endpoint[0]ChildrenDown', 'FailoverService[1]Endpoint[0]LastReasonStage', 'FailoverChild[1]Pid';
    my @odd = grep { !/^Failover[A-Za-z0-9\[\]]+: [^\n]*$/ } split /\n/, $httpd->body('/fo?auto');
    is "@odd", '', 'each line of ?auto is a key and a value';
    return;
}

subtest 'one child pings for all' => sub {
    my $peer  = Failover::Peer->new;
    my $httpd = Failover::Httpd->new( children => 3, config => quiet() . "FailoverScope server lease=4s\nFailoverService db tcp://@{[ $peer->address ]}\n$HANDLERS" );
    $httpd->start;
    until_seen( $httpd, 'db', 'up', 3 );
    my $server = status($httpd)->{server};
    is $server->{scope}, 'server', 'the scope';
    is scalar( grep { $_ == $server->{lease_holder} } $httpd->children ), 1, 'and which child that is';
    like $httpd->body('/fo'), qr/server: process $server->{lease_holder} pings/, 'on the page too';
    cmp_ok service( $httpd, 'db' )->{endpoints}[0]{next_due_seconds}, '<=', 0.2, 'the next ping is that of the one';
    $httpd->done;
};

# A server's words, whatever they are: markup, quotes, bytes that are no UTF-8, control characters.
subtest 'hostile words' => sub {
    my $words = q{<script>alert("x")</script>};
    my $cache = Failover::Peer->new( mode => 'reply', bytes => "SERVER_ERROR $words\r\n" );
    my $error = "\xff" . pack( 'v', 1105 ) . "$words&'\xff\xc3\x28\nFailoverForged: 1";
    my $mysql = Failover::Peer->new( mode => 'say', bytes => substr( pack( 'V', length $error ), 0, 3 ) . "\0$error" );
    my $httpd = Failover::Httpd->new( modules => ['status'], config => quiet() . <<~"CONF" . $HANDLERS );
        FailoverService cache memcached://@{[ $cache->address ]}
        FailoverService db mysql://monitor\@@{[ $mysql->address ]}
        CONF
    $httpd->allow_log(qr/FO000[12]: (?:cache|db)/);
    $httpd->start;
    until_seen( $httpd, $_, 'down', 1 ) for qw(cache db);
    like service( $httpd, 'cache' )->{endpoints}[0]{last_reason}{text}, qr/\Q$words\E/, 'JSON has them as they are: memcached';
    my $reason = service( $httpd, 'db' )->{endpoints}[0]{last_reason};
    is $reason->{code}, 1105, 'and the code of the server';
    like $reason->{text}, qr/\Q$words&'??(?FailoverForged\E/, 'as they are but for what is no text and for the end of a line: mysql';
    for my $path ( '/fo', '/server-status', '/server-status?notable' ) {
        my $page = $httpd->body($path);
        unlike $page, qr/<script/i, "$path: no markup of theirs";
        like $page, qr/&lt;script&gt;alert\(&quot;x&quot;\)&lt;\/script&gt;&amp;/, "$path: but their words";
        unlike $page, qr/[\xff\x00-\x09\x0b-\x1f]/, "$path: nor any other byte";
    }
    is malformed( $httpd->body('/fo') ), '', 'the page is well formed';
    ok utf8::decode( my $text = $httpd->body($_) ), "UTF-8: /fo$_" for map { "/fo$_" } @FORMS;
    unlike $httpd->body('/fo?auto'), qr/^FailoverForged/m, 'no line of theirs';
    $httpd->done;
};

subtest 'who may see it, and how' => sub {
    my $httpd = Failover::Httpd->new( config => $HANDLERS . permit_sections(%PERMIT) . <<~'CONF' );
        FailoverService db tcp://127.0.0.1:1
        FailoverMonitor Off
        <Location /fo/deeper>
            FailoverMonitor Outages
        </Location>
        <Location /fo/deeper/closed>
            FailoverStatus Off
        </Location>
        CONF
    permit_files( $httpd, %PERMIT );
    $httpd->start;
    my $of = sub ( $path, %arg ) { plain( $httpd, $path, %arg ) };

    is $of->('/fo')->status,                 200, 'where it is On';
    is $of->('/fo/deeper')->status,          200, 'and below';
    is $of->('/fo/deeper/closed')->status,   404, 'not where it is Off again';
    is $of->('/closed?format=json')->status, 404, 'in no format';
    is $of->('/closed?format=odd')->status,  404, 'nor in none';
    permit_is_kept( $httpd, %PERMIT );

    for my $form (@FORMS) {
        my $get = $of->("/fo$form");
        is $get->header('Cache-Control'), 'no-store', "/fo$form: not to be stored";
        is $get->header('X-Content-Type-Options'), 'nosniff', "/fo$form: what it says it is";
        my $head = $of->( "/fo$form", method => 'HEAD' );
        is $head->status . $head->body, '200', "/fo$form: HEAD";
        is $head->header('Content-Type'), $get->header('Content-Type'), "/fo$form: of the same type";
    }
    is $of->('/fo?format=json')->header('Content-Type'), 'application/json', 'JSON';
    is $of->('/fo?auto')->header('Content-Type'), 'text/plain; charset=utf-8', 'lines';
    like $of->('/fo?x=1&format=json&y')->body, qr/^\{"server"/, 'words of others are left to them';
    for my $words (qw(format=xml format= format=JSON format=<script> auto&format=prometheu)) {
        my $answer = $of->("/fo?$words");
        is $answer->status, 400, "$words: a bad request";
        is $answer->body, "format= is none of html, json, auto\n", "$words: says what is allowed";
    }
    permit_reads_only( $httpd, '/fo' );
    $httpd->done;
};

subtest 'nothing secret' => sub {
    my $httpd = Failover::Httpd->new( modules => ['status'], config => quiet() . <<~"CONF" . $HANDLERS );
        FailoverService db mysql://monitor\@127.0.0.1:1/shop password=file:\@DIR\@/hidden/place TOKEN=hunter3
        CONF
    $httpd->file( 'hidden/place', "hunter2\n", 0400 );
    $httpd->allow_log(qr/FO000[12]: db/);
    $httpd->start;
    until_seen( $httpd, 'db', 'down', 1 );
    for my $path ( ( map { "/fo$_" } @FORMS ), '/server-status', '/server-status?auto' ) {
        my $body = $httpd->body($path);
        like $body, qr/monitor\@127[.]0[.]0[.]1:1/, "$path: has the URL";
        unlike $body, qr/hunter|hidden/, "$path: no password, no path, no setting";
    }
    $httpd->done;
};

under_each_mpm 'no service at all', sub ($mpm) {
    my $httpd = Failover::Httpd->new( mpm => $mpm, modules => ['status'], config => $HANDLERS )->start;
    my $status = status($httpd);
    is_deeply $status->{services}, [], 'no services';
    is_deeply $status->{children}, [], 'no children';
    is "@{ $status->{server} }{qw(services children slots)}", '0 0 0', 'nothing';
    is malformed( $httpd->body('/fo') ), '', 'a page all the same';
    like $httpd->body('/fo?auto'), qr/^FailoverServices: 0$/m, 'and lines';
    like $httpd->body($_), qr/Failover/, $_ for '/server-status', '/server-status?auto';
    $httpd->done;
};

subtest 'without mod_status' => sub {
    my $httpd = Failover::Httpd->new( config => "<Location /fo>\nSetHandler failover-status\nFailoverStatus On\n</Location>\n" )->start;
    is $httpd->get('/fo')->status, 200, 'the handler works';
    $httpd->done;
};

# More services than a page needs at a time, several in virtual hosts; all of them in one answer.
subtest 'a thousand services' => sub {
    my @line  = map { "FailoverService s$_ tcp://127.0.0.1:" . ( 1 + $_ % 3 ) } 1 .. 999;
    my $httpd = Failover::Httpd->new( config => join "\n", quiet(), @line, "<VirtualHost *:\@PORT\@>\nServerName shop.example.com\nFailoverService s1 tcp://127.0.0.1:1\n</VirtualHost>", $HANDLERS );
    $httpd->allow_log(qr/FO000[12]: s\d+/);
    $httpd->start;
    until_status( $httpd, sub ($status) { !grep { $_->{state} ne 'down' } @{ $status->{services} } }, 'all to be down' );
    my $status = status($httpd);
    is scalar @{ $status->{services} }, 1000, 'all of them';
    is $status->{services}[-1]{name}, 's1@shop.example.com:' . $httpd->port, 'that of a virtual host by its full name' ;
    is $status->{children}[0]{down}, 1000, 'all are down';
    is scalar @{ $status->{children}[0]{down_names} }, 16, 'the first are named';
    is malformed( $httpd->body('/fo') ), '', 'a page of all';
    $httpd->done;
};

done_testing;
