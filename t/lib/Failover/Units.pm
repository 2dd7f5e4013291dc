# Runs the unit tests' programs of these builds, each as one test.
package Failover::Units;

use v5.36;
use Exporter qw(import);
use Test::More;

our @EXPORT = qw(run_units);

my %environment = (
    'build'      => {},
    'build/ubsan' => {},
    'build/asan' => { ASAN_OPTIONS => 'detect_leaks=1' },
    'build/tsan' => { TSAN_OPTIONS => 'halt_on_error=1' },
);

sub run_units (@folder) {
    my @source = map { m{([^/]+)\.c$} } glob 't/unit/check_*.c';
    BAIL_OUT('there are no unit tests in t/unit') unless @source;
    for my $folder (@folder) {
        local @ENV{ keys $environment{$folder}->%* } = values $environment{$folder}->%*;
        _run("$folder/t/$_") for @source;
    }
    return;
}

sub _run ($program) {
    return fail("$program is built") if !-x $program;
    my $output = `$program 2>&1`;
    my $passed = $? == 0 && $output =~ /^ok /m && $output !~ /^not ok /m;
    my $count  = () = $output =~ /^ok /mg;
    return ok( $passed, "$program: $count tests" ) || diag($output);
}

1;
