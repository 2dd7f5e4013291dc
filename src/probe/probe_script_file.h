/*
 * probe_script_file.h: the steps of script://, as they stand in a file: one a line, a word and what
 * belongs to it. doc/probe-script.md tells what each means. Configuration only.
 */
#ifndef PROBE_SCRIPT_FILE_H
#define PROBE_SCRIPT_FILE_H

#include "mod_failover.h"

#define SCRIPT_FILE_MOST (64 * 1024) /* bytes of a file */
#define SCRIPT_STEPS_MOST 64         /* lines that are no comments */
#define SCRIPT_BYTES_MOST 1024       /* of one line, escapes resolved */

typedef enum {
    SCRIPT_SEND,
    SCRIPT_EXPECT, /* the next line of the answer begins so; in hex: the next bytes are these */
    SCRIPT_FIND,   /* these come, whatever is before them */
    /* Below one of the two above: what may come instead, and what it means. */
    SCRIPT_SKIP,   /* this line goes by */
    SCRIPT_BUSY,   /* the server is full */
    SCRIPT_LOGIN,  /* the login is refused */
    SCRIPT_REFUSE, /* the service does not work */
    SCRIPT_WORD_COUNT
} script_word_e;

/* What stands at one place of a step's bytes. */
typedef enum {
    SCRIPT_BYTE,    /* this byte */
    SCRIPT_ANY,     /* any byte: ?? */
    SCRIPT_USER,    /* the URL's user: %{user} */
    SCRIPT_PASSWORD /* the secret: %{password} */
} script_place_e;

typedef struct script_step_t {
    script_word_e word;
    bool is_hex;
    unsigned line;     /* of the file, from 1 */
    apr_size_t length; /* of both arrays, at least 1 */
    const char *bytes;
    const char *places; /* a script_place_e each */
} script_step_t;

/* Alternatives follow the step that they belong to. */
typedef struct script_t {
    const script_step_t *steps;
    unsigned n_steps;
    unsigned user_line; /* the first that sends it; 0: none does */
    unsigned password_line;
} script_t;

/* Reads a text; name stands in messages: "name:3: ...". NULL, or a message. */
const char *probe_script_parse(const char *name, const char *text, apr_size_t length,
                               script_t **ret_script, apr_pool_t *pool);

/* Reads a plain file. NULL, or a message. */
const char *probe_script_read(const char *path, script_t **ret_script, apr_pool_t *pool);

/* Whether the word tells what may come instead of what is expected. */
bool probe_script_is_alternative(script_word_e word);

#endif
