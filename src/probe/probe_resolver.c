#include "probe/probe_resolver.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct probe_name_t {
    char *text;
    probe_addresses_t addresses;
    int error;
    apr_status_t shortage;
    unsigned serial;
    bool is_under_way;
    struct probe_name_t *next;
};

struct probe_resolver_t {
    probe_workers_t *workers;
    probe_name_t *names;
};

/* job first: the pool hands back the job, which is the look-up. */
typedef struct lookup_t {
    probe_job_t job;
    probe_name_t *name;
    char *text;
    probe_addresses_t addresses;
    int error;
    apr_status_t shortage;
} lookup_t;

probe_resolver_t *probe_resolver_make(unsigned max_threads, void (*wake)(void *baton), void *baton)
{
    probe_resolver_t *resolver = calloc(1, sizeof(*resolver));

    if (resolver)
        resolver->workers = probe_workers_make(max_threads, wake, baton);
    if (resolver && !resolver->workers) {
        free(resolver);
        resolver = NULL;
    }
    return resolver;
}

/* Different addresses, in their order. */
static void add_address(probe_addresses_t *addresses, const struct addrinfo *info)
{
    char *text = addresses->text[addresses->n];

    if (getnameinfo(info->ai_addr, info->ai_addrlen, text, PROBE_ADDRESS_TEXT, NULL, 0,
                    NI_NUMERICHOST) != 0)
        return;
    for (unsigned i = 0; i < addresses->n; i++)
        if (strcmp(addresses->text[i], text) == 0)
            return;
    addresses->n++;
}

/* Without a descriptor for its files, libc may say that the name does not exist. */
static apr_status_t shortage_of(int error, int number)
{
    return error && (number == EMFILE || number == ENFILE || number == ENOMEM) ? number : 0;
}

static int look_up(const char *text, int flags, probe_addresses_t *addresses,
                   apr_status_t *ret_shortage)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags };
    struct addrinfo *found = NULL;
    int error;

    errno = 0;
    error = getaddrinfo(text, NULL, &hints, &found);
    addresses->n = 0;
    *ret_shortage = shortage_of(error, errno);
    if (*ret_shortage)
        return EAI_SYSTEM;
    if (error)
        return error;
    for (const struct addrinfo *info = found; info && addresses->n < PROBE_ADDRESSES_MAX;
         info = info->ai_next)
        add_address(addresses, info);
    freeaddrinfo(found);
    return addresses->n ? 0 : EAI_NONAME;
}

bool probe_resolver_numeric(const char *text, probe_addresses_t *ret_addresses)
{
    probe_addresses_t addresses;
    apr_status_t unused;

    if (look_up(text, AI_NUMERICHOST, &addresses, &unused) != 0)
        return false;
    *ret_addresses = addresses;
    return true;
}

static void run_lookup(probe_job_t *job)
{
    lookup_t *lookup = (lookup_t *)job;

    lookup->error = look_up(lookup->text, 0, &lookup->addresses, &lookup->shortage);
}

static void free_lookup(lookup_t *lookup)
{
    if (lookup)
        free(lookup->text);
    free(lookup);
}

static void drop_lookup(probe_job_t *job)
{
    free_lookup((lookup_t *)job);
}

static void start_lookup(probe_resolver_t *resolver, probe_name_t *name)
{
    lookup_t *lookup = calloc(1, sizeof(*lookup));

    if (lookup)
        lookup->text = strdup(name->text);
    if (!lookup || !lookup->text) {
        free_lookup(lookup);
        return;
    }
    lookup->job.run = run_lookup;
    lookup->job.is_suspect = name->addresses.n == 0; /* it may be the one that hangs */
    lookup->name = name;
    if (probe_workers_submit(resolver->workers, &lookup->job) == 0)
        name->is_under_way = true;
    else
        free_lookup(lookup);
}

static probe_name_t *find_name(probe_resolver_t *resolver, const char *text)
{
    probe_name_t *name;

    for (name = resolver->names; name; name = name->next)
        if (strcmp(name->text, text) == 0)
            return name;
    name = calloc(1, sizeof(*name));
    if (name && !(name->text = strdup(text))) {
        free(name);
        name = NULL;
    }
    if (name) {
        name->next = resolver->names;
        resolver->names = name;
    }
    return name;
}

probe_name_t *probe_resolver_ask(probe_resolver_t *resolver, const char *text)
{
    probe_name_t *name = find_name(resolver, text);

    if (name && !name->is_under_way)
        start_lookup(resolver, name);
    return name;
}

void probe_resolver_collect(probe_resolver_t *resolver)
{
    probe_job_t *job;

    while ((job = probe_workers_take(resolver->workers))) {
        lookup_t *lookup = (lookup_t *)job;
        probe_name_t *name = lookup->name;
        name->is_under_way = false;
        name->error = lookup->error;
        name->shortage = lookup->shortage;
        name->serial++;
        if (lookup->error == 0)
            name->addresses = lookup->addresses;
        free_lookup(lookup);
    }
}

void probe_resolver_stop(probe_resolver_t *resolver, apr_interval_time_t patience)
{
    probe_resolver_collect(resolver);
    if (!probe_workers_stop(resolver->workers, patience, drop_lookup))
        return; /* a look-up that still runs may yet read what it was given */
    while (resolver->names) {
        probe_name_t *name = resolver->names;
        resolver->names = name->next;
        free(name->text);
        free(name);
    }
    free(resolver);
}

unsigned probe_name_serial(const probe_name_t *name)
{
    return name->serial;
}

int probe_name_error(const probe_name_t *name)
{
    return name->error;
}

apr_status_t probe_name_shortage(const probe_name_t *name)
{
    return name->shortage;
}

const probe_addresses_t *probe_name_addresses(const probe_name_t *name)
{
    return &name->addresses;
}
