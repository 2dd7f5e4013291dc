# The guestbook of examples/perl-cgi: its database dies and comes back. It runs under mod_cgid, so
# httpd hears nothing of what it complains of, and time alone finds the outage.
use v5.36;
use Test::More;
use Failover::Example;
use Failover::Seen qw(outage_is);

# Seconds, as the README has them, and what a busy machine may add.
my ( $OVER, $BACK, $SLACK ) = ( 3.2, 2.1, 4 );

my $site = Failover::Example->new('perl-cgi')->start;
my ( $main, $copy ) = map { $site->server($_) } qw(main copy);
my $from_main = qr/\(from \Q@{[ $main->address ]}\E\)$/;
my $from_copy = qr/\(from \Q@{[ $copy->address ]}\E\)$/;
my @sign      = ( method => 'POST', body => "Gr\xc3\xbc\xc3\x9fe\nfrom afar" );
is $site->answer(@sign)->body, "Thank you.\n", 'it is signed';
is $site->answer->body, "Gr\xc3\xbc\xc3\x9fe from afar\nHello\n(from @{[ $main->address ]})\n", 'in the main database';

$main->crash;
my $read = $site->breaks( $from_main, $from_copy, $OVER + $SLACK );
is $read->body, "Hello\n(from @{[ $copy->address ]})\n", 'it is read from the copy';
outage_is( $site->httpd, 'guestbook', $main->address, qr/connect: Connection refused|(?:login|answer): .*/ );    # a ping may have been under way
my $refusal = $site->answer(@sign);
is $refusal->status . ' ' . $refusal->body, "503 Nobody can sign at the moment; read on meanwhile.\n", 'nobody can sign';
is $refusal->header('Retry-After'), 2, 'for now';
$main->start;
$site->comes_back( $from_copy, $from_main, 'FO0003: guestbook is back up. Recovery complete.', $BACK + $SLACK );
is $site->answer(@sign)->body, "Thank you.\n", 'it is signed again';

# mod_cgid gives the program the file of the error log itself: no time stamp, no module.
$site->httpd->allow_log(qr/^guestbook: DBI connect\(.*\) failed: Can't connect to server on '127[.]0[.]0[.]1' \(\d+\) at /);
$site->done;
$_->done for $main, $copy;
done_testing;
