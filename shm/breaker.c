/* The state word and its history.
 *
 *   closed      | state:2 | backoff:4 | since:40 ms              | failures in a row:18      |
 *   open        | state:2 | backoff:4 | until:40 ms              | 0                         |
 *   half open   | state:2 | backoff:4 | the probe's deadline:40  | successes:10 | seat + 1:8 |   seat 0: no probe is out
 *   window      | epoch:22 | ok:14 | failed:14 | slow:14 |
 *
 * 40 bits of milliseconds are 34 years. A counter of a window that is full halves all three, which keeps
 * their shares. While the breaker is closed and the service answers, nothing is written but the window,
 * and that only if a share is configured.
 */
#include "shm/breaker.h"

#include "gateway/base/number.h"

#define AT_BITS     40
#define REST_BITS   18
#define SEAT_BITS   8
#define BACKOFF_MAX 15U
#define RUN_MAX     ((1U << REST_BITS) - 1)
#define WIN_MAX     1023U
#define COUNT_BITS  14
#define COUNT_MAX   ((UINT64_C(1) << COUNT_BITS) - 1)
#define EPOCH_MASK  ((UINT64_C(1) << 22) - 1)
#define PROBE_NS    (60 * NS_PER_S)
/* A service may ask for rest, but not for a year. */
#define ASKED_MAX   (300 * NS_PER_S)
/* Who is refused while a probe is out cannot know how long that takes: come back soon. */
#define SOON_NS     NS_PER_S

struct state {
    enum breaker_state state;
    uint32_t backoff;
    uint64_t at_ms;
    uint32_t rest; /* closed: failures in a row. Half open: successes and seat */
};

struct window {
    uint64_t epoch, ok, failed, slow;
};

static struct state state_of(uint64_t word)
{
    uint64_t state = word >> 62;

    return (struct state){ .state = state <= BREAKER_HALF_OPEN ? (enum breaker_state)state
                                                               : BREAKER_CLOSED,
                           .backoff = (uint32_t)(word >> 58) & BACKOFF_MAX,
                           .at_ms = word >> REST_BITS & ((UINT64_C(1) << AT_BITS) - 1),
                           .rest = (uint32_t)word & RUN_MAX };
}

static uint64_t word_of(struct state s)
{
    return (uint64_t)s.state << 62 | (uint64_t)s.backoff << 58 |
           (s.at_ms & ((UINT64_C(1) << AT_BITS) - 1)) << REST_BITS | s.rest;
}

static uint32_t probe_seat(struct state s)
{
    return s.rest & ((1U << SEAT_BITS) - 1); /* seat + 1 */
}

static uint32_t successes(struct state s)
{
    return s.rest >> SEAT_BITS;
}

static uint64_t ms_up(uint64_t ns)
{
    return (ns + NS_PER_MS - 1) / NS_PER_MS;
}

static struct window window_of(uint64_t word)
{
    return (struct window){ word >> 42, word >> 28 & COUNT_MAX, word >> 14 & COUNT_MAX,
                            word & COUNT_MAX };
}

static uint64_t window_word(struct window w)
{
    return w.epoch << 42 | w.ok << 28 | w.failed << 14 | w.slow;
}

static uint64_t epoch_of(const struct breaker_params *p, uint64_t ns)
{
    uint64_t bucket = p->window_ns / BREAKER_WINDOWS;

    return ns / (bucket ? bucket : 1) & EPOCH_MASK;
}

static void window_count(struct breaker *b, const struct breaker_params *p,
                         enum breaker_outcome outcome, uint64_t now_ns)
{
    uint64_t epoch = epoch_of(p, now_ns);
    shared_word *word = &b->window[epoch % BREAKER_WINDOWS];
    uint64_t seen = word_peek(word), next;

    do {
        struct window w = window_of(seen);
        uint64_t *mine;

        /* an older round of this bucket; a newer one is a colleague's whose clock is ahead: the future is now */
        if (((epoch - w.epoch) & EPOCH_MASK) - 1 < EPOCH_MASK / 2)
            w = (struct window){ .epoch = epoch };
        mine = outcome == OUTCOME_FAILED ? &w.failed : outcome == OUTCOME_SLOW ? &w.slow : &w.ok;
        if (*mine == COUNT_MAX)
            w = (struct window){ w.epoch, w.ok / 2, w.failed / 2, w.slow / 2 };
        ++*mine;
        next = window_word(w);
    } while (!word_swap(word, &seen, next));
}

/* Has a share of the window passed its maximum? What came before the breaker closed does not count. */
static bool share_is_bad(const struct breaker *b, const struct breaker_params *p, uint64_t since_ms,
                         uint64_t now_ns)
{
    uint64_t now = epoch_of(p, now_ns), all = 0, failed = 0, slow = 0;
    uint64_t since_ago = (now - epoch_of(p, since_ms * NS_PER_MS)) & EPOCH_MASK;
    bool closed_long_ago = now_ns / NS_PER_MS >= since_ms + p->window_ns / NS_PER_MS;

    for (size_t i = 0; i < BREAKER_WINDOWS; i++) {
        struct window w = window_of(word_peek(&b->window[i]));
        uint64_t ago = (now - w.epoch) & EPOCH_MASK;

        if (ago > EPOCH_MASK / 2)
            ago = 0; /* a colleague's clock is ahead */
        if (ago >= BREAKER_WINDOWS || (!closed_long_ago && ago > since_ago))
            continue;
        all += w.ok + w.failed + w.slow;
        failed += w.failed;
        slow += w.slow;
    }
    if (all == 0 || all < p->at_least)
        return false;
    return (p->failed_percent && failed * 100 >= all * p->failed_percent) ||
           (p->slow_percent && slow * 100 >= all * p->slow_percent);
}

static uint64_t open_time_ns(const struct breaker_params *p, uint32_t backoff)
{
    uint64_t ns = p->open_ns, max = p->open_max_ns > ns ? p->open_max_ns : ns;

    for (uint32_t i = 0; i < backoff && p->backoff > 1 && ns < max; i++)
        if (__builtin_mul_overflow(ns, p->backoff, &ns))
            ns = max;
    return ns < max ? ns : max;
}

static struct state opened(const struct breaker_params *p, struct state from, uint64_t asked_ns,
                           uint64_t now_ns)
{
    uint64_t longest = p->open_max_ns > ASKED_MAX ? p->open_max_ns : ASKED_MAX;
    uint64_t asked = asked_ns < longest ? asked_ns : longest;
    uint64_t open_ns = asked ? asked : open_time_ns(p, from.backoff);

    return (struct state){ .state = BREAKER_OPEN,
                           .backoff = from.backoff < BACKOFF_MAX ? from.backoff + 1 : BACKOFF_MAX,
                           .at_ms = ms_up(now_ns + open_ns) };
}

/* Swap the state; a change of state is counted by whoever made it. -1 or the new state in *changed. */
static bool state_swap(struct breaker *b, uint64_t *seen, struct state next, int *changed)
{
    enum breaker_state was = state_of(*seen).state;

    if (!word_swap(&b->state, seen, word_of(next)))
        return false;
    *changed = was == next.state ? -1 : (int)next.state;
    if (*changed == BREAKER_OPEN)
        word_add(&b->opened, 1);
    else if (*changed == BREAKER_HALF_OPEN)
        word_add(&b->half_opened, 1);
    else if (*changed == BREAKER_CLOSED)
        word_add(&b->closed, 1);
    return true;
}

struct breaker *breaker_table(struct region *r, struct str name)
{
    return region_table(r, TABLE_BREAKER, name, sizeof(struct breaker));
}

static struct breaker_pass refuse(struct breaker *b, uint64_t retry_ns)
{
    word_add(&b->refused, 1);
    return (struct breaker_pass){ .verdict = BREAKER_REFUSED, .retry_ns = retry_ns ? retry_ns : 1 };
}

struct breaker_pass breaker_allows(struct breaker *b, const struct breaker_params *p, uint32_t seat,
                                   uint64_t now_ns)
{
    uint64_t seen = word_read(&b->state);

    CHECK(seat < SEATS_MAX);
    for (;;) {
        struct state s = state_of(seen), next = s;
        uint64_t left_ns = s.at_ms * NS_PER_MS > now_ns ? s.at_ms * NS_PER_MS - now_ns : 0;
        uint64_t kept = 0;
        int changed;

        switch (s.state) {
        case BREAKER_CLOSED:
            return (struct breaker_pass){ .verdict = BREAKER_ALLOWED };
        case BREAKER_OPEN:
            if (left_ns)
                return refuse(b, left_ns);
            break;
        case BREAKER_HALF_OPEN:
            if (probe_seat(s) && left_ns)
                return refuse(b, left_ns < SOON_NS ? left_ns : SOON_NS);
            kept = successes(s);
            break;
        }
        next.state = BREAKER_HALF_OPEN;
        next.at_ms = ms_up(now_ns + (p->probe_ns ? p->probe_ns : PROBE_NS));
        next.rest = (uint32_t)kept << SEAT_BITS | (seat + 1);
        if (state_swap(b, &seen, next, &changed))
            return (struct breaker_pass){ .verdict = BREAKER_PROBE, .lease = word_of(next) };
    }
}

/* What a probe's outcome makes of the half-open state. */
static struct state after_probe(const struct breaker_params *p, struct state s,
                                enum breaker_outcome outcome, uint64_t open_ns, uint64_t now_ns)
{
    uint32_t needed = p->successes ? p->successes : 1;
    uint32_t had = successes(s) + (outcome == OUTCOME_OK);

    if (outcome == OUTCOME_FAILED || (outcome == OUTCOME_SLOW && p->slow_percent))
        return opened(p, s, open_ns, now_ns);
    if (outcome == OUTCOME_SLOW)
        had++;
    if (had >= needed)
        return (struct state){ .state = BREAKER_CLOSED, .at_ms = now_ns / NS_PER_MS };
    /* nobody's probe: the next one may have it */
    return (struct state){ .state = BREAKER_HALF_OPEN,
                           .backoff = s.backoff,
                           .rest = (had < WIN_MAX ? had : WIN_MAX) << SEAT_BITS };
}

/* What an ordinary outcome makes of the closed state. */
static struct state after_call(const struct breaker *b, const struct breaker_params *p,
                               struct state s, enum breaker_outcome outcome, uint64_t open_ns,
                               uint64_t now_ns)
{
    struct state next = s;

    if (outcome == OUTCOME_FAILED)
        next.rest = s.rest < RUN_MAX ? s.rest + 1 : RUN_MAX;
    else
        next.rest = 0;
    if (p->consecutive && next.rest >= p->consecutive)
        return opened(p, s, open_ns, now_ns);
    if (p->window_ns && outcome != OUTCOME_OK && share_is_bad(b, p, s.at_ms, now_ns))
        return opened(p, s, open_ns, now_ns);
    return next;
}

int breaker_tell(struct breaker *b, const struct breaker_params *p, const struct breaker_pass *pass,
                 enum breaker_outcome outcome, uint64_t open_ns, uint64_t now_ns)
{
    uint64_t seen = word_read(&b->state);
    int changed = -1;

    CHECK(pass->verdict != BREAKER_REFUSED);
    if (pass->verdict == BREAKER_PROBE) {
        /* a lease that was given up meanwhile is another's word: it does not count */
        if (seen == pass->lease)
            state_swap(b, &seen, after_probe(p, state_of(seen), outcome, open_ns, now_ns),
                       &changed);
        return changed;
    }
    if (outcome == OUTCOME_IGNORED)
        return -1;
    if (p->window_ns)
        window_count(b, p, outcome, now_ns);
    for (;;) {
        struct state s = state_of(seen), next;

        /* began before it opened: says nothing about the service as it is now */
        if (s.state != BREAKER_CLOSED)
            return -1;
        next = after_call(b, p, s, outcome, open_ns, now_ns);
        if (word_of(next) == word_of(s) || state_swap(b, &seen, next, &changed))
            return changed;
    }
}

enum breaker_state breaker_state(const struct breaker *b)
{
    return state_of(word_read(&b->state)).state;
}

uint32_t breaker_failures(const struct breaker *b)
{
    struct state s = state_of(word_read(&b->state));

    return s.state == BREAKER_CLOSED ? s.rest : 0;
}

static void retire_seat(struct breaker *b, uint32_t seat)
{
    uint64_t seen = word_read(&b->state);
    struct state s = state_of(seen);
    int changed;

    while (s.state == BREAKER_HALF_OPEN && probe_seat(s) == seat + 1) {
        struct state next = s;

        next.at_ms = 0;
        next.rest = successes(s) << SEAT_BITS;
        if (state_swap(b, &seen, next, &changed))
            return;
        s = state_of(seen);
    }
}

void breakers_retire_seat(struct region *r, uint32_t seat)
{
    struct table_info info;
    size_t i = 0;

    CHECK(seat < SEATS_MAX);
    while (region_next_table(r, &i, &info))
        if (info.kind == TABLE_BREAKER)
            retire_seat(info.at, seat);
}
