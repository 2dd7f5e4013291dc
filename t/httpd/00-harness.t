# The harness itself, on a stock httpd: what the other tests rest on.
use v5.36;
use Test::More;
use Failover::Cleanup qw(private_folder);
use Failover::File;
use Failover::Httpd;
use Failover::Log;
use Failover::Peer;
use Failover::Port qw(free_port);
use Failover::Process;
use Failover::States qw(under_each_mpm);
use Failover::Wait;
use IO::Socket::INET;

under_each_mpm 'a private httpd', sub ($mpm) {
    my $httpd = Failover::Httpd->new(
        mpm => $mpm, failover => 0, modules => [qw(cgi env)], children => 2, config => 'SetEnv DB_HOST db1' );
    is_deeply [ $httpd->configtest ], [ 0, "Syntax OK\n" ], 'its configuration is sound';
    $httpd->start;
    my @child = $httpd->children;
    is scalar @child, 2, 'as many children as asked for';
    is $httpd->get('/cgi-bin/env')->env('DB_HOST'), 'db1', 'a CGI sees its environment';
    is $httpd->body('/cgi-bin/value?NO_SUCH'), '(absent)', 'and what is not there';
    is $httpd->get('/missing')->status, 404, 'a status';

    $httpd->graceful;
    wait_for( sub { !grep { Failover::Process::is_running($_) } @child }, 'the old children to go' );
    is $httpd->get('/cgi-bin/env')->status, 200, 'after a graceful restart';
    $httpd->restart;
    is $httpd->get('/cgi-bin/env')->status, 200, 'after a restart';

    my $pid = $httpd->pid;
    cmp_ok $httpd->stop, '<', 5, 'it stops';
    ok !Failover::Process::is_running($pid), 'and nothing of it is left';
    $httpd->done;
};

subtest 'a mistake in the configuration' => sub {
    my $httpd = Failover::Httpd->new( failover => 0, config => "\nNoSuchDirective\n" );
    my ( $code, $output ) = $httpd->configtest;
    is $code, 1, 'httpd -t fails';
    like $output, qr/line \d+ of .*httpd[.]conf.*NoSuchDirective/s, 'and says where';
    ok !eval { $httpd->start; 1 }, 'start dies';
    like $@, qr/NoSuchDirective/, 'with httpd\'s words';
};

subtest 'the discipline of the log' => sub {
    my $dir = private_folder('log');
    my $log = Failover::Log->new(
        path => "$dir/log", name => 'the log', is_bad => sub ($line) { $line =~ /bad/ } );
    spew( "$dir/log", "good\nbad one\nbad two\nbad two\nbad news\n" );
    $log->expect(qr/bad two/);
    $log->expect(qr/never/);
    $log->allow(qr/news/);
    is $log->take(qr/one/), 'bad one', 'a line is taken';
    is_deeply [ $log->problems ], [
        'announced, but not in the log: (?^u:never)',
        'unannounced in the log: bad two',
    ], 'an announcement is for one line; what is missing or unannounced is a problem';
    is_deeply [ map { Failover::Httpd::_is_bad($_) ? 1 : 0 } (
        '[Sun Nov 22 20:40:21 2026] [core:notice] [pid 1:tid 1] AH00094: Command line',
        '[Sun Nov 22 20:40:21 2026] [failover:warn] [pid 1:tid 1] FO0001: something',
        '[Sun Nov 22 20:40:21 2026] [core:notice] [pid 1] AH00052: child pid 7 exit signal Abort (6)',
        'malloc(): corrupted top size',
    ) ], [ 0, 1, 1, 1 ], 'bad lines of httpd are warnings, crashes and last words';
};

subtest 'fake peers' => sub {
    my $peer = Failover::Peer->new( bytes => 'hello' );
    is read_from($peer), 'silence', 'mute';
    is read_from( $peer->mode('say') ), 'hello', 'say';
    is read_from( $peer->mode('reply'), '?' ), 'hello', 'reply';
    is read_from( $peer->mode('close') ), 'end', 'close';
    is read_from( $peer->mode('reset') ), 'Connection reset by peer', 'reset';
    is read_from( $peer->mode('refuse') ), 'Connection refused', 'refuse';
    is read_from( $peer->mode('drip') ), 'h', 'drip';
    is length read_from( $peer->mode('garbage') ), 64, 'garbage';
    is $peer->connections, 7, 'every connection that was accepted is counted';
    is read_from( $peer->mode('deaf') ), 'silence', 'deaf';
    is $peer->connections, 7, 'a deaf one accepts none';
    ok !eval { $peer->mode('kind'); 1 }, 'an unknown mode is an error';
};

subtest 'ports' => sub {
    my %port = map { free_port() => 1 } 1 .. 50;
    is scalar keys %port, 50, 'no port is given twice';
};

# A test that is killed takes its httpd, its peers and its folders along.
subtest 'nothing stays behind' => sub {
    my $dir     = private_folder('victim');
    my $program = spew( "$dir/victim", <<~'PERL' );
        use Failover::Httpd;
        use Failover::Peer;
        my $peer  = Failover::Peer->new;
        my $httpd = Failover::Httpd->new( failover => 0, config => '' )->start;
        $| = 1;
        print join( ' ', $httpd->dir, $httpd->pid, $peer->{pid} ), "\n";
        sleep 60;
        PERL
    for my $signal (qw(TERM KILL)) {
        unlink "$dir/said";
        my $victim = Failover::Process->start(
            command => [ $^X, ( map { "-I$_" } @INC ), $program ], output => "$dir/said" );
        my $said = wait_for( sub { slurp("$dir/said") =~ /(.+)\n/ && $1 }, 'the victim' );
        my ( $folder, @pid ) = split ' ', $said;
        is scalar( grep { kill 0, $_ } @pid ), 2, "$signal: its processes were there";
        $victim->signal($signal);
        wait_for( sub { !-e $folder }, "$folder to go" );
        my $is_gone = sub { !grep { Failover::Process::is_running($_) } @pid };
        ok wait_for( $is_gone, 'all to go' ), "$signal: all are gone";
        $victim->stop;
    }
};

subtest 'a missing component is an error' => sub {
    ok !eval { Failover::Process::find_program('no-such-program'); 1 }, 'a program';
    like $@, qr/missing program: no-such-program/, 'which is named';
    ok !eval { Failover::Httpd->new( failover => ['failover_nonesuch'] ); 1 }, 'a module';
    like $@, qr/missing module: .*run make first/, 'which is named';
};

done_testing;

# What a client finds: the first bytes, or how the connection ended.
sub read_from ( $peer, $question = '' ) {
    my $socket = IO::Socket::INET->new( $peer->address ) or return "$!";
    $socket->syswrite($question) if $question;
    return 'silence' if !IO::Select->new($socket)->can_read(0.2);
    my $got = $socket->sysread( my $bytes, 100 ) // return "$!";
    return $got ? $bytes : 'end';
}
