/* A service that fails most of the time, asked by many. Half open there is exactly one probe among all of them; the probe
 * of a killed one is given back at once; the breaker never stays shut for good.
 *
 * Time is a shared word that each call moves on by 100 µs.
 */
#include "shm/breaker.h"
#include "test/hammer/hammer.h"

#define ACTORS 6

struct work {
    struct hammer h; /* first */
    struct seats_shared *seats;
    struct breaker *breaker;
    shared_word *clock, *prober;
    shared_word *allowed, *probes, *refused;
};

/* A probe's deadline is days away: what is given back is given back by the master. */
static const struct breaker_params params = { .consecutive = 5,
                                              .open_ns = 10 * NS_PER_MS,
                                              .open_max_ns = 50 * NS_PER_MS,
                                              .backoff = 2,
                                              .successes = 2,
                                              .probe_ns = 1000000 * NS_PER_S,
                                              .window_ns = 100 * NS_PER_MS,
                                              .failed_percent = 90,
                                              .slow_percent = 90,
                                              .at_least = 30 };

static void act(struct hammer *h, unsigned actor, struct random *random)
{
    struct work *w = (struct work *)h;
    uint32_t seat = seats_claim(w->seats, h->threads ? (int)actor + 1 : (int)getpid(), SEAT_WORKER,
                                actor, 1, clock_now_ns());

    HAMMER_CHECK(seat != SEAT_NONE, "no seat");
    while (!hammer_ends(h)) {
        uint64_t now = word_add(w->clock, 100000) + random_below(random, NS_PER_MS), nobody = 0;
        struct breaker_pass pass = breaker_allows(w->breaker, &params, seat, now);
        enum breaker_outcome outcome = (enum breaker_outcome)random_below(random, 4);

        if (pass.verdict == BREAKER_REFUSED) {
            HAMMER_CHECK(pass.retry_ns > 0, "come back at once");
            word_add_own(&w->refused[actor], 1);
            continue;
        }
        word_add_own(&w->allowed[actor], 1);
        if (pass.verdict == BREAKER_PROBE) {
            HAMMER_CHECK(word_swap(w->prober, &nobody, actor + 1), "%u and %llu both probe", actor,
                         (unsigned long long)nobody - 1);
            word_add_own(&w->probes[actor], 1);
            if (random_below(random, 16) == 0)
                hammer_nap(1000);
            HAMMER_CHECK(word_see(w->prober) == actor + 1, "somebody else probes");
            word_put(w->prober, 0);
        } else if (random_below(random, 4) != 0) {
            outcome = OUTCOME_FAILED;
        }
        breaker_tell(w->breaker, &params, &pass, outcome, 0, now);
    }
}

static void died(struct hammer *h, unsigned actor, int pid)
{
    struct work *w = (struct work *)h;
    uint64_t dead = actor + 1;
    uint32_t seat = seats_retire(w->seats, pid);

    word_swap(w->prober, &dead, 0);
    if (seat == SEAT_NONE)
        return;
    breakers_retire_seat(h->region, seat);
    seats_free(w->seats, seat);
}

static uint64_t sum(const shared_word *words)
{
    uint64_t total = 0;

    for (unsigned i = 0; i < ACTORS; i++)
        total += word_peek(&words[i]);
    return total;
}

int main(int argc, char **argv)
{
    struct work w = { .h = hammer_begin(argc, argv) };
    uint64_t later;

    w.seats = seats_table(w.h.region);
    w.breaker = breaker_table(w.h.region, STR("service"));
    w.clock = region_words(w.h.region, STR("clock"), 1);
    w.prober = region_words(w.h.region, STR("prober"), 1);
    w.allowed = region_words(w.h.region, STR("allowed"), HAMMER_ACTORS_MAX);
    w.probes = region_words(w.h.region, STR("probes"), HAMMER_ACTORS_MAX);
    w.refused = region_words(w.h.region, STR("refused"), HAMMER_ACTORS_MAX);
    word_put(w.clock, NS_PER_S);
    w.h.actors = ACTORS;
    w.h.act = act;
    w.h.died = died;
    hammer_run(&w.h);
    HAMMER_CHECK(sum(w.probes) > 100, "only %llu probes", (unsigned long long)sum(w.probes));
    /* everybody has told or was retired: whoever comes now gets through, at the latest as a probe */
    later = word_peek(w.clock) + NS_PER_S;
    HAMMER_CHECK(breaker_allows(w.breaker, &params, 0, later).verdict != BREAKER_REFUSED,
                 "shut for good in state %d", (int)breaker_state(w.breaker));
    printf(
        "breaker: %llu allowed, %llu probes, %llu refused, opened %llu, closed %llu, %llu kills\n",
        (unsigned long long)sum(w.allowed), (unsigned long long)sum(w.probes),
        (unsigned long long)sum(w.refused), (unsigned long long)word_peek(&w.breaker->opened),
        (unsigned long long)word_peek(&w.breaker->closed), (unsigned long long)w.h.kills);
    return hammer_end(&w.h);
}
