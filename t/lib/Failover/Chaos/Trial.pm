# One experiment carried out against the shop of demo/, under load: the steady state before, during and
# after, and how many requests failed.
#
#     my $trial = Failover::Chaos::Trial->new( site => $site, experiment => $experiment, window => 2 );
#     my @problem = $trial->run;          # none: it passed
#
# At most as many requests may fail as were under way when the error log first told of the fault, or came
# within the window after that: one error frequency, in which no ping is due, and one ping timeout. Which
# ones is not said: a child that has no request meanwhile finds the outage with its next.
package Failover::Chaos::Trial;

use v5.36;
use Failover::Chaos::Load;
use Failover::ErrorLog qw(written_at);
use Failover::Process;
use Failover::Wait;
use List::Util  qw(first);
use Time::HiRes qw(time);

my $ANSWERS = 10;    # in a row, that show the steady state
my $LIMIT   = 30;    # seconds in which a fault, or its end, shows
my $STRAYS  = 5;     # seconds after the window in which a child may still find the outage

#   site         a Failover::Site, the same for all
#   experiment   a Failover::Chaos::Experiment
#   window       seconds
#   reads        the database that the page is read from during the fault
#   is_silent    the error log tells of no such fault: the instant when it was made stands for that, and
#                there is no window
#   revive       a function that does what a rollback left to be done
#   program      Chaos Toolkit's own, which carries out method and rollbacks then
sub new ( $class, %arg ) { return bless { %arg, problems => [] }, $class }

# Prints what happens. Dies where it is interrupted, when all is rolled back.
sub run ($self) {
    $self->{load} = Failover::Chaos::Load->start( $self->{site}->httpd->port, $self->{site}->page );
    my $went_well = $self->_try( sub { $self->_wait_for_answers('replica'); $self->_steady( before => 'replica' ) } );
    $self->{began}   = time;
    $self->{log_end} = length $self->{site}->httpd->error_log;
    $went_well &&= $self->_try( $self->{program} ? sub { $self->_use_toolkit } : sub { $self->_carry_out } );
    $self->_roll_back if !$self->{program} || !$went_well;
    $self->{interrupted}
        || $self->_try( sub { $self->{revive}->(); $self->_wait_for_answers('replica'); $self->_steady( after => 'replica' ) } );
    die "interrupted\n" if $self->{interrupted};
    $self->{load}->stop;
    $self->_judge;
    return $self->{problems}->@*;
}

sub interrupt ($self) {
    $self->{interrupted} = 1;
    die "interrupted\n";
}

# ---------------------------------------------------------------- what is done

sub _carry_out ($self) {
    for my $action ( $self->{experiment}->method ) {
        $self->_do( method => $action );
        $self->{made_at} //= time;
    }
    $self->_wait_for_window if !$self->{is_silent};
    $self->_wait_for_new_answers;
    eval { $self->_wait_for_answers( $self->{reads}, $STRAYS ) };    # what there is instead is said then
    return $self->_steady( during => $self->{reads} );
}

# Its steady state is looked at before its method and after it, which is during the fault.
sub _use_toolkit ($self) {
    local $ENV{CHAOS_SETTLE} = 3 * $self->{window};
    my $dir = $self->{site}->httpd->dir;
    my ( $code, $output ) = Failover::Process->run(
        command => [
            $self->{program}, '--no-version-check', '--log-file', "$dir/chaos.log", 'run', '--journal-path', "$dir/chaos.json", $self->{experiment}->file,
        ],
        output => "$dir/chaos.output", limit => 120,
    );
    unlink "$dir/chaos.output";
    print map {"  toolkit   $_\n"} split /\n/, $output;
    die "$self->{program} failed\n" if $code;
    my @during = grep { $_->{began} > $self->{began} && _source($_) eq $self->{reads} } $self->{load}->answers;
    @during >= $ANSWERS or die "the page was hardly read from the $self->{reads}\n";
    return;
}

# Each of them, whatever became of the others; and nobody interrupts that.
sub _roll_back ($self) {
    local @SIG{qw(INT TERM HUP)} = ('IGNORE') x 3;
    for my $action ( $self->{experiment}->rollbacks ) {
        $self->_try( sub { $self->_do( rollback => $action ) } );
    }
    return;
}

sub _do ( $self, $what, $activity ) {
    my $said = $self->{experiment}->carry_out($activity);
    return _say( $what, $activity->{name} . ( $said eq '' ? '' : ": $said" ) );
}

# ---------------------------------------------------------------- what is seen

# By the experiment's own probes, and by the answers that came last.
sub _steady ( $self, $when, $database ) {
    my @wrong = ( $self->{experiment}->deviations, map { $self->_deviations($_) } $self->_last_answers );
    if (@wrong) {
        $self->_problem("$when: the steady state is broken: $wrong[0]");
        return;
    }
    my @others = grep { _source($_) ne $database } $self->_last_answers;
    $self->_problem( "$when: the page is read from the " . _source( $others[0] ) . ", not from the $database" ) if @others;
    return _say( $when, 'the steady state holds; the page is read from the ' . _source( ( $self->_last_answers )[-1] ) );
}

# Until nothing may fail any more.
sub _wait_for_window ($self) {
    wait_for( sub { $self->_first_error }, 'a line of the error log that tells of the fault', $LIMIT );
    my $error = $self->_first_error;
    _say( sprintf( '%+.2f s', $error->{at} - $self->{began} ), "the first logged error: $error->{text}" );
    wait_for( sub { time > $error->{at} + $self->{window} }, 'the window to pass', $LIMIT );
    return;
}

sub _wait_for_new_answers ($self) {
    my $now = time;
    wait_for( sub { $ANSWERS <= grep { $_->{began} > $now } $self->{load}->answers }, "$ANSWERS answers", $LIMIT );
    return;
}

# Until so many in a row were read from it.
sub _wait_for_answers ( $self, $database, $limit = $LIMIT ) {
    wait_for( sub { $ANSWERS == grep { _source($_) eq $database } $self->_last_answers }, "the page to be read from the $database", $limit );
    return;
}

# Those that came last.
sub _last_answers ($self) {
    my @answer = sort { $a->{began} <=> $b->{began} } $self->{load}->answers;
    return @answer > $ANSWERS ? @answer[ -$ANSWERS .. -1 ] : @answer;
}

sub _deviations ( $self, $visit ) {
    my $url = $self->{site}->httpd->url . $self->{site}->page;
    return $self->{experiment}->judge( $url, $visit->{answer} );
}

# The database that a page says it was read from.
sub _source ($visit) { return $visit->{answer}->body =~ /read from the (\w+)/ ? $1 : 'nobody' }

# The first line since the fault that tells of an error. What the MPM says of its threads is no error of
# anybody's.
sub _first_error ($self) {
    return $self->{first_error} //= do {
        my $line = first { /^\[[^\]]*\] \[(?!mpm_)\w+:(?:emerg|alert|crit|error)\]/ } $self->_log;
        $line && { at => written_at($line), text => _words_of($line) };
    };
}

# The lines of the error log since the fault.
sub _log ($self) { return split /\n/, substr $self->{site}->httpd->error_log, $self->{log_end} }

# Without what every line begins with.
sub _words_of ($line) { return $line =~ s/^(?:\[[^\]]*\] )+//r }

# ---------------------------------------------------------------- what it came to

sub _judge ($self) {
    my @visit  = $self->{load}->answers;
    my @failed = sort { $a->{began} <=> $b->{began} } grep { $self->_deviations($_) } @visit;
    my ( $may, $which ) = $self->_tolerance(@visit);
    _say( requests => @visit . ', of which ' . @failed . " failed, and $may may: $which" );
    $self->_problem( @failed . " requests failed, and $may may" ) if @failed > $may;
    $self->_show(@failed) if $self->{problems}->@*;
    $self->_look_for_crashes;
    $self->_look_for_deaths;
    return;
}

# How many requests may fail, and which they are.
sub _tolerance ( $self, @visit ) {
    my $error = $self->{is_silent} ? undef : $self->_first_error;
    my ( $began, $at ) = $error ? ( $error->{at} ) x 2 : ( $self->{began}, $self->{made_at} // $self->{began} );
    my $under_way = grep { $_->{began} <= $at && $_->{ended} >= $began } @visit;
    return ( $under_way, 'those under way when the fault was made' ) if !$error;
    my $came = grep { $_->{began} > $at && $_->{began} <= $at + $self->{window} } @visit;
    return ( $under_way + $came, "$under_way under way at the first logged error, $came in the $self->{window} s after it" );
}

# What the failed requests were told, and what the module said meanwhile.
sub _show ( $self, @failed ) {
    for my $visit (@failed) {
        my ($wrong) = $self->_deviations($visit);
        _say( failed => sprintf 'came at %+.2f s, took %.2f s: %s', $visit->{began} - $self->{began}, $visit->{ended} - $visit->{began}, $wrong );
    }
    for my $line ( grep {/\[failover:/} $self->_log ) {
        _say( log => sprintf '%+.2f s: %s', written_at($line) - $self->{began}, _words_of($line) );
    }
    return;
}

sub _look_for_crashes ($self) {
    my @crash = grep {/AH0005[12]/} $self->_log;
    $self->_problem("a child crashed: $_") for @crash;
    return;
}

# Of servers that nobody meant.
sub _look_for_deaths ($self) {
    for my $server ( map { $self->{site}->$_ } qw(master replica cache php) ) {
        $self->_problem( $server->name . " died:\n" . $server->log_tail ) if !$server->is_alive;
    }
    return;
}

# True if the body went to its end.
sub _try ( $self, $body ) {
    return 1 if eval { $body->(); 1 };
    $self->_problem( $@ =~ s/ at \S+ line \d+[.]$//mr =~ s/\s+\z//r ) if !$self->{interrupted};
    return 0;
}

sub _problem ( $self, $text ) {
    push $self->{problems}->@*, $text;
    return _say( PROBLEM => $text );
}

sub _say ( $what, $text ) { return printf "  %-9s %s\n", $what, $text }

1;
