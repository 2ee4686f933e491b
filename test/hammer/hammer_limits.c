/* Every algorithm under 1, 2, 4 and 8 processes at once, whose clocks are up to 50 ms behind or ahead, all of them taking
 * from one key as fast as they can: together they are allowed what the arithmetic says, not that times their number.
 * Some of what was let pass is given back, as when a later limit refuses: at once, or much later when the actor did not run. As processes they are killed all the
 * while. The log has a second key beside it whose cell is fought for by strangers.
 *
 * Time is a shared word that each try moves on, so much that far more is offered than is allowed; and so little that whoever
 * does not run for a second is not ten minutes behind, which nobody has to bear.
 */
#include "ratelimit/limiter.h"
#include "test/hammer/hammer.h"

#define SKEW_NS  (100 * NS_PER_MS) /* from the most behind to the most ahead */
#define BIRTH_NS (100 * NS_PER_S)

static const struct {
    const char *algorithm, *limit;
    uint64_t offered; /* times what is allowed */
} limits[] = {
    { "token_bucket", "1000/s burst 1000", 50 }, { "gcra", "1000/s burst 500", 50 },
    { "leaky_bucket", "1000/s burst 500", 50 },  { "fixed_window", "1000/s", 50 },
    { "sliding_window", "1000/s", 50 },          { "sliding_log", "100/s", 150 },
};

static const unsigned actors[] = { 1, 2, 4, 8 };

struct shared {
    shared_word clock;
    shared_word allowed[HAMMER_ACTORS_MAX], given_back[HAMMER_ACTORS_MAX];
};

struct work {
    struct hammer h; /* first */
    struct limiter limiter;
    struct shared *shared;
    uint64_t offered;
    bool strangers; /* clients who come once, more than there are cells */
};

static void come_once(const struct work *w, uint64_t now, struct random *random)
{
    uint64_t key = random_u64(random);

    HAMMER_CHECK(limiter_take(&w->limiter, key, 1, now).allowed ||
                     w->limiter.when_full == FULL_DENY,
                 "a newcomer was refused");
}

static void act(struct hammer *h, unsigned actor, struct random *random)
{
    struct work *w = (struct work *)h;
    uint64_t key = limiter_key(&w->limiter, STR("hot")), skew = random_below(random, SKEW_NS);
    uint64_t tick_ns = w->limiter.limit.per_ns / w->limiter.limit.count / w->offered;

    while (!hammer_ends(h)) {
        uint64_t now = word_add(&w->shared->clock, tick_ns) + skew;

        struct decision d = limiter_take(&w->limiter, key, 1, now);

        if (!d.allowed)
            continue;
        if (random_below(random, 4) == 0) {
            limiter_take(&w->limiter, key, -1, d.at_ns);
            word_add_own(&w->shared->given_back[actor], 1);
        } else {
            word_add_own(&w->shared->allowed[actor], 1);
        }
        if (w->strangers)
            come_once(w, now, random);
    }
}

static uint64_t sum(const shared_word *words)
{
    uint64_t total = 0;

    for (unsigned i = 0; i < HAMMER_ACTORS_MAX; i++)
        total += word_peek(&words[i]);
    return total;
}

/* The most that the limit allows in so many ns, and what is due to those who never stop asking. */
static void bounds(const struct limiter *l, uint64_t passed_ns, uint64_t *most, uint64_t *least)
{
    uint64_t count = l->limit.count, per_ns = l->limit.per_ns, first = BIRTH_NS + l->wall_ns;

    if (l->algorithm->by_wall_clock) {
        /* windows that were begun, by the clock most ahead; and that were whole */
        uint64_t begun = (first + passed_ns + SKEW_NS) / per_ns - first / per_ns + 1;
        uint64_t end = (first + passed_ns) / per_ns, whole = (first + per_ns - 1) / per_ns;

        whole = end > whole ? end - whole : 0;
        *most = begun * count;
        *least = whole * count;
    } else if (l->algorithm->keeps_log) {
        *most = ((passed_ns + SKEW_NS) / per_ns + 1) * count;
        *least = passed_ns / per_ns * count;
    } else {
        *most = l->limit.burst + (passed_ns + SKEW_NS) * count / per_ns;
        /* it is full when the first comes, who may be the one most ahead */
        *least =
            l->limit.burst + (passed_ns > SKEW_NS ? (passed_ns - SKEW_NS) * count / per_ns : 0);
    }
}

static void run(struct work *w, unsigned n, uint64_t ns, const char *what)
{
    uint64_t passed, most, least, allowed, given_back, kills = w->h.kills;

    memset(w->shared, 0, sizeof *w->shared);
    word_put(&w->shared->clock, BIRTH_NS);
    word_put(w->h.stop, 0);
    w->h.actors = n;
    w->h.act = act;
    w->h.until_ns = clock_now_ns() + ns;
    hammer_run(&w->h);
    region_begin(w->h.region);
    kills = w->h.kills - kills;
    allowed = sum(w->shared->allowed);
    given_back = sum(w->shared->given_back);
    passed = word_peek(&w->shared->clock) - BIRTH_NS;
    bounds(&w->limiter, passed, &most, &least);
    HAMMER_CHECK(allowed <= most, "%s, %u actors: %llu allowed of %llu", what, n,
                 (unsigned long long)allowed, (unsigned long long)most);
    /* Nearly all of it is taken: who was killed may not have counted what it was allowed, or not have given it back, and
     * what was given back last nobody may have taken again. (With strangers the first cell has to be fought for.) */
    HAMMER_CHECK(allowed + allowed / 1000 + 2 * kills + 4 * n + (w->strangers ? least : 0) >=
                         least ||
                     passed < 2 * w->limiter.limit.per_ns,
                 "%s, %u actors: %llu allowed of %llu, %llu given back, %llu kills", what, n,
                 (unsigned long long)allowed, (unsigned long long)least,
                 (unsigned long long)given_back, (unsigned long long)kills);
    printf(
        "limits: %-14s %u actors, %.1f virtual s: %llu allowed of %llu to %llu, %llu given back, "
        "%llu kills\n",
        what, n, (double)passed / 1e9, (unsigned long long)allowed, (unsigned long long)least,
        (unsigned long long)most, (unsigned long long)given_back, (unsigned long long)kills);
}

/* Each run has a name of its own, so that it begins with nothing used. */
static void make_limiter(struct work *w, const struct cells *cells, size_t i, const char *name)
{
    const struct algorithm *a = algorithm_find(str_from(limits[i].algorithm));
    struct limit limit;
    struct limit_log log;

    HAMMER_CHECK(!limit_read(str_from(limits[i].limit), &limit), "%s", limits[i].limit);
    w->offered = limits[i].offered;
    if (w->h.threads) /* under the sanitizer all of them are slower */
        w->offered = 30;
    if (!a->keeps_log) {
        HAMMER_CHECK(!limiter_init(&w->limiter, region_header(w->h.region), cells, str_from(name),
                                   a, &limit, FULL_EVICT),
                     "%s", name);
        return;
    }
    HAMMER_CHECK(
        limit_log_table(w->h.region, str_from(name), w->strangers ? CELLS_GROUP : 64, &log),
        "no table");
    HAMMER_CHECK(!limiter_init_log(&w->limiter, region_header(w->h.region), &log, str_from(name), a,
                                   &limit, w->strangers ? FULL_DENY : FULL_EVICT),
                 "%s", name);
}

int main(int argc, char **argv)
{
    struct work w = { .h = hammer_begin(argc, argv) };
    uint64_t ns = (w.h.until_ns - clock_now_ns()) / ((ARRAY_LEN(limits) + 1) * ARRAY_LEN(actors));
    struct cells cells;
    char name[64];

    HAMMER_CHECK(cells_table(w.h.region, STR("limits"), 1024, &cells), "no table");
    w.shared = region_table(w.h.region, TABLE_WORDS, STR("hammer"), sizeof *w.shared);
    for (size_t i = 0; i <= ARRAY_LEN(limits); i++)
        for (size_t n = 0; n < ARRAY_LEN(actors); n++) {
            size_t which = i < ARRAY_LEN(limits) ? i : ARRAY_LEN(limits) - 1;

            w.strangers = i == ARRAY_LEN(limits);
            snprintf(name, sizeof name, "%zu-%u", i, actors[n]);
            make_limiter(&w, &cells, which, name);
            run(&w, actors[n], ns, w.strangers ? "log, strangers" : limits[i].algorithm);
        }
    region_commit(w.h.region);
    return hammer_end(&w.h);
}
