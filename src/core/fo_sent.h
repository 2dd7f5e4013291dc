/*
 * fo_sent.h: what a client sent with a request, in the forms in which it may stand in the log: as
 * it was sent, with its %XX decoded, and with its '+' decoded as well; each escaped as the log is.
 */
#ifndef FO_SENT_H
#define FO_SENT_H

#include "mod_failover.h"

/* Pieces of a text overlap by so many bytes: nothing longer is found across their borders. */
#define FO_SENT_OVERLAP 2048

/* The i-th text of a request; NULL: there is no further one. */
typedef const char *(*fo_sent_fn)(void *baton, unsigned i);

/* Bytes that are looked for; at most FO_SENT_OVERLAP of them, and not none. */
typedef struct fo_needle_t {
    const char *bytes;
    apr_size_t length;
    bool is_sent;
} fo_needle_t;

/* Looks at one piece. */
typedef void (*fo_sent_look_fn)(void *baton, const char *piece, apr_size_t length);

/*
 * These do not allocate, and any thread may call them, signal handlers too. All that is to be
 * looked for in a request's texts goes into one walk: it is the walk that costs.
 */
void fo_sent_walk(fo_sent_fn sent, void *baton, fo_sent_look_fn look, void *look_baton);

/* Marks the needles that are in this piece. */
void fo_sent_mark(fo_needle_t *needles, unsigned n, const char *piece, apr_size_t length);

#endif
