# examples/django under mod_wsgi, with the addresses of a test's servers.
#
#     my $httpd = start_django( 'daemon', $policy, primary => $port, replica => $port, broker => $port );
#     manage( $httpd, 'migrate' );
package Failover::Django;

use v5.36;
use Exporter qw(import);
use Failover::File;
use Failover::Httpd;
use Failover::Process;
use Failover::Recipe;

our @EXPORT = qw(start_django manage site_folder);

# Debian's packages of Python are for Debian's own one, whatever comes first in the path.
sub python () { return '/usr/bin/python3' }

sub site_folder ($httpd) { return $httpd->dir . '/shop' }

# mode is embedded or daemon; the policy stands behind the recipe's own.
sub start_django ( $mode, $policy, %port ) {
    my $httpd = Failover::Httpd->new(
        modules => [qw(env wsgi)],
        config  => join "\n", _defines( $mode, %port ), 'WSGISocketPrefix @DIR@/wsgi', 'Include @DIR@/shop/httpd.conf', $policy,
    );
    copy_recipe( 'django', site_folder($httpd) );
    $httpd->file( 'shop/shop_site.py', recipe_text( 'django/shop_site.py', _addresses(%port) ) );
    $httpd->file( 'secrets/database', "monitor-secret\n", 0400 );
    $httpd->file( 'secrets/broker',   "monitor-secret\n", 0400 );
    $httpd->allow_log(qr/FO0009: .* a ping may take/);
    return $httpd->start;
}

# Runs manage.py and returns what it printed; dies of an error.
sub manage ( $httpd, @words ) {
    my ( $code, $output ) = Failover::Process->run(
        command => [ python(), site_folder($httpd) . '/manage.py', @words ],
        env     => { PYTHONDONTWRITEBYTECODE => 1 },
        output  => $httpd->dir . '/manage.out',
    );
    die "manage.py @words:\n$output" if $code;
    return $output;
}

sub _defines ( $mode, %port ) {
    return (
        ( $mode eq 'daemon' ? 'Define SHOP_DAEMON' : () ),
        'Define SHOP_DIR @DIR@/shop', 'Define SHOP_SECRETS @DIR@/secrets',
        "Define DB_REPLICA 127.0.0.1:$port{replica}", "Define BROKER 127.0.0.1:$port{broker}",
    );
}

# The words of shop_site.py that a site replaces.
sub _addresses (%port) {
    return (
        '"db1.example.com", "PORT": 3306' => qq("127.0.0.1", "PORT": $port{primary}),
        '"db2.example.com", "PORT": 3306' => qq("127.0.0.1", "PORT": $port{replica}),
        'mq.example.com:5672'             => "127.0.0.1:$port{broker}",
    );
}

1;
