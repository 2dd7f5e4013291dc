# Runs the unit tests' programs of these builds, each as one test.
#
#     run_units(qw(build build/asan));    # all of them
#     run_threaded_units('build/tsan');   # those that have more than one thread
package Failover::Units;

use v5.36;
use Exporter qw(import);
use Failover::File;
use Test::More;

our @EXPORT = qw(run_units run_threaded_units);

my %environment = (
    'build'       => {},
    'build/ubsan' => {},
    'build/asan'  => { ASAN_OPTIONS => 'detect_leaks=1:intercept_tls_get_addr=0' },
    'build/tsan'  => { TSAN_OPTIONS => 'halt_on_error=1' },
);

# Under a sanitizer a process for each test costs ten times what the test does. These have many tests,
# which leave nothing behind for the next one.
my %shares_a_process = map { ( "check_$_" => 1 ) }
    qw(fo_matcher fo_parse fo_parse_url fo_pattern fo_regex probe_http probe_lag probe_redis probe_script probe_tls);

# Seconds. Where tests share a process Check sets them no limit; its own of 4 s is for code as it is.
my $longest = 400;
my $slower  = 10;

sub run_units (@folder) {
    for my $folder (@folder) { _run_all( $folder, glob 't/unit/check_*.c' ) }
    return;
}

sub run_threaded_units ($folder) {
    return _run_all( $folder, grep { slurp($_) =~ /\b(?:pthread_create|probe_workers_make|probe_resolver_make)\b/ } glob 't/unit/check_*.c' );
}

sub _run_all ( $folder, @source ) {
    BAIL_OUT('there are no such unit tests in t/unit') unless @source;
    local @ENV{ keys $environment{$folder}->%* } = values $environment{$folder}->%*;
    for my $name ( map { m{([^/]+)\.c$} } @source ) {
        local $ENV{CK_TIMEOUT_MULTIPLIER} = $folder eq 'build' ? 1 : $slower;
        local $ENV{CK_FORK} = $folder ne 'build' && $shares_a_process{$name} ? 'no' : 'yes';
        _run("$folder/t/$name");
    }
    return;
}

sub _run ($program) {
    return fail("$program is built") if !-x $program;
    my $output = `timeout $longest $program 2>&1`;
    my $passed = $? == 0 && $output =~ /^ok /m && $output !~ /^not ok /m;
    my $count  = () = $output =~ /^ok /mg;
    return ok( $passed, "$program: $count tests" ) || diag($output);
}

1;
