<?php
// A page of a shop. It reads from one database and writes to another, as its environment says.
//   GET              the products
//   POST name=NAME   one more
header('Content-Type: text/plain');

function connect(string $purpose): PDO
{
    $host = $_SERVER["DB_{$purpose}_HOST"];
    $port = $_SERVER["DB_{$purpose}_PORT"];
    // A server that hangs does so in the login, which is given up after 2 s.
    $dsn = "pgsql:host=$host;port=$port;dbname=shop;connect_timeout=2;options='-c statement_timeout=2s'";
    return new PDO($dsn, 'shop', 'shop-secret', [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
}

function show_products(): void
{
    $row = connect('READ')->query(
        'SELECT count(*) AS products, inet_server_port() AS port, pg_is_in_recovery() AS standby
           FROM product'
    )->fetch();
    echo "{$row['products']} products, read from the ", $row['standby'] ? 'standby' : 'primary',
        " ({$_SERVER['DB_READ_HOST']}:{$row['port']})\n";
}

function add_product(string $name): void
{
    // Present only while the writer is not where it is at home; `failover` is a writer as well.
    if (($_SERVER['FAILOVER_WRITER'] ?? 'up') === 'down') {
        http_response_code(503);
        header('Retry-After: 30');
        echo "The shop takes nothing new at the moment.\n";
        return;
    }
    connect('WRITE')->prepare('INSERT INTO product (name) VALUES (?)')->execute([$name]);
    http_response_code(201);
    echo "$name is there now\n";
}

try {
    $_SERVER['REQUEST_METHOD'] === 'POST' ? add_product($_POST['name'] ?? '?') : show_products();
} catch (PDOException $error) {
    error_log($error->getMessage()); // where mod_failover hears of it, and pings at once
    http_response_code(503);
    echo "The shop is closed.\n";
}
