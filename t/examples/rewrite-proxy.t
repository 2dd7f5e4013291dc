# The application of examples/rewrite-proxy: it dies, it says itself that it is not fit for work,
# and it comes back.
use v5.36;
use Test::More;
use Failover::Example;
use Failover::File;
use Failover::Seen qw(outage_is);

# Seconds, as the README has them, and what a busy machine may add.
my ( $OVER, $DRAINED, $BACK, $SLACK ) = ( 1, 3.2, 2.1, 4 );

my $site  = Failover::Example->new('rewrite-proxy')->start;
my $httpd = $site->httpd;
my ( $main, $spare ) = map { $site->server($_) } qw(main spare);
my ( $by_main, $by_spare ) = ( qr/^main was asked for/, qr/^spare was asked for/ );
my $recovery = 'FO0003: app is back up. Recovery complete.';
is $site->answer( path => '/app/cart?item=a%20b&n=2' )->body, "main was asked for /cart?item=a%20b&n=2\n", 'requests go to the main one';
is $site->answer( path => '/app/a%20b/c' )->body, "main was asked for /a%20b/c\n", 'their path is as it was';
is $site->answer( path => '/app/old', host => 'www.example.com' )->header('Location'), 'http://www.example.com/app/',
    'its redirects lead back here';

$main->crash;
$site->breaks( $by_main, $by_spare, $OVER + $SLACK );
$httpd->allow_log(qr/Connection refused: AH00957: http: attempt to connect to \Q@{[ $main->address ]}\E|AH01114/);
outage_is( $httpd, 'app', $main->address, 'connect: Connection refused' );
is $site->answer( path => '/app/cart?n=2' )->body, "spare was asked for /cart?n=2\n", 'requests go to the spare';
is $site->answer( path => '/app/old', host => 'www.example.com' )->header('Location'), 'http://www.example.com/app/',
    'its redirects lead here too';
$main->start;
$site->comes_back( $by_spare, $by_main, $recovery, $BACK + $SLACK );

my $drain = spew( $main->dir . '/DRAIN', '' );
$site->changes( $by_main, $by_spare, $DRAINED + $SLACK );
outage_is( $httpd, 'app', $main->address, 'answer: 503 Service Unavailable' );
unlink $drain or die "cannot unlink $drain: $!\n";
$site->comes_back( $by_spare, $by_main, $recovery, $BACK + $SLACK );
$site->done;
$_->done for $main, $spare;
done_testing;
