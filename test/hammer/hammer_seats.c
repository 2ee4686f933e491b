/* Actors sit down, work and die; the master retires them. No two that live ever have the same seat, no seat is lost, and
 * the oldest generation is never newer than what somebody holds. As threads, each actor is its own master.
 */
#include "shm/seats.h"
#include "test/hammer/hammer.h"

#define ACTORS 12

struct work {
    struct hammer h; /* first */
    struct seats_shared *seats;
    shared_word *holder; /* by seat: the actor + 1 that found itself in it */
    shared_word *claims;
};

static void sit(struct work *w, unsigned actor, int pid, struct random *random)
{
    uint64_t generation = 10 + random_below(random, 5), nobody = 0;
    uint32_t seat = seats_claim(w->seats, pid, SEAT_WORKER, actor, generation, clock_now_ns());

    HAMMER_CHECK(seat != SEAT_NONE, "no seat for %u", actor);
    HAMMER_CHECK(word_swap(&w->holder[seat], &nobody, actor + 1),
                 "seat %u is actor %llu's and %u's", seat, (unsigned long long)nobody - 1, actor);
    word_add_own(&w->claims[actor], 1);
    HAMMER_CHECK(seats_oldest_generation(w->seats) <= generation, "somebody newer is the oldest");
    seats_beat(w->seats, seat, clock_now_ns());
    HAMMER_CHECK(seats_view(w->seats, seat).pid == pid, "somebody else in my seat");
}

static void leave(struct work *w, int pid)
{
    uint32_t seat;

    while ((seat = seats_retire(w->seats, pid)) != SEAT_NONE) {
        word_put(&w->holder[seat], 0);
        seats_free(w->seats, seat);
    }
}

static void act(struct hammer *h, unsigned actor, struct random *random)
{
    struct work *w = (struct work *)h;

    if (!h->threads) {
        sit(w, actor, (int)getpid(), random);
        while (!hammer_ends(h)) /* or until it is killed */
            hammer_nap(NS_PER_MS);
        return;
    }
    for (int turn = 1; !hammer_ends(h); turn++) {
        int pid = (int)actor << 24 | (turn & 0xffffff);

        sit(w, actor, pid, random);
        leave(w, pid);
    }
}

static void died(struct hammer *h, unsigned actor, int pid)
{
    struct work *w = (struct work *)h;

    (void)actor;
    leave(w, pid);
}

int main(int argc, char **argv)
{
    struct work w = { .h = hammer_begin(argc, argv) };
    uint64_t claims = 0;

    w.seats = seats_table(w.h.region);
    w.holder = region_words(w.h.region, STR("holder"), SEATS_MAX);
    w.claims = region_words(w.h.region, STR("claims"), HAMMER_ACTORS_MAX);
    w.h.actors = ACTORS;
    w.h.act = act;
    w.h.died = died;
    hammer_run(&w.h);
    HAMMER_CHECK(seats_high(w.seats) <= 2 * ACTORS, "%u seats for %u actors", seats_high(w.seats),
                 ACTORS);
    for (unsigned i = 0; i < ACTORS; i++)
        claims += word_peek(&w.claims[i]);
    printf("seats: %llu claims, %u seats, %llu kills\n", (unsigned long long)claims,
           seats_high(w.seats), (unsigned long long)w.h.kills);
    return hammer_end(&w.h);
}
