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

typedef struct node_t {
    probe_word_t id, where, flags;
} node_t;

static node_t read_node(probe_word_t line)
{
    node_t node;

    node.id = next_word(&line, ' ');
    node.where = next_word(&line, ' ');
    node.flags = next_word(&line, ' ');
    return node;
}

static int compare(probe_word_t a, probe_word_t b)
{
    int order = memcmp(a.text, b.text, a.length < b.length ? a.length : b.length);

    return order ? order : (a.length > b.length) - (a.length < b.length);
}

/* In a ring of all nodes by their ids, on the way from the one that was asked. */
static bool is_nearer(probe_word_t a, probe_word_t b, probe_word_t asked)
{
    bool a_wraps = compare(a, asked) < 0, b_wraps = compare(b, asked) < 0;

    return a_wraps == b_wraps ? compare(a, b) < 0 : b_wraps;
}

/* Where the node goes: behind those that are there, or instead of the farthest; n: nowhere. */
static unsigned find_place(const probe_word_t *ids, unsigned n, probe_word_t id, probe_word_t asked)
{
    unsigned farthest = 0;

    if (n < FO_FURTHER_MAX)
        return n;
    for (unsigned i = 1; i < n; i++)
        if (is_nearer(ids[farthest], ids[i], asked))
            farthest = i;
    return is_nearer(id, ids[farthest], asked) ? farthest : n;
}

/* "192.0.2.1:7000@17000,redis1.example.com,shard-id=..."; early versions have no "@...". */
static bool write_node(probe_word_t where, unsigned i, probe_redis_nodes_t *nodes)
{
    probe_word_t endpoint = next_word(&where, ',');
    probe_word_t name = next_word(&where, ',');
    probe_word_t address = next_word(&endpoint, '@');

    if (!split_port(&address, &nodes->ports[i]))
        return false;
    if (name.length == 0 || memchr(name.text, '=', name.length))
        name = address;
    if (name.length > PROBE_REDIS_HOST_MAX || memchr(name.text, 0, name.length))
        return false;
    memcpy(nodes->names[i], name.text, name.length);
    nodes->names[i][name.length] = '\0';
    return true;
}

/* No id: the list has none that is the one that was asked. */
static probe_word_t find_asked(probe_word_t rest)
{
    while (rest.length) {
        node_t node = read_node(next_word(&rest, '\n'));
        if (has_flag(node.flags, "myself"))
            return node.id;
    }
    return (probe_word_t){ "", 0 };
}

const char *probe_redis_nodes_read(const char *text, size_t length, probe_redis_nodes_t *ret_nodes)
{
    probe_word_t rest = { text, length }, asked = find_asked(rest);
    probe_word_t ids[FO_FURTHER_MAX];

    ret_nodes->n = 0;
    while (rest.length) {
        node_t node = read_node(next_word(&rest, '\n'));
        unsigned place = find_place(ids, ret_nodes->n, node.id, asked);
        if (node.flags.length == 0)
            return unreadable;
        if (has_flag(node.flags, "myself") || has_flag(node.flags, "noaddr") ||
            has_flag(node.flags, "handshake") || place == FO_FURTHER_MAX)
            continue;
        if (!write_node(node.where, place, ret_nodes))
            return unreadable;
        ids[place] = node.id;
        ret_nodes->n += place == ret_nodes->n;
    }
    return NULL;
}
