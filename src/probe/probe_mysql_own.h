/*
 * probe_mysql_own.h: what the sources of mysql:// and mysqls:// share: probe_mysql.c reads the
 * configuration, probe_mysql_steps.c drives a connection, probe_mysql_questions.c asks in SQL,
 * probe_mysql_meanings.c judges errors, and probe_mysql_tls.c is the ask that mysqls:// is.
 */
#ifndef PROBE_MYSQL_OWN_H
#define PROBE_MYSQL_OWN_H

#include "mod_failover.h"
#include "probe/probe_tls.h"

#include <mysql.h>

typedef enum {
    PROBE_MYSQL_ANY,
    PROBE_MYSQL_PRIMARY,
    PROBE_MYSQL_REPLICA
} probe_mysql_role_e;

typedef struct probe_mysql_tls_t {
    bool verifies;
    probe_tls_files_t files;
} probe_mysql_tls_t;

/* Constant. */
typedef struct probe_mysql_conf_t {
    const char *user;
    const char *database; /* NULL: none */
    const char *socket;   /* NULL: TCP */
    probe_mysql_role_e role;
    apr_interval_time_t max_lag;  /* -1: any will do */
    const char *query;            /* NULL: none */
    const probe_mysql_tls_t *tls; /* NULL: plain */
} probe_mysql_conf_t;

/* What has come of the answer to one question. */
typedef struct probe_mysql_answer_t {
    unsigned n_rows;
    size_t n_bytes;
    bool is_whole;       /* every row had the column that is looked for */
    bool is_null;        /* in one row at least */
    apr_int64_t largest; /* number in that column */
    bool is_void;        /* the first row's was empty, or 0 */
} probe_mysql_answer_t;

/* A question in SQL. */
typedef struct probe_mysql_question_t {
    bool (*is_asked)(const probe_mysql_conf_t *conf);
    /* The n-th way to put it, as one server knows another than the next; NULL: no such way. */
    const char *(*sql)(const probe_mysql_conf_t *conf, MYSQL *mysql, unsigned n);
    const char *const *columns; /* looked for by name; NULL: the first one; ends with NULL */
    /* NULL, or why the answer is a failure; text has room for it. */
    const char *(*judge)(const probe_mysql_conf_t *conf, const probe_mysql_answer_t *answer,
                         char *text, apr_size_t size);
} probe_mysql_question_t;

/* The next one behind `question`, or the first behind NULL, that is asked; NULL: none. */
const probe_mysql_question_t *probe_mysql_question(const probe_mysql_conf_t *conf,
                                                   const probe_mysql_question_t *question);

/* Takes a row in. False: the answer has become too long. */
bool probe_mysql_take_row(const probe_mysql_question_t *question, MYSQL_RES *result, MYSQL_ROW row,
                          probe_mysql_answer_t *answer);

/* The most that an answer to a question may have, and each packet of it. */
#define PROBE_MYSQL_ANSWER_MAX ((size_t)256 * 1024)
#define PROBE_MYSQL_TOO_LONG "the answer is longer than 256 KiB"

/*
 * Fills the report by the handle's last error. asks_more: for more than whether the server is
 * alive; is_question: the error came of one.
 */
void probe_mysql_judge(MYSQL *mysql, bool asks_more, bool is_question, fo_report_t *report);

extern const fo_steps_t probe_mysql_steps;

/* Once, before there are threads. */
void probe_mysql_steps_init(void);

/* mysqls://: blocking, on a worker. */
void probe_mysql_tls_ask(const void *conf, const fo_ask_t *ask, fo_report_t *report);

/* Once, before there are threads. */
void probe_mysql_tls_init(void);

/* Before the connect, within probe_mysql_tls_ask(). False: no memory. */
bool probe_mysql_tls_prepare(MYSQL *mysql, const probe_mysql_tls_t *tls, const char *key_password);

/* The login method of ours which the library is told to begin with. */
#define PROBE_MYSQL_TLS_METHOD "mod_failover"

#endif
