/* Many processes take from one limit, each with a clock of its own up to 50 ms behind or ahead. Together they are
 * allowed what the arithmetic allows for the clock that is most ahead, and never more; and nearly that much, for nobody
 * may lose what is due. A second limit has more clients than cells, so that cells are taken over all the time: a client
 * that is always there, and whose cell is never idle, still gets what is due and not more.
 *
 * Time is a shared word that each try moves on by 2 µs, so the hammer runs through hours in a second.
 */
#include "ratelimit/limiter.h"
#include "test/hammer/hammer.h"

#define TICK_NS  2000
#define SKEW_NS  (100 * NS_PER_MS) /* from the most behind to the most ahead */
#define BIRTH_NS NS_PER_S

struct shared {
    shared_word clock;
    shared_word allowed[HAMMER_ACTORS_MAX], steady[HAMMER_ACTORS_MAX], others[HAMMER_ACTORS_MAX];
};

struct work {
    struct hammer h; /* first */
    struct limiter hot, crowded;
    struct shared *shared;
};

static void act(struct hammer *h, unsigned actor, struct random *random)
{
    struct work *w = (struct work *)h;
    uint64_t hot = limiter_key(&w->hot, STR("hot")),
             steady = limiter_key(&w->crowded, STR("steady"));
    uint64_t skew = random_below(random, SKEW_NS);

    while (!hammer_ends(h)) {
        uint64_t now = word_add(&w->shared->clock, TICK_NS) + skew;
        char client[32];
        int len;

        if (limiter_take(&w->hot, hot, 1, now).allowed)
            word_add_own(&w->shared->allowed[actor], 1);
        if (limiter_take(&w->crowded, steady, 1, now).allowed)
            word_add_own(&w->shared->steady[actor], 1);
        /* this many clients of 10 ms each need more cells than there are */
        len = snprintf(client, sizeof client, "client %u", (unsigned)random_below(random, 100000));
        if (limiter_take(&w->crowded, limiter_key(&w->crowded, str_of(client, (size_t)len)), 1, now)
                .allowed)
            word_add_own(&w->shared->others[actor], 1);
    }
}

static struct limiter limiter_of(const struct hammer *h, const struct cells *cells,
                                 const char *name, const char *text, enum when_full when_full)
{
    struct limiter l;
    struct limit limit;

    HAMMER_CHECK(!limit_read(str_from(text), &limit), "%s", text);
    HAMMER_CHECK(!limiter_init(&l, region_header(h->region), cells, str_from(name), algorithm_at(0),
                               &limit, when_full),
                 "%s", text);
    return l;
}

static uint64_t sum(const shared_word *words)
{
    uint64_t total = 0;

    for (unsigned i = 0; i < HAMMER_ACTORS_MAX; i++)
        total += word_peek(&words[i]);
    return total;
}

static void check(const struct work *w, const struct limiter *l, uint64_t allowed,
                  const char *which)
{
    uint64_t passed = word_peek(&w->shared->clock) - BIRTH_NS;
    uint64_t due = l->limit.burst + (passed + SKEW_NS) / (l->limit.per_ns / l->limit.count);
    /* a killed actor may have been allowed and not have counted it; clocks that are behind may waste a little */
    uint64_t least = l->limit.burst + passed / (l->limit.per_ns / l->limit.count);

    HAMMER_CHECK(allowed <= due, "%s: %llu allowed, %llu due", which, (unsigned long long)allowed,
                 (unsigned long long)due);
    HAMMER_CHECK(allowed + w->h.kills + least / 100 + 2 >= least, "%s: %llu allowed of %llu", which,
                 (unsigned long long)allowed, (unsigned long long)least);
    printf("limiter: %s: %llu allowed of %llu due, %.1f virtual s, %llu kills\n", which,
           (unsigned long long)allowed, (unsigned long long)due, (double)passed / 1e9,
           (unsigned long long)w->h.kills);
}

int main(int argc, char **argv)
{
    struct work w = { .h = hammer_begin(argc, argv) };
    struct cells cells, few;

    HAMMER_CHECK(cells_table(w.h.region, STR("limits"), 64, &cells), "no table");
    HAMMER_CHECK(cells_table(w.h.region, STR("few"), 1024, &few), "no table");
    w.shared = region_table(w.h.region, TABLE_WORDS, STR("hammer"), sizeof *w.shared);
    word_put(&w.shared->clock, BIRTH_NS);
    w.hot = limiter_of(&w.h, &cells, "hot", "1000/s burst 1000", FULL_EVICT);
    /* idle after 1 s and a tenth: cells are reused all the time, the steady client's is never idle */
    w.crowded = limiter_of(&w.h, &few, "crowded", "100/s burst 10", FULL_DENY);
    w.h.actors = 4;
    w.h.act = act;
    hammer_run(&w.h);
    check(&w, &w.hot, sum(w.shared->allowed), "hot");
    /* with the table full, the steady client may have to wait for its first cell */
    check(&w, &w.crowded, sum(w.shared->steady), "steady");
    printf("limiter: crowded: %llu others, %llu take-overs, %llu found no cell\n",
           (unsigned long long)sum(w.shared->others),
           (unsigned long long)word_peek(&few.shared->takeovers),
           (unsigned long long)word_peek(&few.shared->full));
    return hammer_end(&w.h);
}
