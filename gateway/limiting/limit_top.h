/* What people may want to know of a limit while it works, of a rate or of so many at once: what it is, whom it refuses,
 * whom it takes.
 *
 * Under the limit's name lie a few words in the region: which algorithm and numbers it has. So a load that changes them
 * can say what becomes of the state, and `sluice limits` shows the limits of whatever runs, not of a file. Who is refused
 * and taken is noted in the sketches of shm/top.h; a name is only made for who has no place there yet.
 */
#ifndef GATEWAY_LIMITING_LIMIT_TOP_H
#define GATEWAY_LIMITING_LIMIT_TOP_H

#include "gateway/exchange/builder.h"
#include "gateway/exchange/exchange.h"
#include "gateway/exchange/local.h"
#include "gateway/exchange/shared.h"
#include "gateway/limiting/limit_key.h"

/* In a table of kind TABLE_LIMIT, whose name is the limit's. */
enum limit_word {
    LIMIT_ID,       /* in the sketches; 0: nobody has used it yet */
    LIMIT_MEANING,  /* limiter_meaning */
    LIMIT_IN_STORE, /* 1: it is counted outside, and nobody here knows what is left */
    LIMIT_NOTED,    /* master: the load that has told of a change, in words.reloads + 1 */
    LIMIT_READ,     /* master: the load that has read it last, likewise … */
    LIMIT_READ_AS,  /* … and its meaning there */
    LIMIT_PLACES,   /* limit_places_pack; 0: it is a rate */
    LIMIT_WORDS = CACHE_LINE / sizeof(shared_word)
};

/* Const after the build. */
struct limit_top {
    shared_word *words;
    uint64_t id, meaning, in_store, places;
};

/* So many of a key at once, and so many more may wait. */
struct limit_places {
    uint64_t max, queue; /* up to PLACES_MOST */
    uint64_t min;        /* of a limit that moves; 0: it does not */
};

uint64_t limit_places_pack(const struct limit_places *p);
/* False: the word is of a limit of another kind. */
bool limit_places_read(uint64_t word, struct limit_places *p) MUST_USE;

/* name      of the state
 * in_store  it is not counted by `l` but outside
 * returns   NULL, or why it cannot be, for people
 * The master says what a change does to the state, and warns where one limit is said in two ways. */
const char *limit_top_build(struct limit_top *t, struct builder *b, struct str name,
                            const struct limiter *l, bool in_store) MUST_USE;

/* The same for a limit of so many at once, whose keys lie in shm/places. What is held still counts, whatever changes, so
 * nothing is said. `id` stands for its name in the sketches. */
const char *limit_top_build_places(struct limit_top *t, struct builder *b, struct str name,
                                   uint64_t id, const struct limit_places *places) MUST_USE;

/* "token_bucket 100/s burst 200" */
struct str limit_top_describe(struct arena *a, const struct algorithm *algorithm,
                              const struct limit *limit);

void limit_top_note(const struct limit_top *t, struct exchange *x, enum top_kind kind,
                    const struct limit_key *who, const struct limiter *l, uint64_t key, uint32_t n,
                    uint64_t now_ns);

/* The client with this key has been taken, or refused. `now_ns` is region_now(). */
static inline void limit_top_saw(const struct limit_top *t, struct exchange *x, enum top_kind kind,
                                 const struct limit_key *who, const struct limiter *l, uint64_t key,
                                 uint64_t now_ns)
{
    uint32_t n = top_turn(&x->local->shared->top, kind, now_ns);

    if (UNLIKELY(n > 0))
        limit_top_note(t, x, kind, who, l, key, n, now_ns);
}

#endif
