/*
 * probe_resp.h: one reply of Redis's protocol, taken apart by hiredis. Nothing is allocated for
 * what a reply announces, however much that is.
 */
#ifndef PROBE_RESP_H
#define PROBE_RESP_H

#include <apr_errno.h>

#include <stddef.h>

/* What announces more than this, bytes or elements, is no answer to what is asked here. */
#define PROBE_RESP_MAX (16 * 1024)

#define PROBE_RESP_WORDS 4

/* Not ended by a zero byte. */
typedef struct probe_word_t {
    const char *text; /* NULL: none */
    size_t length;
} probe_word_t;

typedef struct probe_resp_t {
    char type;                            /* as on the wire: '+', '-', ':', '$' or '*' */
    size_t size;                          /* the bytes that it takes */
    probe_word_t text;                    /* of '+', '-' and '$': points into the bytes */
    probe_word_t words[PROBE_RESP_WORDS]; /* the strings among the first elements of a '*' */
} probe_resp_t;

/*
 * Reads the reply that the bytes begin with. APR_INCOMPLETE: it has not come whole; APR_ENOSPC: it
 * announces too much; APR_EGENERAL: it is none; APR_ENOMEM.
 */
apr_status_t probe_resp_read(const char *bytes, size_t n, probe_resp_t *ret_reply);

#endif
