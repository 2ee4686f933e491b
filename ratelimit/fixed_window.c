/* Fixed window: `count` in each second, minute, hour or day of the clock; the burst means nothing to it.
 *
 * The word is [window:32 | count:32]. Around the border of two windows twice the count may pass within a
 * short time: that is what a fixed window is.
 *
 * The window of the word is only ever left for a later one: a colleague whose clock is behind counts in the
 * window of whoever is ahead. So together they are allowed `count` in a window and not one more.
 */
#include "ratelimit/fixed_window.h"

#include "ratelimit/window.h"

#define COUNT_BITS 32

static const char *cannot(const struct limit *l)
{
    return l->count > UINT32_MAX ? "more than 4294967295 in a window cannot be counted" : NULL;
}

/* A word read at some moment. */
struct reading {
    uint32_t window; /* that counts: now's, or the word's if a colleague is ahead */
    uint64_t used;
    bool ahead;
    uint64_t at_ns;   /* a moment in it: now, or its beginning */
    uint64_t left_ns; /* until it ends */
};

/* used_max  what is above was not written by this limit */
static struct reading read_word(uint64_t word, uint64_t per_ns, uint64_t used_max, uint64_t now_ns)
{
    uint64_t number = window_of(now_ns, per_ns);
    struct reading r = { .window = (uint32_t)number,
                         .at_ns = now_ns,
                         .left_ns = per_ns - (now_ns - number * per_ns) };
    uint32_t ahead = (uint32_t)(word >> COUNT_BITS) - r.window;

    if (LIKELY(ahead <= window_skew(per_ns) && (word & UINT32_MAX) <= used_max)) {
        r.used = word & UINT32_MAX;
        r.window += ahead;
        r.left_ns += ahead * per_ns;
        r.ahead = ahead > 0;
        if (r.ahead)
            r.at_ns = now_ns + r.left_ns - per_ns;
    }
    return r;
}

/* Only within its window: what was taken in an earlier one has been forgotten already. The window stays, so that no
 * colleague whose clock is behind begins an earlier one anew. */
static uint64_t give_back(uint64_t word, const struct reading *r, uint64_t given)
{
    if ((uint32_t)(word >> COUNT_BITS) != r->window || r->ahead)
        return word;
    return word - (given < r->used ? given : r->used);
}

static uint64_t step(uint64_t word, const struct limit *l, uint64_t now_ns, int32_t cost,
                     struct decision *out)
{
    struct reading r = read_word(word, l->per_ns, l->count, now_ns);
    uint64_t amount = cost > 0 ? (uint64_t)cost : cost == 0 ? 1 : 0;

    *out = (struct decision){ .allowed = r.used + amount <= l->count, .at_ns = r.at_ns };
    if (cost > 0 && out->allowed) {
        r.used += amount;
        word = (uint64_t)r.window << COUNT_BITS | r.used;
    } else if (cost < 0) {
        word = give_back(word, &r, (uint64_t) - (int64_t)cost);
        r.used = read_word(word, l->per_ns, l->count, now_ns).used;
        out->allowed = true;
    } else if (!out->allowed) {
        out->retry_ns = amount > l->count ? RETRY_NEVER : r.left_ns;
    }
    out->remaining = l->count - r.used;
    out->reset_ns = r.used ? r.left_ns : 0;
    return word;
}

/* What was used in the old window counts as used in the new one, whichever is longer. */
static uint64_t rescale(uint64_t word, const struct limit *was, const struct limit *is,
                        uint64_t now_ns)
{
    /* `was` is rounded down when it is large */
    struct reading r = read_word(word, was->per_ns, UINT32_MAX, now_ns);
    uint64_t window = window_of(now_ns, is->per_ns);

    if (r.used == 0)
        return 0;
    if (is->per_ns == was->per_ns)
        window = r.window;
    return (window & UINT32_MAX) << COUNT_BITS | (r.used < is->count ? r.used : is->count);
}

static uint64_t idle_ns(const struct limit *l)
{
    return l->per_ns + WINDOW_IDLE_SLACK;
}

static uint64_t at_once(const struct limit *l)
{
    return l->count;
}

const struct algorithm fixed_window = {
    .name = "fixed_window",
    .doc = "So many in each second, minute, hour or day (UTC) of the clock, whenever in it they "
           "come. The burst is not used.",
    .by_wall_clock = true,
    .cannot = cannot,
    .step = step,
    .rescale = rescale,
    .idle_ns = idle_ns,
    .at_once = at_once,
};
