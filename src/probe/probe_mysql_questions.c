/* What role=, max-lag= and query= ask, and what the answers mean. */
#include "probe/probe_mysql_own.h"

#include <stdlib.h>
#include <string.h>

static bool has_role(const probe_mysql_conf_t *conf)
{
    return conf->role != PROBE_MYSQL_ANY;
}

/* super_read_only, which MySQL alone has, never comes without read_only. */
static const char *role_sql(const probe_mysql_conf_t *conf, MYSQL *mysql, unsigned n)
{
    (void)conf;
    (void)mysql;
    return n == 0 ? "SELECT IF(@@global.read_only IN ('0', 'OFF'), 0, 1)" : NULL;
}

static const char *judge_role(const probe_mysql_conf_t *conf, const probe_mysql_answer_t *answer,
                              char *text, apr_size_t size)
{
    bool is_primary = answer->is_void, wants_primary = conf->role == PROBE_MYSQL_PRIMARY;

    if (answer->n_rows != 1 || answer->is_null)
        return "the server does not say whether it is read-only";
    if (is_primary == wants_primary)
        return NULL;
    apr_snprintf(text, size, "wrong role: read_only is %s, and role=%s is wanted",
                 is_primary ? "off" : "on", wants_primary ? "primary" : "replica");
    return text;
}

static bool has_max_lag(const probe_mysql_conf_t *conf)
{
    return conf->max_lag >= 0;
}

/* From 8.4 on MySQL knows the second alone, before 8.0.22 the third. */
static const char *lag_sql(const probe_mysql_conf_t *conf, MYSQL *mysql, unsigned n)
{
    static const char *const ways[] = {
        "SHOW ALL SLAVES STATUS", /* MariaDB: with those of named connections */
        "SHOW REPLICA STATUS",
        "SHOW SLAVE STATUS",
    };

    (void)conf;
    n += mariadb_connection(mysql) ? 0 : 1;
    return n < sizeof(ways) / sizeof(ways[0]) ? ways[n] : NULL;
}

static const char *judge_lag(const probe_mysql_conf_t *conf, const probe_mysql_answer_t *answer,
                             char *text, apr_size_t size)
{
    apr_int64_t limit = apr_time_sec(conf->max_lag);

    if (!answer->n_rows)
        return "this is no replica: no replication is set up";
    if (!answer->is_whole)
        return "the server does not say how far it is behind";
    if (answer->is_null)
        return "replication is not running";
    if (answer->largest <= limit)
        return NULL;
    apr_snprintf(text, size,
                 "replication is %" APR_INT64_T_FMT "s behind, over max-lag=%" APR_INT64_T_FMT "s",
                 answer->largest, limit);
    return text;
}

static bool has_query(const probe_mysql_conf_t *conf)
{
    return conf->query != NULL;
}

static const char *query_sql(const probe_mysql_conf_t *conf, MYSQL *mysql, unsigned n)
{
    (void)mysql;
    return n == 0 ? conf->query : NULL;
}

static const char *judge_query(const probe_mysql_conf_t *conf, const probe_mysql_answer_t *answer,
                               char *text, apr_size_t size)
{
    (void)conf;
    (void)text;
    (void)size;
    return answer->n_rows && answer->is_void ? "query=: the answer is NULL, 0 or empty" : NULL;
}

static const char *const lag_columns[] = { "Seconds_Behind_Master", "Seconds_Behind_Source", NULL };

/* query= comes last: of a procedure, further answers may follow the first one. */
static const probe_mysql_question_t questions[] = {
    { .is_asked = has_role, .sql = role_sql, .judge = judge_role },
    { .is_asked = has_max_lag, .sql = lag_sql, .columns = lag_columns, .judge = judge_lag },
    { .is_asked = has_query, .sql = query_sql, .judge = judge_query },
};

const probe_mysql_question_t *probe_mysql_question(const probe_mysql_conf_t *conf,
                                                   const probe_mysql_question_t *question)
{
    const probe_mysql_question_t *end = questions + sizeof(questions) / sizeof(questions[0]);

    question = question ? question + 1 : questions;
    while (question < end && !question->is_asked(conf))
        question++;
    return question < end ? question : NULL;
}

/* The number of columns: there is none of these names. */
static unsigned column_of(const char *const *names, MYSQL_RES *result)
{
    unsigned n = mysql_num_fields(result);
    const MYSQL_FIELD *fields = mysql_fetch_fields(result);

    if (!names)
        return 0;
    for (unsigned i = 0; i < n; i++)
        for (const char *const *name = names; *name; name++)
            if (strcmp(fields[i].name, *name) == 0)
                return i;
    return n;
}

bool probe_mysql_take_row(const probe_mysql_question_t *question, MYSQL_RES *result, MYSQL_ROW row,
                          probe_mysql_answer_t *answer)
{
    unsigned n = mysql_num_fields(result), column = column_of(question->columns, result);
    const unsigned long *lengths = mysql_fetch_lengths(result);
    const char *value = column < n ? row[column] : NULL;
    apr_int64_t number = value ? strtoll(value, NULL, 10) : 0;

    if (!answer->n_rows++) {
        answer->is_whole = true;
        answer->largest = number;
        answer->is_void = !value || !lengths[column] || strcmp(value, "0") == 0;
    }
    answer->is_whole &= column < n;
    answer->is_null |= column < n && !value;
    if (number > answer->largest)
        answer->largest = number;
    for (unsigned i = 0; i < n; i++)
        answer->n_bytes += lengths[i] + 1;
    return answer->n_bytes <= PROBE_MYSQL_ANSWER_MAX;
}
