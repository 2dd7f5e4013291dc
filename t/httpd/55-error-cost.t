# What an entry of the error log costs in the hook, counted in instructions: callgrind counts while
# the hook runs, and nothing else. Entries come from a CGI's standard error, under prefork.
use v5.36;
use Test::More;
use Failover::Callgrind;
use Failover::Httpd;
use Failover::Peer;

my $LIMIT    = 2000;
my $SERVICES = 20;
my $LENGTH   = 200;    # of an entry, as the hook sees it
my @peer     = map { Failover::Peer->new } 1 .. $SERVICES;

# The words of an entry that has $LENGTH bytes with what mod_cgi puts before them.
sub entry ( $httpd, $words ) {
    my $before = length "AH01215: stderr from @{[ $httpd->dir ]}/cgi-bin/say: ";
    my $filler = ' in the page of the shop that shows what is in the cart, and what it costs with all taxes and the postage, on a busy day like this';
    die "too short for it\n" if $LENGTH - $before < length $words;
    return substr $words . $filler . '.' x $LENGTH, 0, $LENGTH - $before;
}

# Runs httpd in the foreground under callgrind, lets the CGI say the words $count times, and returns
# the instructions of the hook and of what it called: { total => n, ... }.
sub count_of ( $words, $count ) {
    my $services = join '', map {"FailoverService s$_ tcp://@{[ $peer[$_]->address ]} S$_=spare\n"} 0 .. $#peer;
    my $httpd    = Failover::Httpd->new( mpm => 'prefork', modules => ['cgi'], config => <<~"CONF" );
        FailoverErrorPingFrequency 10ms
        FailoverSpread 0
        $services
        CONF
    my $dir  = $httpd->dir;
    my $text = quotemeta entry( $httpd, $words =~ s/\@PORT\@/$peer[7]->port/er );

    # A pause between two entries: each finds what the one before raised pinged, and may raise it.
    $httpd->file( 'cgi-bin/say', <<~"CGI" );
        #!/usr/bin/perl
        for ( 1 .. $count ) { syswrite STDERR, "$text\\n"; select undef, undef, undef, 0.05 }
        print "Content-Type: text/plain\\n\\nsaid";
        CGI
    my $callgrind = Failover::Callgrind->start( $httpd, '--toggle-collect=httpd_error_log' );
    is $httpd->get( '/cgi-bin/say', limit => 60 )->body, 'said', "$count entries";
    $callgrind->stop;
    my @line = grep {/AH01215/} split /\n/, $httpd->error_log;
    is scalar(@line), $count, 'each is one entry of the log';
    is length( $line[0] =~ s/.*?(?=AH01215)//r ), $LENGTH, "of $LENGTH bytes";
    $httpd->allow_log(qr/AH01215/);
    my ($profile) = $callgrind->profiles;
    return { total => $profile->count, map { $_ => $profile->count($_) } $profile->functions };
}

# Per entry: the difference between two runs, so that neither the start nor the end counts.
sub cost ( $what, $words ) {
    my ( $short, $long ) = ( count_of( $words, 10 ), count_of( $words, 30 ) );
    my %cost = map { $_ => ( $long->{$_} - ( $short->{$_} // 0 ) ) / 20 } keys %$long;
    note join "\n", map { sprintf '%8.1f %s', $cost{$_}, $_ } sort { $cost{$b} <=> $cost{$a} } grep { $cost{$_} } keys %cost;
    return \%cost;
}

my $none = cost( 'an entry that matches nothing', 'PHP Warning: Undefined array key "user"' );
cmp_ok $none->{total}, '<=', $LIMIT, sprintf 'matches nothing: %d instructions', $none->{total};
cmp_ok $none->{total}, '>',  200, 'and it was looked at';

for my $row (
    [ 'a pattern',                'Connection refused: the database' ],
    [ 'a pattern and an endpoint', "Can't connect to MySQL server on '127.0.0.1:\@PORT\@'" ],
) {
    my ( $what, $words ) = @$row;
    my $cost  = cost( $what, $words );
    my $sent  = ( $cost->{fo_matcher_find_sent} // 0 ) + ( $cost->{fo_sent_holds} // 0 );
    my $write = $cost->{probe_gate_wake}      // 0;
    cmp_ok $sent,  '>', 0, 'the headers were searched';
    cmp_ok $write, '>', 0, 'and the monitor woken';
    my $rest = $cost->{total} - $sent - $write;
    cmp_ok $rest, '<=', $LIMIT, sprintf 'matches %s: %d instructions, and %d for the headers, %d for the wake-up', $what, $rest, $sent, $write;
}
done_testing;
