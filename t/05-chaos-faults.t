# The faults that the experiments of conf/chaos make, and that they end: each is shown to be there before
# it is undone. In a network and mounts of the test's own.
use v5.36;
use Test::More;
use lib 't/lib';
use Errno qw(ECONNREFUSED ENOSPC);
use Failover::Cleanup qw(fork_child private_folder remove_folder);
use Failover::File;
use Failover::Namespaces;
use Failover::Peer;
use Failover::Process;
use Failover::Server::MariaDB;
use Failover::Wait;
use IO::Select;
use IO::Socket::INET;

enter_namespaces();
ip(qw(link set lo up));
my $folder = private_folder('faults');
$ENV{CHAOS_STATE} = "$folder/state";

subtest 'a process hangs, and goes on' => sub {
    my $file = pid_file( fork_child( sub { sleep 1000 } ) );
    like done( 'hang', $file ), qr/is stopped/, 'said';
    is state_of($file), 'T', 'it is stopped';
    like done( 'resume', $file ), qr/goes on/, 'said';
    wait_for( sub { state_of($file) eq 'S' }, 'it to sleep' );
    pass 'it goes on';
};

subtest 'a process is killed, and another started' => sub {
    my $pid  = fork_child( sub { sleep 1000 } );
    my $file = pid_file($pid);
    like done( 'kill', $file ), qr/process $pid is killed/, 'said';
    is waitpid( $pid, 0 ), $pid, 'it is gone';
    is $? & 127, 9, 'by SIGKILL';
    like refused( 'kill', $file ), qr/there is no process $pid/, 'there is none any more';
    like done( 'run', "touch $folder/started" ), qr/done/, 'said';
    ok -e "$folder/started", 'the command was run';
    like refused( 'run', 'false' ), qr/false: failed/, 'one that fails is told of';
};

subtest 'half of the children are killed' => sub {
    my $parent = fork_child( sub { for ( 1 .. 5 ) { fork or do { sleep 1000; exit } } sleep 1000 } );
    wait_for( sub { children_of($parent) == 5 }, 'five children' );
    like done( 'halve', pid_file($parent) ), qr/are killed, 3 are left/, 'said';
    is children_of($parent), 3, 'three of five are left';
    kill 'KILL', -$parent;
    like refused( 'halve', pid_file( fork_child( sub { sleep 1000 } ) ) ), qr/has no children/, 'where there are none';
};

subtest 'a port refuses, drops, drips, and lets everything pass' => sub {
    my $peer = Failover::Peer->new( mode => 'say', bytes => 'hello' );
    my $port = $peer->port;
    is heard( $port, 5 ), 'hello', 'at first all is well';

    like done( 'refuse', $port ), qr/port $port are refused/, 'said';
    is heard( $port, 5 ), 'refused', 'it refuses';
    is heard( Failover::Peer->new( mode => 'say', bytes => 'hello' )->port, 5 ), 'hello', 'another port does not';

    like done( 'drop', $port ), qr/to port $port are lost/, 'said';
    is heard( $port, 5 ), 'nothing', 'nobody answers the connect';

    like done( 'drip', $port ), qr/drip, one byte a second/, 'said';
    my $began = now();
    is heard( $port, 3 ), 'hel', 'three bytes come';
    cmp_ok now() - $began, '>', 1.9, 'at least two seconds apart';
    my ($pid) = slurp("$folder/state/drip") =~ /(\d+)/;
    ok Failover::Process::is_running($pid), 'a proxy does that';

    like done('pass'), qr/everything passes/, 'said';
    ok !Failover::Process::is_running($pid), 'the proxy is gone';
    is heard( $port, 5 ), 'hello', 'all is well again';
    like done('pass'), qr/everything passes/, 'once more does no harm';
};

subtest 'a disk is full, and empty again' => sub {
    my $disk = private_folder('disk');
    mount_disk( $disk, '2m' );
    spew( "$disk/before", 'x' x 4096 );
    like done( 'fill', $disk ), qr/is full/, 'said';
    is write_error("$disk/more"), ENOSPC + 0, 'nothing goes on it';
    like done( 'empty', $disk ), qr/is removed/, 'said';
    is write_error("$disk/more"), 0, 'now it does';
    is length slurp("$disk/before"), 4096, 'what was there is there';
    remove_folder($disk);
    ok !-e $disk, 'and all of it is gone';
};

subtest 'a server takes no more connections' => sub {
    my $db = Failover::Server::MariaDB->new( options => ['--max-connections=10'] )->start;
    $db->create_user( 'shop', 'shop' );
    my @where = ( '127.0.0.1', $db->port, 'shop', spew( "$folder/password", "shop\n", 0600 ) );
    $db->allow_log(qr/Aborted connection|Too many connections|Access denied/);
    like refused( 'occupy', @where[ 0 .. 2 ], spew( "$folder/wrong", 'wrong' ) ), qr/Access denied/, 'with a wrong password it says so';
    ok !-e "$folder/state/occupy", 'and leaves nobody behind';
    like done( 'occupy', @where ), qr/takes no more/, 'said';
    like sql_error($db), qr/\b1040\b/, 'the next client is refused';
    like done('release'), qr/given back/, 'said';
    wait_for( sub { sql_error($db) eq '' }, 'a client to be let in' );
    pass 'the next client is let in';
    $db->done;
};

subtest 'what goes on in the background ends with its file' => sub {
    done( 'drip', Failover::Peer->new->port );
    my ($pid) = slurp("$folder/state/drip") =~ /(\d+)/;
    unlink "$folder/state/drip";
    wait_for( sub { !Failover::Process::is_running($pid) }, 'the proxy to end' );
    pass 'it ended';
    done('pass');
};

subtest 'elsewhere, and what is no fault' => sub {
    my $file = pid_file( fork_child( sub { sleep 1000 } ) );
    like done( '--on=env ELSEWHERE=1', 'hang', $file ), qr/is stopped/, 'by another command';
    is state_of($file), 'T', 'it was done';
    like done( '--on=', 'resume', $file ), qr/goes on/, 'an empty one is none';
    like refused( '--on=env', 'run', 'echo $HOME' ), qr/'echo \$HOME' cannot be handed on/, 'no word that a shell would change';
    like refused( '--on=false', 'hang', $file ), qr/^$/, 'a command that fails';
    is code_of('hung'), 2, 'an unknown verb';
    is code_of('hang'), 2, 'too few words';
    is code_of( 'hang', $file, 'more' ), 2, 'too many';
    like refused( 'hang', "$folder/none" ), qr/cannot read .*none: No such file/, 'no such file';
    like refused( 'hang', spew( "$folder/odd", "one\n" ) ), qr/holds no process id/, 'no number in it';
    like refused( 'refuse', 'http' ), qr/'http' is no number/, 'a port by name';
};

remove_folder($folder);
done_testing;

# ---------------------------------------------------------------- helpers

# ( exit code, what it printed ).
sub fault (@words) {
    unlink "$folder/output";
    return Failover::Process->run( command => [ 'conf/chaos/fault', @words ], output => "$folder/output" );
}

sub code_of (@words) { return ( fault(@words) )[0] }

sub done (@words) {
    my ( $code, $output ) = fault(@words);
    is $code, 0, "@words[ 0 .. 0 ]" or diag $output;
    return $output;
}

sub refused (@words) {
    my ( $code, $output ) = fault(@words);
    is $code, 1, "$words[0]: an error";
    return $output;
}

sub pid_file ($pid) { return spew( "$folder/pid", "$pid\n" ) }

sub state_of ($file) {
    my ($pid) = slurp($file) =~ /(\d+)/;
    return ( slurp("/proc/$pid/stat") =~ /\) (\S)/ )[0];
}

sub children_of ($parent) {
    return scalar grep { slurp("/proc/$_/stat") =~ /\) [^Z] $parent / } map {/(\d+)/} glob '/proc/[0-9]*';
}

# So many bytes of what a port says, "refused", or "nothing" within a second.
sub heard ( $port, $count ) {
    my $socket = IO::Socket::INET->new( PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 1 );
    return $! == ECONNREFUSED ? 'refused' : 'nothing' if !$socket;
    my $text = '';
    while ( length $text < $count ) {
        IO::Select->new($socket)->can_read(5) or return "$text, and no more";
        sysread $socket, $text, $count - length $text, length $text or return "$text, and the end";
    }
    return $text;
}

sub write_error ($path) {
    open my $file, '>', $path or return $! + 0;
    my $written = syswrite $file, 'x' x 4096;
    return defined $written && $written == 4096 ? 0 : $! + 0;
}

# What a client is told that is not let in.
sub sql_error ($db) {
    my $command = 'MYSQL_PWD=shop ' . Failover::Process::find_program( 'mariadb', 'mysql' ) . ' --no-defaults --protocol=tcp --host=127.0.0.1 --user=shop --port=' . $db->port . q{ -e 'SELECT 1' 2>&1};
    return qx($command) =~ /^(ERROR .*)/ ? $1 : '';
}
