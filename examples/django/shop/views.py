import logging

from django.db import connections, router
from django.http import Http404, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from kombu.exceptions import OperationalError

from .models import Order, Product
from .tasks import confirm

logger = logging.getLogger(__name__)


def text(line, status=200):
    return HttpResponse(line + "\n", content_type="text/plain", status=status)


def front(request):
    alias = router.db_for_read(Product)
    products = Product.objects.count()
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT @@server_id")
        (server,) = cursor.fetchone()
    return text(f"{products} products, read from {alias} (server {server})")


@csrf_exempt  # for curl; a site with sessions keeps the check
@require_POST
def place_order(request):
    order = Order.objects.create()
    try:
        confirm.delay(order.pk)
    except OperationalError as error:
        # The request that meets the outage, before any ping has. It is served as well, after a
        # time-out where the broker hangs; its line in the error log makes mod_failover ping.
        logger.error("the broker does not take a task: %s", error)
        confirm.apply((order.pk,))
    return text(f"order {order.pk}", status=201)


def show_order(request, number):
    # What was written a moment ago may not be in the replica yet.
    order = Order.objects.using("default").filter(pk=number).first()
    if order is None:
        raise Http404
    return text(f"order {number}, confirmed by {order.confirmed_by}")
