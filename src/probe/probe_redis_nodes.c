#include "probe/probe_redis_nodes.h"

#include "probe/probe_resp.h"

#include <string.h>

static const char unreadable[] = "the list of the cluster's nodes cannot be read";

/* What stands before the next mark, which is passed over; all that is left where there is none. */
static probe_word_t next_word(probe_word_t *rest, char mark)
{
    const char *end = rest->length ? memchr(rest->text, mark, rest->length) : NULL;
    probe_word_t word = { rest->text, end ? (size_t)(end - rest->text) : rest->length };
    size_t taken = word.length + (end ? 1 : 0);

    rest->text += taken;
    rest->length -= taken;
    return word;
}

static bool has_flag(probe_word_t flags, const char *flag)
{
    while (flags.length) {
        probe_word_t one = next_word(&flags, ',');
        if (one.length == strlen(flag) && memcmp(one.text, flag, one.length) == 0)
            return true;
    }
    return false;
}

/* Of "192.0.2.1:7000" and "2001:db8::1:7000" what stands before the last colon, and the port. */
static bool split_port(probe_word_t *address, apr_port_t *ret_port)
{
    size_t colon = address->length;
    unsigned port = 0;

    while (colon > 0 && address->text[colon - 1] != ':')
        colon--;
    if (colon < 2 || colon == address->length)
        return false;
    for (size_t i = colon; i < address->length; i++) {
        if (address->text[i] < '0' || address->text[i] > '9' || port > 65535)
            return false;
        port = port * 10 + (unsigned)(address->text[i] - '0');
    }
    address->length = colon - 1;
    *ret_port = (apr_port_t)port;
    return port > 0 && port <= 65535;
}

/* "192.0.2.1:7000@17000,redis1.example.com,shard-id=..."; early versions have no "@...". */
static const char *add_node(probe_word_t where, probe_redis_nodes_t *nodes)
{
    probe_word_t endpoint = next_word(&where, ',');
    probe_word_t name = next_word(&where, ',');
    probe_word_t address = next_word(&endpoint, '@');
    apr_port_t port;

    if (!split_port(&address, &port))
        return unreadable;
    if (name.length == 0 || memchr(name.text, '=', name.length))
        name = address;
    if (name.length > PROBE_REDIS_HOST_MAX || memchr(name.text, 0, name.length))
        return unreadable;
    if (nodes->n == FO_FURTHER_MAX)
        return "the cluster has more nodes than one ping can ask: 33";
    memcpy(nodes->names[nodes->n], name.text, name.length);
    nodes->names[nodes->n][name.length] = '\0';
    nodes->ports[nodes->n++] = port;
    return NULL;
}

const char *probe_redis_nodes_read(const char *text, size_t length, probe_redis_nodes_t *ret_nodes)
{
    probe_word_t rest = { text, length };
    const char *error = NULL;

    ret_nodes->n = 0;
    while (rest.length && !error) {
        probe_word_t line = next_word(&rest, '\n');
        (void)next_word(&line, ' '); /* its id */
        probe_word_t where = next_word(&line, ' ');
        probe_word_t flags = next_word(&line, ' ');
        if (flags.length == 0)
            return unreadable;
        if (!has_flag(flags, "myself") && !has_flag(flags, "noaddr") &&
            !has_flag(flags, "handshake"))
            error = add_node(where, ret_nodes);
    }
    return error;
}
