#include "probe/probe_tcp.h"

#include "core/fo_parse.h"

#include <string.h>

/* Silence after the connect that counts as "stays open". */
#define QUIET (20 * 1000)

/* Servers to which a connection without a login is an error that they count. */
static const struct {
    apr_port_t port;
    const char *warning;
} harmed[] = {
    { 3306,
      "a bare connect to port 3306 harms MySQL and MariaDB: they count it as an error and, after "
      "max_connect_errors, block this host; use mysql://" },
    { 5432, "a bare connect to port 5432 proves little and can fill PostgreSQL's log; use "
            "postgresql:// when its module is there, or a pooler's port" },
};

static const char *configure(const fo_url_t *url, const fo_login_t *login,
                             const apr_table_t *options, void **ret_conf, const char **ret_warning,
                             apr_pool_t *pool)
{
    const char *error = url->n_hosts ? NULL : fo_parse_socket(url->path, pool);

    (void)options;
    if (login->user || login->has_secret)
        return apr_psprintf(pool, "%s:// does not log in: it takes no user and no password",
                            url->scheme);
    if (url->n_hosts > 0 && url->path[0])
        return "tcp:// takes no path, as in tcp://app.example.com:5000";
    if (url->n_hosts == 0 && url->path[1] == '\0')
        return "the socket's path is missing, as in unix:///run/app.sock";
    if (error)
        return error;
    for (size_t i = 0; url->n_hosts && i < sizeof(harmed) / sizeof(harmed[0]); i++)
        if (url->hosts[0].port == harmed[i].port)
            *ret_warning = harmed[i].warning;
    *ret_conf = NULL;
    return NULL;
}

static fo_progress_e turn(void *state, fo_talk_event_e event, fo_talk_t *talk, fo_report_t *report)
{
    (void)state;
    switch (event) {
    case FO_TALK_CONNECTED:
        talk->quiet = QUIET;
        return FO_MORE;
    case FO_TALK_CLOSED:
        report->stage = FO_STAGE_ANSWER;
        fo_report_fill(report, FO_VERDICT_FAIL, APR_EOF, 0, "closed at once");
        return FO_DONE;
    default: /* a server that speaks first, or silence */
        talk->taken = talk->in_length;
        fo_report_fill(report, FO_VERDICT_PASS, APR_SUCCESS, 0, NULL);
        return FO_DONE;
    }
}

static const fo_dialogue_t dialogue = { .turn = turn };

const fo_probe_t fo_probe_tcp = {
    .abi = FO_PROBE_ABI,
    .size = sizeof(fo_probe_t),
    .scheme = "tcp",
    .summary = "connects and is not closed at once",
    .example = "tcp://app.example.com:5000",
    .max_hosts = 1,
    .tls = FO_TLS_CHOICE,
    .configure = configure,
    .dialogue = &dialogue,
};

const fo_probe_t fo_probe_unix = {
    .abi = FO_PROBE_ABI,
    .size = sizeof(fo_probe_t),
    .scheme = "unix",
    .summary = "connects to a socket file and is not closed at once",
    .example = "unix:///run/app.sock",
    .configure = configure,
    .dialogue = &dialogue,
};
