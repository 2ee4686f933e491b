/* Eight actors want one of three places of two keys; who finds none waits, is called, or looks by itself after a
 * while, as workers do. Never are more than three inside or more than four waiting, whoever is killed where; a dead one's places are
 * free again, and whoever waits gets in: nobody waits for longer than it takes to be noticed, however many calls
 * are lost with their callers.
 */
#include <poll.h>

#include "shm/places.h"
#include "test/hammer/hammer.h"

#define ACTORS  8
#define PLACES  3
#define WAITERS 4
#define KEYS    2
#define LOOK_MS 20
#define LATE_MS 20000

struct work {
    struct hammer h; /* first */
    struct places places;
    struct seats_shared *seats;
    struct bells *bells;
    shared_word *inside; /* by key: a bit for each actor that is */
    shared_word *entered, *refused, *waited, *called, *looked;
};

/* One key, far apart or in one group. */
static uint64_t key_of(unsigned i)
{
    return (UINT64_C(0xabcdef01) + i) << 32 | 0x123;
}

static void stay(struct work *w, unsigned actor, unsigned k, struct random *random)
{
    uint64_t mine = UINT64_C(1) << actor, others;

    word_set_bits(&w->inside[k], mine);
    others = word_see(&w->inside[k]) & ~mine;
    HAMMER_CHECK(__builtin_popcountll(others) < PLACES, "%d others inside",
                 __builtin_popcountll(others));
    word_add_own(&w->entered[actor], 1);
    if (random_below(random, 8) == 0)
        hammer_nap(random_below(random, 20000));
    word_clear_bits(&w->inside[k], mine);
}

/* What limit_line.c does with what has become free. */
static void pass_on(struct work *w, uint32_t seat, uint64_t key)
{
    uint64_t now_ns = clock_now_ns();
    struct places_view v = places_look(&w->places, seat, key, now_ns);

    if (v.next != SEAT_NONE && v.next != seat && v.taken + v.promised < PLACES)
        places_call(&w->places, w->bells, v.next, key, now_ns);
}

static void wait_turn(struct work *w, unsigned actor, uint32_t seat, uint64_t key)
{
    uint64_t begun_ns = clock_now_ns();

    while (!places_advance(&w->places, seat, key, PLACES)) {
        struct pollfd p = { .fd = bells_fd(w->bells, seat), .events = POLLIN };

        HAMMER_CHECK(clock_now_ns() - begun_ns < LATE_MS * NS_PER_MS, "actor %u waits for ever",
                     actor);
        if (poll(&p, 1, LOOK_MS) == 1) {
            bells_hush(w->bells, seat);
            (void)places_calls(&w->places, seat);
            word_add_own(&w->called[actor], 1);
        } else {
            word_add_own(&w->looked[actor], 1);
        }
    }
    word_add_own(&w->waited[actor], 1);
}

static void act(struct hammer *h, unsigned actor, struct random *random)
{
    struct work *w = (struct work *)h;
    uint32_t seat = seats_claim(w->seats, h->threads ? (int)actor + 1 : (int)getpid(), SEAT_WORKER,
                                actor, 1, clock_now_ns());

    HAMMER_CHECK(seat != SEAT_NONE, "no seat");
    while (!hammer_ends(h)) {
        unsigned k = (unsigned)random_below(random, KEYS);
        uint64_t key = key_of(k);
        enum places_result r = places_take(&w->places, seat, key, PLACES);

        if (r == PLACES_NONE) {
            r = places_wait(&w->places, seat, key, WAITERS, clock_now_ns());
            if (r == PLACES_GOT && random_below(random, 16) == 0) {
                places_leave(&w->places, seat, key); /* and somebody may have called us */
                pass_on(w, seat, key);
                continue;
            }
            if (r == PLACES_GOT)
                wait_turn(w, actor, seat, key);
            else
                r = places_take_past(&w->places, seat, key, PLACES, clock_now_ns());
        }
        HAMMER_CHECK(r != PLACES_FULL, "two keys are too many");
        HAMMER_CHECK(places_look(&w->places, seat, key, clock_now_ns()).taken <= ACTORS + PLACES,
                     "a sum is wrong");
        if (r == PLACES_NONE) {
            word_add_own(&w->refused[actor], 1);
            continue;
        }
        stay(w, actor, k, random);
        places_give(&w->places, seat, key);
        pass_on(w, seat, key);
    }
}

static void died(struct hammer *h, unsigned actor, int pid)
{
    struct work *w = (struct work *)h;
    uint32_t seat = seats_retire(w->seats, pid);

    for (unsigned k = 0; k < KEYS; k++)
        word_clear_bits(&w->inside[k], UINT64_C(1) << actor);
    if (seat == SEAT_NONE)
        return; /* killed before it sat down */
    places_retire_seat(h->region, seat);
    places_call_all(h->region, w->bells);
    seats_free(w->seats, seat);
}

static uint64_t all(const shared_word *of_actors)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < ACTORS; i++)
        sum += word_peek(&of_actors[i]);
    return sum;
}

int main(int argc, char **argv)
{
    struct work w = { .h = hammer_begin(argc, argv), .bells = bells_new() };

    w.seats = seats_table(w.h.region);
    HAMMER_CHECK(places_table(w.h.region, STR("places"), &w.places), "no table");
    w.inside = region_words(w.h.region, STR("inside"), KEYS);
    w.entered = region_words(w.h.region, STR("entered"), HAMMER_ACTORS_MAX);
    w.refused = region_words(w.h.region, STR("refused"), HAMMER_ACTORS_MAX);
    w.waited = region_words(w.h.region, STR("waited"), HAMMER_ACTORS_MAX);
    w.called = region_words(w.h.region, STR("called"), HAMMER_ACTORS_MAX);
    w.looked = region_words(w.h.region, STR("looked"), HAMMER_ACTORS_MAX);
    w.h.actors = ACTORS;
    w.h.act = act;
    w.h.died = died;
    hammer_run(&w.h);
    for (unsigned k = 0; k < KEYS; k++) {
        struct places_view v = places_look(&w.places, 0, key_of(k), clock_now_ns());

        HAMMER_CHECK(v.taken == 0 && v.waiting == 0, "%llu are still taken, %llu wait",
                     (unsigned long long)v.taken, (unsigned long long)v.waiting);
    }
    HAMMER_CHECK(all(w.entered) > 1000 && all(w.waited) > 0, "only %llu entered, %llu waited",
                 (unsigned long long)all(w.entered), (unsigned long long)all(w.waited));
    printf("places: %llu entered, %llu of them waited, %llu refused; %llu calls came, %llu looks; "
           "%llu kills\n",
           (unsigned long long)all(w.entered), (unsigned long long)all(w.waited),
           (unsigned long long)all(w.refused), (unsigned long long)all(w.called),
           (unsigned long long)all(w.looked), (unsigned long long)w.h.kills);
    bells_free(w.bells);
    return hammer_end(&w.h);
}
