<?php
// A page of a shop that knows nothing of failovers: it reads from the database that its environment
// names. Each database holds a row that says which one it is.
header('Content-Type: text/plain');
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);

$host = $_SERVER['DB_SLAVE_HOST'];
$port = (int) $_SERVER['DB_SLAVE_PORT'];
try {
    $db = new mysqli();
    $db->options(MYSQLI_OPT_CONNECT_TIMEOUT, 2);
    $db->options(MYSQLI_OPT_READ_TIMEOUT, 2); // a hung server accepts, and says nothing
    @$db->real_connect($host, 'shop', 'shop', 'shop', $port);
    // DISTINCT takes a temporary table, which a full disk has no place for.
    $row = $db->query('SELECT DISTINCT name, (SELECT COUNT(*) FROM product) AS products FROM whoami')
        ->fetch_assoc();
    echo "{$row['products']} products, read from the {$row['name']} ($host:$port), ",
        "cache {$_SERVER['CACHE']}\n";
} catch (mysqli_sql_exception $error) {
    error_log($error->getMessage()); // in httpd's log, where mod_failover hears of it
    http_response_code(503);
    echo "The shop is closed: {$error->getMessage()}\n";
}
