# The example of doc/add-a-probe.md: built against the installed header alone, loaded beside us, and
# asked: a probe of somebody else's.
use v5.36;
use Test::More;
use Failover::Cleanup qw(private_folder remove_folder);
use Failover::Httpd;
use Failover::Peer;
use Failover::States qw(quick);
use Failover::Wait;

my $dir = private_folder('example');
system( 'make', '-s', 'install', "DESTDIR=$dir" ) == 0 or BAIL_OUT('make install fails');
chomp( my $include = `apxs -q INCLUDEDIR` );
chomp( my $flags   = `pkg-config --cflags apr-1` );
my $built = system "cc -std=gnu11 -Wall -Wextra -Werror -fPIC -shared -I$dir$include -I$include $flags"
    . " -o $dir/mod_failover_example.so t/example/mod_failover_example.c";
is $built, 0, 'it builds with the installed header alone' or BAIL_OUT('no example');

my $peer  = Failover::Peer->new( mode => 'say', bytes => "220 ready\r\n" );
my $httpd = Failover::Httpd->new( modules => [qw(cgi env)], config => quick() . <<"CONF" );
LoadModule failover_example_module $dir/mod_failover_example.so
FailoverService mail banner://@{[ $peer->address ]} expect=220 X=down
CONF
$httpd->start;
is $httpd->get('/cgi-bin/env')->env('X'), undef, 'up: the banner is the expected one';
$peer->mode( 'say', bytes => "554 closed\r\n" );
wait_for( sub { ( $httpd->get('/cgi-bin/env')->env('X') // '' ) eq 'down' }, 'another banner' );
$httpd->take_log(qr/FO0001: mail outage.*answer: said '554 closed'/);
$httpd->done;

# Its listener hears of each change, in its words; one that fails is logged and stops nothing.
my ( $east, $west ) = map { Failover::Peer->new } 1, 2;
my $hears = Failover::Httpd->new( children => 1, config => quick() . <<"CONF" )->start;
LoadModule failover_example_module $dir/mod_failover_example.so
<FailoverService db>
    FailoverEndpoint east tcp://@{[ $east->address ]}
    FailoverEndpoint west tcp://@{[ $west->address ]} weight=0.5
    FailoverGracePeriod 0
    FailoverFailback auto interval=100ms
    FailoverAttempts 1 delay=100ms
</FailoverService>
FailoverService sulky tcp://@{[ $west->address ]}
CONF
sub heard () { return [ map { /example: db (.*)/ ? $1 : () } split /\n/, $hears->error_log ] }
sub await ( $n, $what ) { wait_for( sub { $hears->get('/'); heard()->@* >= $n }, $what ); return }
wait_for( sub { $hears->get('/'); $east->connections && $west->connections }, 'the first pings' );
$east->mode('refuse');
await( 1, 'a switch' );
$west->mode('refuse');
await( 3, 'an outage that is too long' );
$west->mode('mute');
await( 4, 'a rescue' );
$east->mode('mute');
await( 6, 'a failback' );
$west->mode('refuse');
await( 7, 'a spare one' );
is_deeply heard(), [
    'switch east west up failover 1',
    'outage west - failover down 2',
    'unavailable west - down down 2',
    'rescue west - down failover 3',
    'spare-back east - failover failover 3',
    'failback east west failover up 4',
    'spare-down west - up up 4',
], 'each change, with the states before and after, and the epoch';
like $hears->take_log(qr/FO0022/), qr/:warn\] .*FO0022: sulky: .*example.* was told of 'outage' and failed: I am not in the mood \(Process ID: \d+\)/, 'a listener that fails';
$hears->allow_log(qr/FO0022|FO0001|FO0018|FO0016/);
$hears->done;

my ( $code, $output ) = Failover::Httpd->new( config => <<"CONF" )->configtest;
LoadModule failover_example_module $dir/mod_failover_example.so
FailoverService mail banner://127.0.0.1:25 expekt=220
CONF
isnt $code, 0, 'an option that it does not know';
like $output, qr/'expekt=' is no option of banner:.* there are weight=.*expect=/, 'and what it knows';

remove_folder($dir);
done_testing;
