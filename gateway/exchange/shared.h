/* What all processes of the gateway share beside each service's own: counters, rings of records, the cells of
 * limits, and the words that the caretaker keeps about its logs.
 *
 * How large these are was decided by the first configuration and stays so for the life of the region (metrics.buckets,
 * metrics.max_series, shared_memory are CONF_AT_START): it is written down in the region itself, so that a worker that
 * is born after a reload finds the same tables.
 */
#ifndef GATEWAY_EXCHANGE_SHARED_H
#define GATEWAY_EXCHANGE_SHARED_H

#include "gateway/exchange/families.h"
#include "shm/bell.h"
#include "shm/cells.h"
#include "shm/region.h"
#include "shm/ring.h"
#include "shm/rows.h"
#include "shm/top.h"

/* Written by the caretaker alone, shown by the metrics page. */
enum log_word {
    LOG_LINES,    /* access log lines that were written (or handed to the system) */
    LOG_DROPPED,  /* … that were dropped because a log took no more */
    LOG_FAILURES, /* writes that failed */
    LOG_STUCK,    /* access logs that take nothing now */
    LOG_WORDS
};

/* What a process has in hand now: words of its seat, on a cache line of their own, which say nothing when it is dead. */
enum seat_word {
    SEAT_CONNECTIONS, /* of clients */
    SEAT_EXCHANGES,   /* requests being answered */
    SEAT_DELAY_NS, /* how long requests wait for the worker; only while load_shed wants to know */
    SEAT_SHED_PPM, /* the share of them that it sheds */
    SEAT_WORDS = CACHE_LINE / sizeof(shared_word)
};

/* Words of each seat, "store/NAME": 1 while the process there sees the store outside away. */
#define STORE_TABLES "store/"

struct shared {
    struct region *region;
    struct seats_shared *seats;
    struct families_shape shape;
    struct rows_family families[FAMILY_COUNT];
    struct rows rows;
    struct cells limits;
    struct top top;             /* whom the limits have refused and taken, by name */
    struct ring *rings;         /* by seat */
    struct bell_topic *records; /* the caretaker wants to know: a ring has passed half */
    shared_word *logs;          /* by enum log_word */
    shared_word *in_hand;       /* [seat * SEAT_WORDS + enum seat_word] */
};

/* Master, within each load: makes the tables, or names them again. Others: g is NULL and the tables are found.
 * returns  NULL: within a load, no room; otherwise, there are none */
struct shared *shared_open(struct region *r, const struct conf_globals *g) MUST_USE;
/* The view ends, not what is shared. NULL is allowed. */
void shared_close(struct shared *s);

#endif
