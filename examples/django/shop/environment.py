"""The variables that httpd gave this request, for code that does not get the request: routers, tasks.

One request has one thread from its first middleware to its answer. Outside of requests, in a worker
or in manage.py, there are none.
"""

import threading

_current = threading.local()


def variable(name, default=None):
    return getattr(_current, "variables", {}).get(name, default)


def keep_environment(get_response):
    """The middleware. An answer that is streamed runs after it, without the variables."""

    def middleware(request):
        _current.variables = request.META
        try:
            return get_response(request)
        finally:
            _current.variables = {}

    return middleware
