/* Top: which clients were refused most lately, and which were taken, by name. Cells know their keys as hashes only.
 *
 * A sketch of the heavy ones (Space-Saving: Metwally, Agrawal and El Abbadi 2005): there are few places, and a newcomer
 * gets that of whoever has least and begins with what that one had; it is remembered as not its own. So whoever has much is
 * there for sure, and of each is known what it has had at least. What was long ago counts less: half after eight
 * seconds. Each score is kept as a logarithm of what it would be worth at the birth of the region (forward decay: Cormode and
 * others 2009), so that nothing has to be faded: scores of any two moments are compared as they are.
 *
 * Each seat has its own sketches, written by the process that sits there and by nobody else, and read by anybody; limits
 * share them out by their names, so that a busy one leaves a quiet one its places. A busy process notes only some of what
 * happens, each of them for as many as there were since the last. No locks; who is killed in the middle leaves one place that
 * is not read until it is written again.
 */
#ifndef SHM_TOP_H
#define SHM_TOP_H

#include "gateway/base/random.h"
#include "shm/region.h"
#include "shm/seats.h"

#define TOP_PLACES 64  /* of a sketch */
#define TOP_SETS   32  /* of sketches, of each kind and seat: 512 KiB, as far as they are used */
#define TOP_TEXT   48  /* bytes of a name */
#define TOP_EXACT  256 /* events in a second that are all noted */
#define TOP_GAP    32  /* of those beyond, one in so many */

enum top_kind { TOP_REFUSED, TOP_TAKEN, TOP_KINDS };

struct top_place {
    shared_word sequence; /* odd while the rest changes hands, 0: never used */
    shared_word limit;
    shared_word total;   /* since it has this place */
    shared_word not_own; /* score of whoever had the place before */
    shared_word text[TOP_TEXT / 8];
};

struct top_set {
    _Alignas(CACHE_LINE) shared_word key[TOP_PLACES]; /* 0: free */
    shared_word score[TOP_PLACES];                    /* bits of a double, never negative */
    struct top_place place[TOP_PLACES];
};

struct top_seat {
    struct top_set sets[TOP_KINDS][TOP_SETS];
};

/* Which events are noted. */
struct top_turn {
    uint32_t left, gap;
    uint32_t exact;    /* that are still noted each in this second */
    uint64_t until_ns; /* its end */
};

/* This process's view; not to be copied. */
struct top {
    struct top_seat *seats;
    struct top_turn turns[TOP_KINDS];
    struct random random;
};

/* The table: made within a load, found otherwise. False as region_table. */
bool top_table(struct region *r, struct top *out) MUST_USE;

uint32_t top_turn_ends(struct top *t, enum top_kind kind, uint64_t now_ns);

/* Something has happened: for how many does it stand? 0: it is not noted. `now_ns` is region_now() of the loop's clock. */
static inline uint32_t top_turn(struct top *t, enum top_kind kind, uint64_t now_ns)
{
    struct top_turn *turn = &t->turns[kind];

    if (LIKELY(turn->left > 1 && now_ns < turn->until_ns)) {
        turn->left--;
        return 0;
    }
    return top_turn_ends(t, kind, now_ns);
}

/* `n` events of a client under a limit (both are hashes). `seat` is the caller's own.
 * returns  false: it has no place yet; take one with top_enter */
bool top_count(struct top *t, uint32_t seat, enum top_kind kind, uint64_t limit, uint64_t key,
               uint32_t n, uint64_t now_ns) MUST_USE;
/* Who has least makes room. `text` is the client's name, cut at TOP_TEXT; it has no NUL. */
void top_enter(struct top *t, uint32_t seat, enum top_kind kind, uint64_t limit, uint64_t key,
               uint32_t n, uint64_t now_ns, struct str text);

/* Somebody who has a place, as a reader sees it. */
struct top_entry {
    uint64_t limit, key;
    uint64_t total;  /* noted since it has the place */
    double per_s;    /* of late; at least */
    struct str text; /* lies in `bytes` */
    char bytes[TOP_TEXT];
};

/* The next place that is in use from *i on, which begins at 0, of the seats below `seats` (seats_high); false after the last.
 * A client may have a place in each seat. */
bool top_next(const struct top *t, uint32_t seats, enum top_kind kind, uint64_t now_ns, size_t *i,
              struct top_entry *out) MUST_USE;

#endif
