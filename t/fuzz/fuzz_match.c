/*
 * FailoverErrorMatch and what it makes of the log. The input's first line are the configuration's
 * words, the second an entry's text, the rest what a client sent. A line of its own is parsed or
 * refused; what is accepted is found where it stands, and nowhere else; an entry raises nothing
 * outside its scope.
 */
#include "core/fo_alarm.h"

#include "fuzz.h"

/* The matcher's time grows with the square of the text, and with the expression. */
#define EXPRESSION_MOST 64
#define TEXT_MOST 1024

static const bool relays[] = { true };

typedef struct input_t {
    const char *words, *entry, *sent;
} input_t;

static input_t split(const char *text, apr_pool_t *pool)
{
    char *words = apr_pstrdup(pool, text), *entry = strchr(words, '\n'), *sent;
    input_t input = { words, "", "" };

    if (!entry)
        return input;
    *entry++ = '\0';
    input.entry = entry;
    sent = strchr(entry, '\n');
    if (!sent)
        return input;
    *sent++ = '\0';
    input.sent = sent;
    return input;
}

/* As the log, or as a client, escapes each byte. */
static const char *escape(const char *text, bool is_url, apr_pool_t *pool)
{
    char *escaped = apr_palloc(pool, 4 * strlen(text) + 1), *to = escaped;

    for (; *text; text++)
        to += is_url ? (unsigned)sprintf(to, "%%%02X", (unsigned char)*text)
                     : fo_log_escape((unsigned char)*text, to);
    *to = '\0';
    return escaped;
}

/* The bytes that the log shows so. */
static const char *unescape(const char *shown, apr_pool_t *pool)
{
    static const char names[] = "b\bn\nr\rt\tv\v\\\\";
    char *text = apr_palloc(pool, strlen(shown) + 1), *to = text;

    for (; *shown; shown++) {
        unsigned byte = (unsigned char)*shown;
        if (byte == '\\' && shown[1] == 'x') {
            FUZZ_HOLDS(sscanf(shown + 2, "%2x", &byte) == 1, "%s", shown);
            shown += 3;
        } else if (byte == '\\') {
            const char *name = strchr(names, *++shown);
            FUZZ_HOLDS(name && name[0], "%s", shown);
            byte = (unsigned char)name[1];
        }
        *to++ = (char)byte;
    }
    *to = '\0';
    return text;
}

/* The baton is the only text. */
static const char *only_text(void *text, unsigned i)
{
    return i == 0 ? text : NULL;
}

static bool is_found(const fo_matcher_t *matcher, const char *text, unsigned number, bool is_sent)
{
    fo_patterns_t all, found = { { 0 } };
    fo_spans_t spans;

    memset(&all, 0xff, sizeof(all));
    if (is_sent)
        fo_matcher_find_sent(matcher, only_text, (void *)text, &found, NULL, 0);
    else
        fo_matcher_find(matcher, text, strlen(text), &all, &found, &spans);
    return fo_patterns_has(&found, number);
}

/* It stands in its own text, in the log's and in a client's form, whatever is around it. */
static void literal(const fo_matcher_t *matcher, const fo_pattern_t *pattern, unsigned number,
                    const input_t *input, apr_pool_t *pool)
{
    const char *text = pattern->literal, *bytes = unescape(text, pool);
    const char *shown = escape(input->entry, false, pool);

    FUZZ_HOLDS(text[0] && strlen(text) <= FO_LITERAL_MAX, "%s", pattern->text);
    FUZZ_HOLDS(strcmp(escape(bytes, false, pool), text) == 0, "%s", text);
    FUZZ_HOLDS(is_found(matcher, text, number, false), "%s", text);
    FUZZ_HOLDS(is_found(matcher, shown, number, false) == (strstr(shown, text) != NULL), "%s in %s",
               text, shown);
    FUZZ_HOLDS(is_found(matcher, apr_pstrcat(pool, shown, text, NULL), number, false),
               "%s after %s", text, shown);
    FUZZ_HOLDS(is_found(matcher, bytes, number, true), "%s as sent", text);
    FUZZ_HOLDS(is_found(matcher, escape(bytes, true, pool), number, true), "%s encoded", text);
    FUZZ_HOLDS(is_found(matcher, apr_pstrcat(pool, input->sent, bytes, input->entry, NULL), number,
                        true), "%s within %s", text, input->sent);
    if (strstr(escape(input->sent, false, pool), text))
        FUZZ_HOLDS(is_found(matcher, input->sent, number, true), "%s in %s", text, input->sent);
}

static bool is_small(const fo_match_t *match, const input_t *input)
{
    for (int i = 0; i < match->patterns->nelts; i++) {
        const fo_pattern_t *pattern = &APR_ARRAY_IDX(match->patterns, i, fo_pattern_t);
        if (pattern->kind == FO_PATTERN_REGEX && strlen(pattern->text) > EXPRESSION_MOST)
            return false;
    }
    return match->patterns->nelts <= 32 && strlen(input->entry) <= TEXT_MOST &&
           strlen(input->sent) <= TEXT_MOST;
}

/* It matches alone as it does among others, while there is room, and what it matched is there. */
static void expression(const fo_matcher_t *matcher, const fo_pattern_t *pattern, unsigned number,
                       const input_t *input)
{
    size_t length = strlen(input->entry), begin = 0, n = 0;
    bool matches = fo_regex_find(pattern->regex, input->entry, length, &begin, &n);

    FUZZ_HOLDS(!matches || (begin <= length && n <= length - begin), "%s in %s", pattern->text,
               input->entry);
    FUZZ_HOLDS(matches || !is_found(matcher, input->entry, number, false), "%s in %s",
               pattern->text, input->entry);
    FUZZ_HOLDS(number >= FO_SPANS_MAX || is_found(matcher, input->entry, number, false) == matches,
               "%s in %s", pattern->text, input->entry);
}

/* All literals in one matcher; expressions beside them. */
static void find(const fo_match_t *match, const input_t *input, apr_pool_t *pool)
{
    fo_matcher_t *matcher = fo_matcher_make(pool);
    unsigned numbers[32];

    for (int i = 0; i < match->patterns->nelts; i++)
        FUZZ_HOLDS(!fo_matcher_add(matcher, &APR_ARRAY_IDX(match->patterns, i, fo_pattern_t),
                                   &numbers[i]), "%d", i);
    fo_matcher_build(matcher);
    for (int i = 0; i < match->patterns->nelts; i++) {
        const fo_pattern_t *pattern = &APR_ARRAY_IDX(match->patterns, i, fo_pattern_t);
        FUZZ_HOLDS(!pattern->literal == (pattern->kind != FO_PATTERN_LITERAL), "%s", pattern->text);
        FUZZ_HOLDS(!pattern->regex == (pattern->kind != FO_PATTERN_REGEX), "%s", pattern->text);
        if (pattern->literal)
            literal(matcher, pattern, numbers[i], input, pool);
        else if (pattern->regex)
            expression(matcher, pattern, numbers[i], input);
        else
            FUZZ_HOLDS(pattern->status > 0, "%s", pattern->text);
    }
}

static fo_service_t *add_service(fo_plan_t *plan, const char *name, const char *host)
{
    const apr_array_header_t *none = apr_array_make(plan->pool, 1, 1);
    fo_service_t *service = fo_plan_add_service(plan, name, NULL, fo_policy_built_in(), none, NULL);
    fo_target_t *target = fo_plan_target(plan, name);
    fo_host_t *hosts = apr_pcalloc(plan->pool, sizeof(*hosts));
    fo_url_t *url = apr_pcalloc(plan->pool, sizeof(*url));

    *hosts = (fo_host_t){ .name = host, .port = 80 };
    *url = (fo_url_t){ .hosts = hosts, .n_hosts = 1, .path = "" };
    fo_plan_know_hosts(target, url);
    fo_plan_add_endpoint(plan, service, name, name, 1, target);
    return service;
}

static const char *sent(void *baton, unsigned i)
{
    const input_t *input = baton;

    return i == 0 ? input->sent : NULL;
}

/* Services a and b; the scope is a's. */
static void hear(const fo_match_t *match, const input_t *input, apr_pool_t *pool)
{
    fo_plan_t *plan = fo_plan_make(pool);
    const fo_service_t *a = add_service(plan, "a", "a"), *b = add_service(plan, "b", "b");
    apr_array_header_t *own = apr_array_make(pool, 1, sizeof(fo_service_t *));
    fo_rules_t *rules = fo_rules_make(plan);
    fo_entry_t entry = { .sent = sent, .baton = (void *)input, .status = ECONNREFUSED };
    fo_alarm_t *alarm;
    unsigned set = 0;

    FUZZ_HOLDS(!fo_rules_add_set(rules, match->patterns, relays, 1, &set), "%s", input->words);
    fo_rules_listen(rules, a, set);
    fo_rules_listen(rules, b, set);
    APR_ARRAY_PUSH(own, const fo_service_t *) = a;
    entry.scope = fo_plan_scope(plan, own);
    fo_rules_finish(rules);
    alarm = fo_alarm_make(rules, pool);
    fo_alarm_learn(alarm, fo_plan_target_at(plan, 1), 0, 0, "10.0.0.1");
    entry.text = escape(input->entry, false, pool);
    entry.length = strlen(entry.text);
    bool is_raised = fo_alarm_hear(alarm, &entry);
    FUZZ_HOLDS(fo_alarm_is_raised(alarm, fo_plan_target_at(plan, 0)) == is_raised, "%s",
               entry.text);
    FUZZ_HOLDS(!fo_alarm_is_raised(alarm, fo_plan_target_at(plan, 1)), "%s", entry.text);
    FUZZ_HOLDS(!is_raised || !fo_alarm_hear(alarm, &entry), "%s", entry.text);
}

static void fuzz_one(const char *text, size_t length, apr_pool_t *pool)
{
    input_t input = split(text, pool);
    fo_match_t *match = NULL;
    const char *error = fo_match_parse(input.words, &match, pool);

    (void)length;
    FUZZ_HOLDS(!error == (match != NULL), "%s", input.words);
    FUZZ_HOLDS(!error || error[0], "%s", input.words);
    if (error || !is_small(match, &input))
        return;
    FUZZ_HOLDS(match->patterns->nelts || match->modules->nelts || match->replaces, "%s",
               input.words);
    find(match, &input, pool);
    hear(match, &input, pool);
}
