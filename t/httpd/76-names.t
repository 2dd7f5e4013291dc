# Names and addresses: IPv6, names with addresses of both kinds, tried in the resolver's order within
# the one deadline, names that come to mean another address, and names that mean none yet when httpd
# starts. In network and mount namespaces of the test's own.
use v5.36;
use Test::More;
use Failover::Cleanup qw(private_folder);
use Failover::File;
use Failover::Httpd;
use Failover::Namespaces;
use Failover::Seen;
use Failover::Server::Redis;
use Failover::States qw(under_each_mpm quick);
use Failover::Wait;

enter_namespaces();
my $folder = private_folder('names');
my $hosts  = spew( "$folder/hosts",       "127.0.0.1 localhost\n" );
my $conf   = spew( "$folder/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n" );    # where nobody listens
mount_over( $hosts, '/etc/hosts' );
mount_over( $conf,  '/etc/resolv.conf' );
ip(qw(link set lo up));
my ( $FOUR, $OTHER, $SIX, $LOST ) = qw(192.0.2.1 192.0.2.2 2001:db8::1 2001:db8:1::1);
ip( qw(addr add), "$_/32",         qw(dev lo) ) for $FOUR, $OTHER;
ip( qw(addr add), "$SIX/128", qw(dev lo) );

# What is sent to the lost one goes into a cable whose other end drops it.
ip(qw(link add near type veth peer name far));
ip(qw(addr add 2001:db8:1::254/64 dev near nodad));
ip(qw(link set near arp off up));
ip(qw(link set far up));

under_each_mpm 'IPv6', sub ($mpm) {
    my $redis = redis( '127.0.0.1', config => "bind 127.0.0.1 $SIX\nprotected-mode no\n" )->start;
    my $at    = "[$SIX]:" . $redis->port;
    my $httpd = start_httpd( $mpm, ['six'], "FailoverService six redis://$at\n" );
    wait_for_states( $httpd, 'up' );
    $redis->crash;
    wait_for_states( $httpd, 'down' );
    outage_is( $httpd, 'six', $at, 'connect: Connection refused' );
    $redis->start;
    wait_for_states( $httpd, 'up' );
    $httpd->take_log(qr/FO0003: six is back up/);
    $httpd->done;
    $redis->done;
};

# One answers; the other refuses, or what is sent there is lost.
under_each_mpm 'names with several addresses', sub ($mpm) {
    my $redis = redis($FOUR)->start;
    my @name  = qw(refused lost none);
    name( "$SIX refused.test", "$FOUR refused.test", "$LOST lost.test", "$FOUR lost.test", "$LOST none.test", "$OTHER none.test" );
    my $httpd = start_httpd( $mpm, \@name, join '', map {"FailoverService $_ redis://$_.test:@{[ $redis->port ]}\n"} @name );
    wait_for_states( $httpd, 'up up down' );
    outage_is( $httpd, 'none', 'none.test:' . $redis->port, qr/connect: timed out after [45]\d\dms/ );    # its share of the second
    my $before = $redis->counter('total_connections_received');
    wait_for( sub { $httpd->get('/'); $redis->counter('total_connections_received') > $before + 10 }, 'pings of both' );
    is states($httpd), 'up up down', 'they stay up';
    $redis->crash;
    wait_for_states( $httpd, 'down down down' );
    outage_is( $httpd, 'refused', 'refused.test:' . $redis->port, 'connect: Connection refused' );
    outage_is( $httpd, 'lost',    'lost.test:' . $redis->port,    qr/connect: timed out after [45]\d\dms/ );
    $redis->start;
    wait_for_states( $httpd, 'up up down' );
    $httpd->take_log(qr/FO0003: $_ is back up/) for qw(refused lost);
    $httpd->done;
    $redis->done;
};

# The new address is asked before anybody relies on it; the old one no more.
under_each_mpm 'a name that comes to mean another address', sub ($mpm) {
    my $old  = redis($FOUR)->start;
    my $new  = redis( $OTHER, port => $old->port );
    my $name = "db.test:@{[ $old->port ]}";
    name("$FOUR db.test");
    my $httpd = start_httpd( $mpm, ['db'], "FailoverService db redis://$name\n" );
    wait_for_states( $httpd, 'up' );
    name("$OTHER db.test");
    wait_for_states( $httpd, 'down' );
    outage_is( $httpd, 'db', $name, 'connect: Connection refused' );
    $new->start;
    wait_for_states( $httpd, 'up' );
    $httpd->take_log(qr/FO0003: db is back up/);
    $old->crash;
    my $before = $new->counter('total_connections_received');
    wait_for( sub { $httpd->get('/'); $new->counter('total_connections_received') > $before + 10 }, 'pings of the new one' );
    is states($httpd), 'up', 'nobody misses the old one';
    $httpd->done;
    $_->done for $old, $new;
};

under_each_mpm 'a name that means nothing yet', sub ($mpm) {
    my $redis = redis($FOUR)->start;
    name();
    my $httpd = start_httpd( $mpm, ['db'], "FailoverService db redis://later.test:@{[ $redis->port ]}\n" );
    is( ( $httpd->configtest )[0], 0, 'httpd -t passes' );
    $httpd->get('/');
    like $httpd->take_log(qr/FO0005: db: /), qr/resolve: later[.]test: /, 'the resolver is in trouble, and that is said';
    is states($httpd), 'up', 'which is no outage';
    name("$OTHER later.test");
    wait_for_states( $httpd, 'down' );
    outage_is( $httpd, 'db', 'later.test:' . $redis->port, 'connect: Connection refused' );
    name("$FOUR later.test");
    wait_for_states( $httpd, 'up' );
    $httpd->take_log(qr/FO0003: db is back up/);
    $httpd->done;
    $redis->done;
};

done_testing;

# ---------------------------------------------------------------- helpers

sub redis ( $address, %arg ) {
    return Failover::Server::Redis->new( host => $address, config => "protected-mode no\n", %arg );
}

sub name (@line) { return spew( $hosts, join "\n", '127.0.0.1 localhost', @line, '' ) }

sub start_httpd ( $mpm, $names, $services ) {
    my $policy = quick() =~ s/PingTimeout\s+\K200ms/1s/r;
    my $httpd  = Failover::Httpd->new( mpm => $mpm, modules => [qw(cgi env)], config => $policy . $services . shows_states(@$names) );
    $httpd->allow_log(qr/FO0009: .* a ping may take|FO0005: db: .*resolve: /);
    return $httpd->start;
}
