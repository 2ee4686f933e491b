/* Many processes spend one share and ask for more when it is used up; clocks differ, colleagues are killed anywhere, and
 * others crowd the table. What was taken was granted before, and what is lost is what somebody who was killed had in hand.
 */
#include "ratelimit/shares.h"
#include "ratelimit/token_bucket.h"
#include "test/hammer/hammer.h"

#define TICK_NS  2000
#define SKEW_NS  (100 * NS_PER_MS)
#define BIRTH_NS NS_PER_S
#define MOST     50 /* granted at a time */
#define HOT      UINT64_C(0x7000000000000)

struct ledger {
    shared_word clock, granted, refused;
    shared_word taken[HAMMER_ACTORS_MAX];
};

struct work {
    struct hammer h; /* first */
    struct shares shares;
    struct ledger *ledger;
};

static void ask(struct work *w, uint64_t key, uint64_t now, struct random *random)
{
    struct remote_answer a = { .granted = 1 + random_below(random, MOST) };

    if (random_below(random, 10) == 0) /* a store that has nothing left */
        a = (struct remote_answer){ .paced = true, .pace_ns = NS_PER_MS };
    if (key == HOT)
        word_add(&w->ledger->granted, a.granted);
    shares_grant(&w->shares, key, now, now, &a);
}

static void act(struct hammer *h, unsigned actor, struct random *random)
{
    struct work *w = (struct work *)h;
    uint64_t skew = random_below(random, SKEW_NS);

    while (!hammer_ends(h)) {
        uint64_t now = word_add(&w->ledger->clock, TICK_NS) + skew;
        /* a key is known by its upper bits and its group: nobody else has the hot one's */
        uint64_t other =
            (HOT + ((1 + random_below(random, 1000)) << 48)) | random_below(random, 1000);
        struct remote_taking t;

        shares_take(&w->shares, HOT, 1, now, &t);
        switch (t.verdict) {
        case REMOTE_TAKEN:
            word_add_own(&w->ledger->taken[actor], 1);
            if (random_below(random, 50) == 0) {
                /* counted before it is there for others */
                word_add(&w->ledger->granted, 1);
                shares_give_back(&w->shares, HOT, 1, now, now);
            }
            break;
        case REMOTE_REFUSED:
            word_add(&w->ledger->refused, 1);
            break;
        case REMOTE_ASK:
            ask(w, HOT, now, random);
            break;
        }
        shares_take(&w->shares, other, 1, now, &t);
        if (t.verdict == REMOTE_ASK)
            ask(w, other, now, random);
        (void)shares_want(&w->shares, HOT, 3, random_below(random, 2), now, now + NS_PER_MS);
    }
}

int main(int argc, char **argv)
{
    struct work w = { .h = hammer_begin(argc, argv) };
    struct limit l = { 100000, NS_PER_S, 100000 };
    struct cells cells;
    struct remote remote;
    uint64_t granted, taken = 0, lost;
    struct remote_taking rest;

    HAMMER_CHECK(cells_table(w.h.region, STR("limits"), 256, &cells), "no table");
    HAMMER_CHECK(!remote_init(&remote, &token_bucket, &l, false, NS_PER_S), "no limit");
    w.ledger = region_table(w.h.region, TABLE_WORDS, STR("hammer"), sizeof *w.ledger);
    word_put(&w.ledger->clock, BIRTH_NS);
    /* the hot one's cell is never idle, so nobody may take it */
    shares_init(&w.shares, region_header(w.h.region), &cells, STR("hot"), &remote, FULL_ALLOW);
    w.h.actors = 4;
    w.h.act = act;
    hammer_run(&w.h);
    for (unsigned i = 0; i < HAMMER_ACTORS_MAX; i++)
        taken += word_peek(&w.ledger->taken[i]);
    granted = word_peek(&w.ledger->granted);
    shares_take(&w.shares, HOT, UINT32_MAX, word_peek(&w.ledger->clock) + SKEW_NS, &rest);
    HAMMER_CHECK(taken + rest.balance <= granted, "%llu taken, %llu left of %llu granted",
                 (unsigned long long)taken, (unsigned long long)rest.balance,
                 (unsigned long long)granted);
    lost = granted - taken - rest.balance;
    HAMMER_CHECK(lost <= (w.h.kills + w.h.actors) * (MOST + 1), "%llu lost in %llu kills",
                 (unsigned long long)lost, (unsigned long long)w.h.kills);
    HAMMER_CHECK(taken > 0 && word_peek(&w.ledger->refused) > 0, "nothing happened");
    printf("shares: %llu granted, %llu taken, %llu lost in %llu kills\n",
           (unsigned long long)granted, (unsigned long long)taken, (unsigned long long)lost,
           (unsigned long long)w.h.kills);
    return hammer_end(&w.h);
}
