# Nothing stays behind: private folders and process groups, removed when their owner ends, however
# it ends. A guard process sees the test's end of a pipe close, so even kill -9 of a test leaves no
# server running.
#
# FAILOVER_KEEP=1 in the environment keeps the folders, to look at logs after a failure.
package Failover::Cleanup;

use v5.36;
use Exporter   qw(import);
use File::Path ();
use File::Temp ();
use IO::Handle;
use POSIX ();

our @EXPORT_OK = qw(private_folder remove_folder guard_group release_group fork_child);

my $owner = $$;
my $guard;       # the write end of the guard's pipe
my $guard_pid;
my %folder;
my %group;

# A new folder that servers under another user may enter. Socket paths are short of 108 bytes, so
# its name is short.
sub private_folder ($label) {
    my $path = File::Temp::tempdir( "fo-$label-XXXXXX", TMPDIR => 1, CLEANUP => 0 );
    chmod 0755, $path or die "cannot chmod $path: $!\n";
    _tell_guard("+folder $path");
    $folder{$path} = 1;
    return $path;
}

sub remove_folder ($path) {
    delete $folder{$path};
    _remove($path);
    _tell_guard("-folder $path");
    return;
}

# From now on the process group $pid (its leader's pid) dies with this test.
sub guard_group ($pid) {
    $group{$pid} = _started_at($pid);
    _tell_guard("+group $pid $group{$pid}");
    return;
}

sub release_group ($pid) {
    delete $group{$pid};
    _tell_guard("-group $pid");
    return;
}

# Forks; the child runs $body and never returns into the test. It has a process group of its own.
sub fork_child ($body) {
    _start_guard();
    STDOUT->flush;
    my $pid = fork // die "cannot fork: $!\n";
    if ( !$pid ) {
        close $guard;
        setpgrp 0, 0;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE);
        eval { $body->(); 1 } or print {*STDERR} "$0: $@";
        POSIX::_exit(1);
    }
    setpgrp $pid, 0;    # both sides do it: whoever comes first
    guard_group($pid);
    return $pid;
}

sub _tell_guard ($line) {
    return if $$ != $owner;
    _start_guard();
    print {$guard} "$line\n";
    return;
}

sub _start_guard () {
    return if $guard;
    pipe my $reader, $guard or die "no pipe: $!\n";
    $guard->autoflush(1);
    $guard_pid = fork // die "cannot fork: $!\n";
    return close $reader if $guard_pid;

    # Its own group, so that a Ctrl-C reaches the test alone and the guard comes after it.
    setpgrp 0, 0;
    $SIG{$_} = 'IGNORE' for qw(INT TERM HUP PIPE);
    close $guard;
    open STDOUT, '>', '/dev/null' or POSIX::_exit(1);
    _guard($reader);
    POSIX::_exit(0);
}

sub _guard ($reader) {
    while ( my $line = <$reader> ) {
        my ( $verb, @word ) = split ' ', $line;
        if    ( $verb eq '+group' )  { $group{ $word[0] } = $word[1] }
        elsif ( $verb eq '-group' )  { delete $group{ $word[0] } }
        elsif ( $verb eq '+folder' ) { $folder{ $word[0] } = 1 }
        else                         { delete $folder{ $word[0] } }
    }
    _end_all();
    return;
}

sub _end_all () {
    for my $pid ( keys %group ) {
        # A pid that was given to somebody else meanwhile is not ours to kill. A leader that is
        # gone may have left its group, whose number nobody can get.
        my $started = _started_at($pid);
        kill 'KILL', -$pid if !$started || $started eq $group{$pid};
    }
    _remove($_) for keys %folder;
    return;
}

sub _remove ($path) {
    return if $ENV{FAILOVER_KEEP};
    # A server that is just being killed may still create a file: twice is enough in practice.
    File::Path::remove_tree( $path, { error => \my $error } ) for 1 .. 2;
    return if !-d $path || ( stat $path )[0] == ( stat "$path/.." )[0];
    system 'umount', '--lazy', $path;    # a disk of the test's own
    rmdir $path;
    return;
}

# When a process started, in clock ticks since the boot: with its pid it names one process for good.
sub _started_at ($pid) {
    open my $file, '<', "/proc/$pid/stat" or return 0;
    my $stat = <$file> // return 0;
    $stat =~ s/^.*\)//;    # the command's name may hold anything
    return ( split ' ', $stat )[19];
}

# A signal ends the test through exit, so that END runs.
for my $signal (qw(INT TERM HUP)) {
    $SIG{$signal} //= sub { exit 130 };
}

END {
    if ( $$ == $owner ) {
        local $?;    # the test's own exit code
        _end_all();
        close $guard if $guard;
        waitpid $guard_pid, 0 if $guard_pid;
        $owner = 0;    # objects that go later have nothing to tell
    }
}

1;
