/*
 * httpd_failover.h: what the files that know httpd share: the configuration as declared, and the
 * hooks that mod_failover.c lists.
 */
#ifndef HTTPD_FAILOVER_H
#define HTTPD_FAILOVER_H

#include "core/fo_alarm.h"
#include "core/fo_board.h"
#include "core/fo_breaker.h"
#include "core/fo_monitor.h"
#include "core/fo_plan.h"
#include "core/fo_retry.h"
#include "core/fo_rules.h"
#include "core/fo_settings.h"

#include <ap_expr.h>
#include <ap_mpm.h>
#include <httpd.h>
#include <http_config.h>
#include <http_core.h>

extern module AP_MODULE_DECLARE_DATA failover_module;

/* Where in the configuration something was written. */
typedef struct httpd_place_t {
    const char *file;
    int line;
} httpd_place_t;

/* Where a secret is to be read from, at the real start. */
typedef enum {
    HTTPD_SECRET_NONE,
    HTTPD_SECRET_FILE,
    HTTPD_SECRET_EXEC
} httpd_secret_e;

typedef struct httpd_secret_t {
    httpd_secret_e kind;
    const char *source; /* the path of the file, or the program with its arguments */
} httpd_secret_t;

/* What is asked, as declared. Lives in pconf, as all of these. */
typedef struct httpd_check_t {
    const fo_url_t *url;
    const fo_probe_t *probe;
    void *conf;                  /* the probe's own */
    apr_interval_time_t timeout; /* of one probe; 0: the policy's */
    httpd_secret_t secret;
    httpd_secret_t key_secret; /* the password of the client certificate's key */
    void *tls;                 /* of probe_tls.h; NULL: plain, or the probe's own affair */
    const char *key;           /* the file of that key, if there is a context; NULL: none */
    const char *socket;        /* the path where it is reached; NULL: by the URL */
    const char *options_key;   /* all further options, for telling equal checks */
    httpd_place_t place;
} httpd_check_t;

typedef struct httpd_endpoint_t {
    const char *name;
    httpd_check_t own; /* of its URL */
    bool is_asked;     /* false: check=off, its URL is not pinged */
    double weight;
    bool busy_fails;
    apr_array_header_t *checks;   /* httpd_check_t *: further ones */
    apr_array_header_t *settings; /* fo_setting_t: while it stands in */
} httpd_endpoint_t;

/* A service as declared. */
typedef struct httpd_service_t {
    const char *name;
    unsigned serial; /* the order of the configuration, over all servers */
    const server_rec *server;
    fo_policy_t policy; /* what it sets itself */
    bool is_critical;
    apr_array_header_t *endpoints; /* httpd_endpoint_t * */
    apr_array_header_t *checks;    /* httpd_check_t *: of each endpoint */
    apr_array_header_t *settings;  /* fo_setting_t */
    apr_array_header_t *matches;   /* const fo_match_t *: its own FailoverErrorMatch lines */
    httpd_place_t place;
} httpd_service_t;

typedef enum {
    HTTPD_MONITOR_UNSET = -1,
    HTTPD_MONITOR_ON = FO_TRIGGER_REQUEST,
    HTTPD_MONITOR_OUTAGES = FO_TRIGGER_OUTAGES,
    HTTPD_MONITOR_OFF = FO_TRIGGER_COUNT
} httpd_monitor_e;

/*
 * One server's or virtual host's part. Written while the configuration is read; the first four are
 * final after check_config; constant afterwards.
 */
typedef struct httpd_server_t {
    const fo_scope_t *scope; /* the services of its requests */
    int at_once;         /* httpd_monitor_e: what a request triggers before it has a directory */
    int monitor;         /* httpd_monitor_e: where a directory does not say */
    bool asks_directory; /* some directory says */
    fo_policy_t policy;
    apr_array_header_t *matches;     /* const fo_match_t *, those of the server below included */
    apr_array_header_t *services;    /* httpd_service_t *, declared here */
    httpd_service_t *open_service;   /* the block being read; NULL: none */
    httpd_endpoint_t *open_endpoint; /* likewise, inside that one */
} httpd_server_t;

/* What a directory, a location, files or an <If> can say; bits. */
typedef enum {
    HTTPD_SAYS_MONITOR = 1,
    HTTPD_SAYS_STATUS = 2,
    HTTPD_SAYS_USES = 4,
    HTTPD_SAYS_CLOSED = 8,
    HTTPD_SAYS_ERROR_HEADER = 16,
    HTTPD_SAYS_HEALTH = 32
} httpd_says_e;

/* The most services that a FailoverUses names: httpd drops what is beyond 64 words, unsaid. */
#define HTTPD_USES_MAX 63

typedef struct httpd_uses_t httpd_uses_t;

/* Services during whose outages something is closed. */
typedef struct httpd_closures_t {
    bool resets;              /* what the sections around say of it does not hold here */
    apr_array_header_t *rows; /* httpd_closure.c's; NULL: none */
} httpd_closures_t;

/* Its part. */
typedef struct httpd_directory_t {
    unsigned says;                   /* which of these it says, as httpd_says_e */
    int monitor;                     /* httpd_monitor_e */
    bool shows_status;               /* the status may be seen here */
    bool tells_health;               /* the health may be asked for here */
    const struct httpd_uses_t *uses; /* the services that requests here depend on; NULL: none */
    httpd_closures_t requires;       /* FailoverRequire */
    httpd_closures_t documents;      /* FailoverOutageDocument */
    const char *error_header;        /* FailoverErrorHeader; NULL: none */
} httpd_directory_t;

/* What the whole configuration comes to; reset before it is read. */
typedef struct httpd_config_t {
    fo_plan_t *plan;               /* NULL before check_config */
    fo_rules_t *rules;             /* likewise */
    fo_shared_t *shared;           /* NULL before the real start, and where nothing is monitored */
    int shared_fd;                 /* wakes the child that pings for all; -1: there is none such */
    apr_interval_time_t ping_wait; /* FO_UNSET: the default */
    apr_int64_t ping_concurrency;  /* likewise */
    fo_ways_t ways;
    httpd_place_t lease_place; /* FailoverScope's */
    bool serves_status;        /* FailoverStatus is On somewhere */
    bool serves_health;        /* FailoverHealth likewise */
    const char *event_log;     /* FailoverEventLog: a file, or "|program"; NULL: none */
    httpd_place_t event_place;
    int event_fd; /* -1: none */
    unsigned n_services;
    unsigned n_settings;
    apr_array_header_t *warnings;     /* httpd_warning_t */
    apr_array_header_t *secrets;      /* httpd_pending_secret_t: checks that still need theirs */
    apr_array_header_t *tls_contexts; /* httpd_tls.c's */
} httpd_config_t;

typedef struct httpd_warning_t {
    httpd_place_t place;
    const char *text;
} httpd_warning_t;

typedef struct httpd_pending_secret_t {
    const char **into; /* a check's */
    httpd_secret_t secret;
    const httpd_check_t *locked; /* whose key it opens; NULL: it is no such password */
    httpd_place_t place;
    const server_rec *server; /* whose log is told */
} httpd_pending_secret_t;

#define HTTPD_PING_WAIT (100 * 1000)
#define HTTPD_PING_CONCURRENCY 16
#define HTTPD_LEASE (10 * APR_USEC_PER_SEC)

static inline httpd_server_t *httpd_server_of(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &failover_module);
}

static inline httpd_directory_t *httpd_directory_of(const ap_conf_vector_t *directory)
{
    return ap_get_module_config(directory, &failover_module);
}

/* httpd_config.c */
httpd_config_t *httpd_config(void);
void httpd_config_warn(httpd_place_t place, const char *text); /* told at -t and at the start */
void *httpd_config_create_server(apr_pool_t *pool, server_rec *s);
void *httpd_config_merge_server(apr_pool_t *pool, void *base, void *over);
void *httpd_config_create_directory(apr_pool_t *pool, char *path);
void *httpd_config_merge_directory(apr_pool_t *pool, void *base, void *over);
int httpd_config_reset(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp);
int httpd_config_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);
int httpd_config_start(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);
void httpd_config_test(apr_pool_t *pconf, server_rec *s);

/* httpd_plan.c: from what was declared to the plan. NULL or a message. */
const char *httpd_plan_build(httpd_config_t *config, server_rec *main_server, apr_pool_t *pool);

/* httpd_target.c: one endpoint of it, with what is pinged for it. */
void httpd_target_plan(httpd_config_t *config, const httpd_service_t *declared_service,
                       const httpd_endpoint_t *declared, fo_service_t *service);

/* httpd_shm.c: what the children share, held over restarts; and what is left of one that died. */
void httpd_shm_start(httpd_config_t *config, const server_rec *s, apr_pool_t *pconf);
void httpd_shm_child_status(server_rec *s, pid_t pid, ap_generation_t generation, int slot,
                            mpm_child_status status);

/* httpd_tls.c */
void httpd_tls_reset(apr_pool_t *pconf);

/* httpd_directives.c */
extern const command_rec httpd_directives[];

/* httpd_secret.c: NULL or a message without the secret; ret_warning may be set. */
const char *httpd_secret_read(const httpd_secret_t *secret, const char **ret_secret,
                              const char **ret_warning, apr_pool_t *pool, apr_pool_t *ptemp);

/* httpd_dump.c */
void httpd_dump(const fo_plan_t *plan, const fo_rules_t *rules, server_rec *s, apr_pool_t *ptemp);

/* httpd_child.c. The board is NULL where nothing is monitored. */
void httpd_child_init(apr_pool_t *pchild, server_rec *s);
fo_board_t *httpd_child_board(void);
fo_alarm_t *httpd_child_alarm(void);                     /* NULL: no error is of interest here */
apr_time_t httpd_child_since(const fo_detail_t *detail); /* of the monotonic clock */
fo_retry_t httpd_child_retry(void);                      /* as of now */
/* Returns how long the request waited; 0: not at all. */
apr_interval_time_t httpd_child_trigger(const fo_scope_t *scope, fo_trigger_e trigger, bool waits);
void httpd_child_wake(void); /* any thread, signal handlers too */
void httpd_child_unknown_error(void);
bool httpd_child_first_time(unsigned setting_serial);

/* The outcomes of requests are too much: a ping decides, or the endpoint is left. Any thread. */
void httpd_child_trip(const fo_service_t *service, const fo_tally_t *tally);

/* httpd_uses.c */
void httpd_uses_reset(apr_pool_t *pconf);
const char *httpd_uses_declare(cmd_parms *cmd, void *directory, int argc, char *const argv[]);
/* declared: httpd_service_t *, by the index of their services; NULL or a message with its place. */
const char *httpd_uses_resolve(const fo_plan_t *plan, const apr_array_header_t *declared,
                               apr_pool_t *pool);
void httpd_uses_start(const httpd_config_t *config); /* the shared memory is there */
int httpd_uses_count(request_rec *r);
/* Any thread, signal handlers too: whether it counts; and an entry of it spoke of these targets. */
bool httpd_uses_any(const request_rec *r);
void httpd_uses_found(const request_rec *r, unsigned word, apr_uint64_t bits);
void httpd_uses_exempt(const request_rec *r); /* it uses none of them, whatever its section says */

/* httpd_closure.c */
void httpd_closure_reset(apr_pool_t *pconf);
const char *httpd_closure_require(cmd_parms *cmd, void *directory, int argc, char *const argv[]);
const char *httpd_closure_document(cmd_parms *cmd, void *directory, const char *name,
                                   const char *path, const char *status);
/* NULL or a message with its place. */
const char *httpd_closure_resolve(const fo_plan_t *plan, apr_pool_t *pool);
void httpd_closure_merge(const httpd_closures_t *below, httpd_closures_t *above, apr_pool_t *pool);
/* DECLINED where it is open; else what the request is to be ended with. */
int httpd_closure_check(request_rec *r, const fo_snapshot_t *snapshot);

/* httpd_error_header.c */
void httpd_error_header_reset(void);
const char *httpd_error_header_declare(cmd_parms *cmd, void *directory, const char *name);

/* httpd_event.c */
void httpd_event_observe(void *baton, const fo_change_t *change); /* the monitor's observer */
bool httpd_event_start(httpd_config_t *config, server_rec *s, apr_pool_t *pconf);

/* httpd_request.c */
int httpd_request_begin(request_rec *r);
int httpd_request_early(request_rec *r);
int httpd_request_header_parser(request_rec *r);
int httpd_request_late(request_rec *r);
const fo_snapshot_t *httpd_request_snapshot(request_rec *r);
int httpd_request_closed(request_rec *r); /* as httpd_closure_check() */

/* httpd_status.c */
void httpd_status_serve(void);    /* somebody may see it: hooks the handler; not during requests */
void httpd_status_register(void); /* with mod_status, if it is there */

/* httpd_health.c: as httpd_status_serve() */
void httpd_health_serve(void);

/* httpd_error_log.c: which server's entries are of which scope; before there are children. */
void httpd_error_log_prepare(server_rec *main_server, apr_pool_t *pool);
void httpd_error_log(const ap_errorlog_info *info, const char *text);

/* httpd_expr.c */
int httpd_expr_lookup(ap_expr_lookup_parms *parms);
int httpd_expr_log_handler(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp);
void httpd_expr_reset(apr_pool_t *pconf);
/* Resolves the names that expressions use; NULL or a message with the place of an unknown one. */
const char *httpd_expr_resolve(const fo_plan_t *plan, apr_pool_t *pool);
/* NULL, or the name of something that a client sends, read by an expression while it is parsed. */
const char *httpd_expr_parse(cmd_parms *cmd, const char *text, const void **ret_expression,
                             const char **ret_client_sent);
const char *httpd_expr_evaluate(request_rec *r, const void *expression, const char **ret_error);

#endif
