# A private httpd: its own folder, port, MPM and configuration.
#
#     use Test::More;
#     use Failover::Httpd;
#     use Failover::Peer;
#     use Failover::Wait;
#
#     for my $mpm ( Failover::Httpd->mpms ) {
#         my $peer  = Failover::Peer->new;                    # accepts and says nothing: up for tcp://
#         my $httpd = Failover::Httpd->new( mpm => $mpm, modules => [qw(cgi env)], config => <<~"CONF" );
#             SetEnv DB_HOST db1
#             FailoverService db tcp://@{[ $peer->address ]} DB_HOST=spare
#             FailoverErrorPingFrequency 100ms
#             FailoverOutagePingFrequency 100ms
#             FailoverMonitoringPingFrequency 100ms
#             FailoverSpread 0
#             CONF
#         $httpd->start;
#         is $httpd->get('/cgi-bin/env')->env('DB_HOST'), 'db1', "$mpm: up";
#         $peer->mode('refuse');
#         wait_for( sub { $httpd->get('/cgi-bin/env')->env('DB_HOST') eq 'spare' }, 'the outage' );
#         $httpd->take_log(qr/:crit\].*db outage[.] Failover initiated/);
#         $httpd->done;             # stops it; an unannounced line of level warn or worse fails
#     }
#     done_testing;
#
# There is exactly one child unless `children` says more, so that "the" state is one state: every
# child monitors for itself. The client never keeps a connection alive.
package Failover::Httpd;

use v5.36;
use Failover::Cleanup qw(private_folder remove_folder);
use Failover::File;
use Failover::Http qw(http_request);
use Failover::Log;
use Failover::Port qw(free_port);
use Failover::Process;
use Failover::Sanitizer;
use Failover::Sockets;
use Failover::Wait;

sub mpms ($class) { return qw(event worker prefork) }

# What httpd says of children that a test kills: that they died, that many did, and where one missed
# the parent's word because others died at that moment, that it had to be killed.
sub killed ($class) {
    return qr/AH0005[12]: child pid \d+ exit signal (?:Killed|Segmentation fault)|AH1039[23]: children are killed|AH0004[56]: child process \d+ still did not exit/;
}

# Prepares one; nothing runs yet.
#   config     the body of its httpd.conf. @DIR@ stands for the private folder, @PORT@ for the port.
#   mpm        event, worker or prefork
#   modules    httpd's own modules it needs, without mod_ (core ones, authz_core, log_config are
#              there), and `php`. `cgi` is mod_cgi or mod_cgid as the MPM wants it, with /cgi-bin/env, which
#              prints its environment, and /cgi-bin/value?NAME, one value or (absent).
#   failover   0: without our modules; a list: only these; default: all that were built
#   children   how many child processes, from start to stop
#   threads    per child, under event and worker
#   log_level  info
#   crashes    1: the test crashes children, which is no find of a sanitizer
sub new ( $class, %arg ) {
    my $self = bless {
        mpm => 'event', modules => [], children => 1, threads => 8, log_level => 'info', %arg,
    }, $class;
    $self->{dir}  = private_folder( $self->{mpm} );
    $self->{port} = free_port();
    Failover::Sanitizer::watch( $self->{dir} );
    $self->{logs} = {
        errors  => _error_log( "$self->{dir}/logs/error_log", 'error_log' ),
        startup => _error_log( "$self->{dir}/logs/startup",   'the output of httpd -k start' ),
    };
    # Said because there are as many children as there may be: our own doing, and no news.
    $self->allow_log(qr/AH00161|AH0028[678]|AH0048[45]|AH03490|AH10159/);
    $self->_make_folders;
    $self->config( $arg{config} // '' );
    return $self;
}

sub dir  ($self) { return $self->{dir} }
sub port ($self) { return $self->{port} }
sub mpm  ($self) { return $self->{mpm} }
sub url  ($self) { return "http://127.0.0.1:$self->{port}" }

# The pid of the parent process.
sub pid ($self) { return $self->{process}->pid }

# Writes the configuration anew, for the next start, graceful or configtest.
sub config ( $self, $body ) {
    my $text = $self->_head . $body;
    $text =~ s/\@DIR\@/$self->{dir}/g;
    $text =~ s/\@PORT\@/$self->{port}/g;
    spew( "$self->{dir}/httpd.conf", $text );
    return $self;
}

# Writes a file below the private folder: 'htdocs/page.shtml', 'cgi-bin/x' (executable). Returns its
# path.
sub file ( $self, $name, $content, $mode = $name =~ /^cgi-bin/ ? 0755 : 0644 ) {
    return spew( "$self->{dir}/$name", $content, $mode );
}

# Starts it as a site would, daemonized, and returns when its children are there. Dies with the
# log's tail if it does not come up.
sub start ( $self, $limit = 20 ) {
    my ( $code, $output ) = $self->_httpctl( 'startup', '-k', 'start' );
    die "httpd -k start failed ($code):\n$output" . $self->_log->tail if $code;
    my $pid = wait_for( sub { $self->_running_pid }, 'httpd to come up', $limit );
    $self->{process} = Failover::Process->adopt( $pid, "httpd ($self->{mpm})" );
    $self->_wait_for_children($limit);
    return $self;
}

# Ends it as `apachectl stop` does, makes sure that every process is gone and returns the seconds
# that took.
sub stop ( $self, $limit = 15 ) {
    my $process = delete $self->{process} // return 0;
    $self->_let_workers_end;
    return $process->stop( 'TERM', $limit );
}

# On SIGTERM and SIGHUP the main thread of a worker or event child shuts the sockets of its workers,
# also one that a worker is just giving up, and may crash on that, or the worker complain. So whoever
# has answered is given the time to leave its connection: its end is seen here, and what a worker does
# after that, which is little, is not. One that is kept alive stays, and is waited for in vain.
sub _let_workers_end ($self) {
    return if $self->{mpm} eq 'prefork';
    my $end = now() + 0.3;
    wait_for( sub { !$self->_has_client || now() > $end }, 'the clients to have gone' );
    select undef, undef, undef, 0.02;
    return;
}

# Is a connection open on httpd's side, whatever the client did?
sub _has_client ($self) {
    return scalar grep { $_->{state} =~ /^(?:ESTAB|CLOSE-WAIT)$/ } tcp_sockets("sport = :$self->{port}");
}

# Both return when the new generation of children is there; graceful's old one may still drain.
sub graceful ( $self, $limit = 15 ) { return $self->_renew( 'USR1', $limit ) }

sub restart ( $self, $limit = 15 ) {
    $self->_let_workers_end;
    return $self->_renew( 'HUP', $limit );
}

# httpd -t: (exit code, output). Further words are the command line's, such as -D DUMP_FAILOVER.
sub configtest ( $self, @words ) {
    my $output = "$self->{dir}/logs/configtest";
    unlink $output;
    my @answer  = $self->_httpctl( 'configtest', '-t', @words );
    my @reports = Failover::Sanitizer::reports( $self->{dir} );
    die join "\n", "httpd -t @words:", @reports if @reports;
    return @answer;
}

# The pids of the children that serve requests, without mod_cgid's daemon and what runs plugins.
sub children ($self) {
    my $daemon = $self->_cgid_daemon // 0;
    return grep { $_ != $daemon && !_is_plugin_helper($_) } $self->{process}->children;
}

# The pids of mod_failover_plugin's helpers: one, and those of older generations that still drain.
sub plugin_helpers ($self) { return grep { _is_plugin_helper($_) } $self->{process}->children }

# One request; see Failover::Http for the words. Returns its answer.
sub get ( $self, $path, %arg ) { return http_request( $self->{port}, $path, %arg ) }

# The body of a GET, for pages that say one thing.
sub body ( $self, $path, %arg ) { return $self->get( $path, %arg )->body }

# The error log: announce lines before `done`, or take them as they come. See Failover::Log.
sub expect_log ( $self, @arg ) { return $self->_log->expect(@arg) }
sub allow_log  ( $self, @arg ) { return $self->_log->allow(@arg) }
sub take_log   ( $self, @arg ) { return $self->_log->take(@arg) }
sub error_log    ($self) { return $self->_log->text }
sub expect_output ( $self, @arg ) { return $self->{logs}{startup}->expect(@arg) }

# A further log of the test's own, such as a CustomLog logs/access. An ErrorLog of a virtual host is
# judged like the main one.
sub log ( $self, $name ) {
    return $self->{logs}{$name} //= Failover::Log->new(
        path => "$self->{dir}/logs/$name", name => $name, is_bad => sub { 0 } );
}

# Asks for $path and returns the line that the CustomLog $name wrote about it, which comes after the
# answer. Its LogFormat must hold %q, by which the line is found.
sub logged ( $self, $path, $name = 'access' ) {
    my $mark = 'mark=' . ++$self->{marks};
    $self->get("$path?$mark");
    return $self->log($name)->take(qr/[?]$mark\b/);
}

sub vhost_error_log ( $self, $name ) {
    return $self->{logs}{$name} //= _error_log( "$self->{dir}/logs/$name", $name );
}

# Stops it and makes one test of the logs: nothing unannounced, everything announced came.
sub done ( $self, $name = "$self->{mpm}: a clean stop and no unannounced log line" ) {
    require Test::More;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @problem = eval { $self->stop; () } ? () : $@ ? ("httpd did not stop: $@") : ();
    push @problem, $self->problems;
    Test::More::ok( !@problem, $name )
        or Test::More::diag( join "\n", @problem, $self->_log->tail );
    return !@problem;
}

# What `done` judges, for those who are no test.
sub problems ($self) {
    return (
        ( map { $_->problems } map { $self->{logs}{$_} } sort keys %{ $self->{logs} } ),
        Failover::Sanitizer::reports( $self->{dir} ),
    );
}

# For a diagnosis in between.
sub log_tail ($self) { return $self->_log->tail }

sub DESTROY ($self) {
    local ( $@, $?, $! );
    eval { $self->{process}->kill_now } if $self->{process};
    Failover::Sanitizer::forget( $self->{dir} );
    remove_folder( $self->{dir} );
    return;
}

# The libexec folder, the program and the modules that are linked in, asked once per process.
sub _apxs ($what) {
    state $apxs = Failover::Process::find_program( 'apxs', 'apxs2' );
    state %answer;
    return $answer{$what} //= do {
        open my $pipe, '-|', $apxs, '-q', $what or die "cannot run $apxs: $!\n";
        my $line = <$pipe> // '';
        chomp $line;
        $line;
    };
}

sub program ($class) {
    state $program = do {
        my $named = _apxs('SBINDIR') . '/' . _apxs('PROGNAME');
        -x $named ? $named : Failover::Process::find_program( 'apache2', 'httpd' );
    };
    return $program;
}

sub _static_modules ($class) {
    state $static = do {
        open my $pipe, '-|', $class->program, '-l' or die "cannot run httpd -l: $!\n";
        +{ map { /mod_(\w+)[.]c/ ? ( $1 => 1 ) : () } <$pipe> };
    };
    return $static;
}

sub _user () {
    state $user = ( grep { defined getpwnam $_ } qw(www-data apache http nobody) )[0];
    return $user;
}

sub _error_log ( $path, $name ) {
    return Failover::Log->new( path => $path, name => $name, is_bad => \&_is_bad );
}

# warn and worse, a child that crashed, and whatever did not come through httpd's own log: the C
# library's last words, a sanitizer's report.
sub _is_bad ($line) {
    return 1 if $line =~ /exit signal|AH00051|AH00052/;
    my ($level) = $line =~ /^\[[^\]]*\] \[[^\]:]*:(\w+)\]/ or return $line =~ /\S/;
    return $level !~ /^(?:notice|info|debug|trace\d)$/;
}

sub _log ($self) { return $self->{logs}{errors} }

sub _make_folders ($self) {
    for my $name (qw(logs htdocs cgi-bin)) {
        mkdir "$self->{dir}/$name" or die "cannot create $self->{dir}/$name: $!\n";
    }
    $self->file( 'cgi-bin/env', <<~'CGI' );
        #!/usr/bin/perl
        print "Content-Type: text/plain\n\n";
        print "$_=$ENV{$_}\n" for sort keys %ENV;
        CGI
    $self->file( 'cgi-bin/value', <<~'CGI' );
        #!/usr/bin/perl
        print "Content-Type: text/plain\n\n", $ENV{ $ENV{QUERY_STRING} } // '(absent)';
        CGI
    return;
}

# Everything that comes before the test's own lines.
sub _head ($self) {
    my @own  = $> == 0 ? ( 'User ' . _user(), 'Group ' . getgrgid( ( getpwnam _user() )[3] ) ) : ();
    my @line = (
        "ServerRoot $self->{dir}",
        "DefaultRuntimeDir $self->{dir}",
        "PidFile $self->{dir}/httpd.pid",
        "Listen 127.0.0.1:$self->{port}",
        'ServerName localhost',
        $self->_load_lines,
        ( grep { $_ eq 'mime' } @{ $self->{modules} } ) ? 'TypesConfig /dev/null' : (),
        @own,
        "ErrorLog $self->{dir}/logs/error_log",
        "LogLevel $self->{log_level}",
        'GracefulShutdownTimeout 5',
        # Or a child of another user cannot read its environment: UBSan's runtime does so when it
        # has something to report.
        Failover::Sanitizer::name() ? "CoreDumpDirectory $self->{dir}" : (),
        "DocumentRoot $self->{dir}/htdocs",
        "<Directory $self->{dir}/htdocs>",
        '    AllowOverride All',
        '    Require all granted',
        '</Directory>',
        $self->_mpm_lines,
        $self->_cgi_lines,
    );
    return join "\n", @line, '';
}

sub _load_lines ($self) {
    my %alias = ( cgi => $self->_cgi_module );
    my @names = ( "mpm_$self->{mpm}", qw(unixd log_config authz_core), @{ $self->{modules} } );
    push @names, 'alias' if $self->_has_cgi;
    my %seen;
    @names = grep { !$seen{$_}++ } map { $alias{$_} // $_ } @names;
    return ( ( map { _load_line($_) } @names ), $self->_own_load_lines );
}

sub _load_line ($name) {
    return () if __PACKAGE__->_static_modules->{$name};
    my $file = _module_file($name);
    -e $file or die "missing httpd module: $file\n";
    return "LoadModule ${name}_module $file";
}

# PHP's has its version in the name on Debian.
sub _module_file ($name) {
    my $folder = _apxs('LIBEXECDIR');
    my @php    = $name eq 'php' ? glob "$folder/libphp*.so" : ();
    return $php[-1] // "$folder/mod_$name.so";
}

# Ours from the build's folder. One that was not built is an error, here or at its first scheme.
sub _own_load_lines ($self) {
    my $wanted = $self->{failover} // [ _built_modules() ];
    return map { _own_load_line($_) } ref $wanted ? @$wanted : ();
}

sub _built_modules () {
    my @file = glob Failover::Sanitizer::build() . '/mod_failover*.so';
    return ( 'failover', grep { $_ ne 'failover' } map { m{mod_(\w+)[.]so$} } @file );
}

sub _own_load_line ($name) {
    my $file = Failover::Sanitizer::build() . "/mod_$name.so";
    -e $file or die "missing module: $file; run make first\n";
    return "LoadModule ${name}_module $file";
}

# As many children as asked for, never more or fewer: as many spare ones are wanted as there may be.
# The further places are for those of an earlier generation that still drain.
sub _mpm_lines ($self) {
    my ( $children, $threads ) = @$self{qw(children threads)};
    return (
        "StartServers $children", "MinSpareServers $children",
        "MaxSpareServers @{[ $children + 1 ]}", "ServerLimit $children",
        "MaxRequestWorkers $children",
    ) if $self->{mpm} eq 'prefork';
    return (
        'ServerLimit ' . ( $children + 4 ), "StartServers $children",
        "ThreadsPerChild $threads",
        'MinSpareThreads ' . $threads * $children,
        'MaxSpareThreads ' . $threads * ( $children + 4 ),
        'MaxRequestWorkers ' . $threads * $children,
    );
}

sub _has_cgi    ($self) { return scalar grep { $_ eq 'cgi' } @{ $self->{modules} } }
sub _uses_cgid  ($self) { return $self->_has_cgi && $self->_cgi_module eq 'cgid' }
sub _cgi_module ($self) { return $self->{mpm} eq 'prefork' ? 'cgi' : 'cgid' }

sub _cgi_lines ($self) {
    return () if !$self->_has_cgi;
    return (
        ( $self->_cgi_module eq 'cgid' ? "ScriptSock $self->{dir}/cgid.sock" : () ),
        "ScriptAlias /cgi-bin/ $self->{dir}/cgi-bin/",
        "<Directory $self->{dir}/cgi-bin>",
        '    Require all granted',
        '</Directory>',
    );
}

sub _httpctl ( $self, $output, @words ) {
    return Failover::Process->run(
        command => [ $self->program, '-d', $self->{dir}, '-f', "$self->{dir}/httpd.conf", @words ],
        env     => $self->_environment,
        output  => "$self->{dir}/logs/$output",
    );
}

# prefork exits inside the handler of TERM, wherever the child was: in the middle of an allocation,
# the search for leaks would wait for that forever.
sub _environment ($self) {
    return Failover::Sanitizer::environment(
        $self->{dir},
        leaks   => $self->{mpm} eq 'prefork' ? 0 : 1,
        crashes => $self->{crashes},
    );
}

# The pid once the server says that it runs. Failing after it went to the background, httpd has
# nobody left to tell but its log.
sub _running_pid ($self) {
    my $pid = slurp("$self->{dir}/httpd.pid");
    die "httpd did not start:\n" . $self->_log->tail if $self->error_log =~ /AH00016|AH00020/;
    return $pid =~ /^(\d+)\n/ && $self->_generations ? $1 : 0;
}

# How many generations of children were started so far.
sub _generations ($self) {
    my $count = () = $self->error_log =~ /resuming normal operations/g;
    return $count;
}

# Waits for a generation of children, mod_cgid's daemon included: until it listens, nobody can tell
# it from a child, and CGIs fail. $old are the pids before.
sub _wait_for_children ( $self, $limit, $old = {} ) {
    wait_for(
        sub {
            my $daemon = $self->_uses_cgid ? $self->_cgid_daemon : -1;
            return if !$daemon || $old->{$daemon};
            return $self->{children} <= grep { !$old->{$_} } $self->children;
        },
        "$self->{children} new children",
        $limit
    );
    return;
}

sub _renew ( $self, $signal, $limit ) {
    my $before = $self->_generations;
    my %old    = map { $_ => 1 } $self->{process}->children;
    $self->{process}->signal($signal);
    wait_for( sub { $self->_generations > $before }, "httpd to restart ($signal)", $limit );
    $self->_wait_for_children( $limit, \%old );
    return $self;
}

# The child that holds mod_cgid's listening socket.
sub _cgid_daemon ($self) {
    return if !$self->_uses_cgid;
    for my $line ( grep { m{ \Q$self->{dir}\E/cgid[.]sock} } split /\n/, slurp('/proc/net/unix') ) {
        my ( $flags, $inode ) = ( split ' ', $line )[ 3, 6 ];
        next if $flags ne '00010000';    # the kernel's __SO_ACCEPTCON: it listens
        my ($pid) = grep { _has_open( $_, "socket:[$inode]" ) } $self->{process}->children;
        return $pid if $pid;
    }
    return;
}

sub _is_plugin_helper ($pid) { return slurp("/proc/$pid/comm") eq "failover-plugin\n" }

sub _has_open ( $pid, $target ) {
    return scalar grep { ( readlink($_) // '' ) eq $target } glob "/proc/$pid/fd/*";
}

1;
