-- The guestbook's table, and two accounts: the program's own, and the one that the pings log in
-- with. The copy gets all this from the main database, by replication or every night. Choose
-- passwords of your own: the program's stands in app/guestbook.cgi, that of the pings in the file
-- which httpd.conf calls GUESTBOOK_SECRET.
CREATE DATABASE guestbook;
CREATE TABLE guestbook.entry (id INT PRIMARY KEY AUTO_INCREMENT, said VARCHAR(200) NOT NULL);
INSERT INTO guestbook.entry (said) VALUES ('Hello');

CREATE USER 'guestbook'@'%' IDENTIFIED BY 'change-me';
GRANT SELECT, INSERT ON guestbook.* TO 'guestbook'@'%';

-- The least that a ping of this database needs.
CREATE USER 'monitor'@'%' IDENTIFIED BY 'change-me-too';
GRANT LOCK TABLES ON guestbook.* TO 'monitor'@'%';
