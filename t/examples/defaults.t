# The files of examples/ as somebody finds them, with the hosts and paths that they name themselves:
# in the server and in a virtual host.
use v5.36;
use Test::More;
use Failover::Example;

for my $name ( Failover::Example->names ) {
    my $site  = Failover::Example->new($name);
    my %where = ( 'the server' => "%s\n", 'a virtual host' => "<VirtualHost *:80>\n%s\n</VirtualHost>\n" );
    for my $where ( sort keys %where ) {
        my ( $code, $output ) = $site->configtest_of_defaults( $where{$where} );
        is $output, "Syntax OK\n", "$name in $where: no word but that";
        is $code, 0, "$name in $where: it may start";
    }
}

done_testing;
