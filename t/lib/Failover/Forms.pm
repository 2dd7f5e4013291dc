# A healthy service of each form that a probe can have, and the one that believes silence: real
# servers, but for tcp://.
#
#     my $forms = Failover::Forms->new;
#     my $httpd = Failover::Httpd->new( config => quick() . $forms->config . shows_states( $forms->names ) );
#     wait_for_states( $httpd, $forms->up );
#     is_found( $httpd, $forms, 'a real outage' );
#     $forms->done;
package Failover::Forms;

use v5.36;
use Exporter qw(import);
use Failover::File;
use Failover::Peer;
use Failover::Seen;
use Failover::Server::MariaDB;
use Failover::Server::Memcached;
use Failover::Server::RabbitMQ;
use Failover::Wait;
use Test::More ();

our @EXPORT = qw(is_found);

my $SECRET = 'Geheim7';

# The words of `mariadb` are options of its command line.
sub new ( $class, %arg ) {
    my $self = bless {
        app   => Failover::Peer->new,
        cache => Failover::Server::Memcached->new->start,
        db    => Failover::Server::MariaDB->new( options => [ '--max-connections=200', @{ $arg{mariadb} // [] } ] )->start,
        mq    => Failover::Server::RabbitMQ->new->start,
    }, $class;
    $self->{db}->create_user( 'monitor', '' );
    $self->{mq}->add_vhost('shop');
    $self->{mq}->add_user( monitor => $SECRET, 'shop' );
    $self->{secret} = spew( $self->{db}->dir . '/secret', "$SECRET\n", 0600 );
    return $self;
}

sub names ($self) { return qw(app cache db mq) }
sub up    ($self) { return 'up up up up' }
sub app   ($self) { return $self->{app} }
sub db    ($self) { return $self->{db} }

# The option of a service that logs in.
sub password ($self) { return "password=file:$self->{secret}" }

sub ports ($self) { return map { $self->{$_}->port } $self->names }

sub config ($self) {
    my %at = map { $_ => $self->{$_}->address } $self->names;
    return <<~"CONF";
        FailoverService app   tcp://$at{app}
        FailoverService cache memcached://$at{cache}
        FailoverService db    mysql://monitor\@$at{db}
        FailoverService mq    amqp://monitor\@$at{mq}/shop @{[ $self->password ]}
        CONF
}

# Kills the cache, and starts it again: found within some pings, and nothing else is.
sub is_found ( $httpd, $self, $what ) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $cache = $self->{cache};
    my $began = now();
    $cache->crash;
    wait_for_states( $httpd, 'up down up up' );
    my $took = now() - $began;
    outage_is( $httpd, 'cache', $cache->address, qr/(?:connect|answer): .*/, $what );
    Test::More::cmp_ok( $took, '<', 5, sprintf '%s: found after %.0f ms', $what, 1000 * $took );
    $cache->start;
    wait_for_states( $httpd, $self->up );
    $httpd->take_log(qr/FO0003: cache/);
    return;
}

# Some pings end in the middle of a login here: of children that are stopped, or told to go.
sub done ($self) {
    $self->{db}->allow_log(qr/Aborted connection/);
    $self->{mq}->allow_log(qr/closing AMQP connection|client unexpectedly closed TCP connection/);
    $self->{$_}->done for qw(cache db mq);
    delete @$self{qw(app cache db mq)};
    return;
}

1;
