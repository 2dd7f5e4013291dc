/*
 * mysqls://: the steps of mysql://, driven on a worker, as the library reads its TLS files and
 * waits in its handshake without giving the thread back.
 *
 * The library verifies a certificate against the host that it connects to, and would look the name
 * up itself, without a deadline. So it gets a numeric address, and the name just before the
 * handshake, by way of a login method of ours that it is told to begin with: that is called when
 * the greeting has come. The server then asks for the account's own method.
 */
#include "probe/probe_mysql_own.h"

#include "probe/probe_clock.h"
#include "probe/probe_in_turn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <errmsg.h>
#include <mysql/plugin_auth.h>
#include <openssl/ssl.h>

/* As in the library's <mysql/client_plugin.h>, which includes a header that is not installed. */
#define LOGIN_METHOD 2
#define LOGIN_METHOD_VERSION 0x0100
typedef struct method_t {
    MYSQL_CLIENT_PLUGIN_HEADER
    int (*authenticate_user)(MYSQL_PLUGIN_VIO *vio, MYSQL *mysql);
} method_t;

/* One address of an ask. */
typedef struct talk_t {
    const char *name; /* that the certificate must have */
    apr_time_t until_at;
    fo_report_t *report;
    bool has_begun;    /* the handshake */
    bool is_late;      /* it ran out of time */
    const char *words; /* NULL: the library's own */
} talk_t;

/* The library hands neither of its two calls below anything of ours. */
static _Thread_local talk_t *talk;

/* The library's waiting in the handshake: 0: the time is up. */
static int wait_for(my_socket fd, my_bool is_read, int timeout)
{
    struct pollfd polled = { .fd = fd, .events = is_read ? POLLIN : POLLOUT };
    apr_interval_time_t left;
    int n;

    (void)timeout;
    do {
        left = talk->until_at - probe_clock_now();
        n = left > 0 ? poll(&polled, 1, (int)((left + 999) / 1000)) : 0;
    } while (n < 0 && errno == EINTR);
    talk->is_late = n == 0;
    return n;
}

static int refuse(const char *words)
{
    talk->words = words;
    return CR_ERROR;
}

/*
 * Writing the first packet makes the library shake hands before: it ends with CR_ERROR or with a
 * certificate that is as it should be.
 */
static int secure(MYSQL_PLUGIN_VIO *vio, MYSQL *mysql)
{
    my_socket fd = mysql_get_socket(mysql);
    char *name;

    if (!talk || talk->has_begun)
        return CR_ERROR;
    talk->has_begun = true;
    talk->report->stage = FO_STAGE_TLS;
    if (!(mysql->server_capabilities & CLIENT_SSL))
        return refuse("the server has no TLS");
    name = strdup(talk->name);
    if (!name)
        return CR_OUT_OF_MEMORY;
    free(mysql->host);
    mysql->host = name;
    /* As the library would not do it, and then wait for the server in OpenSSL. */
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (vio->write_packet(vio, (const unsigned char *)"", 0) != 0)
        return CR_ERROR;
    if (!mysql_get_ssl_cipher(mysql))
        return refuse("the client library made no TLS");
    talk->report->stage = FO_STAGE_LOGIN;
    return CR_OK;
}

static method_t method = {
    .type = LOGIN_METHOD,
    .interface_version = LOGIN_METHOD_VERSION,
    .name = PROBE_MYSQL_TLS_METHOD,
    .author = "mod_failover",
    .desc = "names the host that the certificate must have",
    .version = { 1, 0, 0 },
    .license = "",
    .authenticate_user = secure,
};

void probe_mysql_tls_init(void)
{
    /* A call that has not come back outlives the exit of its child: nothing is torn down there. */
    (void)OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL);
    (void)mysql_client_register_plugin(NULL, (struct st_mysql_client_plugin *)&method);
}

/* With no authority named, the library takes the system's; told of one, it verifies against it. */
bool probe_mysql_tls_prepare(MYSQL *mysql, const probe_mysql_tls_t *tls, const char *key_password)
{
    static const my_bool yes = 1;
    const probe_tls_files_t *files = &tls->files;
    my_bool verifies = tls->verifies;

    /* A NULL password would be asked for on the terminal. */
    return mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &yes) == 0 &&
           mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verifies) == 0 &&
           mysql_options(mysql, MYSQL_OPT_SSL_CA, verifies ? files->ca : NULL) == 0 &&
           mysql_options(mysql, MYSQL_OPT_SSL_CAPATH, verifies ? files->ca_path : NULL) == 0 &&
           mysql_options(mysql, MYSQL_OPT_SSL_CERT, files->cert) == 0 &&
           mysql_options(mysql, MYSQL_OPT_SSL_KEY, files->key) == 0 &&
           mysql_options(mysql, MARIADB_OPT_TLS_PASSPHRASE, key_password ? key_password : "") ==
               0 &&
           mysql_options(mysql, MARIADB_OPT_TLS_VERSION, "TLSv1.2,TLSv1.3") == 0 &&
           mysql_options(mysql, MYSQL_DEFAULT_AUTH, PROBE_MYSQL_TLS_METHOD) == 0 &&
           mysql_options(mysql, MARIADB_OPT_IO_WAIT, (const void *)wait_for) == 0;
}

/* 0: the time has passed that the steps wanted, or all of it. */
static short wait_until(const fo_wait_t *wait, apr_time_t until_at)
{
    struct pollfd polled = { .fd = wait->fd, .events = wait->events };
    apr_interval_time_t left = until_at - probe_clock_now();

    if (wait->timeout && wait->timeout < left)
        left = wait->timeout;
    return left > 0 && poll(&polled, 1, (int)((left + 999) / 1000)) > 0 ? polled.revents : 0;
}

static void drive(const void *conf, const fo_ask_t *ask, fo_report_t *report)
{
    const fo_steps_t *steps = &probe_mysql_steps;
    void *state = calloc(1, steps->state_size);
    fo_wait_t wait;
    fo_progress_e progress = FO_MORE;

    if (!state) {
        fo_report_fill(report, FO_VERDICT_SELF, ENOMEM, 0, NULL);
        return;
    }
    progress = steps->begin(state, conf, ask, &wait, report);
    while (progress == FO_MORE) {
        short ready = wait_until(&wait, talk->until_at);
        if (!ready && probe_clock_now() >= talk->until_at)
            break;
        progress = steps->step(state, ready, &wait, report);
    }
    steps->end(state);
    free(state);
    talk->is_late |= progress == FO_MORE;
}

static void ask_address(const void *conf, const fo_ask_t *ask, unsigned i, apr_time_t until_at,
                        fo_report_t *report)
{
    const fo_peer_t *peer = ask->peers;
    const char *address = peer->addresses[i];
    fo_peer_t one = {
        .name = peer->name, .addresses = &address, .n_addresses = 1, .port = peer->port
    };
    fo_ask_t own = *ask;
    talk_t it = { .name = peer->name, .until_at = until_at, .report = report };

    own.peers = &one;
    talk = &it;
    drive(conf, &own, report);
    talk = NULL;
    if (!it.has_begun && report->verdict == FO_VERDICT_PASS)
        it.words = "the server offers no choice of login methods, and so no TLS that is verified";
    if (it.is_late)
        fo_report_fill(report, FO_VERDICT_FAIL, APR_TIMEUP, 0, "timed out");
    else if (it.words)
        fo_report_fill(report, FO_VERDICT_FAIL, 0, 0, it.words);
}

void probe_mysql_tls_ask(const void *opaque_conf, const fo_ask_t *ask, fo_report_t *report)
{
    const probe_mysql_conf_t *conf = opaque_conf;

    if (probe_tls_can_read(&conf->tls->files, report))
        probe_in_turn(ask_address, conf, ask, report);
}
