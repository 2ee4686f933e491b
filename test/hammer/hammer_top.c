/* Writers, each in a seat of its own and killed again and again, and readers. A name that is read is that of its key, whole;
 * nobody is said to have had more than all writers have told; and who was killed in the middle leaves nothing that the next
 * one in its seat stumbles over.
 */
#include "shm/top.h"
#include "test/hammer/hammer.h"

#define WRITERS 3
#define LIMITS  40
#define CLIENTS 200 /* of a limit: more than there are places */

struct work {
    struct hammer h; /* first */
    struct top top;
    shared_word *told; /* by writer, limit and client; before they are noted */
    shared_word *read, *written;
};

static uint64_t limit_of(uint64_t i)
{
    return (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static size_t index_of(uint64_t writer, uint64_t limit, uint64_t client)
{
    return (size_t)((writer * LIMITS + limit) * CLIENTS + client);
}

/* A name as long as its room or shorter, all of which follows from its key. */
static struct str name_of(uint64_t limit, uint64_t client, char *to)
{
    size_t len = 1 + (limit * 7 + client * 13) % TOP_TEXT;

    for (size_t i = 0; i < len; i++)
        to[i] = (char)('!' + (limit * 31 + client * 17 + i) % 90);
    return str_of(to, len);
}

static void write_names(struct work *w, uint32_t seat, struct random *random)
{
    char name[TOP_TEXT];

    while (!hammer_ends(&w->h)) {
        uint64_t limit = random_below(random, LIMITS), client = random_below(random, CLIENTS);
        uint64_t key, now = clock_now_ns();
        uint32_t n = 1 + (uint32_t)random_below(random, 3);

        if (random_below(random, 2) == 0)
            client %= 20; /* some come more often */
        key = limit << 32 | client;
        word_add_own(&w->told[index_of(seat, limit, client)], n);
        if (!top_count(&w->top, seat, TOP_TAKEN, limit_of(limit), key, n, now))
            top_enter(&w->top, seat, TOP_TAKEN, limit_of(limit), key, n, now,
                      name_of(limit, client, name));
        word_add_own(&w->written[seat], 1);
    }
}

static void check(const struct work *w, const struct top_entry *e)
{
    uint64_t limit = e->key >> 32, client = e->key & UINT32_MAX, told = 0;
    char name[TOP_TEXT];

    if (e->key == 1) { /* key 0 is kept as 1, and 1 is somebody, too */
        HAMMER_CHECK(e->limit == limit_of(0), "a limit that nobody has");
        return;
    }
    HAMMER_CHECK(limit < LIMITS && client < CLIENTS, "a key that nobody has: %llx",
                 (unsigned long long)e->key);
    HAMMER_CHECK(e->limit == limit_of(limit), "the limit of another");
    HAMMER_CHECK(str_equal(e->text, name_of(limit, client, name)), "the name of another: %.*s",
                 STR_ARGS(e->text));
    for (uint64_t writer = 0; writer < WRITERS; writer++)
        told += word_peek(&w->told[index_of(writer, limit, client)]);
    HAMMER_CHECK(e->total <= told, "%llu, and %llu were told", (unsigned long long)e->total,
                 (unsigned long long)told);
    HAMMER_CHECK(e->per_s >= 0 && e->per_s <= (double)told, "%f a second", e->per_s);
}

static void act(struct hammer *h, unsigned actor, struct random *random)
{
    struct work *w = (struct work *)h;
    struct top_entry e;

    if (actor < WRITERS) {
        write_names(w, actor, random);
        return;
    }
    while (!hammer_ends(h)) {
        size_t i = 0;

        while (top_next(&w->top, WRITERS, TOP_TAKEN, clock_now_ns(), &i, &e)) {
            check(w, &e);
            word_add_own(&w->read[actor], 1);
        }
    }
}

int main(int argc, char **argv)
{
    struct work w = { .h = hammer_begin(argc, argv) };
    uint64_t read = 0, written = 0, odd = 0;

    HAMMER_CHECK(top_table(w.h.region, &w.top), "no table");
    w.told = region_words(w.h.region, STR("told"), WRITERS * LIMITS * CLIENTS);
    w.read = region_words(w.h.region, STR("read"), HAMMER_ACTORS_MAX);
    w.written = region_words(w.h.region, STR("written"), HAMMER_ACTORS_MAX);
    w.h.actors = WRITERS + 2;
    w.h.act = act;
    hammer_run(&w.h);
    for (unsigned i = 0; i < HAMMER_ACTORS_MAX; i++) {
        read += word_peek(&w.read[i]);
        written += word_peek(&w.written[i]);
    }
    for (unsigned seat = 0; seat < WRITERS; seat++)
        for (unsigned set = 0; set < TOP_SETS; set++)
            for (unsigned i = 0; i < TOP_PLACES; i++)
                odd += word_peek(&w.top.seats[seat].sets[TOP_TAKEN][set].place[i].sequence) % 2;
    HAMMER_CHECK(read > 1000 && written > 1000, "%llu read, %llu written", (unsigned long long)read,
                 (unsigned long long)written);
    HAMMER_CHECK(odd <= w.h.kills, "%llu places were left, by %llu who were killed",
                 (unsigned long long)odd, (unsigned long long)w.h.kills);
    printf("top: %llu noted, %llu read, %llu places left in the middle, %llu kills\n",
           (unsigned long long)written, (unsigned long long)read, (unsigned long long)odd,
           (unsigned long long)w.h.kills);
    return hammer_end(&w.h);
}
