# 64 children and 100 services: the services get an even rain of pings, and no waves, from each child's
# second ping on, after a start and after a graceful restart. In full: make bench-crowd.
use v5.36;
use Test::More;
use Failover::Rain;
use Failover::Seen qw(between);

my ( $CHILDREN, $SERVICES, $FREQUENCY ) = ( 64, 100, 20 );
my $MOST = 1.5;
my $RATE = $CHILDREN * $SERVICES / $FREQUENCY / 1.025;    # spans are up to 5% longer

my $crowd = Failover::Rain->new( children => $CHILDREN, services => $SERVICES, frequency => $FREQUENCY );
for my $row ( [ 'start', 'after a start' ], [ 'graceful', 'after a graceful restart' ] ) {
    my ( $order, $when ) = @$row;
    $crowd->$order;
    my $rain = $crowd->fall($FREQUENCY);
    between( $rain->{rate} / $RATE, 0.95, 1.05, sprintf '%s: %.0f pings per second', $when, $rain->{rate} );
    between( $rain->{dispersion}, 0.5, $MOST, sprintf '%s: variance/mean %.2f', $when, $rain->{dispersion} );
}
$crowd->httpd->done;
done_testing;
