# A program under the harness's care: its own process group, its own output file, no privileges.
package Failover::Process;

use v5.36;
use Errno             qw(EPERM ESRCH);
use Failover::Cleanup qw(fork_child guard_group release_group);
use Failover::File;
use Failover::Wait;
use POSIX ();

# Starts a program in the background.
#   command  a list
#   env      further variables, by reference
#   output   the file that gets its stdout and stderr
#   user     whom it runs as when the test runs as root
sub start ( $class, %arg ) {
    my $pid = fork_child( sub { _become(%arg) } );
    return bless { pid => $pid, child => 1, name => $arg{command}[0] }, $class;
}

# Takes over a process that daemonized itself: the leader of its process group, not our child.
sub adopt ( $class, $pid, $name ) {
    guard_group($pid);
    return bless { pid => $pid, child => 0, name => $name }, $class;
}

# Runs a program to its end: (exit code, output). One that takes longer than `limit` is killed.
sub run ( $class, %arg ) {
    my $self = $class->start(%arg);
    my $code = eval { $self->wait_for_end( $arg{limit} // 30 ) } // die $@ . slurp( $arg{output} );
    return ( $code, slurp( $arg{output} ) );
}

# Returns the exit code of what was started, or the number of the signal that ended it.
sub wait_for_end ( $self, $limit ) {
    if ( !eval { wait_for( sub { !$self->leader_alive }, "the end of $self->{name}", $limit ) } ) {
        my $late = $@;
        $self->kill_now;
        die $late;
    }
    release_group( $self->{pid} );
    return $self->{status} >> 8 || $self->{status} & 127;
}

sub pid ($self) { return $self->{pid} }

# Is the program itself, the group's leader, there?
sub leader_alive ($self) {
    $self->_reap;
    return !defined $self->{status} if $self->{child};
    return is_running( $self->{pid} );
}

# Is anybody of the process group left? Zombies do not count: in a container nobody may reap them. A
# leader that is our child does until it can be reaped: it is a zombie before its last thread is gone,
# and with that its sockets.
sub alive ($self) {
    $self->_reap;
    return 1 if $self->{child} && !defined $self->{status};
    return 0 if !kill( 0, -$self->{pid} ) && $! != EPERM;
    return scalar grep { $_->{group} == $self->{pid} && $_->{state} ne 'Z' } _all_processes();
}

# The pids of the leader's direct children.
sub children ($self) {
    my @child = grep { $_->{parent} == $self->{pid} && $_->{state} ne 'Z' } _all_processes();
    return sort { $a <=> $b } map { $_->{pid} } @child;
}

sub signal ( $self, $name ) {
    kill $name, $self->{pid} or die "cannot send $name to $self->{name} ($self->{pid}): $!\n";
    return;
}

sub signal_group ( $self, $name ) {
    kill $name, -$self->{pid} or $! == ESRCH or die "cannot send $name to $self->{name}: $!\n";
    return;
}

# SIGSTOP for the group; SIGCONT ends it.
sub suspend_group ($self) {
    $self->signal_group('STOP');
    _wait_until_still( map { $_->{pid} } grep { $_->{group} == $self->{pid} } _all_processes() );
    return;
}

# Asks the leader to go and returns the seconds until the whole group was gone. Past the limit the
# group is killed and this dies.
sub stop ( $self, $signal = 'TERM', $limit = 20 ) {
    my $began = now();
    $self->signal($signal) if $self->leader_alive;
    if ( !eval { wait_for( sub { !$self->alive }, "$self->{name} to stop", $limit ) } ) {
        my $late = $@;
        $self->kill_now;
        die $late;
    }
    release_group( $self->{pid} );
    return now() - $began;
}

sub kill_now ($self) {
    $self->signal_group('KILL');
    wait_for( sub { !$self->alive }, "$self->{name} to be killed" );
    release_group( $self->{pid} );
    return;
}

# For good: group first, then user.
sub drop_privileges ($user) {
    my ( undef, undef, $uid, $gid ) = getpwnam $user or die "there is no user $user\n";
    $) = "$gid $gid";
    POSIX::setgid($gid) or die "cannot become group $gid: $!\n";
    POSIX::setuid($uid) or die "cannot become $user: $!\n";
    return;
}

# The first of these programs that is there. A missing one is an error: no test is skipped.
sub find_program (@names) {
    for my $name (@names) {
        for my $folder ( split( /:/, $ENV{PATH} // '' ), qw(/usr/sbin /usr/local/sbin /sbin) ) {
            return "$folder/$name" if -x "$folder/$name" && !-d _;
        }
    }
    die "missing program: @{[ join ' or ', @names ]}; is its package installed?\n";
}

# Is there such a process, and more than its exit code?
sub is_running ($pid) {
    my $stat = _stat($pid);
    return $stat && $stat->{state} ne 'Z';
}

# SIGSTOP for one process; SIGCONT ends it.
sub suspend ($pid) {
    kill 'STOP', $pid or die "cannot stop process $pid: $!\n";
    _wait_until_still($pid);
    return;
}

# A thread that runs does so until its processor hears of the signal.
sub _wait_until_still (@pids) {
    wait_for( sub { !grep { !_is_still($_) } @pids }, "the threads of @pids to be stopped" );
    return;
}

sub _is_still ($pid) { return !grep { $_->{state} !~ /^[TZX]$/ } map { _stat("$pid/task/$_") // () } _threads($pid) }

sub _threads ($pid) {
    opendir my $tasks, "/proc/$pid/task" or return;    # it has gone
    return grep {/^\d+$/} readdir $tasks;
}

sub _all_processes () {
    opendir my $proc, '/proc' or die "cannot read /proc: $!\n";
    return grep { defined } map { _stat($_) } grep { /^\d+$/ } readdir $proc;
}

# Of a process, or of one thread as in 4711/task/4712.
sub _stat ($pid) {
    open my $file, '<', "/proc/$pid/stat" or return;
    my $stat = <$file> // return;
    $stat =~ s/^.*\)//s;    # the command's name may hold anything
    my ( $state, $parent, $group ) = split ' ', $stat;
    return { pid => $pid, state => $state, parent => $parent, group => $group };
}

sub _reap ($self) {
    return if !$self->{child} || defined $self->{status};
    $self->{status} = $? if waitpid( $self->{pid}, POSIX::WNOHANG() ) == $self->{pid};
    return;
}

sub _become (%arg) {
    open STDIN,  '<',  '/dev/null'  or die "cannot open /dev/null: $!\n";
    open STDOUT, '>>', $arg{output} or die "cannot write $arg{output}: $!\n";
    open STDERR, '>&', \*STDOUT     or die "cannot write $arg{output}: $!\n";
    delete @ENV{ grep { /^(?:LC_|LANG)/ } keys %ENV };    # messages that tests can read
    @ENV{ keys %{ $arg{env} // {} } } = values %{ $arg{env} // {} };
    drop_privileges( $arg{user} ) if $arg{user} && $> == 0;
    exec { $arg{command}[0] } @{ $arg{command} } or die "cannot run $arg{command}[0]: $!\n";
}

1;
