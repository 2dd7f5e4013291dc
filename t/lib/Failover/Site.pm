# The shop of demo/ on real servers: two databases that say which one they are, a cache, PHP and httpd,
# each in a private folder, on 127.0.0.1 alone.
#
#     my $site = Failover::Site->new->start;
#     $site->read_from('replica');                 # asks for the page until the replica answers
#     $site->replica->crash;
#     $site->read_from('master');
#     $site->stop;
package Failover::Site;

use v5.36;
use Failover::File;
use Failover::Httpd;
use Failover::Server::MariaDB;
use Failover::Server::Memcached;
use Failover::Server::PhpFpm;
use Failover::Wait;
use File::Basename qw(dirname);

my $DEMO  = dirname(__FILE__) . '/../../../demo';
my $PAGE  = '/shop.php';
my $LIMIT = 20;                # seconds that a change may take to show

# What the columns of a list of the servers are.
my %PRODUCT = ( master => 'MariaDB', replica => 'MariaDB', cache => 'memcached', php => 'php-fpm', httpd => 'Apache httpd' );

#   httpd, replica, php   further words for these servers. httpd has one child without any, so that one
#                         line in the log tells the story: each child pings for itself
#   started               a function of each server's name, product, address and pid: it is there
sub new ( $class, %arg ) {
    return bless { words => \%arg, started => $arg{started} // sub { }, servers => {} }, $class;
}

sub master  ($self) { return $self->{servers}{master} }
sub replica ($self) { return $self->{servers}{replica} }
sub cache   ($self) { return $self->{servers}{cache} }
sub php     ($self) { return $self->{servers}{php} }
sub httpd   ($self) { return $self->{servers}{httpd} }
sub page    ($any)  { return $PAGE }

sub start ($self) {
    $self->_start_database($_) for qw(master replica);
    $self->_start( cache => Failover::Server::Memcached->new( name => 'cache' ) );
    $self->_start( php => Failover::Server::PhpFpm->new( name => 'php', $self->_words('php') ) );
    $self->_start_httpd;
    return $self;
}

sub stop ($self) {
    $self->$_->stop for qw(httpd php cache replica master);
    return;
}

# The configuration anew, for the next start or graceful restart.
#   lines     after those of demo/httpd.conf, which they win over
#   options   of the replica's URL
sub configure ( $self, %arg ) {
    my %port   = map { ( uc($_) . '_PORT' => $self->$_->port ) } qw(replica master cache php);
    my $config = slurp("$DEMO/httpd.conf") . ( $arg{lines} // '' );
    $config =~ s/\@(\w+_PORT)\@/$port{$1}/g;
    $config =~ s/ (?=alias=DB_SLAVE_)/ $arg{options} / or die "demo/httpd.conf has no replica\n" if $arg{options};
    $self->httpd->config($config);
    return;
}

# Asks for the page until the named database answers: { seconds, answers }.
sub read_from ( $self, $name ) {
    my ( $began, @answer ) = ( now() );
    wait_for(
        sub {
            push @answer, $self->httpd->get($PAGE);
            return $answer[-1]->body =~ /read from the $name /;
        },
        "the page to be read from the $name", $LIMIT
    );
    return { seconds => now() - $began, answers => \@answer };
}

sub _words ( $self, $name ) { return ( $self->{words}{$name} // {} )->%* }

sub _start ( $self, $name, $server ) {
    $self->{servers}{$name} = $server->start;
    my $address = $server->can('address') ? $server->address : $server->url;
    $self->{started}->( $name, $PRODUCT{$name}, $address, $server->pid );
    return $server;
}

sub _start_database ( $self, $name ) {
    my $database = $self->_start( $name, Failover::Server::MariaDB->new( name => $name, $self->_words($name) ) );
    $database->sql($_) for (
        'CREATE DATABASE shop',
        'CREATE TABLE shop.product (id INT PRIMARY KEY)',
        'INSERT INTO shop.product VALUES (1), (2), (3)',
        'CREATE TABLE shop.whoami (name TEXT)',
        "INSERT INTO shop.whoami VALUES ('$name')",
    );
    $database->create_user( 'shop',    'shop',    'shop' );
    $database->create_user( 'monitor', 'monitor', 'shop' );
    return;
}

sub _start_httpd ($self) {
    my $httpd = Failover::Httpd->new(
        modules => [qw(env proxy proxy_fcgi)], log_level => 'warn', $self->_words('httpd') );
    $self->{servers}{httpd} = $httpd;
    $self->configure;
    $httpd->file( 'monitor.password', "monitor\n", 0600 );
    $httpd->file( "htdocs$PAGE", slurp("$DEMO/shop.php") );
    return $self->_start( httpd => $httpd );
}

1;
