/* One changes a number and rings; the others want to know. A waiter that was told the truth had not changed, and went to
 * sleep, is woken: it never needs its timeout, as long as nobody is killed between publishing and ringing. Waiters are
 * killed in mid-wait; what they leave behind disturbs nobody.
 */
#include <poll.h>

#include "shm/bell.h"
#include "test/hammer/hammer.h"

#define WAITERS 3
#define LATE_MS 20000

struct work {
    struct hammer h; /* first */
    struct bells *bells;
    struct bell_topic *topic;
    shared_word *truth;
    shared_word *seen; /* by actor */
};

static void change(struct work *w, struct random *random)
{
    bool last;

    do {
        last = hammer_ends(&w->h);
        word_publish(w->truth, word_peek(w->truth) + 1);
        bell_ring(w->bells,
                  w->topic); /* the last one too: whoever was forgotten before sleeps on */
        if (random_below(random, 4) == 0)
            hammer_nap(random_below(random, 20000));
    } while (!last);
}

/* Somebody who cannot decide: its bit comes and goes beside those of the waiters. */
static void fidget(struct work *w, uint32_t seat)
{
    while (!hammer_ends(&w->h)) {
        bell_want(w->topic, seat);
        bell_want_no_more(w->topic, seat);
    }
}

static void act(struct hammer *h, unsigned actor, struct random *random)
{
    struct work *w = (struct work *)h;
    uint64_t known = 0;

    if (actor == 0) {
        change(w, random);
        return;
    }
    if (actor > WAITERS) {
        fidget(w, actor);
        return;
    }
    while (!hammer_ends(h)) {
        struct pollfd p = { .fd = bells_fd(w->bells, actor), .events = POLLIN };

        bell_want(w->topic, actor);
        if (word_read(w->truth) == known && !hammer_ends(h)) {
            HAMMER_CHECK(poll(&p, 1, LATE_MS) == 1, "waiter %u was not woken", actor);
            bells_hush(w->bells, actor);
        }
        HAMMER_CHECK(word_read(w->truth) >= known, "the truth went back");
        known = word_read(w->truth);
        word_add_own(&w->seen[actor], 1);
    }
}

int main(int argc, char **argv)
{
    struct work w = { .h = hammer_begin(argc, argv) };

    w.bells = bells_new();
    w.topic = bell_table(w.h.region, STR("topic"));
    w.truth = region_words(w.h.region, STR("truth"), 1);
    w.seen = region_words(w.h.region, STR("seen"), HAMMER_ACTORS_MAX);
    w.h.actors = WAITERS + 2;
    w.h.spared = 1; /* what a killed ringer costs is the timeout */
    w.h.act = act;
    hammer_run(&w.h);
    for (unsigned i = 1; i <= WAITERS; i++)
        HAMMER_CHECK(word_peek(&w.seen[i]) > 100, "waiter %u saw only %llu changes", i,
                     (unsigned long long)word_peek(&w.seen[i]));
    printf("bell: %llu changes, %llu seen by the first waiter, %llu kills\n",
           (unsigned long long)word_peek(w.truth), (unsigned long long)word_peek(&w.seen[1]),
           (unsigned long long)w.h.kills);
    bells_free(w.bells);
    return hammer_end(&w.h);
}
