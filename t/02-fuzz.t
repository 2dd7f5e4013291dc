# The fuzzers' short form. `make fuzz` is the long one.
use strict;
use warnings;
use Test::More;

my $time  = 2;
my @names = map { m{([^/]+)\.c$} } glob 't/fuzz/fuzz_*.c';
BAIL_OUT('there are no fuzzers in t/fuzz') unless @names;

for my $name (@names) {
    my $output = `t/fuzz/run build/fuzz/$name $time 2>&1`;
    is($?, 0, "$name finds nothing in $time seconds") or diag($output);
}
done_testing();
