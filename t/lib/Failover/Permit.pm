# Where a handler is permitted and where not, and what it takes: the same for each of our handlers.
#
#     my %handler = ( handler => 'failover-status', directive => 'FailoverStatus' );
#     my $httpd   = Failover::Httpd->new( config => $config . permit_sections(%handler) );
#     permit_files( $httpd, %handler );
#     permit_is_kept( $httpd->start, %handler );
#     permit_reads_only( $httpd, '/fo' );
package Failover::Permit;

use v5.36;
use Exporter qw(import);
use Test::More;

our @EXPORT = qw(permit_sections permit_files permit_is_kept permit_reads_only plain);

# /closed, which nothing permits but a virtual host; and folders with a .htaccess.
sub permit_sections (%arg) {
    return <<~"CONF";
        <Location /closed>
            SetHandler $arg{handler}
        </Location>
        <Directory "\@DIR\@/htdocs/open">
            $arg{directive} On
        </Directory>
        <VirtualHost *>
            ServerName plain.example.com
        </VirtualHost>
        <VirtualHost *>
            ServerName open.example.com
            $arg{directive} On
        </VirtualHost>
        CONF
}

sub permit_files ( $httpd, %arg ) {
    $httpd->file( "htdocs/$_/.htaccess", "SetHandler $arg{handler}\n" ) for qw(handler open);
    $httpd->file( 'htdocs/asks/.htaccess', "$arg{directive} On\n" );
    return;
}

# An answer of the virtual host that says nothing.
sub plain ( $httpd, $path, %arg ) { return $httpd->get( $path, host => 'plain.example.com', %arg ) }

sub permit_is_kept ( $httpd, %arg ) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is plain( $httpd, '/closed' )->status, 404, 'not where nothing says so';
    is plain( $httpd, '/closed', method => 'POST' )->status, 404, 'by no method';
    is $httpd->get( '/closed', host => 'open.example.com' )->status, 200, 'a virtual host where it is On';
    is plain( $httpd, '/handler/' )->status, 404, 'a SetHandler in a .htaccess opens nothing';
    is plain( $httpd, '/open/' )->status,    200, 'but where it is permitted';
    is plain( $httpd, '/asks/' )->status,    500, "$arg{directive} is refused in a .htaccess";
    $httpd->take_log(qr/$arg{directive} not allowed here/);
    return;
}

sub permit_reads_only ( $httpd, $path ) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    for my $method (qw(POST PUT DELETE PATCH OPTIONS PROPFIND ODD)) {
        my $answer = plain( $httpd, $path, method => $method );
        is $answer->status, 405, "$method: refused";
        is join( ' ', sort grep { $_ ne 'TRACE' } split /,\s*/, $answer->header('Allow') // '' ), 'GET HEAD', "$method: says what is allowed";
    }
    return;
}

1;
