# What a request pays for our being there, in instructions: a fixed sum while all is well, however
# many services there are; while one is down a sum for each entry that is written. And what it does
# not pay: a call, a system call or a lock. Fewer cases than `make bench-instructions` has.
use v5.36;
use Test::More;
use Failover::Instructions;

my $OURS  = qr/mod_failover/;
my $NAMES = qr/^(?:httpd|fo|probe)_/;
my $NOISE = 10;    # by which two equal cases may differ

# More than the same request with an idle thread instead of us.
sub delta (%arg) {
    my %bare = map { $_ => $arg{$_} } grep { !/^(?:services|variables|down|endpoints|uses|closed|looks|settings)$/ } keys %arg;
    $bare{directory} = 'merged' if ( $bare{directory} // '' ) eq 'monitor';
    return measure_once(%arg)->{instructions} - measure_once(%bare)->{instructions};
}

my %healthy;
for my $case ( [ 1, 'plain' ], [ 100, 'plain' ], [ 1000, 'plain' ], [ 1, 'merged' ], [ 1000, 'merged' ] ) {
    my ( $services, $directory ) = @$case;
    my $delta = $healthy{"@$case"} = delta( services => $services, directory => $directory );
    cmp_ok $delta, '<=', budget(), "$services up, $directory directory: +$delta";
    cmp_ok $delta, '>',  60,       'and we were there: two hooks alone are more than that';
}
my ( $least, $most ) = ( sort { $a <=> $b } values %healthy )[ 0, -1 ];
cmp_ok $most - $least, '<=', $NOISE, 'the same for any number of services and either directory';

# Three endpoints each; and what it costs that a request counts for a breaker.
my $many_endpoints = delta( services => 1000, endpoints => 3, directory => 'plain' );
cmp_ok $many_endpoints, '<=', budget(), "1000 services of 3 endpoints: +$many_endpoints";
my $counting = delta( services => 1, uses => 1, directory => 'plain' ) - $healthy{'1 plain'};
cmp_ok $counting, '<=', 60, "counting costs +$counting";
cmp_ok $counting, '>',  20, 'and is done';
my $closed = delta( services => 1, closed => 1, directory => 'plain' ) - $healthy{'1 plain'};
cmp_ok $closed, '<=', 60, "FailoverRequire and FailoverOutageDocument cost +$closed";
cmp_ok $closed, '>',  20, 'and are looked at';

my $looks = delta( services => 1, looks => 1, directory => 'plain' ) - $healthy{'1 plain'};
cmp_ok $looks, '<=', 60, "FailoverStatus and FailoverHealth On cost +$looks";
cmp_ok $looks, '>',  20, 'and are looked at';

# Sections of ours are merged for each request, and looked at where the directory is known.
my $sections = delta( services => 1, directory => 'monitor' );
cmp_ok $sections, '<=', budget_of_sections(), "FailoverMonitor in three sections: +$sections";

my $profile = measure_once( services => 1, directory => 'plain' )->{profile};
my @ours    = sort $profile->functions_of($OURS);
is_deeply [ grep {/^httpd_request_/} @ours ], [ map {"httpd_request_$_"} qw(begin early header_parser late) ], 'all hooks ran';
is_deeply $profile->calls_out_of( $OURS, $NAMES ), {}, 'they call nobody: no lock, no memory, no clock, no system call';
is $profile->count( $_, 'Ge' ), 0, "$_ has no locked instruction" for @ours;
cmp_ok $profile->count( undef, 'Ge' ), '>', 0, 'although such ones are counted: httpd has some';

for my $case ( [ 1, 1 ], [ 1, 4 ], [ 1, 16 ], [ 1000, 4 ], [ 1, 1, cgi => 1 ], [ 1, 4, cgi => 1 ], [ 1, 16, cgi => 1 ] ) {
    my ( $services, $variables, @cgi ) = @$case;
    my $delta = delta( services => $services, variables => $variables, directory => 'plain', @cgi );
    my $what  = "1 of $services down, $variables variables" . ( @cgi ? ', 40 more there' : '' );
    cmp_ok $delta, '<=', budget($variables), sprintf '%s: +%d of %d', $what, $delta, budget($variables);
}
# What reads the environment is worked out anew in both passes.
for my $settings (qw(expression alias)) {
    my $delta = delta( services => 1, variables => 4, settings => $settings, directory => 'plain' );
    my $limit = budget_of_reading(4);
    cmp_ok $delta, '<=', $limit, sprintf '4 variables by %s: +%d of %d', $settings, $delta, $limit;
}
my $crowd = delta( services => 100, down => 32, variables => 1, directory => 'plain' );
cmp_ok $crowd, '<=', budget( 1, 32 ), sprintf '32 of 100 down, 1 variable each: +%d of %d', $crowd, budget( 1, 32 );
my ( $few, $many ) = map { delta( services => $_, variables => 4, directory => 'plain' ) } 1, 1000;
cmp_ok abs( $many - $few ), '<=', 3 * $NOISE, 'the healthy ones besides do not count';
my $written = measure_once( services => 1, variables => 4, directory => 'plain' )->{profile}->calls_out_of( $OURS, $NAMES );
my $times = 0;
$times += $written->{$_} for grep {/ -> apr_table_(?:add|set)n$/} keys %$written;
is $times, entries(4), 'as many entries were written as are counted, and each once';
done_testing;
