/* Cells: words found by key, in a table of fixed size. One table serves all limits of the gateway.
 *
 * A cell is {key, word, idle_at}. Key and word change together, by one 16-byte compare and swap: the key
 * guards the word. So a cell is taken over by a newcomer in one step, nobody ever sees the word of a
 * predecessor, a process may be killed between any two instructions, and a change meant for a key cannot
 * hit its successor. (In two 8-byte steps, in whatever order, there is a gap in which an update of the old
 * owner lands in the new owner's word.)
 *
 * A key is a keyed 64-bit hash: its low bits choose the probe group, its upper 48 bits are compared. The low
 * 13 bits of a stored key are a tag instead, which its user changes with the word: under which parameters
 * the word is meant. The three above them are the table's own, until the first word is written. `idle_at` says when the word will mean as little as none, so that anybody may take the
 * cell then; it is advice, written before the word is.
 *
 * A probe group is two cache lines, four cells; a key lives in one of two groups of the same page, or nowhere. When none of
 * the eight is idle, the caller's rule decides: evict the one idle soonest, or do without; both are counted. Half full, a
 * table has a place for all but three in ten thousand.
 */
#ifndef SHM_CELLS_H
#define SHM_CELLS_H

#include "shm/region.h"

#define CELLS_GROUP    4
#define CELLS_TAGS     8192
#define CELLS_TAG_MASK UINT64_C(0xffff) /* of a key: what is not the hash */
/* What busy cells may be kept too long: they say so four times a second, not at each change. */
#define CELLS_AHEAD_NS UINT64_C(250000000)
/* How old the clock of a process may be that was stopped in the middle of a turn. */
#define CELLS_SKEW_NS  UINT64_C(600000000000)

struct cell {
    _Alignas(16) shared_word key; /* upper 48 bits of the hash, tag; without both: free */
    shared_word word;
    shared_word idle_at_ns;
    shared_word
        spare; /* for who uses the cell; the key does not guard it, so it is advice (ratelimit/shares.h) */
};

struct cells_shared {
    _Alignas(CACHE_LINE) shared_word used;      /* cells that have a key */
    _Alignas(CACHE_LINE) shared_word takeovers; /* of idle cells */
    shared_word evictions;                      /* of cells that were not idle */
    shared_word full;                           /* lookups that found no place and did not evict */
    _Alignas(CACHE_LINE) shared_word meaning[CELLS_TAGS]; /* by tag; 0: not given yet */
    _Alignas(4096) struct cell cell[]; /* so that both groups of a key share a page */
};

/* This process's view; may be copied. */
struct cells {
    struct cells_shared *shared;
    size_t groups; /* a power of two */
};

/* Both halves of a cell at one moment. */
struct cell_pair {
    uint64_t key, word;
};

/* A table of at least `capacity` cells: made within a load, found otherwise. False as region_table. */
bool cells_table(struct region *r, struct str name, size_t capacity, struct cells *out) MUST_USE;
/* The table of this name, whatever its capacity, where it cannot be made: in a region that is only looked at. */
bool cells_table_look(const struct region *r, struct str name, struct cells *out) MUST_USE;
/* How many cells there are. */
size_t cells_capacity(const struct cells *c);

/* The cell of the key with this hash, as it was a moment ago in *seen; a new one has word 0 and this tag, which is not
 * 0. When both groups are full: `evict` takes the cell that is idle soonest, else NULL. */
struct cell *cells_find(const struct cells *c, uint64_t hash, uint64_t tag, uint64_t now_ns,
                        bool evict, struct cell_pair *seen) MUST_USE;
/* The same without making one: NULL if the key has no word but 0. */
struct cell *cells_look(const struct cells *c, uint64_t hash, struct cell_pair *seen) MUST_USE;
/* Change both halves at once. On failure *seen is what is there now: see cell_is_lost. */
bool cell_swap(struct cell *cell, struct cell_pair *seen, struct cell_pair next) MUST_USE;

/* The tag that stands for this meaning (not 0), the same for everybody as long as the region lives, and back: 0 if the
 * tag was never given. */
uint64_t cells_tag(const struct cells *c, uint64_t meaning);
/* The same without giving one: 0 if the meaning has none. */
uint64_t cells_tag_look(const struct cells *c, uint64_t meaning);
uint64_t cells_meaning(const struct cells *c, uint64_t tag);

/* Is this pair of the key with this hash, whatever its tag? */
static inline bool cell_is_of(const struct cell_pair *pair, uint64_t hash)
{
    return ((pair->key ^ hash) & ~CELLS_TAG_MASK) == 0;
}

/* After a swap that failed: is this no cell to go on with, so that the key has to be looked for again? One that holds
 * nothing may be one of several; cells_find sees to that. */
static inline bool cell_is_lost(const struct cell_pair *pair, uint64_t hash)
{
    return !cell_is_of(pair, hash) || pair->word == 0;
}

static inline uint64_t cell_tag(const struct cell_pair *pair)
{
    return pair->key & (CELLS_TAGS - 1);
}

/* Before the word is changed: it will not be idle before `at_ns`, and perhaps not for `ahead_ns` more, so that not every
 * change has to say so anew. What is much later was left by a predecessor; clocks differ by less. */
static inline void cell_keep(struct cell *cell, uint64_t at_ns, uint64_t ahead_ns)
{
    uint64_t seen = word_peek(&cell->idle_at_ns);

    /* Swapped, not stored: who is stopped between the look and the store would, seconds later, make a busy cell idle. */
    while ((seen < at_ns || seen - at_ns > CELLS_SKEW_NS) &&
           !word_swap(&cell->idle_at_ns, &seen, at_ns + ahead_ns))
        ;
}

static inline void cell_keep_until(struct cell *cell, uint64_t at_ns)
{
    cell_keep(cell, at_ns, 0);
}

#endif
