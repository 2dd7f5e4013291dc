# Reading and writing whole files.
package Failover::File;

use v5.36;
use Exporter qw(import);
use File::Basename ();
use File::Path     ();

our @EXPORT = qw(slurp spew);

# A file's content; empty where there is none yet.
sub slurp ($path) {
    open my $file, '<', $path or return '';
    local $/;
    return <$file> // '';
}

# Writes a file, its folder included, and returns its path.
sub spew ( $path, $content, $mode = 0644 ) {
    File::Path::make_path( File::Basename::dirname($path) );
    open my $file, '>', $path or die "cannot write $path: $!\n";
    print {$file} $content;
    close $file or die "cannot write $path: $!\n";
    chmod $mode, $path or die "cannot chmod $path: $!\n";
    return $path;
}

1;
