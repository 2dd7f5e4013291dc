# A network and mounts of the test's own: what it does to them ends with it, and nobody else sees it.
#
#     use Failover::Namespaces;
#     enter_namespaces();                     # first of all: the test begins anew inside
#     mount_over( $file, '/etc/hosts' );
#     mount_disk( private_folder('disk'), '96m' );
#     ip(qw(link set lo up));
package Failover::Namespaces;

use v5.36;
use Exporter qw(import);
use Failover::Process;

our @EXPORT = qw(enter_namespaces mount_over mount_disk ip);

sub enter_namespaces () {
    return if ( $ENV{FAILOVER_NAMESPACES} // 0 ) == $$;    # the process stays the same
    local $ENV{FAILOVER_NAMESPACES} = $$;
    my @user = $> == 0 ? () : ('--map-root-user');
    exec Failover::Process::find_program('unshare'), @user, '--net', '--mount', $^X, ( map {"-I$_"} @INC ), $0, @ARGV
        or die "cannot run unshare: $!\n";
}

sub ip (@words) { return _run( 'ip', @words ) }

# The file stands in the place of the target.
sub mount_over ( $source, $target ) { return _run( 'mount', '--bind', $source, $target ) }

# A disk of its own, as small as "96m" says.
sub mount_disk ( $folder, $size ) { return _run( 'mount', '-t', 'tmpfs', '-o', "size=$size", 'tmpfs', $folder ) }

sub _run ( $name, @words ) {
    system( Failover::Process::find_program($name), @words ) == 0 or die "$name @words failed\n";
    return;
}

1;
