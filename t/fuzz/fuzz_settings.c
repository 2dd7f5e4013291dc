/*
 * Random services over random requests: SetEnvIf's variables, the early pass, mod_env's, the late
 * pass, sub-requests. Beside each request goes a shadow that we never touched: before each pass,
 * once our values are taken back, both say the same.
 */
#include "core/fo_settings.h"

#include "fuzz.h"

#define SERVICES 3
#define NAMES 4

static const char *const names[NAMES] = { "A_X", "A_Y", "B_X", "B_Y" };
static const char *const values[] = { "1", "2", "3", "4" };

/* The bytes of the input, one by one; zeros when it is spent. */
typedef struct source_t {
    const char *text;
    size_t left;
} source_t;

static unsigned draw(source_t *source, unsigned n)
{
    if (source->left == 0)
        return 0;
    source->left--;
    return (unsigned char)*source->text++ % n;
}

/* A request, and what it would be without us. */
typedef struct world_t {
    source_t source;
    fo_seen_t seen[SERVICES];
    apr_table_t *shadow;
    fo_layer_t layer;
    apr_pool_t *pool;
} world_t;

/* Expressions append a word to what their variable holds; "" yields nothing. */
static const char *evaluate(void *baton, const fo_service_t *service, const fo_setting_t *setting)
{
    world_t *world = baton;
    const char *word = setting->expression, *now = apr_table_get(world->layer.env, setting->name);

    (void)service;
    return word[0] ? apr_pstrcat(world->pool, now ? now : "", word, NULL) : NULL;
}

static fo_setting_t draw_setting(source_t *source)
{
    static const char *const words[] = { "+", "" };
    fo_setting_t setting = { .kind = (fo_setting_e)draw(source, 4) };

    setting.name = names[draw(source, NAMES)];
    setting.value = values[draw(source, 4)];
    if (setting.kind == FO_SETTING_ALIAS) {
        setting.name = draw(source, 2) ? "A_" : "B_";
        setting.value = setting.name[0] == 'A' ? "B_" : "A_";
    } else if (setting.kind != FO_SETTING_UNSET && draw(source, 2)) {
        setting.expression = words[draw(source, 2)];
    }
    return setting;
}

static void make_services(world_t *world)
{
    fo_plan_t *plan = fo_plan_make(world->pool);

    for (int i = 0; i < SERVICES; i++) {
        apr_array_header_t *settings = apr_array_make(world->pool, 4, sizeof(fo_setting_t));
        for (unsigned n = draw(&world->source, 4); n > 0; n--)
            APR_ARRAY_PUSH(settings, fo_setting_t) = draw_setting(&world->source);
        fo_service_t *service = fo_plan_add_service(plan, apr_psprintf(world->pool, "s%d", i), NULL,
                                                    fo_policy_built_in(), settings, NULL);
        fo_plan_add_endpoint(plan, service, "e", "e", 1, fo_plan_target(plan, "e"));
        world->seen[i] = (fo_seen_t){
            .service = service, .word = { FO_SERVICE_DOWN, 0, 1 }, .epoch = "1"
        };
    }
}

/* Variables that come in both worlds, under names that are not there yet. */
static void bring(world_t *world)
{
    apr_table_t *vars = apr_table_make(world->pool, NAMES);

    for (int i = 0; i < NAMES; i++)
        if (draw(&world->source, 2) && !apr_table_get(world->shadow, names[i]))
            apr_table_setn(vars, names[i], apr_pstrcat(world->pool, "of-", names[i], NULL));
    world->shadow = apr_table_overlay(world->pool, world->shadow, vars);
    world->layer.env = apr_table_overlay(world->pool, world->layer.env, vars);
}

static void compare(const world_t *world)
{
    for (int i = 0; i < NAMES; i++) {
        const char *ours = apr_table_get(world->layer.env, names[i]);
        const char *theirs = apr_table_get(world->shadow, names[i]);
        FUZZ_HOLDS(!ours == !theirs && (!ours || strcmp(ours, theirs) == 0), "%s=%s, not %s",
                   names[i], ours ? ours : "(absent)", theirs ? theirs : "(absent)");
    }
    FUZZ_HOLDS(apr_table_elts(world->layer.env)->nelts == apr_table_elts(world->shadow)->nelts,
               "%d variables, not %d", apr_table_elts(world->layer.env)->nelts,
               apr_table_elts(world->shadow)->nelts);
}

/* parent: of a sub-request; NULL: none. */
static void pass(world_t *world, apr_array_header_t *parent)
{
    fo_settings_undo(&world->layer, world->layer.undo, false);
    if (parent)
        fo_settings_undo(&world->layer, parent, false);
    compare(world);
    FUZZ_HOLDS(apr_is_empty_table(world->layer.notes), "notes are left");
    for (int i = 0; i < SERVICES; i++)
        fo_settings_apply(&world->layer, &world->seen[i]);
}

/* A sub-request, in whose place the world goes on for a while. */
static void sub_request(world_t *world, int depth)
{
    world_t before = *world;

    world->layer.env = apr_table_copy(world->pool, world->layer.env);
    world->shadow = apr_table_copy(world->pool, world->shadow);
    world->layer.notes = apr_table_make(world->pool, 4);
    world->layer.undo = fo_settings_undo_make(world->pool);
    bring(world);
    pass(world, before.layer.undo);
    if (depth > 0 && draw(&world->source, 2))
        sub_request(world, depth - 1);
    before.source = world->source;
    *world = before;
}

static void fuzz_one(const char *text, size_t length, apr_pool_t *pool)
{
    world_t world = { .source = { text, length }, .pool = pool };

    world.shadow = apr_table_make(pool, NAMES);
    world.layer = (fo_layer_t){
        .env = apr_table_make(pool, NAMES),
        .notes = apr_table_make(pool, 4),
        .undo = fo_settings_undo_make(pool),
        .evaluate = evaluate,
        .baton = &world,
        .pool = pool,
    };
    make_services(&world);
    bring(&world);
    pass(&world, NULL);
    if (draw(&world.source, 2))
        sub_request(&world, 1);
    bring(&world);
    pass(&world, NULL);
    for (unsigned n = draw(&world.source, 4); n > 0; n--)
        sub_request(&world, 1);
    fo_settings_undo(&world.layer, world.layer.undo, false);
    compare(&world);
}
