# Scripts against a real SMTP server and a real LDAP server: what these log of a ping; killed,
# stopped, full, with logins that are not what they should be; and peers that answer nonsense, or
# never come to an end.
use v5.36;
use Test::More;
use Cwd ();
use File::Basename ();
use Failover::Certificates;
use Failover::File;
use Failover::Httpd;
use Failover::Peer;
use Failover::Seen;
use Failover::Server::Exim;
use Failover::Server::Slapd;
use Failover::States qw(under_each_mpm quick);
use Failover::Wait;
use IO::Socket::INET;

my $SECRET = 'Geheim7';
my $CONF   = Cwd::realpath( File::Basename::dirname(__FILE__) . '/../../conf' );
my $USER   = 'cn=monitor,dc=shop';
my $made   = Failover::Certificates->new;
my $own    = [ $made->signed('DNS:localhost') ];
my $smtp   = Failover::Server::Exim->new( most => 4, certificate => $own )->start;
my $ldap   = Failover::Server::Slapd->new( password => $SECRET, certificate => $own )->start;

# The shipped scripts leave three and five lines of information per ping, six with TLS, and nothing
# else; but that slapd may wonder at the end of a connection which it has just closed itself.
under_each_mpm 'what the servers log', sub ($mpm) {
    my $tls   = 'tls=on ca=' . $made->ca;
    my $httpd = start_httpd( $mpm, [qw(mail ldap smtps ldaps)], often(), services() . <<~"CONF" );
        FailoverService smtps script://localhost:@{[ $smtp->tls_port ]} steps=$CONF/smtp.steps $tls
        FailoverService ldaps script://localhost:@{[ $ldap->tls_port ]} steps=$CONF/ldap.steps $tls
        CONF
    wait_for_states( $httpd, 'up up up up' );
    my %before = ( smtp => length $smtp->log_text, ldap => length $ldap->log_text );
    wait_for( sub { $httpd->get('/'); 20 <= ( () = substr( $smtp->log_text, $before{smtp} ) =~ /closed by QUIT/g ) }, '20 pings by SMTP' );
    wait_for( sub { $httpd->get('/'); 20 <= ( () = substr( $ldap->log_text, $before{ldap} ) =~ /UNBIND/g ) },         '20 pings by LDAP' );
    is states($httpd), 'up up up up', 'up';
    $httpd->done;
    wait_for( sub { $smtp->log_text =~ /no MAIL.*\n\z/ && $ldap->log_text =~ /fd=\d+ closed\n\z/ }, 'the last goodbyes' );
    like substr( $smtp->log_text, $before{smtp} ), qr/no MAIL in .* X=TLS1[.]\d:/,  'over TLS by SMTP';
    like substr( $ldap->log_text, $before{ldap} ), qr/TLS established .* tls_proto=TLS1[.]\d/, 'and by LDAP';
    is_deeply [ unknown( substr( $smtp->log_text, $before{smtp} ), qr/connection count|closed by QUIT|no MAIL .* C=EHLO,QUIT/ ) ], [], 'three kinds of lines by SMTP';
    is_deeply [ unknown( substr( $ldap->log_text, $before{ldap} ), qr/ACCEPT|TLS established|BIND dn="" method=128|RESULT tag=97 err=0 |UNBIND|fd=\d+ closed$|connection_read\(\d+\): no connection!$/ ) ], [], 'five kinds of lines by LDAP, six with TLS';
};

under_each_mpm 'killed and stopped', sub ($mpm) {
    my $httpd = start_httpd( $mpm, [qw(mail ldap)], patiently(), "SetEnv MAIL smtp1\n" . services('MAIL=spool') );
    wait_for_states( $httpd, 'up up' );
    # A ping may be under way when it dies.
    my $gone = qr/connect: Connection refused|answer: (?:Connection reset by peer|line \d+: closed early)/;
    my @case = (
        [ $smtp, 'mail', 'down up', pause => 'answer: timed out after 2s' ],
        [ $smtp, 'mail', 'down up', crash => $gone ],
        [ $ldap, 'ldap', 'up down', pause => 'answer: timed out after 2s' ],
        [ $ldap, 'ldap', 'up down', crash => $gone ],
    );
    for my $case (@case) {
        my ( $server, $name, $states, $fault, $text ) = @$case;
        $server->$fault;
        my $began = now();
        wait_for_states( $httpd, $states );
        outage_is( $httpd, $name, $server->address, $text, $fault );
        is $httpd->body('/cgi-bin/value?MAIL'), $name eq 'mail' ? 'spool' : 'smtp1', 'the variable';
        $fault eq 'pause' ? $server->resume : $server->start;
        wait_for_states( $httpd, 'up up' );
        recovery_is( $httpd, $name, $began );
    }
    is $httpd->body('/cgi-bin/value?MAIL'), 'smtp1', 'and it is what it was';
    $httpd->done;

    # Of pings that timed out while they were stopped.
    $smtp->allow_log(qr/lost|no MAIL in SMTP connection from \[127/);
    $ldap->allow_log(qr/connection lost/);
};

# It says so, and works on for those who are in: no outage unless told so.
under_each_mpm 'a full SMTP server', sub ($mpm) {
    my $url   = 'script://' . $smtp->address . " steps=$CONF/smtp.steps";
    my $httpd = start_httpd( $mpm, [qw(keep fail)], patiently(), "FailoverService keep $url\nFailoverService fail $url busy=fail\n" );
    wait_for_states( $httpd, 'up up' );
    my @client = map { IO::Socket::INET->new( $smtp->address ) } 1 .. 4;
    $_->getline for @client;
    wait_for_states( $httpd, 'up down' );
    outage_is( $httpd, 'fail', $smtp->address, qr/answer: line \d+: got "421 Too many concurrent SMTP connections; please try again later[.]"/ );
    is states($httpd), 'up down', 'the other one keeps its state';
    $_->syswrite("QUIT\r\n") && $_->getline for @client;
    close $_ for @client;
    wait_for_states( $httpd, 'up up' );
    $httpd->take_log(qr/FO0003: fail is back up/);
    $httpd->done;
    $smtp->allow_log(qr/refused: too many connections|closed by QUIT|no MAIL .* C=QUIT/);
};

# A bind with name and password; the lengths in it are those of this name and this password.
under_each_mpm 'logins', sub ($mpm) {
    my $closed = Failover::Server::Slapd->new( config => 'disallow bind_anon' )->start;
    my $bind   = sprintf 'send-hex 30 %02x 02 01 01 60 %02x 02 01 03 04 %02x', 12 + length( $USER . $SECRET ), 7 + length( $USER . $SECRET ), length $USER;
    my $steps  = <<~"STEPS" . slurp("$CONF/ldap.steps") =~ s/.*(?=^find-hex 02)//msr;
        $bind
        send "%{user}"
        send-hex 80 @{[ sprintf '%02x', length $SECRET ]}
        send "%{password}"
        STEPS
    my $at    = 'script://' . $USER =~ s/([=,])/sprintf '%%%02x', ord $1/ger . '@' . $ldap->address;
    my $httpd = start_httpd( $mpm, [qw(good wrong closed)], patiently(), <<~"CONF", { 'bind.steps' => $steps } );
        FailoverService good   $at steps=\@DIR\@/bind.steps password=file:\@DIR\@/secret
        FailoverService wrong  $at steps=\@DIR\@/bind.steps password=file:\@DIR\@/wrong
        FailoverService closed script://@{[ $closed->address ]} steps=$CONF/ldap.steps
        CONF
    wait_for_states( $httpd, 'up up up' );
    wait_for( sub { $httpd->get('/'); said( $httpd, 'FO0004' ) >= 2 }, 'both warnings' );
    like $httpd->take_log(qr/FO0004: wrong: /),  qr/login refused \(49\): the server is alive, .*: line \d+: got 31$/, 'a wrong password';
    like $httpd->take_log(qr/FO0004: closed: /), qr/login refused \(48\): the server is alive, .*: line \d+: got 30$/, 'no anonymous bind';
    unlike $httpd->error_log . ( $httpd->configtest( '-D', 'DUMP_FAILOVER' ) )[1], qr/$SECRET/, 'the password is nowhere';
    like $ldap->log_text, qr/BIND dn="\Q$USER\E" mech=SIMPLE/, 'and it was the right one';
    $httpd->done;
    $ldap->allow_log(qr/RESULT tag=97 err=49 |connection lost/);
    $closed->allow_log(qr/RESULT tag=97 err=48 |connection lost/);
    $closed->done;
};

# What is no answer is known as soon as it is there; what never ends, by the deadline or 16 KiB.
under_each_mpm 'peers', sub ($mpm) {
    my %peer = (
        wrong   => Failover::Peer->new( mode => 'say',  bytes => "500 what?\r\n" ),
        cut     => Failover::Peer->new( mode => 'say',  bytes => '500 what' ),
        garbage => Failover::Peer->new( mode => 'garbage' ),
        closed  => Failover::Peer->new( mode => 'close' ),
        drip    => Failover::Peer->new( mode => 'drip', bytes => '220-' x 1000 ),
        endless => Failover::Peer->new( mode => 'say',  bytes => "220-and so on\r\n" x 2000 ),
        echo    => Failover::Peer->new( mode => 'reply', bytes => "500 PASS $SECRET?\r\n" ),
    );
    my @case = (
        [ wrong   => 'answer: line 8: expected "220 ", got "500 what?"' ],
        [ cut     => 'answer: line 8: expected "220 ", got "500 what"' ],
        [ garbage => qr/answer: line 8: expected "220 ", got ".*/ ],
        [ closed  => 'answer: line 8: closed early' ],
        [ drip    => 'answer: timed out after 2s' ],
        [ endless => 'answer: line 8: 16384 bytes, and not what is expected' ],
        [ echo    => 'answer: line 2: expected "+OK", got "500 PASS ***?"' ],
    );
    my $steps  = qq{send "PASS %{password}\\r\\n"\nexpect "+OK"\n};
    my $config = join '', map {
        "FailoverService $_->[0] script://" . $peer{ $_->[0] }->address
            . ( $_->[0] eq 'echo' ? " steps=\@DIR\@/pass.steps password=file:\@DIR\@/secret\n" : " steps=$CONF/smtp.steps\n" )
    } @case;
    my $httpd = start_httpd( $mpm, [ map { $_->[0] } @case ], patiently(), $config, { 'pass.steps' => $steps } );
    wait_for_states( $httpd, join ' ', ('down') x @case );
    outage_is( $httpd, $_->[0], $peer{ $_->[0] }->address, $_->[1] ) for @case;
    unlike $httpd->error_log, qr/$SECRET/, 'the password is nowhere';
    $httpd->done;
};

$_->done for $smtp, $ldap;
done_testing;

# ---------------------------------------------------------------- helpers

sub start_httpd ( $mpm, $names, $policy, $services, $files = {} ) {
    my $httpd = Failover::Httpd->new( mpm => $mpm, modules => [qw(cgi env)], config => $policy . $services . shows_states(@$names) );
    $httpd->file( 'secret', "$SECRET\n", 0400 );
    $httpd->file( 'wrong',  'x' x length($SECRET) . "\n", 0400 );
    $httpd->file( $_, $files->{$_} ) for keys %$files;
    $httpd->allow_log(qr/FO0009: .*a ping may take/);
    return $httpd->start;
}

# What the shipped scripts are for.
sub services ( $variables = '' ) {
    return <<~"CONF";
        FailoverService mail script://@{[ $smtp->address ]} steps=$CONF/smtp.steps $variables
        FailoverService ldap script://@{[ $ldap->address ]} steps=$CONF/ldap.steps
        CONF
}

# The lines that are none of these.
sub unknown ( $text, $known ) { return grep { !/$known/ } split /\n/, $text }

# Exim's answer to QUIT lies in the kernel for 200 ms.
sub patiently () { return quick() =~ s/Timeout\s+\K200ms/2s/r }

# For few services and many pings.
sub often () { return patiently() =~ s/Frequency\s+\K200ms/20ms/gr }
