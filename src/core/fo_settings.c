#include "core/fo_settings.h"

#include <string.h>
#include <strings.h>

apr_array_header_t *fo_settings_undo_make(apr_pool_t *pool)
{
    return apr_array_make(pool, 8, sizeof(fo_undo_t));
}

static apr_table_entry_t *entries(const apr_table_t *table, int *ret_n)
{
    const apr_array_header_t *array = apr_table_elts(table);

    *ret_n = array->nelts;
    return (apr_table_entry_t *)array->elts;
}

/* Most names part within two bytes, which is not worth a call. */
static bool is_same(const char *name, const char *other)
{
    return ((name[0] ^ other[0]) & 31) == 0 && ((name[1] ^ other[1]) & 31) == 0 &&
           strcasecmp(name, other) == 0;
}

/*
 * The last of several entries of one name: mod_env leaves two, and ap_add_common_vars() lets the
 * last one win.
 */
static const char *last_value(const apr_table_t *table, const char *name)
{
    int n;
    apr_table_entry_t *entry = entries(table, &n);

    while (n-- > 0)
        if (entry[n].key && is_same(entry[n].key, name))
            return entry[n].val;
    return NULL;
}

static void remember(fo_layer_t *layer, const char *name, const char *ours, const char *before,
                     bool is_note)
{
    fo_undo_t undo = { .name = name, .ours = ours, .before = before, .is_note = is_note };

    APR_ARRAY_PUSH(layer->undo, fo_undo_t) = undo;
}

static apr_table_t *table_of(const fo_layer_t *layer, bool is_note)
{
    return is_note ? layer->notes : layer->env;
}

/* value NULL: absent. setn and unset remove every entry of the name. */
static void put(fo_layer_t *layer, const char *name, const char *value, bool is_note)
{
    apr_table_t *table = table_of(layer, is_note);
    const char *before = apr_table_get(table, name);

    remember(layer, name, value, before, is_note);
    if (value && before)
        apr_table_setn(table, name, value);
    else if (value)
        apr_table_addn(table, name, value); /* the name need not be looked for again */
    else if (before)
        apr_table_unset(table, name);
}

static void apply_value(fo_layer_t *layer, const fo_service_t *service, const fo_setting_t *setting)
{
    const char *value = setting->value;

    if (setting->expression)
        value = layer->evaluate(layer->baton, service, setting);
    if (value)
        put(layer, setting->name, value, setting->kind == FO_SETTING_NOTE);
}

static void apply_unset(fo_layer_t *layer, const fo_service_t *service, const fo_setting_t *setting)
{
    (void)service;
    put(layer, setting->name, NULL, false);
}

typedef struct match_t {
    const char *name;
    const char *value; /* the counterpart's; NULL: there is none */
} match_t;

/* Every variable that begins with the alias, once, with its counterpart. */
static apr_array_header_t *find_matches(fo_layer_t *layer, const fo_setting_t *setting,
                                        bool *ret_has_counterpart)
{
    apr_array_header_t *matches = apr_array_make(layer->pool, 8, sizeof(match_t));
    size_t length = strlen(setting->name);
    int n;
    apr_table_entry_t *entry = entries(layer->env, &n);

    for (int i = 0; i < n; i++) {
        if (!entry[i].key || strncasecmp(entry[i].key, setting->name, length) != 0)
            continue;
        const char *counterpart = apr_pstrcat(layer->pool, setting->value, entry[i].key + length,
                                              NULL);
        match_t match = { .name = entry[i].key, .value = last_value(layer->env, counterpart) };
        *ret_has_counterpart = *ret_has_counterpart || match.value;
        APR_ARRAY_PUSH(matches, match_t) = match;
    }
    return matches;
}

static void apply_alias(fo_layer_t *layer, const fo_service_t *service, const fo_setting_t *setting)
{
    bool has_counterpart = false;
    apr_array_header_t *matches = find_matches(layer, setting, &has_counterpart);

    if (matches->nelts > 0 && !has_counterpart && layer->bare_alias)
        layer->bare_alias(layer->baton, service, setting);
    for (int i = 0; has_counterpart && i < matches->nelts; i++) {
        match_t match = APR_ARRAY_IDX(matches, i, match_t);
        put(layer, match.name, match.value, false);
    }
}

static void (*const apply[])(fo_layer_t *, const fo_service_t *, const fo_setting_t *) = {
    [FO_SETTING_SET] = apply_value,
    [FO_SETTING_UNSET] = apply_unset,
    [FO_SETTING_ALIAS] = apply_alias,
    [FO_SETTING_NOTE] = apply_value,
};

static void apply_exports(fo_layer_t *layer, const fo_seen_t *seen)
{
    const fo_service_t *service = seen->service;
    const char *state = fo_service_state_name(seen->word.state);
    const char *endpoint = fo_service_endpoint(service, seen->word.endpoint)->name;

    put(layer, service->env_state, state, false);
    put(layer, service->env_endpoint, endpoint, false);
    put(layer, service->env_epoch, seen->epoch, false);
    put(layer, service->note_state, state, true);
    put(layer, service->note_endpoint, endpoint, true);
}

static void apply_all(fo_layer_t *layer, const fo_service_t *service,
                      const apr_array_header_t *settings)
{
    for (int i = 0; i < settings->nelts; i++) {
        const fo_setting_t *setting = &APR_ARRAY_IDX(settings, i, fo_setting_t);
        apply[setting->kind](layer, service, setting);
    }
}

/* Those of the endpoint that stands in have the last word. */
void fo_settings_apply(fo_layer_t *layer, const fo_seen_t *seen)
{
    const fo_endpoint_t *endpoint = fo_service_endpoint(seen->service, seen->word.endpoint);

    apply_all(layer, seen->service, seen->service->settings);
    if (seen->word.state == FO_SERVICE_FAILOVER && endpoint->settings)
        apply_all(layer, seen->service, endpoint->settings);
    apply_exports(layer, seen);
}

/* Our entry among those of the name, by its pointer: an equal value may be someone else's. */
static apr_table_entry_t *find_ours(const apr_table_t *table, const fo_undo_t *undo)
{
    int n;
    apr_table_entry_t *entry = entries(table, &n);

    for (int i = 0; i < n; i++)
        if (entry[i].val == undo->ours && entry[i].key && is_same(entry[i].key, undo->name))
            return &entry[i];
    return NULL;
}

/*
 * mod_env may have put SetEnv's value behind ours meanwhile. What stood before is put in place of
 * ours, so that this second entry stays; where nothing stood, the second entry is what remains.
 */
static void give_back(apr_table_t *table, const fo_undo_t *undo)
{
    apr_table_entry_t *entry = undo->ours ? find_ours(table, undo) : NULL;

    if (!undo->ours) {
        if (undo->before && !apr_table_get(table, undo->name))
            apr_table_setn(table, undo->name, undo->before);
    } else if (entry && undo->before) {
        entry->val = (char *)undo->before;
    } else if (entry) {
        const char *other = last_value(table, undo->name);
        if (other != undo->ours)
            apr_table_setn(table, undo->name, other);
        else
            apr_table_unset(table, undo->name);
    }
}

void fo_settings_undo(fo_layer_t *layer, apr_array_header_t *undo, bool is_stranger)
{
    for (int i = undo->nelts; i-- > 0;) {
        const fo_undo_t *one = &APR_ARRAY_IDX(undo, i, fo_undo_t);
        if (one->ours || !is_stranger)
            give_back(table_of(layer, one->is_note), one);
    }
    if (undo == layer->undo)
        apr_array_clear(undo);
}

/* The last change of a variable is the one that must still be there. */
static bool is_overruled(const apr_array_header_t *undo, int index)
{
    const fo_undo_t *one = &APR_ARRAY_IDX(undo, index, fo_undo_t);

    for (int i = index + 1; i < undo->nelts; i++) {
        const fo_undo_t *later = &APR_ARRAY_IDX(undo, i, fo_undo_t);
        if (later->is_note == one->is_note && is_same(later->name, one->name))
            return true;
    }
    return false;
}

bool fo_settings_lost(const fo_layer_t *layer)
{
    for (int i = 0; i < layer->undo->nelts; i++) {
        const fo_undo_t *one = &APR_ARRAY_IDX(layer->undo, i, fo_undo_t);
        if (!one->is_note && apr_table_get(layer->env, one->name) != one->ours &&
            !is_overruled(layer->undo, i))
            return true;
    }
    return false;
}

bool fo_settings_are_plain(const apr_array_header_t *settings)
{
    for (int i = 0; i < settings->nelts; i++) {
        const fo_setting_t *setting = &APR_ARRAY_IDX(settings, i, fo_setting_t);
        if (setting->expression || setting->kind == FO_SETTING_ALIAS)
            return false;
    }
    return true;
}

/* The number of what a name begins with, whatever its case. */
static unsigned initial_of(const char *name)
{
    return name[0] & 31;
}

static bool is_variable(const fo_setting_t *setting)
{
    return setting->kind != FO_SETTING_NOTE;
}

/* How often this service writes a variable of this name. */
static unsigned times_written(const fo_service_t *service, const char *name)
{
    unsigned n = 0;

    for (int i = 0; i < service->settings->nelts; i++) {
        const fo_setting_t *setting = &APR_ARRAY_IDX(service->settings, i, fo_setting_t);
        n += is_variable(setting) && is_same(setting->name, name);
    }
    return n + is_same(service->env_state, name) + is_same(service->env_endpoint, name) +
           is_same(service->env_epoch, name);
}

apr_uint64_t fo_settings_initials(const fo_service_t *service)
{
    apr_uint64_t initials = (apr_uint64_t)1
                            << initial_of(service->env_state); /* that of all three exports */

    for (int i = 0; i < service->settings->nelts; i++) {
        const fo_setting_t *setting = &APR_ARRAY_IDX(service->settings, i, fo_setting_t);
        if (!is_variable(setting))
            continue;
        if (times_written(service, setting->name) > 1)
            return 0;
        initials |= (apr_uint64_t)1 << initial_of(setting->name);
    }
    return initials;
}

/* None of the n entries has the name of a variable that this service writes. */
static bool are_others(const apr_table_entry_t *entry, int n, const fo_service_t *service)
{
    apr_uint64_t initials = service->initials;

    for (const apr_table_entry_t *end = entry + n; entry < end; entry++)
        if (initials >> initial_of(entry->key) & 1 && times_written(service, entry->key) > 0)
            return false;
    return true;
}

static void add(apr_table_t *env, const fo_seen_t *seen)
{
    const fo_service_t *service = seen->service;

    for (int i = 0; i < service->settings->nelts; i++) {
        const fo_setting_t *setting = &APR_ARRAY_IDX(service->settings, i, fo_setting_t);
        if (setting->kind == FO_SETTING_SET)
            apr_table_addn(env, setting->name, setting->value);
    }
    apr_table_addn(env, service->env_state, fo_service_state_name(seen->word.state));
    apr_table_addn(env, service->env_endpoint,
                   fo_service_endpoint(service, seen->word.endpoint)->name);
    apr_table_addn(env, service->env_epoch, seen->epoch);
}

static void set(apr_table_t *env, const fo_seen_t *seen)
{
    const fo_service_t *service = seen->service;

    for (int i = 0; i < service->settings->nelts; i++) {
        const fo_setting_t *setting = &APR_ARRAY_IDX(service->settings, i, fo_setting_t);
        if (setting->kind == FO_SETTING_SET)
            apr_table_setn(env, setting->name, setting->value);
        else if (setting->kind == FO_SETTING_UNSET)
            apr_table_unset(env, setting->name);
    }
    apr_table_setn(env, service->env_state, fo_service_state_name(seen->word.state));
    apr_table_setn(env, service->env_endpoint,
                   fo_service_endpoint(service, seen->word.endpoint)->name);
    apr_table_setn(env, service->env_epoch, seen->epoch);
}

static bool is_entry(const apr_table_entry_t *entry, const char *name, const char *value)
{
    return entry->key == name && entry->val == value;
}

/* The entry behind those that this service added; NULL: they do not stand here. */
static const apr_table_entry_t *skip(const apr_table_entry_t *entry, const fo_seen_t *seen)
{
    const fo_service_t *service = seen->service;

    for (int i = 0; i < service->settings->nelts; i++) {
        const fo_setting_t *setting = &APR_ARRAY_IDX(service->settings, i, fo_setting_t);
        if (setting->kind == FO_SETTING_SET && !is_entry(entry++, setting->name, setting->value))
            return NULL;
    }
    if (is_entry(&entry[0], service->env_state, fo_service_state_name(seen->word.state)) &&
        is_entry(&entry[1], service->env_endpoint,
                 fo_service_endpoint(service, seen->word.endpoint)->name) &&
        is_entry(&entry[2], service->env_epoch, seen->epoch))
        return entry + 3;
    return NULL;
}

static bool stands(const apr_table_t *env, const fo_snapshot_t *snapshot, const fo_run_t *run)
{
    int n;
    const apr_table_entry_t *entry;

    if (run->n == 0)
        return false;
    entry = entries(env, &n) + run->first;
    if (run->first + run->n > n)
        return false;
    for (unsigned i = 0; i < snapshot->n && entry; i++)
        if (fo_settings_are_shown(&snapshot->seen[i]))
            entry = skip(entry, &snapshot->seen[i]);
    return entry != NULL;
}

/*
 * Nobody has added one of the names. What is added comes last in a table, and what is taken away
 * moves what is behind it: a run that stands where it stood has the same entries before it.
 */
static bool is_alone(const apr_table_t *env, const fo_snapshot_t *snapshot, const fo_run_t *run)
{
    int n, end = run->first + run->n;
    const apr_table_entry_t *entry = entries(env, &n);

    for (unsigned i = 0; i < snapshot->n && end < n; i++)
        if (!are_others(entry + end, n - end, snapshot->seen[i].service))
            return false;
    return true;
}

/*
 * True: it was added, none of its names having been among the first n entries; no other service
 * writes them.
 */
static bool write_one(apr_table_t *env, const fo_seen_t *seen, int n_first)
{
    int n;
    const apr_table_entry_t *entry = entries(env, &n);

    if (seen->service->initials && are_others(entry, n < n_first ? n : n_first, seen->service)) {
        add(env, seen);
        return true;
    }
    set(env, seen);
    return false;
}

void fo_settings_write_plain(apr_table_t *env, const fo_snapshot_t *snapshot, fo_run_t *run)
{
    bool all_added = true;

    if (stands(env, snapshot, run) && is_alone(env, snapshot, run))
        return;
    entries(env, &run->first);
    for (unsigned i = 0; i < snapshot->n; i++)
        if (fo_settings_are_shown(&snapshot->seen[i]))
            all_added = write_one(env, &snapshot->seen[i], run->first) && all_added;
    entries(env, &run->n);
    run->n = all_added ? run->n - run->first : 0;
}

/* What each service's own notes begin with. */
#define NOTE_PREFIX "failover:"

static bool has_own_notes(const apr_table_t *notes)
{
    int n;
    const apr_table_entry_t *entry = entries(notes, &n);

    for (const apr_table_entry_t *end = entry + n; entry < end; entry++)
        if (strncasecmp(entry->key, NOTE_PREFIX, sizeof(NOTE_PREFIX) - 1) == 0)
            return true;
    return false;
}

static void write_notes(apr_table_t *notes, const fo_service_t *service)
{
    for (int i = 0; i < service->settings->nelts; i++) {
        const fo_setting_t *setting = &APR_ARRAY_IDX(service->settings, i, fo_setting_t);
        if (setting->kind == FO_SETTING_NOTE)
            apr_table_setn(notes, setting->name, setting->value);
    }
}

/* Those of different services have different names: where there is none yet, none is looked for. */
static void write_own_notes(apr_table_t *notes, const fo_snapshot_t *snapshot)
{
    void (*put)(apr_table_t *, const char *, const char *) = has_own_notes(notes) ? apr_table_setn
                                                                                  : apr_table_addn;

    for (unsigned i = 0; i < snapshot->n; i++) {
        const fo_seen_t *seen = &snapshot->seen[i];
        const fo_service_t *service = seen->service;
        if (!fo_settings_are_shown(seen))
            continue;
        put(notes, service->note_state, fo_service_state_name(seen->word.state));
        put(notes, service->note_endpoint, fo_service_endpoint(service, seen->word.endpoint)->name);
    }
}

void fo_settings_write_plain_notes(apr_table_t *notes, const fo_snapshot_t *snapshot)
{
    for (unsigned i = 0; i < snapshot->n; i++)
        if (fo_settings_are_shown(&snapshot->seen[i]))
            write_notes(notes, snapshot->seen[i].service);
    write_own_notes(notes, snapshot);
}

static bool differs(const apr_table_t *env, const fo_seen_t *seen)
{
    const fo_service_t *service = seen->service;

    if (apr_table_get(env, service->env_state) != fo_service_state_name(seen->word.state) ||
        apr_table_get(env, service->env_endpoint) !=
            fo_service_endpoint(service, seen->word.endpoint)->name ||
        apr_table_get(env, service->env_epoch) != seen->epoch)
        return true;
    for (int i = 0; i < service->settings->nelts; i++) {
        const fo_setting_t *setting = &APR_ARRAY_IDX(service->settings, i, fo_setting_t);
        const char *ours = setting->kind == FO_SETTING_SET ? setting->value : NULL;
        if (is_variable(setting) && apr_table_get(env, setting->name) != ours)
            return true;
    }
    return false;
}

bool fo_settings_lost_plain(const apr_table_t *env, const fo_snapshot_t *snapshot,
                            const fo_run_t *run)
{
    if (stands(env, snapshot, run) && is_alone(env, snapshot, run))
        return false;
    for (unsigned i = 0; i < snapshot->n; i++)
        if (fo_settings_are_shown(&snapshot->seen[i]) && differs(env, &snapshot->seen[i]))
            return true;
    return false;
}
