/* Records in a ring: {length:32, zero:32} and the bytes, up to the next multiple of 8, never across the end. */
#include "shm/ring.h"

#include <string.h>

#define HEAD      8
#define SKIP      UINT32_MAX /* nothing more before the end of the ring */
#define HALF      (RING_BYTES / 2)
#define PLACE(at) ((uint32_t)((at) % RING_BYTES))

_Static_assert(sizeof(struct ring) == 4096 + RING_BYTES, "a page and the bytes");

static uint64_t span(uint32_t len)
{
    return HEAD + (((uint64_t)len + 7) & ~UINT64_C(7));
}

static void head_write(struct ring *ring, uint64_t at, uint32_t len)
{
    uint32_t head[2] = { len, 0 };

    memcpy(&ring->bytes[PLACE(at)], head, sizeof head);
}

struct ring *rings_table(struct region *r)
{
    return region_table(r, TABLE_RINGS, STR("rings"), SEATS_MAX * sizeof(struct ring));
}

void *ring_reserve(struct ring *ring, uint32_t len)
{
    uint64_t head = word_peek(&ring->head);
    uint64_t to_end = RING_BYTES - PLACE(head);
    uint64_t skip = span(len) > to_end ? to_end : 0;

    CHECK(len <= RING_RECORD_MAX);
    /* acquire: the reader has really done with what it gave back */
    if (head - word_read(&ring->tail) + skip + span(len) > RING_BYTES) {
        word_add_own(&ring->dropped, 1);
        return NULL;
    }
    if (skip) {
        head_write(ring, head, SKIP);
        head += skip;
        word_publish(&ring->head, head); /* release: the mark; it is as good as a record */
    }
    return &ring->bytes[PLACE(head) + HEAD];
}

bool ring_commit(struct ring *ring, uint32_t len)
{
    uint64_t head = word_peek(&ring->head), tail;

    CHECK(len > 0 && span(len) <= RING_BYTES - PLACE(head));
    head_write(ring, head, len);
    head += span(len);
    word_add_own(&ring->written, 1);
    word_publish(&ring->head, head); /* release: the record */
    tail = word_read(&ring->tail);
    /* once, until the reader has come past the place where it was last called */
    if (head - tail < HALF || word_peek(&ring->called) > tail)
        return false;
    word_put(&ring->called, head);
    return true;
}

uint64_t ring_begin(const struct ring *ring)
{
    return word_peek(&ring->tail);
}

bool ring_next(struct ring *ring, uint64_t *at, struct str *record)
{
    uint64_t end = word_read(&ring->head); /* acquire: the records before it */

    while (*at != end) {
        uint64_t to_end = RING_BYTES - PLACE(*at), left = end - *at;
        uint32_t len = 0;

        if (left <= RING_BYTES && *at % 8 == 0)
            memcpy(&len, &ring->bytes[PLACE(*at)], sizeof len);
        if (len == SKIP && to_end <= left) {
            *at += to_end;
            continue;
        }
        if (len == 0 || len > RING_RECORD_MAX || span(len) > to_end || span(len) > left) {
            /* no writer of ours does this; what follows cannot be told apart: go on at the end */
            word_add_own(&ring->broken, 1);
            *at = end;
            return false;
        }
        *record = str_of((const char *)&ring->bytes[PLACE(*at) + HEAD], len);
        *at += span(len);
        return true;
    }
    return false;
}

void ring_done(struct ring *ring, uint64_t at)
{
    word_publish(&ring->tail, at); /* release: we have read what may now be overwritten */
}

uint64_t ring_waiting(const struct ring *ring)
{
    uint64_t tail = word_read(&ring->tail);

    return word_read(&ring->head) - tail;
}
