# Where an entry may come from: with and without a server, a connection and a request, in the parent,
# while a child begins and ends, in a signal handler, and from within the hook on the error log. Each
# that a child can act on triggers a ping, and none does harm.
use v5.36;
use Test::More;
use Failover::Cleanup qw(private_folder remove_folder);
use Failover::Httpd;
use Failover::Peer;
use Failover::Sanitizer;
use Failover::Seen;
use Failover::States qw(under_each_mpm);
use Failover::Wait;

my $dir = private_folder('noise');
chomp( my $include = `apxs -q INCLUDEDIR` );
chomp( my $flags   = `pkg-config --cflags apr-1 apr-util-1` );
my $failed = system "cc -std=gnu11 -Wall -Wextra -Werror -fPIC -shared -I$include $flags -o $dir/mod_noise.so t/noise/mod_noise.c";
is $failed, 0, 'the module that makes the noise is built' or BAIL_OUT('no noise');

under_each_mpm 'noise', sub ($mpm) {
    my $peer  = Failover::Peer->new;
    my $httpd = Failover::Httpd->new( mpm => $mpm, config => <<~"CONF" . shows_states('db') );
        LoadModule noise_module $dir/mod_noise.so
        FailoverErrorPingFrequency 10ms
        FailoverInherit Off
        FailoverSpread 0
        FailoverErrorMatch from=noise,core,mpm_$mpm /./
        FailoverService db tcp://@{[ $peer->address ]} DB=spare
        <Location "/noise">
            SetHandler noise
        </Location>
        CONF
    $httpd->allow_log(qr/Connection refused: noise of|AH00036|AH00128/);
    $httpd->start;
    wait_for_states( $httpd, 'up' );
    for my $kind (qw(nobody server pool connection request echo)) {
        my $before = $peer->connections;
        is $httpd->body("/noise?$kind"), 'noisy', "with $kind";
        wait_for( sub { $peer->connections > $before }, 'a ping' );
    }
    my @echo = grep {/an echo/} split /\n/, $httpd->error_log;
    is scalar(@echo), 3, 'the hook was called from within itself';
    if ( $mpm eq 'prefork' ) {
        my $before = $peer->connections;
        kill signal_number(), $httpd->children;
        # TSan calls the handler itself, once its child has come back from accept().
        $httpd->body('/') if Failover::Sanitizer::name() eq 'tsan';
        wait_for( sub { $peer->connections > $before }, 'the ping of a signal handler' );
        $httpd->take_log(qr/noise of a signal handler/);
    }
    is states($httpd), 'up', 'still there';

    # Ends of children, by all ways, while requests make noise.
    for my $end (qw(graceful restart)) {
        my ($child) = $httpd->children;
        $httpd->body("/noise?request") for 1 .. 5;
        $httpd->$end;
        $httpd->take_log(qr/pid $child:.*noise of a child that stops/) if $mpm ne 'prefork' || $end eq 'graceful';
        $httpd->take_log(qr/pid $child:.*noise of a child's $_ cleanup/) for qw(first last);
        is states($httpd), 'up', "after a $end";
    }
    like $httpd->error_log, qr/noise of the parent/, 'the parent made noise as well';
    my $before = $peer->connections;
    my $began  = now();
    wait_for( sub { now() > $began + 0.3 }, 'some silence' );
    is $peer->connections, $before, 'nobody pings when it is over';
    $httpd->done;
};

sub signal_number () {
    require POSIX;
    return POSIX::SIGRTMIN();
}

remove_folder($dir);
done_testing;
