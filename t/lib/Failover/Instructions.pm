# What a request costs in instructions, with our services and without: the figures of
# `make bench-instructions` and the gates of t/httpd/53-instructions.t.
#
#     my $bare = measure();                                         # an idle thread instead of us
#     my $down = measure( services => 1000, variables => 4 );       # the first one down
#     $down->{instructions} - $bare->{instructions}
#
# A static file of 100 bytes over one connection that is kept alive, under prefork, whose requests
# run in the first thread. callgrind writes what that thread did from one request to the next, which
# is the difference between two runs that differ by one request. Most requests cost exactly the same;
# others have to wait for their bytes, or find a new second of the clock. The least that several of
# them cost is the figure. What libc's strcmp, strlen and strrchr do themselves is left out: httpd
# uses them on paths, ours uses none of them, and it depends, by some 150, on the addresses that
# strings happen to have. So is memcpy, which takes 12 more now and then where httpd merges directories;
# ours takes it where a table has to grow: 76 in all for 16 variables among 40.
package Failover::Instructions;

use v5.36;
use Exporter qw(import);
use Failover::Callgrind;
use Failover::Cleanup qw(private_folder);
use Failover::Httpd;
use Failover::KeptAlive;
use Failover::Peer;
use Test::More ();

our @EXPORT = qw(measure measure_once entries budget budget_of_sections budget_of_reading);

my $STRINGS = qr/^_*(?:str(?:cmp|len|rchr)|memcpy)(?:_|$)/;
my $WARM_UP = 15;
my $COUNTED = 80;
my $LIKE_IT = 5;     # requests that cost the least
my $RUNS    = 5;     # at most

# The variables that a CGI finds, 40 of them. Not by SetEnvIf, which would look each of them up for
# each request: what that costs depends on the addresses of their names.
my @CGI = qw(
    AUTH_TYPE CONTENT_LENGTH CONTENT_TYPE CONTEXT_DOCUMENT_ROOT CONTEXT_PREFIX DOCUMENT_ROOT GATEWAY_INTERFACE
    HTTPS HTTP_ACCEPT HTTP_ACCEPT_ENCODING HTTP_ACCEPT_LANGUAGE HTTP_CACHE_CONTROL HTTP_CONNECTION HTTP_COOKIE
    HTTP_DNT HTTP_HOST HTTP_IF_MODIFIED_SINCE HTTP_ORIGIN HTTP_REFERER HTTP_USER_AGENT HTTP_X_FORWARDED_FOR
    HTTP_X_FORWARDED_PROTO PATH PATH_INFO PATH_TRANSLATED QUERY_STRING REMOTE_ADDR REMOTE_PORT REMOTE_USER
    REQUEST_METHOD REQUEST_SCHEME REQUEST_URI SCRIPT_FILENAME SCRIPT_NAME SERVER_ADDR SERVER_ADMIN SERVER_NAME
    SERVER_PORT SERVER_PROTOCOL SERVER_SOFTWARE
);

# What a service that is not up writes: its variables, three exported ones and two notes.
sub entries ($variables) { return $variables + 3 + 2 }

# The most that a request may cost more than one without us; where three sections of ours are merged;
# and where an alias or an expression is among what is written.
sub budget ( $variables = undef, $down = 1 ) { return 150 + ( defined $variables ? 330 * entries($variables) * $down : 0 ) }

sub budget_of_sections () { return budget() + 200 }

sub budget_of_reading ($variables) { return budget() + 1600 * entries($variables) }

# The same configuration again is not measured again.
sub measure_once (%arg) {
    state %known;
    return $known{ join ' ', map {"$_=$arg{$_}"} sort keys %arg } //= measure(%arg);
}

# Returns { instructions, profile }: what a request costs, and the profile of one of them.
#   services   how many; 0: an idle thread instead of our module
#   variables  the first service is down, with so many variables; undef: all are up
#   settings   what they are: 'plain' values, 'expression's, or those of an 'alias', which SetEnv has set
#   down       so many are, each with as many variables of its own
#   directory  'plain', 'merged' from three sections, or 'monitor': each of them has FailoverMonitor
#   endpoints  of each service; 1
#   uses       1: each request counts for the breaker of the first service
#   closed     1: FailoverRequire and FailoverOutageDocument name the first service
#   looks      1: FailoverStatus and FailoverHealth are On
#   cgi        1: the environment holds 40 variables when we write for the last time
sub measure (%arg) {
    my %all = ( services => 0, directory => 'plain', cgi => 0, endpoints => 1, uses => 0, closed => 0, looks => 0, settings => 'plain', down => defined $arg{variables} ? 1 : 0, %arg );
    my $down = Failover::Peer->new( mode => 'refuse' );
    my @up   = map { Failover::Peer->new } 1 .. $all{endpoints};
    my $httpd = Failover::Httpd->new(
        mpm => 'prefork', log_level => 'warn', failover => $all{services} ? ['failover'] : 0,
        modules => $all{cgi} || $all{settings} eq 'alias' ? ['env'] : [], config => _config( \%all, $down, @up ),
    );
    my $page = $httpd->file( 'htdocs/a/b/c/page.txt', 'x' x 100 );
    utime 1_700_000_000, 1_700_000_000, $page or die "cannot set its time: $!\n";    # a part of the ETag
    my $profile = _usual( $httpd, \%all, $up[0] );
    $httpd->done( _name( \%all ) );
    return { instructions => _own($profile), profile => $profile };
}

# The least is what a request costs that found its bytes and waited for nothing. On a busy machine
# nearly all may have waited: a run in which hardly any did not says nothing. Where in no run the least is
# shared, a single request was of a cheaper kind, and what several share is what counts.
sub _usual ( $httpd, $all, $up ) {
    my ( @count, %profile );
    for ( 1 .. $RUNS ) {
        my @quick = grep { !$_->count('poll') } _run( $httpd, $all, $up );
        %profile = map { _own($_) => $_ } @quick;
        @count   = sort { $a <=> $b } map { _own($_) } @quick;
        return $profile{ $count[0] } if @count >= $LIKE_IT && $count[ $LIKE_IT - 1 ] == $count[0];
    }
    my %shared;
    $shared{$_}++ for @count;
    my ($least) = grep { $shared{$_} >= $LIKE_IT } @count;
    return $profile{$least} if defined $least;
    die "hardly two requests cost the same in $RUNS runs, as in the last one: @count\n";
}

sub _own ($profile) { return $profile->count - $profile->alone($STRINGS) }

# A dump is written whenever a request has been read, so a profile begins there and ends with the
# next one: one whole request.
sub _run ( $httpd, $all, $up ) {
    my $pinged    = $up->connections + $all->{services} - $all->{down};
    my $callgrind = Failover::Callgrind->start( $httpd, '--separate-threads=yes', '--collect-bus=yes', '--dump-before=ap_process_request' );
    $callgrind->await( sub { $up->connections >= $pinged }, 'all to be pinged' );
    $httpd->expect_log(qr/FO0001: s$_ outage/) for 1 .. $all->{down};
    my $socket = persistent($httpd);
    ask( $socket, '/a/b/c/page.txt' ) for 1 .. $WARM_UP + $COUNTED + 1;
    close $socket;
    $callgrind->stop;
    my @profile = $callgrind->profiles('01');
    # Before them are the start and the warm-up, behind them the end.
    die "there are no dumps\n" if @profile < $WARM_UP + $COUNTED + 2;
    return @profile[ -$COUNTED - 3 .. -4 ];
}

sub _config ( $all, $down, @up ) {
    return join '', kept_alive(),
        qq{LogFormat "%h %l %u %t \\"%r\\" %>s %b" common\nCustomLog logs/access common\n},
        ( map {"SetEnv $_ value\n"} $all->{cgi} ? @CGI : () ),
        _sections( $all->{directory} ),
        $all->{services} ? _services( $all, $down, @up ) : "LoadModule idle_module @{[ _idle_module() ]}\n";
}

# Each with time-outs of its own, so that it has its own pings.
sub _service ( $number, @up ) {
    my $timeout = 'timeout=' . ( 60_000 + $number ) . 'ms';
    return "FailoverService s$number tcp://@{[ $up[0]->address ]} $timeout\n" if @up == 1;
    my @endpoint = map {"FailoverEndpoint e$_ tcp://@{[ $up[$_]->address ]} $timeout\n"} 0 .. $#up;
    return "<FailoverService s$number>\n", @endpoint, "</FailoverService>\n";
}

sub _services ( $all, $down, @up ) {
    my @line = map { join '', _service( $_, @up ) } 1 .. $all->{services};
    push @line, "FailoverRequire s1\nFailoverOutageDocument s1 /sorry.html\n" if $all->{closed};
    push @line, "FailoverStatus On\nFailoverHealth On\n" if $all->{looks};
    push @line, "FailoverBreaker window=10s\nFailoverUses s1\n" if $all->{uses};
    for my $number ( 1 .. $all->{down} ) {
        my $url = "tcp://@{[ $down->address ]} timeout=@{[ 60_000 + $number ]}ms";
        $line[ $number - 1 ] = _down( $number, $url, $all );
    }
    return <<~'CONF', @line;
        FailoverMonitoringPingFrequency 1h
        FailoverOutagePingFrequency 1h
        FailoverErrorPingFrequency 1h
        FailoverSpread 0
        CONF
}

sub _down ( $number, $url, $all ) {
    my @name = map {"DATABASE_${number}_$_"} 1 .. $all->{variables};
    return "FailoverService s$number $url @{[ map {qq{$_=spare}} @name ]}\n" if $all->{settings} eq 'plain';
    my @line = $all->{settings} eq 'alias' ? "FailoverAlias DATABASE_${number}_ SPARE_${number}_\n" : map {"FailoverSetEnv $_ %{HTTPS}\n"} @name;
    my @set  = $all->{settings} eq 'alias' ? map { ( "SetEnv $_ first\n", 'SetEnv ' . s/DATABASE/SPARE/r . " spare\n" ) } @name : ();
    return join '', "<FailoverService s$number>\nFailoverEndpoint only $url\n", @line, "</FailoverService>\n", @set;
}

sub _sections ($kind) {
    return () if $kind eq 'plain';
    my $line = $kind eq 'monitor' ? 'FailoverMonitor On' : 'Options -Indexes';
    return map {"<Directory \"\@DIR\@/htdocs/$_\">\n    $line\n</Directory>\n"} qw(a a/b a/b/c);
}

sub _name ($all) {
    return join ', ', "$all->{services} services", "$all->{directory} directory",
        defined $all->{variables} ? "$all->{down} down with $all->{variables} variables, $all->{settings}" : 'all up',
        "$all->{endpoints} endpoints", $all->{uses} ? 'counting' : (), $all->{closed} ? 'closed while it is down' : (), $all->{looks} ? 'with a status and a health endpoint' : (), $all->{cgi} ? 'a CGI environment' : ();
}

sub _idle_module () {
    state $file = do {
        my $dir = private_folder('idle');
        chomp( my $include = `apxs -q INCLUDEDIR` );
        chomp( my $flags   = `pkg-config --cflags apr-1 apr-util-1` );
        system("cc -std=gnu11 -Wall -Wextra -Werror -O2 -fPIC -shared -pthread -I$include $flags -o $dir/mod_idle.so t/idle/mod_idle.c") == 0
            or die "mod_idle.c was not built\n";
        chmod 0755, $dir or die "cannot chmod $dir: $!\n";
        "$dir/mod_idle.so";
    };
    return $file;
}

1;
