#include "core/fo_alarm.h"

#include <stdatomic.h>
#include <string.h>

#define HOST_TEXT 255

/*
 * Words of an entry that may name an endpoint, and targets that they may name: it names one host,
 * perhaps by name and address. One that names more raises all, as one that names none.
 */
#define WORDS_MAX 8
#define NAMED_MAX 64

/* How many words before "port N" may be its host: libpq puts the address between the two. */
#define WORDS_BEFORE 4

struct fo_alarm_t {
    const fo_rules_t *rules;
    _Atomic apr_uint64_t *raised; /* a bit for each target */
    _Atomic apr_uint64_t *trips;  /* by service */
    atomic_bool is_tripped;
    _Atomic apr_uint64_t *learned; /* hashes: FO_ALARM_ADDRESSES for each host of each target */
    atomic_bool is_any_learned;    /* false: no host need be looked through */
    unsigned *first_host;          /* by target: where its hosts begin there, in hosts */
    unsigned n_hosts;
    unsigned *target_of; /* by host */
    apr_port_t *ports;   /* by host */
};

/* The targets that an entry names, and by which of its words. */
typedef struct named_t {
    const fo_entry_t *entry;
    unsigned n;
    bool is_full; /* it names still more */
    struct {
        unsigned target;
        unsigned word;
    } by[NAMED_MAX];
    unsigned n_words;
    fo_needle_t words[WORDS_MAX];
} named_t;

static unsigned hosts_of(const fo_target_t *target)
{
    return (unsigned)target->hosts->nelts;
}

static void enter_hosts(fo_alarm_t *alarm, const fo_target_t *target)
{
    for (unsigned i = 0; i < hosts_of(target); i++) {
        unsigned host = alarm->first_host[target->index] + i;
        alarm->target_of[host] = target->index;
        alarm->ports[host] = fo_target_host(target, i)->port;
    }
}

fo_alarm_t *fo_alarm_make(const fo_rules_t *rules, apr_pool_t *pool)
{
    fo_alarm_t *alarm = apr_pcalloc(pool, sizeof(*alarm));
    unsigned n_targets = (unsigned)rules->plan->targets->nelts;

    alarm->rules = rules;
    alarm->raised = apr_pcalloc(pool, sizeof(*alarm->raised) * (rules->n_words + 1));
    alarm->trips = apr_pcalloc(pool,
                               sizeof(*alarm->trips) * (size_t)(rules->plan->services->nelts + 1));
    alarm->first_host = apr_pcalloc(pool, sizeof(*alarm->first_host) * (n_targets + 1));
    for (unsigned i = 0; i < n_targets; i++) {
        alarm->first_host[i] = alarm->n_hosts;
        alarm->n_hosts += hosts_of(fo_plan_target_at(rules->plan, i));
    }
    alarm->target_of = apr_pcalloc(pool, sizeof(*alarm->target_of) * (alarm->n_hosts + 1));
    alarm->ports = apr_pcalloc(pool, sizeof(*alarm->ports) * (alarm->n_hosts + 1));
    for (unsigned i = 0; i < n_targets; i++)
        enter_hosts(alarm, fo_plan_target_at(rules->plan, i));
    alarm->learned = apr_pcalloc(pool, sizeof(*alarm->learned) * FO_ALARM_ADDRESSES *
                                           ((size_t)alarm->n_hosts + 1));
    return alarm;
}

bool fo_alarm_is_raised(const fo_alarm_t *alarm, const fo_target_t *target)
{
    return atomic_load(&alarm->raised[target->index / 64]) >> target->index % 64 & 1;
}

bool fo_alarm_is_any_raised(const fo_alarm_t *alarm)
{
    for (unsigned i = 0; i < alarm->rules->n_words; i++)
        if (atomic_load(&alarm->raised[i]))
            return true;
    return false;
}

void fo_alarm_lower(fo_alarm_t *alarm, const fo_target_t *target)
{
    apr_uint64_t bit = (apr_uint64_t)1 << target->index % 64;

    if (fo_alarm_is_raised(alarm, target))
        atomic_fetch_and(&alarm->raised[target->index / 64], ~bit);
}

/* A host that is an address itself is known without this. */
void fo_alarm_learn(fo_alarm_t *alarm, const fo_target_t *target, unsigned host, unsigned i,
                    const char *address)
{
    unsigned row = alarm->first_host[target->index] + host;
    const fo_host_t *known = fo_target_host(target, host);
    bool is_news = address && strcmp(address, known->name) != 0;

    if (is_news)
        atomic_store_explicit(&alarm->is_any_learned, true, memory_order_relaxed);
    atomic_store_explicit(&alarm->learned[row * FO_ALARM_ADDRESSES + i],
                          is_news ? fo_host_hash(address, strlen(address), known->port) : 0,
                          memory_order_relaxed);
}

static void name_target(named_t *named, unsigned target, unsigned word)
{
    for (unsigned i = 0; i < named->n; i++)
        if (named->by[i].target == target && named->by[i].word == word)
            return;
    if (named->n == NAMED_MAX) {
        named->is_full = true;
        return;
    }
    named->by[named->n].target = target;
    named->by[named->n++].word = word;
}

/* The first cell without an address is followed by no other. */
static bool has_learned(const fo_alarm_t *alarm, unsigned host, apr_uint64_t hash)
{
    const _Atomic apr_uint64_t *cells = &alarm->learned[host * FO_ALARM_ADDRESSES];
    apr_uint64_t seen = 1;

    for (unsigned i = 0; seen && i < FO_ALARM_ADDRESSES; i++) {
        seen = atomic_load_explicit(&cells[i], memory_order_relaxed);
        if (seen == hash)
            return true;
    }
    return false;
}

static void look_up(const fo_alarm_t *alarm, const char *host, apr_size_t length, unsigned port,
                    unsigned word, named_t *named)
{
    apr_uint64_t hash = fo_host_hash(host, length, port);
    const fo_known_host_t *end, *known = fo_rules_host(alarm->rules, hash, &end);

    for (; known && known < end && known->hash == hash; known++)
        name_target(named, known->target, word);
    if (!atomic_load_explicit(&alarm->is_any_learned, memory_order_relaxed))
        return;
    for (unsigned i = 0; i < alarm->n_hosts; i++)
        if (alarm->ports[i] == port && has_learned(alarm, i, hash))
            name_target(named, alarm->target_of[i], word);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_host_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-' || c == '_';
}

/* 0: no port stands there. ret_end is where it ends. */
static unsigned read_port(const char *text, const char **ret_end)
{
    unsigned port = 0;
    int n = 0;

    for (; is_digit(*text) && n < 6; text++, n++)
        port = port * 10 + (unsigned)(*text - '0');
    *ret_end = text;
    return n < 6 && port < 65536 ? port : 0;
}

/*
 * A backslash before a word has taken its first letter, which stands for a line feed or the like,
 * or three, as in \xNN; two are one of the text's own. May be past the word's end.
 */
static const char *begin_of(const char *word, const char *text)
{
    const char *escape = word;

    while (escape > text && escape[-1] == '\\')
        escape--;
    if ((word - escape) % 2 == 0)
        return word;
    return word + (*word == 'x' ? 3 : 1);
}

/* Looks a host up; [bytes, end) is what names it, by which one tells whether the client did. */
static void name_host(const fo_alarm_t *alarm, const char *host, apr_size_t length, unsigned port,
                      const char *bytes, const char *end, named_t *named)
{
    fo_needle_t word = { .bytes = bytes, .length = (apr_size_t)(end - bytes) };
    unsigned n = named->n, i = 0;

    while (i < named->n_words && (named->words[i].length != word.length ||
                                  memcmp(named->words[i].bytes, bytes, word.length) != 0))
        i++;
    if (i == WORDS_MAX) {
        named->is_full = true;
        return;
    }
    look_up(alarm, host, length, port, i, named);
    if (named->n > n && i == named->n_words)
        named->words[named->n_words++] = word;
}

/* "db.example.com:3306", "[2001:db8::1]:3306": what stands before the colon. */
static void name_before_colon(const fo_alarm_t *alarm, const char *colon, named_t *named)
{
    const char *text = named->entry->text, *begin = colon, *end = colon, *port_end;
    unsigned port = read_port(colon + 1, &port_end);

    if (port && colon > text && colon[-1] == ']') {
        begin = --end;
        while (begin > text && begin[-1] != '[' && end - begin < HOST_TEXT)
            begin--;
    } else if (port) {
        while (begin > text && is_host_char(begin[-1]) && end - begin < HOST_TEXT)
            begin--;
        begin = begin_of(begin, text);
    }
    if (begin < end)
        name_host(alarm, begin, (apr_size_t)(end - begin), port, begin, port_end, named);
}

/* libpq's 'at "db.example.com" (10.0.0.1), port 5432': `at` is where "port" begins. */
static void name_before_port(const fo_alarm_t *alarm, const char *at, const char *number,
                             named_t *named)
{
    const char *text = named->entry->text, *end = at, *port_end;
    unsigned port = read_port(number, &port_end);

    for (int words = 0; port && words < WORDS_BEFORE; words++) {
        const char *begin, *word;
        while (end > text && !is_host_char(end[-1]) && end[-1] != ':')
            end--;
        for (begin = end; begin > text && (is_host_char(begin[-1]) || begin[-1] == ':'); begin--)
            ;
        if (begin == end)
            return;
        word = begin_of(begin, text);
        if (word < end)
            name_host(alarm, word, (apr_size_t)(end - word), port, at, port_end, named);
        end = begin;
    }
}

static void find_named(const fo_alarm_t *alarm, named_t *named)
{
    static const char port_word[] = "port ";
    const size_t n = sizeof(port_word) - 1;
    const fo_entry_t *entry = named->entry;
    const char *end = entry->text + entry->length;

    for (const char *at = entry->text; (at = memchr(at, ':', (size_t)(end - at))); at++)
        name_before_colon(alarm, at, named);
    for (const char *at = entry->text;
         named->n == 0 && (at = memchr(at, port_word[0], (size_t)(end - at))); at++)
        if ((size_t)(end - at) > n && memcmp(at, port_word, n) == 0)
            name_before_port(alarm, at, at + n, named);
}

/* It listens to that module, and something that it could raise is not raised. */
static bool is_open(const fo_alarm_t *alarm, const fo_ear_t *ear, const fo_entry_t *entry)
{
    apr_uint64_t quiet = 0;

    if (!fo_rule_set_hears(ear->set, entry->module))
        return false;
    if (entry->found)
        return true;
    for (unsigned i = 0; i < alarm->rules->n_words; i++)
        quiet |= ear->targets[i] & ~atomic_load_explicit(&alarm->raised[i], memory_order_relaxed);
    return quiet != 0;
}

static bool find_wanted(const fo_alarm_t *alarm, const apr_array_header_t *ears,
                        const fo_entry_t *entry, fo_patterns_t *wanted)
{
    bool is_any = false;

    for (int i = 0; i < ears->nelts; i++) {
        const fo_ear_t *ear = &APR_ARRAY_IDX(ears, i, fo_ear_t);
        if (!is_open(alarm, ear, entry))
            continue;
        is_any = true;
        for (unsigned word = 0; word < FO_PATTERN_WORDS; word++)
            wanted->bits[word] |= ear->set->patterns.bits[word];
    }
    return is_any;
}

/* What stands in the client's own words proves nothing, and names nobody. */
static void drop_sent(const fo_matcher_t *matcher, const fo_spans_t *spans, fo_patterns_t *found,
                      named_t *named)
{
    const fo_entry_t *entry = named->entry;
    fo_needle_t needles[FO_SPANS_MAX + WORDS_MAX];
    fo_patterns_t sent = { { 0 } };
    unsigned n = 0, n_kept = 0;

    for (unsigned i = 0; i < spans->n; i++)
        needles[n++] = (fo_needle_t){ spans->span[i].begin, spans->span[i].length, false };
    for (unsigned i = 0; i < named->n_words; i++)
        needles[n++] = named->words[i];
    fo_matcher_find_sent(matcher, entry->sent, entry->baton, &sent, needles, n);
    for (unsigned word = 0; word < FO_PATTERN_WORDS; word++)
        found->bits[word] &= ~sent.bits[word];
    for (unsigned i = 0; i < spans->n; i++)
        if (needles[i].is_sent)
            fo_patterns_drop(found, spans->span[i].number);
    for (unsigned i = 0; i < named->n; i++)
        if (!needles[spans->n + named->by[i].word].is_sent)
            named->by[n_kept++] = named->by[i];
    named->n = n_kept;
}

/* The patterns that count in this entry, and whom it names; false: none. */
static bool judge(const fo_alarm_t *alarm, const fo_patterns_t *wanted, fo_patterns_t *found,
                  named_t *named)
{
    const fo_matcher_t *matcher = alarm->rules->matcher;
    const fo_entry_t *entry = named->entry;
    fo_patterns_t errnos = { { 0 } };
    fo_spans_t spans;

    fo_matcher_find_status(matcher, entry->status, wanted, &errnos);
    fo_matcher_find(matcher, entry->text, entry->length, wanted, found, &spans);
    if (!fo_patterns_meet(wanted, &errnos) && !fo_patterns_meet(wanted, found))
        return false;
    if (entry->is_of_client && entry->is_of_client(entry->baton))
        return false;
    find_named(alarm, named);
    if (entry->sent && (named->n > 0 || fo_patterns_meet(wanted, found)))
        drop_sent(matcher, &spans, found, named);
    for (unsigned word = 0; word < FO_PATTERN_WORDS; word++)
        found->bits[word] |= errnos.bits[word];
    return fo_patterns_meet(wanted, found) && !(entry->must_name && named->n == 0);
}

static bool raise_bits(fo_alarm_t *alarm, unsigned word, apr_uint64_t bits)
{
    return bits && bits & ~atomic_fetch_or(&alarm->raised[word], bits);
}

bool fo_alarm_raise(fo_alarm_t *alarm, const fo_target_t *target)
{
    return raise_bits(alarm, target->index / 64, (apr_uint64_t)1 << target->index % 64);
}

/* The last one said counts: failures in the lower half, calls above; 0: nothing. */
void fo_alarm_trip(fo_alarm_t *alarm, const fo_service_t *service, const fo_tally_t *tally)
{
    unsigned failures = tally->failures > tally->streak ? tally->failures : tally->streak;
    unsigned calls = tally->calls > failures ? tally->calls : failures;
    apr_uint64_t word = (apr_uint64_t)calls << 32 | failures;

    atomic_store(&alarm->trips[service->index], word);
    atomic_store(&alarm->is_tripped, true);
}

bool fo_alarm_take_any_trip(fo_alarm_t *alarm)
{
    return atomic_load(&alarm->is_tripped) && atomic_exchange(&alarm->is_tripped, false);
}

bool fo_alarm_take_trip(fo_alarm_t *alarm, const fo_service_t *service, fo_tally_t *ret_tally)
{
    apr_uint64_t word = atomic_exchange(&alarm->trips[service->index], 0);

    *ret_tally = (fo_tally_t){ .calls = (unsigned)(word >> 32), .failures = (unsigned)word };
    return word != 0;
}

static bool find_bits(fo_alarm_t *alarm, const fo_entry_t *entry, unsigned word, apr_uint64_t bits)
{
    if (bits && entry->found)
        entry->found(entry->baton, word, bits);
    return raise_bits(alarm, word, bits);
}

static bool raise_ear(fo_alarm_t *alarm, const fo_ear_t *ear, const named_t *named)
{
    bool is_all = !named->entry->must_name && (named->n == 0 || named->is_full), is_new = false;

    for (unsigned i = 0; i < named->n; i++) {
        unsigned target = named->by[i].target;
        is_new |= find_bits(alarm, named->entry, target / 64,
                            ear->targets[target / 64] & (apr_uint64_t)1 << target % 64);
    }
    for (unsigned i = 0; is_all && i < alarm->rules->n_words; i++)
        is_new |= find_bits(alarm, named->entry, i, ear->targets[i]);
    return is_new;
}

bool fo_alarm_hear(fo_alarm_t *alarm, const fo_entry_t *entry)
{
    const apr_array_header_t *ears = alarm->rules->ears[entry->scope->index];
    fo_patterns_t wanted = { { 0 } }, found = { { 0 } };
    named_t named;
    bool is_new = false;

    if (!find_wanted(alarm, ears, entry, &wanted))
        return false;
    named.entry = entry;
    named.n = named.n_words = 0;
    named.is_full = false;
    if (!judge(alarm, &wanted, &found, &named))
        return false;
    for (int i = 0; i < ears->nelts; i++) {
        const fo_ear_t *ear = &APR_ARRAY_IDX(ears, i, fo_ear_t);
        if (fo_rule_set_hears(ear->set, entry->module) &&
            fo_patterns_meet(&ear->set->patterns, &found))
            is_new |= raise_ear(alarm, ear, &named);
    }
    return is_new;
}
