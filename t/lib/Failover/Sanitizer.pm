# The sanitizer that the tests run under, if any: FAILOVER_SANITIZER is asan, tsan or ubsan, and
# build/<that> holds the modules, instrumented. httpd itself is the stock one, so the sanitizer's
# runtime is preloaded, unless the modules bring it along. Each process writes what it finds into a
# file of its own in httpd's private folder; a report that nobody judged ends the test with 1.
package Failover::Sanitizer;

use v5.36;
use Cwd qw(abs_path);
use Failover::File;
use File::Basename qw(dirname);

my $ROOT = abs_path( dirname(__FILE__) . '/../../..' );
my $NAME = $ENV{FAILOVER_SANITIZER} // '';

# patience   by what limits are longer
# runtime    the library to preload
# threads    that the runtime has in each child
# options    of each runtime, beside where to report
my $UBSAN = 'print_stacktrace=1';
my %KIND  = (
    '' => { patience => 1, options => {} },
    asan => {
        patience => 4,
        runtime  => 'libasan.so',
        options  => {
            # GCC 12's runtime takes what lies before a thread's variables for a header if their address
            # ends in 0x010, and LeakSanitizer then dies of what it reads there.
            ASAN_OPTIONS  => 'detect_stack_use_after_return=1:strict_string_checks=1:intercept_tls_get_addr=0',
            LSAN_OPTIONS  => "print_suppressions=0:suppressions=$ROOT/t/sanitize/lsan.supp",
            UBSAN_OPTIONS => $UBSAN,
        },
    },
    tsan => {
        patience => 8,
        runtime  => 'libtsan.so',
        threads  => 2,
        options  => {
            # What httpd's own code does unseen says nothing, and prefork exits in its handlers.
            # GCC 12's runtime does not know pthread_clockjoin_np: the thread looks never joined. Where a
            # thread is killed in the runtime itself, its handler would wait for a lock of its own;
            # httpd tells of a crash as well.
            TSAN_OPTIONS => 'ignore_noninstrumented_modules=1:report_signal_unsafe=0'
                . ':report_thread_leaks=0:atexit_sleep_ms=50:handle_segv=0'
                . ":print_suppressions=0:suppressions=$ROOT/t/sanitize/tsan.supp",
        },
    },
    ubsan => { patience => 2, options => { UBSAN_OPTIONS => $UBSAN } },
);
my $KIND = $KIND{$NAME} // die "FAILOVER_SANITIZER=$NAME: there are asan, tsan and ubsan\n";

my %folder;         # with reports to come, by private folder
my $unjudged = 0;

# '' without one.
sub name () { return $NAME }

# The folder of the modules.
sub build () { return $NAME ? "$ROOT/build/$NAME" : "$ROOT/build" }

sub patience () { return $KIND->{patience} }

# Of a child of httpd, but those of the runtime.
sub count_threads ($pid) { return ( () = glob "/proc/$pid/task/*" ) - ( $KIND->{threads} // 0 ) }

# Is its runtime preloaded, into every process of httpd?
sub is_preloaded () { return defined $KIND->{runtime} }

# Makes the place for reports below a private folder: whoever a process runs as, it can write there.
sub watch ($dir) {
    return if !$NAME;
    mkdir "$dir/reports" or die "cannot create $dir/reports: $!\n";
    chmod 0777, "$dir/reports" or die "cannot chmod $dir/reports: $!\n";
    $folder{$dir} = $$;
    return;
}

# The environment of an httpd whose private folder is $dir.
#   leaks    0: not looked for, and pools are APR's own
#   crashes  1: the test will crash a child; the sanitizer takes no notice, as httpd has to see it
sub environment ( $dir, %arg ) {
    my $common = ":log_path=$dir/reports/$NAME";
    $common .= ':handle_segv=0:handle_abort=0:handle_sigbus=0' if $arg{crashes};
    my %options = %{ $KIND->{options} };
    my %env     = map { $_ => $options{$_} . $common } keys %options;
    my $leaks   = $arg{leaks} // 1;
    my @preload = $KIND->{runtime} ? ( _runtime(), build() . '/alone.so' ) : ();
    if ( $NAME eq 'asan' ) {
        $env{ASAN_OPTIONS} .= ":detect_leaks=$leaks";
        push @preload, build() . '/pools.so' if $leaks;
    }
    $env{LD_PRELOAD} = join ' ', @preload if @preload;
    return \%env;
}

# The reports since the last call, as texts.
sub reports ($dir) {
    my @text;
    for my $file ( sort glob "$dir/reports/*" ) {
        push @text, "a report, $file:\n" . slurp($file);
        unlink $file or die "cannot remove $file: $!\n";
    }
    return @text;
}

# The folder goes. What was not judged is said and fails the test.
sub forget ($dir) {
    return if ( delete $folder{$dir} // 0 ) != $$;
    for my $report ( reports($dir) ) {
        print {*STDERR} "nobody looked for $report";
        $unjudged++;
    }
    return;
}

sub _runtime () {
    state $path = do {
        open my $pipe, '-|', 'gcc', "-print-file-name=$KIND->{runtime}" or die "cannot run gcc: $!\n";
        my $line = <$pipe> // '';
        chomp $line;
        -e $line ? $line : die "gcc has no $KIND->{runtime}\n";
    };
    return $path;
}

# Before the folders go, which the END of Failover::Cleanup removes.
END {
    forget($_) for keys %folder;
    $? ||= 1 if $unjudged;
}

1;
