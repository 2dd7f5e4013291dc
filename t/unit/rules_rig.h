/*
 * rules_rig.h: for unit tests of what errors set off: services at hosts, and who listens for what.
 */
#ifndef RULES_RIG_H
#define RULES_RIG_H

#include "core/fo_alarm.h"

#include "unit.h"

/* Modules, by their index. */
enum { RIG_CORE, RIG_PROXY, RIG_PHP, RIG_N_MODULES };

static const bool rig_relays[RIG_N_MODULES] = { [RIG_PROXY] = true, [RIG_PHP] = true };
static const bool rig_core_relays[RIG_N_MODULES] = { [RIG_CORE] = true };

/* "db.example.com:3306 [2001:db8::1]:5432": hosts, with blanks between. */
static inline fo_url_t *rig_hosts(const char *text)
{
    fo_url_t *url = apr_pcalloc(pool, sizeof(*url));
    fo_host_t *hosts = apr_pcalloc(pool, 80 * sizeof(*hosts));
    char *last, *copy = apr_pstrdup(pool, text);

    for (char *word = apr_strtok(copy, " ", &last); word; word = apr_strtok(NULL, " ", &last)) {
        char *colon = strrchr(word, ':'), *end = colon;
        if (word[0] == '[') {
            word++;
            end--;
        }
        hosts[url->n_hosts].port = (apr_port_t)atoi(colon + 1);
        hosts[url->n_hosts++].name = apr_pstrndup(pool, word, (apr_size_t)(end - word));
    }
    url->hosts = hosts;
    url->path = "";
    return url;
}

/* Its target is of its own. */
static inline fo_service_t *rig_service(fo_plan_t *plan, const char *name, const char *hosts)
{
    fo_policy_t policy = unit_policy();
    fo_service_t *service = unit_service(plan, name, &policy, name, NULL);

    fo_plan_know_hosts(unit_target(service), rig_hosts(hosts));
    return service;
}

/* The patterns of these words, in the entries of these modules. */
static inline unsigned rig_set(fo_rules_t *rules, const char *words, const bool *relays)
{
    fo_match_t *match = NULL;
    unsigned set = ~0u;

    unit_expect(fo_match_parse(words, &match, pool), NULL);
    unit_expect(fo_rules_add_set(rules, match->patterns, relays, RIG_N_MODULES, &set), NULL);
    return set;
}

#endif
