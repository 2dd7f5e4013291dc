/*
 * fo_pattern.h: what FailoverErrorMatch says: which entries of the error log point at a service.
 * Design: "Errors that trigger a ping".
 */
#ifndef FO_PATTERN_H
#define FO_PATTERN_H

#include "core/fo_regex.h"

#define FO_LITERAL_MAX 256 /* bytes, as the log escapes it */

typedef enum {
    FO_PATTERN_ERRNO,   /* the errno that the entry carries */
    FO_PATTERN_LITERAL, /* text in it, case and all */
    FO_PATTERN_REGEX    /* an expression that matches in it */
} fo_pattern_e;

typedef struct fo_pattern_t {
    fo_pattern_e kind;
    const char *text;        /* as people write it: ECONNREFUSED, "gone away", /time.?out/i */
    apr_status_t status;     /* ERRNO */
    const char *literal;     /* LITERAL: escaped as httpd's log is */
    const fo_regex_t *regex; /* REGEX */
} fo_pattern_t;

/* One line. */
typedef struct fo_match_t {
    bool replaces;                /* the patterns before it */
    apr_array_header_t *modules;  /* const char *: whose entries count besides */
    apr_array_header_t *patterns; /* fo_pattern_t */
} fo_match_t;

/*
 * "[add|only] [from=MODULE,...] PATTERN ..." or "none". NULL, or a message; names of modules are
 * not judged here. Everything lives in pool.
 */
const char *fo_match_parse(const char *words, fo_match_t **ret_match, apr_pool_t *pool);

/* What holds without a line: the errnos and words of a lost peer, and who relays them. */
const fo_match_t *fo_match_built_in(apr_pool_t *pool);

/* "proxy*" means every name that begins so. */
bool fo_module_fits(const char *name, const char *wanted);

/*
 * Escapes one byte as httpd's error log does; returns into how many. The log's text never holds it
 * in any other form.
 */
#define FO_ESCAPED_MAX 4
unsigned fo_log_escape(unsigned char byte, char ret_escaped[FO_ESCAPED_MAX]);

#endif
