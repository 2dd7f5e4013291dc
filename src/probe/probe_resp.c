#include "probe/probe_resp.h"

#include <hiredis/read.h>
#include <stdbool.h>
#include <string.h>

typedef struct reading_t {
    const char *bytes;
    const char *copy; /* hiredis's */
    probe_resp_t reply;
} reading_t;

/* Any address will do for an object: none is kept. */
static void *take_string(const redisReadTask *task, char *text, size_t length)
{
    reading_t *reading = task->privdata;
    probe_word_t word = { .text = reading->bytes + (text - reading->copy), .length = length };

    if (!task->parent)
        reading->reply.text = word;
    else if (!task->parent->parent && task->idx < PROBE_RESP_WORDS)
        reading->reply.words[task->idx] = word;
    return reading;
}

static void let_go(void *object)
{
    (void)object;
}

/* Arrays and numbers go by: for them hiredis has a mark instead of an object. */
static redisReplyObjectFunctions functions = { .createString = take_string, .freeObject = let_go };

static bool announces_too_much(const char *bytes, size_t n)
{
    size_t number = 0;

    if (n == 0 || (bytes[0] != '$' && bytes[0] != '*'))
        return false;
    for (size_t i = 1; i < n && bytes[i] >= '0' && bytes[i] <= '9' && number <= PROBE_RESP_MAX; i++)
        number = number * 10 + (size_t)(bytes[i] - '0');
    return number > PROBE_RESP_MAX;
}

static apr_status_t read_reply(redisReader *reader, reading_t *reading, size_t n)
{
    void *object = NULL;

    if (redisReaderFeed(reader, reading->bytes, n) != REDIS_OK)
        return APR_ENOMEM;
    reading->copy = reader->buf;
    reader->privdata = reading;
    if (redisReaderGetReply(reader, &object) != REDIS_OK)
        return reader->err == REDIS_ERR_OOM ? APR_ENOMEM : APR_EGENERAL;
    if (!object)
        return APR_INCOMPLETE;
    reading->reply.type = reading->bytes[0];
    reading->reply.size = n - (reader->len - reader->pos);
    return APR_SUCCESS;
}

apr_status_t probe_resp_read(const char *bytes, size_t n, probe_resp_t *ret_reply)
{
    reading_t reading = { .bytes = bytes };
    redisReader *reader;
    apr_status_t status;

    if (n == 0)
        return APR_INCOMPLETE;
    if (announces_too_much(bytes, n))
        return APR_ENOSPC;
    reader = redisReaderCreateWithFunctions(&functions);
    status = reader ? read_reply(reader, &reading, n) : APR_ENOMEM;
    if (reader)
        redisReaderFree(reader);
    if (!status)
        *ret_reply = reading.reply;
    return status;
}
