# A page that makes mod_lua, a module that relays applications, write an entry of the test's own.
#
#     my $httpd = Failover::Httpd->new( modules => [ sayer_modules() ], config => sayer_config() );
#     may_say($httpd);                          # before the start
#     say_error( $httpd, 'Connection refused' );
package Failover::Sayer;

use v5.36;
use Exporter qw(import);
use Failover::File;

our @EXPORT = qw(sayer_modules sayer_config may_say will_say say_error);

sub sayer_modules () { return qw(mime lua) }

sub sayer_config () { return "AddHandler lua-script .lua\n" }

sub may_say ($httpd) {
    $httpd->file( 'htdocs/say.lua', <<~"LUA" );
        function handle(r)
            local file = io.open("@{[ $httpd->dir ]}/said")
            r:err(file:read("*a"))
            file:close()
            r:puts("said")
            return apache2.OK
        end
        LUA
    $httpd->allow_log(qr/\[lua:error\]/);
    return $httpd;
}

# What /say.lua will say. The text stands in a file, not in the request, so that it is the
# application's own.
sub will_say ( $httpd, $text ) {
    spew( $httpd->dir . '/said', $text );
    return;
}

sub say_error ( $httpd, $text, %arg ) {
    will_say( $httpd, $text );
    my $answer = $httpd->get( '/say.lua', %arg );
    die "the page said nothing: @{[ $answer->status ]}\n" . $httpd->log_tail if $answer->body ne 'said';
    return;
}

1;
