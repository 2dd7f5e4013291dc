-- On the primary of ../mariadb-replication, after primary.sql: Django makes its tables itself.
GRANT ALL ON shop.* TO 'shop'@'%';
