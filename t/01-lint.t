# What every file must keep to.
use strict;
use warnings;
use Test::More;

my @lints = glob 't/lint/*.sh';
BAIL_OUT('there are no lints in t/lint') unless @lints;

for my $lint (@lints) {
    my $output = `sh $lint 2>&1`;
    is($?, 0, $lint) or diag($output);
}
done_testing();
