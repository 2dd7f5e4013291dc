/*
 * fo_settings.h: how a service changes a request's variables and notes while it is not up, and how
 * the originals come back. Services are applied in the order of the configuration, each seeing what
 * the ones before it wrote; an undo list remembers what stood there, so that a later pass over the
 * same request starts from the originals and an expression or alias is applied once.
 */
#ifndef FO_SETTINGS_H
#define FO_SETTINGS_H

#include "core/fo_board.h"

typedef enum {
    FO_SETTING_SET,   /* name = value, or what the expression yields */
    FO_SETTING_UNSET, /* name is absent */
    FO_SETTING_ALIAS, /* every variable that begins with name takes its counterpart's value */
    FO_SETTING_NOTE   /* as SET, in the notes */
} fo_setting_e;

typedef struct fo_setting_t {
    fo_setting_e kind;
    const char *name;
    const char *value;      /* plain; for an alias the counterparts' beginning */
    const void *expression; /* NULL: value holds; else the evaluator's own */
    unsigned serial;        /* tells settings apart, for messages given once */
} fo_setting_t;

/* Yields the value of an expression, or NULL: the variable is left alone. */
typedef const char *(*fo_evaluate_fn)(void *baton, const fo_service_t *service,
                                      const fo_setting_t *setting);

/* Told that an alias found no counterpart at all. */
typedef void (*fo_bare_alias_fn)(void *baton, const fo_service_t *service,
                                 const fo_setting_t *setting);

/* One request's tables while they are being changed. */
typedef struct fo_layer_t {
    apr_table_t *env;
    apr_table_t *notes;
    apr_array_header_t *undo; /* fo_undo_t: of what was written here; made by the caller */
    fo_evaluate_fn evaluate;
    fo_bare_alias_fn bare_alias; /* NULL: nobody wants to know */
    void *baton;
    apr_pool_t *pool; /* as long-lived as the tables */
} fo_layer_t;

/* What stood in a table before we wrote. */
typedef struct fo_undo_t {
    const char *name;
    const char *ours;   /* the very pointer that we wrote; NULL: we made it absent */
    const char *before; /* NULL: it was absent */
    bool is_note;
} fo_undo_t;

apr_array_header_t *fo_settings_undo_make(apr_pool_t *pool);

/* Writes what this service changes, its own FAILOVER_ variables and notes included. */
void fo_settings_apply(fo_layer_t *layer, const fo_seen_t *seen);

/* True when none of the settings reads what others wrote. */
bool fo_settings_are_plain(const apr_array_header_t *settings);

/* fo_service_t's, as far as the service alone is concerned. */
apr_uint64_t fo_settings_initials(const fo_service_t *service);

/* While observing, nothing that a request can branch on changes. */
static inline bool fo_settings_are_shown(const fo_seen_t *seen)
{
    return !seen->service->policy.value[FO_POLICY_OBSERVE];
}

/*
 * Where the variables of a plain snapshot stand in a request's table: one behind the other, as they
 * were added. n 0: they were not, which is how it begins, or not all of them.
 */
typedef struct fo_run_t {
    int first;
    int n;
} fo_run_t;

/*
 * The same as apply where all services are plain: no undo is needed, and writing twice does no
 * harm. Where all still stand as they were written, and nobody has added one of their names, it
 * only looks.
 */
void fo_settings_write_plain(apr_table_t *env, const fo_snapshot_t *snapshot, fo_run_t *run);
void fo_settings_write_plain_notes(apr_table_t *notes, const fo_snapshot_t *snapshot);

/* True when a variable of a plain snapshot has another value now. */
bool fo_settings_lost_plain(const apr_table_t *env, const fo_snapshot_t *snapshot,
                            const fo_run_t *run);

/*
 * Gives back, last change first, what still has our value. `undo` is the layer's own list, which is
 * emptied, or that of a request whose table may have been copied into this one. A stranger's list
 * (is_stranger: neither our own nor our parent's) says nothing of what is absent here.
 */
void fo_settings_undo(fo_layer_t *layer, apr_array_header_t *undo, bool is_stranger);

/* True when a variable that we wrote has another value now. */
bool fo_settings_lost(const fo_layer_t *layer);

#endif
