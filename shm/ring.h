/* A ring of records for each seat: one writer (the seat's holder), one reader (the caretaker).
 *
 * Positions only grow; a record becomes visible when `head` is published behind it, and its place becomes
 * free when the reader stores `tail`, after it has written the record where it belongs: so a reader that
 * dies writes some records twice and loses none. A writer that dies in mid-record leaves bytes behind
 * `head`, which its successor overwrites. A ring that is full drops the record and counts it: telemetry
 * never delays a request.
 */
#ifndef SHM_RING_H
#define SHM_RING_H

#include "shm/region.h"
#include "shm/seats.h"

#define RING_BYTES      (UINT32_C(1) << 20)
#define RING_RECORD_MAX (UINT32_C(16) << 10)

struct ring {
    _Alignas(CACHE_LINE) shared_word head; /* written by the writer: the end of what can be read */
    shared_word dropped;                   /* written by the writer */
    shared_word written;                   /* records, written by the writer */
    shared_word called; /* written by the writer: `head` when it last called the reader */
    _Alignas(CACHE_LINE)
        shared_word tail; /* written by the reader: the end of what may be overwritten */
    shared_word broken;   /* written by the reader: times it met what no writer writes */
    _Alignas(4096) unsigned char bytes[RING_BYTES];
};

/* One for each seat, sparse: made within a load, found otherwise; index it by seat. NULL as region_table. */
struct ring *rings_table(struct region *r) MUST_USE;

/* The writer: room for a record of at most `len` bytes (at most RING_RECORD_MAX), aligned to 8. NULL: full, counted. */
void *ring_reserve(struct ring *ring, uint32_t len) MUST_USE;
/* The writer: the record that was reserved is written; it has `len` bytes, at most what was reserved and at least 1.
 * returns  true when the ring has just passed half: ring the reader's bell, once */
bool ring_commit(struct ring *ring, uint32_t len);
/* Both at once. False in *half if it was dropped. */
static inline bool ring_put(struct ring *ring, const void *record, uint32_t len, bool *half)
{
    void *to = ring_reserve(ring, len);

    *half = false;
    if (!to)
        return false;
    __builtin_memcpy(to, record, len);
    *half = ring_commit(ring, len);
    return true;
}

/* The reader: where it left off. */
uint64_t ring_begin(const struct ring *ring);
/* The reader: the record at *at, and *at moves behind it. Valid until ring_done passes it. False: no more. */
bool ring_next(struct ring *ring, uint64_t *at, struct str *record);
/* The reader: everything before `at` has been written where it belongs. */
void ring_done(struct ring *ring, uint64_t at);
/* Bytes waiting. */
uint64_t ring_waiting(const struct ring *ring);

#endif
