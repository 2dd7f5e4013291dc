# The experiments of conf/chaos are in Chaos Toolkit's documented format, and in order: what they call
# is there, and what they do is undone.
use v5.36;
use Test::More;
use lib 't/lib';
use Failover::Chaos::Format qw(problems);
use Failover::File;
use Failover::Process;
use File::Basename qw(basename);
use JSON::PP ();

my $FOLDER = 'conf/chaos';
my @ISSUE  = qw(children-killed connections-full disk-full replica-drips replica-hangs replica-killed replica-refuses replica-silent);

my %fault      = map { fault_of( split ' ' ) } split /\n/, qx($FOLDER/fault --list);
my %experiment = map { ( basename( $_, '.json' ) => read_json( slurp($_) ) ) } glob "$FOLDER/*.json";
my $manual     = slurp('doc/chaos.md');

is_deeply [ sort keys %experiment ], \@ISSUE, 'all the experiments';

for my $name (@ISSUE) {
    my $experiment = $experiment{$name};
    is_deeply [ problems($experiment) ], [], "$name: in the documented format";
    is_deeply [ map { misused($_) } activities($experiment) ], [], "$name: calls what is there";
    is_deeply [ left_behind($experiment) ], [], "$name: undoes what it does";
    is $experiment->{runtime}{rollbacks}{strategy}, 'always', "$name: undoes it always";
    is_deeply $experiment->{'steady-state-hypothesis'}, $experiment{ $ISSUE[0] }{'steady-state-hypothesis'}, "$name: the same steady state as the others";
    is_deeply [ grep { !length( $_->{default} // '' ) && $_->{key} ne 'CHAOS_ON' } values $experiment->{configuration}->%* ], [], "$name: has a default for each setting";
    is_deeply [ grep { $manual !~ /\Q$_\E/ } "`$name`", map {"`$_->{key}`"} values $experiment->{configuration}->%* ], [], "$name: doc/chaos.md has it and its settings";
}

# Each breaks one rule, of the section that the complaint names.
my @BROKEN = (
    [ 'Experiment',                   qr/'title' is missing/,                   sub ($e) { delete $e->{title} } ],
    [ 'Experiment',                   qr/'description' is missing/,             sub ($e) { delete $e->{description} } ],
    [ 'Experiment',                   qr/'method' is missing/,                  sub ($e) { delete $e->{method} } ],
    [ 'Experiment',                   qr/'rollback' is unknown/,                sub ($e) { $e->{rollback} = delete $e->{rollbacks} } ],
    [ undef,                          qr/title: a string is wanted/,            sub ($e) { $e->{title} = 7 } ],
    [ undef,                          qr/tags\[0\]: a string is wanted/,        sub ($e) { $e->{tags} = [7] } ],
    [ undef,                          qr/method: an array is wanted/,           sub ($e) { $e->{method} = {} } ],
    [ 'Steady State Hypothesis',      qr/'title' is missing/,                   sub ($e) { delete hypothesis($e)->{title} } ],
    [ 'Steady State Hypothesis',      qr/'probes' is missing/,                  sub ($e) { delete hypothesis($e)->{probes} } ],
    [ 'Steady State Probe Tolerance', qr/'tolerance' is missing/,               sub ($e) { delete hypothesis($e)->{probes}[0]{tolerance} } ],
    [ 'Steady State Probe Tolerance', qr/an integer, true/,                     sub ($e) { hypothesis($e)->{probes}[0]{tolerance} = 2.5 } ],
    [ 'Steady State Probe Tolerance', qr/its type is 'regexp'/,                 sub ($e) { hypothesis($e)->{probes}[1]{tolerance}{type} = 'regexp' } ],
    [ 'Steady State Probe Tolerance', qr/'pattern' is missing/,                 sub ($e) { delete hypothesis($e)->{probes}[1]{tolerance}{pattern} } ],
    [ 'Steady State Probe Tolerance', qr/a regular expression is wanted/,       sub ($e) { hypothesis($e)->{probes}[1]{tolerance}{pattern} = '(' } ],
    [ 'Steady State Probe Tolerance', qr/two numbers are wanted/,               sub ($e) { hypothesis($e)->{probes}[1]{tolerance} = { type => 'range', range => [1] } } ],
    [ 'Probe',                        qr/its type must be probe/,               sub ($e) { hypothesis($e)->{probes}[0]{type} = 'action' } ],
    [ 'Method',                       qr/its type is 'fault'/,                  sub ($e) { $e->{method}[0]{type} = 'fault' } ],
    [ 'Action',                       qr/'name' is missing/,                    sub ($e) { delete $e->{method}[0]{name} } ],
    [ 'Action',                       qr/'provider' is missing/,                sub ($e) { delete $e->{method}[0]{provider} } ],
    [ 'Action',                       qr/'tolerance' is unknown/,               sub ($e) { $e->{method}[0]{tolerance} = 0 } ],
    [ 'Action',                       qr/'pause' is unknown/,                   sub ($e) { $e->{method}[0]{pause} = 10 } ],
    [ undef,                          qr/pauses: after: a number is wanted/,    sub ($e) { $e->{method}[0]{pauses} = { after => '10' } } ],
    [ undef,                          qr/background: true or false is wanted/,  sub ($e) { $e->{method}[0]{background} = 1 } ],
    [ 'Action',                       qr/'nobody' is referred to/,              sub ($e) { push $e->{method}->@*, { ref => 'nobody' } } ],
    [ 'Rollbacks',                    qr/its type is 'probe'/,                  sub ($e) { $e->{rollbacks}[0]{type} = 'probe' } ],
    [ 'Action or Probe Provider',     qr/its type is 'shell'/,                  sub ($e) { $e->{method}[0]{provider}{type} = 'shell' } ],
    [ 'Process Provider',             qr/'path' is missing/,                    sub ($e) { delete $e->{method}[0]{provider}{path} } ],
    [ 'Process Provider',             qr/an array or a string is wanted/,       sub ($e) { $e->{method}[0]{provider}{arguments} = {} } ],
    [ undef,                          qr/timeout: a number is wanted/,          sub ($e) { $e->{method}[0]{provider}{timeout} = '30' } ],
    [ 'HTTP Provider',                qr/'url' is missing/,                     sub ($e) { delete hypothesis($e)->{probes}[0]{provider}{url} } ],
    [ 'HTTP Provider',                qr/a number or two is wanted/,            sub ($e) { hypothesis($e)->{probes}[0]{provider}{timeout} = [1] } ],
    [ 'Python Provider',              qr/'func' is missing/,                    sub ($e) { $e->{method}[0]{provider} = { type => 'python', module => 'os' } } ],
    [ 'Environment Configurations',   qr/'key' is missing/,                     sub ($e) { delete $e->{configuration}{page}{key} } ],
    [ 'Configuration',                qr/a string, a number or an object/,      sub ($e) { $e->{configuration}{page} = [] } ],
    [ 'Variable Substitution',        qr/'page' stands in \$\{\}/,              sub ($e) { delete $e->{configuration}{page} } ],
    [ 'Runtime',                      qr/one of default always never deviated/, sub ($e) { $e->{runtime}{rollbacks}{strategy} = 'sometimes' } ],
    [ 'Runtime',                      qr/an object with a strategy alone/,      sub ($e) { $e->{runtime}{rollbacks} = 'always' } ],
    [ undef,                          qr/one of high medium low none/,          sub ($e) { $e->{contributions} = { reliability => 'much' } } ],
    [ 'Controls',                     qr/'provider' is missing/,                sub ($e) { $e->{controls} = [ { name => 'tracing' } ] } ],
    [ 'Extensions',                   qr/an object with a name/,                sub ($e) { $e->{extensions} = [ {} ] } ],
);
for my $broken (@BROKEN) {
    my ( $section, $pattern, $break ) = @$broken;
    my $experiment = read_json( slurp("$FOLDER/replica-hangs.json") );
    $break->($experiment);
    my @problem = problems($experiment);
    my $section_pattern = defined $section ? qr/\($section\)$/ : qr/./;
    ok( ( grep { /$pattern/ && /$section_pattern/ } @problem ), "refused: $pattern" ) or diag explain \@problem;
}

# And a copy that is out of order.
for my $case (
    [ misused    => qr/no such fault/,  sub ($e) { $e->{method}[0]{provider}{arguments}[1] = 'hung' } ],
    [ misused    => qr/takes PIDFILE/,  sub ($e) { push $e->{method}[0]{provider}{arguments}->@*, 'more' } ],
    [ misused    => qr/is not there/,   sub ($e) { $e->{method}[0]{provider}{path} = './default' } ],
    [ left_behind => qr/'hang' stays/,  sub ($e) { $e->{rollbacks} = [] } ],
) {
    my ( $kind, $pattern, $break ) = @$case;
    my $experiment = read_json( slurp("$FOLDER/replica-hangs.json") );
    $break->($experiment);
    my ($complaint) = $kind eq 'misused' ? map { misused($_) } activities($experiment) : left_behind($experiment);
    like $complaint, $pattern, "$kind: $pattern";
}
done_testing;

sub read_json ($text) { return JSON::PP->new->utf8->decode($text) }

sub hypothesis ($experiment) { return $experiment->{'steady-state-hypothesis'} }

sub activities ($experiment) { return map {@$_} $experiment->@{qw(method rollbacks)} }

# Of a line of the list, where "-" stands for nothing: ( verb => { words, undo } ).
sub fault_of ( $verb, @word ) {
    my $undo = pop @word;
    return ( $verb => { words => [ grep { $_ ne '-' } @word ], undo => $undo } );
}

# The words that a call of `fault` has, without --on; nothing for other programs.
sub fault_words ($activity) {
    return if $activity->{provider}{path} ne './fault';
    return grep { !/^--on=/ } $activity->{provider}{arguments}->@*;
}

# What is wrong with a call.
sub misused ($activity) {
    my $path = $activity->{provider}{path};
    return "$path is not there" if !( $path =~ m{/} ? -x "$FOLDER/$path" : eval { Failover::Process::find_program($path) } );
    my ( $verb, @word ) = fault_words($activity) or return;
    my $fault = $fault{$verb} // return "$verb: no such fault";
    my @wanted = $fault->{words}->@*;
    return @word == @wanted ? () : "$verb takes @wanted";
}

# The faults that no rollback undoes.
sub left_behind ($experiment) {
    my %undone = map { ( fault_words($_) )[0] => 1 } $experiment->{rollbacks}->@*;
    my @verb   = map { ( fault_words($_) )[0] // () } $experiment->{method}->@*;
    return map {"'$_' stays"} grep { $fault{$_}{undo} ne '-' && !$undone{ $fault{$_}{undo} } } @verb;
}
