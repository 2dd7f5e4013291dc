from . import environment


class EnvironmentRouter:
    """Reads go to the database that httpd names in DB_SLAVE_ALIAS, all else to `default`.

    mod_failover exchanges that variable while the replica is down. Nobody but the server's
    administrator sets it: what clients send arrives as HTTP_...
    """

    def db_for_read(self, model, **hints):
        return environment.variable("DB_SLAVE_ALIAS", "default")

    def db_for_write(self, model, **hints):
        return "default"

    def allow_relation(self, one, other, **hints):
        return True  # both hold the same rows

    def allow_migrate(self, database, app_label, **hints):
        return database == "default"
