# SetHandler failover-health: /live depends on no service, /ready on those that are critical, /ready/NAME
# on one; what the whole server sees, less a child that is stopped.
use v5.36;
use Test::More;
use Failover::File;
use Failover::Httpd;
use Failover::Peer;
use Failover::Permit;
use Failover::Process;
use Failover::Server::Memcached;
use Failover::States qw(quick);
use Failover::Wait;
use JSON::PP qw(decode_json);

my %PERMIT  = ( handler => 'failover-health', directive => 'FailoverHealth' );
my $INSTANT = qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.]\d{3}Z$/;
my $HANDLER = <<~'CONF';
    <Location /fo>
        SetHandler failover-health
        FailoverHealth On
    </Location>
    CONF
my $STATUS = <<~'CONF';
    <Location /status>
        SetHandler failover-status
        FailoverStatus On
    </Location>
    CONF

sub json_of ( $httpd, $path, %arg ) { return decode_json( $httpd->get( $path, %arg )->body ) }

# "503 unready db,cache": the status, its word and the names that fail; "200 live".
sub answer_of ( $httpd, $path, %arg ) {
    my $answer = $httpd->get( $path, %arg );
    my $said   = decode_json( $answer->body );
    return join ' ', $answer->status, $said->{status}, $said->{failing} ? join( ',', $said->{failing}->@* ) || '-' : ();
}

sub until_answer ( $httpd, $path, $expected, $limit = 10 ) {
    my $last = '';
    eval { wait_for( sub { ( $last = answer_of( $httpd, $path ) ) eq $expected }, "$path to be $expected", $limit ) } or die "$@the last was: $last\n";
    return pass("$path: $expected");
}

# "db up, cache down": those that are listed.
sub states_of ( $httpd, $path ) { return join ', ', map {"$_->{name} $_->{state}"} json_of( $httpd, $path )->{services}->@* }

# A service of one endpoint and further lines.
sub block ( $name, $url, @lines ) { return join "\n", "<FailoverService $name>", "FailoverEndpoint main $url", @lines, "</FailoverService>\n" }
sub critical ( $name, $url, @lines ) { return block( $name, $url, 'FailoverCritical On', @lines ) }

sub status_of ( $httpd, $name ) { return ( grep { $_->{name} eq $name } json_of( $httpd, '/status?format=json' )->{services}->@* )[0] }

subtest 'services that fall and recover' => sub {
    my $db = Failover::Server::Memcached->new->start;
    my ( $east, $west, $web ) = map { Failover::Peer->new } 1 .. 3;
    my $gone  = Failover::Peer->new( mode => 'refuse' );
    my $httpd = Failover::Httpd->new( config => join "\n", quick(), $HANDLER, $STATUS,
        'FailoverThresholds confirm=50ms',
        critical( 'db', "memcached://@{[ $db->address ]}", 'FailoverBreaker count=5xx window=1h' ),
        critical( 'redis', "tcp://@{[ $east->address ]}", "FailoverEndpoint spare tcp://@{[ $west->address ]} weight=0.5" ),
        critical( 'trial', "tcp://@{[ $gone->address ]}", 'FailoverMode observe' ),
        "FailoverService web tcp://@{[ $web->address ]}",
        block( 'live', "tcp://@{[ $gone->address ]}", 'FailoverCritical off' ),
        "ErrorDocument 503 replaced\nErrorDocument 404 replaced",
        '<LocationMatch "^/(?:fo|app)">', 'FailoverUses db', '</LocationMatch>',
    );
    $httpd->allow_log(qr/FO00(?:0[123]|1[789]|2[01]): (?:db|redis|trial|web|live)/);
    $httpd->start;
    until_answer( $httpd, '/fo/ready/live', '503 unready live' );
    wait_for( sub { states_of( $httpd, '/fo' ) eq 'db up, redis up, trial down' }, 'the states of all that are critical' );
    is answer_of( $httpd, '/fo/ready' ), '200 ready -', 'one that is only observed is shown, and does not count';
    is answer_of( $httpd, '/fo/ready/trial' ), '200 ready -', 'nor by its name';
    is json_of( $httpd, '/fo/ready/trial' )->{services}[0]{mode}, 'observe', 'it says so';
    is answer_of( $httpd, '/fo/ready/web' ), '200 ready -', 'one that is not critical can be asked for';
    wait_for( sub { states_of( $httpd, '/fo/ready/web' ) eq 'web up' }, 'it to be shown alone' );
    ok !json_of( $httpd, '/fo/ready/web' )->{services}[0]{critical}, 'not critical';
    ok status_of( $httpd, $_->[0] )->{critical} == $_->[1], "the status says of $_->[0] whether it is critical" for [ db => 1 ], [ web => 0 ], [ live => 0 ];

    $db->crash;
    until_answer( $httpd, '/fo/ready', '503 unready db' );
    is states_of( $httpd, '/fo/ready' ), 'db down, redis up, trial down', 'all that are critical are listed';
    my ($down) = json_of( $httpd, '/fo/ready' )->{services}->@*;
    like $down->{since}, $INSTANT, 'since when';
    ok $down->{critical} && $down->{mode} eq 'enforce', 'critical, enforced';
    is answer_of( $httpd, "/fo/ready/$_" ), '503 unready db', "by its name: $_" for qw(db DB);
    is answer_of( $httpd, '/fo/ready/redis' ), '200 ready -', 'the other one is ready';
    is answer_of( $httpd, '/fo/live' ), '200 live', 'and the server lives';
    is_documented($httpd);
    is_plain( $httpd, $_ ) for '/fo/ready', '/fo/ready/db', '/fo/ready/nobody', '/fo/live';

    $east->mode('refuse');
    wait_for( sub { states_of( $httpd, '/fo/ready/redis' ) eq 'redis failover' }, 'the failover' );
    is answer_of( $httpd, '/fo/ready/redis' ), '200 ready -', 'failover is ready';
    $_->mode('refuse') for $west, $web;
    until_answer( $httpd, '/fo/ready', '503 unready db,redis' );
    until_answer( $httpd, '/fo/ready/web', '503 unready web' );
    is answer_of( $httpd, '/fo/live' ), '200 live', 'it lives while all is down' for 1 .. 10;

    $_->mode('mute') for $east, $west, $web;
    $db->start;
    until_answer( $httpd, $_, '200 ready -' ) for '/fo/ready', '/fo/ready/web';

    is status_of( $httpd, 'db' )->{breaker}{calls}, 0, 'no answer counted for the breaker, whatever it was';
    $httpd->get('/app');
    is status_of( $httpd, 'db' )->{breaker}{calls}, 1, 'as other requests do';
    $httpd->done;
    $db->done;
};

# Keys of the answers and of the manual are the same.
sub is_documented ($httpd) {
    my %told = map { $_ => 1 } map { keys_of($_) } map { json_of( $httpd, $_ ) } '/fo/ready', '/fo/live', '/fo/ready/nobody';
    my %documented = map { /^\| `([a-z_.\[\]]+)` \|/ ? ( $1 =~ s/\[\]$//r => 1 ) : () } split /\n/, slurp('doc/health.md');
    return is_deeply [ sort keys %documented ], [ sort keys %told ], 'each key is in the manual, and no other';
}

sub keys_of ( $value, $path = '' ) {
    return map { ( "$path$_", keys_of( $value->{$_}, "$path$_." ) ) } keys %$value if ref $value eq 'HASH';
    return ref $value eq 'ARRAY' ? map { keys_of( $_, $path =~ s/[.]$/[]./r ) } @$value : ();
}

# JSON that nobody keeps and that gives nothing away; HEAD and GET say the same.
sub is_plain ( $httpd, $path ) {
    my ( $get, $head ) = map { $httpd->get( $path, method => $_ ) } qw(GET HEAD);
    is $get->header('Content-Type'), 'application/json', "$path: its type";
    is $get->header('Cache-Control'), 'no-store', "$path: not to be stored";
    is $get->header('X-Content-Type-Options'), 'nosniff', "$path: it is what it says";
    is $head->status . $head->body, $get->status, "$path: HEAD has the same status and no body";
    is $head->header($_), $get->header($_), "$path: HEAD has the same $_" for qw(Content-Type Content-Length Cache-Control);
    unlike $get->body, qr/127[.]0|tcp:|memcached|refused|main|replaced/i, "$path: no address, reason or other document";
    return;
}

subtest 'a child that is stopped has no say' => sub {
    my $peer  = Failover::Peer->new;
    my $httpd = Failover::Httpd->new( children => 2, config => join "\n", quick(), $HANDLER, $STATUS, critical( 'db', "tcp://@{[ $peer->address ]}", 'FailoverOutagePingFrequency 1s' ) );
    $httpd->allow_log(qr/FO000[123]: db/);
    $httpd->start;
    my $both = sub ($state) {
        wait_for( sub { $httpd->get('/') for 1 .. 4; status_of( $httpd, 'db' )->{children}{$state} == 2 }, "both to see it $state" );
    };
    $both->('up');

    # One finds an outage, and is stopped before it sees its end; the other looks when that is over.
    $peer->mode('refuse');
    my $found = wait_for( sub { $httpd->get('/'); $httpd->error_log =~ /FO0001: db outage.* \(Process ID: (\d+)\)/ ? $1 : 0 }, 'one to find the outage' );
    $peer->mode('mute');
    Failover::Process::suspend($found);
    until_answer( $httpd, '/fo/ready', '200 ready -', 15 );
    my $late = sub { join ' ', map { $_->{pid} } grep { $_->{late} } json_of( $httpd, '/status?format=json' )->{children}->@* };
    wait_for( sub { $late->() eq $found }, 'that one to be late' );
    my $seen = json_of( $httpd, '/status?format=json' );
    is join( ' ', $seen->{services}[0]->@{qw(state)}, $seen->{services}[0]{children}->@{qw(up down)} ), 'up 1 1', 'although half of them see it down';
    is answer_of( $httpd, '/fo/ready' ), '200 ready -', 'it is ready still';
    kill 'CONT', $found;
    wait_for( sub { $late->() eq '' }, 'it to run again' );

    # What is discovered later is at once worth more than what the stopped one saw before.
    $peer->mode('refuse');
    $both->('down');
    is answer_of( $httpd, '/fo/ready' ), '503 unready db', 'so it is not ready';
    Failover::Process::suspend($found);
    my $began = now();
    $peer->mode('mute');
    until_answer( $httpd, '/fo/ready', '200 ready -' );
    cmp_ok now() - $began, '<', patience(4), 'before that one is late';
    kill 'CONT', $found;
    $httpd->done;
};

# A virtual host answers for the services of its own requests.
subtest 'virtual hosts' => sub {
    my ( $up, $gone ) = map { Failover::Peer->new( mode => $_ ) } qw(mute refuse);
    my ( $works, $fails ) = map { "tcp://@{[ $_->address ]}" } $up, $gone;
    my $vhost = sub ( $name, @lines ) { join "\n", '<VirtualHost *>', "ServerName $name.example.com", @lines, "</VirtualHost>\n" };
    my $httpd = Failover::Httpd->new( config => join "\n", quick(), $HANDLER,
        critical( 'db',    $works ),
        critical( 'cache', $fails ),
        $vhost->('plain'),
        $vhost->( shop => critical( 'db', $fails ) ),
        $vhost->( calm => block( 'db', $works ), block( 'cache', $fails ) ),
    );
    $httpd->allow_log(qr/FO0001: (?:db|cache)/);
    $httpd->start;
    my %expected = (
        plain => [ '503 unready cache',    '200 ready -' ],
        shop  => [ '503 unready cache,db', '503 unready db' ],
        calm  => [ '200 ready -',          '200 ready -' ],
    );
    for my $name ( sort keys %expected ) {
        my @host = ( host => "$name.example.com" );
        my ( $all, $db ) = $expected{$name}->@*;
        wait_for( sub { answer_of( $httpd, '/fo/ready/cache', @host ) eq '503 unready cache' }, "$name to see its cache down" );
        wait_for( sub { answer_of( $httpd, '/fo/ready',       @host ) eq $all }, "$name to answer $all" );
        is answer_of( $httpd, '/fo/ready/db', @host ), $db, "$name: its db";
        unlike $httpd->body( '/fo/ready', @host ), qr/@|example/, "$name: no name of a host";
    }
    $httpd->done;
};

subtest 'who may ask, and how' => sub {
    my $httpd = Failover::Httpd->new( config => $HANDLER . critical( 'db', 'tcp://127.0.0.1:1' ) . block( 'live', 'tcp://127.0.0.1:2' ) . block( 'ready', 'tcp://127.0.0.1:3' ) . permit_sections(%PERMIT) . <<~'CONF' );
        FailoverMonitor Off
        <LocationMatch "^/(?:live|ready|any)">
            SetHandler failover-health
            FailoverHealth On
        </LocationMatch>
        <Location /fo/shut>
            FailoverMonitor Outages
        </Location>
        <Location /fo/shut/closed>
            FailoverHealth Off
        </Location>
        CONF
    permit_files( $httpd, %PERMIT );
    $httpd->start;
    my $of = sub ( $path, %arg ) { plain( $httpd, $path, %arg ) };

    my ($unknown) = json_of( $httpd, '/fo' )->{services}->@*;
    is "$unknown->{state} " . ( $unknown->{since} // 'null' ), 'unknown null', 'nothing has been pinged';
    my %answer = (
        ( map { $_ => '200 ready -' } qw(/fo /fo/ /fo/ready /fo/ready/ /fo//ready/// /fo?live /any /any/thing /ready /ready/ /fo/ready/db /fo/ready/db/ /ready/DB /fo/live/ready) ),
        ( map { $_ => '200 live' } qw(/fo/live /fo/live/ /fo//live// /fo/live?ready /live /live/ /any/thing/live) ),
        ( map { $_ => '200 ready -' } qw(/fo/ready/live /fo/ready/live/ /fo/ready/ready /ready/live /ready/ready) ),
        ( map { $_ => '404 no such service' } qw(/fo/ready/nobody /fo/ready/nobody/ /fo/ready/%22%3E /fo/ready/db@x /fo/ready/d /fo/ready/dbs) ),
    );
    is answer_of( $httpd, $_ ), $answer{$_}, $_ for sort keys %answer;
    is states_of( $httpd, "/fo/ready/$_" ), "$_ unknown", "a service called $_" for qw(live ready);
    unlike $httpd->body('/fo/ready/%22%3E'), qr/>/, 'an unknown name is not repeated';

    is $of->('/fo/shut')->status,        200, 'below where it is On';
    is $of->('/fo/shut/closed')->status, 404, 'not where it is Off again';
    is $of->($_)->status,                404, "not where nothing says so: $_" for qw(/closed/live /closed/ready/db);
    permit_is_kept( $httpd, %PERMIT );
    permit_reads_only( $httpd, '/fo/live' );
    $httpd->done;
};

subtest 'no service at all' => sub {
    my $httpd = Failover::Httpd->new( config => $HANDLER )->start;
    is answer_of( $httpd, '/fo/ready' ), '200 ready -', 'nothing can be missing';
    is answer_of( $httpd, '/fo/live' ), '200 live', 'and it lives';
    is answer_of( $httpd, '/fo/ready/db' ), '404 no such service', 'there is none of a name';
    $httpd->done;
};

done_testing;
