# While an outage lasts, children come and go in every way: by restarts, at MaxConnectionsPerChild, killed.
# No request sees what was found dead, none is lost, and nothing is left behind. A configuration that
# changes keeps what it has in common with the one before.
#
# FAILOVER_SOAK=60 in the environment restarts for as many seconds under each MPM (make soak-restarts).
use v5.36;
use List::Util qw(sum);
use Test::More;
use Failover::Cleanup qw(fork_child release_group);
use Failover::Crowd;
use Failover::File;
use Failover::Http qw(http_request);
use Failover::Httpd;
use Failover::KeptAlive;
use Failover::Peer;
use Failover::Process;
use Failover::Sanitizer;
use Failover::Seen;
use Failover::Server::Memcached;
use Failover::States qw(under_each_mpm);
use Failover::Wait;

my $SOAK     = $ENV{FAILOVER_SOAK} // 10;
my $CHILDREN = 4;
my $CLIENTS  = 4;
my $WARM_UP  = 3;                             # restarts, after which httpd has what it needs

# A state is passed on for twice its frequency after the last ping that it rests on. Children live for some
# second here, so within that time a few of them end a ping of what hangs.
#
# Two that are dead for all of this file, each in a way of its own, and one that works.
my $hung    = Failover::Server::Memcached->new->start;
my $refused = Failover::Peer->new( mode => 'refuse' );
my $works   = Failover::Peer->new;
$hung->pause;
my $OUTAGE = <<~"CONF" . tells_child(qw(refused hung works));
    FailoverMonitoringPingFrequency 1s
    FailoverOutagePingFrequency     5s
    FailoverErrorPingFrequency      500ms
    FailoverPingTimeout             500ms 300ms
    FailoverService refused tcp://@{[ $refused->address ]}
    FailoverService hung    memcached://@{[ $hung->address ]}
    FailoverService works   tcp://@{[ $works->address ]}
    CONF
my $TRUTH = 'down down up';

# Found by two children, it is known to every child that begins, from its first request on.
under_each_mpm 'two have found it', sub ($mpm) {
    my $httpd = Failover::Httpd->new( mpm => $mpm, children => $CHILDREN, threads => 4, config => "FailoverMonitoringPingFrequency 30s\n$OUTAGE" . kept_alive() )->start;
    my %found;
    my @line = map { persistent($httpd) } 1 .. ( $mpm eq 'prefork' ? 2 : 8 );
    wait_for( sub { ask( $_, '/' ) for @line; %found = pids( $httpd, 'hung' ); keys %found >= 2 }, 'two children to find it' );
    my %old = map { $_ => 1 } $httpd->children;
    close $_ for @line;
    $httpd->graceful;
    my %first = first_seen( $httpd, \%old );
    is_deeply [ values %first ], [ ($TRUTH) x $CHILDREN ], 'the first request of every new child sees it';
    $httpd->allow_log(qr/:crit\] .*FO0001/);
    allow_starving($httpd);
    $httpd->done;
};

under_each_mpm 'graceful restarts and MaxConnectionsPerChild under load', sub ($mpm) {
    my $httpd  = dying( $mpm, 'MaxConnectionsPerChild 50' );
    my @client = map { load( $httpd, $_ ) } 1 .. $CLIENTS;
    my %child;
    my $end = now() + $SOAK + 2 * $WARM_UP;
    my ( $restarts, %before ) = (0);
    while ( now() < $end ) {
        my $next = now() + 2;
        kill 'USR1', $httpd->pid;
        wait_for( sub { $child{$_} = 1 for $httpd->children; now() > $next }, 'two seconds' );
        %before = rested_parent($httpd) if ++$restarts == $WARM_UP;
    }
    judge_load( $httpd, 0, map { $_->() } @client );
    cmp_ok scalar keys %child, '>', 2 * $SOAK, "@{[ scalar keys %child ]} children lived";
    judge_rest( $httpd, $restarts - $WARM_UP, %before );
    $httpd->done;
};

# A request that a killed child has under way is lost, whatever one does; no other is. httpd drops a signal
# to restart that comes while it restarts, so none comes after the last kill.
under_each_mpm 'children killed under load', sub ($mpm) {
    my $httpd = dying($mpm);
    my @client = map { load( $httpd, $_ ) } 1 .. $CLIENTS;
    my $kills  = 12;
    for my $kill ( 1 .. $kills ) {
        my $victim = wait_for( sub { ( $httpd->children )[ $kill % 2 ? 0 : -1 ] }, 'a child' );
        kill $kill % 3 ? 'KILL' : 'SEGV', $victim;
        wait_for( sub { !Failover::Process::is_running($victim) && $httpd->children >= $CHILDREN }, 'another child in its place', 20 );
        kill 'USR1', $httpd->pid if $kill % 4 == 0 && $kill < $kills;
    }
    judge_load( $httpd, $kills * $CLIENTS, map { $_->() } @client );
    $httpd->allow_log( Failover::Httpd->killed );
    judge_rest($httpd);
    $httpd->done;
};

# One child, so there are two slots: one that were not given back would be missed at once.
under_each_mpm 'slots come back', sub ($mpm) {
    my $httpd = Failover::Httpd->new( mpm => $mpm, threads => 4, config => <<~"CONF" . tells_child('refused') )->start;
        ServerLimit 1
        @{[ $mpm eq 'prefork' ? '' : 'MaxSpareThreads 4' ]}
        FailoverService refused tcp://@{[ $refused->address ]}
        CONF
    for my $way (qw(KILL SEGV USR1 HUP KILL HUP USR1 SEGV)) {
        my ($old) = $httpd->children;
        kill $way, $way =~ /USR1|HUP/ ? $httpd->pid : $old;
        wait_for( sub { !Failover::Process::is_running($old) && $httpd->children == 1 }, "another child after SIG$way", 15 );
        is_deeply [ map { $_->{states} } crowd( $httpd, 1 ) ], ['down'], "a child after SIG$way";
    }
    is scalar( said( $httpd, 'FO0015' ) ), 0, 'each had a slot';
    $httpd->allow_log($_) for Failover::Httpd->killed, qr/:crit\] .*FO0001/;
    $httpd->done;
};

# What a request sees that waits for nothing tells whether its child inherited: else all is up, as a ping
# of what hangs takes its time.
under_each_mpm 'a configuration that changes', sub ($mpm) {
    my $kept = Failover::Peer->new;
    my %peer = map { $_ => Failover::Peer->new( mode => 'deaf' ) } qw(gone named moved moved_to added);
    my %at   = map { $_ => $peer{$_}->address . ' timeout=200ms' } keys %peer;
    my $head = <<~"CONF";
        FailoverPingWait 0
        FailoverService kept tcp://@{[ $kept->address ]}
        LogFormat "%q %P %{kept}^fo %{FAILOVER_KEPT_EPOCH}e %{gone}^fo %{old}^fo %{new}^fo %{moved}^fo %{added}^fo" crowd
        CustomLog logs/crowd crowd
        CONF
    my $slow = $head . "FailoverOutagePingFrequency 60s\nFailoverErrorPingFrequency 60s\n";
    my $more = join '', map {"FailoverService more$_ mysql://u\@$at{added}\n"} 1 .. 30;
    my $at   = sub ($place) {"<FailoverService moved>\nFailoverEndpoint main mysql://u\@$at{$place}\n</FailoverService>\n"};    # the names stay
    my $one  = "FailoverService gone mysql://u\@$at{gone}\nFailoverService old mysql://u\@$at{named}\n" . $at->('moved');
    my $two  = $at->('moved_to') . "FailoverService added mysql://u\@$at{added}\nFailoverService new mysql://u\@$at{named}\n";

    # Down for the second time, so that its epoch is no new one's.
    my $httpd = Failover::Httpd->new( mpm => $mpm, children => 3, threads => 4, modules => ['env'], config => $head . $one . <<~'CONF' )->start;
        FailoverMonitoringPingFrequency 200ms
        FailoverOutagePingFrequency     200ms
        FailoverErrorPingFrequency      200ms
        FailoverPingTimeout             200ms
        FailoverSpread                  0
        CONF
    for my $row ( [ mute => 'up -' ], [ refuse => 'down 1' ], [ mute => 'up -' ], [ refuse => 'down 3' ] ) {
        $kept->mode( $row->[0] );
        settle( $httpd, "$row->[1] down down - down -" );
    }
    my $old = 'down 3 down down - down -';
    for my $row (
        #  what                              by         the configuration                      first                       then
        [ 'other frequencies',               'graceful', $slow . $one,                         $old,                       $old ],
        [ 'the same',                        'restart',  $slow . $one,                         $old,                       $old ],
        [ 'other places for pings',          'graceful', "FailoverPingConcurrency 4\n$slow$one", $old,                     $old ],
        [ 'and back',                        'graceful', $slow . $one,                         $old,                       $old ],
        [ 'removed, renamed, moved, added',  'graceful', $slow . $two,                         'down 3 - - up up up',      'down 3 - - down down down' ],
        [ 'more than there are seats for',   'graceful', $slow . $two . $more,                 'down 3 - - down down down', 'down 3 - - down down down' ],
        [ 'all but one removed',             'restart',  $slow,                                'down 3 - - - - -',         'down 3 - - - - -' ],
        [ 'FailoverInherit Off',             'graceful', "FailoverInherit Off\n$slow$two",     qr/ - - up up up$/,         'down 1 - - down down down' ],
        [ 'and On',                          'graceful', $slow . $two,                         'down 1 - - down down down', 'down 1 - - down down down' ],
    ) {
        my ( $what, $way, $config, $first, $then ) = @$row;
        my %old = map { $_ => 1 } $httpd->children;
        $httpd->config($config);
        $httpd->$way;
        my %seen = first_seen( $httpd, \%old );
        is_deeply [ map { ref $first && $_ =~ $first ? $first : $_ } values %seen ], [ ($first) x 3 ], "$what, by a $way: the first request of each child";
        settle( $httpd, $then );
    }
    $httpd->allow_log(qr/:crit\] .*FO0001|FO0009/);
    $httpd->done;
};

# While it was paused its queue filled with connections whose askers have gone. A minute later their
# ports are free for others, whose connect resets the old one before it is looked at.
$hung->allow_log(qr/^getpeername: Transport endpoint is not connected$/);
$hung->resume;
$hung->done;
undef $hung;
done_testing;

# ---------------------------------------------------------------- helpers

# A runtime that makes all of it many times slower starves the pings, which say so.
sub allow_starving ($httpd) {
    $httpd->allow_log(qr/FO0005: hung: /) if Failover::Sanitizer::is_preloaded();
    return;
}

# An httpd each of whose children has found what is dead.
sub dying ( $mpm, $more = '' ) {
    my $httpd = Failover::Httpd->new( mpm => $mpm, children => $CHILDREN, threads => 4, config => "$more\n$OUTAGE" )->start;
    my %found;
    wait_for( sub {
        crowd( $httpd, 3 );
        %found = pids( $httpd, 'hung' );
        return !grep { !$found{$_} } $httpd->children;
    }, 'every child to find it' );
    wait_for( sub { !grep { $_->{states} ne $TRUTH } crowd( $httpd, 8 ) }, 'all requests to see it' );
    $httpd->allow_log(qr/:crit\] .*FO0001/);
    allow_starving($httpd);
    $httpd->{found_at} = length $httpd->log('crowd')->text;
    return $httpd;
}

# Which children said that this service is down.
sub pids ( $httpd, $name ) {
    return map { /FO0001: $name outage.*Process ID: (\d+)/ ? ( $1 => 1 ) : () } said( $httpd, 'FO0001' );
}

# What the first request of each child saw that is not among the old ones; requests until each had one.
# httpd's own count as well, by which it wakes children.
sub first_seen ( $httpd, $old ) {
    my %first;
    wait_for( sub {
        $httpd->get('/');
        for ( split /\n/, $httpd->log('crowd')->text ) {
            my ( $pid, $states ) = /^\S* (\d+) (.*)/;
            $first{$pid} //= $states if !$old->{$pid};
        }
        return !grep { !$first{$_} && !$old->{$_} } $httpd->children;
    }, 'a request of each new child' );
    return map { $_ => $first{$_} } grep { !$old->{$_} } $httpd->children;
}

# Requests until all children see this.
sub settle ( $httpd, $states ) {
    my %seen;
    eval { wait_for( sub {
        for ( crowd( $httpd, 6 ) ) { $seen{ $_->{child} } = $_->{states} }
        return !grep { ( $seen{$_} // '' ) ne $states } $httpd->children;
    }, "all to see $states" ) } or die $@ . join( "\n", map {"$_ $seen{$_}"} keys %seen ) . "\n";
    return;
}

# Every request since the outage was found saw it, and at most so many had no answer.
sub judge_load ( $httpd, $most_lost, @client ) {
    my %seen;
    $seen{ s/^\S* \d+ //r }++ for split /\n/, substr $httpd->log('crowd')->text, $httpd->{found_at};
    my @lost = map { $_->{lost}->@* } @client;
    is_deeply [ keys %seen ], [$TRUTH], "all of @{[ $seen{$TRUTH} // 0 ]} requests saw the outage and what works" or diag explain \%seen;
    cmp_ok $_->{answered}, '>=', 50, "a client had $_->{answered} answers" for @client;
    cmp_ok scalar @lost, '<=', $most_lost, 'lost requests: ' . @lost or diag join "\n", @lost;
    return;
}

# When nobody asks any more: no child got stuck, each has what a fresh one has, and the parent has not
# grown.
sub judge_rest ( $httpd, $restarts = 0, %before ) {
    my %old = map { $_ => 1 } $httpd->children;
    $httpd->restart;    # one that does not go by itself is killed, which httpd logs as an error
    ok eval { wait_for( sub { !grep { $old{$_} } $httpd->children }, 'the old children to go', 15 ) }, 'no child got stuck';
    my %more = map { $_ => child_of($_) } $httpd->children;
    my $threads = $httpd->mpm eq 'prefork' ? 2 : 4 + 3;    # with the monitor; and main and listener
    is_deeply [ grep { $more{$_}{threads} > $threads + 4 } keys %more ], [], 'threads of the children, with four workers at most';
    is_deeply [ grep { $more{$_}{descriptors} > 25 } keys %more ], [], 'descriptors of the children' or diag explain \%more;
    return if !%before;
    my %after = rested_parent($httpd);
    diag join ' ', $httpd->mpm, map {"$_: $before{$_} -> $after{$_}"} sort keys %after if $ENV{FAILOVER_FIGURES};
    is $after{descriptors}, $before{descriptors}, "descriptors of the parent after $restarts further restarts";
    return if Failover::Sanitizer::is_preloaded();    # its runtime keeps what was freed for a while
    cmp_ok $after{maps}, '<=', $before{maps} + 2, "maps of the parent, $after{maps}";
    cmp_ok $after{kilobytes}, '<=', $before{kilobytes} + 96 + 2 * $restarts, "the parent's own memory, $before{kilobytes} kB before, $after{kilobytes} kB after";
    return;
}

sub child_of ($pid) {
    my @task = glob "/proc/$pid/task/*";
    my @fd   = glob "/proc/$pid/fd/*";
    return { threads => scalar @task, descriptors => scalar @fd };
}

# The least of each within half a second: a restart that is under way has two configurations.
sub rested_parent ($httpd) {
    my ( %least, $end );
    $end = now() + 0.5;
    wait_for( sub {
        my %now = parent_of($httpd);
        for ( keys %now ) { $least{$_} = $now{$_} if !defined $least{$_} || $now{$_} < $least{$_} }
        return now() > $end;
    }, 'half a second' );
    return %least;
}

# Its own memory is what it has written, those pages included that it shares with its children since
# the fork; a child's end turns one kind into the other, so both are read at once.
sub parent_of ($httpd) {
    my $pid = $httpd->pid;
    my @fd  = glob "/proc/$pid/fd/*";
    my @kb  = slurp("/proc/$pid/smaps_rollup") =~ /^(?:Private|Shared)_Dirty: +(\d+) kB/mg;
    return ( descriptors => scalar @fd, maps => scalar( () = slurp("/proc/$pid/maps") =~ /\n/g ), kilobytes => sum(@kb) );
}

# A client in a process of its own, which asks all the time. Call what it returns to end it and to learn
# how many answers it got, and what went wrong.
sub load ( $httpd, $number ) {
    my $file = $httpd->dir . "/load$number";
    my $stop = "$file.stop";
    unlink $file, $stop;
    my $pid = fork_child( sub {
        my ( $answered, @lost ) = (0);
        until ( -e $stop ) {
            my $answer = http_request( $httpd->port, '/' );
            $answer->status == 404 ? $answered++ : push @lost, $answer->error // $answer->status;
            select undef, undef, undef, 0.02;    # some hundred a second of all clients are enough
        }
        spew( $file, join "\n", $answered, @lost );
        POSIX::_exit(0);
    } );
    return sub {
        spew( $stop, '' );
        waitpid $pid, 0;
        release_group($pid);
        my ( $answered, @lost ) = split /\n/, slurp($file);
        return { answered => $answered, lost => \@lost };
    };
}
