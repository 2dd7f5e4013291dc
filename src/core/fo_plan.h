/*
 * fo_plan.h: what the configuration says: services, their endpoints, what is pinged for them, and
 * which services hold for which requests. Built once, in the main process; constant afterwards, so
 * any thread may read it without a lock. Everything lives in the plan's pool.
 */
#ifndef FO_PLAN_H
#define FO_PLAN_H

#include "core/fo_policy.h"
#include "core/fo_series.h"

struct fo_service_t;
struct fo_endpoint_t;

/* One thing that is asked of one address, and how. */
typedef struct fo_check_t {
    unsigned index;
    const fo_url_t *url;
    const fo_probe_t *probe;
    const void *conf;               /* the probe's own */
    const char *secret;             /* NULL: none; set once, before there are children */
    const char *key_password;       /* likewise: of the key of a client certificate */
    void *tls;                      /* the driver's own; NULL: it speaks plainly */
    const char *socket;             /* the path where it is reached; NULL: by the URL */
    apr_interval_time_t timeout_up; /* of one probe while usable */
    apr_interval_time_t timeout_down;
} fo_check_t;

/*
 * What is pinged: checks that must all pass. Equal ones of different services are one, pinged once
 * per child.
 */
typedef struct fo_target_t {
    unsigned index;
    unsigned seat;                  /* in the shared memory; set before there are children */
    const char *key;                /* all that makes it equal to another */
    apr_array_header_t *checks;     /* fo_check_t * */
    fo_probes_t probes;             /* of each check */
    apr_interval_time_t timeout_up; /* of a whole ping: the longest of its checks' */
    apr_interval_time_t timeout_down;
    bool busy_fails;
    apr_array_header_t *hosts;     /* fo_host_t, each once: by whose names an error may mean it */
    apr_array_header_t *endpoints; /* fo_endpoint_t *: those that it speaks for */
} fo_target_t;

typedef struct fo_endpoint_t {
    unsigned index;
    unsigned seat; /* as a target's */
    const char *name;
    const char *key; /* all that makes it the same as one of another configuration */
    double weight;
    const fo_url_t *url;
    const fo_probe_t *probe; /* of the URL's scheme, even if it is not asked */
    const apr_array_header_t
        *settings; /* fo_setting_t: what holds while it stands in; NULL: none */
    struct fo_service_t *service;
    unsigned rank; /* in its service */
    fo_target_t *target;
} fo_endpoint_t;

/* Where a service stands in a scope. */
typedef struct fo_place_t {
    unsigned scope; /* index */
    unsigned position;
} fo_place_t;

typedef struct fo_service_t {
    unsigned index;
    unsigned seat; /* as a target's */
    const char *name;
    const char *full_name;         /* name, or name@vhost:port */
    fo_policy_t policy;            /* every number set */
    apr_array_header_t *endpoints; /* fo_endpoint_t *, in the order of the configuration */
    unsigned primary;              /* the rank of the heaviest */
    apr_array_header_t *settings;  /* fo_setting_t */
    apr_array_header_t *places;    /* fo_place_t */
    bool is_plain;                 /* no setting of it reads what others wrote */
    bool is_critical;              /* while it is down, this server is not to be sent requests */
    apr_uint64_t initials;         /* bits: what its variables begin with; 0: not all are its own */
    const void *owner;             /* whose log it writes to; the glue's own */
    const char *env_state;         /* FAILOVER_NAME */
    const char *env_endpoint;      /* FAILOVER_NAME_ENDPOINT */
    const char *env_epoch;         /* FAILOVER_NAME_EPOCH */
    const char *note_state;        /* failover:name */
    const char *note_endpoint;     /* failover:name:endpoint */
} fo_service_t;

/* The services that hold for one virtual host's requests, in the order of the configuration. */
typedef struct fo_scope_t {
    unsigned index;
    apr_array_header_t *services; /* fo_service_t * */
} fo_scope_t;

/* What holds for all services. */
typedef struct fo_ways_t {
    bool inherits;             /* a new child starts from what its siblings see */
    bool logs_each;            /* every child's outage is news, not the first one's alone */
    bool by_timer;             /* pings run in an idle child too */
    apr_interval_time_t lease; /* one child pings for all while it holds it; 0: each for itself */
} fo_ways_t;

typedef struct fo_plan_t {
    apr_pool_t *pool;
    apr_array_header_t *services;  /* fo_service_t *, by index */
    apr_array_header_t *endpoints; /* fo_endpoint_t *, by index */
    apr_array_header_t *targets;   /* fo_target_t *, by index */
    apr_array_header_t *checks;    /* fo_check_t *, by index */
    apr_array_header_t *scopes;    /* fo_scope_t *, by index */
    apr_uint64_t generation;       /* of the configuration; set before there are children */
    fo_ways_t ways;
} fo_plan_t;

fo_plan_t *fo_plan_make(apr_pool_t *pool);

/* vhost: what stands behind the '@' of the full name; NULL: a service of the server. */
fo_service_t *fo_plan_add_service(fo_plan_t *plan, const char *name, const char *vhost,
                                  const fo_policy_t *policy, const apr_array_header_t *settings,
                                  const void *owner);

/* The target with this key; a new one is empty but for the key, to be filled by the caller. */
fo_target_t *fo_plan_target(fo_plan_t *plan, const char *key);

/* A further check of this target, to be filled by the caller but for the URL. */
fo_check_t *fo_plan_add_check(fo_plan_t *plan, fo_target_t *target, const fo_url_t *url);

/* An error that names a host of this URL means this target; fo_plan_add_check() says so itself. */
void fo_plan_know_hosts(fo_target_t *target, const fo_url_t *url);

/*
 * Its place, url, probe and settings are left to the caller. identity: what is asked there, without
 * how; its key is made of it and of the names.
 */
fo_endpoint_t *fo_plan_add_endpoint(fo_plan_t *plan, fo_service_t *service, const char *name,
                                    const char *identity, double weight, fo_target_t *target);

/* The scope of exactly these services, shared with others that have the same. */
const fo_scope_t *fo_plan_scope(fo_plan_t *plan, const apr_array_header_t *services);

/* NULL: no service of that name there. */
const fo_service_t *fo_scope_find(const fo_scope_t *scope, const char *name);

/* In any scope. */
const fo_service_t *fo_plan_find(const fo_plan_t *plan, const char *name);

static inline fo_service_t *fo_plan_service(const fo_plan_t *plan, unsigned index)
{
    return APR_ARRAY_IDX(plan->services, (int)index, fo_service_t *);
}

static inline fo_endpoint_t *fo_plan_endpoint(const fo_plan_t *plan, unsigned index)
{
    return APR_ARRAY_IDX(plan->endpoints, (int)index, fo_endpoint_t *);
}

static inline fo_endpoint_t *fo_service_endpoint(const fo_service_t *service, unsigned rank)
{
    return APR_ARRAY_IDX(service->endpoints, (int)rank, fo_endpoint_t *);
}

static inline fo_endpoint_t *fo_target_endpoint(const fo_target_t *target, unsigned rank)
{
    return APR_ARRAY_IDX(target->endpoints, (int)rank, fo_endpoint_t *);
}

static inline fo_target_t *fo_plan_target_at(const fo_plan_t *plan, unsigned index)
{
    return APR_ARRAY_IDX(plan->targets, (int)index, fo_target_t *);
}

static inline fo_check_t *fo_plan_check(const fo_plan_t *plan, unsigned index)
{
    return APR_ARRAY_IDX(plan->checks, (int)index, fo_check_t *);
}

static inline fo_check_t *fo_target_check(const fo_target_t *target, unsigned i)
{
    return APR_ARRAY_IDX(target->checks, (int)i, fo_check_t *);
}

static inline const fo_host_t *fo_target_host(const fo_target_t *target, unsigned i)
{
    return &APR_ARRAY_IDX(target->hosts, (int)i, fo_host_t);
}

static inline fo_scope_t *fo_plan_scope_at(const fo_plan_t *plan, unsigned index)
{
    return APR_ARRAY_IDX(plan->scopes, (int)index, fo_scope_t *);
}

static inline fo_service_t *fo_scope_service(const fo_scope_t *scope, unsigned position)
{
    return APR_ARRAY_IDX(scope->services, (int)position, fo_service_t *);
}

#endif
