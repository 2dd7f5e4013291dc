# A real haproxy in front of two httpd, configured as the manual says: whose critical service dies
# leaves the rotation, without a request that fails once haproxy has noticed, and comes back.
use v5.36;
use Test::More;
use Failover::Cleanup qw(private_folder remove_folder);
use Failover::File;
use Failover::Http qw(http_request);
use Failover::Httpd;
use Failover::Peer;
use Failover::Port qw(free_port);
use Failover::Process;
use Failover::Server::Memcached;
use Failover::States qw(quick);
use Failover::Wait;

my $EVERY = '100ms';                                             # instead of the manual's 2s
my %port  = map { $_ => free_port() } qw(site stats);
my $dir   = private_folder('haproxy');
my @db    = map { Failover::Server::Memcached->new->start } 1, 2;
my $search = Failover::Peer->new;
my @web   = map { web($_) } 1, 2;
my $haproxy = started();

wait_for( sub { states() eq 'UP UP' }, 'both servers to be up' );
is_deeply [ served(20) ], [qw(web1 web2)], 'both serve';

# What is not critical is no reason to leave.
$search->mode('refuse');
for my $web (@web) {
    wait_for( sub { $web->get('/failover-health/ready/search')->status == 503 }, 'it to see the outage' );
    is $web->get('/failover-health/ready')->status, 200, 'it is ready without its search';
}
is states(), 'UP UP', 'and both stay in the rotation';

$db[0]->crash;
wait_for( sub { states() eq 'DOWN UP' }, 'the first to leave the rotation' );
like check_of('web1'), qr/^L7STS 503$/, 'because it said so';
is_deeply [ served(200) ], ['web2'], 'no request fails, and all go to the other';
is $web[0]->get('/page')->status, 500, 'where the first would have failed';
is $web[0]->get('/failover-health/live')->status, 200, 'and lives';

$db[0]->start;
wait_for( sub { states() eq 'UP UP' }, 'the first to come back' );
is_deeply [ served(20) ], [qw(web1 web2)], 'both serve again';

$_->crash for @db;
wait_for( sub { states() eq 'DOWN DOWN' }, 'both to leave' );
is http_request( $port{site}, '/page' )->status, 503, 'haproxy has nobody to send requests to';
is $_->get('/failover-health/live')->status, 200, 'they live all the same' for @web;
$db[1]->start;
wait_for( sub { states() eq 'DOWN UP' }, 'the second to come back' );
is_deeply [ served(20) ], ['web2'], 'which serves alone';

$haproxy->stop;
$_->done for @web, @db;
remove_folder($dir);
done_testing;

# ---------------------------------------------------------------- helpers

# A site whose page fails while its database is down, and that tells who it is.
sub web ($n) {
    my $httpd = Failover::Httpd->new( modules => [qw(authz_host headers rewrite)], config => quick() . <<~"CONF" );
        <FailoverService db>
            FailoverEndpoint main memcached://@{[ $db[ $n - 1 ]->address ]}
            FailoverCritical On
        </FailoverService>
        FailoverService search tcp://@{[ $search->address ]}
        <Location "/failover-health">
            SetHandler failover-health
            FailoverHealth On
            Require local
        </Location>
        Header always set X-Server web$n
        RewriteEngine On
        RewriteCond %{ENV:FAILOVER_DB} =down
        RewriteRule ^/page - [R=500]
        CONF
    $httpd->file( 'htdocs/page', 'page' );
    $httpd->allow_log(qr/FO000[123]: (?:db|search)/);
    return $httpd->start;
}

# The manual's own lines, with these servers and a shorter interval.
sub backend () {
    my ($lines) = slurp('doc/health.md') =~ /^```haproxy\n(.*?)^```$/ms or die "doc/health.md has no lines for haproxy\n";
    my $n = 0;
    $lines =~ s/^( +server \S+) \S+$/"$1 127.0.0.1:@{[ $web[ $n++ ]->port ]}"/gme;
    die "doc/health.md has $n servers\n" if $n != @web;
    $lines =~ s/ inter 2s / inter $EVERY / or die "doc/health.md has no interval\n";
    return $lines;
}

sub started () {
    my $file = spew( "$dir/haproxy.cfg", <<~"CONF" . backend() );
        global
            maxconn 100
        defaults
            mode http
            timeout connect 3s
            timeout client 10s
            timeout server 10s
        listen stats
            bind 127.0.0.1:$port{stats}
            stats enable
            stats uri /
        frontend site
            bind 127.0.0.1:$port{site}
            default_backend web
        CONF
    my $program = Failover::Process::find_program('haproxy');
    my ( $code, $output ) = Failover::Process->run( command => [ $program, '-c', '-f', $file ], output => "$dir/check" );
    is $code, 0, 'haproxy takes the lines of the manual' or diag $output;
    unlike $output, qr/WARNING|ALERT/, 'without a warning';
    return Failover::Process->start( command => [ $program, '-db', '-f', $file ], output => "$dir/output" );
}

# What haproxy says of its servers: { web1 => { status => 'UP', ... }, ... }
sub servers () {
    my @line = split /\n/, http_request( $port{stats}, '/;csv' )->body // '';
    my @head = split /,/, ( shift(@line) // '' ) =~ s/^# //r;
    my %server;
    for (@line) {
        my %field;
        @field{@head} = split /,/, $_, -1;
        $server{ $field{svname} } = \%field if $field{pxname} eq 'web' && $field{svname} =~ /^web/;
    }
    return \%server;
}

# "UP 1/2" is one that a check has failed for, once.
sub states () {
    my $server = servers();
    return join ' ', map { $server->{$_}{status} } sort keys %$server;
}

sub check_of ($name) { return join ' ', servers()->{$name}->@{qw(check_status check_code)} }

# Who answered so many requests, each of which must be well.
sub served ($count) {
    my ( %by, %odd );
    for ( 1 .. $count ) {
        my $answer = http_request( $port{site}, '/page' );
        $answer->status == 200 ? $by{ $answer->header('X-Server') }++ : $odd{ $answer->status }++;
    }
    is_deeply \%odd, {}, "all of $count requests are well";
    return sort keys %by;
}
