/*
 * The dialogue of tcp:// under any sequence of events: it stays within its buffers, takes no more
 * than there is, and ends with a verdict at the first event behind the connect.
 */
#include "probe/probe_tcp.h"

#include "fuzz.h"

static void check_bounds(const fo_talk_t *talk)
{
    FUZZ_HOLDS(talk->taken <= talk->in_length, "took %zu of %zu", talk->taken, talk->in_length);
    FUZZ_HOLDS(talk->out_length <= talk->out_room, "%zu bytes out", talk->out_length);
    FUZZ_HOLDS(talk->n_further <= FO_FURTHER_MAX, "%u hosts", talk->n_further);
}

static void fuzz_one(const char *text, size_t length, apr_pool_t *pool)
{
    const fo_dialogue_t *dialogue = fo_probe_tcp.dialogue;
    void *state = apr_pcalloc(pool, dialogue->state_size + 1);
    char out[64];
    fo_talk_t talk = { .out = out, .out_room = sizeof(out) };
    fo_report_t report = { .verdict = FO_VERDICT_COUNT, .stage = FO_STAGE_ASK };
    fo_talk_event_e event = length ? (fo_talk_event_e)(1 + (unsigned char)text[0] % 3)
                                   : FO_TALK_QUIET;

    FUZZ_HOLDS(dialogue->turn(state, FO_TALK_CONNECTED, &talk, &report) == FO_MORE, "at once");
    check_bounds(&talk);
    FUZZ_HOLDS(talk.quiet > 0, "it would wait for ever");
    talk.in = text;
    talk.in_length = length;
    FUZZ_HOLDS(dialogue->turn(state, event, &talk, &report) == FO_DONE, "event %d", (int)event);
    check_bounds(&talk);
    FUZZ_HOLDS(report.verdict == (event == FO_TALK_CLOSED ? FO_VERDICT_FAIL : FO_VERDICT_PASS),
               "event %d is verdict %d", (int)event, (int)report.verdict);
    FUZZ_HOLDS(report.stage < FO_STAGE_COUNT && memchr(report.text, 0, sizeof(report.text)),
               "event %d", (int)event);
}
