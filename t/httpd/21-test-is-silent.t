# httpd -t does nothing on the network that httpd without our lines would not do, looks up no name,
# and runs no secret's program. httpd -t itself talks to the kernel (netlink, a UDP connect for
# Listen and ServerName), so what counts is the difference, system call by system call.
use v5.36;
use Test::More;
use Failover::File;
use Failover::Httpd;
use Failover::Process;
use Failover::States qw(under_each_mpm);

# No name here is known to anybody; a look-up would be seen whether it succeeds or not.
my $OURS = <<~'CONF';
    FailoverPingWait 1s
    FailoverService app tcp://app.example.invalid:5000 APP=spare
    FailoverService db-port tcp://db.example.invalid:3306
    FailoverService local tcp://127.0.0.1:@PORT@
    FailoverService socket unix:///run/no-such.sock
    FailoverService cache memcached://c1.example.invalid,c2.example.invalid:11212
    FailoverDatabase blogdb mysql://monitor@db1.example.invalid/blog password=exec:@DIR@/cgi-bin/secret
    FailoverService pgdb postgresql://monitor@db3.example.invalid/blog tls=on verify=off password=exec:@DIR@/cgi-bin/secret
    FailoverService pglocal postgresql://monitor@127.0.0.1:@PORT@ socket=/run
    <FailoverService shop>
        FailoverEndpoint east mysql://monitor@127.0.0.1:@PORT@ password=exec:@DIR@/cgi-bin/secret
        FailoverSetEnv   SHOP_HOST %{failover:blogdb.host}
    </FailoverService>
    <If "failover('shop') == 'down'">
        Header set X-Shop down
    </If>
    <VirtualHost 127.0.0.1:@PORT@>
        ServerName localhost
        FailoverService blogdb mysql://monitor@db2.example.invalid password=file:@DIR@/secret
    </VirtualHost>
    CONF
my $STOCK = <<~'CONF';
    <VirtualHost 127.0.0.1:@PORT@>
        ServerName localhost
    </VirtualHost>
    CONF

under_each_mpm 'httpd -t', sub ($mpm) {
    my $httpd = Failover::Httpd->new( mpm => $mpm, modules => [qw(cgi headers)] );
    $httpd->file( 'cgi-bin/secret', "#!/bin/sh\necho ran >> @{[ $httpd->dir ]}/mark\necho hunter2\n" );
    $httpd->file( 'secret', "hunter2\n", 0400 );
    my @stock = calls_of( $httpd, $STOCK );
    cmp_ok scalar @stock, '>', 3, 'the trace sees what httpd itself does';

    for my $words ( [], [ '-D', 'DUMP_FAILOVER' ], ['-S'] ) {
        my @theirs = @$words ? calls_of( $httpd, $STOCK, @$words ) : @stock;
        is_deeply [ calls_of( $httpd, $OURS, @$words ) ], \@theirs, "httpd -t @$words: nothing more on the network";
    }
    is slurp( $httpd->dir . '/mark' ), '', "no secret's program ran";

    # Would the trace have shown it?
    my @looked_up = calls_of( $httpd, $STOCK =~ s/<VirtualHost 127/<VirtualHost name.example.invalid:80 127/r );
    cmp_ok scalar @looked_up, '>', scalar @stock, 'a look-up would have been seen';
    $httpd->config("FailoverService db mysql://u\@127.0.0.1:1 password=exec:\@DIR\@/cgi-bin/secret\nFailoverMonitor Off");
    $httpd->start;
    is slurp( $httpd->dir . '/mark' ), "ran\n", 'and the real start runs the program';
    $httpd->done;
};

done_testing;

# The network calls, programs run and files of the resolver opened by httpd -t, without what differs
# from run to run.
sub calls_of ( $httpd, $config, @words ) {
    my $dir   = $httpd->dir;
    my $trace = "$dir/trace";
    $httpd->config($config);
    my ( $code, $output ) = Failover::Process->run(
        command => [
            Failover::Process::find_program('strace'), '-f', '-qq', '-o', $trace,
            '-e', 'trace=%network,execve,openat,open', '-e', 'signal=none',
            $httpd->program, '-d', $dir, '-f', "$dir/httpd.conf", '-t', @words,
        ],
        output => "$dir/logs/traced",
    );
    die "httpd -t @words: $output" if $config =~ /Failover/ && $code;
    my @call = grep { !/ open(?:at)?\(/ || m{/etc/(?:hosts|resolv|gai|nsswitch|host[.]conf)} } split /\n/, slurp($trace);
    return sort map { s/^\d+ +//r =~ s/recvmsg\(\K.*//r =~ s/0x\w+|\d+/N/gr } @call;
}
