# The fuzzers' short form: a minute for what reads configurations, less for the others.
use strict;
use warnings;
use Test::More;

my %seconds = (fuzz_parse => 60, fuzz_match => 60);
my @names = map { m{([^/]+)\.c$} } glob 't/fuzz/fuzz_*.c';
BAIL_OUT('there are no fuzzers in t/fuzz') unless @names;

for my $name (@names) {
    my $time   = $seconds{$name} // 15;
    my $output = `t/fuzz/run build/fuzz/$name $time 2>&1`;
    is($?, 0, "$name finds nothing in $time seconds") or diag($output);
}
done_testing();
