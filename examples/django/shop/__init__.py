from .celery import app as celery_app  # so that tasks find it, in web processes too

__all__ = ["celery_app"]
