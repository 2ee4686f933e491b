/* Eight actors want one of three places. Never are more than three inside, whoever is killed where, and a dead one's place
 * is free again.
 */
#include "shm/holds.h"
#include "test/hammer/hammer.h"

#define ACTORS 8
#define PLACES 3

struct work {
    struct hammer h; /* first */
    struct holds holds;
    struct seats_shared *seats;
    shared_word *inside; /* a bit for each actor that is */
    shared_word *entered, *refused;
};

static void act(struct hammer *h, unsigned actor, struct random *random)
{
    struct work *w = (struct work *)h;
    uint32_t seat = seats_claim(w->seats, h->threads ? (int)actor + 1 : (int)getpid(), SEAT_WORKER,
                                actor, 1, clock_now_ns());

    HAMMER_CHECK(seat != SEAT_NONE, "no seat");
    while (!hammer_ends(h)) {
        uint64_t mine = UINT64_C(1) << actor, others;

        if (!holds_take(&w->holds, seat, 1, PLACES)) {
            word_add_own(&w->refused[actor], 1);
            continue;
        }
        word_set_bits(w->inside, mine);
        others = word_see(w->inside) & ~mine;
        HAMMER_CHECK(__builtin_popcountll(others) < PLACES, "%d others inside",
                     __builtin_popcountll(others));
        word_add_own(&w->entered[actor], 1);
        if (random_below(random, 8) == 0)
            hammer_nap(1000);
        word_clear_bits(w->inside, mine);
        holds_give(&w->holds, seat, 1);
    }
}

static void died(struct hammer *h, unsigned actor, int pid)
{
    struct work *w = (struct work *)h;
    uint32_t seat = seats_retire(w->seats, pid);

    word_clear_bits(w->inside, UINT64_C(1) << actor);
    if (seat == SEAT_NONE)
        return; /* killed before it sat down */
    holds_retire_seat(h->region, seat);
    seats_free(w->seats, seat);
}

int main(int argc, char **argv)
{
    struct work w = { .h = hammer_begin(argc, argv) };
    uint64_t entered = 0, refused = 0;

    w.seats = seats_table(w.h.region);
    HAMMER_CHECK(holds_table(w.h.region, STR("holds"), 2, &w.holds), "no table");
    w.inside = region_words(w.h.region, STR("inside"), 1);
    w.entered = region_words(w.h.region, STR("entered"), HAMMER_ACTORS_MAX);
    w.refused = region_words(w.h.region, STR("refused"), HAMMER_ACTORS_MAX);
    w.h.actors = ACTORS;
    w.h.act = act;
    w.h.died = died;
    hammer_run(&w.h);
    for (unsigned i = 0; i < ACTORS; i++) {
        entered += word_peek(&w.entered[i]);
        refused += word_peek(&w.refused[i]);
    }
    HAMMER_CHECK(holds_sum(&w.holds, 1) == 0, "%llu are still held",
                 (unsigned long long)holds_sum(&w.holds, 1));
    HAMMER_CHECK(entered > 1000, "only %llu entered", (unsigned long long)entered);
    printf("holds: %llu entered, %llu refused, %llu kills\n", (unsigned long long)entered,
           (unsigned long long)refused, (unsigned long long)w.h.kills);
    return hammer_end(&w.h);
}
