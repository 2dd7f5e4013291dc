# Visitors of one page that come at even intervals, whatever became of those before them.
#
#     my $load = Failover::Chaos::Load->start( $port, '/shop.php' );
#     $load->answers;     # ( { began, ended, answer }, ... ): those that have ended, so far
#     $load->stop;        # no more come; waits for those that are under way
#
# The instants are of the wall clock, as those of httpd's log are. An answer is a Failover::Http::Answer.
package Failover::Chaos::Load;

use v5.36;
use Failover::Cleanup qw(fork_child private_folder release_group remove_folder);
use Failover::File;
use Failover::Http qw(http_text http_answer);
use IO::Select;
use IO::Socket::INET;
use List::Util  qw(max min);
use POSIX       ();
use Socket      qw(SO_ERROR SOL_SOCKET);
use Time::HiRes qw(time);

my $EVERY    = 0.1;     # seconds
my $PATIENCE = 30;      # seconds that a visitor waits

sub start ( $class, $port, $path ) {
    my $folder = private_folder('load');
    my $self   = bless { port => $port, text => http_text($path), folder => $folder, answers => [], read => 0 }, $class;
    spew( "$folder/answers", '' );
    $self->{pid} = fork_child( sub { $self->_visit } );
    return $self;
}

sub answers ($self) {
    open my $file, '<:raw', "$self->{folder}/answers" or die "cannot read the answers: $!\n";
    seek $file, $self->{read}, 0;
    while ( my $line = readline $file ) {
        last if $line !~ s/\n\z//;
        $self->{read} = tell $file;
        my ( $began, $ended, $error, $text ) = split / /, $line, 4;
        my $answer = http_answer( pack 'H*', $text );
        $answer->{error} = pack 'H*', $error if $error ne '-';
        push $self->{answers}->@*, { began => $began, ended => $ended, answer => $answer };
    }
    return $self->{answers}->@*;
}

sub stop ($self) {
    my $pid = delete $self->{pid} // return;
    kill 'TERM', $pid;
    waitpid $pid, 0;
    release_group($pid);
    return;
}

sub DESTROY ($self) {
    local ( $@, $?, $! );
    if ( my $pid = $self->{pid} ) {
        kill 'KILL', $pid;
        waitpid $pid, 0;
        release_group($pid);
    }
    remove_folder( $self->{folder} );
    return;
}

# From here on: in the visitors' process.

sub _visit ($self) {
    my $stops = 0;
    local $SIG{TERM} = sub { $stops = 1 };
    local $SIG{PIPE} = 'IGNORE';
    open my $file, '>>:raw', "$self->{folder}/answers" or die "cannot write the answers: $!\n";
    $file->autoflush(1);
    my ( %open, $next_at ) = ();
    $next_at = time;
    until ( $stops && !%open ) {
        if ( !$stops && time >= $next_at ) {
            my $visitor = $self->_arrive;
            $open{ $visitor->{socket} } = $visitor;
            $next_at = max( $next_at + $EVERY, time );
        }
        $self->_attend( \%open, max( 0, min( $EVERY, $next_at - time ) ) );
        for my $visitor ( grep { $_->{ended} || time > $_->{began} + $PATIENCE } values %open ) {
            print {$file} _line($visitor);
            delete $open{ $visitor->{socket} };
        }
    }
    POSIX::_exit(0);
}

sub _arrive ($self) {
    my $began  = time;
    my $socket = IO::Socket::INET->new( PeerAddr => '127.0.0.1', PeerPort => $self->{port}, Blocking => 0 );
    return { began => $began, ended => $began, socket => "none $began", error => "connect: $!", text => '' } if !$socket;
    return { began => $began, socket => $socket, to_send => $self->{text}, text => '' };
}

# Whoever has something to send or to read does so; returns after this many seconds at the latest.
sub _attend ( $self, $open, $seconds ) {
    my @all = grep { !$_->{ended} } values %$open;
    my $in  = IO::Select->new( map { $_->{socket} } @all );
    my $out = IO::Select->new( map { $_->{socket} } grep { length $_->{to_send} } @all );
    return select undef, undef, undef, $seconds if !@all;
    my ( $readable, $writable ) = IO::Select->select( $in, $out, undef, $seconds );
    _send( $open->{$_} ) for ( $writable // [] )->@*;
    _read( $open->{$_} ) for ( $readable // [] )->@*;
    return;
}

sub _send ($visitor) {
    my $sent = syswrite $visitor->{socket}, $visitor->{to_send};
    substr( $visitor->{to_send}, 0, $sent ) = '' if $sent;
    return;
}

sub _read ($visitor) {
    my $got = sysread $visitor->{socket}, $visitor->{text}, 65_536, length $visitor->{text};
    return if $got;
    return if !defined $got && $!{EAGAIN};
    $visitor->{error} = "read: $!" if !defined $got;
    $visitor->{ended} = time;
    return;
}

sub _line ($visitor) {
    my $error = $visitor->{error} // ( $visitor->{ended} ? undef : "no answer within ${PATIENCE}s" );
    $error = 'closed without an answer' if !defined $error && $visitor->{text} eq '';
    return join( ' ', $visitor->{began}, $visitor->{ended} // time, defined $error ? unpack( 'H*', $error ) : '-', unpack 'H*', $visitor->{text} ) . "\n";
}

1;
