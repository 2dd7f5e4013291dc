/*
 * The steps of script://: what is accepted can be written down and read again, and keeps to its
 * limits; what is refused leaves the output alone and names the line.
 */
#include "probe/probe_script_file.h"

#include "fuzz.h"

static const char *const words[SCRIPT_WORD_COUNT] = {
    [SCRIPT_SEND] = "send",     [SCRIPT_EXPECT] = "expect", [SCRIPT_FIND] = "find",
    [SCRIPT_SKIP] = "skip",     [SCRIPT_BUSY] = "busy",     [SCRIPT_LOGIN] = "login",
    [SCRIPT_REFUSE] = "refuse",
};

static char *write_text(const script_step_t *step, char *to)
{
    to += sprintf(to, "%s \"", words[step->word]);
    for (apr_size_t i = 0; i < step->length; i++) {
        switch ((script_place_e)step->places[i]) {
        case SCRIPT_USER:
            to += sprintf(to, "%%{user}");
            break;
        case SCRIPT_PASSWORD:
            to += sprintf(to, "%%{password}");
            break;
        default:
            to += sprintf(to, "\\x%02X", (unsigned char)step->bytes[i]);
        }
    }
    return to + sprintf(to, "\"");
}

static char *write_hex(const script_step_t *step, char *to)
{
    to += sprintf(to, "\t%s-hex", words[step->word]);
    for (apr_size_t i = 0; i < step->length; i++)
        to += step->places[i] == SCRIPT_ANY ? sprintf(to, " ??")
                                            : sprintf(to, " %02x", (unsigned char)step->bytes[i]);
    return to;
}

static const char *write_script(const script_t *script, apr_pool_t *pool)
{
    char *text = apr_palloc(pool, script->n_steps * (SCRIPT_BYTES_MOST * 11 + 32) + 1), *to = text;

    for (unsigned i = 0; i < script->n_steps; i++) {
        const script_step_t *step = &script->steps[i];
        to = step->is_hex ? write_hex(step, to) : write_text(step, to);
        to += sprintf(to, i % 2 ? "\r\n" : " # and\n");
    }
    *to = '\0';
    return text;
}

static void check_step(const script_step_t *step)
{
    FUZZ_HOLDS(step->word < SCRIPT_WORD_COUNT, "%d", step->word);
    FUZZ_HOLDS(step->length > 0 && step->length <= SCRIPT_BYTES_MOST, "%zu", step->length);
    for (apr_size_t i = 0; i < step->length; i++) {
        script_place_e place = (script_place_e)step->places[i];
        FUZZ_HOLDS(place <= SCRIPT_PASSWORD, "line %u", step->line);
        FUZZ_HOLDS(place < SCRIPT_USER || step->word == SCRIPT_SEND, "line %u", step->line);
        FUZZ_HOLDS(place != SCRIPT_ANY || step->word != SCRIPT_SEND, "line %u", step->line);
    }
}

static void check_same(const script_step_t *one, const script_step_t *other)
{
    FUZZ_HOLDS(one->word == other->word && one->is_hex == other->is_hex, "line %u", one->line);
    FUZZ_HOLDS(one->length == other->length, "line %u", one->line);
    FUZZ_HOLDS(memcmp(one->bytes, other->bytes, one->length) == 0, "line %u", one->line);
    FUZZ_HOLDS(memcmp(one->places, other->places, one->length) == 0, "line %u", one->line);
}

static void accepted(const script_t *script, apr_pool_t *pool)
{
    const char *text = write_script(script, pool), *error;
    script_t *again = NULL;
    bool expects = false;

    FUZZ_HOLDS(script->n_steps > 0 && script->n_steps <= SCRIPT_STEPS_MOST, "%u", script->n_steps);
    for (unsigned i = 0; i < script->n_steps; i++) {
        check_step(&script->steps[i]);
        expects |= script->steps[i].word != SCRIPT_SEND;
        FUZZ_HOLDS(expects || !probe_script_is_alternative(script->steps[i].word), "%u", i);
    }
    FUZZ_HOLDS(expects, "it proves nothing");
    error = probe_script_parse("again", text, strlen(text), &again, pool);
    FUZZ_HOLDS(!error, "%s of %s", error, text);
    FUZZ_HOLDS(again->n_steps == script->n_steps, "%s", text);
    for (unsigned i = 0; i < script->n_steps; i++)
        check_same(&script->steps[i], &again->steps[i]);
}

static void fuzz_one(const char *text, size_t length, apr_pool_t *pool)
{
    script_t *script = NULL;
    const char *error = probe_script_parse("x", text, length, &script, pool);

    FUZZ_HOLDS(!error == (script != NULL), "%s", error);
    if (script)
        accepted(script, pool);
    else
        FUZZ_HOLDS(strncmp(error, "x:", 2) == 0 && strlen(error) > 10, "%s", error);
}
