# The counter of examples/lua: its Redis dies, then the spare one too, and both come back. Each
# thread keeps a connection.
use v5.36;
use Test::More;
use Failover::Example;
use Failover::Seen qw(outage_is);

# Seconds, as the README has them, and what a busy machine may add.
my ( $OVER, $RESCUED, $BACK, $SLACK ) = ( 1, 2.1, 7.2, 4 );

my $site  = Failover::Example->new('lua')->start;
my $httpd = $site->httpd;
my ( $east, $west ) = map { $site->server($_) } qw(east west);
my @ticket  = ( path => '/tickets' );
my $in_east = qr/^visit \d+$/;
my $in_west = qr/^visit \d+, counted in west: the numbers of today may be missing$/;
my $nowhere = qr/^nobody counts at the moment$/;
is join( '', map { $site->answer->body } 1 .. 40 ), join( '', map {"visit $_\n"} 1 .. 40 ), 'visitors are counted';
is $east->ask( 'GET', 'visits' ), 40, 'in east';
is $site->answer(@ticket)->body, "ticket 1\n", 'a ticket';
cmp_ok $east->counter('total_connections_received'), '<', 25, 'over connections that are kept';

$east->crash;
$site->breaks( $in_east, $in_west, $OVER + $SLACK );
like $httpd->take_log(qr/FO0018: counter: /),
    qr/:warn\] .*FO0018: counter: endpoint east down, using west \(Process ID: \d+\): connect: Connection refused$/, 'the log says so';
my $refusal = $site->answer(@ticket);
is $refusal->status . ' ' . $refusal->header('Retry-After'), '503 5', 'no tickets meanwhile';

$west->crash;
is $site->breaks( $in_west, $nowhere, $OVER + $SLACK )->status, 200, 'a page that does without';
outage_is( $httpd, 'counter', 'west', 'connect: Connection refused' );
$west->start;
$site->comes_back( $nowhere, $in_west, 'FO0017: counter: endpoint west is back, using it', $RESCUED + $SLACK );

$east->start;
$site->comes_back( $in_west, $in_east, 'FO0019: counter: endpoint east is back, using it again', $BACK + $SLACK );
my $count = $east->ask( 'GET', 'visits' );
is join( '', map { $site->answer->body } 1 .. 40 ), join( '', map { 'visit ' . ( $count + $_ ) . "\n" } 1 .. 40 ),
    'and every thread has left west';
is $site->answer(@ticket)->body, "ticket 2\n", 'the next ticket';
$httpd->allow_log(qr/:error\] .*counter: no answer from 127[.]0[.]0[.]1:\d+: (?:connection refused|closed)/);
$site->done;
$_->done for $east, $west;
done_testing;
