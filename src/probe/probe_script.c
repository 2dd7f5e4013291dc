#include "probe/probe_script.h"

#include "probe/probe_script_match.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* How long the rest of a line is waited for, once it cannot be what is expected. */
#define REST_OF_LINE (20 * 1000)

/* Sent without an answer between, a password of the longest kind included. */
#define SEND_MOST 4096
#define SECRET_MOST 1023

/* What a report shows of a step's bytes, and the fewest of a password that it hides. */
#define SHOWN_MOST 24
#define HIDDEN_LEAST 3

typedef struct conf_t {
    const script_t *script;
    const char *user; /* "" when there is none */
} conf_t;

/* A connection's way through the steps. */
typedef struct run_t {
    const conf_t *conf;
    const char *secret;
    unsigned at;       /* of the steps */
    apr_size_t passed; /* bytes of the answer that went by in this step */
} run_t;

/* Configuration */

static apr_size_t length_sent(const script_step_t *step, const char *user)
{
    apr_size_t n = 0;

    for (apr_size_t i = 0; i < step->length; i++)
        n += step->places[i] == SCRIPT_USER       ? strlen(user)
             : step->places[i] == SCRIPT_PASSWORD ? SECRET_MOST
                                                  : 1;
    return n;
}

/* The line with which too much would be sent in a row; 0: none. */
static unsigned overfull_line(const conf_t *conf)
{
    apr_size_t sent = 0;

    for (unsigned i = 0; i < conf->script->n_steps; i++) {
        const script_step_t *step = &conf->script->steps[i];
        sent = step->word == SCRIPT_SEND ? sent + length_sent(step, conf->user) : 0;
        if (sent > SEND_MOST)
            return step->line;
    }
    return 0;
}

/* What the steps send and what there is to send go together. */
static const char *check_login(const conf_t *conf, const fo_login_t *login, const char *path,
                               apr_pool_t *pool)
{
    const script_t *script = conf->script;
    unsigned overfull;

    if (script->user_line && !login->user)
        return apr_psprintf(pool, "steps=: %s:%u: %%{user} needs a user in the URL, as in %s", path,
                            script->user_line, "script://monitor@mail.example.com:110");
    if (script->password_line && !login->has_secret)
        return apr_psprintf(pool, "steps=: %s:%u: %%{password} needs password=file:PATH", path,
                            script->password_line);
    if (login->user && !script->user_line)
        return apr_psprintf(pool, "the URL has a user, but no step of %s sends %%{user}", path);
    if (login->has_secret && !script->password_line)
        return apr_psprintf(pool, "password=: no step of %s sends %%{password}", path);
    overfull = overfull_line(conf);
    if (overfull)
        return apr_psprintf(pool,
                            "steps=: %s:%u: what is sent without an answer between has at most %d "
                            "bytes, %d of them for each %%{password}",
                            path, overfull, SEND_MOST, SECRET_MOST);
    return NULL;
}

static const char *configure(const fo_url_t *url, const fo_login_t *login,
                             const apr_table_t *options, void **ret_conf, const char **ret_warning,
                             apr_pool_t *pool)
{
    const char *path = apr_table_get(options, "steps"), *error;
    conf_t *conf = apr_pcalloc(pool, sizeof(*conf));
    script_t *script = NULL;

    (void)ret_warning;
    if (url->path[0])
        return "script:// takes no path, as in script://mail.example.com:25";
    if (!path)
        return "steps=FILE is missing: the file that says what is sent and what is expected";
    error = probe_script_read(path, &script, pool);
    if (error)
        return apr_psprintf(pool, "steps=: %s", error);
    conf->script = script;
    conf->user = login->user ? login->user : "";
    error = check_login(conf, login, path, pool);
    if (!error)
        *ret_conf = conf;
    return error;
}

/* Reports: "line 3: expected "250 ", got "500 what?"" */

typedef struct text_t {
    char text[FO_REPORT_TEXT];
    apr_size_t n;
    const char *secret; /* that it must not show; NULL: none */
} text_t;

static void add(text_t *text, const char *words)
{
    apr_cpystrn(text->text + text->n, words, sizeof(text->text) - text->n);
    text->n += strlen(text->text + text->n);
}

static text_t text_of(const run_t *run)
{
    text_t text = { .secret = run->secret };
    char line[24];

    apr_snprintf(line, sizeof(line), "line %u: ", run->conf->script->steps[run->at].line);
    add(&text, line);
    return text;
}

/* How many of these bytes are the secret, or the beginning of it that was cut off. */
static apr_size_t hidden(const text_t *text, const char *bytes, apr_size_t length)
{
    apr_size_t n = text->secret ? strlen(text->secret) : 0;

    if (n > length && length >= HIDDEN_LEAST)
        n = length;
    return n > 0 && n <= length && strncasecmp(bytes, text->secret, n) == 0 ? n : 0;
}

static void add_byte(text_t *text, char byte, bool is_hex)
{
    char shown[8] = { byte };

    if (is_hex)
        apr_snprintf(shown, sizeof(shown), "%02x ", (unsigned char)byte);
    else if (byte < ' ' || byte > '~')
        apr_snprintf(shown, sizeof(shown), "\\x%02x", (unsigned char)byte);
    add(text, shown);
}

/* Bytes as they would stand in a script. */
static void add_bytes(text_t *text, const char *bytes, apr_size_t length, bool is_hex)
{
    while (!is_hex && length && (bytes[length - 1] == '\n' || bytes[length - 1] == '\r'))
        length--;
    add(text, is_hex ? "" : "\"");
    for (apr_size_t i = 0; i < length && text->n + 1 < sizeof(text->text);) {
        apr_size_t secret = hidden(text, bytes + i, length - i);
        if (secret)
            add(text, "***");
        else
            add_byte(text, bytes[i], is_hex);
        i += secret ? secret : 1;
    }
    if (is_hex && text->text[text->n - 1] == ' ')
        text->text[--text->n] = '\0';
    add(text, is_hex ? "" : "\"");
}

static void add_step(text_t *text, const script_step_t *step)
{
    apr_size_t shown = step->length < SHOWN_MOST ? step->length : SHOWN_MOST;

    if (step->is_hex)
        for (apr_size_t i = 0; i < shown; i++) {
            add(text, i ? " " : "");
            if (step->places[i] == SCRIPT_ANY)
                add(text, "??");
            else
                add_bytes(text, step->bytes + i, 1, true);
        }
    else
        add_bytes(text, step->bytes, shown, false);
    add(text, shown < step->length ? "..." : "");
}

/* The number that a line begins with, as in "421 busy"; 0: none. */
static int code_of_line(const char *bytes, apr_size_t length)
{
    int code = 0;
    apr_size_t i;

    for (i = 0; i < length && i < 9 && isdigit((unsigned char)bytes[i]); i++)
        code = 10 * code + (bytes[i] - '0');
    return i == length || isalnum((unsigned char)bytes[i]) ? 0 : code;
}

/* The number that these bytes are; 0: they are too many for one. */
static int code_of_bytes(const char *bytes, apr_size_t length)
{
    int code = 0;

    for (apr_size_t i = 0; i < length && length < sizeof(code); i++)
        code = 256 * code + (unsigned char)bytes[i];
    return code;
}

/* The way through the steps */

/* What one step comes to. */
typedef enum {
    STEP_TAKEN, /* on to the next one */
    STEP_WAITS,
    STEP_DECIDED
} outcome_e;

static outcome_e fail(const run_t *run, apr_status_t status, const char *words, fo_report_t *report)
{
    text_t text = text_of(run);

    add(&text, words);
    fo_report_fill(report, FO_VERDICT_FAIL, status, 0, text.text);
    return STEP_DECIDED;
}

static outcome_e fail_as_endless(const run_t *run, fo_report_t *report)
{
    char words[64];

    apr_snprintf(words, sizeof(words), "%d bytes, and not what is expected", PROBE_SCRIPT_MOST);
    return fail(run, 0, words, report);
}

static bool put(fo_talk_t *talk, const char *bytes, apr_size_t length)
{
    if (length > talk->out_room - talk->out_length)
        return false;
    memcpy(talk->out + talk->out_length, bytes, length);
    talk->out_length += length;
    return true;
}

static bool say(const run_t *run, const script_step_t *step, fo_talk_t *talk)
{
    const char *const values[] = {
        [SCRIPT_USER] = run->conf->user,
        [SCRIPT_PASSWORD] = run->secret ? run->secret : "",
    };
    bool fits = true;

    for (apr_size_t i = 0; i < step->length && fits; i++) {
        if (step->places[i] == SCRIPT_BYTE)
            fits = put(talk, step->bytes + i, 1);
        else
            fits = put(talk, values[(int)step->places[i]], strlen(values[(int)step->places[i]]));
    }
    return fits;
}

static outcome_e take_send(run_t *run, const script_step_t *step, fo_talk_t *talk,
                           fo_report_t *report)
{
    if (!say(run, step, talk))
        return fail(run, 0, "the server does not read what it is sent", report);
    run->at++;
    return STEP_TAKEN;
}

/* The step that is under way, and its alternatives. */
static unsigned count_alike(const script_t *script, unsigned at)
{
    unsigned n = 1;

    while (at + n < script->n_steps && probe_script_is_alternative(script->steps[at + n].word))
        n++;
    return n;
}

static outcome_e is_wrong(const run_t *run, const char *bytes, apr_size_t length,
                          fo_report_t *report)
{
    const script_step_t *step = &run->conf->script->steps[run->at];
    text_t text = text_of(run);

    add(&text, "expected ");
    add_step(&text, step);
    add(&text, ", got ");
    add_bytes(&text, bytes, length, step->is_hex);
    fo_report_fill(report, FO_VERDICT_FAIL, 0, step->is_hex ? 0 : code_of_line(bytes, length),
                   text.text);
    return STEP_DECIDED;
}

static outcome_e is_alternative(const run_t *run, const script_match_t *match, const char *in,
                                fo_report_t *report)
{
    static const fo_verdict_e verdicts[] = {
        [SCRIPT_BUSY] = FO_VERDICT_BUSY,
        [SCRIPT_LOGIN] = FO_VERDICT_LOGIN,
        [SCRIPT_REFUSE] = FO_VERDICT_FAIL,
    };
    const char *bytes = in + match->begin;
    apr_size_t length = match->end - match->begin;
    text_t text = text_of(run);

    add(&text, "got ");
    add_bytes(&text, bytes, length, match->step->is_hex);
    fo_report_fill(report, verdicts[match->step->word], 0,
                   match->step->is_hex ? code_of_bytes(bytes, length) : code_of_line(bytes, length),
                   text.text);
    return STEP_DECIDED;
}

static outcome_e is_found(run_t *run, const script_match_t *match, unsigned n, const char *in,
                          fo_talk_t *talk, fo_report_t *report)
{
    bool is_step = match->step == &run->conf->script->steps[run->at];

    if (!is_step && match->step->word != SCRIPT_SKIP)
        return is_alternative(run, match, in, report);
    talk->taken += match->end;
    run->at += is_step ? n : 0;
    run->passed = is_step ? 0 : run->passed + match->end;
    return run->passed < PROBE_SCRIPT_MOST ? STEP_TAKEN : fail_as_endless(run, report);
}

/* The first `length` bytes of what has come will not be looked at again. */
static outcome_e wait_more(run_t *run, apr_size_t length, fo_talk_event_e event, fo_talk_t *talk,
                           fo_report_t *report)
{
    if (event == FO_TALK_CLOSED)
        return fail(run, APR_EOF, "closed early", report);
    if (run->passed + (talk->in_length - talk->taken) >= PROBE_SCRIPT_MOST)
        return fail_as_endless(run, report);
    talk->taken += length;
    run->passed += length;
    return STEP_WAITS;
}

static outcome_e take_answer(run_t *run, fo_talk_event_e event, fo_talk_t *talk,
                             fo_report_t *report)
{
    const script_step_t *step = &run->conf->script->steps[run->at];
    unsigned n = count_alike(run->conf->script, run->at);
    const char *in = talk->in + talk->taken;
    apr_size_t length = talk->in_length - talk->taken;
    script_match_t match = probe_script_match(step, n, in, length);

    switch (match.sight) {
    case SCRIPT_MORE:
        return wait_more(run, match.end, event, talk, report);
    case SCRIPT_FOUND:
        return is_found(run, &match, n, in, talk, report);
    case SCRIPT_WRONG_LINE:
        if (event == FO_TALK_DATA && run->passed + length < PROBE_SCRIPT_MOST) {
            talk->quiet = REST_OF_LINE;
            return STEP_WAITS;
        }
        break;
    default:
        break;
    }
    return is_wrong(run, in, match.end, report);
}

static void begin(void *state, const void *conf, const fo_ask_t *ask)
{
    run_t *run = state;

    run->conf = conf;
    run->secret = ask->secret;
}

static fo_progress_e turn(void *state, fo_talk_event_e event, fo_talk_t *talk, fo_report_t *report)
{
    run_t *run = state;
    const script_t *script = run->conf->script;
    outcome_e outcome = STEP_TAKEN;

    report->stage = FO_STAGE_ANSWER;
    while (outcome == STEP_TAKEN && run->at < script->n_steps) {
        const script_step_t *step = &script->steps[run->at];
        outcome = step->word == SCRIPT_SEND ? take_send(run, step, talk, report)
                                            : take_answer(run, event, talk, report);
    }
    if (outcome == STEP_TAKEN)
        fo_report_fill(report, FO_VERDICT_PASS, APR_SUCCESS, 0, NULL);
    return outcome == STEP_WAITS ? FO_MORE : FO_DONE;
}

static const fo_dialogue_t dialogue = {
    .state_size = sizeof(run_t),
    .begin = begin,
    .turn = turn,
};

static const char *const known_options[] = { "steps", NULL };

const fo_probe_t fo_probe_script = {
    .abi = FO_PROBE_ABI,
    .size = sizeof(fo_probe_t),
    .scheme = "script",
    .summary = "goes through the steps of a file: what is sent, what is expected",
    .example = "script://mail.example.com:25",
    .max_hosts = 1,
    .options = known_options,
    .tls = FO_TLS_CHOICE,
    .configure = configure,
    .dialogue = &dialogue,
};
