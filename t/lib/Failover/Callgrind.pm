# httpd under callgrind: in the foreground, one process, every instruction counted.
#
#     my $httpd     = Failover::Httpd->new( mpm => 'prefork', ... );    # not started
#     my $callgrind = Failover::Callgrind->start( $httpd, '--toggle-collect=httpd_error_log' );
#     ... requests ...
#     $callgrind->stop;
#     my ($profile) = $callgrind->profiles;
#     $profile->count, $profile->count('httpd_error_log');     # instructions, with what it called
#
# A run with --separate-threads=yes and --dump-before=FUNCTION has a profile for each thread and
# each span between two calls of the function: profiles('01') are the request thread's, in order.
package Failover::Callgrind;

use v5.36;
use Failover::File;
use Failover::Httpd;
use Failover::Process;
use Failover::Wait;

# Returns when it answers.
sub start ( $class, $httpd, @options ) {
    my $dir = $httpd->dir;
    chmod 0777, $dir, "$dir/logs" or die "cannot chmod: $!\n";    # valgrind writes as the children's user
    unlink "$dir/httpd.pid", glob "$dir/counts*";                 # of a run before: such a process leaves both
    my $process = Failover::Process->start(
        command => [
            Failover::Process::find_program('valgrind'), '--tool=callgrind', "--callgrind-out-file=$dir/counts", @options,
            $httpd->program, '-X', '-d', $dir, '-f', "$dir/httpd.conf",
        ],
        output => "$dir/output", user => 'www-data',
    );
    my $self = bless { httpd => $httpd, process => $process, counts => "$dir/counts", output => "$dir/output" }, $class;
    $self->await( sub { $httpd->get('/')->status }, 'httpd under valgrind' );
    return $self;
}

# As Failover::Wait's, but tells what valgrind and httpd said.
sub await ( $self, $condition, $what, $limit = 120 ) {
    my $over = sub { !$self->{process}->leader_alive && die "httpd ended\n" };
    eval { wait_for( sub { $condition->() || $over->() }, $what, $limit ) }
        or die $@ . slurp( $self->{output} ) . $self->{httpd}->log_tail;
    return;
}

# A foreground prefork that was between two requests sees the signal with the next one only.
sub stop ($self) {
    my $process = $self->{process};
    $process->signal('TERM');
    wait_for( sub { $self->{httpd}->get('/') if $process->leader_alive; !$process->leader_alive }, 'the end of httpd under valgrind', 60 );
    return;
}

# After stop: in the order of the dumps; the last one is what came after the last dump.
sub profiles ( $self, $thread = undef ) {
    my $end  = defined $thread ? "-$thread" : '';
    my %file = map { m{counts(?:[.](\d+))?\Q$end\E$} ? ( ( $1 // 1e9 ) => $_ ) : () } glob "$self->{counts}*";
    return map { Failover::Callgrind::Profile->of_file( $file{$_} ) } sort { $a <=> $b } keys %file;
}

package Failover::Callgrind::Profile;

use v5.36;
use Failover::File;

# What a function does itself stands on lines of its own, what its calls do on the line after each
# "calls=". Names and objects are written out once in a file, and numbers afterwards.
sub of_file ( $class, $path ) {
    my $self = bless { counts => {}, calls => {}, events => ['Ir'], totals => [] }, $class;
    my ( %name, %now, $times );
    for my $line ( split /\n/, slurp($path) ) {
        if ( $line =~ /^(ob|fn|cob|cfn)=\((\d+)\)(?: (.*))?$/ ) {
            my ( $kind, $id, $word ) = ( $1, $2, $3 );
            my $table = $name{ $kind =~ /ob/ ? 'ob' : 'fn' } //= {};
            $table->{$id} //= $word;
            $now{$kind} = $table->{$id};
        }
        elsif ( $line =~ /^events: (.*)/ )               { $self->{events} = [ split ' ', $1 ] }
        elsif ( $line =~ /^(?:summary|totals): (.*)/ )   { $self->{totals} = [ split ' ', $1 ] }
        elsif ( $line =~ /^calls=(\d+)/ )                { $times = $1 }
        elsif ( $line =~ /^[+\-*\d]\S*((?: \d+)*) *$/ && defined $now{fn} ) {
            $self->_add( \%now, [ split ' ', $1 ], $times );
            delete @now{qw(cob cfn)} if $times;
            $times = 0;
        }
    }
    return $self;
}

# What the functions with such names did themselves.
sub alone ( $self, $names ) {
    my $sum = 0;
    $sum += $self->{alone}{$_} for grep { $_ =~ $names } keys %{ $self->{alone} };
    return $sum;
}

# Of one kind of event: of a function with all that it calls, or of everything.
sub count ( $self, $function = undef, $event = 'Ir' ) {
    my ($index) = grep { $self->{events}[$_] eq $event } 0 .. $#{ $self->{events} };
    die "there is no event $event\n" if !defined $index;
    my $counts = defined $function ? $self->{counts}{$function} : $self->{totals};
    return $counts->[$index] // 0;
}

sub functions ($self) { return keys %{ $self->{counts} } }

# The calls from one shared object (a pattern) to others: { 'caller -> called' => times }. Of a module
# that was loaded twice callgrind may name a wrong object, or none for its jump table: functions with
# such names are taken for its own, and so are nameless ones that it calls.
sub calls_out_of ( $self, $object, $names ) {
    my @call   = values %{ $self->{calls} };
    my %nobody = map { $_->{called} => 1 } grep { $_->{from} =~ $object && $_->{to} eq '???' } @call;
    my %found;
    for my $call (@call) {
        next if $call->{from} !~ $object && $call->{caller} !~ $names && !( $call->{from} eq '???' && $nobody{ $call->{caller} } );
        next if $call->{to} =~ $object || $call->{called} =~ $names || $call->{to} eq '???';
        $found{"$call->{caller} -> $call->{called}"} += $call->{times};
    }
    return \%found;
}

# The functions of a shared object that ran.
sub functions_of ( $self, $object ) { return grep { $self->{objects}{$_} =~ $object } keys %{ $self->{objects} } }

sub _add ( $self, $now, $costs, $times ) {
    $self->{objects}{ $now->{fn} } //= $now->{ob} // '';
    $self->{counts}{ $now->{fn} }[$_] += $costs->[$_] for 0 .. $#$costs;
    if ( !$times ) {
        $self->{alone}{ $now->{fn} } += $costs->[0] // 0;
        return;
    }
    my ( $from, $to ) = ( $now->{ob} // '', $now->{cob} // $now->{ob} // '' );
    my $call = $self->{calls}{"$from $now->{fn} $to $now->{cfn}"}
        //= { from => $from, to => $to, caller => $now->{fn}, called => $now->{cfn}, times => 0 };
    $call->{times} += $times;
    return;
}

1;
