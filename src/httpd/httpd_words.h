/*
 * httpd_words.h: the words of a directive: spans within bounds, and words that stand for a number.
 * Each returns NULL or a message, without the directive's name.
 */
#ifndef HTTPD_WORDS_H
#define HTTPD_WORDS_H

#include "httpd/httpd_failover.h"

#define HTTPD_MS ((apr_int64_t)1000)
#define HTTPD_MINUTE (60 * APR_USEC_PER_SEC)
#define HTTPD_HOUR (3600 * APR_USEC_PER_SEC)
#define HTTPD_DAY (24 * HTTPD_HOUR)

/* A word that stands for a number; case does not matter. The last of a list has none. */
typedef struct httpd_word_t {
    const char *word;
    apr_int64_t value;
} httpd_word_t;

const char *httpd_read_span(cmd_parms *cmd, const char *text, apr_interval_time_t low,
                            apr_interval_time_t high, apr_int64_t *ret_span);
const char *httpd_read_word(cmd_parms *cmd, const httpd_word_t *words, const char *text,
                            apr_int64_t *ret_value);

#endif
