/* Writing JSON that is always JSON (RFC 8259), whatever the bytes: invalid UTF-8 becomes U+FFFD, control
 * characters are escaped. Commas are put by the writer.
 *
 *     json_object(&w); json_key(&w, STR("path")); json_string(&w, path); json_end(&w);
 *
 * The writer fills memory of the caller's (what does not fit sets `full`, and nothing more is written) or
 * grows memory of its own (json_free ends it; out of memory dies).
 */
#ifndef GATEWAY_BASE_JSON_H
#define GATEWAY_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/str.h"

#define JSON_DEPTH_MAX 64

struct json_writer {
    char *at;
    size_t len, capacity;
    bool grows;       /* `at` is ours */
    bool full;        /* something did not fit */
    bool after_value; /* the next member needs a comma */
    uint8_t depth;
    uint64_t arrays; /* bit d: the level d is an array */
};

void json_fixed(struct json_writer *w, char *memory, size_t size);
void json_growing(struct json_writer *w);
/* Begin again with the same memory. */
void json_clear(struct json_writer *w);
void json_free(struct json_writer *w);
/* What is written so far. */
static inline struct str json_text(const struct json_writer *w)
{
    return str_of(w->at, w->len);
}

void json_object(struct json_writer *w);
void json_array(struct json_writer *w);
/* Closes the innermost object or array. */
void json_end(struct json_writer *w);
void json_key(struct json_writer *w, struct str key);
void json_string(struct json_writer *w, struct str s);
void json_u64(struct json_writer *w, uint64_t value);
void json_i64(struct json_writer *w, int64_t value);
/* ns as milliseconds with three places after the point: 12.345 */
void json_ms(struct json_writer *w, uint64_t ns);
/* Not a number and infinities, which JSON does not have, become null. */
void json_double(struct json_writer *w, double value);
void json_bool(struct json_writer *w, bool value);
void json_null(struct json_writer *w);
/* Bytes outside of any value, as they are: the newline after a line of a log. */
void json_raw(struct json_writer *w, struct str bytes);

#endif
