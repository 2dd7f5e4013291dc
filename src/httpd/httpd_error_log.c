/*
 * The hook on the error log. Any thread of the child may come here, with any lock of another module
 * in its hands, under prefork in a signal handler too, and s, c and r may each be NULL. So it takes
 * no lock, allocates nothing and logs nothing: it raises what the entry points at, and wakes the
 * monitor.
 */
#include "httpd/httpd_failover.h"

#include <http_log.h>
#include <stdlib.h>
#include <string.h>

/*
 * Entries whose errno tells of the client's connection: whoever sends half a body and goes would
 * trigger pings with them. What their words say is no matter.
 */
static const struct {
    const char *tag;
    const char *words; /* NULL: all with this tag */
} of_clients[] = {
    { "AH01095", NULL }, /* mod_proxy: prefetch request body failed */
    { "AH01096", NULL }, /* processing prefetched request body failed */
    { "AH02608", NULL }, /* read request body failed */
    { "AH02609", NULL },
    { "AH03307", "error on client" }, /* transfer between connections */
    { "AH00874", NULL },              /* mod_proxy_ajp: taking up the request's body */
    { "AH00877", NULL },
    { "AH01156", NULL }, /* mod_proxy_fdpass: passing on what the client sent */
    { "AH01225", NULL }, /* mod_cgi, mod_cgid: reading the request's body */
    { "AH01270", NULL },
    { "AH01075", "(reading input brigade)" }, /* mod_proxy_fcgi */
    { "AH01075", "(flattening brigade)" },
    { "AH01075", "brigade to output filters)" },
};

/* Which server's entries are of which scope, sorted; constant once there are children. */
typedef struct server_scope_t {
    const server_rec *server;
    const fo_scope_t *scope;
} server_scope_t;

static struct {
    server_scope_t *servers;
    size_t n;
    const fo_scope_t *otherwise; /* the main server's */
} scopes;

static int by_address(const void *a, const void *b)
{
    const server_scope_t *one = a, *other = b;

    return one->server < other->server ? -1 : one->server > other->server;
}

void httpd_error_log_prepare(server_rec *main_server, apr_pool_t *pool)
{
    scopes.n = 0;
    for (const server_rec *s = main_server; s; s = s->next)
        scopes.n++;
    scopes.servers = apr_palloc(pool, scopes.n * sizeof(*scopes.servers));
    scopes.n = 0;
    for (const server_rec *s = main_server; s; s = s->next)
        scopes.servers[scopes.n++] = (server_scope_t){ s, httpd_server_of(s)->scope };
    qsort(scopes.servers, scopes.n, sizeof(*scopes.servers), by_address);
    scopes.otherwise = httpd_server_of(main_server)->scope;
}

/* By its address alone: modules log with server_recs that have no module_config. */
static const fo_scope_t *scope_of(const server_rec *s)
{
    server_scope_t wanted = { .server = s };
    const server_scope_t *found = bsearch(&wanted, scopes.servers, scopes.n,
                                          sizeof(*scopes.servers), by_address);

    return found ? found->scope : scopes.otherwise;
}

static bool is_of_client(const char *format, const char *text)
{
    for (size_t i = 0; format && i < sizeof(of_clients) / sizeof(of_clients[0]); i++)
        if (strncmp(format, of_clients[i].tag, strlen(of_clients[i].tag)) == 0 &&
            (!of_clients[i].words || strstr(text, of_clients[i].words)))
            return true;
    return false;
}

/* The request's line, then the values of its headers. */
static const char *sent(void *baton, unsigned i)
{
    const request_rec *r = baton;
    const apr_array_header_t *headers = r->headers_in ? apr_table_elts(r->headers_in) : NULL;

    if (i == 0)
        return r->the_request ? r->the_request : "";
    if (!headers || i > (unsigned)headers->nelts)
        return NULL;
    return APR_ARRAY_IDX(headers, (int)i - 1, apr_table_entry_t).val;
}

void httpd_error_log(const ap_errorlog_info *info, const char *text)
{
    fo_alarm_t *alarm = httpd_child_alarm();
    fo_entry_t entry = { .module = info->module_index, .status = info->status, .text = text };

    if (!alarm || (info->level & APLOG_LEVELMASK) > APLOG_NOTICE ||
        info->module_index == failover_module.module_index)
        return;
    if (entry.status && is_of_client(info->format, text))
        entry.status = 0;
    entry.scope = scope_of(info->r ? info->r->server : info->s);
    entry.length = strlen(text);
    if (info->r) {
        entry.sent = sent;
        entry.baton = (void *)info->r;
    }
    if (fo_alarm_hear(alarm, &entry))
        httpd_child_wake();
}
