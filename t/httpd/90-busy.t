# Twice as many busy loops as cores beside the module: no outage is found that is none, and one that
# is real is found. Runs alone, after the other tests.
#
# FAILOVER_SOAK=SECONDS is how long they run under event (8, as under the others; `make soak`: 600).
use v5.36;
use Test::More;
use Failover::Cleanup qw(fork_child release_group);
use Failover::File;
use Failover::Forms;
use Failover::Httpd;
use Failover::Seen;
use Failover::States qw(under_each_mpm);
use Failover::Wait;
use POSIX ();

my $forms = Failover::Forms->new;
my $cores = () = slurp('/proc/cpuinfo') =~ /^processor/mg;

# The built-in time-outs; only the frequency is for tests.
under_each_mpm 'busy loops', sub ($mpm) {
    my $span  = $mpm eq 'event' && $ENV{FAILOVER_SOAK} || 8;
    my $httpd = Failover::Httpd->new( mpm => $mpm, config => <<~'CONF' . $forms->config . shows_states( $forms->names ) );
        FailoverMonitoringPingFrequency 50ms
        FailoverOutagePingFrequency     50ms
        FailoverErrorPingFrequency      50ms
        FailoverSpread                  0
        CONF
    $httpd->allow_log(qr/FO0009: .* a ping may take|FO0005: /);
    $httpd->start;
    wait_for_states( $httpd, $forms->up );
    my @loop  = map { fork_child( sub { 1 while 1 } ) } 1 .. 2 * $cores;
    my $began = now();
    my $pings = $forms->app->connections;
    my ( $last, $n );
    wait_for( sub { $n++; $last = states($httpd); $last ne $forms->up || now() > $began + $span }, 'the time to pass', $span + 10 );
    my @share = sort { $a <=> $b } map { cpu_of($_) / ( now() - $began ) } @loop;
    note sprintf '%.0f s, %d requests, %d pings of the first; each loop had %.0f%% to %.0f%% of a core', now() - $began, $n, $forms->app->connections - $pings, map { 100 * $_ } @share[ 0, -1 ];
    is $last, $forms->up, 'all up, in each request';
    ok $share[0] > 0.01 && $share[-1] < 0.9, 'the loops ran, and waited for a core themselves';
    is scalar said( $httpd, 'FO0001' ), 0, 'no outage';
    is_found( $httpd, $forms, 'a real outage beside them' );
    for my $pid (@loop) { kill 'KILL', $pid; waitpid $pid, 0; release_group($pid) }
    $httpd->done;
};

$forms->done;
done_testing;

# Seconds of processor time that a process has had.
sub cpu_of ($pid) {
    my @field = split ' ', slurp("/proc/$pid/stat") =~ s/^.*\)//sr;
    return $field[11] / POSIX::sysconf( POSIX::_SC_CLK_TCK() );
}
