import os

import celery

from . import environment

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")


class EagerTask(celery.Task):
    """Runs at once, in the request, while httpd says so; else a worker runs it.

    Celery's own task_always_eager is one value for the life of a process. What the caller asks for
    besides, such as a countdown, is for workers alone.
    """

    abstract = True

    def apply_async(self, args=None, kwargs=None, **options):
        if environment.variable("CELERY_ALWAYS_EAGER") == "True":
            return self.apply(args, kwargs)
        return super().apply_async(args, kwargs, **options)


app = celery.Celery("shop", task_cls=EagerTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["shop"])
