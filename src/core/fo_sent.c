#include "core/fo_sent.h"

#include "core/fo_pattern.h"

#include <string.h>

#define PIECE (2 * FO_SENT_OVERLAP)

typedef enum {
    FORM_SENT,
    FORM_PERCENT, /* %XX decoded: a path */
    FORM_PLUS,    /* and '+': a query */
    FORM_COUNT
} form_e;

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static unsigned char take_byte(const char **text, form_e form)
{
    const char *c = *text;

    if (form != FORM_SENT && c[0] == '%' && hex_value(c[1]) >= 0 && hex_value(c[2]) >= 0) {
        *text += 3;
        return (unsigned char)(hex_value(c[1]) * 16 + hex_value(c[2]));
    }
    *text += 1;
    return form == FORM_PLUS && *c == '+' ? ' ' : (unsigned char)*c;
}

/* Each piece begins with the end of the last. */
static void walk_form(const char *text, form_e form, fo_sent_look_fn look, void *baton)
{
    char piece[PIECE];
    apr_size_t n = 0;

    while (*text) {
        if (n > FO_SENT_OVERLAP) {
            memmove(piece, piece + n - FO_SENT_OVERLAP, FO_SENT_OVERLAP);
            n = FO_SENT_OVERLAP;
        }
        while (*text && n + FO_ESCAPED_MAX <= sizeof(piece))
            n += fo_log_escape(take_byte(&text, form), piece + n);
        look(baton, piece, n);
    }
}

void fo_sent_walk(const char *text, fo_sent_look_fn look, void *baton)
{
    const bool has[FORM_COUNT] = {
        [FORM_SENT] = true,
        [FORM_PERCENT] = strchr(text, '%') != NULL,
        [FORM_PLUS] = strchr(text, '+') != NULL,
    };

    for (int form = 0; form < FORM_COUNT; form++)
        if (has[form])
            walk_form(text, (form_e)form, look, baton);
}

typedef struct search_t {
    const char *bytes;
    apr_size_t length;
    bool is_found;
} search_t;

static void search(void *baton, const char *piece, apr_size_t length)
{
    search_t *what = baton;

    what->is_found = what->is_found || memmem(piece, length, what->bytes, what->length);
}

bool fo_sent_holds(fo_sent_fn sent, void *baton, const char *bytes, apr_size_t length)
{
    search_t what = { .bytes = bytes, .length = length };
    const char *text;

    for (unsigned i = 0; !what.is_found && (text = sent(baton, i)); i++)
        fo_sent_walk(text, search, &what);
    return what.is_found;
}
