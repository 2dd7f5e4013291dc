-- The shop's tables, and two accounts: the page's own, and the one that the pings log in with. A
-- real replica gets all this from its primary. Choose passwords of your own: the page's stands in
-- app/index.php, that of the pings in the file which httpd.conf calls SHOP_SECRET.
CREATE DATABASE shop;
CREATE TABLE shop.product (id INT PRIMARY KEY, name VARCHAR(40) NOT NULL);
CREATE TABLE shop.purchase (id INT PRIMARY KEY AUTO_INCREMENT, product INT NOT NULL);
INSERT INTO shop.product VALUES (1, 'bread'), (2, 'butter'), (3, 'jam');

CREATE USER 'shop'@'%' IDENTIFIED BY 'change-me';
GRANT SELECT, INSERT ON shop.* TO 'shop'@'%';

-- The least that a ping of this database needs.
CREATE USER 'monitor'@'%' IDENTIFIED BY 'change-me-too';
GRANT LOCK TABLES ON shop.* TO 'monitor'@'%';
