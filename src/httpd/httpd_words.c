#include "httpd/httpd_words.h"

#include "core/fo_parse.h"

#include <strings.h>

const char *httpd_read_span(cmd_parms *cmd, const char *text, apr_interval_time_t low,
                            apr_interval_time_t high, apr_int64_t *ret_span)
{
    char from[FO_SPAN_TEXT], to[FO_SPAN_TEXT];
    apr_interval_time_t span = 0;
    const char *error = fo_parse_duration(text, &span, cmd->pool);

    if (!error && (span < low || span > high))
        error = apr_psprintf(cmd->pool, "'%s' is not within %s and %s", text,
                             low ? fo_span_text(low, from) : "0", fo_span_text(high, to));
    if (!error)
        *ret_span = span;
    return error;
}

const char *httpd_read_word(cmd_parms *cmd, const httpd_word_t *words, const char *text,
                            apr_int64_t *ret_value)
{
    const char *allowed = "";

    for (; words->word; words++) {
        if (strcasecmp(words->word, text) == 0) {
            *ret_value = words->value;
            return NULL;
        }
        allowed = apr_pstrcat(cmd->pool, allowed, *allowed ? ", " : "", words->word, NULL);
    }
    return apr_psprintf(cmd->pool, "'%s' is none of %s", text, allowed);
}
