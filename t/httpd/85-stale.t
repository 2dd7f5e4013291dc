# The recipe of doc/degradation.md, as it stands there: a location that depends on a service serves
# what mod_cache has of it while the service is down, however old, and a document where there is no
# copy; afterwards it is fresh again.
use v5.36;
use Test::More;
use Failover::File;
use Failover::Httpd;
use Failover::Peer;
use Failover::States qw(quick);
use Failover::Wait;
use JSON::PP qw(decode_json);

my ($recipe) = slurp('doc/degradation.md') =~ /t\/httpd\/85-stale[.]t runs this -->\n```apache\n(.*?)```/s or die "no recipe\n";
$recipe =~ s{/var/cache/apache2/mod_cache_disk}{\@DIR\@/cache} or die "no CacheRoot\n";
$recipe .= $recipe =~ s{.*(<Location)}{$1}sr =~ s{/news}{/own}r =~ s{.*OutageDocument.*}{    ErrorDocument 503 /sorry.html}r =~ s{^}{CacheEnable disk "/own"\n}r;

my $peer  = Failover::Peer->new;
my $httpd = Failover::Httpd->new( modules => [qw(alias cache cache_disk cgi)], config => <<~"CONF" . $recipe );
    FailoverService db tcp://@{[ $peer->address ]}
    @{[ quick() =~ s/FailoverPingWait.*/FailoverPingWait 5s/r ]}
    FailoverBreaker consecutive=1000
    FailoverUses    db
    CacheEnable     disk "/sorry.html"
    <Location "/status">
        SetHandler failover-status
        FailoverStatus On
    </Location>
    ScriptAlias "/news" "\@DIR\@/cgi-bin/news"
    ScriptAlias "/own"  "\@DIR\@/cgi-bin/news"
    CONF
$httpd->file( 'cache/.there', '' );
chmod 0777, $httpd->dir . '/cache' or die "cache: $!\n";
$httpd->file( 'htdocs/sorry.html', "sorry\n" );
$httpd->file( 'htdocs/page.txt',   "page\n" );

# Each run says another number, and is fresh for three seconds.
my $runs = $httpd->file( 'runs', '' );
chmod 0666, $runs or die "$runs: $!\n";
$httpd->file( 'cgi-bin/news', <<~"CGI" );
    #!/bin/sh
    echo run >>"$runs"
    printf 'Content-Type: text/plain\\nCache-Control: max-age=3\\n\\nnews %d\\n' "\$(wc -l <"$runs")"
    CGI
$httpd->start;

sub news ( $path = '/news/today' ) { return $httpd->get($path) }
sub calls () { return decode_json( $httpd->body('/status?format=json') )->{services}[0]{breaker}{calls} }
sub runs () { return scalar split /\n/, slurp($runs) }

sub brief ($answer) { return join ' ', $answer->status, $answer->body =~ s/\n//r, $answer->header('X-Cache') =~ s/ .*//r }

# Copies, and then a moment at which they are too old.
for my $path (qw(/news/today /own/today)) {
    my $first = news($path)->body;
    is news($path)->body, $first, "$path: kept";
}
like $httpd->get('/sorry.html')->header('X-Cache'), qr/^$_/, 'the document: a copy of its own' for qw(MISS REVALIDATE);
my $until = now() + 4.1;
wait_for( sub { now() > $until }, 'them to be too old' );

$httpd->expect_log(qr/FO0001: db outage/);
$peer->mode('refuse');
wait_for( sub { $httpd->get('/page.txt'); $httpd->error_log =~ /FO0001/ }, 'the outage' );
my $before = runs();
my $calls  = calls();

for my $path (qw(/news/today /own/today)) {
    my $answer = news($path);
    like brief($answer), qr/^200 news \d+ HIT$/, "$path: the old copy";
    like $answer->header('Warning'), qr/^11[01] /, 'which says that it is old';
    is $answer->header('Retry-After'), undef, 'nobody is told to come again';
    is brief( news($path) ), brief($answer), 'and once more';
}
for my $path (qw(/news/unseen /own/unseen)) {
    my $answer = news($path);
    is $answer->status . ' ' . $answer->body, "503 sorry\n", "$path: the document where there is no copy";
    is $answer->header('Retry-After'), 1, 'with the time to come again';
    is news($path)->status, 503, 'which is not kept';
}
is runs(), $before, 'the application was not asked';
is calls(), $calls + 1, 'and nothing counts for the breaker but the request for the status';

$peer->mode('mute');
wait_for( sub { $httpd->get('/page.txt'); $httpd->error_log =~ /FO0003/ }, 'the recovery' );
for my $path (qw(/news/today /news/unseen /own/today /own/unseen)) {
    is news($path)->body, 'news ' . ( $before + 1 ) . "\n", "$path: fresh again";
    is runs(), ++$before, 'by the application';
}
$httpd->done;
done_testing;
