/* Gradient: two words and their arithmetic.
 *
 *     state    limit:20 (in sixteenths)  base:24 (us)  measuring:1  at:19 (0.1 s): since when it is measured, or when next
 *     window   sum:34 (us)  count:10  measuring:1  begun:19 (0.01 s)
 *
 * Times are cut to 19 bits and compared by their difference: they come round after 14 hours and 87 minutes. Where
 * nothing happened for just that long, a measurement or a window ends later than it should, once.
 */
#include "ratelimit/gradient.h"

#include <math.h>

#include "gateway/base/number.h"

#define LIMIT_UNIT   16
#define PHASE_TICK   (NS_PER_S / 10)
#define WINDOW_TICK  (NS_PER_S / 100)
#define TICKS        (UINT64_C(1) << 19)
#define US           UINT64_C(1000)
#define LATENCY_MOST UINT64_C(16000000) /* us; more is taken for this */
#define COUNT_MOST   UINT64_C(1023)
#define ENOUGH       16 /* answers in a window */
#define FEW          3  /* … if after twenty windows there are no more */
/* us; so much is always headroom: a worker's own turns take that long under load, and it is no queueing in the service. */
#define TURN         1000
/* One answer that took very long says less than that all took long. */
#define OUTLIER      8

struct state {
    uint64_t limit, base_us, at;
    bool measuring;
};

struct window {
    uint64_t sum_us, count, begun;
    bool measuring;
};

static struct state state_of(uint64_t word)
{
    return (struct state){ .limit = word >> 44,
                           .base_us = word >> 20 & 0xffffff,
                           .measuring = word >> 19 & 1,
                           .at = word & (TICKS - 1) };
}

static uint64_t state_word(const struct state *s)
{
    return s->limit << 44 | s->base_us << 20 | (uint64_t)s->measuring << 19 | s->at;
}

static struct window window_of(uint64_t word)
{
    return (struct window){ .sum_us = word >> 30,
                            .count = word >> 20 & COUNT_MOST,
                            .measuring = word >> 19 & 1,
                            .begun = word & (TICKS - 1) };
}

static uint64_t window_word(const struct window *w)
{
    return w->sum_us << 30 | w->count << 20 | (uint64_t)w->measuring << 19 | w->begun;
}

static uint64_t ticks_between(uint64_t from, uint64_t to)
{
    return (to - from) & (TICKS - 1);
}

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
    return value < least ? least : value > most ? most : value;
}

static uint64_t limit_in(const struct gradient *g, uint64_t limit)
{
    return clamp(limit, g->min * LIMIT_UNIT, g->max * LIMIT_UNIT);
}

/* Nobody knows anything yet: it is measured first, and then begins at the top. */
static struct state first_state(const struct gradient *g, uint64_t now_ns)
{
    /* the tick before, so that what begins now counts */
    return (struct state){ .limit = g->max * LIMIT_UNIT,
                           .measuring = true,
                           .at = (now_ns / PHASE_TICK - 1) % TICKS };
}

uint64_t gradient_limit(const struct gradient *g, const struct gradient_words *w)
{
    /* relaxed: it means something alone */
    struct state s = state_of(word_peek(&w->state));

    if (s.limit == 0 || s.measuring)
        return g->min;
    return limit_in(g, s.limit) / LIMIT_UNIT;
}

static uint64_t longest_pause(const struct gradient *g)
{
    return (g->measure_ns + g->measure_ns / 8) / PHASE_TICK + 1;
}

/* Not: its time is to come, and within a pause. */
static bool is_due(const struct gradient *g, const struct state *s, uint64_t now)
{
    return ticks_between(now, s->at) - 1 >= longest_pause(g);
}

/* Does the answer belong to the phase that is on: had it begun since the measurement did? */
static bool belongs(const struct state *s, const struct gradient_answer *a)
{
    uint64_t took = (a->now_ns - a->begun_ns) / PHASE_TICK;

    if (!s->measuring)
        return true;
    return !a->failed && took < ticks_between(s->at, a->now_ns / PHASE_TICK);
}

static bool is_full(const struct gradient *g, const struct window *w, uint64_t now_ns)
{
    uint64_t age_ns = ticks_between(w->begun, now_ns / WINDOW_TICK) * WINDOW_TICK;

    return w->count == COUNT_MOST || (w->count >= ENOUGH && age_ns >= g->window_ns) ||
           (w->count >= FEW && age_ns >= 20 * g->window_ns);
}

/* One more answer in the window. True: that closes it, and *mean_us is how long they took. */
static bool collect(const struct gradient *g, struct gradient_words *words, const struct state *s,
                    const struct gradient_answer *a, uint64_t *mean_us)
{
    uint64_t latency = clamp(a->latency_ns / US, 1, LATENCY_MOST);
    uint64_t seen = word_peek(&words->window);
    struct window w;
    bool full;

    if (!s->measuring && s->base_us)
        latency = clamp(latency, 1, (s->base_us + TURN) * OUTLIER);
    do {
        w = window_of(seen);
        if (seen == 0 || w.measuring != s->measuring || w.count == 0)
            w = (struct window){ .measuring = s->measuring,
                                 .begun = a->now_ns / WINDOW_TICK % TICKS };
        w.count++;
        w.sum_us += latency;
        full = is_full(g, &w, a->now_ns);
        *mean_us = w.sum_us / w.count;
        if (full)
            w.count = w.sum_us = 0;
    } while (!word_swap(&words->window, &seen, window_word(&w)));
    return full;
}

/* So that gateways that were started together do not measure together. */
static uint64_t jitter(uint64_t mean_us, uint64_t ns)
{
    return mean_us * UINT64_C(0x9e3779b97f4a7c15) % (ns / 8 + 1);
}

static uint64_t moved(const struct gradient *g, const struct state *s, uint64_t mean_us,
                      uint64_t in_flight)
{
    uint64_t limit = limit_in(g, s->limit), next;
    uint64_t headroom_us = clamp(s->base_us * g->headroom_ppm / 1000000, TURN, LATENCY_MOST * 10);
    double factor = (double)(s->base_us + headroom_us) / (double)mean_us;
    double now = (double)limit / LIMIT_UNIT;

    factor = factor < 0.5 ? 0.5 : factor > 2 ? 2 : factor;
    next = (uint64_t)((now + now * factor + sqrt(now)) / 2 * LIMIT_UNIT);
    /* what nobody asked for has not been tried */
    if (next > limit && in_flight * LIMIT_UNIT * 2 < limit)
        next = limit;
    return limit_in(g, next);
}

/* The state after a window whose answers took `mean_us`. */
static struct state after(const struct gradient *g, const struct state *s,
                          const struct gradient_answer *a, uint64_t mean_us)
{
    uint64_t now = a->now_ns / PHASE_TICK % TICKS;
    struct state next = *s;

    if (s->measuring) {
        next.base_us = mean_us;
        next.measuring = false;
        next.at = (now + (g->measure_ns + jitter(mean_us, g->measure_ns)) / PHASE_TICK) % TICKS;
    } else if (is_due(g, s, now)) {
        next.measuring = true;
        next.at = now;
    } else {
        next.limit = moved(g, s, mean_us, a->in_flight);
    }
    return next;
}

void gradient_tell(const struct gradient *g, struct gradient_words *words,
                   const struct gradient_answer *a)
{
    uint64_t seen = word_peek(&words->state), mean_us;
    struct state s = state_of(seen), next;

    if (s.limit == 0) {
        s = first_state(g, a->now_ns);
        /* by somebody else in the same moment: just as well */
        if (!word_swap(&words->state, &seen, state_word(&s)))
            s = state_of(seen);
        seen = state_word(&s);
    }
    if (!belongs(&s, a) || !collect(g, words, &s, a, &mean_us))
        return;
    next = after(g, &s, a, mean_us);
    /* Lost to somebody who has closed a window at the same time: theirs is as good. */
    (void)word_swap(&words->state, &seen, state_word(&next));
}

struct gradient_view gradient_look(const struct gradient_words *w)
{
    struct state s = state_of(word_peek(&w->state));

    return (struct gradient_view){ .limit = s.limit / LIMIT_UNIT,
                                   .base_ns = s.base_us * US,
                                   .measuring = s.limit == 0 || s.measuring };
}
