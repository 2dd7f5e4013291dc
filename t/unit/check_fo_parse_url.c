#include "core/fo_parse.h"

#include "unit.h"

/* Shapes of probes: one host that needs its port, several with one of their own, a path alone. */
static const fo_probe_t tcp = {
    .scheme = "tcp", .example = "tcp://app.example.com:5000", .max_hosts = 1,
};
static const fo_probe_t mysql = {
    .scheme = "mysql", .example = "mysql://monitor@db.example.com/shop", .port = 3306,
    .max_hosts = 1,
};
static const fo_probe_t memcached = {
    .scheme = "memcached", .example = "memcached://c1.example.com,c2.example.com", .port = 11211,
    .max_hosts = 3,
};
static const fo_probe_t many = {
    .scheme = "many", .example = "many://h:1", .port = 1, .max_hosts = 1000,
};
static const fo_probe_t local = {
    .scheme = "unix", .example = "unix:///run/app.sock",
};

typedef struct wanted_t {
    const fo_probe_t *probe;
    const char *text;
    const char *user;
    fo_host_t hosts[3]; /* those without a name are not there */
    const char *path;
} wanted_t;

static const wanted_t good[] = {
    { &tcp, "tcp://h:5000", NULL, { { "h", 5000 } }, "" },
    { &tcp, "tcp://h:1", NULL, { { "h", 1 } }, "" },
    { &tcp, "tcp://h:65535", NULL, { { "h", 65535 } }, "" },
    { &tcp, "tcp://127.0.0.1:80", NULL, { { "127.0.0.1", 80 } }, "" },
    { &tcp, "tcp://[::1]:80", NULL, { { "::1", 80 } }, "" },
    { &tcp, "tcp://[2001:db8::1:2]:80", NULL, { { "2001:db8::1:2", 80 } }, "" },
    { &tcp, "tcp://[fe80::1%eth0]:80", NULL, { { "fe80::1%eth0", 80 } }, "" },
    { &tcp, "tcp://a_b.example-1.com.:80", NULL, { { "a_b.example-1.com.", 80 } }, "" },
    { &tcp, "tcp://h:80/p/q", NULL, { { "h", 80 } }, "/p/q" },
    { &mysql, "mysql://m@db", "m", { { "db", 3306 } }, "" },
    { &mysql, "mysql://m@db/", "m", { { "db", 3306 } }, "/" },
    { &mysql, "mysql://m@db:33/shop", "m", { { "db", 33 } }, "/shop" },
    { &mysql, "mysql://m@[::1]", "m", { { "::1", 3306 } }, "" },
    { &mysql, "mysql://a%40b@db", "a@b", { { "db", 3306 } }, "" },
    { &mysql, "mysql://a@b@db", "a@b", { { "db", 3306 } }, "" },
    { &mysql, "mysql://a%3ab%2Fc@db", "a:b/c", { { "db", 3306 } }, "" },
    { &mysql, "mysql://m@db/a%2Fb%20c%25", "m", { { "db", 3306 } }, "/a/b c%" },
    { &mysql, "mysql://m@db/%C3%A4", "m", { { "db", 3306 } }, "/\xc3\xa4" },
    { &mysql, "mysql://m@db/a@b:c", "m", { { "db", 3306 } }, "/a@b:c" },
    { &memcached, "memcached://c1", NULL, { { "c1", 11211 } }, "" },
    { &memcached, "memcached://c1,c2:2,[::1]:3", NULL,
      { { "c1", 11211 }, { "c2", 2 }, { "::1", 3 } }, "" },
    { &memcached, "memcached://[::1],c2", NULL, { { "::1", 11211 }, { "c2", 11211 } }, "" },
    { &local, "unix:///run/app.sock", NULL, { { NULL, 0 } }, "/run/app.sock" },
    { &local, "unix:///run/a%20b", NULL, { { NULL, 0 } }, "/run/a b" },
};

START_TEST(accepted)
{
    const wanted_t *wanted = &good[_i];
    fo_url_t *url = NULL;
    unsigned n = 0;

    unit_expect(fo_parse_url(wanted->text, wanted->probe, &url, pool), NULL);
    ck_assert_str_eq(url->text, wanted->text);
    ck_assert_str_eq(url->scheme, wanted->probe->scheme);
    ck_assert_pstr_eq(url->user, wanted->user);
    ck_assert_str_eq(url->path, wanted->path);
    for (; n < 3 && wanted->hosts[n].name; n++) {
        ck_assert_uint_lt(n, url->n_hosts);
        ck_assert_str_eq(url->hosts[n].name, wanted->hosts[n].name);
        ck_assert_uint_eq(url->hosts[n].port, wanted->hosts[n].port);
    }
    ck_assert_uint_eq(url->n_hosts, n);
}
END_TEST

static const struct {
    const fo_probe_t *probe;
    const char *text, *words;
} bad[] = {
    { &tcp, "tcp:h:1", "'://' is missing|tcp://app.example.com:5000" },
    { &tcp, "tcp:/h:1", "'://' is missing" },
    { &tcp, "tcp", "'://' is missing" },
    { &tcp, "tcp://", "a host is missing|tcp://app.example.com:5000" },
    { &tcp, "tcp:///p", "a host is missing" },
    { &tcp, "tcp://h", "'h' needs a port|tcp://app.example.com:5000" },
    { &tcp, "tcp://[::1]", "'[::1]' needs a port" },
    { &tcp, "tcp://h:", "'h'|port from 1 to 65535" },
    { &tcp, "tcp://h:0", "'h'|port from 1 to 65535" },
    { &tcp, "tcp://h:65536", "port from 1 to 65535" },
    { &tcp, "tcp://h:-1", "port from 1 to 65535" },
    { &tcp, "tcp://h: 1", "port from 1 to 65535" },
    { &tcp, "tcp://h:1x", "port from 1 to 65535" },
    { &tcp, "tcp://h:1:2", "port from 1 to 65535" },
    { &tcp, "tcp://h:99999999999999999999", "port from 1 to 65535" },
    { &tcp, "tcp://::1:80", "not a host name or address|brackets" },
    { &tcp, "tcp://[::1:80", "not a host name or address|brackets" },
    { &tcp, "tcp://[]:80", "not a host name" },
    { &tcp, "tcp://[h]:80", "not a host name" },
    { &tcp, "tcp://[::1]80", "'::1'|not ':' and a port" },
    { &tcp, "tcp://[::1 ]:80", "not a host name" },
    { &tcp, "tcp://-h:80", "'-h|not a host name" },
    { &tcp, "tcp://.h:80", "not a host name" },
    { &tcp, "tcp://h h:80", "not a host name" },
    { &tcp, "tcp://h\n:80", "not a host name" },
    { &tcp, "tcp://h%41:80", "not a host name" },
    { &tcp, "tcp://h\xc3\xa4:80", "not a host name" },
    { &tcp, "tcp://h?x=1", "no '?' or '#'" },
    { &tcp, "tcp://h:1,i:2", "tcp takes at most 1 host, as in" },
    { &tcp, "tcp://h:1,", "at most 1 host" },
    { &tcp, "tcp://h:1/%", "the path|broken %XX" },
    { &tcp, "tcp://h:1/%4", "the path|broken %XX" },
    { &tcp, "tcp://h:1/%zz", "the path|broken %XX" },
    { &tcp, "tcp://h:1/%00", "the path|control byte" },
    { &tcp, "tcp://h:1/%0A", "the path|control byte" },
    { &tcp, "tcp://h:1/\x01", "the path|control byte" },
    { &tcp, "tcp://h:1/p?timeout=1s", "no '?' or '#'|timeout=1s" },
    { &tcp, "tcp://h:1/p#x", "no '?' or '#'" },
    { &mysql, "mysql://@db", "the user before '@' is empty" },
    { &mysql, "mysql://%@db", "the user before '@'|broken %XX" },
    { &mysql, "mysql://%00@db", "the user before '@'" },
    { &mysql, "mysql://m@", "a host is missing|mysql://monitor@db.example.com/shop" },
    { &mysql, "mysql://m:Geheim7@db",
      "password has no place in a URL|password=file:|password=exec:" },
    { &mysql, "mysql://:Geheim7@db", "password has no place in a URL" },
    { &mysql, "mysql://m:@db", "password has no place in a URL" },
    { &mysql, "mysql://m:Geheim7@x@db/shop", "password has no place in a URL" },
    { &memcached, "memcached://a,b,c,d", "memcached takes at most 3 hosts" },
    { &memcached, "memcached://a,,c", "not a host name" },
    { &memcached, "memcached://,a", "not a host name" },
    { &memcached, "memcached://a,", "not a host name" },
    { &memcached, "memcached://a, b", "not a host name" },
    { &local, "unix://", "a path is missing|unix:///run/app.sock" },
    { &local, "unix://h/p", "unix takes a path and no host|unix:///run/app.sock" },
};

START_TEST(refused)
{
    fo_url_t *url = NULL;
    const char *error = fo_parse_url(bad[_i].text, bad[_i].probe, &url, pool);

    unit_expect(error, bad[_i].words);
    ck_assert_ptr_null(url);
    ck_assert_ptr_null(strstr(error, "Geheim7"));
}
END_TEST

/* However a URL with a password in it goes wrong, the password is not repeated. */
static const char *const leaky[] = {
    "mysql://m:Geheim7@db",
    "mysql://m:Geheim7@db:0",
    "mysql://m:Geheim7@",
    "mysql://m:Geheim7",
    "mysql://:Geheim7",
    "mysql://:Geheim7@db",
    "mysql://m:Geheim7,db2",
    "mysql://db1,m:Geheim7@db2",
    "mysql://m:12/Geheim7%@db",
    "mysql://m:Geheim7/x@db",
    "mysql://m:a/Geheim7@db",
    "mysql://m%40corp:Geheim7/x@db",
    "mysql://mon itor:Geheim7/x@db",
    "mysql://[m:Geheim7/x@db",
    "mysql://[m]:Geheim7/x@db",
    "mysql:m:Geheim7@db",
    "mysql:/m:Geheim7@db",
    "mysql://m:%Geheim7@db",
    "mysql://m%zz:Geheim7@db",
};

static const fo_probe_t *const shapes[] = { &tcp, &mysql, &memcached, &many, &local };

START_TEST(password_is_not_repeated)
{
    for (int i = 0; i < COUNT(shapes); i++) {
        fo_url_t *url = NULL;
        const char *error = fo_parse_url(leaky[_i], shapes[i], &url, pool);
        ck_assert_msg(!error || !strstr(error, "Geheim7"), "repeated: %s", error);
    }
}
END_TEST

static const char *repeat(const char *head, const char *part, unsigned n)
{
    char *text = apr_palloc(pool, strlen(head) + n * strlen(part) + 1);
    char *end = stpcpy(text, head);

    for (unsigned i = 0; i < n; i++)
        end = stpcpy(end, part);
    return text;
}

START_TEST(length_is_bounded)
{
    fo_url_t *url = NULL;

    unit_expect(fo_parse_url(repeat("unix:///", "x", FO_URL_MAX - 8), &local, &url, pool), NULL);
    url = NULL;
    unit_expect(fo_parse_url(repeat("unix:///", "x", FO_URL_MAX - 7), &local, &url, pool),
                "more than 2048 bytes");
    unit_expect(fo_parse_url(repeat("many://", "x", 255), &many, &url, pool), NULL);
    url = NULL;
    unit_expect(fo_parse_url(repeat("many://", "x", 256), &many, &url, pool), "not a host name");
    ck_assert_ptr_null(url);
}
END_TEST

START_TEST(hosts_are_bounded)
{
    fo_url_t *url = NULL;

    unit_expect(fo_parse_url(repeat("many://h", ",h", FO_HOSTS_MAX - 1), &many, &url, pool), NULL);
    ck_assert_uint_eq(url->n_hosts, FO_HOSTS_MAX);
    url = NULL;
    unit_expect(fo_parse_url(repeat("many://h", ",h", FO_HOSTS_MAX), &many, &url, pool),
                "takes at most 64 hosts");
    ck_assert_ptr_null(url);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_parse_url");
    TCase *tc = unit_case("all");

    tcase_add_loop_test(tc, accepted, 0, COUNT(good));
    tcase_add_loop_test(tc, refused, 0, COUNT(bad));
    tcase_add_loop_test(tc, password_is_not_repeated, 0, COUNT(leaky));
    tcase_add_test(tc, length_is_bounded);
    tcase_add_test(tc, hosts_are_bounded);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
