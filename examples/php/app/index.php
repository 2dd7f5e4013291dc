<?php
// The shop's page: GET lists the products, POST with product=ID orders one. It knows nothing of
// failovers: it reads where DB_READ_HOST says, writes where DB_WRITE_HOST says, and takes no orders
// while SHOP_ORDERS is closed.
declare(strict_types=1);

const ACCOUNT  = 'shop';
const PASSWORD = 'change-me'; // as in shop.sql
const SECONDS  = 2;           // that a hung database may take

mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);

// The database that the environment calls DB_READ_ or DB_WRITE_.
function database(string $prefix): mysqli
{
    $host = $_SERVER[$prefix . 'HOST'];
    $port = (int) $_SERVER[$prefix . 'PORT'];
    $kept = $_SERVER['DB_PERSISTENT'] === 'yes' ? 'p:' : '';
    $db   = new mysqli();
    $db->options(MYSQLI_OPT_CONNECT_TIMEOUT, SECONDS);
    $db->options(MYSQLI_OPT_READ_TIMEOUT, SECONDS);
    @$db->real_connect($kept . $host, ACCOUNT, PASSWORD, 'shop', $port);
    return $db;
}

// Where the answer comes from: the host that was asked for, and the port as the server has it.
function place(mysqli $db, string $prefix): string
{
    return $_SERVER[$prefix . 'HOST'] . ':' . $db->query('SELECT @@port')->fetch_row()[0];
}

function products(): string
{
    $db    = database('DB_READ_');
    $names = array_column($db->query('SELECT name FROM product ORDER BY id')->fetch_all(), 0);
    return implode(', ', $names) . ' (from ' . place($db, 'DB_READ_') . ")\n";
}

function purchase(int $product): string
{
    $db = database('DB_WRITE_');
    $db->execute_query('INSERT INTO purchase (product) VALUES (?)', [$product]);
    return "order {$db->insert_id} taken (by " . place($db, 'DB_WRITE_') . ")\n";
}

// The visitor is to come again.
function sorry(string $words): string
{
    http_response_code(503);
    header('Retry-After: 2');
    return "$words\n";
}

header('Content-Type: text/plain; charset=utf-8');
header('Cache-Control: no-store');
try {
    if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
        echo products();
    } elseif ($_SERVER['SHOP_ORDERS'] === 'closed') {
        echo sorry('No orders at the moment; look around meanwhile.');
    } else {
        echo purchase((int) ($_POST['product'] ?? 0));
    }
} catch (mysqli_sql_exception $error) {
    error_log("shop: {$error->getMessage()}"); // httpd's error log: mod_failover looks at once
    echo sorry('Something broke. Please try again.');
}
