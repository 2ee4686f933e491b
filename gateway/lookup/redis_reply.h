/* What a Redis says: bytes -> replies, within bounds. The parser is hiredis'; what it builds is ours.
 *
 * A peer may lie: about how long a text is, how many members an array has, or never come to an end. So a reply may take
 * REDIS_REPLY_BYTES and not more, before and after it was understood. An ordinary one takes no memory but the reader's own.
 */
#ifndef GATEWAY_LOOKUP_REDIS_REPLY_H
#define GATEWAY_LOOKUP_REDIS_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/base/str.h"

#define REDIS_REPLY_BYTES ((size_t)4 << 20)

enum redis_reply_type {
    REPLY_TEXT,
    REPLY_STATUS, /* "+OK" */
    REPLY_ERROR,
    REPLY_INTEGER,
    REPLY_ARRAY,
    REPLY_NIL
};

struct redis_reply {
    enum redis_reply_type type;
    int64_t integer;
    struct str text; /* of a text, a status, an error */
    size_t count;
    struct redis_reply **items; /* none is NULL */
};

struct redis_reader;

enum redis_read { READ_REPLY, READ_MORE, READ_BAD };

struct redis_reader *redis_reader_new(void);
void redis_reader_free(struct redis_reader *r);
/* Forget what was read: another connection begins. */
void redis_reader_restart(struct redis_reader *r);
void redis_reader_feed(struct redis_reader *r, struct str bytes);
/* The next reply, valid until the next call. READ_BAD: this is no Redis, or it says too much; nothing more will come. */
enum redis_read redis_reader_next(struct redis_reader *r, const struct redis_reply **reply);

/* The i-th member if it is of this type, or NULL. */
const struct redis_reply *redis_reply_item(const struct redis_reply *r, size_t i,
                                           enum redis_reply_type type);

#endif
