<?php
// A page of a shop. It reads from one database and writes to another, as its environment says, and
// knows nothing of which of them works.
//   GET              the products
//   POST name=NAME   one more
header('Content-Type: text/plain');
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);

function connect(string $purpose): mysqli
{
    $db = new mysqli();
    $db->options(MYSQLI_OPT_CONNECT_TIMEOUT, 2);
    $db->options(MYSQLI_OPT_READ_TIMEOUT, 2); // a hung server accepts, and says nothing
    $host = $_SERVER["DB_{$purpose}_HOST"];
    @$db->real_connect($host, 'shop', 'shop-secret', 'shop', (int) $_SERVER["DB_{$purpose}_PORT"]);
    return $db;
}

function show_products(): void
{
    $row = connect('READ')
        ->query('SELECT COUNT(*) AS products, @@server_id AS server FROM product')->fetch_assoc();
    echo "{$row['products']} products, read from server {$row['server']}",
        empty($_SERVER['SHOP_STALE']) ? '' : ', perhaps out of date', "\n";
}

function add_product(string $name): void
{
    if (!empty($_SERVER['SHOP_READ_ONLY'])) {
        http_response_code(503);
        header('Retry-After: 30');
        echo "The shop takes nothing new at the moment.\n";
        return;
    }
    $db = connect('WRITE');
    $db->prepare('INSERT INTO product (name) VALUES (?)')->execute([$name]);
    http_response_code(201);
    echo "$name is there now\n";
}

try {
    $_SERVER['REQUEST_METHOD'] === 'POST' ? add_product($_POST['name'] ?? '?') : show_products();
} catch (mysqli_sql_exception $error) {
    error_log($error->getMessage()); // where mod_failover hears of it, and pings at once
    http_response_code(503);
    echo "The shop is closed.\n";
}
