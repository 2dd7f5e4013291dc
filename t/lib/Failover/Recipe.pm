# The folders of examples/, used as somebody would who has read their README: copied, and with
# addresses of his own in the place of those that they name.
#
#     copy_recipe( 'django', "$dir/shop" );
#     $db->sql( recipe_text( 'mariadb-replication/replica.sql', 'db1.example.com' => '127.0.0.1', 3306 => $port ) );
#     my ( $primary, $replica ) = mariadb_pair();    # those of examples/mariadb-replication
package Failover::Recipe;

use v5.36;
use Cwd      qw(abs_path);
use Exporter qw(import);
use Failover::File;
use Failover::Process;
use Failover::Server::MariaDB;
use File::Basename qw(dirname);
use File::Copy     ();
use File::Find     ();

our @EXPORT = qw(copy_recipe recipe_path recipe_text mariadb_pair impatient);

my $ROOT = abs_path( dirname(__FILE__) . '/../../../examples' );

# Of a file or folder: mariadb-replication/shop.php
sub recipe_path ($name) {
    -e "$ROOT/$name" or die "there is no examples/$name\n";
    return "$ROOT/$name";
}

# What a file holds, with words replaced; each of them must be in there.
sub recipe_text ( $name, %instead ) {
    my $text = slurp( recipe_path($name) );
    for my $word ( sort keys %instead ) {
        $text =~ s/\Q$word\E/$instead{$word}/g or die "examples/$name does not name $word\n";
    }
    return $text;
}

# A folder with all that is in it, readable for those whom tests become.
sub copy_recipe ( $name, $target ) {
    my $from = recipe_path($name);
    File::Find::find(
        {
            no_chdir => 1,
            wanted   => sub {
                my $to = $target . substr $File::Find::name, length $from;
                return if $to =~ /__pycache__/;
                return mkdir($to) || die "cannot create $to: $!\n" if -d $File::Find::name;
                File::Copy::copy( $File::Find::name, $to ) or die "cannot copy to $to: $!\n";
                chmod -x $File::Find::name ? 0755 : 0644, $to;
            },
        },
        $from
    );
    return $target;
}

# A primary and the replica that follows it, with the accounts and the database of the recipe.
sub mariadb_pair () {
    my $folder = 'mariadb-replication';
    my ( $primary, $replica ) = map {
        Failover::Server::MariaDB->new( name => $_, defaults => recipe_path("$folder/$_.cnf") )->start
    } qw(primary replica);
    $primary->sql( recipe_text("$folder/primary.sql") );
    $replica->sql( recipe_text( "$folder/replica.sql", 'db1.example.com' => '127.0.0.1', 3306 => $primary->port ) );
    $replica->catch_up_with($primary);

    # Of a connection whose other end was killed, and of a primary that is away.
    $_->allow_log(qr/Aborted connection|[Ss]lave|reading packet from server/) for $primary, $replica;
    return ( $primary, $replica );
}

# Spans for tests, to stand behind a recipe's own ones; what is killed refuses at once, whatever time
# a ping has.
sub impatient () {
    return <<~'CONF';
        FailoverMonitoringPingFrequency 300ms
        FailoverOutagePingFrequency     300ms
        FailoverErrorPingFrequency      300ms
        FailoverPingTimeout             5s
        FailoverPingWait                1s
        FailoverSpread                  0
        FailoverGracePeriod             500ms
        FailoverFailback                auto interval=300ms
        CONF
}

1;
