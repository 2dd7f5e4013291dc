/*
 * fo_rules.h: what FailoverErrorMatch comes to: which services listen for which patterns in the
 * entries of which modules, and which endpoint an entry names. Built with the plan, constant
 * afterwards.
 */
#ifndef FO_RULES_H
#define FO_RULES_H

#include "core/fo_matcher.h"
#include "core/fo_plan.h"

/* Most services have the same lines: they share a set. */
typedef struct fo_rule_set_t {
    fo_patterns_t patterns;
    const bool *is_relay; /* by module index */
    unsigned n_modules;
} fo_rule_set_t;

/* The entries of this module are heard; a negative index is no module's. */
static inline bool fo_rule_set_hears(const fo_rule_set_t *set, int module)
{
    return module >= 0 && (unsigned)module < set->n_modules && set->is_relay[module];
}

/* Who listens in one scope with one set. */
typedef struct fo_ear_t {
    const fo_rule_set_t *set;
    apr_uint64_t *targets; /* a bit for each target of these services */
} fo_ear_t;

/* A host and port that an entry may name, and what is pinged there. */
typedef struct fo_known_host_t {
    apr_uint64_t hash;
    unsigned target;
} fo_known_host_t;

typedef struct fo_rules_t {
    const fo_plan_t *plan;
    fo_matcher_t *matcher;
    apr_array_header_t *sets;     /* fo_rule_set_t *, by number */
    const fo_rule_set_t **set_of; /* by service */
    apr_array_header_t **ears;    /* by scope: fo_ear_t */
    unsigned n_words;             /* of a bit for each target */
    apr_array_header_t *hosts;    /* fo_known_host_t, by hash */
} fo_rules_t;

/* For a plan that is complete but for its scopes. */
fo_rules_t *fo_rules_make(const fo_plan_t *plan);

/* patterns: fo_pattern_t. is_relay lives as long as the plan. NULL, or a message. */
const char *fo_rules_add_set(fo_rules_t *rules, const apr_array_header_t *patterns,
                             const bool *is_relay, unsigned n_modules, unsigned *ret_set);

/* Each service listens with exactly one set. */
void fo_rules_listen(fo_rules_t *rules, const fo_service_t *service, unsigned set);

/* Once the plan has its scopes as well. */
void fo_rules_finish(fo_rules_t *rules);

/* A host's name or address, case ignored, with a port. */
apr_uint64_t fo_host_hash(const char *host, apr_size_t length, unsigned port);

/* Any thread. The first of the known hosts with this hash; the others follow it. NULL: none. */
const fo_known_host_t *fo_rules_host(const fo_rules_t *rules, apr_uint64_t hash,
                                     const fo_known_host_t **ret_end);

#endif
