# The shop of examples/php, under mod_php and under php-fpm: its databases die and come back.
use v5.36;
use Test::More;
use Failover::Example;
use Failover::Seen qw(outage_is);

# Seconds, as the README has them, and what a busy machine may add.
my ( $OVER, $BACK, $SLACK ) = ( 1, 2.1, 4 );

# Why a ping finds a killed database dead; it may have been under way.
my $KILLED = qr/connect: Connection refused|(?:login|answer): .*/;

my $servers = {};
subtest 'mod_php' => sub { replica_dies( start('mod_php') )->done };
subtest 'php-fpm' => sub { primary_dies( replica_dies( start('php-fpm') ) )->done };

# Connections that were kept are cut off when httpd ends; php-fpm repeats what it relays.
$servers->{$_}->allow_log(qr/Aborted connection/) for qw(primary replica);
$servers->{php}->allow_log(qr/said into stderr: .*shop: /);
$servers->{$_}->done for sort keys %$servers;
done_testing;

sub start ($way) {
    my $site = Failover::Example->new( $way, running => $servers )->start;
    $site->httpd->allow_log(qr/shop: (?:Connection refused|MySQL server has gone away|Lost connection)/);
    like $site->answer->body, listed('replica'), 'it reads from the replica';
    like $site->answer( order() )->body, taken(), 'it writes to the primary';
    return $site;
}

sub replica_dies ($site) {
    my $replica = $site->server('replica');
    $replica->crash;
    $site->breaks( listed('replica'), listed('primary'), $OVER + $SLACK );
    outage_is( $site->httpd, 'replica', $replica->address, $KILLED );
    like $site->answer( order() )->body, taken(), 'it goes on writing to the primary';
    $replica->start;
    $site->comes_back( listed('primary'), listed('replica'), 'FO0003: replica is back up. Recovery complete.', $BACK + $SLACK );
    return $site;
}

sub primary_dies ($site) {
    my $primary = $site->server('primary');
    my $closed  = qr/^No orders at the moment; look around meanwhile[.]$/;
    $primary->crash;
    my $refusal = $site->breaks( taken(), $closed, $OVER + $SLACK, order() );
    is $refusal->status . ' ' . $refusal->header('Retry-After'), '503 2', 'come again in 2 s';
    outage_is( $site->httpd, 'primary', $primary->address, $KILLED );
    like $site->answer->body, listed('replica'), 'it goes on reading from the replica';
    $primary->start;
    $site->comes_back( $closed, taken(), 'FO0003: primary is back up. Recovery complete.', $BACK + $SLACK, order() );
    return $site;
}

sub listed ($name) { return qr/^bread, butter, jam \(from \Q@{[ $servers->{$name}->address ]}\E\)$/ }
sub taken ()       { return qr/^order \d+ taken \(by \Q@{[ $servers->{primary}->address ]}\E\)$/ }

sub order () {
    return (
        method  => 'POST', body => 'product=2',
        headers => [ 'Content-Type' => 'application/x-www-form-urlencoded' ],
    );
}
