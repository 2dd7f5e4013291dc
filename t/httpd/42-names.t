# Names: looked up anew for each ping, off the request's thread; the last good address is kept while
# the resolver fails; all addresses of a name are tried. In a mount namespace of the test's own, with
# a hosts file that it writes and a resolver that is not there.
use v5.36;
use Test::More;
use Failover::Cleanup qw(private_folder remove_folder);
use Failover::Httpd;
use Failover::Peer;
use Failover::States qw(quick);
use Failover::Wait;

if ( !$ENV{FAILOVER_OWN_NAMES} ) {
    $ENV{FAILOVER_OWN_NAMES} = 1;
    exec 'unshare', '--mount', $^X, '-It/lib', $0 or BAIL_OUT("no mount namespace: $!");
}

my $dir = private_folder('names');

# In place: the file is what is mounted.
sub hosts (@lines) {
    open my $file, '>', "$dir/hosts" or die "$dir/hosts: $!";
    print $file map {"$_\n"} @lines;
    close $file;
}

sub mount_over ( $source, $target ) {
    system( 'mount', '--bind', $source, $target ) == 0 or BAIL_OUT("$target cannot be mounted over");
}

hosts('127.0.0.1 localhost');
open my $resolver, '>', "$dir/resolv.conf" or die "$dir/resolv.conf: $!";
print $resolver "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";
close $resolver;
mount_over( "$dir/hosts",       '/etc/hosts' );
mount_over( "$dir/resolv.conf", '/etc/resolv.conf' );

sub httpd_with ($line) {
    my $httpd = Failover::Httpd->new( modules => [qw(cgi env)], config => quick() . "$line\n" );
    $httpd->start;
    return $httpd;
}

sub state_of ($httpd) { return $httpd->get('/cgi-bin/env')->env('X') // 'up' }

# Pings go by requests: this one makes them until as many more have come.
sub more_pings ( $httpd, $peer, $n ) {
    my $before = $peer->connections;
    wait_for( sub { $httpd->get('/'); $peer->connections >= $before + $n }, "$n more pings" );
    return;
}

subtest 'the last good address is kept while the resolver fails' => sub {
    my $peer = Failover::Peer->new;
    hosts( '127.0.0.1 localhost', '127.0.0.1 db.failover.test' );
    my $httpd = httpd_with( 'FailoverService db tcp://db.failover.test:' . $peer->port . ' X=down' );
    $httpd->get('/');
    more_pings( $httpd, $peer, 1 );
    hosts('127.0.0.1 localhost');
    more_pings( $httpd, $peer, 3 );
    is state_of($httpd), 'up', 'still up';
    $peer->mode('refuse');
    wait_for( sub { state_of($httpd) eq 'down' }, 'a real outage is still found' );
    $httpd->take_log(qr/FO0001: db outage.* endpoint db\.failover\.test:\d+: connect: Connection refused/);
    $httpd->done;
};

subtest 'an address that changes' => sub {
    my $peer = Failover::Peer->new;
    hosts( '127.0.0.1 localhost', '127.0.0.1 db.failover.test' );
    my $httpd = httpd_with( 'FailoverService db tcp://db.failover.test:' . $peer->port . ' X=down' );
    $httpd->get('/');
    more_pings( $httpd, $peer, 1 );
    hosts( '127.0.0.1 localhost', '127.0.0.9 db.failover.test' );
    wait_for( sub { state_of($httpd) eq 'down' }, 'nothing listens at the new address' );
    $httpd->take_log(qr/FO0001: db outage/);
    hosts( '127.0.0.1 localhost', '127.0.0.1 db.failover.test' );
    wait_for( sub { state_of($httpd) eq 'up' }, 'back at the old one' );
    $httpd->take_log(qr/FO0003: db is back up/);
    $httpd->done;
};

subtest 'one of several addresses answers' => sub {
    my $peer = Failover::Peer->new;
    hosts( '127.0.0.1 localhost', '127.0.0.9 db.failover.test', '127.0.0.1 db.failover.test' );
    my $httpd = httpd_with( 'FailoverService db tcp://db.failover.test:' . $peer->port . ' X=down' );
    $httpd->get('/');
    more_pings( $httpd, $peer, 2 );
    is state_of($httpd), 'up', 'one that answers is enough';
    $httpd->done;
};

subtest 'a resolver that is not there is our own side' => sub {
    hosts('127.0.0.1 localhost');
    my $httpd = httpd_with('FailoverService db tcp://other.failover.test:9 X=down');
    wait_for( sub { $httpd->get('/'); $httpd->error_log =~ /FO0005/ }, 'a ping thrown away' );
    $httpd->take_log(qr/FO0005: db: 1 ping thrown away \(self\).* resolve: other\.failover\.test: .*resolv/);
    is state_of($httpd), 'up', 'no verdict, no outage';
    $httpd->done;
};

remove_folder($dir);
done_testing;
