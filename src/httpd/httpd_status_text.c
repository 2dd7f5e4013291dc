/* The status in lines of "Key: value", as mod_status has them: the JSON, flattened. */
#include "httpd/httpd_status.h"

#include "core/fo_report.h"

#include <apr_lib.h>
#include <http_protocol.h>
#include <string.h>

/* Where lines go, and how. */
typedef struct sheet_t {
    request_rec *r;
    bool for_html;
    apr_pool_t *pool; /* cleared now and then */
} sheet_t;

/* The lists of parts, which are numbered. History is for the other forms. */
static const struct {
    const char *key;
    const char *word; /* NULL: left out */
} lists[] = { { "endpoints", "Endpoint" }, { "down_names", "DownName" }, { "history", NULL } };

/* "since_seconds" is "SinceSeconds". */
static const char *camel(const char *key, apr_pool_t *pool)
{
    char *word = apr_pstrdup(pool, key), *to = word;
    bool is_first = true;

    for (const char *from = key; *from; from++) {
        if (*from != '_')
            *to++ = is_first ? (char)apr_toupper(*from) : *from;
        is_first = *from == '_';
    }
    *to = '\0';
    return word;
}

static const char *value_text(const json_t *value, apr_pool_t *pool)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return json_string_value(value);
    case JSON_INTEGER:
        return apr_psprintf(pool, "%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(value));
    case JSON_REAL:
        return apr_psprintf(pool, "%.3f", json_real_value(value));
    case JSON_TRUE:
        return "1";
    case JSON_FALSE:
        return "0";
    default:
        return "-";
    }
}

static void write_object(sheet_t *sheet, const char *prefix, const json_t *object);

static void write_value(sheet_t *sheet, const char *key, const json_t *value)
{
    const char *text;

    if (json_is_object(value)) {
        write_object(sheet, key, value);
        return;
    }
    text = value_text(value, sheet->pool);
    ap_rprintf(sheet->r, "%s: %s\n", key,
               sheet->for_html ? ap_escape_html(sheet->pool, text) : text);
}

static const char *list_word(const char *key)
{
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        if (strcmp(lists[i].key, key) == 0)
            return lists[i].word;
    return NULL;
}

static void write_list(sheet_t *sheet, const char *prefix, const char *key, const json_t *list)
{
    const char *word = list_word(key);

    for (size_t i = 0; word && i < json_array_size(list); i++)
        write_value(sheet, apr_psprintf(sheet->pool, "%s%s[%d]", prefix, word, (int)i),
                    json_array_get(list, i));
}

static void write_object(sheet_t *sheet, const char *prefix, const json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)object, key, value)
    {
        if (json_is_array(value))
            write_list(sheet, prefix, key, value);
        else
            write_value(sheet, apr_pstrcat(sheet->pool, prefix, camel(key, sheet->pool), NULL),
                        value);
    }
}

static void write_part(sheet_t *sheet, const char *prefix, json_t *part)
{
    write_object(sheet, prefix, part);
    json_decref(part);
    apr_pool_clear(sheet->pool);
}

void httpd_status_text(request_rec *r, const fo_view_t *view, bool for_html)
{
    sheet_t sheet = { .r = r, .for_html = for_html };
    char prefix[64];

    apr_pool_create(&sheet.pool, r->pool);
    write_part(&sheet, "Failover", httpd_status_server_part(view));
    for (int i = 0; i < view->plan->services->nelts; i++) {
        apr_snprintf(prefix, sizeof(prefix), "FailoverService[%d]", i);
        write_part(&sheet, prefix, httpd_status_service_part(view, &view->services[i], sheet.pool));
    }
    for (int i = 0; i < (int)view->n_children; i++) {
        apr_snprintf(prefix, sizeof(prefix), "FailoverChild[%d]", i);
        write_part(&sheet, prefix, httpd_status_child_part(view, &view->children[i], sheet.pool));
    }
    apr_pool_destroy(sheet.pool);
}
