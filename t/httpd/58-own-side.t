# A network that is ours to break: connects that this host forbids (EACCES), and a resolver that does
# not answer. No outage is found that is none; one that is real is found as soon as the connects are
# allowed again, and meanwhile where an address is known. In network and mount namespaces of the
# test's own.
use v5.36;
use Test::More;
use Failover::Cleanup qw(private_folder remove_folder);
use Failover::File;
use Failover::Forms;
use Failover::Httpd;
use Failover::Peer;
use Failover::Namespaces;
use Failover::Seen;
use Failover::States qw(under_each_mpm quick);
use Failover::Wait;
use IO::Socket::INET;

enter_namespaces();
my $folder = private_folder('own');
my $hosts  = spew( "$folder/hosts",       "127.0.0.1 localhost\n" );
my $conf   = spew( "$folder/resolv.conf", "nameserver 127.0.0.1\n" );
mount_over( $hosts, '/etc/hosts' );
mount_over( $conf,  '/etc/resolv.conf' );
ip(qw(link set lo up));

# Rules of the test come before the table that says what is local.
ip(qw(rule add pref 100 lookup local));
ip(qw(rule del pref 0));

my $forms = Failover::Forms->new;

under_each_mpm 'connects are forbidden', sub ($mpm) {
    my $app   = $forms->app;
    my @port  = $forms->ports;
    my $httpd = start_httpd( $mpm, [ $forms->names ], $forms->config );
    wait_for_states( $httpd, $forms->up );
    ip( qw(rule add pref 5 ipproto tcp dport), $_, 'prohibit' ) for @port;
    ok !IO::Socket::INET->new( PeerAddr => '127.0.0.1', PeerPort => $port[0] ), 'nobody here can connect';
    ok $!{EACCES}, "$!";
    wait_for( sub { $httpd->get('/'); 4 == keys { map { /FO0005: (\w+)/ ? ( $1 => 1 ) : () } said( $httpd, 'FO0005' ) }->%* }, 'pings to be thrown away' );
    like $httpd->take_log(qr/FO0005: $_: /), qr/1 ping thrown away \(self\).* connect: Permission denied: something here forbids the connect/, "$_: said" for $forms->names;
    $app->mode('refuse');
    for_a_while( sub { $httpd->get('/') } );
    is states($httpd), $forms->up, 'no outage while it lasts';
    ip( qw(rule del pref 5 ipproto tcp dport), $_, 'prohibit' ) for @port;
    my $began = now();
    wait_for_states( $httpd, 'down up up up' );
    cmp_ok now() - $began, '<', 1, 'what is real, as soon as it ends';
    outage_is( $httpd, 'app', $app->address, 'connect: Connection refused' );
    $app->mode('mute');
    $httpd->done;
};

# Where a name server should be, somebody takes the questions and never answers.
under_each_mpm 'a dead resolver', sub ($mpm) {
    my @name = map {"$_.failover.test"} qw(app web new);
    my @peer = map { Failover::Peer->new } 1 .. 2;
    spew( $hosts, "127.0.0.1 localhost $name[0] $name[1]\n" );
    my $nobody = IO::Socket::INET->new( LocalAddr => '127.0.0.1', LocalPort => 53, Proto => 'udp', Blocking => 0 ) or die "no port 53: $!\n";
    my $httpd  = start_httpd( $mpm, [qw(app web new)], <<~"CONF" );
        FailoverPingTimeout 1s
        FailoverService app tcp://$name[0]:@{[ $peer[0]->port ]}
        FailoverService web tcp://$name[1]:@{[ $peer[1]->port ]}
        FailoverService new tcp://$name[2]:9
        CONF
    $httpd->allow_log(qr/FO0009: .* a ping may take/);
    wait_for( sub { $httpd->get('/'); !grep { !$_->connections } @peer }, 'the first pings' );
    spew( $hosts, "127.0.0.1 localhost\n" );
    my $asked = '';
    wait_for(
        sub {
            $httpd->get('/');
            while ( defined $nobody->recv( my $question, 1000 ) ) { $asked .= $question }
            return !grep { $asked !~ /\Q$_\E/ } qw(app web new);
        },
        'the resolver to be asked for each'
    );
    like $httpd->take_log(qr/FO0005: new: /), qr/1 ping thrown away \(self\).* resolve: timed out after 1s: this host is overloaded, or its resolver does not answer$/, 'of a name that was never found: said';
    my @before = map { $_->connections } @peer;
    wait_for( sub { $httpd->get('/'); !grep { $peer[$_]->connections < $before[$_] + 2 } 0, 1 }, 'pings go to the last good address' );
    is states($httpd), 'up up up', 'no outage';
    $peer[0]->mode('refuse');
    wait_for_states( $httpd, 'down up up' );
    outage_is( $httpd, 'app', "$name[0]:" . $peer[0]->port, 'connect: Connection refused', 'a real one is found meanwhile' );
    $peer[0]->mode('mute');
    wait_for_states( $httpd, 'up up up' );
    $httpd->take_log(qr/FO0003: app/);
    $httpd->done;
};

$forms->done;
remove_folder($folder);
done_testing;

# ---------------------------------------------------------------- helpers


sub start_httpd ( $mpm, $names, @lines ) {
    return Failover::Httpd->new( mpm => $mpm, config => join "\n", quick(), @lines, shows_states(@$names) )->start;
}

# Some pings more, about which nothing is to be seen.
sub for_a_while ($body) {
    my $end = now() + 1;
    return wait_for( sub { $body->(); now() > $end }, 'a second to pass' );
}
