# Some of the chaos experiments, as `make chaos` carries them out: they pass; an interrupted one rolls
# back first; and where nothing fails over, one fails and shows the requests that failed.
use v5.36;
use Test::More;
use Failover::Cleanup qw(private_folder remove_folder);
use Failover::File;
use Failover::Process;
use Failover::Wait;

my $LIMIT  = 90;
my $folder = private_folder('runs');
my %run    = (
    passing => runner( 'passing', qw(replica-refuses children-killed replica-hangs) ),
    failing => runner( 'failing', qw(--observe replica-refuses) ),
);

subtest 'where all is in order' => sub {
    wait_for( sub { said('passing') =~ /method .*is stopped/ }, 'two experiments, and the fault of a third', $LIMIT );
    my $said = said('passing');
    unlike $said, qr/PROBLEM|  failed /, 'no problem';
    for my $row ( [ 'replica-refuses', 'master' ], [ 'children-killed', 'replica' ] ) {
        my ( $name, $database ) = @$row;
        my ($part) = $said =~ /^$name: (.*?)^\n/ms;
        like $part, qr/^  $_->[0] +the steady state holds; the page is read from the $_->[1]$/m, "$name: $_->[0]"
            for [ before => 'replica' ], [ during => $database ], [ after => 'replica' ];
        like $part, qr/^  requests  \d\d+, of which \d+ failed, and \d+ may/m, "$name: requests are counted";
        like $part, qr/^  passed \(\d+ s\)$/m, "$name: passed";
    }
    like $said, qr/^  \+\d[.]\d\d s   the first logged error: (?:AH01071: .*(?:Connection refused|gone away)|FO0001: )/m, 'a request, or the first ping of a child, finds the fault';
};

subtest 'where it is interrupted' => sub {
    my $network = readlink '/proc/' . $run{passing}->pid . '/ns/net';
    cmp_ok inhabitants($network), '>', 10, 'its servers run';
    $run{passing}->signal('INT');
    is code_of('passing'), 130, 'it ends with 130';
    like said('passing'), qr/^  rollback  let-the-replica-go-on: process \d+ goes on\n  interrupted\n2 passed, 0 failed\n\z/m, 'after it rolled back';
    is inhabitants($network), 0, 'nobody is left behind';
};

subtest 'where nothing fails over' => sub {
    is code_of('failing'), 1, 'it ends with 1';
    my $said = said('failing');
    like $said, qr/^  PROBLEM   during: the steady state is broken: the-page-answers-200: 503 The shop is closed: Connection refused$/m, 'the steady state';
    like $said, qr/^  PROBLEM   \d+ requests failed, and \d+ may$/m, 'too many';
    my ($count) = $said =~ /^  requests  \d+, of which (\d+) failed/m;
    my $shown = () = $said =~ /^  failed    came at \+\d+[.]\d\d s, took \d[.]\d\d s: the-page-answers-200: 503 The shop is closed: /mg;
    is $shown, $count, 'each of them is shown';
    like $said, qr/^  rollback  let-connections-pass: everything passes$/m, 'it is rolled back';
    like $said, qr/^  after     the steady state holds; the page is read from the replica$/m, 'and all is well again';
    like $said, qr/^0 passed, 1 failed\n\z/m, 'the sum';
};

remove_folder($folder);
done_testing;

sub runner ( $name, @words ) {
    return Failover::Process->start( command => [ $^X, 't/chaos/run', @words ], output => "$folder/$name" );
}

sub said ($name) { return slurp("$folder/$name") }

sub code_of ($name) {
    my $code = $run{$name}->wait_for_end($LIMIT);
    diag said($name) if $code == 255;
    return $code;
}

# How many processes live in a network.
sub inhabitants ($network) { return scalar grep { ( readlink($_) // '' ) eq $network } glob '/proc/[0-9]*/ns/net' }
