/* Holds: how much of something is held right now, over all processes: exchanges in flight, concurrency,
 * retries. Never lets in more than the maximum; may now and then refuse two that race for the last place.
 *
 * Each entry is one small number per seat. To take is to add to one's own number, sum all, and give back
 * if the sum is too high. Because both steps are sequentially consistent, of two that race at least one
 * sees the other. A dead holder's numbers are zeroed by the master before its seat is free again.
 */
#ifndef SHM_HOLDS_H
#define SHM_HOLDS_H

#include "shm/region.h"
#include "shm/seats.h"

struct holds_shared {
    _Alignas(CACHE_LINE) shared_half held[SEATS_MAX]; /* one entry */
};

/* This process's view; may be copied. */
struct holds {
    struct holds_shared *entries;
    const struct seats_shared *seats;
    size_t count;
};

/* A table of `count` entries: made within a load, found otherwise; the seats' table must be there. False as region_table. */
bool holds_table(struct region *r, struct str name, size_t count, struct holds *out) MUST_USE;

/* Take one of at most `max`; false: all are held. `seat` is the caller's own. */
bool holds_take(const struct holds *h, uint32_t seat, size_t entry, uint32_t max) MUST_USE;
/* Take one though there may be many: only to be counted. */
void holds_add(const struct holds *h, uint32_t seat, size_t entry);
/* Give one back that was taken. */
void holds_give(const struct holds *h, uint32_t seat, size_t entry);
/* How many are held. */
uint64_t holds_sum(const struct holds *h, size_t entry);

/* Master, seat retired: what it held in any table of the region is free. */
void holds_retire_seat(struct region *r, uint32_t seat);

#endif
