-- On db1, before db2 follows it: what is done here reaches db2 by replication, accounts too.
-- Choose passwords of your own, and narrower hosts than '%'.

-- db2 reads the binary log.
CREATE USER 'repl'@'%' IDENTIFIED BY 'repl-secret';
GRANT REPLICATION SLAVE ON *.* TO 'repl'@'%';

CREATE DATABASE shop CHARACTER SET utf8mb4;
CREATE TABLE shop.product (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(80) NOT NULL);
INSERT INTO shop.product (name) VALUES ('hat'), ('coat'), ('boots');

-- mod_failover. max-lag= needs the first privilege, a database in the URL the second. The first also
-- shows what is in the relay log.
CREATE USER 'monitor'@'%' IDENTIFIED BY 'monitor-secret';
GRANT SLAVE MONITOR ON *.* TO 'monitor'@'%';
GRANT LOCK TABLES ON shop.* TO 'monitor'@'%';

-- The page. It must not have READ ONLY ADMIN, by which it could write to db2.
CREATE USER 'shop'@'%' IDENTIFIED BY 'shop-secret';
GRANT SELECT, INSERT ON shop.* TO 'shop'@'%';
