# A worker of Celery for the site of examples/django: one process, one task after the other.
#
#     my $worker = Failover::Server::CeleryWorker->new( folder => "$dir/shop" )->start;
package Failover::Server::CeleryWorker;

use v5.36;
use parent 'Failover::Server';
use Failover::Django;
use Failover::Process;

#   folder   where manage.py is
sub _command ($self) {
    return (
        Failover::Process::find_program('env'), "--chdir=$self->{folder}", 'PYTHONDONTWRITEBYTECODE=1',
        Failover::Django::python(), qw(-m celery -A shop worker --pool solo --without-mingle --loglevel info),
    );
}

sub _is_ready ($self) { return $self->log_text =~ /celery\@\S+ ready[.]/ }

sub _is_bad ($line) { return $line =~ m{: (?:WARNING|ERROR|CRITICAL)/|^Traceback} }

1;
