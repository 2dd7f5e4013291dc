# An experiment of conf/chaos, in Chaos Toolkit's format, and what that toolkit makes of it: settings from
# the environment, probes over HTTP, processes as probes and actions. What it uses of the format beyond
# that is an error here, and no experiment of ours needs it.
#
#     my $experiment = Failover::Chaos::Experiment->load( $path, { CHAOS_PAGE => $url } );
#     $experiment->deviations;                   # of the steady state, at this moment: sentences
#     $experiment->judge( $url, $answer );       # the same of a Failover::Http::Answer to that page
#     $experiment->carry_out( $_ ) for $experiment->method;
package Failover::Chaos::Experiment;

use v5.36;
use Failover::Chaos::Format qw(problems);
use Failover::Cleanup qw(private_folder);
use Failover::File;
use Failover::Http qw(http_request);
use Failover::Process;
use File::Basename qw(basename dirname);
use JSON::PP ();

my $LIMIT = 60;    # seconds, for an action that names none

# The environment is what the settings are read from. Dies with all that is wrong.
sub load ( $class, $path, $environment = \%ENV ) {
    my $text = slurp($path);
    my $data = eval { JSON::PP->new->utf8->decode($text) } // die "$path: $@";
    my @problem = problems($data);
    die map {"$path: $_\n"} @problem if @problem;
    my $self = bless { data => $data, name => basename( $path, '.json' ), folder => dirname($path) }, $class;
    my $settings = $data->{configuration} // {};
    $self->{value}{$_} = _setting( $_, $settings->{$_}, $environment ) for keys %$settings;
    return $self;
}

sub name   ($self) { return $self->{name} }
sub file   ($self) { return "$self->{folder}/$self->{name}.json" }
sub title  ($self) { return $self->{data}{title} }
sub method ($self) { return $self->{data}{method}->@* }
sub rollbacks ($self) { return ( $self->{data}{rollbacks} // [] )->@* }

# The page that the steady state is about: that of its first probe over HTTP.
sub page ($self) {
    my ($first) = grep { $_->{provider}{type} eq 'http' } $self->_probes;
    return $self->_filled( ( $first // die "$self->{name}: no probe asks for a page\n" )->{provider}{url} );
}

sub deviations ($self) {
    return map { $self->_deviation( $_, $self->_ask($_) ) } $self->_probes;
}

# What the steady state's probes of this page would say of the answer.
sub judge ( $self, $url, $answer ) {
    my @probe = grep { $_->{provider}{type} eq 'http' && $self->_filled( $_->{provider}{url} ) eq $url } $self->_probes;
    return map { $self->_deviation( $_, _seen($answer) ) } @probe;
}

# Returns what the action printed; dies if it failed.
sub carry_out ( $self, $activity ) {
    my $seen = $self->_ask($activity);
    die "$activity->{name}: $seen->{stdout}" if $seen->{status};
    return $seen->{stdout} =~ s/\s+\z//r;
}

sub _probes ($self) { return $self->{data}{'steady-state-hypothesis'}{probes}->@* }

sub _setting ( $name, $value, $environment ) {
    return $value if !ref $value;
    return $environment->{ $value->{key} } // $value->{default} // die "$name: $value->{key} is not set\n";
}

# With the settings in it; one that is nothing else keeps its type.
sub _filled ( $self, $value ) {
    return [ map { $self->_filled($_) } @$value ] if ref $value eq 'ARRAY';
    return $value =~ s/\$\{([^}]*)\}/$self->{value}{$1}/gr;
}

sub _ask ( $self, $activity ) {
    my $provider = $activity->{provider};
    return $self->_run($provider) if $provider->{type} eq 'process';
    die "$activity->{name}: no provider of type $provider->{type} is known here\n" if $provider->{type} ne 'http';
    my ( $port, $path ) = $self->_filled( $provider->{url} ) =~ m{^http://127[.]0[.]0[.]1:(\d+)(/.*)$}
        or die "$activity->{name}: only pages of 127.0.0.1 are asked for here\n";
    return _seen( http_request( $port, $path, limit => $provider->{timeout} // 10 ) );
}

sub _seen ($answer) { return { status => $answer->status, body => $answer->body, error => $answer->error } }

# In the experiment's folder, where relative paths begin. Empty words are left out, as the toolkit does.
sub _run ( $self, $provider ) {
    state $folder = private_folder('chaos');
    my $words = $self->_filled( $provider->{arguments} // [] );
    my $path  = $provider->{path} =~ m{/} ? "$self->{folder}/$provider->{path}" : Failover::Process::find_program( $provider->{path} );
    unlink "$folder/output";
    my ( $code, $output ) = Failover::Process->run(
        command => [ $path, grep { $_ ne '' } @$words ], output => "$folder/output", limit => $provider->{timeout} // $LIMIT );
    return { status => $code, stdout => $output };
}

# Nothing, or what is wrong with what the probe saw.
sub _deviation ( $self, $probe, $seen ) {
    return () if $self->_is_within( $probe->{tolerance}, $seen );
    my ($line) = split /\n/, $seen->{error} // $seen->{body} // $seen->{stdout} // '';
    return "$probe->{name}: $seen->{status} " . ( $line // '' );
}

sub _is_within ( $self, $tolerance, $seen ) {
    return $seen->{status} == $tolerance if !ref $tolerance;
    die "a tolerance of type $tolerance->{type} is not known here\n" if $tolerance->{type} ne 'regex';
    my $pattern = $self->_filled( $tolerance->{pattern} );
    return ( $seen->{ $tolerance->{target} // 'body' } // '' ) =~ /$pattern/;
}

1;
