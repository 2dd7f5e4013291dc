# Existing monitoring plugins, Debian's and the test's own, through the helper of a real httpd: what
# their exit codes come to, whom they run as, and that neither they nor the helper outlive their time.
use v5.36;
use Test::More;
use Failover::File;
use Failover::Http qw(http_request);
use Failover::Httpd;
use Failover::Peer;
use Failover::Process;
use Failover::Seen;
use Failover::States qw(under_each_mpm quick);
use Failover::Wait;
use Failover::Cleanup qw(fork_child release_group);

my $PLUGINS = '/usr/lib/nagios/plugins';
-x "$PLUGINS/$_" or die "missing program: $PLUGINS/$_; is monitoring-plugins-basic installed?\n" for qw(check_tcp check_dummy);

my $LIMIT = 3;    # seconds in which whatever is told to go is gone
my $WHO   = $> == 0 ? ( grep { defined getpwnam $_ } qw(www-data apache http nobody) )[0] : getpwuid $>;
my $UID   = getpwnam $WHO;

under_each_mpm 'real checks', sub ($mpm) {
    my $peer  = Failover::Peer->new;
    my $port  = $peer->port;
    my $httpd = start_httpd( $mpm, [qw(app dummy warn strict broken)], <<~"CONF" );
        FailoverService app    plugin://$PLUGINS/check_tcp "args=-H 127.0.0.1 -p $port -t 1"
        FailoverService dummy  plugin://$PLUGINS/check_dummy "args=0 'all is well'"
        FailoverService warn   plugin://$PLUGINS/check_dummy "args=1 'it is slow'"
        FailoverService strict plugin://$PLUGINS/check_dummy "args=1 'it is slow'" warning=fail
        FailoverService broken plugin://$PLUGINS/check_dummy "args=3 'who knows'"
        CONF
    wait_for( sub { states($httpd) =~ /^up up up down / && said( $httpd, 'FO0005' ) }, 'the first answers' );
    outage_is( $httpd, 'strict', "$PLUGINS/check_dummy", 'answer: WARNING: it is slow' );
    like $httpd->take_log(qr/FO0005: broken: /), qr/thrown away \(self\).* answer: UNKNOWN: who knows: what asks is out of order/, 'UNKNOWN is no answer';
    unlike states($httpd), qr/ down$/, 'and no outage';
    my $began = now();
    $peer->mode('refuse');
    wait_for( sub { states($httpd) =~ /^down / }, 'the outage' );
    like $httpd->take_log(qr/FO0001: app outage/), qr{endpoint \Q$PLUGINS\E/check_tcp: answer: connect to address 127[.]0[.]0[.]1 and port $port: Connection refused$}, "check_tcp's own words";
    $peer->mode('mute');
    wait_for( sub { states($httpd) =~ /^up / }, 'the recovery' );
    recovery_is( $httpd, 'app', $began );
    $httpd->done;
};

under_each_mpm 'whom they run as', sub ($mpm) {
    my $httpd = prepare( $mpm, ['who'], "FailoverService who plugin://\@DIR\@/who\n" );
    $httpd->file( 'who', "#!/bin/sh\necho \$(id -u) \$(id -ru) \$(id -gn) \$(id -Gn) \$(ls /proc/self/fd)\nexit 2\n", 0755 );
    $httpd->start;
    wait_for_states( $httpd, 'down' );
    my $group = getgrgid( ( getpwnam $WHO )[3] );
    outage_is( $httpd, 'who', $httpd->dir . '/who', qr/answer: $UID $UID $group (?!.*\broot\b)[\w -]+ 0 1 2 3/ );
    my ($helper) = $httpd->plugin_helpers;
    like slurp("/proc/$helper/status"), qr/^Uid:\s+$UID\s+$UID\s+$UID\s+$UID$/m, "the helper has no user but $WHO";
    $httpd->done;
};

under_each_mpm 'hanging, and the helper killed', sub ($mpm) {
    my $peer  = Failover::Peer->new;
    my $port  = $peer->port;
    my $httpd = hanging( $mpm, "FailoverService app plugin://$PLUGINS/check_tcp \"args=-H 127.0.0.1 -p $port -t 1\" timeout=1s\n" );
    $httpd->allow_log(qr/FO0005: \w+: .* ask: (?:the helper process that runs plugins (?:has ended|does not answer)|there is no helper process)/);
    $httpd->allow_log(qr/FO0009: .* a ping may take/);
    wait_for( sub { states($httpd) =~ /^up / }, 'the first answer' );
    my ($old)  = $httpd->plugin_helpers;
    my $plugin = plugin_of($httpd);
    kill 'KILL', $old;
    wait_for( sub { !Failover::Process::is_running($plugin) }, 'its plugin to go', $LIMIT );
    wait_for( sub { grep { $_ != $old } $httpd->plugin_helpers }, 'the next one', 20 );
    like states($httpd), qr/^up /, 'no outage';
    $peer->mode('refuse');
    wait_for( sub { states($httpd) =~ /^down / }, 'a real outage' );
    like $httpd->take_log(qr/FO0001: app outage/), qr/Connection refused$/, 'is found by the next helper';
    ends_all($httpd);
    $httpd->done;
};

under_each_mpm 'a hanging plugin', sub ($mpm) {
    my $httpd = prepare( $mpm, ['slow'], "FailoverService slow plugin://\@DIR\@/slow\n" );
    sleeper($httpd);
    $httpd->start;
    wait_for_states( $httpd, 'down' );
    outage_is( $httpd, 'slow', $httpd->dir . '/slow', 'ask: timed out after 200ms' );
    ends_all($httpd);
    $httpd->done;
};

# The children that drain still have the helper they know, and it goes with them.
under_each_mpm 'graceful', sub ($mpm) {
    my $room   = $mpm eq 'prefork' ? "ServerLimit 4\nMaxRequestWorkers 4\n" : "MaxRequestWorkers 32\n";    # beside one that drains
    my $httpd  = hanging( $mpm, $room );
    my ($old)  = $httpd->plugin_helpers;
    my $plugin = plugin_of($httpd);
    my $client = fork_child( sub { http_request( $httpd->port, '/cgi-bin/wait' ); POSIX::_exit(0) } );
    wait_for( sub { -e $httpd->dir . '/pids/waits' }, 'the request' );
    $httpd->graceful;
    has_helpers( $httpd, 2 );
    ok Failover::Process::is_running($plugin), 'the old one still runs its plugin';
    $httpd->file( 'pids/go', '' );
    wait_for( sub { !Failover::Process::is_running($old) && !Failover::Process::is_running($plugin) }, 'the old one to go with its children', $LIMIT );
    waitpid $client, 0;
    release_group($client);
    has_helpers( $httpd, 1 );
    isnt plugin_of( $httpd, $plugin ), $plugin, 'it runs plugins';
    ends_all($httpd);
    $httpd->done;
};

under_each_mpm 'restart', sub ($mpm) {
    my $httpd = hanging($mpm);
    for my $round ( 1 .. 2 ) {
        my ($old)  = $httpd->plugin_helpers;
        my $plugin = plugin_of($httpd);
        $httpd->restart;
        wait_for( sub { !Failover::Process::is_running($old) && !Failover::Process::is_running($plugin) }, "round $round: the old ones to go", $LIMIT );
        has_helpers( $httpd, 1 );
        isnt plugin_of( $httpd, $plugin ), $plugin, 'it runs plugins';
    }
    ends_all($httpd);
    $httpd->done;
};

# A configuration that has lost its last plugin, and found one again.
under_each_mpm 'none and some', sub ($mpm) {
    my $httpd = prepare( $mpm, ['app'], 'FailoverService app tcp://' . Failover::Peer->new->address . "\n" )->start;
    has_helpers( $httpd, 0 );
    sleeper($httpd);
    $httpd->config("FailoverService slow plugin://\@DIR\@/slow timeout=60s\n")->graceful;
    $httpd->allow_log(qr/FO0009: .* a ping may take|FO0001: app/);
    has_helpers( $httpd, 1 );
    my ($old) = $httpd->plugin_helpers;
    $httpd->config('')->graceful;
    wait_for( sub { !Failover::Process::is_running($old) }, 'it to go', $LIMIT );
    has_helpers( $httpd, 0 );
    $httpd->done;
};

# Whoever dies without a word leaves nothing that runs: a child, and the parent.
under_each_mpm 'killed', sub ($mpm) {
    my $httpd = hanging( $mpm, '', 'env' );
    $httpd->allow_log( Failover::Httpd->killed );
    $httpd->allow_log(qr/FO0005: slow: .* ask: the(?: helper process that runs plugins has ended|re is no helper process)/);
    my $plugin = plugin_of($httpd);
    kill 'KILL', $httpd->children;
    wait_for( sub { !Failover::Process::is_running($plugin) }, "the child's plugin to go", $LIMIT );
    my $next     = plugin_of( $httpd, $plugin );
    my @children = $httpd->children;
    my ($helper) = $httpd->plugin_helpers;
    kill 'KILL', $httpd->pid;
    wait_for( sub { !grep { Failover::Process::is_running($_) } $helper, $next }, 'helper and plugin to go with the parent', $LIMIT );
    kill 'KILL', @children;
    $httpd->done;
};

done_testing;

sub prepare ( $mpm, $names, $services, @modules ) {
    my $httpd = Failover::Httpd->new( mpm => $mpm, modules => [ @modules ? @modules : qw(cgi env) ], config => quick() . $services . shows_states(@$names) );
    mkdir $httpd->dir . '/pids';
    chmod 0777, $httpd->dir . '/pids';
    $httpd->file( 'cgi-bin/wait', <<~"CGI" );
        #!/bin/sh
        echo >@{[ $httpd->dir ]}/pids/waits
        while [ ! -e @{[ $httpd->dir ]}/pids/go ]; do sleep 0.05; done
        printf 'Content-Type: text/plain\\n\\ndone'
        CGI
    return $httpd;
}

sub start_httpd ( $mpm, $names, $services ) { return prepare( $mpm, $names, $services )->start }

# A plugin that never ends by itself, nor by SIGTERM, has a child that does neither, and says its pid.
sub sleeper ($httpd) {
    my $pids = $httpd->dir . '/pids';
    $httpd->file( 'slow', <<~"PLUGIN", 0755 );
        #!/bin/sh
        trap '' TERM HUP
        sleep 600 &
        echo \$\$ >$pids/\$\$; mv $pids/\$\$ $pids/slow
        wait
        wait
        PLUGIN
    return;
}

# Its pings take far longer than the test.
sub hanging ( $mpm, $more = '', @modules ) {
    my @names = ( $more =~ /FailoverService (\w+)/g, 'slow' );
    my $httpd = prepare( $mpm, \@names, "${more}FailoverService slow plugin://\@DIR\@/slow timeout=60s\nFailoverPingWait 50ms\n", @modules );
    sleeper($httpd);
    $httpd->start;
    $httpd->allow_log(qr/FO0009: .* a ping may take/);
    return $httpd;
}

# So many; one that was just forked has yet to take its name.
sub has_helpers ( $httpd, $n ) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok wait_for( sub { $n == $httpd->plugin_helpers }, "$n helpers", $LIMIT ), "helpers: $n";
}

# The pid of a plugin that runs, and is not $old.
sub plugin_of ( $httpd, $old = 0 ) {
    return wait_for(
        sub {
            $httpd->get('/');
            my ($pid) = slurp( $httpd->dir . '/pids/slow' ) =~ /^(\d+)\n/ or return;
            return $pid if $pid != $old && Failover::Process::is_running($pid);
        },
        'a plugin to run'
    );
}

# A stop leaves no helper and no plugin.
sub ends_all ($httpd) {
    my $plugin = slurp( $httpd->dir . '/pids/slow' ) =~ s/\s//gr;
    my @left   = ( $httpd->plugin_helpers, $plugin );
    cmp_ok $httpd->stop, '<', $LIMIT, 'a stop';
    wait_for( sub { !grep { Failover::Process::is_running($_) } @left }, 'helper and plugin to go', $LIMIT );
    return;
}
