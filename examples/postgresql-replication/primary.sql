-- On db1: runuser -u postgres -- psql < primary.sql. Choose passwords of your own.

-- The standby.
CREATE ROLE repl LOGIN REPLICATION PASSWORD 'repl-secret';

-- mod_failover: it needs no privilege on anything.
CREATE ROLE monitor LOGIN PASSWORD 'monitor-secret';

-- The page.
CREATE ROLE shop LOGIN PASSWORD 'shop-secret';
CREATE DATABASE shop OWNER shop;
\connect shop
CREATE TABLE product (id serial PRIMARY KEY, name text NOT NULL);
INSERT INTO product (name) VALUES ('hat'), ('coat'), ('boots');
ALTER TABLE product OWNER TO shop;
