/* Counters and histograms: series found at run time, and for each seat a column of numbers of its own.
 *
 * A family is declared by the program (name, labels, how many series at most); a series is a family with
 * values for its labels, found or claimed at run time by whoever counts first. To count is one plain store
 * into the counter's own column: no two processes write one cache line. A reader sums over the seats.
 * A series is never freed and a column is never reset or folded: the next holder of a seat goes on adding,
 * so a counter never falls. A family that is full counts into its series "__other__".
 *
 * Gauges are not kept here: whoever makes the page reads the truth.
 */
#ifndef SHM_ROWS_H
#define SHM_ROWS_H

#include "shm/region.h"
#include "shm/seats.h"

#define ROWS_LABELS_MAX  4
#define ROWS_BUCKETS_MAX 24
#define ROWS_TEXT        168 /* for all label values of a series; longer ones are cut */

enum rows_type { ROWS_COUNTER, ROWS_HISTOGRAM };

/* Constant data of the program; the order in its array is the family's number. */
struct rows_family {
    const char *name, *help;
    enum rows_type type;
    const char *labels[ROWS_LABELS_MAX + 1]; /* names, ended by NULL */
    uint32_t max_series;     /* besides __other__; a family without labels has one */
    const uint64_t *buckets; /* histogram: upper bounds in ns, rising; +Inf is implied */
    uint32_t bucket_count;
};

struct rows_slot;

/* Where the series of one family lie. */
struct rows_part {
    struct rows_slot *slots;
    shared_word *index; /* hash -> slot */
    uint32_t index_mask;
    uint32_t cell, width; /* its first cell, cells of a series */
    uint32_t slots_max;
};

/* This process's view; may be copied. */
struct rows {
    const struct rows_family *families;
    uint32_t family_count;
    struct hash_key key;
    shared_word *columns;    /* [seat][cell] */
    uint32_t stride;         /* cells of a column */
    struct rows_part *parts; /* of each family; malloc */
};

/* The table for these families: made within a load, found otherwise. Other declarations are another table.
 * returns  false as region_table */
bool rows_table(struct region *r, const struct rows_family *families, uint32_t count,
                struct rows *out) MUST_USE;
void rows_close(struct rows *rows);

/* The series with these label values (as many as the family has labels): the number to count with. It stays the same
 * for the life of the region: keep it. Never fails: a full family gives __other__. Costs a hash and a compare
 * (about 50 ns); a new series once more. */
uint32_t rows_find(const struct rows *rows, uint32_t family, const struct str *values);

/* Count n. `seat` is the caller's own. */
static inline void rows_add(const struct rows *rows, uint32_t seat, uint32_t series, uint64_t n)
{
    word_add_own(&rows->columns[(size_t)seat * rows->stride + series], n);
}

/* Count a value into a histogram and its sum. */
static inline void rows_observe(const struct rows *rows, uint32_t seat, uint32_t family,
                                uint32_t series, uint64_t value_ns)
{
    const struct rows_family *f = &rows->families[family];
    shared_word *cell = &rows->columns[(size_t)seat * rows->stride + series];
    uint32_t b = 0;

    while (b < f->bucket_count && value_ns > f->buckets[b])
        b++;
    word_add_own(&cell[b], 1);
    word_add_own(&cell[f->bucket_count + 1], value_ns);
}

/* A series as a page shows it. */
struct rows_series {
    uint32_t label_count;
    struct str values[ROWS_LABELS_MAX]; /* they lie in `text` */
    char text[ROWS_TEXT];
    uint64_t total;  /* counter: the value. Histogram: how many observations */
    uint64_t sum_ns; /* histogram */
    uint64_t buckets[ROWS_BUCKETS_MAX + 1]; /* histogram: each on its own; the last is +Inf */
};

/* The next series of a family from *i on, which begins at 0, summed over the seats below `seats` (seats_high);
 * false after the last. __other__ comes first, and only if something was counted there. */
bool rows_next(const struct rows *rows, uint32_t family, uint32_t seats, size_t *i,
               struct rows_series *out);
/* The value of one counter. */
uint64_t rows_sum(const struct rows *rows, uint32_t seats, uint32_t series);
/* Series of a family in use, of rows_family.max_series. */
uint32_t rows_used(const struct rows *rows, uint32_t family);

#endif
