# The sites of examples/: the files of one as they are, behind a private httpd and before real
# servers. The tests in t/examples ask them; examples/try leaves them up.
#
#     my $site = Failover::Example->new('php-fpm')->start;
#     $site->answer->body;       # of its page
#     $site->server('replica')->crash;
#     $site->breaks( qr/from the replica/, qr/from the primary/, 3 );   # requests, until it does
#     $site->done;
package Failover::Example;

use v5.36;
use Failover::File;
use Failover::Httpd;
use Failover::Recipe;
use Failover::Server::MariaDB;
use Failover::Server::PhpFpm;
use Failover::Server::Program;
use Failover::Server::Redis;
use Failover::Wait;
use Test::More ();

# What the folders have in common with each other.
my %SHOP = (
    folder  => 'php', prefix => 'SHOP', page => '/shop/',
    try     => [ 'curl @URL@/shop/', 'curl -d product=2 @URL@/shop/' ],
);

#   folder    of examples/, with a file httpd.conf
#   prefix    of what that file is told by Define: PREFIX_DIR, where the application is;
#             PREFIX_SECRET, the file with the password of the pings; of each server NAME its
#             PREFIX_NAME_HOST and PREFIX_NAME_PORT
#   define    further ones, without the prefix
#   servers   names and kinds, in the order in which they start
#   page      the path of the page to look at
#   try       commands that show it, for people; @URL@ is that of httpd, @NAME@ a server's folder
#   the rest  as for Failover::Httpd
my %SITE = (
    'php-fpm' => {
        %SHOP, modules => [qw(alias dir env proxy proxy_fcgi)],
        servers => [ primary => \&_database, replica => \&_database, php => \&_php_fpm ],
        define  => sub ($site) {
            return ( FPM => 'fcgi://' . $site->server('php')->address, PERSISTENT => 'no' );
        },
    },
    'mod_php' => {
        %SHOP, modules => [qw(alias dir env php)], mpm => 'prefork', children => 3,
        servers => [ primary => \&_database, replica => \&_database ],
        define  => sub ($site) { ( FPM => 'none', PERSISTENT => 'yes' ) },
    },
    'perl-cgi' => {
        folder  => 'perl-cgi', prefix => 'GUESTBOOK', page => '/guestbook',
        modules => [qw(alias cgi env)],
        servers => [ main => \&_database, copy => \&_database ],
        try     => [ 'curl @URL@/guestbook', 'curl -d "Hello again" @URL@/guestbook' ],
    },
    'rewrite-proxy' => {
        folder  => 'rewrite-proxy', prefix => 'APP', page => '/app/',
        modules => [qw(proxy proxy_http rewrite setenvif)],
        servers => [ main => \&_application, spare => \&_application ],
        try     => [ 'curl @URL@/app/', 'touch @main@/DRAIN' ],
    },
    'lua' => {
        folder  => 'lua', prefix => 'COUNTER', page => '/visits', modules => [qw(env lua)],
        servers => [ east => \&_redis, west => \&_redis ],
        try     => [ 'curl @URL@/visits', 'curl -i @URL@/tickets' ],
    },
);

sub names ($class) { return sort keys %SITE }

# Those of one folder.
sub ways ( $class, $folder ) { return grep { $SITE{$_}{folder} eq $folder } $class->names }

#   running   a hash of servers by name, which this site takes over where it has such a one, and to
#             which it adds its own
#   the rest  as for Failover::Httpd, instead of the site's
sub new ( $class, $name, %arg ) {
    my $site = $SITE{$name} or die "there is no example $name; there are: @{[ $class->names ]}\n";
    my %usual = ( running => {}, mpm => 'event', children => 1 );
    my $self  = bless { %usual, %$site, %arg, name => $name }, $class;
    $self->{root} = recipe_path( $self->{folder} );
    return $self;
}

sub folder ($self) { return "examples/$self->{folder}" }
sub httpd  ($self) { return $self->{httpd} }

sub server ( $self, $name ) {
    return $self->{running}{$name} // die "$self->{name} has no server $name\n";
}

# In the order in which they start.
sub server_names ($self) {
    my $servers = $self->{servers};
    return @$servers[ grep { $_ % 2 == 0 } 0 .. $#$servers ];
}

sub start ($self) {
    my %kind = @{ $self->{servers} };
    $self->{running}{$_} //= $kind{$_}->( $self, $_ ) for $self->server_names;
    $self->{httpd} = $self->_httpd->start;
    return $self;
}

# One answer of the page, or of another path; see Failover::Http.
sub answer ( $self, %arg ) {
    return $self->{httpd}->get( delete $arg{path} // $self->{page}, %arg );
}

# Asks until a body is like $to and makes a test of those before: they are like $from, or say that
# it is broken (503). Returns the last answer. Past $limit seconds it dies with the last wrong one.
sub breaks ( $self, $from, $to, $limit, %arg ) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $is_fine = sub ($answer) { $answer->body =~ $from || $answer->status == 503 };
    return $self->_becomes( $is_fine, $to, $limit, %arg );
}

# The same where nobody is to see anything broken.
sub changes ( $self, $from, $to, $limit, %arg ) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return $self->_becomes( sub ($answer) { $answer->body =~ $from }, $to, $limit, %arg );
}

# The same, and a test that the log tells of the end in these words. With several children it is the
# last one that does, and each looks when it is asked.
sub comes_back ( $self, $from, $to, $words, $limit, %arg ) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $self->changes( $from, $to, $limit, %arg );
    my $line  = qr/:notice\] .*\Q$words\E \(Process ID: \d+\) after \d+m?s/;
    my $wrong = 0;
    my $told  = eval {
        wait_for(
            sub {
                $wrong++ if $self->answer(%arg)->body !~ /$from|$to/;
                return $self->{httpd}->error_log =~ $line;
            },
            $words, $limit
        );
    };
    Test::More::ok( $told && !$wrong, "the log: $words" )
        or Test::More::diag( "$wrong wrong answers\n", $self->{httpd}->log_tail );
    return $told && $self->{httpd}->take_log($line);
}

sub _becomes ( $self, $is_fine, $to, $limit, %arg ) {
    my @answer;
    my $is_there = sub {
        push @answer, $self->answer(%arg);
        return $answer[-1]->body =~ $to;
    };
    my $is_in_time = eval { wait_for( $is_there, $to, $limit ) };
    my $late       = $@;
    my $last       = pop @answer;
    die $late, 'the last answer: ', _words_of($last), "\n", $self->{httpd}->log_tail if !$is_in_time;
    my @wrong = grep { !$is_fine->($_) } @answer;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    Test::More::ok( !@wrong, "after @{[ scalar @answer ]} others: " . _words_of($last) )
        or Test::More::diag( map { _words_of($_) . "\n" } @wrong );
    return $last;
}

sub _words_of ($answer) { return $answer->status . ' ' . $answer->body =~ s/\s+/ /gr }

# Stops httpd, and makes a test of its logs.
sub done ($self) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return $self->{httpd}->done("$self->{name}: a clean stop and no unannounced log line");
}

# httpd -t of its file with the file's own values, but for the secret's path, in the server or, with
# a template of further lines, wherever %s stands in them: (exit code, output).
sub configtest_of_defaults ( $self, $lines = '%s' ) {
    my $httpd = Failover::Httpd->new( map { $_ => $self->{$_} } qw(mpm modules) );
    $self->_write_secret($httpd);
    my $config = slurp("$self->{root}/httpd.conf") =~ s{/etc/apache2/failover/\w+}{\@DIR\@/secret}r;
    return $httpd->config( sprintf $lines, $config )->configtest;
}

# Commands that show it.
sub what_to_try ($self) {
    my $httpd = $self->{httpd};
    my %place = ( URL => $httpd->url, map { $_ => $self->server($_)->dir } $self->server_names );
    my @try   = map {s/\@(\w+)\@/$place{$1}/gr} @{ $self->{try} };
    return ( @try, 'tail -f ' . $httpd->dir . '/logs/error_log' );
}

sub _httpd ($self) {
    my $httpd = Failover::Httpd->new( map { $_ => $self->{$_} } qw(mpm modules children) );
    copy_recipe( $self->{folder}, $httpd->dir . '/example' );    # the checkout may be where only its owner can enter
    $self->_write_secret($httpd);
    return $httpd->config( join "\n", $self->_defines, 'Include @DIR@/example/httpd.conf', '' );
}

# The password that the folder's SQL gives the pings.
sub _write_secret ( $self, $httpd ) {
    my ($password) = $self->_sql =~ /CREATE USER 'monitor'\@'%' IDENTIFIED BY '([^']+)'/;
    $httpd->file( 'secret', "$password\n", 0400 ) if defined $password;
    return;
}

sub _sql ($self) { return join '', map { slurp($_) } glob "$self->{root}/*.sql" }

sub _defines ($self) {
    my $app   = -d "$self->{root}/app" ? '/app' : '';
    my %value = ( DIR => "\@DIR\@/example$app", SECRET => '@DIR@/secret' );
    for my $name ( $self->server_names ) {
        $value{ uc($name) . '_HOST' } = '127.0.0.1';
        $value{ uc($name) . '_PORT' } = $self->server($name)->port;
    }
    %value = ( %value, $self->{define}->($self) ) if $self->{define};
    return map {qq{Define $self->{prefix}_$_ "$value{$_}"}} sort keys %value;
}

sub _database ( $self, $name ) {
    my $database = Failover::Server::MariaDB->new( name => $name )->start;
    $database->sql( $self->_sql );
    return $database;
}

sub _php_fpm ( $self, $name ) { return Failover::Server::PhpFpm->new( name => $name )->start }

# One that knows its numbers again after kill -9.
sub _redis ( $self, $name ) {
    return Failover::Server::Redis->new( name => $name, config => "appendonly yes\n" )->start;
}

# The program of the folder, which looks for a file DRAIN in the server's own.
sub _application ( $self, $name ) {
    return Failover::Server::Program->new(
        name  => $name, file => "$self->{root}/app.pl",
        words => sub ($server) { ( $name, $server->address, $server->dir . '/DRAIN' ) },
    )->start;
}

1;
