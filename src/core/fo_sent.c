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

static void walk_text(const char *text, fo_sent_look_fn look, void *baton)
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

void fo_sent_walk(fo_sent_fn sent, void *baton, fo_sent_look_fn look, void *look_baton)
{
    const char *text;

    for (unsigned i = 0; (text = sent(baton, i)); i++)
        walk_text(text, look, look_baton);
}

void fo_sent_mark(fo_needle_t *needles, unsigned n, const char *piece, apr_size_t length)
{
    for (unsigned i = 0; i < n; i++)
        needles[i].is_sent = needles[i].is_sent ||
                             memmem(piece, length, needles[i].bytes, needles[i].length);
}
