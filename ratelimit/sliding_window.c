/* Sliding window from two counters: of the requests of the last window, those are still counted that would lie in
 * the period before now if they had come evenly. The burst means nothing to it.
 *
 *        last window          this window
 *     |---------------------|-----------+---------|
 *               |<- still counted ->|  now
 *
 *     used = this + last * (what is left of this window / the period), rounded down to whole requests
 *
 * The word is [window | last:20 | this:20], the window's number in the 24 bits that remain. A limit above
 * 1048575 has wider counters and keeps `last` in units of 2, 4, 8 … requests, rounded up, so that it is exact
 * to one in a million: [window | last:21 | this]. Few bits of the window's number come round again after 194
 * days of seconds (at 2^32 a second, after half an hour); by then the cell is idle, and its word counts as 0.
 *
 * The window of the word is only ever left for a later one: see fixed_window.c.
 */
#include "ratelimit/sliding_window.h"

#include "ratelimit/window.h"

#define LAST_BITS 20
#define THIS_MAX  32
#define TICK_NS                                                                                    \
    UINT64_C(16) /* a day of ticks times 2^20 is below 2^63; every period is whole ticks */

/* How a word of a limit is laid out. */
struct layout {
    unsigned this_bits, last_bits, window_bits;
    unsigned unit_shift; /* a unit of `last` is 1 << unit_shift requests */
};

static struct layout layout_of(const struct limit *l)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll(l->count);

    if (LIKELY(bits <= LAST_BITS))
        return (struct layout){ LAST_BITS, LAST_BITS, 64 - 2 * LAST_BITS, 0 };
    /* one bit more, for a count rounded up */
    return (struct layout){ bits, LAST_BITS + 1, 63 - LAST_BITS - bits, bits - LAST_BITS };
}

static const char *cannot(const struct limit *l)
{
    return l->count >> THIS_MAX ? "more than 4294967295 in a window cannot be counted" : NULL;
}

static uint64_t bits_of(uint64_t n, unsigned bits)
{
    return n & ((UINT64_C(1) << bits) - 1);
}

/* A word read at some moment. */
struct reading {
    uint64_t window;  /* that counts: now's, or the word's if a colleague is ahead */
    uint64_t last;    /* in units    */
    uint64_t this;    /* in requests */
    uint64_t left_ns; /* of the window, as it counts: the whole period if a colleague is ahead */
    uint64_t wait_ns; /* until left_ns begins to fall: 0, or what a colleague is ahead */
    enum { WORD_IS_OLD, WORD_IS_OF_NOW, WORD_IS_OF_NEXT, WORD_IS_LATER } word_window;
};

static struct reading read_word(uint64_t word, const struct layout *at, uint64_t per_ns,
                                uint64_t used_max, uint64_t now_ns)
{
    uint64_t number = window_of(now_ns, per_ns);
    uint64_t units_max = (used_max >> at->unit_shift) + (at->unit_shift != 0);
    struct reading r = { .window = bits_of(number, at->window_bits),
                         .left_ns = per_ns - (now_ns - number * per_ns) };
    uint64_t window = word >> (at->this_bits + at->last_bits);
    uint64_t ahead = bits_of(window - r.window, at->window_bits);
    uint64_t last = bits_of(word >> at->this_bits, at->last_bits);
    uint64_t this = bits_of(word, at->this_bits);

    if (UNLIKELY(this > used_max || last > units_max)) /* garbage */
        return r;
    if (LIKELY(ahead == 0)) {
        r.last = last;
        r.this = this;
        r.word_window = WORD_IS_OF_NOW;
    } else if (ahead == bits_of(UINT64_MAX, at->window_bits)) { /* the one before */
        r.last = (this + (UINT64_C(1) << at->unit_shift) - 1) >> at->unit_shift;
    } else if (ahead <= window_skew(per_ns)) {
        r.window = window;
        r.last = last;
        r.this = this;
        r.wait_ns = r.left_ns + (ahead - 1) * per_ns;
        r.left_ns = per_ns;
        r.word_window = ahead == 1 ? WORD_IS_OF_NEXT : WORD_IS_LATER;
    }
    return r;
}

static uint64_t write_word(const struct reading *r, const struct layout *at)
{
    return (r->window << at->last_bits | r->last) << at->this_bits | r->this;
}

static uint64_t ticks_up(uint64_t ns)
{
    return (ns + TICK_NS - 1) / TICK_NS;
}

/* Division by the periods there are, without dividing. */
static uint64_t by_period(uint64_t n, uint64_t per_ns)
{
    switch (per_ns) {
    case NS_PER_S:
        return n / (NS_PER_S / TICK_NS);
    case 60 * NS_PER_S:
        return n / (60 * NS_PER_S / TICK_NS);
    case 3600 * NS_PER_S:
        return n / (3600 * NS_PER_S / TICK_NS);
    default:
        return n / (per_ns / TICK_NS);
    }
}

/* What of `last` units still counts while left_ns are left: down to whole requests, but up to whole units. */
static uint64_t still_counted(uint64_t last, uint64_t left_ns, const struct layout *at,
                              uint64_t per_ns)
{
    uint64_t parts = last * ticks_up(left_ns);

    if (LIKELY(at->unit_shift == 0))
        return by_period(parts, per_ns);
    return by_period(parts + per_ns / TICK_NS - 1, per_ns) << at->unit_shift;
}

/* The most that may be left of a window if no more than `room` of `last` units may count. */
static uint64_t left_for(uint64_t last, uint64_t room, const struct layout *at, uint64_t per_ns)
{
    uint64_t period = per_ns / TICK_NS, units = room >> at->unit_shift, left;

    if (units >= last)
        return per_ns;
    left = at->unit_shift == 0 ? ((units + 1) * period - 1) / last : units * period / last;
    return left < period ? left * TICK_NS : per_ns;
}

/* Refused: when `amount` will fit, if nobody takes anything else. */
static uint64_t retry_of(const struct reading *r, const struct layout *at, const struct limit *l,
                         uint64_t amount)
{
    uint64_t units, left = 0;

    if (amount > l->count)
        return RETRY_NEVER;
    if (r->this + amount <= l->count)
        left = left_for(r->last, l->count - r->this - amount, at, l->per_ns);
    if (left > 0)
        return r->wait_ns + r->left_ns - left;
    units = (r->this + (UINT64_C(1) << at->unit_shift) - 1) >> at->unit_shift;
    return r->wait_ns + r->left_ns + l->per_ns - left_for(units, l->count - amount, at, l->per_ns);
}

/* What was taken in the window of now_ns: from there, or from where it is counted since. The window stays, so that no
 * colleague whose clock is behind begins an earlier one anew. */
static uint64_t give_back(struct reading *r, const struct layout *at, uint64_t word, uint64_t given)
{
    if (r->word_window == WORD_IS_OF_NOW)
        r->this -= given < r->this ? given : r->this;
    else if (r->word_window == WORD_IS_OF_NEXT && at->unit_shift == 0)
        r->last -= given < r->last ? given : r->last;
    else
        return word;
    return write_word(r, at);
}

static uint64_t step(uint64_t word, const struct limit *l, uint64_t now_ns, int32_t cost,
                     struct decision *out)
{
    const struct layout at = layout_of(l);
    struct reading r = read_word(word, &at, l->per_ns, l->count, now_ns);
    uint64_t amount = cost > 0 ? (uint64_t)cost : cost == 0 ? 1 : 0;
    uint64_t used;

    if (UNLIKELY(cost < 0))
        word = give_back(&r, &at, word, (uint64_t) - (int64_t)cost);
    used = r.this + still_counted(r.last, r.left_ns, &at, l->per_ns);
    *out = (struct decision){ .allowed = used + amount <= l->count, .at_ns = now_ns + r.wait_ns };
    if (cost > 0 && out->allowed) {
        r.this += amount;
        used += amount;
        word = write_word(&r, &at);
    } else if (cost < 0) {
        out->allowed = true;
    } else if (!out->allowed) {
        out->retry_ns = retry_of(&r, &at, l, amount);
    }
    out->remaining = used < l->count ? l->count - used : 0;
    if (r.this)
        out->reset_ns = r.wait_ns + r.left_ns + l->per_ns;
    else if (r.last)
        out->reset_ns = r.wait_ns + r.left_ns;
    return word;
}

/* With the period unchanged both counters stay; with another one, what counted as used counts as used in the new
 * window. More than the new limit nobody has used. */
static uint64_t rescale(uint64_t word, const struct limit *was, const struct limit *is,
                        uint64_t now_ns)
{
    const struct layout from = layout_of(was), to = layout_of(is);
    /* `was` is rounded down when it is large */
    struct reading r = read_word(word, &from, was->per_ns, UINT32_MAX, now_ns);
    uint64_t last = r.last << from.unit_shift, most;

    if (r.this == 0 && r.last == 0)
        return 0;
    if (is->per_ns != was->per_ns) {
        r.this += still_counted(r.last, r.left_ns, &from, was->per_ns);
        r.window = bits_of(window_of(now_ns, is->per_ns), to.window_bits);
        last = 0;
    } else if (to.window_bits != from.window_bits) {
        /* the whole number, of which the word has the lower bits */
        uint64_t now = window_of(now_ns, is->per_ns);

        r.window = bits_of(now + bits_of(r.window - now, from.window_bits), to.window_bits);
    }
    most = (is->count >> to.unit_shift) + (to.unit_shift != 0);
    r.last = (last + (UINT64_C(1) << to.unit_shift) - 1) >> to.unit_shift;
    r.last = r.last < most ? r.last : most;
    r.this = r.this < is->count ? r.this : is->count;
    return write_word(&r, &to);
}

static uint64_t idle_ns(const struct limit *l)
{
    return 2 * l->per_ns + WINDOW_IDLE_SLACK;
}

static uint64_t at_once(const struct limit *l)
{
    return l->count;
}

const struct algorithm sliding_window = {
    .name = "sliding_window",
    .doc =
        "So many in any second, minute, hour or day before now, reckoned from two counters as "
        "if those of the last one had come evenly. The burst is not used. Above 1048575 the last "
        "one is counted in units, exact to one in a million.",
    .by_wall_clock = true,
    .cannot = cannot,
    .step = step,
    .rescale = rescale,
    .idle_ns = idle_ns,
    .at_once = at_once,
};
