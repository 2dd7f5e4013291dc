# Whoever reads the environment sees the same value, wherever the original comes from: SetEnv or
# SetEnvIf, in the server or in a directory, or from nowhere.
use v5.36;
use Test::More;
use Failover::Server::PhpFpm;
use Failover::States;

my $php = Failover::Server::PhpFpm->new->start;

# Where the variable's own value comes from, and what is to be seen of it while all is well: by
# those who run at the request's end, and by those who decide earlier (SetEnv comes too late for
# them, a directory's SetEnvIf for the server's rewrite rules).
my @ORIGIN = (
    {   name => 'SetEnv in the server',
        line => 'SetEnv DB_HOST db1',
        late => 'db1', early => 'none', in_directory => 'none' },
    {   name => 'SetEnv in a directory',
        line => '<Location />', lines => [ 'SetEnv DB_HOST db1', '</Location>' ],
        late => 'db1', early => 'none', in_directory => 'none' },
    {   name => 'SetEnvIf in the server',
        line => 'SetEnvIf Request_Method . DB_HOST=db1',
        late => 'db1', early => 'db1', in_directory => 'db1' },
    {   name => 'SetEnvIf in a directory',
        line => '<Location />', lines => [ 'SetEnvIf Request_Method . DB_HOST=db1', '</Location>' ],
        late => 'db1', early => 'none', in_directory => 'db1' },
    {   name => 'no original',
        line => '',
        late => 'none', early => 'none', in_directory => 'none' },
);

my %FILES = (
    'htdocs/page.txt'           => "a page\n",
    'htdocs/echo.shtml' => q{<!--#if expr="v('DB_HOST') != ''"--><!--#echo var="DB_HOST"-->}
        . q{<!--#else-->(absent)<!--#endif-->},
    'htdocs/include-cgi.shtml'  => '<!--#include virtual="/cgi-bin/value?DB_HOST"-->',
    'htdocs/include-ssi.shtml'  => '<!--#include virtual="/echo.shtml"-->',
    'htdocs/value.php' => <<~'PHP',
        <?php
        $value = $_SERVER['DB_HOST'] ?? false;
        echo $value === getenv('DB_HOST') ? '' : 'getenv differs: ', $value ?: '(absent)';
        PHP
    'htdocs/listed/.keep'       => '',
    'htdocs/rewritten/.htaccess' => <<~'CONF',
        RewriteEngine On
        RewriteRule ^cgi$ /cgi-bin/value?DB_HOST [L]
        RewriteCond %{ENV:DB_HOST} =spare
        RewriteRule ^pick$ /picked/spare.txt [L]
        RewriteRule ^pick$ /picked/other.txt [L]
        RewriteRule ^name$ /named/%{ENV:DB_HOST}.txt [L]
        CONF
    ( map { ( "htdocs/picked/$_.txt" => $_ ) } qw(spare other) ),
    'htdocs/named/.txt'         => 'none',
    ( map { ( "htdocs/named/$_.txt" => $_ ) } qw(db1 spare) ),
    'htdocs/door/page.txt'      => 'open',
);

my $CONFIG = <<~'CONF' . php_lines($php);
    FailoverService db tcp://@PEER@ DB_HOST=spare

    <FilesMatch "\.shtml$">
        SetOutputFilter INCLUDES
    </FilesMatch>
    <Directory @DIR@/htdocs>
        Options +Includes +FollowSymLinks
    </Directory>

    <Location /listed>
        DirectoryIndex /cgi-bin/value
    </Location>
    ErrorDocument 404 /cgi-bin/value?DB_HOST

    Header set X-Db "%{DB_HOST}e"
    RequestHeader set X-Db "%{DB_HOST}e"
    <If "reqenv('DB_HOST') == 'spare'">
        Header set X-If spare
    </If>
    <Location /door>
        Require expr "reqenv('DB_HOST') == 'spare'"
    </Location>

    RewriteEngine On
    RewriteCond %{ENV:DB_HOST} =spare
    RewriteRule ^/pick$ @DIR@/htdocs/picked/spare.txt [L]
    RewriteRule ^/pick$ @DIR@/htdocs/picked/other.txt [L]
    RewriteRule ^/name$ @DIR@/htdocs/named/%{ENV:DB_HOST}.txt [L]

    LogFormat "%U%q DB_HOST=%{DB_HOST}e" consumers
    CustomLog logs/access consumers
    CONF

for my $origin (@ORIGIN) {
    my $late = $origin->{late} eq 'none' ? '(absent)' : $origin->{late};
    my $null = $origin->{late} eq 'none' ? '(null)'   : $origin->{late};
    in_each_state $origin->{name},
        modules => [qw(cgi env setenvif include dir rewrite authz_core proxy proxy_fcgi)],
        config  => join( "\n", $origin->{line}, @{ $origin->{lines} // [] }, $CONFIG ),
        files   => \%FILES,
        expect  => [
            [ 'CGI',                           '/cgi-bin/value?DB_HOST',     $late, 'spare' ],
            [ 'SSI echo',                      '/echo.shtml',                $late, 'spare' ],
            [ 'SSI includes a CGI',            '/include-cgi.shtml',         $late, 'spare' ],
            [ 'SSI includes SSI',              '/include-ssi.shtml',         $late, 'spare' ],
            [ 'PHP, handler of its files',     '/value.php',                 $late, 'spare' ],
            [ 'PHP, ProxyPass',                '/fcgi/value.php',            $late, 'spare' ],
            [ 'DirectoryIndex is a CGI',       '/listed/?DB_HOST',           $late, 'spare' ],
            [ 'ErrorDocument is a CGI',        '/missing',                   $late, 'spare' ],
            [ 'a directory rewrites to a CGI', '/rewritten/cgi',             $late, 'spare' ],
            [ 'Header',                        'header X-Db of /page.txt',   $null, 'spare' ],
            [ 'RequestHeader, seen by a CGI',  '/cgi-bin/value?HTTP_X_DB',   $null, 'spare' ],
            [ 'If',                            'header X-If of /page.txt',   '',    'spare' ],
            [ 'Require expr',                  'status of /door/page.txt',   403,   200 ],
            [ 'RewriteCond, server',           '/pick',                      'other', 'spare' ],
            [ 'RewriteCond, directory',        '/rewritten/pick',            'other', 'spare' ],
            [ 'RewriteRule, server',           '/name',           $origin->{early}, 'spare' ],
            [ 'RewriteRule, directory',        '/rewritten/name', $origin->{in_directory}, 'spare' ],
        ],
        check => sub ( $httpd, $state, $when ) {
            my $value = $state eq 'down' ? 'spare' : $late eq '(absent)' ? '-' : $late;
            like $httpd->logged('/page.txt'), qr/ DB_HOST=\Q$value\E$/, "$when: LogFormat";
            $httpd->allow_log(qr/AH01630: client denied by server configuration/);
        };
}

$php->done;
done_testing;

sub php_lines ($php) {
    my $address = $php->address;
    return <<~"CONF";
        <FilesMatch "\\.php\$">
            SetHandler proxy:fcgi://$address
        </FilesMatch>
        ProxyPass /fcgi/ fcgi://$address/\@DIR\@/htdocs/
        CONF
}
