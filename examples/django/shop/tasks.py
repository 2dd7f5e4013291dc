import os

from .celery import app
from .models import Order


@app.task(bind=True)
def confirm(self, number):
    """What takes its time, such as a mail."""
    who = "the request itself" if self.request.is_eager else "a worker"
    Order.objects.filter(pk=number).update(confirmed_by=f"{who}, process {os.getpid()}")
