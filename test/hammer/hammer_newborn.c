/* Clients who come for the first time, to all workers at once: nobody knows them yet, and all make a cell for them. Each may
 * so many times, and never once more, though those who make the cells are killed in the middle and few cells are free. The
 * tables are nearly full of clients who have been idle for long, so that victims are chosen among cells that change hands.
 */
#include "ratelimit/limiter.h"
#include "test/hammer/hammer.h"

#define CELLS    4096
#define TRIES    40 /* for each client, by all actors together */
#define BURST    10
#define BIRTH_NS (86400 * NS_PER_S)
#define ROUND                                                                                      \
    1024 /* clients; then the clock goes on by two days, and all of them have been idle for long */
#define ROUNDS 4096

static const char *const algorithms[] = { "token_bucket", "fixed_window", "sliding_log" };

struct shared {
    shared_word tries;
    shared_word allowed[ROUND * ROUNDS];
};

struct work {
    struct hammer h; /* first */
    struct limiter limiters[ARRAY_LEN(algorithms)];
    struct shared *shared;
};

static uint64_t number_of_clients(const struct work *w)
{
    uint64_t n = word_peek(&w->shared->tries) / TRIES;

    return n < ROUND * ROUNDS ? n : ROUND * ROUNDS;
}

static void act(struct hammer *h, unsigned actor, struct random *random)
{
    struct work *w = (struct work *)h;

    (void)actor;
    (void)random;
    while (!hammer_ends(h)) {
        uint64_t client = word_add(&w->shared->tries, 1) / TRIES;
        const struct limiter *l = &w->limiters[client % ARRAY_LEN(algorithms)];
        uint64_t now = BIRTH_NS + client / ROUND * 3 * 86400 * NS_PER_S;
        struct decision d;

        if (client >= ROUND * ROUNDS)
            return;
        d = limiter_take(l, limiter_key(l, str_of((const char *)&client, sizeof client)), 1, now);
        /* who was stopped till the clock went on is let pass two days later, and rightly so */
        if (d.allowed && word_peek(&w->shared->tries) / TRIES / ROUND == client / ROUND)
            word_add(&w->shared->allowed[client], 1);
    }
}

int main(int argc, char **argv)
{
    struct work w = { .h = hammer_begin(argc, argv) };
    struct limit limit = { .count = BURST, .per_ns = 86400 * NS_PER_S, .burst = BURST };
    uint64_t clients, short_of = 0;
    struct cells cells;
    struct limit_log log;

    HAMMER_CHECK(cells_table(w.h.region, STR("limits"), CELLS, &cells), "no table");
    HAMMER_CHECK(limit_log_table(w.h.region, STR("log"), CELLS, &log), "no table");
    w.shared = region_table(w.h.region, TABLE_WORDS, STR("hammer"), sizeof *w.shared);
    for (size_t i = 0; i < ARRAY_LEN(algorithms); i++) {
        const struct algorithm *a = algorithm_find(str_from(algorithms[i]));
        const struct region_header *h = region_header(w.h.region);

        HAMMER_CHECK(!(a->keeps_log ? limiter_init_log(&w.limiters[i], h, &log, str_from(a->name),
                                                       a, &limit, FULL_DENY)
                                    : limiter_init(&w.limiters[i], h, &cells, str_from(a->name), a,
                                                   &limit, FULL_DENY)),
                     "%s", a->name);
    }
    w.h.actors = 4;
    w.h.act = act;
    hammer_run(&w.h);
    clients = number_of_clients(&w);
    for (uint64_t i = 0; i < clients; i++) {
        uint64_t allowed = word_peek(&w.shared->allowed[i]);

        HAMMER_CHECK(allowed <= BURST, "client %llu, %s: %llu times of %d", (unsigned long long)i,
                     algorithms[i % ARRAY_LEN(algorithms)], (unsigned long long)allowed, BURST);
        short_of += BURST - allowed;
    }
    /* who was killed may have been allowed and not have said so, or have left a stamp that counts; and those of the last
     * clients of a round are not counted when it ends */
    HAMMER_CHECK(clients > 1000 && short_of <= 2 * w.h.kills + clients / 50,
                 "%llu clients, %llu times too few, %llu kills", (unsigned long long)clients,
                 (unsigned long long)short_of, (unsigned long long)w.h.kills);
    printf("newborn: %llu clients, each %d times; %llu take-overs, %llu kills\n",
           (unsigned long long)clients, BURST,
           (unsigned long long)(word_peek(&cells.shared->takeovers) +
                                word_peek(&log.cells.shared->takeovers)),
           (unsigned long long)w.h.kills);
    return hammer_end(&w.h);
}
