# The unit tests, each program plain, under ASan and UBSan, and under TSan; or with FAILOVER_SANITIZER
# in that one's build alone. `make check` builds them.
use strict;
use warnings;
use Test::More;

my @sources = map { m{([^/]+)\.c$} } glob 't/unit/check_*.c';
BAIL_OUT('there are no unit tests in t/unit') unless @sources;

my %environment = (
    'build'       => {},
    'build/asan'  => { ASAN_OPTIONS => 'detect_leaks=1' },
    'build/tsan'  => { TSAN_OPTIONS => 'halt_on_error=1' },
    'build/ubsan' => {},
);
my $sanitizer = $ENV{FAILOVER_SANITIZER};
my @folders   = $sanitizer ? "build/$sanitizer" : qw(build build/asan build/tsan);

for my $folder (@folders) {
    for my $name (@sources) {
        my $program = "$folder/t/$name";
        if (!-x $program) {
            fail("$program is built");
            next;
        }
        local @ENV{ keys %{ $environment{$folder} } } = values %{ $environment{$folder} };
        my $output = `$program 2>&1`;
        my $passed = $? == 0 && $output =~ /^ok /m && $output !~ /^not ok /m;
        ok($passed, "$program: " . (() = $output =~ /^ok /mg) . ' tests') or diag($output);
    }
}
done_testing();
