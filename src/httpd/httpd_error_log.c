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
 * Entries that tell of the client's connection: whoever sends half a body and goes would trigger
 * pings with them. By module, the beginning of whose name is given; a tag is the beginning of the
 * entry's format, words are anywhere in its text, and NULL is any.
 */
static const struct {
    const char *module;
    struct {
        const char *tag;
        const char *words;
    } entries[6]; /* ends with an empty one */
} of_clients[] = {
    { "proxy",
      {
          { "AH01095", NULL }, /* prefetch request body failed */
          { "AH01096", NULL }, /* processing prefetched request body failed */
          { "AH02608", NULL }, /* read request body failed */
          { "AH02609", NULL },
          { "AH03307", "error on client" }, /* transfer between connections */
      } },
    { "proxy_http2", { { "AH03382", NULL } } }, /* check input */
    { "proxy_ajp", { { "AH00874", NULL }, { "AH00877", NULL }, { "AH02822", NULL } } },
    { "proxy_fdpass", { { "AH01156", NULL } } }, /* passing on what the client sent */
    { "proxy_fcgi",
      {
          { "AH01075", "(reading input brigade)" },
          { "AH01075", "(flattening brigade)" },
          { "AH01075", "brigade to output filters)" },
      } },
    { "cgi", { { "AH01225", NULL }, { "AH01270", NULL } } }, /* reading the request's body */
    { "fcgid",
      {
          { "mod_fcgid: can't get data from http client", NULL },
          { "mod_fcgid: can't read request from HTTP client", NULL },
          { "mod_fcgid: ap_pass_brigade failed", NULL },
      } },
    { "perl", { { NULL, "Apache2::RequestIO::" } } }, /* reading from it, printing to it */
    { "wsgi",
      {
          { NULL, "Apache/mod_wsgi request data read error" },
          { NULL, "Apache/mod_wsgi failed to write response data" },
      } },
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

/* Some server is a forward proxy, so that clients choose backends. */
static bool is_forward_proxy;

static int by_address(const void *a, const void *b)
{
    const server_scope_t *one = a, *other = b;

    return one->server < other->server ? -1 : one->server > other->server;
}

static bool has_proxy_requests(const ap_directive_t *tree, apr_pool_t *pool)
{
    for (; tree; tree = tree->next) {
        const char *args = tree->args;
        if ((strcasecmp(tree->directive, "ProxyRequests") == 0 &&
             strcasecmp(ap_getword_conf(pool, &args), "On") == 0) ||
            has_proxy_requests(tree->first_child, pool))
            return true;
    }
    return false;
}

void httpd_error_log_prepare(server_rec *main_server, apr_pool_t *pool)
{
    is_forward_proxy = has_proxy_requests(ap_conftree, pool);
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

/* One entry as httpd hands it over. */
typedef struct heard_t {
    const ap_errorlog_info *info;
    const char *text;
} heard_t;

static bool begins(const char *text, const char *beginning)
{
    while (*beginning && *text == *beginning) {
        text++;
        beginning++;
    }
    return *beginning == '\0';
}

static bool is_of_client(void *baton)
{
    const heard_t *heard = baton;
    const char *module = ap_find_module_short_name(heard->info->module_index);
    const char *format = heard->info->format ? heard->info->format : "";

    for (size_t i = 0; module && i < sizeof(of_clients) / sizeof(of_clients[0]); i++) {
        if (!begins(module, of_clients[i].module))
            continue;
        for (size_t j = 0; of_clients[i].entries[j].tag || of_clients[i].entries[j].words; j++) {
            const char *tag = of_clients[i].entries[j].tag, *words = of_clients[i].entries[j].words;
            if ((!tag || begins(format, tag)) && (!words || strstr(heard->text, words)))
                return true;
        }
    }
    return false;
}

/* mod_proxy has entries of its forward proxy's backends that have no request with them. */
static bool is_of_chosen_backend(const ap_errorlog_info *info)
{
    const char *module = is_forward_proxy ? ap_find_module_short_name(info->module_index) : NULL;

    return info->r ? info->r->proxyreq == PROXYREQ_PROXY : module && begins(module, "proxy");
}

/* The request's line, who the client says it is, then the names and values of its headers. */
static const char *sent(void *baton, unsigned i)
{
    const request_rec *r = ((const heard_t *)baton)->info->r;
    const apr_array_header_t *headers = r->headers_in ? apr_table_elts(r->headers_in) : NULL;
    const apr_table_entry_t *header;
    const char *text;

    if (i == 0)
        return r->the_request ? r->the_request : "";
    if (i == 1)
        return r->user ? r->user : "";
    i -= 2;
    if (!headers || i / 2 >= (unsigned)headers->nelts)
        return NULL;
    header = &APR_ARRAY_IDX(headers, (int)i / 2, const apr_table_entry_t);
    text = i % 2 ? header->val : header->key;
    return text ? text : "";
}

static void found(void *baton, unsigned word, apr_uint64_t bits)
{
    httpd_uses_found(((const heard_t *)baton)->info->r, word, bits);
}

void httpd_error_log(const ap_errorlog_info *info, const char *text)
{
    fo_alarm_t *alarm = httpd_child_alarm();
    heard_t heard = { .info = info, .text = text };

    if (!alarm || (info->level & APLOG_LEVELMASK) > APLOG_NOTICE ||
        info->module_index == failover_module.module_index)
        return;
    fo_entry_t entry = {
        .scope = scope_of(info->r ? info->r->server : info->s),
        .module = info->module_index,
        .status = info->status,
        .text = text,
        .length = strlen(text),
        .must_name = is_of_chosen_backend(info),
        .sent = info->r ? sent : NULL,
        .is_of_client = is_of_client,
        .found = httpd_uses_any(info->r) ? found : NULL,
        .baton = &heard,
    };
    if (fo_alarm_hear(alarm, &entry))
        httpd_child_wake();
}
