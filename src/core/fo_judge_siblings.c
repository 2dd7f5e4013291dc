/* What the judge takes over of other children's rows: at a start, and where one pings for all. */
#include "core/fo_judge_own.h"

#include "core/fo_breaker.h"
#include "core/fo_record.h"

/* It says something of the service, and not of our own side or credentials. */
static bool counts_as_failure(const fo_report_t *report)
{
    return report->verdict == FO_VERDICT_FAIL || report->verdict == FO_VERDICT_BUSY;
}

/* What a failure was that another child found. */
static void recall_failure(fo_judge_t *judge, const fo_shared_t *shared,
                           const fo_endpoint_t *endpoint)
{
    fo_failure_t failure;

    fo_record_failure(shared, endpoint->target->seat, &failure);
    if (judge->rows[endpoint->index].open_until) { /* no ping found it */
        judge->healths[endpoint->index].failure = fo_breaker_report(&endpoint->service->policy,
                                                                    NULL);
        return;
    }
    if (failure.at && counts_as_failure(&failure.report))
        judge->healths[endpoint->index].failure = failure.report;
}

/* The rank of the one that another uses, if it is usable; NONE: none, or several by mistake. */
static unsigned used_by_another(const fo_judge_t *judge, const fo_service_t *service,
                                const fo_row_t *const rows[])
{
    unsigned used = FO_CHOOSE_NONE;

    for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++) {
        const fo_endpoint_t *endpoint = fo_service_endpoint(service, rank);
        if (!rows[rank] || !rows[rank]->is_in_use ||
            !fo_state_is_usable(judge->healths[endpoint->index].state))
            continue;
        if (used != FO_CHOOSE_NONE)
            return FO_CHOOSE_NONE;
        used = rank;
    }
    return used;
}

static fo_word_t word_of_another(const fo_judge_t *judge, const fo_service_t *service,
                                 const fo_lineup_t *lineup, const fo_row_t *const rows[])
{
    fo_word_t word = *fo_standing_word(judge->standings, service);
    unsigned in_use = word.state == FO_SERVICE_DOWN ? FO_CHOOSE_NONE : word.endpoint;
    unsigned used = used_by_another(judge, service, rows);

    if (used == FO_CHOOSE_NONE)
        used = fo_choose(lineup->candidates, (unsigned)service->endpoints->nelts, in_use, false);
    if (used == FO_CHOOSE_NONE) {
        word.state = FO_SERVICE_DOWN;
        return word;
    }
    word.state = used == service->primary ? FO_SERVICE_UP : FO_SERVICE_FAILOVER;
    word.endpoint = used;
    return word;
}

static void inherit_row(fo_judge_t *judge, const fo_shared_t *shared, const fo_endpoint_t *endpoint,
                        const fo_row_t *row)
{
    fo_row_t *own = &judge->rows[endpoint->index];
    bool is_usable = fo_state_is_usable((fo_state_e)row->state);

    *own = *row;
    own->is_inherited = 1;
    own->due_at = FO_NEVER;
    fo_judge_set_state(judge, endpoint, is_usable ? FO_STATE_UP : FO_STATE_DOWN, row->since_at);
    if (!is_usable)
        recall_failure(judge, shared, endpoint);
}

/*
 * The outage is as old as the last one's fall, which may be now where one is unknown; another is
 * used since the primary's. 0: unknown.
 */
static apr_time_t since_when(const fo_service_t *service, fo_word_t word,
                             const fo_row_t *const rows[], apr_time_t now)
{
    const fo_row_t *primary = rows[service->primary];
    apr_time_t last = 0;

    if (word.state == FO_SERVICE_UP)
        return 0;
    if (word.state == FO_SERVICE_FAILOVER)
        return primary ? primary->since_at : 0;
    for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++) {
        apr_time_t since_at = rows[rank] ? rows[rank]->since_at : now;
        last = since_at > last ? since_at : last;
    }
    return last;
}

void fo_judge_inherit(fo_judge_t *judge, const fo_shared_t *shared, const fo_service_t *service,
                      const fo_row_t *const rows[], apr_time_t now)
{
    fo_lineup_t lineup;
    fo_word_t word;
    unsigned epoch = 0;

    for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++) {
        if (!rows[rank])
            continue;
        inherit_row(judge, shared, fo_service_endpoint(service, rank), rows[rank]);
        epoch = rows[rank]->epoch > epoch ? rows[rank]->epoch : epoch;
    }
    lineup = fo_judge_line_up(judge, service, now);
    word = word_of_another(judge, service, &lineup, rows);
    word.epoch = epoch;
    fo_standing_adopt(judge->standings, service, &lineup, word,
                      since_when(service, word, rows, now), now);
    fo_standing_hush(judge->standings, service);
}

/* True: there is something new in it. */
static bool follow_row(fo_judge_t *judge, const fo_endpoint_t *endpoint, const fo_row_t *row)
{
    fo_row_t *own = &judge->rows[endpoint->index];

    if (row->pinged_at == own->pinged_at && row->state == own->state &&
        row->is_in_use == own->is_in_use)
        return false;
    fo_judge_set_state(judge, endpoint, (fo_state_e)row->state, row->since_at);
    own->verdict = row->verdict;
    own->is_inherited = 1;
    own->pinged_at = row->pinged_at;
    own->due_at = row->due_at;
    own->took = row->took;
    own->grace_until = row->grace_until;
    own->open_until = row->open_until;
    if (!fo_state_is_usable(judge->healths[endpoint->index].state))
        recall_failure(judge, judge->shared, endpoint);
    return true;
}

/*
 * The threshold, the choice and the logging of it are the other's; what is told here is told as its
 * sibling. One that is failing is no end of an outage that others have told of.
 */
static void follow_word(fo_judge_t *judge, const fo_service_t *service,
                        const fo_row_t *const rows[], apr_time_t now)
{
    fo_lineup_t lineup = fo_judge_line_up(judge, service, now);
    fo_word_t before = *fo_standing_word(judge->standings, service);
    fo_word_t word = word_of_another(judge, service, &lineup, rows);

    if (word.state != before.state || word.endpoint != before.endpoint) {
        word.epoch++;
        fo_standing_adopt(judge->standings, service, &lineup, word, now, now);
    }
    lineup.has_passed = word.state != FO_SERVICE_DOWN &&
                        lineup.candidates[word.endpoint].state == FO_STATE_UP;
    fo_judge_write_rows(judge, service);
    fo_standing_tell(judge->standings, service, &lineup, now);
}

void fo_judge_follow(fo_judge_t *judge, const fo_service_t *service, const fo_row_t *const rows[],
                     apr_time_t now)
{
    bool has_news = false;

    fo_standings_follow(judge->standings, true);
    for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++)
        if (rows[rank])
            has_news |= follow_row(judge, fo_service_endpoint(service, rank), rows[rank]);
    if (has_news)
        follow_word(judge, service, rows, now);
}
