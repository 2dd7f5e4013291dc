# A private php-fpm on a loopback port, under the user that runs httpd's children.
package Failover::Server::PhpFpm;

use v5.36;
use parent 'Failover::Server';
use Failover::File;
use Failover::Process;
use IO::Socket::INET;

#   workers   how many processes answer
sub _prepare ($self) {
    my $workers = $self->{workers} // 2;
    my $file    = spew( "$self->{dir}/php-fpm.conf", <<~"CONF" );
        [global]
        error_log = $self->{dir}/log
        daemonize = no
        [www]
        listen = 127.0.0.1:$self->{port}
        pm = static
        pm.max_children = $workers
        catch_workers_output = yes
        CONF
    $self->_own($file);
    return;
}

# The version stands in the name on Debian.
sub _command ($self) {
    my @name    = ( 'php-fpm', map { "php-fpm8.$_" } reverse 0 .. 9 );
    my $program = Failover::Process::find_program(@name);
    return ( $program, '--nodaemonize', '--fpm-config', "$self->{dir}/php-fpm.conf" );
}

sub _user ($class) { return ( grep { defined getpwnam $_ } qw(www-data apache http nobody) )[0] }

sub _is_ready ($self) { return IO::Socket::INET->new( $self->address ) ? 1 : 0 }

sub _is_bad ($line) { return $line =~ /(?:WARNING|ERROR|ALERT):/ }

1;
