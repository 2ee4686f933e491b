/* What all processes of the gateway share. */
#include "gateway/exchange/shared.h"

#include <stdlib.h>
#include <string.h>

enum shape_word {
    SHAPE_DECIDED,
    SHAPE_MAX_SERIES,
    SHAPE_METRICS_SIZE,
    SHAPE_LIMITS_SIZE,
    SHAPE_BUCKET_COUNT,
    SHAPE_BUCKETS,
    SHAPE_WORDS = SHAPE_BUCKETS + ROWS_BUCKETS_MAX
};

/* Plain words: the master writes them within the first load, before anybody else is born. */
static void shape_decide(shared_word *w, const struct conf_globals *g)
{
    struct families_shape s = families_shape_of(g);

    word_put(&w[SHAPE_MAX_SERIES], s.max_series);
    word_put(&w[SHAPE_METRICS_SIZE], s.size);
    word_put(&w[SHAPE_LIMITS_SIZE], g->shared_memory.limits.size);
    word_put(&w[SHAPE_BUCKET_COUNT], s.bucket_count);
    for (size_t i = 0; i < s.bucket_count; i++)
        word_put(&w[SHAPE_BUCKETS + i], s.buckets[i]);
    word_publish(&w[SHAPE_DECIDED], 1); /* release: the words above */
}

static void shape_read(const shared_word *w, struct families_shape *s)
{
    s->max_series = word_peek(&w[SHAPE_MAX_SERIES]);
    s->size = word_peek(&w[SHAPE_METRICS_SIZE]);
    s->bucket_count = word_peek(&w[SHAPE_BUCKET_COUNT]);
    CHECK(s->bucket_count <= ROWS_BUCKETS_MAX);
    for (size_t i = 0; i < s->bucket_count; i++)
        s->buckets[i] = word_peek(&w[SHAPE_BUCKETS + i]);
}

/* The largest power of two that fits: cells_table would round up. */
static size_t cells_in(uint64_t size)
{
    size_t n = CELLS_GROUP;

    while (n * 2 * sizeof(struct cell) <= size)
        n *= 2;
    return n;
}

struct shared *shared_open(struct region *r, const struct conf_globals *g)
{
    shared_word *shape = region_words(r, STR("gateway/shape"), SHAPE_WORDS);
    struct shared *s;

    if (!shape)
        return NULL;
    /* acquire: the words that it says are there */
    if (!word_read(&shape[SHAPE_DECIDED])) {
        if (!g)
            return NULL;
        shape_decide(shape, g);
    }
    s = calloc(1, sizeof *s);
    if (!s)
        die("out of memory for the view of what is shared");
    s->region = r;
    shape_read(shape, &s->shape);
    families_declare(s->families, &s->shape);
    s->seats = seats_table(r);
    s->rings = rings_table(r);
    s->records = bell_table(r, STR("gateway/records"));
    s->logs = region_words(r, STR("gateway/logs"), LOG_WORDS);
    s->in_hand = region_words(r, STR("gateway/in_hand"), (size_t)SEATS_MAX * SEAT_WORDS);
    if (s->seats && s->rings && s->records && s->logs && s->in_hand &&
        cells_table(r, STR("gateway/limits"), cells_in(word_peek(&shape[SHAPE_LIMITS_SIZE])),
                    &s->limits) &&
        top_table(r, &s->top) && rows_table(r, s->families, FAMILY_COUNT, &s->rows))
        return s;
    free(s);
    return NULL;
}

void shared_close(struct shared *s)
{
    if (!s)
        return;
    rows_close(&s->rows);
    free(s);
}
