# While all is well a request makes the same system calls as without us, and nobody else in the child
# makes any: seen by strace under prefork, where a request is one thread's from beginning to end.
use v5.36;
use Test::More;
use Failover::File;
use Failover::Httpd;
use Failover::KeptAlive;
use Failover::Peer;
use Failover::Process;
use Failover::Seen;
use Failover::Wait;

my $REQUESTS = 50;

# { calls => the list of one request's system calls, others => those of other threads }
sub calls_of (%arg) {
    my $httpd = Failover::Httpd->new( mpm => 'prefork', failover => $arg{failover}, config => kept_alive() . $arg{config} );
    my $page  = $httpd->file( 'htdocs/page.txt', 'x' x 100 );
    $httpd->start;
    $arg{ready}->($httpd) if $arg{ready};
    my ($child) = $httpd->children;
    my $socket  = persistent($httpd);
    ask( $socket, '/page.txt' ) for 1 .. 5;
    my $trace  = $httpd->dir . '/trace';
    my $strace = Failover::Process->start(
        command => [ Failover::Process::find_program('strace'), '-f', '-o', $trace, '-p', $child ],
        output  => "$trace.output",
    );
    my $threads = () = glob "/proc/$child/task/*";
    wait_for( sub { is_traced( $child, $strace->pid ) }, 'strace to attach' );
    ask( $socket, '/page.txt' ) for 1 .. $REQUESTS;
    wait_for( sub { ( () = slurp($trace) =~ /"GET /g ) >= $REQUESTS }, 'the trace of all requests' );
    $strace->signal('INT');
    wait_for( sub { !$strace->leader_alive }, 'the end of strace' );
    close $socket;
    $httpd->done( $arg{failover} ? 'a clean stop with us' : 'a clean stop without us' );
    return { %{ requests_in( slurp($trace), $child ) }, threads => $threads };
}

# All threads of a process are traced by that one.
sub is_traced ( $pid, $tracer ) {
    for my $status ( glob "/proc/$pid/task/*/status" ) {
        return 0 if slurp($status) !~ /^TracerPid:\t$tracer$/m;
    }
    return 1;
}

# A request begins where its bytes are read. Whether they were there at once or had to be waited for
# is chance: a read that found none and a wait are left out. The first and the last may be cut.
sub requests_in ( $trace, $child ) {
    my ( @request, %others );
    for my $line ( split /\n/, $trace ) {
        my ( $thread, $name, $rest ) = $line =~ /^(\d+) +(?:<[.]{3} )?(\w+)(.*)/ or next;
        next if $rest =~ /resuming interrupted|detached/;    # what they were in when strace came and went
        if ( $thread != $child ) { $others{$name}++; next }
        next if $name eq 'poll' || $rest =~ /EAGAIN|unfinished/;
        push @request, [] if $name eq 'read' && $rest =~ /"GET /;
        push @{ $request[-1] }, $name if @request;
    }
    my %seen;
    $seen{ join ' ', @$_ }++ for @request[ 1 .. $#request - 1 ];
    my ($most) = sort { $seen{$b} <=> $seen{$a} } keys %seen;
    return { calls => $most, seen => \%seen, others => \%others };
}

my ( $one, $two ) = map { Failover::Peer->new } 1 .. 2;
my $services = <<~"CONF";
    FailoverMonitoringPingFrequency 1h
    FailoverErrorPingFrequency 1h
    FailoverSpread 0
    FailoverService one tcp://@{[ $one->address ]} ONE=spare
    FailoverService two tcp://@{[ $two->address ]} TWO=spare
    CONF
my $without = calls_of( failover => 0, config => qq{LogFormat "%q" plain\nCustomLog logs/access plain\n} );
my $with    = calls_of(
    failover => ['failover'], config => $services . shows_states(qw(one two)),
    ready    => sub ($httpd) { wait_for_states( $httpd, 'up up' ) },
);
like $without->{calls}, qr/^read .*(?:open|openat) .*write/, "a request without us: $without->{calls}";
is $with->{calls}, $without->{calls}, 'the same with us';
is_deeply [ sort keys %{ $with->{seen} } ], [ $with->{calls} ], 'each request alike' or diag explain $with->{seen};
is_deeply $with->{others}, {}, 'no other thread calls';
is $with->{threads}, 2, 'and there is one: the monitor';

done_testing;
