/* Seats: who is alive. Whatever is indexed per process is indexed by seat.
 *
 * A process claims the lowest free seat by CAS and keeps it until it dies; the master, which reaps it,
 * retires the seat, gives back what the dead one held (holds, probes), and then frees it. A seat's columns
 * (rows, ring) stay as they are for the next holder, who goes on adding. During a binary upgrade two sets
 * of workers live at once, so a slot may exist twice, a seat never.
 */
#ifndef SHM_SEATS_H
#define SHM_SEATS_H

#include "shm/region.h"

#define SEATS_MAX 128
#define SEAT_NONE UINT32_MAX

enum seat_role { SEAT_WORKER = 1, SEAT_CARETAKER = 2, SEAT_OTHER = 3 };
enum seat_state {
    SEAT_FREE,
    SEAT_ENTERED, /* claimed; its words are being written */
    SEAT_ALIVE,
    SEAT_RETIRED /* its process is dead; the master is giving back what it held */
};

struct seat {
    _Alignas(CACHE_LINE) shared_word owner; /* pid:32 slot:16 role:8 state:8 */
    shared_word heartbeat_ns;
    shared_word oldest_generation; /* that it may still touch; 0: all */
    shared_word since_ns;
    shared_word holders; /* how many have had this seat */
};

struct seats_shared {
    _Alignas(CACHE_LINE) shared_word high; /* seats from here on have never been used */
    struct seat seat[SEATS_MAX];
};

/* A copy of a seat's words, for pages and the watch. */
struct seat_view {
    int pid;
    uint32_t slot;
    enum seat_role role;
    enum seat_state state;
    uint64_t heartbeat_ns, oldest_generation, since_ns, holders;
};

/* The gateway's seats: made within a load, found otherwise. NULL as region_table. */
struct seats_shared *seats_table(struct region *r) MUST_USE;

/* A process takes a seat for itself. `oldest` is the generation that it is about to build or already has.
 * returns  the seat, or SEAT_NONE when all are taken */
uint32_t seats_claim(struct seats_shared *s, int pid, enum seat_role role, uint32_t slot,
                     uint64_t oldest, uint64_t now_ns) MUST_USE;
/* Its owner: I live, once a turn or so. */
void seats_beat(struct seats_shared *s, uint32_t seat, uint64_t now_ns);
/* Its owner: from now on I touch no table that only older loads named. */
void seats_hold_since(struct seats_shared *s, uint32_t seat, uint64_t oldest);

/* Master: the process is dead. Returns its seat, now RETIRED: nobody's, yet not to be claimed; SEAT_NONE if it had none.
 * Call again until SEAT_NONE if a process may have had several. Then give back what the seat held, then seats_free. */
uint32_t seats_retire(struct seats_shared *s, int pid);
void seats_free(struct seats_shared *s, uint32_t seat);

struct seat_view seats_view(const struct seats_shared *s, uint32_t seat);
/* The lowest living seat of this role from `from` on, or SEAT_NONE. */
uint32_t seats_find(const struct seats_shared *s, enum seat_role role, uint32_t from);
/* What no seat holds is older than this. UINT64_MAX when nobody lives; 0 when somebody is just sitting down. A process
 * that was forked and has not yet claimed its seat is not seen: do not sweep while a child is starting. */
uint64_t seats_oldest_generation(const struct seats_shared *s);

/* How many seats were ever used: sums over seats go up to here, and touch no page that was never written. */
static inline uint32_t seats_high(const struct seats_shared *s)
{
    /* seq_cst: a holder raised it before it wrote its first number, see holds */
    return (uint32_t)word_see(&s->high);
}

#endif
