# The rhythm of most tests: what does each consumer see while a service is up, while it is down, and
# once it is up again, under each MPM?
#
#     in_each_state 'SetEnv and CGI',
#         modules => [qw(cgi env)],
#         config  => <<~'CONF',
#             SetEnv DB_HOST db1
#             FailoverService db tcp://@PEER@ DB_HOST=spare
#             CONF
#         expect => [
#             #  what            how to ask                   up      down
#             [ 'CGI',          '/cgi-bin/value?DB_HOST',    'db1',  'spare' ],
#             [ 'its header',   'header X-Db of /page.txt',  'db1',  qr/^sp/ ],
#             [ 'a closed door', 'status of /door.txt',       403,    200 ],
#         ];
#
# The service under test is called db and its endpoint is a Failover::Peer at @PEER@.
package Failover::States;

use v5.36;
use Exporter qw(import);
use Failover::Httpd;
use Failover::Peer;
use Failover::Wait;
use Test::More;

our @EXPORT = qw(in_each_state under_each_mpm make_down make_up quick answer_to);

# Spans short enough for tests, exact, and a triggering request that waits for its verdict. The
# deadline is as long as the span lets it be without a warning, for the sake of slow machines.
sub quick () {
    return <<~'CONF';
        FailoverMonitoringPingFrequency 200ms
        FailoverOutagePingFrequency     200ms
        FailoverErrorPingFrequency      200ms
        FailoverPingTimeout             200ms
        FailoverSpread                  0
        FailoverPingWait                1s
        CONF
}

#   modules, config   as for Failover::Httpd; mod_headers is there
#   files             name => content, below the private folder
#   expect            rows of [ what, how to ask, up, down ]; a value is a string or a pattern
#   check             further tests: a function of (httpd, 'up' or 'down', a name's beginning)
sub in_each_state ( $topic, %arg ) {
    return under_each_mpm( $topic, sub ($mpm) { _under_one_mpm( $mpm, %arg ) } );
}

# One subtest per MPM. What dies in one fails it, and the next one goes on.
sub under_each_mpm ( $topic, $body ) {
    for my $mpm ( Failover::Httpd->mpms ) {
        subtest "$topic, $mpm" => sub {
            eval { $body->($mpm); 1 } or fail("went to the end: $@");
        };
    }
    return;
}

# Takes the peer away (or brings it back) and returns when a request has seen it and the log says so.
sub make_down ( $httpd, $peer, $mode = 'refuse' ) {
    $peer->mode($mode);
    wait_for( sub { _state_header($httpd) eq 'down' }, 'the outage' );
    return $httpd->take_log(
        qr/:crit\].* FO\d{4}: db outage[.] Failover initiated[.] \(Process ID: \d+\) endpoint \S+: /);
}

sub make_up ( $httpd, $peer ) {
    $peer->mode('mute');
    wait_for( sub { _state_header($httpd) eq '(null)' }, 'the recovery' );
    return $httpd->take_log(
        qr/:notice\].* FO\d{4}: db is back up[.] Recovery complete[.] \(Process ID: \d+\) after \d+/);
}

# Asks as a row of `expect` says: a path, whose body it returns, or "status of PATH", or "header
# NAME of PATH" (empty where there is none).
sub answer_to ( $httpd, $question ) {
    my ( $want, $path ) = $question =~ /^(status|header \S+) of (.*)/ ? ( $1, $2 ) : ( '', $question );
    my $answer = $httpd->get($path);
    return $answer->status if $want eq 'status';
    return $answer->header($1) // '' if $want =~ /^header (.*)/;
    return $answer->body =~ s/\s+\z//r;
}

sub _under_one_mpm ( $mpm, %arg ) {
    my $peer   = Failover::Peer->new;
    my $config = quick() . qq{Header always set X-Db-State "%{FAILOVER_DB}e"\n} . $arg{config};
    $config =~ s/\@PEER\@/$peer->address/ge;
    my $httpd = Failover::Httpd->new(
        mpm => $mpm, modules => [ 'headers', @{ $arg{modules} // [] } ], config => $config );
    $httpd->file( 'htdocs/state.txt', 'state' );
    $httpd->file( $_, $arg{files}{$_} ) for keys %{ $arg{files} // {} };
    eval { _up_down_up( $httpd, $peer, %arg ); 1 } or fail("went to the end: $@");
    return $httpd->done;
}

sub _up_down_up ( $httpd, $peer, %arg ) {
    $httpd->start;
    _judge( $httpd, 'up', 'at first', %arg );
    make_down( $httpd, $peer );
    _judge( $httpd, 'down', 'down', %arg );
    make_up( $httpd, $peer );
    _judge( $httpd, 'up', 'up again', %arg );
    return;
}

sub _judge ( $httpd, $state, $when, %arg ) {
    for my $row ( @{ $arg{expect} // [] } ) {
        my ( $what, $question, $up, $down ) = @$row;
        my $expected = $state eq 'up' ? $up : $down;
        my $got      = answer_to( $httpd, $question );
        ref $expected ? like( $got, $expected, "$when: $what" ) : is( $got, $expected, "$when: $what" );
    }
    $arg{check}->( $httpd, $state, $when ) if $arg{check};
    return;
}

# Present while the service is not up, and only then.
sub _state_header ($httpd) { return $httpd->get('/state.txt')->header('X-Db-State') // 'no answer' }

1;
