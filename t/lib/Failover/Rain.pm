# Crowds of children that ping by a timer, and how their pings fall at the services: like rain, or in
# waves.
#
#     my $crowd = Failover::Rain->new( children => 64, services => 100, frequency => 20 );
#     $crowd->start;
#     my $rain = $crowd->fall(20);      # from each child's second ping on, for 20 s
#     $crowd->graceful;
#     $rain->{rate}, $rain->{dispersion}
#
# The dispersion is the variance of the pings in each bucket of time by their mean: 1 for rain, 0 for
# a clock, more for waves. A bucket is to the frequency what a second is to 120 s.
package Failover::Rain;

use v5.36;
use Failover::Httpd;
use Failover::Visitors;
use Failover::Wait;
use List::Util qw(max sum);

my $BUCKETS_PER_FREQUENCY = 120;

sub new ( $class, %arg ) {
    my $self = bless {%arg}, $class;
    my $last = $arg{services} - 1;
    $self->{visitors} = Failover::Visitors->new( count => $arg{services} );
    my @service = map {"FailoverService s$_ @{[ $self->{visitors}->url($_) ]}\n"} 0 .. $last;
    $self->{httpd} = Failover::Httpd->new(
        mpm => 'prefork', children => $arg{children}, config => <<~"CONF" . join '', @service );
            FailoverTimer On
            FailoverMonitoringPingFrequency $arg{frequency}s
            CONF
    return $self;
}

sub httpd ($self) { return $self->{httpd} }

sub start ($self) { $self->{httpd}->start(60); return $self->_know_children }

# Returns when those of before are gone.
sub graceful ($self) {
    my %old = map { $_ => 1 } $self->{httpd}->children;
    $self->{httpd}->graceful(60);
    wait_for( sub { !grep { $old{$_} } $self->{httpd}->children }, 'the old children to go', 30 );
    return $self->_know_children;
}

# Waits until each child has pinged each service, and then for $span seconds.
sub fall ( $self, $span ) {
    my $began = $self->_all_have_pinged;
    wait_for( sub { now() > $began + $span }, 'the pings of a span', $span + 10 );
    my $bucket = $self->{frequency} / $BUCKETS_PER_FREQUENCY;
    my @count  = (0) x int( $span / $bucket );
    my %seen;
    for my $visit ( grep { $self->{is_child}{ $_->{pid} } } $self->{visitors}->visits ) {
        my $is_first = !$seen{"$visit->{pid} $visit->{number}"}++;
        my $n        = ( $visit->{at} - $began ) / $bucket;
        $count[$n]++ if !$is_first && $n >= 0 && $n < @count;
    }
    return { rate => sum(@count) / @count / $bucket, dispersion => dispersion(@count), buckets => \@count };
}

sub dispersion (@count) {
    my $mean = sum(@count) / @count;
    return sum( map { ( $_ - $mean )**2 } @count ) / $#count / $mean;
}

sub _know_children ($self) {
    $self->{is_child} = { map { $_ => 1 } $self->{httpd}->children };
    return $self;
}

# The instant of the last child's first ping.
sub _all_have_pinged ($self) {
    my $goal = keys( %{ $self->{is_child} } ) * $self->{services};
    my %first;
    wait_for(
        sub {
            %first = ();
            $first{"$_->{pid} $_->{number}"} //= $_->{at} for grep { $self->{is_child}{ $_->{pid} } } $self->{visitors}->visits;
            return keys %first == $goal;
        },
        'the first pings of all children',
        60
    );
    return max( values %first );
}

1;
