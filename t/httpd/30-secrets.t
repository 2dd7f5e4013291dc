# A password comes from a file or a program, read as root at the real start, and shows nowhere.
use v5.36;
use Test::More;
use Failover::File;
use Failover::Httpd;
use Failover::Process;
use Failover::Server::MariaDB;
use Failover::Seen;
use Failover::States qw(under_each_mpm quick);
use Failover::Wait;

my $PASSWORD = q{hunt"er'2 \\ %41 $x};
my $db       = Failover::Server::MariaDB->new( options => ['--userstat=1'] )->start;
$db->create_user( 'monitor', sql_quoted($PASSWORD) );

# The right one: pings that the server takes, and no word about it, here or there.
under_each_mpm 'a password that is right', sub ($mpm) {
    my $log   = $db->log_text;
    my $httpd = Failover::Httpd->new( mpm => $mpm );
    $httpd->file( 'secret', "$PASSWORD\n", 0400 );
    $httpd->file( 'crlf',   "$PASSWORD\r\nnot this line\n", 0400 );
    program( $httpd, 'tell', qq{cat "\$1"} );
    $httpd->config( quick() . service( 'by_file', 'file:@DIR@/secret' ) . service( 'by_line', 'file:@DIR@/crlf' )
            . service( 'by_program', 'exec:@DIR@/programs/tell @DIR@/secret' ) . shows_states(qw(by_file by_line by_program)) );
    $httpd->start;
    my $before = logins($db);
    wait_for( sub { $httpd->get('/'); logins($db) - $before >= 9 }, 'three pings of each' );
    is states($httpd), 'up up up', 'up';
    is $db->status('Aborted_connects'), 0, 'no login was refused';
    is refused($db), 0, 'no access was denied';
    is $db->log_text, $log, "nothing in the server's log";
    $httpd->done('httpd logs nothing');
};

# The server is alive; it is the ping that is wrong, and that is said once.
under_each_mpm 'a password that is wrong', sub ($mpm) {
    my $httpd = Failover::Httpd->new( mpm => $mpm );
    $httpd->file( 'secret', "not it\n", 0400 );
    $httpd->config( quick() . service( 'db', 'file:@DIR@/secret' ) . shows_states('db') );
    $db->allow_log(qr/Access denied for user 'monitor'/);
    $httpd->start;
    more_refused( $httpd, 4 );
    is states($httpd), 'up', 'the service stays up';
    is scalar said( $httpd, 'FO0004' ), 1, 'one warning for four pings';
    like $httpd->take_log(qr/FO0004/),
        qr/:warn\] \[pid [^\]]+\] FO0004: db: login refused \(1045\): the server is alive, the ping's own credentials are wrong: endpoint \Q@{[ $db->address ]}\E: .*Access denied/, 'its words';

    # It counts as said until the credentials work again.
    set_password('not it');
    my $before = logins($db);
    wait_for( sub { $httpd->get('/'); logins($db) - $before >= 3 }, 'pings that log in' );
    set_password($PASSWORD);
    more_refused( $httpd, 3 );
    is scalar said( $httpd, 'FO0004' ), 2, 'a second warning when they stop working again';
    $httpd->take_log(qr/FO0004/);
    $httpd->done('no further line, and no outage');
};

subtest 'none at all' => sub {
    my $httpd = Failover::Httpd->new( config => quick() . "FailoverService db mysql://monitor\@@{[ $db->address ]}\n" . shows_states('db') )->start;
    more_refused( $httpd, 1 );
    is states($httpd), 'up', 'up';
    like $httpd->take_log(qr/FO0004/), qr/login refused \(1045\)/, 'warned';
    $httpd->done;
};

subtest 'a file that others can read' => sub {
    for my $mode ( 0444, 0440, 0404 ) {
        my $httpd = Failover::Httpd->new;
        my $path  = $httpd->file( 'secret', "$PASSWORD\n", $mode );
        $httpd->config( "\n\n" . service( 'db', 'file:@DIR@/secret' ) . "FailoverMonitor Off\n" );
        my ($line) = line_of( $httpd, 'FailoverService' );
        $httpd->start;
        like $httpd->take_log(qr/FO0007/), qr/:warn\] .*FO0007: \S+httpd[.]conf:$line: \Q$path\E holds a password and is readable by others: chmod 0400 \Q$path\E$/, sprintf 'warned about %04o', $mode;
        is scalar said( $httpd, 'FO0007' ), 1, 'once';
        $httpd->done;
    }
    my $httpd = Failover::Httpd->new;
    $httpd->file( 'secret', "$PASSWORD\n", 0600 );
    $httpd->config( service( 'db', 'file:@DIR@/secret' ) . "FailoverMonitor Off\n" );
    $httpd->start;
    $httpd->done('not about 0600');
};

# httpd serves all the same; each fault is one error line with the place.
subtest 'what yields no password' => sub {
    my $httpd = Failover::Httpd->new;
    $httpd->file( 'empty', '', 0400 );
    $httpd->file( 'blank', "\n$PASSWORD\n", 0400 );
    $httpd->file( 'long', 'x' x 5000, 0400 );
    mkdir $httpd->dir . '/folder';
    program( $httpd, 'fails',  'echo not-this; exit 3' );
    program( $httpd, 'dies',   'echo not-this; kill -SEGV $$' );
    program( $httpd, 'silent', ':' );
    program( $httpd, 'hangs',  qq{sleep 60 & echo \$\$ \$! > @{[ $httpd->dir ]}/pids; wait} );
    spew( $httpd->dir . '/programs/no-program', "no program\n", 0755 );
    my @case = (
        [ 'file:@DIR@/empty',               'empty yields no password' ],
        [ 'file:@DIR@/blank',               'blank yields no password' ],
        [ 'file:@DIR@/long',                'long yields a line of more than 1023 bytes' ],
        [ 'file:@DIR@/folder',              'folder is no plain file' ],
        [ 'exec:@DIR@/programs/fails',      'fails failed with exit code 3' ],
        [ 'exec:@DIR@/programs/dies',       'dies failed with signal 11' ],
        [ 'exec:@DIR@/programs/silent',     'silent yields no password' ],
        [ 'exec:@DIR@/programs/no-program', 'no-program failed with exit code 127' ],
        [ 'exec:@DIR@/programs/hangs',      'hangs was not done within 10s' ],
    );
    $httpd->config( "FailoverMonitor Off\n" . join '', map { service( "db$_", $case[$_][0] ) } 0 .. $#case );
    my @line  = line_of( $httpd, 'FailoverService' );
    my $began = now();
    $httpd->start(40);
    my $took = now() - $began;
    cmp_ok $took, '>=', 10, 'a program that hangs has 10 s';
    cmp_ok $took, '<',  14, 'and no more';
    is $httpd->get('/')->status, 404, 'httpd serves';
    for my $i ( 0 .. $#case ) {
        like $httpd->take_log(qr/FO0006: \S+:$line[$i]: /), qr/:error\] .*\Q$case[$i][1]; the pings go on without a password\E$/, $case[$i][1];
    }
    my @pid = split ' ', slurp( $httpd->dir . '/pids' );
    is scalar @pid, 2, 'the one that hangs had a child';
    wait_for( sub { !grep { Failover::Process::is_running($_) } @pid }, 'both to be gone' );
    unlike $httpd->error_log, qr/not-this/, 'what a failing program said is not shown';
    $httpd->done;
};

# Once per start and restart, from the place where the directives point then.
under_each_mpm 'read anew by a restart', sub ($mpm) {
    my $httpd = Failover::Httpd->new( mpm => $mpm );
    $httpd->file( 'secret', "not it\n", 0400 );
    program( $httpd, 'tell', "echo ran >> @{[ $httpd->dir ]}/mark; cat @{[ $httpd->dir ]}/secret" );
    $httpd->config( quick() . service( 'db', 'exec:@DIR@/programs/tell' ) . shows_states('db') );
    $httpd->start;
    more_refused( $httpd, 1 );
    $httpd->take_log(qr/FO0004/);
    is slurp( $httpd->dir . '/mark' ), "ran\n", 'the start runs the program once';
    $httpd->file( 'secret', "$PASSWORD\n", 0400 );
    $httpd->graceful;
    is slurp( $httpd->dir . '/mark' ), "ran\nran\n", 'a graceful restart once more';
    my $before = logins($db);
    wait_for( sub { $httpd->get('/'); logins($db) - $before >= 3 }, 'pings with the new password' );
    $httpd->restart;
    is slurp( $httpd->dir . '/mark' ), "ran\nran\nran\n", 'and a restart';
    $httpd->done;
};

under_each_mpm 'shown nowhere', sub ($mpm) {
    my $secret = 'hunter2-correct-horse';
    my $httpd  = Failover::Httpd->new( mpm => $mpm, log_level => 'info failover:trace8', modules => [qw(cgi env headers info status include)] );
    $httpd->file( 'right',  "$secret\n", 0400 );
    $httpd->file( 'wrong',  "$secret-\n", 0400 );
    program( $httpd, 'tell', "cat @{[ $httpd->dir ]}/right" );
    $db->sql("CREATE OR REPLACE USER shy IDENTIFIED BY '$secret'");
    $db->allow_log(qr/Access denied for user 'shy'/);
    my $url = 'mysql://shy@' . $db->address;
    $httpd->config( quick() . <<~"CONF" . shows_states(qw(right program wrong gone)) );
        FailoverService right   $url password=file:\@DIR\@/right
        FailoverService program $url password=exec:\@DIR\@/programs/tell
        FailoverService wrong   $url password=file:\@DIR\@/wrong
        FailoverService gone    mysql://shy\@127.0.0.1:1 password=file:\@DIR\@/right GONE=1
        Header always set X-Reason "expr=%{failover:wrong.reason} %{failover:gone.reason} %{failover:gone.endpoint}"
        <Location /info>
            SetHandler server-info
        </Location>
        <Location /status>
            SetHandler server-status
        </Location>
        CONF
    my ( $code, $dump ) = $httpd->configtest( '-D', 'DUMP_FAILOVER' );
    is $code, 0, 'configured';
    $httpd->start;
    wait_for( sub { states($httpd) eq 'up up up down' }, 'pings of all' );
    $httpd->take_log($_) for qr/FO0004: wrong:/, qr/FO0001: gone outage/;
    my $cgi = $httpd->get('/cgi-bin/env');
    is $cgi->env('GONE'), 1, 'the CGI sees the outage';
    my %page = map { $_ => $httpd->get($_) } qw(/info /status /cgi-bin/env);
    is $page{$_}->status, 200, "$_ answers" for sort keys %page;
    like $page{'/info'}->body, qr/FailoverService.*right/s, 'mod_info shows the directives';
    my %place = (
        'the dump'      => $dump,
        'the error log' => $httpd->error_log,
        'the output of the start' => slurp( $httpd->dir . '/logs/startup' ),
        "the server's log"        => $db->log_text,
        ( map { $_ => join( "\n", $page{$_}->body, values $page{$_}{headers}->%* ) } keys %page ),
        ( map { $_ => slurp($_) } map { ( "/proc/$_/cmdline", "/proc/$_/environ" ) } $httpd->pid, $httpd->children ),
    );
    for my $name ( sort keys %place ) {
        ok length $place{$name} || $name =~ /output|environ/, "$name has content";
        unlike $place{$name}, qr/\Q$secret\E|hunter2/, "$name does not show it";
    }
    $httpd->done;
};

$db->done;
undef $db;
done_testing;

# ---------------------------------------------------------------- helpers

sub service ( $name, $secret ) {
    return qq{FailoverService $name mysql://monitor@} . $db->address . qq{ "password=$secret"\n};
}

# A program for root alone, below the private folder.
sub program ( $httpd, $name, $text ) {
    return $httpd->file( "programs/$name", "#!/bin/sh\n$text\n", 0700 );
}

sub sql_quoted ($text) { return $text =~ s/(['\\])/\\$1/gr }

sub set_password ($text) {
    $db->sql( "SET PASSWORD FOR monitor = PASSWORD('" . sql_quoted($text) . "')" );
    return;
}

# How many logins of the pings' user succeeded so far.
sub logins ($server) {
    my ($row) = $server->sql(q{SELECT TOTAL_CONNECTIONS FROM information_schema.USER_STATISTICS WHERE USER = 'monitor'});
    return $row // 0;
}

sub refused ($server) { return $server->status('Access_denied_errors') }

# Requests until the server has refused that many more logins, and httpd has logged what it had to.
sub more_refused ( $httpd, $count ) {
    my $before = refused($db);
    wait_for( sub { $httpd->get('/'); refused($db) - $before >= $count }, "$count refused logins" );
    wait_for( sub { said( $httpd, 'FO0004' ) }, 'the warning' );
    return;
}
