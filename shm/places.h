/* Places: how many of a key are taken right now, and how many wait for one, over all processes. Never are more
 * taken than the maximum, whoever is killed where.
 *
 * Each seat has a column of its own that nobody else writes: groups of ways, a way being {key, waiting, taken} in
 * one word. A key belongs to one group; where it has a way there, its owner has taken some or waits; a way without
 * either is free for another key. So nothing is ever taken over from anybody. To take is to add to one's own way, sum
 * the ways of this key in all columns, and give back if that is too much: as both steps are sequentially consistent,
 * of two that race at least one sees the other. What a dead process had is a column, which the master clears.
 *
 * Who waits tells since when its first one waits. Who gives a place back looks who has waited longest and calls that
 * one: one place, one process woken, and the place is promised to it. A promise holds for PLACES_PATIENCE_NS; who has
 * not come by then is passed over, so that one that hangs holds up nobody. A call that is lost with its caller costs the
 * waiter its timeout.
 */
#ifndef SHM_PLACES_H
#define SHM_PLACES_H

#include "shm/bell.h"
#include "shm/region.h"
#include "shm/seats.h"

#define PLACES_GROUPS      4096
#define PLACES_NUMBERS     64    /* a divisor of PLACES_GROUPS */
#define PLACES_WAYS        8     /* keys of one group that one process can have at a time */
#define PLACES_MOST        65000 /* of one key; also of those that wait */
#define PLACES_PATIENCE_NS UINT64_C(10000000)

struct places_group {
    _Alignas(CACHE_LINE) shared_word way[PLACES_WAYS]; /* key:32 waiting:16 taken:16 */
    shared_word since_ns[PLACES_WAYS];                 /* its first one waits; only if any does */
};

struct places_shared {
    _Alignas(CACHE_LINE) shared_word full; /* times that a key found no free way */
    struct {
        _Alignas(CACHE_LINE) shared_word calls; /* a bit for some of the groups: come and look */
        shared_word called_ns;                  /* … since then, if there are any */
    } seat[SEATS_MAX];
    struct places_group group[SEATS_MAX][PLACES_GROUPS];
};

/* This process's view; may be copied. */
struct places {
    struct places_shared *shared;
    const struct seats_shared *seats;
};

enum places_result {
    PLACES_GOT,
    PLACES_NONE, /* as many as there may be have it */
    PLACES_FULL  /* its group has no way free for this key; counted */
};

/* Of one key, at about one moment. */
struct places_view {
    uint64_t taken, waiting;
    uint64_t promised; /* places for those who were called and are coming */
    uint32_t next;     /* whose turn it is when there is one more; SEAT_NONE: nobody's */
    bool next_is_late; /* it was called and has not come, and so it is with all others that wait */
};

/* The table: made within a load, found otherwise; the seats' table must be there. False as region_table. */
bool places_table(struct region *r, struct str name, struct places *out) MUST_USE;

/* `seat` is the caller's own everywhere; `key` is a keyed hash. One process does one thing at a time. */

/* A newcomer takes one of at most `max`, unless those that wait will need all that are left. */
enum places_result places_take(const struct places *p, uint32_t seat, uint64_t key,
                               uint64_t max) MUST_USE;
/* A newcomer waits; at most `most` do. `now_ns` matters if it is the first here. */
enum places_result places_wait(const struct places *p, uint32_t seat, uint64_t key, uint64_t most,
                               uint64_t now_ns) MUST_USE;
/* A newcomer that may not wait takes one of at most `max`, past those who were called and do not come. */
enum places_result places_take_past(const struct places *p, uint32_t seat, uint64_t key,
                                    uint64_t max, uint64_t now_ns) MUST_USE;
/* One that waits here takes one of at most `max`: both in one step. */
bool places_advance(const struct places *p, uint32_t seat, uint64_t key, uint64_t max) MUST_USE;
/* One that waited here has left. */
void places_leave(const struct places *p, uint32_t seat, uint64_t key);
/* Who is the first here now has waited since then. */
void places_first_since(const struct places *p, uint32_t seat, uint64_t key, uint64_t since_ns);
/* Give one back that was taken. */
void places_give(const struct places *p, uint32_t seat, uint64_t key);

/* As `seat` sees it, which needs not be called itself. Times as of clock_now_ns(). */
struct places_view places_look(const struct places *p, uint32_t seat, uint64_t key,
                               uint64_t now_ns);

/* There is a place of `key` for `to`: have it come and look. */
void places_call(const struct places *p, const struct bells *bells, uint32_t to, uint64_t key,
                 uint64_t now_ns);
/* Called: take the calls, a bit for each number that keys have. Then serve every key whose bit is set. */
uint64_t places_calls(const struct places *p, uint32_t seat);

/* By which number a key is called. */
static inline unsigned places_number(uint64_t key)
{
    return (unsigned)(key % PLACES_NUMBERS);
}

/* Master, seat retired: what it had in any table of the region is free. */
void places_retire_seat(struct region *r, uint32_t seat);
/* … and afterwards, everybody who lives is to look: it may be for them. */
void places_call_all(struct region *r, const struct bells *bells);

#endif
