/*
 * fo_regex.h: regular expressions for the error log's hook, where nothing may be allocated, no lock
 * be taken, and no text make a match last. So it is PCRE2's syntax and PCRE2's matcher without
 * backtracking, which knows no back references, conditions, verbs and \K.
 */
#ifndef FO_REGEX_H
#define FO_REGEX_H

#include "mod_failover.h"

#define FO_REGEX_MAX 1024 /* bytes of an expression */

/* What is looked at of a text: the time grows with the square of its length. */
#define FO_REGEX_TEXT 2048

typedef struct fo_regex_t fo_regex_t;

/*
 * NULL, or what is wrong with the expression, which need not end in a zero byte. One that may
 * match no byte at all is refused: it would match everything, or what cannot be traced. Lives in
 * pool.
 */
const char *fo_regex_make(const char *text, size_t length, bool ignores_case,
                          const fo_regex_t **ret_regex, apr_pool_t *pool);

/* Any thread, signal handlers too. The first match, as short as it may be: where, and how long. */
bool fo_regex_find(const fo_regex_t *regex, const char *text, size_t length, size_t *ret_begin,
                   size_t *ret_length);

#endif
