#!/usr/bin/perl
# A guestbook: GET shows the last entries, POST with a text as the request's body adds one. It knows
# nothing of failovers: it asks the database that GUESTBOOK_HOST names, and lets nobody sign while
# GUESTBOOK_SIGNING is closed.
use v5.36;
use DBI;

my $PASSWORD = 'change-me';    # as in guestbook.sql
my $LONGEST  = 200;            # characters of an entry
my $SECONDS  = 2;              # that a hung database may take

eval { answer( $ENV{REQUEST_METHOD} eq 'POST' ? sign() : show() ); 1 } or do {
    print {*STDERR} "guestbook: $@";
    answer( 503, 'Something broke. Please try again.' );
};

sub show () {
    my $said = database()->selectcol_arrayref('SELECT said FROM entry ORDER BY id DESC LIMIT 10');
    return ( 200, join "\n", @$said, "(from $ENV{GUESTBOOK_HOST}:$ENV{GUESTBOOK_PORT})" );
}

# It reads what was sent in any case: mod_cgid takes a program that does not for one that failed.
sub sign () {
    my $text = do { local $/; <STDIN> };
    return ( 503, 'Nobody can sign at the moment; read on meanwhile.' )
        if $ENV{GUESTBOOK_SIGNING} eq 'closed';
    utf8::decode($text);
    $text =~ s/[[:cntrl:]]+/ /g;
    database()->do( 'INSERT INTO entry (said) VALUES (?)', undef, substr $text, 0, $LONGEST );
    return ( 200, 'Thank you.' );
}

sub database () {
    my $place = "host=$ENV{GUESTBOOK_HOST};port=$ENV{GUESTBOOK_PORT}";
    return DBI->connect(
        "DBI:MariaDB:database=guestbook;$place", 'guestbook', $PASSWORD,
        {   RaiseError => 1, PrintError => 0,
            mariadb_connect_timeout => $SECONDS, mariadb_read_timeout => $SECONDS,
        },
    );
}

sub answer ( $status, $text ) {
    binmode STDOUT, ':encoding(UTF-8)';
    print "Status: $status\n", $status == 503 ? "Retry-After: 2\n" : '',
        "Content-Type: text/plain; charset=utf-8\nCache-Control: no-store\n\n$text\n";
    return;
}
