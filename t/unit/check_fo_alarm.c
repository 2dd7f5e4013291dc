/* Entries of the error log, and whom they raise. */
#include "rules_rig.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

/* Who is named: a letter for each service that is raised. */
#define NOBODY ""

static fo_plan_t *plan;
static fo_rules_t *rules;
static fo_alarm_t *bell;
static const fo_scope_t *server; /* the services of the server */
static const fo_scope_t *host;   /* those, and one of a virtual host */

/* What the client sent; NULL ends it. */
static const char *const *sent_texts;
static int n_sent;

static const char *sent(void *baton, unsigned i)
{
    ck_assert_ptr_eq(baton, &sent_texts);
    n_sent++;
    return sent_texts[i];
}

/* a, b and c are the server's, v a virtual host's; c listens to other words of other modules. */
static void setup(void)
{
    apr_array_header_t *services;
    unsigned common;

    unit_setup();
    plan = fo_plan_make(pool);
    rig_service(plan, "a", "db.example.com:3306 [2001:db8::1]:3306");
    rig_service(plan, "b", "cache:11211 db.example.com:5432 10.0.0.7:80");
    rig_service(plan, "c", "queue:5672");
    server = unit_scope(plan);
    rig_service(plan, "v", "shop:3306 db.example.com:3306");
    rules = fo_rules_make(plan);
    common = rig_set(rules, "ECONNREFUSED ETIMEDOUT \"gone away\" /lost (connection|server)/i",
                     rig_relays);
    services = plan->services;
    for (unsigned i = 0; i < (unsigned)services->nelts; i++)
        if (i != 2)
            fo_rules_listen(rules, fo_plan_service(plan, i), common);
    fo_rules_listen(rules, fo_plan_service(plan, 2),
                    rig_set(rules, "EPIPE \"queue is gone\" \"gone away\"", rig_core_relays));
    host = unit_scope(plan);
    fo_rules_finish(rules);
    bell = fo_alarm_make(rules, pool);
}

static fo_entry_t entry_of(const fo_scope_t *scope, int module, apr_status_t status,
                           const char *text)
{
    return (fo_entry_t){
        .scope = scope, .module = module, .status = status, .text = text, .length = strlen(text),
    };
}

static bool hear(const fo_scope_t *scope, int module, apr_status_t status, const char *text)
{
    fo_entry_t entry = entry_of(scope, module, status, text);

    return fo_alarm_hear(bell, &entry);
}

static const fo_target_t *target_at(unsigned i)
{
    return unit_target(fo_plan_service(plan, i));
}

static const char *raised(void)
{
    char *names = apr_pcalloc(pool, 8);

    for (unsigned i = 0; i < (unsigned)plan->targets->nelts; i++)
        if (fo_alarm_is_raised(bell, target_at(i)))
            strcat(names, fo_plan_service(plan, i)->name);
    ck_assert_int_eq(fo_alarm_is_any_raised(bell), names[0] != '\0');
    return names;
}

static void lower_all(void)
{
    for (unsigned i = 0; i < (unsigned)plan->targets->nelts; i++)
        fo_alarm_lower(bell, target_at(i));
}

/* Whom this entry of a proxy in the virtual host raises. */
static void expect_named(const char *text, const char *names)
{
    lower_all();
    ck_assert_int_eq(hear(host, RIG_PROXY, ECONNREFUSED, text), names[0] != '\0');
    ck_assert_msg(strcmp(raised(), names) == 0, "'%s' raises '%s', not '%s'", text, raised(),
                  names);
}

/* What counts */

static const struct {
    int module;
    apr_status_t status;
    const char *text, *names; /* in the virtual host's scope */
} entries[] = {
    { RIG_PROXY, 0, "all is well", NOBODY },
    { RIG_PROXY, ECONNREFUSED, "some words", "abv" },
    { RIG_PROXY, ECONNREFUSED, "", "abv" },
    { RIG_PHP, ETIMEDOUT, "some words", "abv" },
    { RIG_PHP, APR_TIMEUP, "some words", "abv" },
    { RIG_PROXY, EPIPE, "some words", NOBODY },
    { RIG_CORE, EPIPE, "some words", "c" },
    { RIG_CORE, ECONNREFUSED, "some words", NOBODY },
    { RIG_PROXY, 0, "it has gone away", "abv" },
    { RIG_CORE, 0, "it has gone away", "c" },
    { RIG_PHP, 0, "Lost Server", "abv" },
    { RIG_PHP, 0, "Lost Serve", NOBODY },
    { RIG_CORE, 0, "Lost Server", NOBODY },
    { RIG_CORE, 0, "queue is gone", "c" },
    { RIG_PHP, 0, "queue is gone", NOBODY },
    { RIG_PHP, 0, "", NOBODY },
    { -1, ECONNREFUSED, "it has gone away", NOBODY },
    { RIG_N_MODULES, ECONNREFUSED, "it has gone away", NOBODY },
    { 1 << 30, ECONNREFUSED, "it has gone away", NOBODY },
    { -4711, ECONNREFUSED, "it has gone away", NOBODY },
};

START_TEST(an_entry_raises_who_listens)
{
    ck_assert_int_eq(hear(host, entries[_i].module, entries[_i].status, entries[_i].text),
                     entries[_i].names[0] != '\0');
    ck_assert_str_eq(raised(), entries[_i].names);
}
END_TEST

/* A virtual host's service hears its own host alone, the server's services hear all. */
START_TEST(a_scope_hears_its_own_entries)
{
    ck_assert(hear(server, RIG_PROXY, ECONNREFUSED, "x"));
    ck_assert_str_eq(raised(), "ab");
    lower_all();
    ck_assert(hear(host, RIG_PROXY, ECONNREFUSED, "x"));
    ck_assert_str_eq(raised(), "abv");
}
END_TEST

START_TEST(nothing_is_raised_at_first)
{
    ck_assert_str_eq(raised(), NOBODY);
    lower_all();
    ck_assert_str_eq(raised(), NOBODY);
}
END_TEST

START_TEST(an_application_raises_one)
{
    ck_assert(fo_alarm_raise(bell, target_at(1)));
    ck_assert(!fo_alarm_raise(bell, target_at(1)));
    ck_assert(fo_alarm_is_raised(bell, target_at(1)));
    ck_assert(!fo_alarm_is_raised(bell, target_at(0)));
    fo_alarm_lower(bell, target_at(1));
    ck_assert(fo_alarm_raise(bell, target_at(1)));
}
END_TEST

START_TEST(raised_stays_until_it_is_lowered)
{
    hear(host, RIG_PROXY, ECONNREFUSED, "x");
    hear(host, RIG_PROXY, 0, "all is well");
    ck_assert_str_eq(raised(), "abv");
    fo_alarm_lower(bell, target_at(1));
    ck_assert_str_eq(raised(), "av");
    fo_alarm_lower(bell, target_at(1));
    ck_assert_str_eq(raised(), "av");
    hear(host, RIG_CORE, EPIPE, "x");
    ck_assert_str_eq(raised(), "acv");
}
END_TEST

/* True is what wakes the monitor: once for each that was not raised before. */
START_TEST(heard_is_what_is_new)
{
    ck_assert(hear(host, RIG_PROXY, ECONNREFUSED, "cache:11211"));
    ck_assert(!hear(host, RIG_PROXY, ECONNREFUSED, "cache:11211"));
    ck_assert(hear(host, RIG_PROXY, ECONNREFUSED, "x"));
    ck_assert(!hear(host, RIG_PROXY, ECONNREFUSED, "x"));
    ck_assert(!hear(server, RIG_PROXY, ECONNREFUSED, "x"));
    fo_alarm_lower(bell, target_at(3));
    ck_assert(!hear(server, RIG_PROXY, ECONNREFUSED, "x"));
    ck_assert(hear(host, RIG_PROXY, ECONNREFUSED, "x"));
    ck_assert(hear(host, RIG_CORE, EPIPE, "x"));
    ck_assert(!hear(host, RIG_CORE, EPIPE, "x"));
}
END_TEST

START_TEST(an_bellover_many_checks)
{
    const fo_scope_t *scope;
    unsigned set;

    plan = fo_plan_make(pool);
    for (int i = 0; i < 130; i++)
        rig_service(plan, "s", apr_psprintf(pool, "h%d:1", i));
    ck_assert_int_eq(plan->targets->nelts, 1); /* one name, one target */
    plan = fo_plan_make(pool);
    for (int i = 0; i < 130; i++)
        rig_service(plan, apr_psprintf(pool, "s%d", i), apr_psprintf(pool, "h%d:1", i));
    rules = fo_rules_make(plan);
    set = rig_set(rules, "EPIPE", rig_relays);
    for (unsigned i = 0; i < 130; i++)
        fo_rules_listen(rules, fo_plan_service(plan, i), set);
    scope = unit_scope(plan);
    fo_rules_finish(rules);
    bell = fo_alarm_make(rules, pool);
    for (unsigned i = 0; i < 130; i++) {
        ck_assert(hear(scope, RIG_PROXY, EPIPE, apr_psprintf(pool, "at h%u:1", i)));
        for (unsigned j = 0; j < 130; j++)
            ck_assert_int_eq(fo_alarm_is_raised(bell, target_at(j)), i == j);
        fo_alarm_lower(bell, target_at(i));
    }
    ck_assert(hear(scope, RIG_PROXY, EPIPE, "nobody"));
    for (unsigned j = 0; j < 130; j++)
        ck_assert(fo_alarm_is_raised(bell, target_at(j)));
}
END_TEST

/* What a client sent */

static const struct {
    apr_status_t status;
    const char *text;
    const char *sent[3];
    const char *names;
} clients[] = {
    { 0, "gone away", { "GET / HTTP/1.1", "x" }, "abv" },
    { 0, "gone away", { "GET /?gone away HTTP/1.1" }, NOBODY },
    { 0, "gone away", { "GET /?gone%20away HTTP/1.1" }, NOBODY },
    { 0, "gone away", { "GET / HTTP/1.1", "gone+away" }, NOBODY },
    { 0, "gone away", { "GET / HTTP/1.1", "x: lost server", }, "abv" },
    { 0, "lost server", { "GET / HTTP/1.1", "it lost server" }, NOBODY },
    { 0, "lost server", { "GET /LOST%20CONNECTION" }, "abv" }, /* other words of that pattern */
    { 0, "in x: lost server", { "GET /x?q=lost%20server HTTP/1.0" }, NOBODY },
    { 0, "lost server: gone away", { "gone away" }, "abv" },    /* one is left */
    { 0, "lost server: gone away", { "gone away", "lost server" }, NOBODY },
    { ECONNREFUSED, "gone away", { "gone away" }, "abv" }, /* an errno is not sent */
    { ECONNREFUSED, "lost server", { "lost server" }, "abv" },
    { EPIPE, "gone away", { "gone away" }, NOBODY },
    { 0, "gone away", { "", "" }, "abv" },
    { 0, "gone away", { NULL }, "abv" },
};

START_TEST(what_a_client_sent_proves_nothing)
{
    fo_entry_t entry = entry_of(host, RIG_PROXY, clients[_i].status, clients[_i].text);

    entry.sent = sent;
    entry.baton = &sent_texts;
    sent_texts = clients[_i].sent;
    ck_assert_int_eq(fo_alarm_hear(bell, &entry), clients[_i].names[0] != '\0');
    ck_assert_str_eq(raised(), clients[_i].names);
}
END_TEST

/* Another ear may hear the same text: a word that was sent is nobody's. */
START_TEST(what_was_sent_is_dropped_for_all)
{
    static const char *const texts[] = { "gone away", NULL };
    fo_entry_t entry = entry_of(host, RIG_CORE, 0, "queue is gone away");

    entry.sent = sent;
    entry.baton = &sent_texts;
    sent_texts = texts;
    ck_assert(fo_alarm_hear(bell, &entry));
    ck_assert_str_eq(raised(), "c"); /* by "queue is gone" */
}
END_TEST

/* While all that it could raise is raised, an entry is not looked at. */
START_TEST(nothing_is_looked_at_while_all_is_raised)
{
    static const char *const texts[] = { "x", NULL };
    fo_entry_t entry = entry_of(host, RIG_PROXY, 0, "gone away");

    entry.sent = sent;
    entry.baton = &sent_texts;
    sent_texts = texts;
    ck_assert(fo_alarm_hear(bell, &entry));
    ck_assert_int_eq(n_sent, 2);
    ck_assert(!fo_alarm_hear(bell, &entry));
    ck_assert_int_eq(n_sent, 2);
    fo_alarm_lower(bell, target_at(0));
    ck_assert(fo_alarm_hear(bell, &entry));
    ck_assert_int_eq(n_sent, 4);
}
END_TEST

/* An errno alone, or no match, needs no look at what was sent. */
START_TEST(what_was_sent_is_asked_for_only_if_words_match)
{
    static const char *const texts[] = { "x", NULL };
    fo_entry_t entry = entry_of(host, RIG_PROXY, ECONNREFUSED, "no words");

    entry.sent = sent;
    entry.baton = &sent_texts;
    sent_texts = texts;
    ck_assert(fo_alarm_hear(bell, &entry));
    entry = entry_of(host, RIG_PROXY, 0, "no words");
    entry.sent = sent;
    entry.baton = &sent_texts;
    lower_all();
    ck_assert(!fo_alarm_hear(bell, &entry));
    ck_assert_int_eq(n_sent, 0);
}
END_TEST

/* Whom it names */

static const struct {
    const char *text, *names;
} named[] = {
    { "attempt to connect to cache:11211 failed", "b" },
    { "cache:11211", "b" },
    { "CACHE:11211", "b" },
    { "to DB.Example.Com:3306 (db.example.com)", "av" }, /* two services at one host and port */
    { "(db.example.com:5432)", "b" },
    { "tcp://cache:11211/x", "b" },
    { "user@shop:3306", "v" },
    { "to [2001:db8::1]:3306 failed", "a" },
    { "to [2001:DB8::1]:3306 failed", "a" },
    { "2001:db8::1:3306", "abv" }, /* where the address ends nobody can tell */
    { "10.0.0.7:80 (*)", "b" },
    { "110.0.0.7:80", "abv" },
    { "x10.0.0.7:80", "abv" },
    { "connection to server at \"db.example.com\" (10.0.0.1), port 5432 failed", "b" },
    { "could not connect: host \"db.example.com\" on port 5432?", "b" },
    { "at \"db.example.com\" (10.0.0.1), port 3306 failed", "av" },
    { "at \"2001:db8::1\", port 3306", "a" },
    { "at a b c d e cache, port 11211", "b" },
    { "at cache 1 2 3 4 5, port 11211", "abv" }, /* too far away */
    { "cache:11211 and shop:3306", "bv" },
    { "cache:11211 at db.example.com, port 3306", "b" }, /* the colon names it already */
    { "queue:5672", NOBODY },              /* known, but listens to other modules */
    { "cache:11211 queue:5672", "b" },
    { "elsewhere:1", "abv" },
    { "cache", "abv" },
    { "cache:", "abv" },
    { "cache: 11211", "abv" },
    { "cache:11212", "abv" },
    { "cache:112110", "abv" },
    { "cache:0", "abv" },
    { "cache:65536", "abv" },
    { "cache:76747", "abv" }, /* 65536 and 11211 */
    { "cache:0011211", "abv" },
    { "cache:011211", "abv" },
    { "cache:11211x", "b" },
    { "cache:11211.", "b" },
    { ":11211", "abv" },
    { "[]:3306", "abv" },
    { "]:3306", "abv" },
    { ":", "abv" },
    { "port ", "abv" },
    { "port 3306", "abv" },
    { ", port 5432", "abv" },
    { "at cache, port 0", "abv" },
    { "at cache, port 65536", "abv" },
    { "at cache, port x", "abv" },
    { "at cache, port ", "abv" },
    { "at cache, port x, port 11211", "b" },
    { "\\ncache:11211", "b" }, /* the log's form of a line feed, right before the host */
    { "a\\tcache:11211", "b" },
    { "\\x1bcache:11211", "b" }, /* of another byte */
    { "\\xe2\\x80\\x9ccache:11211\\xe2\\x80\\x9d", "b" },
    { "C:\\\\cache:11211", "b" }, /* a backslash of the text's own */
    { "\\\\\\ncache:11211", "b" },
    { "\\x:11211", "abv" },
    { "\\n:11211", "abv" },
    { "at\\ncache, port 11211", "b" },
    { "at \\xe2\\x80\\x9ccache\\xe2\\x80\\x9d, port 11211", "b" },
    { "12:30:45 cache:11211: gone", "b" },
    { "[Tue Nov 24 12:30:45] [pid 17:tid 18] x", "abv" },
    { "AH00957: HTTP: attempt to connect to 10.0.0.7:80 (cache:80) failed", "b" },
};

START_TEST(an_entry_names_an_endpoint)
{
    expect_named(named[_i].text, named[_i].names);
}
END_TEST

/* What it names is another scope's business: it is not about those here. */
START_TEST(a_named_endpoint_of_another_scope)
{
    ck_assert(!hear(server, RIG_PROXY, ECONNREFUSED, "shop:3306"));
    ck_assert_str_eq(raised(), NOBODY);
    ck_assert(hear(server, RIG_PROXY, ECONNREFUSED, "db.example.com:3306"));
    ck_assert_str_eq(raised(), "a");
}
END_TEST

/* What a client sent names nobody: it would choose whom its entry is about. */
static const struct {
    const char *text;
    const char *sent[3];
    const char *names;
} chosen[] = {
    { "refused in /x?cache:11211", { "GET /x?cache:11211 HTTP/1.0" }, "abv" },
    { "refused in /x?cache:11211", { "GET /x?cache%3A11211 HTTP/1.0" }, "abv" },
    { "refused by shop:3306 in /x?cache:11211", { "GET /x?cache:11211", "Host" }, "v" },
    { "refused by cache:11211", { "GET /x", "Host", }, "b" },
    { "refused by cache:11211", { "GET /x", "cache", }, "b" },
    { "at cache, port 11211: refused", { "at cache, port 11211" }, "abv" },
    { "at cache, port 11211: refused", { "at cache" }, "b" },
};

START_TEST(what_a_client_sent_names_nobody)
{
    fo_entry_t entry = entry_of(host, RIG_PROXY, ECONNREFUSED, chosen[_i].text);

    entry.sent = sent;
    entry.baton = &sent_texts;
    sent_texts = chosen[_i].sent;
    ck_assert(fo_alarm_hear(bell, &entry));
    ck_assert_str_eq(raised(), chosen[_i].names);
}
END_TEST

/* An entry about a backend of somebody's choice. */
START_TEST(an_entry_that_must_name)
{
    fo_entry_t entry = entry_of(host, RIG_PROXY, ECONNREFUSED, "connect to elsewhere:1 failed");

    entry.must_name = true;
    ck_assert(!fo_alarm_hear(bell, &entry));
    ck_assert_str_eq(raised(), NOBODY);
    entry = entry_of(host, RIG_PROXY, ECONNREFUSED, "connect to cache:11211 failed");
    entry.must_name = true;
    ck_assert(fo_alarm_hear(bell, &entry));
    ck_assert_str_eq(raised(), "b");
}
END_TEST

static int n_asked;

static bool is_excused(void *baton)
{
    n_asked++;
    return baton == &n_asked;
}

/* Asked only of what would count; then neither its errno nor its words do. */
START_TEST(an_entry_of_the_client)
{
    fo_entry_t entry = entry_of(host, RIG_PROXY, ECONNREFUSED, "gone away");

    n_asked = 0;
    entry.is_of_client = is_excused;
    entry.baton = &n_asked;
    ck_assert(!fo_alarm_hear(bell, &entry));
    ck_assert_int_eq(n_asked, 1);
    entry.baton = NULL;
    ck_assert(fo_alarm_hear(bell, &entry));
    ck_assert_int_eq(n_asked, 2);
    lower_all();
    entry = entry_of(host, RIG_PROXY, 0, "all is well");
    entry.is_of_client = is_excused;
    ck_assert(!fo_alarm_hear(bell, &entry));
    ck_assert_int_eq(n_asked, 2);
}
END_TEST

/* An entry full of names, and as much as a request may send: all is looked for in one walk. */
#define HEADERS 97
#define HEADER_BYTES 8190

static const char *long_texts(void *headers, unsigned i)
{
    return i < HEADERS ? (const char *)headers + (size_t)i * (HEADER_BYTES + 1) : NULL;
}

START_TEST(a_large_request_costs_little)
{
    char *headers = apr_palloc(pool, HEADERS * (HEADER_BYTES + 1));
    char *text = apr_palloc(pool, 8193);
    fo_entry_t entry;
    struct timespec began, ended;

    for (int i = 0; i < HEADERS * (HEADER_BYTES + 1); i++)
        headers[i] = i % (HEADER_BYTES + 1) == HEADER_BYTES ? '\0' : "%+"[i % 2];
    memcpy(headers + HEADERS * (HEADER_BYTES + 1) - 14, "+cache:11211+", 13);
    for (int i = 0; i < 8192; i++)
        text[i] = "cache:11211 "[i % 12];
    text[8192] = '\0';
    entry = entry_of(host, RIG_PROXY, ECONNREFUSED, text);
    entry.must_name = true;
    entry.sent = long_texts;
    entry.baton = headers;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &began);
    ck_assert(!fo_alarm_hear(bell, &entry));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended);
    ck_assert_int_lt((ended.tv_sec - began.tv_sec) * 1000 +
                         (ended.tv_nsec - began.tv_nsec) / 1000000, 1000);
}
END_TEST

/* More targets than an entry may name: all, but for one that must name. */
START_TEST(an_entry_that_names_too_many)
{
    unsigned set;

    plan = fo_plan_make(pool);
    for (int i = 0; i < 100; i++)
        rig_service(plan, apr_psprintf(pool, "s%d", i), i < 80 ? "h:1" : "i:1");
    rules = fo_rules_make(plan);
    set = rig_set(rules, "EPIPE", rig_relays);
    for (unsigned i = 0; i < 100; i++)
        fo_rules_listen(rules, fo_plan_service(plan, i), set);
    server = unit_scope(plan);
    fo_rules_finish(rules);
    for (int must = 0; must < 2; must++) {
        fo_entry_t entry = entry_of(server, RIG_PROXY, EPIPE, "h:1");
        int n = 0;
        entry.must_name = must;
        bell = fo_alarm_make(rules, pool);
        ck_assert(fo_alarm_hear(bell, &entry));
        for (unsigned i = 0; i < 100; i++)
            n += fo_alarm_is_raised(bell, target_at(i));
        ck_assert_int_eq(n, must ? 64 : 100);
        ck_assert(!must || !fo_alarm_is_raised(bell, target_at(80)));
    }
}
END_TEST

/* A very long word is no host, and no reason to look for long. */
START_TEST(a_very_long_name)
{
    char *text = apr_palloc(pool, 100001);

    for (int form = 0; form < 4; form++) {
        static const char *const ends[] = { ":3306", "]:3306", ", port 3306", "cache:11211" };
        memset(text, form == 1 ? ':' : 'x', 100000);
        strcpy(text + 100000 - 20, ends[form]);
        expect_named(text, "abv");
    }
    for (int i = 0; i < 100000; i++)
        text[i] = "a:1 "[i % 4];
    text[100000] = '\0';
    expect_named(text, "abv");
}
END_TEST

/* Addresses */

/* What was learned names the endpoint, with the port of its host. */
START_TEST(a_learned_address_names_its_endpoint)
{
    fo_alarm_learn(bell, target_at(1), 0, 0, "192.0.2.1");
    fo_alarm_learn(bell, target_at(1), 0, 1, "2001:db8::9");
    fo_alarm_learn(bell, target_at(0), 0, 0, "192.0.2.1");
    expect_named("to 192.0.2.1:11211 failed", "b");
    expect_named("to [2001:db8::9]:11211 failed", "b");
    expect_named("to [2001:DB8::9]:11211 failed", "b");
    expect_named("at \"x\" (192.0.2.1), port 11211 failed", "b");
    expect_named("at \"x\" (2001:db8::9), port 11211 failed", "b");
    expect_named("to 192.0.2.1:3306 failed", "a");
    expect_named("to 192.0.2.1:80 failed", "abv");
    expect_named("to 192.0.2.2:11211 failed", "abv");
}
END_TEST

START_TEST(an_address_is_forgotten_when_it_changes)
{
    fo_alarm_learn(bell, target_at(1), 0, 0, "192.0.2.1");
    fo_alarm_learn(bell, target_at(1), 0, 1, "192.0.2.2");
    fo_alarm_learn(bell, target_at(1), 0, 0, "192.0.2.3");
    fo_alarm_learn(bell, target_at(1), 0, 1, NULL);
    expect_named("192.0.2.3:11211", "b");
    expect_named("192.0.2.1:11211", "abv");
    expect_named("192.0.2.2:11211", "abv");
}
END_TEST

/* As many as a ping looks up. */
START_TEST(each_address_of_a_host)
{
    for (unsigned i = 0; i < FO_ALARM_ADDRESSES; i++)
        fo_alarm_learn(bell, target_at(3), 0, i, apr_psprintf(pool, "192.0.2.%u", i + 1));
    for (unsigned i = 0; i < FO_ALARM_ADDRESSES; i++)
        expect_named(apr_psprintf(pool, "192.0.2.%u:3306", i + 1), "v");
    expect_named("192.0.2.200:3306", "abv");
}
END_TEST

/* The second host of a target, and what comes after it, are cells of their own. */
START_TEST(each_host_has_its_own_addresses)
{
    fo_alarm_learn(bell, target_at(0), 1, 0, "192.0.2.1");
    fo_alarm_learn(bell, target_at(1), 2, 0, "192.0.2.2");
    fo_alarm_learn(bell, target_at(3), 1, 0, "192.0.2.3");
    expect_named("192.0.2.1:3306", "a");
    expect_named("192.0.2.2:80", "b");
    expect_named("192.0.2.3:3306", "v");
    fo_alarm_learn(bell, target_at(1), 2, 0, NULL);
    expect_named("192.0.2.1:3306", "a");
    expect_named("192.0.2.2:80", "abv");
}
END_TEST

START_TEST(a_target_without_hosts)
{
    const fo_scope_t *scope;

    plan = fo_plan_make(pool);
    unit_service(plan, "n", &(fo_policy_t){ 0 }, "n", NULL);
    rig_service(plan, "p", ""); /* a path alone */
    rules = fo_rules_make(plan);
    for (unsigned i = 0; i < 2; i++)
        fo_rules_listen(rules, fo_plan_service(plan, i), rig_set(rules, "EPIPE", rig_relays));
    scope = unit_scope(plan);
    fo_rules_finish(rules);
    bell = fo_alarm_make(rules, pool);
    ck_assert(hear(scope, RIG_PROXY, EPIPE, "to 10.0.0.1:80, port 3"));
    ck_assert_str_eq(raised(), "np");
}
END_TEST

/* Whom this entry raises when so many databases of one server are services. */
static int n_raised_on_one_server(int n, const char *text)
{
    const fo_scope_t *scope;
    unsigned set;
    int n_raised = 0;

    plan = fo_plan_make(pool);
    for (int i = 0; i < n; i++)
        rig_service(plan, apr_psprintf(pool, "s%d", i), "db:3306");
    rig_service(plan, "other", "other:3306");
    rules = fo_rules_make(plan);
    set = rig_set(rules, "EPIPE", rig_relays);
    for (int i = 0; i <= n; i++)
        fo_rules_listen(rules, fo_plan_service(plan, (unsigned)i), set);
    scope = unit_scope(plan);
    fo_rules_finish(rules);
    bell = fo_alarm_make(rules, pool);
    ck_assert(hear(scope, RIG_PROXY, EPIPE, text));
    for (int i = 0; i <= n; i++)
        n_raised += fo_alarm_is_raised(bell, target_at((unsigned)i));
    return n_raised;
}

/* However many there are, none is left out; named twice is named once. */
START_TEST(many_services_on_one_server)
{
    for (int n = 60; n <= 64; n++)
        ck_assert_int_eq(n_raised_on_one_server(n, "db:3306 is db:3306"), n);
    ck_assert_int_ge(n_raised_on_one_server(65, "db:3306"), 65);
    ck_assert_int_ge(n_raised_on_one_server(200, "db:3306"), 200);
}
END_TEST

/* Threads */

#define HEARERS 4
#define ROUNDS 2000

static atomic_int n_new;
static atomic_bool is_over;

/* Each entry that raises something says so to one thread alone. */
static void *hear_on(void *opaque)
{
    const char *text = opaque;
    fo_entry_t entry = entry_of(host, RIG_PROXY, ECONNREFUSED, text);

    while (!atomic_load(&is_over))
        if (fo_alarm_hear(bell, &entry))
            atomic_fetch_add(&n_new, 1);
        else
            sched_yield();
    return NULL;
}

/* What is lowered is raised again: none is lost, and none is told of twice. */
START_TEST(hearing_and_lowering_at_once)
{
    static const char *const texts[HEARERS] = { "cache:11211", "cache:11211", "10.0.0.7:80",
                                                "192.0.2.1:11211" };
    pthread_t threads[HEARERS];
    int n_raised = 0;

    fo_alarm_learn(bell, target_at(1), 0, 0, "192.0.2.1");
    for (int i = 0; i < HEARERS; i++)
        pthread_create(&threads[i], NULL, hear_on, (void *)texts[i]);
    for (int i = 0; i < ROUNDS; i++) {
        while (!fo_alarm_is_raised(bell, target_at(1)))
            sched_yield();
        n_raised++;
        fo_alarm_learn(bell, target_at(0), 0, (unsigned)i % 8, "192.0.2.1");
        fo_alarm_lower(bell, target_at(1));
    }
    while (!fo_alarm_is_raised(bell, target_at(1)))
        sched_yield();
    atomic_store(&is_over, true);
    for (int i = 0; i < HEARERS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(atomic_load(&n_new), n_raised + 1);
    ck_assert_str_eq(raised(), "b");
}
END_TEST

static atomic_int n_disturbed;

/* This one's target is its own: nobody else raises or lowers it. */
static void *keep_own(void *opaque)
{
    const fo_target_t *target = opaque;
    const fo_host_t *own = fo_target_host(target, 0);
    char text[64];
    fo_entry_t entry;

    apr_snprintf(text, sizeof(text), "%s:%d", own->name, own->port);
    entry = entry_of(host, target->index == 2 ? RIG_CORE : RIG_PROXY,
                     target->index == 2 ? EPIPE : ECONNREFUSED, text);
    for (int i = 0; i < 10 * ROUNDS; i++) {
        if (!fo_alarm_hear(bell, &entry) || !fo_alarm_is_raised(bell, target))
            atomic_fetch_add(&n_disturbed, 1);
        fo_alarm_lower(bell, target);
        if (fo_alarm_is_raised(bell, target))
            atomic_fetch_add(&n_disturbed, 1);
    }
    return NULL;
}

/* Targets share a word, and do not disturb each other there. */
START_TEST(each_check_for_itself)
{
    static const unsigned own[] = { 1, 2, 3 };
    pthread_t threads[COUNT(own)];

    for (int i = 0; i < COUNT(own); i++)
        pthread_create(&threads[i], NULL, keep_own, (void *)target_at(own[i]));
    for (int i = 0; i < COUNT(own); i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(atomic_load(&n_disturbed), 0);
}
END_TEST

static TCase *entries_case(void)
{
    TCase *tc = tcase_create("entries");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_add_loop_test(tc, an_entry_raises_who_listens, 0, COUNT(entries));
    tcase_add_test(tc, a_scope_hears_its_own_entries);
    tcase_add_test(tc, nothing_is_raised_at_first);
    tcase_add_test(tc, an_application_raises_one);
    tcase_add_test(tc, raised_stays_until_it_is_lowered);
    tcase_add_test(tc, heard_is_what_is_new);
    tcase_add_test(tc, an_bellover_many_checks);
    tcase_add_loop_test(tc, what_a_client_sent_proves_nothing, 0, COUNT(clients));
    tcase_add_test(tc, what_was_sent_is_dropped_for_all);
    tcase_add_test(tc, nothing_is_looked_at_while_all_is_raised);
    tcase_add_test(tc, what_was_sent_is_asked_for_only_if_words_match);
    tcase_add_test(tc, hearing_and_lowering_at_once);
    tcase_add_test(tc, each_check_for_itself);
    return tc;
}

static TCase *names_case(void)
{
    TCase *tc = tcase_create("names");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_add_loop_test(tc, an_entry_names_an_endpoint, 0, COUNT(named));
    tcase_add_test(tc, a_named_endpoint_of_another_scope);
    tcase_add_loop_test(tc, what_a_client_sent_names_nobody, 0, COUNT(chosen));
    tcase_add_test(tc, an_entry_that_must_name);
    tcase_add_test(tc, an_entry_of_the_client);
    tcase_add_test(tc, a_large_request_costs_little);
    tcase_add_test(tc, an_entry_that_names_too_many);
    tcase_add_test(tc, a_very_long_name);
    tcase_add_test(tc, a_learned_address_names_its_endpoint);
    tcase_add_test(tc, an_address_is_forgotten_when_it_changes);
    tcase_add_test(tc, each_address_of_a_host);
    tcase_add_test(tc, each_host_has_its_own_addresses);
    tcase_add_test(tc, a_target_without_hosts);
    tcase_add_test(tc, many_services_on_one_server);
    return tc;
}

static Suite *suite(void)
{
    Suite *s = suite_create("fo_alarm");

    suite_add_tcase(s, entries_case());
    suite_add_tcase(s, names_case());
    return s;
}

UNIT_MAIN(suite)
