/* Masters that load, abort and sweep, each killed somewhere in it; the next one opens the region from its descriptor. What
 * was committed and is still named is there with what it held; what is new is zero; no two tables overlap; nothing leaks.
 * Others walk the directory meanwhile. As threads there is one master, which is not killed.
 */
#include "test/hammer/hammer.h"

#define NAMES 40

struct work {
    struct hammer h; /* first: its region is where the words of the hammer are */
    struct region *subject;
    shared_word *loads, *walks;
};

static struct str name_of(char *to, size_t room, unsigned n)
{
    return str_of(to, (size_t)snprintf(to, room, "table/%u", n));
}

static size_t size_of(unsigned n)
{
    return n % 4 == 0 ? 20000 + n : 64 + n * 8;
}

/* A table is zero, or it is filled with its own number: then it was made and used before. */
static void check_table(const uint64_t *at, unsigned n)
{
    size_t words = size_of(n) / 8;
    uint64_t first = at[0];

    HAMMER_CHECK(first == 0 || first == n + 1, "table %u holds %llu", n, (unsigned long long)first);
    if (first == n + 1)
        for (size_t i = 1; i < words; i++)
            HAMMER_CHECK(at[i] == n + 1, "table %u holds %llu at %zu", n, (unsigned long long)at[i],
                         i);
    else
        /* a master that was killed while it filled it: nobody else may have written here */
        for (size_t i = 1; i < words; i++)
            HAMMER_CHECK(at[i] == 0 || at[i] == n + 1, "table %u is not clean at %zu", n, i);
}

static void fill_table(uint64_t *at, unsigned n)
{
    for (size_t i = size_of(n) / 8; i-- > 0;)
        at[i] = n + 1; /* the first word last */
}

static void load(struct region *r, struct random *random)
{
    uint64_t *at[NAMES];
    char name[32];

    region_begin(r);
    for (unsigned n = 0; n < NAMES; n++) {
        at[n] = NULL;
        if (random_below(random, 2))
            continue;
        at[n] = region_table(r, TABLE_WORDS, name_of(name, sizeof name, n), size_of(n));
        HAMMER_CHECK(at[n] != NULL, "the region is full: something leaks");
        check_table(at[n], n);
    }
    if (random_below(random, 4) == 0) {
        region_abort(r);
        return;
    }
    region_commit(r);
    for (unsigned n = 0; n < NAMES; n++)
        if (at[n])
            fill_table(at[n], n);
    if (random_below(random, 2))
        region_sweep(r, word_peek(&region_header(r)->generation));
}

static void walk(const struct region *r)
{
    struct table_info info;
    size_t i = 0;

    while (region_next_table(r, &i, &info)) {
        HAMMER_CHECK(info.kind == TABLE_WORDS, "a table of kind %d", (int)info.kind);
        HAMMER_CHECK(str_starts(info.name, STR("table/")), "a table %.*s", STR_ARGS(info.name));
    }
}

static void act(struct hammer *h, unsigned actor, struct random *random)
{
    struct work *w = (struct work *)h;
    struct region *r = w->subject;

    if (actor == 0) { /* the master; whoever opens a region undoes what another had begun */
        r = region_open(dup(region_fd(w->subject)));
        HAMMER_CHECK(r != NULL, "not a region");
    }
    while (!hammer_ends(h)) {
        if (actor == 0) {
            load(r, random);
            word_add_own(w->loads, 1);
        } else {
            walk(w->subject);
            word_add_own(&w->walks[actor], 1);
        }
    }
    if (actor == 0)
        region_close(r);
}

int main(int argc, char **argv)
{
    struct work w = { .h = hammer_begin(argc, argv) };
    uint64_t bytes;

    w.subject = region_new(UINT64_C(16) << 20);
    w.loads = region_words(w.h.region, STR("loads"), 1);
    w.walks = region_words(w.h.region, STR("walks"), HAMMER_ACTORS_MAX);
    w.h.actors = 2;
    w.h.act = act;
    hammer_run(&w.h);
    HAMMER_CHECK(word_peek(w.loads) > 50, "only %llu loads",
                 (unsigned long long)word_peek(w.loads));
    bytes = word_peek(&region_header(w.subject)->bytes);
    HAMMER_CHECK(word_peek(&region_header(w.subject)->tables) <= 2 * NAMES, "entries leak");
    HAMMER_CHECK(bytes <= NAMES * 24576, "%llu bytes in tables", (unsigned long long)bytes);
    printf("region: %llu loads, %llu walks, %llu kills\n", (unsigned long long)word_peek(w.loads),
           (unsigned long long)word_peek(&w.walks[1]), (unsigned long long)w.h.kills);
    region_close(w.subject);
    return hammer_end(&w.h);
}
