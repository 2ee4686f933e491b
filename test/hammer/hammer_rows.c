/* Actors count into series that they find at run time, more of them than the family holds. A label is always the same
 * series, no series appears twice, none of the counts is lost but the one a killed actor was about to make, and no
 * counter ever falls.
 */
#include "shm/rows.h"
#include "test/hammer/hammer.h"

#define LABELS 300
#define SERIES 200
#define ACTORS 6

static const uint64_t bounds[] = { 1000, 100000 };
static const struct rows_family families[] = {
    { .name = "counter", .type = ROWS_COUNTER, .labels = { "n", "text" }, .max_series = SERIES },
    { .name = "histogram",
      .type = ROWS_HISTOGRAM,
      .labels = { "n" },
      .max_series = LABELS,
      .buckets = bounds,
      .bucket_count = 2 },
};

struct work {
    struct hammer h; /* first */
    struct rows rows;
    shared_word *series; /* by label: its series + 1, by who found it first */
    shared_word *counted;
};

static void act(struct hammer *h, unsigned actor, struct random *random)
{
    struct work *w = (struct work *)h;

    while (!hammer_ends(h)) {
        unsigned n = (unsigned)random_below(random, LABELS);
        char number[16], text[64];
        struct str values[2] = { str_of(number, (size_t)snprintf(number, sizeof number, "%u", n)),
                                 str_of(text, (size_t)snprintf(text, sizeof text,
                                                               "a longer text about %u", n)) };
        uint32_t series = rows_find(&w->rows, 0, values), again;
        uint32_t histogram = rows_find(&w->rows, 1, values);
        uint64_t first = 0;

        /* a label may be other's to one who came while the last slot was being claimed, but never two series */
        if (series != w->rows.parts[0].cell && !word_swap(&w->series[n], &first, series + 1u))
            HAMMER_CHECK(first == series + 1u, "label %u is series %u and %u", n,
                         (unsigned)first - 1, series);
        again = rows_find(&w->rows, 0, values);
        HAMMER_CHECK(series == w->rows.parts[0].cell || again == series, "label %u moved", n);
        word_add_own(&w->counted[actor], 1);
        rows_add(&w->rows, actor, series, 1);
        rows_observe(&w->rows, actor, 1, histogram, random_below(random, 200000));
    }
}

static uint64_t counted(const struct work *w)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < ACTORS; i++)
        sum += word_peek(&w->counted[i]);
    return sum;
}

/* The total of a family; every label at most once, and what belongs together does. */
static uint64_t total_of(const struct work *w, uint32_t family)
{
    unsigned char seen[LABELS] = { 0 };
    struct rows_series s;
    uint64_t total = 0;
    size_t i = 0;

    while (rows_next(&w->rows, family, ACTORS, &i, &s)) {
        uint64_t n;
        char text[64];

        total += s.total;
        if (str_equal(s.values[0], STR("__other__")))
            continue;
        HAMMER_CHECK(number_read_u64(s.values[0], &n) && n < LABELS, "label %.*s",
                     STR_ARGS(s.values[0]));
        HAMMER_CHECK(!seen[n]++, "label %u twice", (unsigned)n);
        if (s.label_count == 2)
            HAMMER_CHECK(
                str_equal(s.values[1],
                          str_of(text, (size_t)snprintf(text, sizeof text, "a longer text about %u",
                                                        (unsigned)n))),
                "label %u with %.*s", (unsigned)n, STR_ARGS(s.values[1]));
    }
    return total;
}

static void died(struct hammer *h, unsigned actor, int pid)
{
    const struct work *w = (const struct work *)h;
    uint64_t before = total_of(w, 0), after = total_of(w, 0);

    (void)actor;
    (void)pid;
    HAMMER_CHECK(before <= after, "a counter fell");
}

int main(int argc, char **argv)
{
    struct work w = { .h = hammer_begin(argc, argv) };
    uint64_t sum, total, observed;

    HAMMER_CHECK(rows_table(w.h.region, families, 2, &w.rows), "no table");
    w.series = region_words(w.h.region, STR("series"), LABELS);
    w.counted = region_words(w.h.region, STR("counted"), HAMMER_ACTORS_MAX);
    w.h.actors = ACTORS;
    w.h.act = act;
    w.h.died = died;
    hammer_run(&w.h);
    sum = counted(&w);
    total = total_of(&w, 0);
    observed = total_of(&w, 1);
    HAMMER_CHECK(total <= sum && total + w.h.kills >= sum, "%llu of %llu",
                 (unsigned long long)total, (unsigned long long)sum);
    HAMMER_CHECK(observed <= sum && observed + w.h.kills >= sum, "%llu of %llu",
                 (unsigned long long)observed, (unsigned long long)sum);
    HAMMER_CHECK(rows_used(&w.rows, 0) == SERIES && rows_used(&w.rows, 1) == LABELS,
                 "%u and %u series", rows_used(&w.rows, 0), rows_used(&w.rows, 1));
    printf("rows: %llu counted, %llu kills\n", (unsigned long long)total,
           (unsigned long long)w.h.kills);
    rows_close(&w.rows);
    return hammer_end(&w.h);
}
