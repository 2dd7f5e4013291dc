#include "core/fo_rules.h"

#include <stdlib.h>
#include <string.h>

fo_rules_t *fo_rules_make(const fo_plan_t *plan)
{
    fo_rules_t *rules = apr_pcalloc(plan->pool, sizeof(*rules));

    rules->plan = plan;
    rules->matcher = fo_matcher_make(plan->pool);
    rules->sets = apr_array_make(plan->pool, 2, sizeof(fo_rule_set_t *));
    rules->set_of = apr_pcalloc(plan->pool,
                                sizeof(*rules->set_of) * (size_t)(plan->services->nelts + 1));
    rules->n_words = ((unsigned)plan->targets->nelts + 63) / 64;
    rules->hosts = apr_array_make(plan->pool, 16, sizeof(fo_known_host_t));
    return rules;
}

const char *fo_rules_add_set(fo_rules_t *rules, const apr_array_header_t *patterns,
                             const bool *is_relay, unsigned n_modules, unsigned *ret_set)
{
    fo_rule_set_t *set = apr_pcalloc(rules->plan->pool, sizeof(*set));

    set->is_relay = is_relay;
    set->n_modules = n_modules;
    for (int i = 0; i < patterns->nelts; i++) {
        unsigned number = 0;
        const char *error = fo_matcher_add(rules->matcher,
                                           &APR_ARRAY_IDX(patterns, i, fo_pattern_t), &number);
        if (error)
            return error;
        fo_patterns_put(&set->patterns, number);
    }
    *ret_set = (unsigned)rules->sets->nelts;
    APR_ARRAY_PUSH(rules->sets, fo_rule_set_t *) = set;
    return NULL;
}

void fo_rules_listen(fo_rules_t *rules, const fo_service_t *service, unsigned set)
{
    rules->set_of[service->index] = APR_ARRAY_IDX(rules->sets, (int)set, fo_rule_set_t *);
}

static fo_ear_t *ear_for(const fo_rules_t *rules, apr_array_header_t *ears,
                         const fo_rule_set_t *set)
{
    fo_ear_t *ear;

    for (int i = 0; i < ears->nelts; i++)
        if (APR_ARRAY_IDX(ears, i, fo_ear_t).set == set)
            return &APR_ARRAY_IDX(ears, i, fo_ear_t);
    ear = apr_array_push(ears);
    ear->set = set;
    ear->targets = apr_pcalloc(ears->pool, sizeof(*ear->targets) * (rules->n_words + 1));
    return ear;
}

static apr_array_header_t *make_ears(const fo_rules_t *rules, const fo_scope_t *scope)
{
    apr_array_header_t *ears = apr_array_make(rules->plan->pool, 1, sizeof(fo_ear_t));

    for (unsigned i = 0; i < (unsigned)scope->services->nelts; i++) {
        const fo_service_t *service = fo_scope_service(scope, i);
        fo_ear_t *ear = ear_for(rules, ears, rules->set_of[service->index]);
        for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++) {
            unsigned target = fo_service_endpoint(service, rank)->target->index;
            ear->targets[target / 64] |= (apr_uint64_t)1 << target % 64;
        }
    }
    return ears;
}

/* FNV-1a, of 64 bits: two of some thousand hosts do not have the same. */
static apr_uint64_t hash_byte(apr_uint64_t hash, unsigned char byte)
{
    return (hash ^ byte) * 0x100000001b3;
}

apr_uint64_t fo_host_hash(const char *host, apr_size_t length, unsigned port)
{
    apr_uint64_t hash = 0xcbf29ce484222325;

    for (apr_size_t i = 0; i < length; i++) {
        char c = host[i];
        hash = hash_byte(hash, (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c));
    }
    hash = hash_byte(hash, (unsigned char)(port & 0xff));
    return hash_byte(hash, (unsigned char)(port >> 8));
}

static int by_hash(const void *a, const void *b)
{
    const fo_known_host_t *one = a, *other = b;

    return one->hash < other->hash ? -1 : one->hash > other->hash;
}

static void know_hosts(fo_rules_t *rules)
{
    for (unsigned i = 0; i < (unsigned)rules->plan->targets->nelts; i++) {
        const fo_target_t *target = fo_plan_target_at(rules->plan, i);
        for (unsigned j = 0; j < (unsigned)target->hosts->nelts; j++) {
            const fo_host_t *host = fo_target_host(target, j);
            fo_known_host_t known = {
                .hash = fo_host_hash(host->name, strlen(host->name), host->port),
                .target = i,
            };
            APR_ARRAY_PUSH(rules->hosts, fo_known_host_t) = known;
        }
    }
    if (rules->hosts->nelts > 1)
        qsort(rules->hosts->elts, (size_t)rules->hosts->nelts, sizeof(fo_known_host_t), by_hash);
}

void fo_rules_finish(fo_rules_t *rules)
{
    unsigned n = (unsigned)rules->plan->scopes->nelts;

    fo_matcher_build(rules->matcher);
    know_hosts(rules);
    rules->ears = apr_pcalloc(rules->plan->pool, sizeof(*rules->ears) * (n + 1));
    for (unsigned i = 0; i < n; i++)
        rules->ears[i] = make_ears(rules, fo_plan_scope_at(rules->plan, i));
}

const fo_known_host_t *fo_rules_host(const fo_rules_t *rules, apr_uint64_t hash,
                                     const fo_known_host_t **ret_end)
{
    const fo_known_host_t *hosts = (const fo_known_host_t *)rules->hosts->elts;
    unsigned low = 0, high = (unsigned)rules->hosts->nelts;

    *ret_end = hosts + high;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (hosts[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return hosts + low < *ret_end && hosts[low].hash == hash ? hosts + low : NULL;
}
