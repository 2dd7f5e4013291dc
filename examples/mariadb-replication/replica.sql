-- On db2, which is empty. With data on db1 that are older than its binary log, see README.md.
CHANGE MASTER TO
    MASTER_HOST = 'db1.example.com', MASTER_PORT = 3306,
    MASTER_USER = 'repl', MASTER_PASSWORD = 'repl-secret',
    MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 5;
START SLAVE;
