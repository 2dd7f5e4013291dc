# Chaos Toolkit's format of an experiment, as far as its documentation lays it down:
# https://chaostoolkit.org/reference/api/experiment/
#
#     my @problem = problems($experiment);    # sentences; each names the section that it is about
#
# A property that the section does not know is a problem as well: it would be passed over in silence.
package Failover::Chaos::Format;

use v5.36;
use Exporter qw(import);
use JSON::PP ();

our @EXPORT_OK = qw(problems);

my $VARIABLE = qr/\$\{([^}]*)\}/;

# What an object must and may have, and of what kind each of that is.
my %ACTIVITY = ( name => 'text', provider => 'provider' );
my %FURTHER  = ( configuration => 'text', background => 'boolean', controls => 'controls' );
my %OBJECT   = (
    experiment => {
        section => 'Experiment',
        must    => { title => 'text', description => 'text', method => 'method' },
        may     => {
            'steady-state-hypothesis' => 'hypothesis', rollbacks => 'rollbacks', tags => 'texts', secrets => 'secrets',
            extensions => 'extensions', contributions => 'contributions', controls => 'controls', runtime => 'runtime',
            configuration => 'configuration',
        },
    },
    hypothesis => {
        section => 'Steady State Hypothesis',
        must    => { title => 'text', probes => 'steady probes' }, may => { controls => 'controls' },
    },
    'steady probe' => { section => 'Steady State Probe Tolerance', must => { type => 'text', %ACTIVITY, tolerance => 'tolerance' }, may => {%FURTHER} },
    probe          => { section => 'Probe',  must => { type => 'text', %ACTIVITY }, may => {%FURTHER} },
    action         => { section => 'Action', must => { type => 'text', %ACTIVITY }, may => { %FURTHER, pauses => 'pauses' } },
    reference      => { section => 'Action', must => { ref => 'text' }, may => {} },
    pauses         => { section => 'Action', must => {}, may => { before => 'number', after => 'number' } },
    python  => { section => 'Python Provider', must => { type => 'text', module => 'text', func => 'text' }, may => { arguments => 'object', secrets => 'texts' } },
    process => {
        section => 'Process Provider',
        must    => { type => 'text', path => 'text' }, may => { arguments => 'words', timeout => 'number', secrets => 'texts' },
    },
    http => {
        section => 'HTTP Provider',
        must    => { type => 'text', url => 'text' },
        may     => {
            method => 'text', headers => 'object', expected_status => 'number', arguments => 'object', timeout => 'timeout', secrets => 'texts',
        },
    },
    regex    => { section => 'Steady State Probe Tolerance', must => { type => 'text', pattern => 'pattern' }, may => { target => 'text' } },
    jsonpath => { section => 'Steady State Probe Tolerance', must => { type => 'text', path => 'text' }, may => { expect => 'scalar', target => 'text' } },
    range    => { section => 'Steady State Probe Tolerance', must => { type => 'text', range => 'bounds' }, may => { target => 'text' } },
    env      => { section => 'Environment Configurations', must => { type => 'text', key => 'text' }, may => { default => 'scalar' } },
    runtime  => { section => 'Runtime', must => {}, may => { rollbacks => 'rollback strategy', hypothesis => 'hypothesis strategy' } },
    control  => { section => 'Controls', must => { name => 'text', provider => 'control provider' }, may => { scope => 'scope', automatic => 'boolean' } },
    'control provider' => { section => 'Controls', must => { type => 'python alone', module => 'text' }, may => {} },
);

# An array, and what each of its elements is.
my %ARRAY = (
    method => 'activity', rollbacks => 'rollback', 'steady probes' => 'steady probe', texts => 'text',
    controls => 'control', extensions => 'extension',
);

# An object whose properties have any name, and what each of their values is.
my %MAP = ( configuration => 'setting', contributions => 'weight', secrets => 'object' );

# A string out of these.
my %WORD = (
    weight         => [qw(high medium low none)],
    scope          => [qw(before after)],
    'python alone' => ['python'],
);

# An object with one property, `strategy`, out of these.
my %STRATEGY = (
    'rollback strategy'   => [qw(default always never deviated)],
    'hypothesis strategy' => [qw(default before-method-only after-method-only during-method-only continuously)],
);

# Of which kind a value is in truth, by its property `type`.
my %BY_TYPE = (
    provider => { section => 'Action or Probe Provider', python => 'python', http => 'http', process => 'process' },
    activity => { section => 'Method', probe => 'probe', action => 'action' },
    rollback => { section => 'Rollbacks', action => 'action' },
);

my %CHECK = (
    text    => sub ( $value, $at ) { _is_text($value) && length $value ? () : "$at: a string is wanted" },
    number  => sub ( $value, $at ) { _is_number($value) ? () : "$at: a number is wanted" },
    boolean => sub ( $value, $at ) { _is_boolean($value) ? () : "$at: true or false is wanted" },
    object  => sub ( $value, $at ) { ref $value eq 'HASH' ? () : "$at: an object is wanted" },
    scalar  => sub ( $value, $at ) { _is_scalar($value) ? () : "$at: a string, a number, true or false is wanted" },
    words   => sub ( $value, $at ) { _is_text($value) || ref $value eq 'ARRAY' ? () : "$at: an array or a string is wanted (Process Provider)" },
    timeout => sub ( $value, $at ) { _is_number($value) || _is_bounds($value) ? () : "$at: a number or two is wanted (HTTP Provider)" },
    bounds  => sub ( $value, $at ) { _is_bounds($value) ? () : "$at: two numbers are wanted (Steady State Probe Tolerance)" },
    pattern => sub ( $value, $at ) { _is_text($value) && _is_pattern($value) ? () : "$at: a regular expression is wanted (Steady State Probe Tolerance)" },
    setting => sub ( $value, $at ) {
        return ref $value eq 'HASH' ? _object( env => $value, $at ) : _is_text($value) || _is_number($value) ? () : "$at: a string, a number or an object is wanted (Configuration)";
    },
    extension => sub ( $value, $at ) { ref $value eq 'HASH' && length( $value->{name} // '' ) ? () : "$at: an object with a name is wanted (Extensions)" },
    tolerance => \&_tolerance,
);

sub problems ($experiment) {
    return ( _look( experiment => $experiment, 'the experiment' ), _references($experiment), _undeclared($experiment) );
}

sub _look ( $kind, $value, $at ) {
    return _object( $kind, $value, $at ) if $kind ne 'steady probe' && $OBJECT{$kind};
    return $CHECK{$kind}->( $value, $at ) if $CHECK{$kind};
    return _by_type( $kind, $value, $at ) if $BY_TYPE{$kind};
    return _array( $kind, $value, $at ) if $ARRAY{$kind};
    return _map( $kind, $value, $at ) if $MAP{$kind};
    return _one_of( $WORD{$kind}, $value, $at ) if $WORD{$kind};
    return _strategy( $kind, $value, $at ) if $STRATEGY{$kind};
    return _steady_probe( $value, $at );
}

sub _object ( $kind, $value, $at ) {
    my $object = $OBJECT{$kind};
    return "$at: an object is wanted ($object->{section})" if ref $value ne 'HASH';
    my %known = ( $object->{must}->%*, $object->{may}->%* );
    return (
        ( map {"$at: '$_' is missing ($object->{section})"} grep { !exists $value->{$_} } sort keys $object->{must}->%* ),
        ( map {"$at: '$_' is unknown there ($object->{section})"} grep { !$known{$_} } sort keys %$value ),
        ( map { _look( $known{$_}, $value->{$_}, "$at: $_" ) } grep { $known{$_} } sort keys %$value ),
    );
}

sub _array ( $kind, $value, $at ) {
    return "$at: an array is wanted" if ref $value ne 'ARRAY';
    return map { _look( $ARRAY{$kind}, $value->[$_], "$at\[$_]" ) } 0 .. $#$value;
}

sub _map ( $kind, $value, $at ) {
    return "$at: an object is wanted" if ref $value ne 'HASH';
    return map { _look( $MAP{$kind}, $value->{$_}, "$at: $_" ) } sort keys %$value;
}

sub _one_of ( $words, $value, $at ) {
    return () if _is_text($value) && grep { $_ eq $value } @$words;
    return "$at: one of @$words is wanted";
}

sub _strategy ( $kind, $value, $at ) {
    return "$at: an object with a strategy alone is wanted (Runtime)" if ref $value ne 'HASH' || join( ' ', keys %$value ) ne 'strategy';
    return map {"$_ (Runtime)"} _one_of( $STRATEGY{$kind}, $value->{strategy}, "$at: strategy" );
}

# A reference to another activity has no type.
sub _by_type ( $kind, $value, $at ) {
    return "$at: an object is wanted ($BY_TYPE{$kind}{section})" if ref $value ne 'HASH';
    return _object( reference => $value, $at ) if exists $value->{ref} && $kind ne 'provider';
    my $type  = $value->{type} // '';
    my %known = $BY_TYPE{$kind}->%*;
    my $section = delete $known{section};
    return $known{$type} ? _object( $known{$type}, $value, $at ) : "$at: its type is '$type', and must be one of @{[ sort keys %known ]} ($section)";
}

sub _steady_probe ( $value, $at ) {
    return _object( 'steady probe', $value, $at ) if ref $value ne 'HASH' || ( $value->{type} // 'probe' ) eq 'probe';
    return "$at: its type must be probe (Probe)";
}

sub _tolerance ( $value, $at ) {
    my $section = 'Steady State Probe Tolerance';
    return () if _is_scalar($value) && !( _is_number($value) && $value =~ /[.eE]/ );
    return "$at: a string, an integer, true, false, an array or an object is wanted ($section)" if !ref $value;
    return map { _look( scalar => $value->[$_], "$at\[$_]" ) } 0 .. $#$value if ref $value eq 'ARRAY';
    my $type = $value->{type} // '';
    return "$at: its type is '$type', and must be probe, regex, jsonpath or range ($section)" if $type !~ /^(?:probe|regex|jsonpath|range)$/;
    return _object( $type, $value, $at );
}

# What a `ref` names is there, and of any kind but a reference.
sub _references ($experiment) {
    my %declared = map { ( $_->{name} // '' ) => 1 } _activities($experiment);
    my @ref      = grep {defined} map { $_->{ref} } _activities($experiment);
    return map {"'$_' is referred to, and not declared (Action)"} grep { !$declared{$_} } @ref;
}

sub _undeclared ($experiment) {
    return () if ref $experiment ne 'HASH';
    my %declared = map { $_ => 1 } map { ref $_ eq 'HASH' ? keys %$_ : () } $experiment->{configuration}, values( ( $experiment->{secrets} // {} )->%* );
    my %named    = map { $_ => 1 } map {/$VARIABLE/g} _texts( [ _activities($experiment) ] );
    return map {"'$_' stands in \${}, and is not declared (Variable Substitution)"} grep { !$declared{$_} } sort keys %named;
}

sub _activities ($experiment) {
    return () if ref $experiment ne 'HASH';
    my $hypothesis = $experiment->{'steady-state-hypothesis'};
    my @list       = ( ref $hypothesis eq 'HASH' ? $hypothesis->{probes} : (), $experiment->@{qw(method rollbacks)} );
    return grep { ref $_ eq 'HASH' } map { ref $_ eq 'ARRAY' ? @$_ : () } @list;
}

sub _texts ($value) {
    return ref $value eq 'ARRAY' ? map { _texts($_) } @$value : ref $value eq 'HASH' ? map { _texts($_) } values %$value : $value // ();
}

# What Perl made of a JSON value tells strings from numbers only in how it would be written again.
sub _written ($value) { return JSON::PP->new->encode( [$value] ) =~ s/^\[|\]$//gr }

sub _is_boolean ($value) { return JSON::PP::is_bool($value) }
sub _is_number  ($value) { return defined $value && !ref $value && _written($value) =~ /^-?\d/ }
sub _is_text    ($value) { return defined $value && !ref $value && _written($value) =~ /^"/ }
sub _is_scalar  ($value) { return _is_boolean($value) || _is_number($value) || _is_text($value) }
sub _is_pattern ($value) { return eval { qr/@{[ $value =~ s{$VARIABLE}{.}gr ]}/ } }
sub _is_bounds  ($value) { return ref $value eq 'ARRAY' && @$value == 2 && !grep { !_is_number($_) } @$value }

1;
