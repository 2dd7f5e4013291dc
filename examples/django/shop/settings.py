import shop_site as site

SECRET_KEY = site.SECRET_KEY
ALLOWED_HOSTS = site.ALLOWED_HOSTS
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
INSTALLED_APPS = ["shop"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"

# First: what comes after it, the views and their queries, may ask the environment.
MIDDLEWARE = ["shop.environment.keep_environment"]

# A database for everything, and one that is read from. Django connects to either when it is first
# used in a request, and closes it with the request: CONN_MAX_AGE is 0. A server that hangs costs 2 s.
MYSQL = {
    "ENGINE": "django.db.backends.mysql",
    "OPTIONS": {"connect_timeout": 2, "read_timeout": 2, "write_timeout": 2},
}
DATABASES = {
    "default": {**MYSQL, **site.DATABASE, **site.PRIMARY},
    "replica": {**MYSQL, **site.DATABASE, **site.REPLICA, "TEST": {"MIRROR": "default"}},
}
DATABASE_ROUTERS = ["shop.routers.EnvironmentRouter"]

CELERY_BROKER_URL = site.BROKER_URL
# A task is taken when the broker says so: what was sent to one that is just dying would be lost. One
# that hangs costs some seconds, once, until a ping has found out.
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": True, "read_timeout": 2, "write_timeout": 2}
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_max": 0}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_EAGER_PROPAGATES = True  # what fails in the request is the request's error

# To standard error, which mod_wsgi writes to httpd's error log. In embedded mode mod_failover hears
# of it there, and pings at once.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"short": {"format": "{name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "short"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}
