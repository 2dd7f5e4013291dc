# examples/try: what it says can be done, and what it does when a server dies and when it is to end.
use v5.36;
use Test::More;
use Failover::Cleanup qw(private_folder);
use Failover::File;
use Failover::Http qw(http_request);
use Failover::Process;
use Failover::Wait;

my $folder = private_folder('try');
my $try    = Failover::Process->start( command => [ 'examples/try', 'rewrite-proxy' ], output => "$folder/said" );
wait_for( sub { slurp("$folder/said") =~ /Ctrl-C stops everything/ }, 'it to be up', 30 );
my $said = slurp("$folder/said");
my ( $port, $path ) = $said =~ m{^  curl http://127\.0\.0\.1:(\d+)(/\S*)$}m or die "no command to try:\n$said";
like http_request( $port, $path )->body, qr/^main was asked for/, 'the command that it says';
my ($pid) = $said =~ /^  main +127\.0\.0\.1:\d+ +pid (\d+)$/m or die "no server to kill:\n$said";
kill 'KILL', $pid or die "cannot kill $pid: $!\n";
wait_for( sub { http_request( $port, $path )->body =~ /^spare was asked for/ }, 'the spare', 5 );
wait_for( sub { slurp("$folder/said") =~ /^  main died[.]$/m }, 'the news' );
$try->signal('INT');
wait_for( sub { !$try->leader_alive }, 'its end' );
like slurp("$folder/said"), qr/^All of it goes[.]\n\z/m, 'it ends everything';
is http_request( $port, $path )->status, 0, 'httpd too';

my ( $code, $output ) = Failover::Process->run( command => ['examples/try'], output => "$folder/usage" );
isnt $code, 0, 'without a name it fails';
like $output, qr/^usage: examples\/try NAME; there are: lua mod_php perl-cgi php-fpm rewrite-proxy$/, 'and says what there is';
done_testing;
