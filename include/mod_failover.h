/*
 * mod_failover.h: how to add a probe to mod_failover, and how to hear of what it finds. The one
 * installed header.
 *
 * A probe is a constant struct, filled by name, that a module registers in register_hooks:
 *
 *     ap_register_provider(pool, FO_PROBE_GROUP, "mysql", FO_PROBE_VERSION, &fo_probe_mysql);
 *
 * under the scheme of the URLs that it serves. It knows APR and its own library, never httpd. It
 * logs nothing: what it found stands in the report.
 */
#ifndef MOD_FAILOVER_H
#define MOD_FAILOVER_H

#include <stdbool.h>
#include <stddef.h>

#include <apr_errno.h>
#include <apr_network_io.h>
#include <apr_pools.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include <apr_time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FO_PROBE_GROUP "failover-probe"
#define FO_PROBE_VERSION "0" /* of the registry; stays */

/* Rises with every change of the structs below that an older probe could not bear. */
#define FO_PROBE_ABI 1

/* The most further hosts that one turn of a dialogue may name. */
#define FO_FURTHER_MAX 32

/* What an answer means; doc/probes.md has the whole table. */
typedef enum {
    FO_VERDICT_FAIL,   /* the service does not work */
    FO_VERDICT_PASS,   /* the protocol's own "ok" */
    FO_VERDICT_BUSY,   /* alive and full: the endpoint's busy= option decides */
    FO_VERDICT_LOGIN,  /* alive, but the ping's own credentials are wrong: a pass with a warning */
    FO_VERDICT_SELF,   /* our own side's fault: no verdict at all, thrown away and counted */
    FO_VERDICT_BARRED, /* as LOGIN, where more was to be asked behind the login: the state stays */
    FO_VERDICT_COUNT
} fo_verdict_e;

/* How far a ping had come. */
typedef enum {
    FO_STAGE_RESOLVE,
    FO_STAGE_CONNECT,
    FO_STAGE_TLS,
    FO_STAGE_LOGIN,
    FO_STAGE_ASK,
    FO_STAGE_ANSWER,
    FO_STAGE_COUNT
} fo_stage_e;

#define FO_REPORT_TEXT 128

/*
 * What one ping found. A probe keeps stage up to date while it works: when the deadline comes, the
 * driver reports a time-out at that stage.
 */
typedef struct fo_report_t {
    fo_verdict_e verdict;
    fo_stage_e stage;
    apr_status_t status;       /* the errno behind it, or 0 */
    int code;                  /* the server's own number, or 0 */
    apr_interval_time_t took;  /* set by the driver */
    char text[FO_REPORT_TEXT]; /* one line for people, no secrets; empty: the text of status */
} fo_report_t;

/* One host of a URL, as written. */
typedef struct fo_host_t {
    const char *name; /* name or numeric address, an IPv6 address without its brackets */
    apr_port_t port;  /* the URL's, or the probe's own */
} fo_host_t;

/* A URL that has passed the parser. Lives as long as the configuration. */
typedef struct fo_url_t {
    const char *text; /* as written; a URL never holds a password */
    const char *scheme;
    const char *user; /* decoded; NULL: none */
    const fo_host_t *hosts;
    unsigned n_hosts;
    const char *path; /* decoded, with its leading slash; "": none */
} fo_url_t;

/* Who logs in. The secret itself comes with each ping. */
typedef struct fo_login_t {
    const char *user; /* NULL: none */
    bool has_secret;
    bool has_key_password; /* key= is there as well, and its file has a password */
} fo_login_t;

/* Where one host of the URL is reached. Of a URL that is a path alone: "", nothing and 0. */
typedef struct fo_peer_t {
    const char *name;             /* as written in the URL: for reports */
    const char *const *addresses; /* numeric, to be tried in this order */
    unsigned n_addresses;         /* 1 for dialogues and steps: the driver tries them in order */
    apr_port_t port;
} fo_peer_t;

/*
 * What a ping is given. Valid until the probe has reported; to an ask, which may outlast its ping,
 * until it returns. The conf beside it lives as long as the configuration.
 */
typedef struct fo_ask_t {
    const char *secret;       /* NULL: none */
    const char *key_password; /* of the client certificate's key; NULL: none */
    void *tls; /* OpenSSL's SSL_CTX, where mod_failover takes care of TLS; else NULL */
    const fo_peer_t *peers;
    unsigned n_peers;           /* 1 for dialogues and steps */
    apr_interval_time_t budget; /* what is left for this call */
} fo_ask_t;

/* What a call of a dialogue or of steps leaves behind. */
typedef enum {
    FO_MORE, /* not decided: wait as told */
    FO_DONE  /* decided: the report is filled */
} fo_progress_e;

/*
 * A dialogue: bytes in, bytes out, no socket. The driver owns the socket, the deadline, and caps
 * what it will hold of an answer (16 KiB).
 */
typedef enum {
    FO_TALK_CONNECTED, /* the first event */
    FO_TALK_DATA,      /* there is more in `in` */
    FO_TALK_CLOSED,    /* the peer closed; whatever it sent before has been delivered */
    FO_TALK_QUIET      /* nothing came for `quiet` */
} fo_talk_event_e;

/* One turn's view of the connection. `quiet` and what is named in `further` hold until changed. */
typedef struct fo_talk_t {
    const char *in;        /* received and not yet taken: what is left comes again */
    apr_size_t in_length;  /* bytes */
    apr_size_t taken;      /* the turn says how many bytes of `in` it has dealt with */
    char *out;             /* to be sent after this turn, behind what is not sent yet */
    apr_size_t out_length; /* the turn says how much; at most out_room */
    apr_size_t out_room;
    apr_interval_time_t quiet; /* 0: no QUIET event is wanted */
    /*
     * Hosts that must pass as well, each run alike, those named twice once; read when the dialogue
     * has passed, and their names copied then.
     */
    fo_host_t further[FO_FURTHER_MAX];
    unsigned n_further;
} fo_talk_t;

typedef struct fo_dialogue_t {
    apr_size_t state_size; /* bytes of zeroed state for each connection */
    /* Before the connect. Optional. */
    void (*begin)(void *state, const void *conf, const fo_ask_t *ask);
    /* Monitor thread. Must not block. Mandatory. */
    fo_progress_e (*turn)(void *state, fo_talk_event_e event, fo_talk_t *talk, fo_report_t *report);
} fo_dialogue_t;

/* What steps wait for. */
typedef struct fo_wait_t {
    int fd;                      /* -1: for the timeout alone */
    short events;                /* as poll()'s */
    apr_interval_time_t timeout; /* then step() is called with 0; 0: until the deadline */
} fo_wait_t;

/*
 * Steps: a client library's own non-blocking calls. None may block; all on the monitor thread, and
 * all three mandatory.
 */
typedef struct fo_steps_t {
    apr_size_t state_size; /* bytes of zeroed state for each ping of an address */
    fo_progress_e (*begin)(void *state, const void *conf, const fo_ask_t *ask, fo_wait_t *ret_wait,
                           fo_report_t *report);
    /* ready: poll()'s revents; 0: the timeout has passed. */
    fo_progress_e (*step)(void *state, short ready, fo_wait_t *ret_wait, fo_report_t *report);
    /* Exactly once for each begin(), also after a deadline. */
    void (*end)(void *state);
} fo_steps_t;

/*
 * Who takes care of TLS and of its options ca=, ca-path=, cert=, key=, key-password= and verify=.
 */
typedef enum {
    FO_TLS_OWN,    /* the probe's library, if anybody; the options that it takes stand in `options`,
                      but for key-password=, which key= brings along */
    FO_TLS_CHOICE, /* mod_failover, where tls=on says so; a dialogue sees nothing of it */
    FO_TLS_ALWAYS  /* mod_failover, always; an ask or steps are given the context */
} fo_tls_e;

/* A variable and the value it has while the service is down. */
typedef struct fo_default_t {
    const char *name;
    const char *value;
} fo_default_t;

typedef struct fo_probe_t {
    unsigned abi;               /* FO_PROBE_ABI */
    apr_size_t size;            /* sizeof(fo_probe_t) */
    const char *scheme;         /* what stands before :// */
    const char *summary;        /* one line for `httpd -t -D DUMP_FAILOVER` */
    const char *example;        /* a correct URL, for messages */
    apr_port_t port;            /* when the URL has none; 0: the URL must have one */
    unsigned max_hosts;         /* 0: a path and no host, as unix:///path */
    const char *const *options; /* keys that configure() knows; ends with NULL. Optional: none */
    fo_tls_e tls;
    apr_interval_time_t timeout;  /* of a ping unless timeout= is there; 0: FailoverPingTimeout */
    const fo_default_t *settings; /* what holds while down unless told otherwise; ends with a
                                     NULL name. Optional. */
    /*
     * Configuration, main process, each time it is read (httpd reads it twice when it starts), once
     * per endpoint; must not touch the network. Everything kept
     * lives in pool. The table has only keys that `options` names. *ret_conf and *ret_warning are
     * NULL before. NULL, or a message for the administrator. Mandatory.
     */
    const char *(*configure)(const fo_url_t *url, const fo_login_t *login,
                             const apr_table_t *options, void **ret_conf, const char **ret_warning,
                             apr_pool_t *pool);
    /* Once in each child before any thread is there: library initialisation. Optional. */
    void (*child_init)(void);
    /* Exactly one of these three. */
    const fo_dialogue_t *dialogue;
    const fo_steps_t *steps;
    /*
     * Ask: blocking, on a worker thread; several may run at a time. Must return within the budget
     * and fill the report whatever happens.
     */
    void (*ask)(const void *conf, const fo_ask_t *ask, fo_report_t *report);
} fo_probe_t;

/* Fills a report but for the time taken; the stage stays as it is. text may be NULL. */
static inline void fo_report_fill(fo_report_t *report, fo_verdict_e verdict, apr_status_t status,
                                  int code, const char *text)
{
    report->verdict = verdict;
    report->status = status;
    report->code = code;
    apr_cpystrn(report->text, text ? text : "", sizeof(report->text));
}

/*
 * True for an errno that says our own side failed, not the service: descriptors, also one that
 * other code of this process closed (EBADF), memory, local ports, or a security policy of this host
 * that forbids to connect, send or receive.
 */
static inline bool fo_status_is_self(apr_status_t status)
{
    switch (status) {
    case EBADF:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EADDRNOTAVAIL:
    case EACCES:
    case EPERM:
        return true;
    default:
        return false;
    }
}

/*
 * What happened to a service in this child. To hear of it a module says in register_hooks
 *
 *     APR_OPTIONAL_HOOK(fo, failover_change, on_change, NULL, NULL, APR_HOOK_MIDDLE);
 *
 * and needs <apr_optional_hooks.h>; where mod_failover is not loaded nobody calls. Valid during the
 * call.
 */
typedef struct fo_event_t {
    apr_size_t size;     /* of this struct in mod_failover; later versions add members at its end */
    const char *name;    /* outage, unavailable, recovery, rescue, switch, failback, spare-down,
                             spare-back: doc/events.md */
    const char *service; /* its full name, as in the log */
    const char *endpoint; /* that this is about */
    const char *other;    /* switch: the one that took over; failback: that was left; else NULL */
    const char *before;   /* the service's state: up, failover or down */
    const char *after;
    const char *reason;         /* of the failure; of one that is over, what it was */
    unsigned epoch;             /* of the service, after the change */
    bool is_news;               /* this child is the one to tell (FailoverOutageLogging) */
    apr_time_t at;              /* of the wall clock */
    apr_interval_time_t lasted; /* what is over: the outage, or the use of the other one; else 0 */
} fo_event_t;

/*
 * On the monitor thread, after requests can see the change: it must not block, nor touch a request
 * or a pool of httpd's. NULL, or a message that is logged; the other listeners are told all the
 * same.
 */
typedef const char *fo_HOOK_failover_change_t(const fo_event_t *event);

#ifdef __cplusplus
}
#endif

#endif
