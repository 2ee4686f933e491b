/* Sliding log: the time of each request that was let pass is kept as long as it counts.
 *
 * Beside the cell of a key lie its stamps: [life:14 | given back:1 | microseconds:49]. A stamp counts while it is of this
 * life, less than a period old and not given back; the others are free places. The cell's word is
 * [life:32 | high:8 | changes:24].
 *
 * To admit is to count the stamps and see that the word is still the same, so that they are those of its life; to put
 * a stamp on a free place, by a compare and swap that fails if anybody else has; and then to move the word on by one
 * change, by the compare and swap that includes the key. That fails if anybody has admitted anything since the stamps
 * were counted, or if the cell has gone to another key: then the stamp is taken back and all is looked at anew. So of
 * those that count at one time none is ever too many, whoever is killed between any two instructions: a stamp without
 * a change counts against its key for one period, a change without a stamp there is not. Whoever fails has seen
 * somebody else succeed. (test/model/sliding_log.pml)
 *
 * Times only go on: who admits takes the latest stamp for now if its own clock is behind. So it must never be forgotten how
 * late it has been, or a process that was stopped for long would admit anew what its period has had. A stamp is overwritten
 * only by a later one; who takes its stamp back puts there what was there before; what is given back is marked and stays.
 * And it is given back only if it is still there: after its period its place may be another's, which is not to be freed
 * for it. So there are never more than `count` stamps of admitted requests in any period, whatever the clocks and
 * whenever something is given back. (test/model/sliding_log_times.pml)
 *
 * A cell that is taken over begins a new life, by which the stamps of its predecessor are told apart. `high` is
 * the largest count that the limit has had in this life: a smaller one still has to heed the places above it.
 */
#include "ratelimit/sliding_log.h"

#include <stdlib.h>

#include "gateway/base/number.h"
#include "ratelimit/limiter.h"

#define TIME_BITS  49 /* 17 years */
#define TIME_MASK  ((UINT64_C(1) << TIME_BITS) - 1)
#define GIVEN_BACK (UINT64_C(1) << TIME_BITS)
#define LIFE_BITS  14
#define LIFE_MASK  (~(TIME_MASK | GIVEN_BACK))
#define LIFE_SHIFT 32
#define HIGH_SHIFT 24
#define HIGH_MASK  UINT64_C(0xff)
#define CHANGES    ((UINT64_C(1) << HIGH_SHIFT) - 1)
#define SKEW_US    UINT64_C(600000000) /* no clock, read once a turn, is that old */
#define IDLE_SLACK NS_PER_S
#define TAG        1 /* of all its cells: times mean the same under every limit */

_Static_assert(SLIDING_LOG_STAMPS <= HIGH_MASK, "high has a place in the word");

bool limit_log_table(struct region *r, struct str name, size_t keys, struct limit_log *out)
{
    if (!cells_table(r, name, keys, &out->cells))
        return false;
    out->stamps = region_words(r, name, cells_capacity(&out->cells) * SLIDING_LOG_STAMPS);
    return out->stamps != NULL;
}

bool limit_log_look(struct region *r, struct str name, struct limit_log *out)
{
    if (!cells_table_look(r, name, &out->cells))
        return false;
    out->stamps = region_words(r, name, cells_capacity(&out->cells) * SLIDING_LOG_STAMPS);
    return out->stamps != NULL;
}

static const char *cannot(const struct limit *l)
{
    return l->count > SLIDING_LOG_STAMPS ? "a log keeps no more than 128 requests of a client; "
                                           "sliding_window has no such bound"
                                         : NULL;
}

static uint64_t idle_ns(const struct limit *l)
{
    return l->per_ns + IDLE_SLACK;
}

static uint64_t at_once(const struct limit *l)
{
    return l->count;
}

/* ---- looking ---------------------------------------------------------------------------------- */

struct log_place {
    shared_word *at;
    uint64_t seen;
};

/* A log at some moment. */
struct reading {
    uint64_t life;   /* in its place in a stamp */
    uint64_t now_us; /* the future is now: the latest stamp, if a colleague's clock is ahead */
    size_t used;
    uint64_t times[SLIDING_LOG_STAMPS]; /* of those that count, `used` of them, in no order */
    size_t free_count;
    struct log_place free[SLIDING_LOG_STAMPS];
};

static uint64_t word_life(uint64_t word)
{
    /* never 0: a place that was never used is of no life */
    return ((word >> LIFE_SHIFT) % ((UINT64_C(1) << LIFE_BITS) - 1) + 1) << (64 - LIFE_BITS);
}

static size_t word_high(uint64_t word)
{
    size_t high = (word >> HIGH_SHIFT) & HIGH_MASK;

    return high < SLIDING_LOG_STAMPS ? high : SLIDING_LOG_STAMPS;
}

static uint64_t latest_of(const shared_word *stamps, size_t high, uint64_t life, uint64_t now_us)
{
    uint64_t latest = now_us;

    for (size_t i = 0; i < high; i++) {
        uint64_t stamp = word_peek(&stamps[i]), us = stamp & TIME_MASK;

        if ((stamp & LIFE_MASK) == life && us > latest && us - now_us <= SKEW_US)
            latest = us; /* given back or not */
    }
    return latest;
}

static void read_log(struct reading *r, shared_word *stamps, uint64_t word, size_t count,
                     uint64_t per_us, uint64_t now_us)
{
    size_t high = word_high(word);

    r->life = word_life(word);
    r->used = r->free_count = 0;
    r->now_us = latest_of(stamps, high, r->life, now_us);
    for (size_t i = 0; i < high; i++) {
        /* acquire: the word is looked at again after this */
        uint64_t stamp = word_read(&stamps[i]), us = stamp & TIME_MASK;

        /* later than `now_us`: put there since we looked for the latest, or garbage */
        if ((stamp & ~TIME_MASK) == r->life && /* and not given back */
            (us <= r->now_us ? r->now_us - us < per_us : us - r->now_us <= SKEW_US))
            r->times[r->used++] = us;
        else if (i < count)
            r->free[r->free_count++] = (struct log_place){ &stamps[i], stamp };
    }
}

static int by_time(const void *a, const void *b)
{
    const uint64_t *one = a, *other = b;

    return (*one > *other) - (*one < *other);
}

/* The decision for `amount`, before anything is taken. */
static struct decision judge(struct reading *r, uint64_t count, uint64_t amount, uint64_t per_us,
                             uint64_t now_us)
{
    struct decision d = { .allowed = amount == 0 || r->used + amount <= count,
                          .at_ns = r->now_us * NS_PER_US,
                          .remaining = r->used < count ? count - r->used : 0 };
    size_t leaving = d.allowed ? 0 : r->used + amount - count; /* that have to leave first */
    uint64_t latest = 0, which = 0;

    if (amount > count)
        d.retry_ns = RETRY_NEVER;
    else if (leaving > 0) {
        if (leaving == 1) {
            which = r->times[0];
            for (size_t i = 1; i < r->used; i++)
                which = r->times[i] < which ? r->times[i] : which;
        } else {
            qsort(r->times, r->used, sizeof *r->times, by_time);
            which = r->times[leaving - 1];
        }
        d.retry_ns = (which + per_us - now_us) * NS_PER_US;
    }
    for (size_t i = 0; i < r->used; i++)
        latest = r->times[i] > latest ? r->times[i] : latest;
    if (r->used)
        d.reset_ns = (latest + per_us - now_us) * NS_PER_US;
    return d;
}

/* ---- taking ----------------------------------------------------------------------------------- */

/* Take stamps back, and let stand what was there before; one that is not there any more was given back in the place of
 * somebody else's of the same moment, and says that moment still. */
static void take_back(const struct reading *r, uint64_t stamp, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t seen = stamp;

        (void)word_swap(r->free[i].at, &seen, r->free[i].seen);
    }
}

static bool put_stamps(struct reading *r, uint64_t stamp, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!word_swap(r->free[i].at, &r->free[i].seen, stamp)) {
            take_back(r, stamp, i);
            return false;
        }
    return true;
}

static bool is_life_of_any(const shared_word *stamps, uint64_t life)
{
    for (size_t i = 0; i < SLIDING_LOG_STAMPS; i++)
        if ((word_peek(&stamps[i]) & LIFE_MASK) == life)
            return true;
    return false;
}

/* A new life: any number that no predecessor had whose stamps still lie there. */
static uint64_t word_of_new_life(const struct limiter *l, const shared_word *stamps, uint64_t key,
                                 uint64_t now_us)
{
    const uint64_t seed[] = { key, now_us };
    uint64_t word = (hash_keyed(&l->key, seed, sizeof seed) | 1) << LIFE_SHIFT;

    while (word == 0 || is_life_of_any(stamps, word_life(word)))
        word += UINT64_C(1) << LIFE_SHIFT;
    return word;
}

/* The first of a life, or a count that is larger than all before it. */
static uint64_t word_with_room(const struct limiter *l, const shared_word *stamps, uint64_t word,
                               uint64_t key, uint64_t now_us)
{
    uint64_t high;

    if (UNLIKELY(word == 0))
        word = word_of_new_life(l, stamps, key, now_us);
    high = word_high(word);
    if (high < l->limit.count)
        high = l->limit.count;
    return (word & ~(HIGH_MASK << HIGH_SHIFT)) | high << HIGH_SHIFT;
}

static uint64_t next_change(uint64_t word)
{
    return (word & ~CHANGES) | ((word + 1) & CHANGES);
}

/* Stamps of that very moment: ours, or others' that say the same. */
static void give_back(shared_word *stamps, uint64_t word, uint64_t then_us, uint64_t given)
{
    uint64_t stamp = word_life(word) | (then_us & TIME_MASK);

    for (size_t i = 0; i < word_high(word) && given > 0; i++) {
        uint64_t seen = word_peek(&stamps[i]);

        if (seen == stamp && word_swap(&stamps[i], &seen, stamp | GIVEN_BACK))
            given--;
    }
}

static struct cell *find(const struct limiter *l, uint64_t key, bool takes, uint64_t now_ns,
                         struct cell_pair *seen)
{
    if (takes)
        return cells_find(&l->cells, key, TAG, now_ns, l->when_full == FULL_EVICT, seen);
    return cells_look(&l->cells, key, seen);
}

static struct decision without_cell(const struct limiter *l, int32_t cost)
{
    struct reading r = { .used = 0 };
    struct decision d = judge(&r, l->limit.count,
                              cost < 0    ? 0
                              : cost == 0 ? 1
                                          : (uint64_t)cost,
                              l->limit.per_ns / NS_PER_US, 0);

    if (cost > 0 && d.allowed)
        d.remaining -= (uint64_t)cost;
    if (l->when_full == FULL_DENY && cost > 0)
        d = (struct decision){ .retry_ns = l->limit.per_ns };
    return d;
}

struct decision sliding_log_take(const struct limiter *l, uint64_t key, int32_t cost,
                                 uint64_t now_ns)
{
    uint64_t count = l->limit.count, per_us = l->limit.per_ns / NS_PER_US;
    uint64_t now_us = (now_ns + NS_PER_US - 1) / NS_PER_US; /* up: it counts a little longer */
    uint64_t amount = cost > 0 ? (uint64_t)cost : cost == 0 ? 1 : 0;
    struct reading r;
    struct decision d;
    struct cell_pair seen;
    struct cell *cell = find(l, key, cost > 0, now_ns, &seen);

    while (cell) {
        shared_word *stamps =
            l->stamps + (size_t)(cell - l->cells.shared->cell) * SLIDING_LOG_STAMPS;
        struct cell_pair next = seen;
        uint64_t stamp;

        if (cost > 0) {
            cell_keep(cell, now_ns + l->idle_ns, CELLS_AHEAD_NS);
            next.word = word_with_room(l, stamps, seen.word, key, now_us);
            if (next.word != seen.word) {
                if (cell_swap(cell, &seen, next))
                    seen = next;
                else if (cell_is_lost(&seen, key))
                    cell = find(l, key, true, now_ns, &seen);
                continue;
            }
        } else if (cost < 0) {
            give_back(stamps, seen.word, now_us, (uint64_t) - (int64_t)cost);
            cost = 0; /* once */
        }
        read_log(&r, stamps, seen.word, count, per_us, now_us);
        /* Of this life? In a later one its stamps look like free places to us. No life has the word of another. */
        if (word_peek(&cell->word) != seen.word) {
            cell = find(l, key, cost > 0, now_ns, &seen);
            continue;
        }
        d = judge(&r, count, amount, per_us, now_us);
        if (cost <= 0 || !d.allowed)
            return d;
        stamp = r.life | (r.now_us & TIME_MASK);
        next.word = next_change(seen.word);
        if (r.free_count >= amount && put_stamps(&r, stamp, amount)) {
            if (cell_swap(cell, &seen, next)) {
                d.remaining -= amount;
                d.reset_ns = (r.now_us + per_us - now_us) * NS_PER_US;
                return d;
            }
            take_back(&r, stamp, amount);
            if (!cell_is_lost(&seen, key))
                continue;
        }
        cell = find(l, key, true, now_ns, &seen);
    }
    return without_cell(l, cost);
}

const struct algorithm sliding_log = {
    .name = "sliding_log",
    .doc = "Exactly so many in any second, minute, hour or day before now, at most 128, each "
           "remembered by itself. The burst is not used.",
    .keeps_log = true,
    .cannot = cannot,
    .idle_ns = idle_ns,
    .at_once = at_once,
};
