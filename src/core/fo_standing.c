#include "core/fo_standing.h"

#include "core/fo_news.h"
#include "core/fo_report.h"

/* One service. */
typedef struct standing_t {
    fo_word_t word;
    fo_word_t told;     /* what the log knows of it */
    apr_time_t used_at; /* since when the endpoint is in use */
    apr_time_t told_used_at;
    apr_time_t down_at; /* 0: not down */
    apr_time_t told_at; /* when the outage was last logged; 0: not yet */
    apr_time_t look_at; /* when a better endpoint is looked for */
    bool is_unavailable;
} standing_t;

struct fo_standings_t {
    const fo_plan_t *plan;
    fo_board_t *board;
    fo_shared_t *shared; /* NULL: no siblings */
    int slot;
    bool follows; /* what is judged now is another's: that one tells of it */
    fo_observer_fn observer;
    void *baton;
    standing_t *all; /* by service */
};

fo_standings_t *fo_standings_make(const fo_plan_t *plan, fo_board_t *board, fo_observer_fn observer,
                                  void *baton, apr_pool_t *pool)
{
    unsigned n = (unsigned)plan->services->nelts;
    fo_standings_t *standings = apr_pcalloc(pool, sizeof(*standings));

    standings->plan = plan;
    standings->board = board;
    standings->slot = FO_SLOT_NONE;
    standings->observer = observer;
    standings->baton = baton;
    standings->all = apr_pcalloc(pool, sizeof(standing_t) * ((size_t)n + 1));
    for (unsigned i = 0; i < n; i++) {
        standing_t *standing = &standings->all[i];
        standing->word.endpoint = standing->told.endpoint = fo_plan_service(plan, i)->primary;
    }
    return standings;
}

void fo_standings_join(fo_standings_t *standings, fo_shared_t *shared, int slot)
{
    standings->shared = shared;
    standings->slot = slot;
}

void fo_standings_follow(fo_standings_t *standings, bool follows)
{
    standings->follows = follows;
}

const fo_word_t *fo_standing_word(const fo_standings_t *standings, const fo_service_t *service)
{
    return &standings->all[service->index].word;
}

void fo_standings_observe(const fo_standings_t *standings, const fo_change_t *change)
{
    const standing_t *standing = &standings->all[change->service->index];
    fo_change_t told = *change;

    told.epoch = standing->word.epoch;
    told.before = standing->told.state;
    told.after = standing->word.state;
    if (standings->observer)
        standings->observer(standings->baton, &told);
}

/* Whether siblings share in what is told. */
static bool is_alone(const fo_standings_t *standings)
{
    return !standings->shared || standings->plan->ways.logs_each;
}

/* ---------------------------------------------------------------- the word */

static void publish(fo_standings_t *standings, const fo_service_t *service,
                    const fo_lineup_t *lineup, apr_time_t since_at)
{
    fo_word_t word = standings->all[service->index].word;
    fo_detail_t detail = { .since_at = since_at };
    unsigned culprit = word.state == FO_SERVICE_DOWN ? word.endpoint : service->primary;

    if (word.state != FO_SERVICE_UP)
        fo_report_text(lineup->failures[culprit], detail.reason, sizeof(detail.reason));
    fo_board_publish(standings->board, service, word, &detail);
}

static void plan_look(standing_t *standing, const fo_service_t *service, apr_time_t now)
{
    standing->look_at = now + service->policy.value[FO_POLICY_FAILBACK];
}

static void set_word(fo_standings_t *standings, const fo_service_t *service,
                     const fo_lineup_t *lineup, fo_word_t word, apr_time_t since_at, apr_time_t now)
{
    standing_t *standing = &standings->all[service->index];
    bool is_down = word.state == FO_SERVICE_DOWN;

    if (is_down && standing->word.state != FO_SERVICE_DOWN)
        standing->down_at = since_at;
    if (!is_down)
        standing->used_at = since_at ? since_at : now;
    standing->word = word;
    plan_look(standing, service, now);
    publish(standings, service, lineup, since_at);
}

static bool is_same_use(fo_word_t one, fo_word_t other)
{
    return one.state == other.state && one.endpoint == other.endpoint;
}

/* While down the endpoint stays the one last in use. */
static fo_word_t word_of(const fo_service_t *service, fo_word_t before, unsigned chosen)
{
    if (chosen == FO_CHOOSE_NONE)
        before.state = FO_SERVICE_DOWN;
    else
        before.state = chosen == service->primary ? FO_SERVICE_UP : FO_SERVICE_FAILOVER;
    if (chosen != FO_CHOOSE_NONE)
        before.endpoint = chosen;
    return before;
}

bool fo_standing_choose(fo_standings_t *standings, const fo_service_t *service,
                        const fo_lineup_t *lineup, bool may_fail_back, apr_time_t now)
{
    standing_t *standing = &standings->all[service->index];
    bool is_down = standing->word.state == FO_SERVICE_DOWN;
    unsigned in_use = is_down ? FO_CHOOSE_NONE : standing->word.endpoint;
    unsigned chosen = fo_choose(lineup->candidates, (unsigned)service->endpoints->nelts, in_use,
                                may_fail_back && !service->policy.value[FO_POLICY_STAYS]);
    fo_word_t word = word_of(service, standing->word, chosen);

    if (may_fail_back)
        plan_look(standing, service, now);
    if (is_same_use(word, standing->word))
        return false;
    word.epoch++;
    set_word(standings, service, lineup, word, now, now);
    return true;
}

void fo_standing_adopt(fo_standings_t *standings, const fo_service_t *service,
                       const fo_lineup_t *lineup, fo_word_t word, apr_time_t since_at,
                       apr_time_t now)
{
    set_word(standings, service, lineup, word, since_at, now);
}

void fo_standing_hush(fo_standings_t *standings, const fo_service_t *service)
{
    standing_t *standing = &standings->all[service->index];

    standing->told = standing->word;
    standing->told_used_at = standing->used_at;
}

apr_time_t fo_standing_look_at(const fo_standings_t *standings, const fo_service_t *service)
{
    const standing_t *standing = &standings->all[service->index];

    switch (standing->word.state) {
    case FO_SERVICE_FAILOVER:
        return service->policy.value[FO_POLICY_STAYS] || standings->follows ? FO_NEVER
                                                                            : standing->look_at;
    case FO_SERVICE_DOWN:
        return standing->is_unavailable || !standing->told_at
                   ? FO_NEVER
                   : standing->down_at + fo_policy_hope(&service->policy);
    default:
        return FO_NEVER;
    }
}

/* ---------------------------------------------------------------- what is told */

/* Fills in whether it is this child that is to tell, and since when the outage lasts. */
static bool is_due_again(fo_standings_t *standings, const fo_service_t *service, apr_time_t now,
                         fo_change_t *change)
{
    const standing_t *standing = &standings->all[service->index];
    bool is_own = now - standing->told_at >= service->policy.value[FO_POLICY_LOGGING];

    change->lasted = now - standing->down_at;
    if (is_alone(standings))
        change->is_news = is_own;
    else if (!standings->follows)
        change->is_news = fo_news_reminder(standings->shared, service, now, &change->lasted);
    return is_own || change->is_news;
}

/*
 * Its siblings have told of the end of what it told of, while it did not look, and it has seen the
 * service down since. A ping that began before that end says nothing of what came after it.
 */
static bool is_over_for_others(const fo_standings_t *standings, const fo_service_t *service,
                               apr_time_t pinged_at)
{
    return !is_alone(standings) && standings->slot != FO_SLOT_NONE &&
           fo_news_is_over(standings->shared, service, pinged_at);
}

static void tell_unavailable(fo_standings_t *standings, const fo_service_t *service,
                             fo_change_t change, apr_time_t now)
{
    standing_t *standing = &standings->all[service->index];

    if (now < fo_standing_look_at(standings, service))
        return;
    standing->is_unavailable = true;
    change.kind = FO_CHANGE_UNAVAILABLE;
    change.lasted = now - standing->down_at;
    change.is_news = is_alone(standings) ||
                     (!standings->follows && fo_news_unavailable(standings->shared, service));
    fo_standings_observe(standings, &change);
}

void fo_standing_remind(fo_standings_t *standings, const fo_service_t *service,
                        const fo_lineup_t *lineup, apr_time_t now)
{
    standing_t *standing = &standings->all[service->index];
    bool is_first = !standing->told_at || is_over_for_others(standings, service, lineup->pinged_at);
    fo_change_t change = {
        .kind = is_first ? FO_CHANGE_OUTAGE : FO_CHANGE_OUTAGE_LASTS,
        .service = service,
        .endpoint = fo_service_endpoint(service, standing->word.endpoint),
        .report = lineup->failures[standing->word.endpoint],
    };

    if (standing->word.state != FO_SERVICE_DOWN || lineup->is_undecided)
        return;
    if (is_first)
        change.is_news = is_alone(standings) ||
                         (!standings->follows && fo_news_outage(standings->shared, service, now));
    if (is_first || is_due_again(standings, service, now, &change)) {
        standing->told_at = now;
        fo_standings_observe(standings, &change);
        standing->told = standing->word;
    }
    tell_unavailable(standings, service, change, now);
}

static bool is_news_that_it_is_back(const fo_standings_t *standings, const fo_service_t *service,
                                    bool was_down, apr_time_t now, apr_interval_time_t *ret_lasted)
{
    if (is_alone(standings))
        return was_down;
    if (standings->follows)
        return false;
    return standings->plan->ways.lease
               ? fo_news_close(standings->shared, service, now, ret_lasted)
               : fo_news_recovery(standings->shared, service, standings->slot, now, ret_lasted);
}

/*
 * A child that never saw it down may be the one to say that it is back, if those that did died.
 * True: it was told of as down, and that is over.
 */
static bool tell_recovery(fo_standings_t *standings, const fo_service_t *service,
                          const fo_lineup_t *lineup, apr_time_t now)
{
    standing_t *standing = &standings->all[service->index];
    bool was_down = standing->told.state == FO_SERVICE_DOWN;
    fo_change_t change = {
        .kind = standing->word.state == FO_SERVICE_UP ? FO_CHANGE_RECOVERY : FO_CHANGE_RESCUE,
        .service = service,
        .endpoint = fo_service_endpoint(service, standing->word.endpoint),
        .report = lineup->failures[standing->word.endpoint],
        .lasted = now - standing->down_at,
    };

    change.is_news = is_news_that_it_is_back(standings, service, was_down, now, &change.lasted);
    standing->down_at = standing->told_at = 0;
    standing->is_unavailable = false;
    if (was_down && !is_alone(standings) && !standings->follows)
        fo_news_use(standings->shared, change.endpoint, now);
    if (was_down || change.is_news)
        fo_standings_observe(standings, &change);
    return was_down;
}

/* The one that was left fell, or a better one is in use again. lasted: how long it was used. */
static void tell_use(fo_standings_t *standings, const fo_service_t *service,
                     const fo_lineup_t *lineup, unsigned left, apr_interval_time_t lasted,
                     bool is_news)
{
    unsigned used = standings->all[service->index].word.endpoint;
    bool has_fallen = !fo_state_is_usable(lineup->candidates[left].state);
    fo_change_t change = {
        .kind = has_fallen ? FO_CHANGE_SWITCH : FO_CHANGE_FAILBACK,
        .is_news = is_news,
        .service = service,
        .endpoint = fo_service_endpoint(service, has_fallen ? left : used),
        .other = fo_service_endpoint(service, has_fallen ? used : left),
        .report = lineup->failures[left],
        .lasted = has_fallen ? 0 : lasted,
    };

    fo_standings_observe(standings, &change);
}

static void tell_own_use(fo_standings_t *standings, const fo_service_t *service,
                         const fo_lineup_t *lineup, apr_time_t now)
{
    const standing_t *standing = &standings->all[service->index];
    const fo_endpoint_t *used = fo_service_endpoint(service, standing->word.endpoint);
    bool is_news = is_alone(standings) ||
                   (!standings->follows && fo_news_use(standings->shared, used, now));

    tell_use(standings, service, lineup, standing->told.endpoint, now - standing->told_used_at,
             is_news);
}

/* Those that used another one may have gone without a word. */
static void tell_return(fo_standings_t *standings, const fo_service_t *service,
                        const fo_lineup_t *lineup, apr_time_t now)
{
    const standing_t *standing = &standings->all[service->index];
    const fo_endpoint_t *used = fo_service_endpoint(service, standing->word.endpoint), *left;
    apr_interval_time_t lasted;

    if (!is_alone(standings) && !standings->follows &&
        fo_news_return(standings->shared, used, standings->slot, now, &left, &lasted))
        tell_use(standings, service, lineup, left->rank, lasted, true);
}

void fo_standing_tell(fo_standings_t *standings, const fo_service_t *service,
                      const fo_lineup_t *lineup, apr_time_t now)
{
    standing_t *standing = &standings->all[service->index];

    if (standing->word.state == FO_SERVICE_DOWN) {
        fo_standing_remind(standings, service, lineup, now);
        return;
    }
    if (!lineup->has_passed && is_same_use(standing->word, standing->told))
        return;
    if (!tell_recovery(standings, service, lineup, now)) {
        if (standing->word.endpoint != standing->told.endpoint)
            tell_own_use(standings, service, lineup, now);
        else
            tell_return(standings, service, lineup, now);
    }
    standing->told = standing->word;
    standing->told_used_at = standing->used_at;
}
