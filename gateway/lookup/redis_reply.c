/* What a Redis says. */
#include "gateway/lookup/redis_reply.h"

#include <hiredis/read.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/arena.h"

#define OWN_BYTES 2048 /* enough for what scripts return */

struct redis_reader {
    redisReader *parser;
    redisReplyObjectFunctions functions;
    struct arena arena; /* of the reply that is being read, or was given last */
    size_t taken;       /* from it */
    bool given, bad;
    _Alignas(16) char own[OWN_BYTES];
};

/* ---- what hiredis asks for while it reads ----------------------------------------------------- */

/* Memory of the present reply, or NULL: hiredis gives up then. */
static void *take(struct redis_reader *r, size_t size)
{
    if (size > REDIS_REPLY_BYTES - r->taken)
        return NULL;
    r->taken += size;
    return arena_take(&r->arena, size ? size : 1);
}

static struct redis_reply *reply_new(const redisReadTask *t)
{
    struct redis_reply *reply = take(t->privdata, sizeof *reply);
    struct redis_reply *parent = t->parent ? t->parent->obj : NULL;

    if (reply && parent)
        parent->items[t->idx] = reply;
    return reply;
}

static void *create_text(const redisReadTask *t, char *at, size_t len)
{
    struct redis_reply *reply = reply_new(t);
    char *copy = reply ? take(t->privdata, len) : NULL;

    if (!copy)
        return NULL;
    memcpy(copy, at, len);
    reply->text = str_of(copy, len);
    reply->type = t->type == REDIS_REPLY_ERROR    ? REPLY_ERROR
                  : t->type == REDIS_REPLY_STATUS ? REPLY_STATUS
                                                  : REPLY_TEXT;
    return reply;
}

static void *create_array(const redisReadTask *t, int count)
{
    struct redis_reply *reply = reply_new(t);
    size_t n = count > 0 ? (size_t)count : 0;

    if (!reply)
        return NULL;
    /* The members are counted in advance: what is claimed must be possible before memory is given for it. */
    reply->items = n <= REDIS_REPLY_BYTES / sizeof(struct redis_reply *)
                       ? take(t->privdata, n * sizeof(struct redis_reply *))
                       : NULL;
    if (!reply->items)
        return NULL;
    reply->type = REPLY_ARRAY;
    reply->count = n;
    return reply;
}

static void *create_integer(const redisReadTask *t, long long value)
{
    struct redis_reply *reply = reply_new(t);

    if (!reply)
        return NULL;
    reply->type = REPLY_INTEGER;
    reply->integer = value;
    return reply;
}

static void *create_nil(const redisReadTask *t)
{
    struct redis_reply *reply = reply_new(t);

    if (reply)
        reply->type = REPLY_NIL;
    return reply;
}

/* The arena ends them all. */
static void free_object(void *object)
{
    (void)object;
}

/* ---- reading ---------------------------------------------------------------------------------- */

static void begin(struct redis_reader *r)
{
    r->parser = redisReaderCreateWithFunctions(&r->functions);
    if (!r->parser)
        die("out of memory for a reader");
    r->parser->privdata = r;
    arena_init(&r->arena, NULL);
    arena_lend(&r->arena, r->own, sizeof r->own);
    r->taken = 0;
    r->given = r->bad = false;
}

static void end(struct redis_reader *r)
{
    redisReaderFree(r->parser);
    arena_free(&r->arena);
    MEMORY_UNPOISON(r->own, sizeof r->own);
}

struct redis_reader *redis_reader_new(void)
{
    struct redis_reader *r = calloc(1, sizeof *r);

    if (!r)
        die("out of memory for a reader");
    r->functions = (redisReplyObjectFunctions){ .createString = create_text,
                                                .createArray = create_array,
                                                .createInteger = create_integer,
                                                .createNil = create_nil,
                                                .freeObject = free_object };
    begin(r);
    return r;
}

void redis_reader_free(struct redis_reader *r)
{
    end(r);
    free(r);
}

void redis_reader_restart(struct redis_reader *r)
{
    end(r);
    begin(r);
}

void redis_reader_feed(struct redis_reader *r, struct str bytes)
{
    if (redisReaderFeed(r->parser, bytes.at, bytes.len) != REDIS_OK)
        r->bad = true;
}

enum redis_read redis_reader_next(struct redis_reader *r, const struct redis_reply **reply)
{
    void *whole = NULL;

    if (r->given) {
        arena_free(&r->arena);
        arena_lend(&r->arena, r->own, sizeof r->own);
        r->taken = 0;
        r->given = false;
    }
    if (r->bad || redisReaderGetReply(r->parser, &whole) != REDIS_OK) {
        r->bad = true;
        return READ_BAD;
    }
    if (!whole) {
        r->bad = r->parser->len - r->parser->pos > REDIS_REPLY_BYTES;
        return r->bad ? READ_BAD : READ_MORE;
    }
    r->given = true;
    *reply = whole;
    return READ_REPLY;
}

const struct redis_reply *redis_reply_item(const struct redis_reply *r, size_t i,
                                           enum redis_reply_type type)
{
    if (r->type != REPLY_ARRAY || i >= r->count || r->items[i]->type != type)
        return NULL;
    return r->items[i];
}
