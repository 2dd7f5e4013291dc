# A log file and what a test announced of it. A line of level warn or worse that nobody announced
# is a problem; so is an announced one that never came.
package Failover::Log;

use v5.36;
use Failover::File;
use Failover::Wait;

# path     the file; it may not exist yet
# is_bad   a function of one line: true for one that must be announced
# name     for messages
sub new ( $class, %arg ) {
    return bless { %arg, offset => 0, lines => [], expected => [], allowed => [] }, $class;
}

# The whole text so far.
sub text ($self) { return slurp( $self->{path} ) }

# The lines so far that match, announced or not.
sub matching ( $self, $pattern ) { return grep { $_ =~ $pattern } split /\n/, $self->text }

# Announces $count lines, which `problems` will look for.
sub expect ( $self, $pattern, $count = 1 ) {
    push @{ $self->{expected} }, ($pattern) x $count;
    return;
}

# Announces any number of lines, none included.
sub allow ( $self, $pattern ) {
    push @{ $self->{allowed} }, $pattern;
    return;
}

# Waits for the next line that matches and was not taken before, and takes it: it counts as
# announced, and the next call looks for a further one. Returns it.
sub take ( $self, $pattern, $limit = 10 ) {
    my $line;
    wait_for( sub { defined( $line = $self->_take_now($pattern) ) },
        "the line $pattern in $self->{name}", $limit );
    return $line;
}

# What is wrong, as a list of sentences. It reads to the end, so the writer should have stopped.
sub problems ($self) {
    $self->_read;
    my @missing = grep { !defined $self->_take_now($_) } @{ $self->{expected} };
    $self->{expected} = [];
    my @bad = grep { $self->{is_bad}->($_) && !$self->_is_allowed($_) } @{ $self->{lines} };
    return (
        ( map { "announced, but not in $self->{name}: $_" } @missing ),
        ( map { "unannounced in $self->{name}: $_" } @bad ),
    );
}

# The last lines, for a diagnosis.
sub tail ( $self, $count = 25 ) {
    my @line = split /\n/, $self->text;
    splice @line, 0, @line - $count if @line > $count;
    return join '', "$self->{path}:\n", map { "    $_\n" } @line;
}

sub _take_now ( $self, $pattern ) {
    $self->_read;
    my $lines = $self->{lines};
    for my $i ( 0 .. $#$lines ) {
        return splice @$lines, $i, 1 if $lines->[$i] =~ $pattern;
    }
    return;
}

sub _is_allowed ( $self, $line ) {
    return scalar grep { $line =~ $_ } @{ $self->{allowed} };
}

# Fetches what was written since; the start of an unfinished last line waits for its end.
sub _read ($self) {
    open my $file, '<', $self->{path} or return;
    seek $file, $self->{offset}, 0;
    while ( my $line = <$file> ) {
        last if $line !~ s/\n\z//;
        $self->{offset} = tell $file;
        push @{ $self->{lines} }, $line;
    }
    return;
}

1;
