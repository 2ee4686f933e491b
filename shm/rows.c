/* Finding and claiming series.
 *
 * A slot is claimed by a CAS of its hash; then its text is written, then it is ready, then its number
 * enters the index. Slots are claimed strictly in order, so whoever looks for a free one passes its own
 * series if a colleague was faster, and finishes what a killed colleague had begun: both write the same
 * bytes. No series is given out before it is ready.
 *
 *   slots      [family][slot]      slot 0 is __other__ (or the only one of a family without labels)
 *   indexes    [family][hash]      hash with the slot's number in the low 16 bits
 *   columns    [seat][family][slot][cell]
 */
#include "shm/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_WORDS  (ROWS_TEXT / 8)
#define NUMBER_MASK UINT64_C(0xffff)
#define READY       (UINT64_C(1) << 63)

struct rows_slot {
    _Alignas(CACHE_LINE) shared_word hash; /* 0: free                                     */
    shared_word lens;                      /* READY and 8 bits for the length of each value */
    shared_word text[TEXT_WORDS];
};
_Static_assert(sizeof(struct rows_slot) == 192, "three cache lines");

/* The values of a series as they are kept: cut to what fits, one after the other, padded with zeros. */
struct tuple {
    uint64_t lens;
    uint64_t text[TEXT_WORDS];
    size_t used; /* words of the text that are not all padding */
};

static uint32_t label_count(const struct rows_family *f)
{
    uint32_t n = 0;

    while (f->labels[n])
        n++;
    return n;
}

static uint32_t slots_of(const struct rows_family *f)
{
    return label_count(f) ? f->max_series + 1 : 1;
}

static uint32_t width_of(const struct rows_family *f)
{
    return f->type == ROWS_HISTOGRAM ? f->bucket_count + 2 : 1; /* buckets, +Inf, sum */
}

static uint32_t index_size(uint32_t slots)
{
    uint32_t size = 2;

    while (size < 2 * slots)
        size *= 2;
    return size;
}

static size_t to_line(size_t bytes)
{
    return (bytes + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
}

/* What the declarations say, in a number: another program's rows are another table. */
static uint64_t shape_of(const struct rows_family *families, uint32_t count)
{
    static const struct hash_key key = { UINT64_C(0x736c756963652e72),
                                         UINT64_C(0x6f77732e73686170) };
    uint64_t shape = 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct rows_family *f = &families[i];
        uint64_t part[8] = { shape,
                             (uint64_t)f->type,
                             f->max_series,
                             f->bucket_count,
                             hash_str(&key, str_from(f->name)),
                             label_count(f) };

        part[6] = f->bucket_count
                      ? hash_keyed(&key, f->buckets, f->bucket_count * sizeof *f->buckets)
                      : 0;
        for (uint32_t l = 0; l < label_count(f); l++)
            part[7] = part[7] * 31 + hash_str(&key, str_from(f->labels[l]));
        shape = hash_keyed(&key, part, sizeof part);
    }
    return shape;
}

/* Where each family's slots, index and cells begin; the bytes of it all. */
static size_t lay_out(struct rows *rows, char *base)
{
    size_t at = 0;

    rows->stride = 0;
    for (uint32_t i = 0; i < rows->family_count; i++) {
        const struct rows_family *f = &rows->families[i];
        struct rows_part *p = &rows->parts[i];

        CHECK(f->bucket_count <= ROWS_BUCKETS_MAX && label_count(f) <= ROWS_LABELS_MAX);
        CHECK(slots_of(f) <= NUMBER_MASK);
        p->slots_max = slots_of(f);
        p->width = width_of(f);
        p->cell = rows->stride;
        p->index_mask = index_size(p->slots_max) - 1;
        p->slots = (struct rows_slot *)(void *)(base + at);
        at += p->slots_max * sizeof(struct rows_slot);
        p->index = (shared_word *)(void *)(base + at);
        at += to_line((p->index_mask + 1) * sizeof(shared_word));
        rows->stride += p->slots_max * p->width;
    }
    /* columns begin on lines of their own, so that no two seats write one line */
    rows->stride = (uint32_t)(to_line(rows->stride * sizeof(shared_word)) / sizeof(shared_word));
    rows->columns = (shared_word *)(void *)(base + at);
    return at + (size_t)SEATS_MAX * rows->stride * sizeof(shared_word);
}

bool rows_table(struct region *r, const struct rows_family *families, uint32_t count,
                struct rows *out)
{
    char name[32], *base;
    int len =
        snprintf(name, sizeof name, "rows/%016llx", (unsigned long long)shape_of(families, count));

    *out = (struct rows){ .families = families,
                          .family_count = count,
                          .key = region_header(r)->key,
                          .parts = calloc(count, sizeof *out->parts) };
    if (!out->parts)
        die("no memory for rows");
    base = region_table(r, TABLE_ROWS, str_of(name, (size_t)len), lay_out(out, NULL));
    if (!base) {
        rows_close(out);
        return false;
    }
    lay_out(out, base);
    return true;
}

void rows_close(struct rows *rows)
{
    free(rows->parts);
    rows->parts = NULL;
}

/* So much of it that no character is cut in two. */
static struct str cut_text(struct str s, size_t max)
{
    size_t len = max;

    if (s.len <= max)
        return s;
    while (len > 0 && ((unsigned char)s.at[len] & 0xc0) == 0x80) /* UTF-8: a byte that continues */
        len--;
    return str_of(s.at, len);
}

static void tuple_fill(struct tuple *t, const struct str *values, uint32_t count)
{
    size_t total = 0, at = 0;
    char *text = (char *)t->text;

    for (uint32_t i = 0; i < count; i++)
        total += values[i].len;
    t->lens = READY;
    t->used = total > ROWS_TEXT ? TEXT_WORDS : (total + 7) / 8;
    memset(text, 0, t->used * 8);
    for (uint32_t i = 0; i < count; i++) {
        struct str v = total > ROWS_TEXT ? cut_text(values[i], ROWS_TEXT / count) : values[i];

        if (v.len)
            memcpy(text + at, v.at, v.len);
        at += v.len;
        t->lens |= (uint64_t)v.len << 8 * i;
    }
}

static uint64_t tuple_hash(const struct rows *rows, uint32_t family, const struct tuple *t)
{
    uint64_t hash = hash_keyed(&rows->key, t, sizeof t->lens + t->used * 8) +
                    family * UINT64_C(0x9e3779b97f4a7c15);

    return hash > NUMBER_MASK ? hash : ~hash;
}

static void slot_finish(struct rows_slot *slot, const struct tuple *t)
{
    if (word_read(&slot->lens))
        return;
    /* relaxed: two that are here at once write the same */
    for (size_t i = 0; i < TEXT_WORDS; i++)
        word_put(&slot->text[i], i < t->used ? t->text[i] : 0);
    word_publish(&slot->lens, t->lens); /* release: the text */
}

static void index_add(const struct rows_part *p, uint64_t hash, uint32_t number)
{
    uint64_t entry = (hash & ~NUMBER_MASK) | number;

    for (uint32_t i = (uint32_t)(hash >> 32), n = 0; n <= p->index_mask; i++, n++) {
        uint64_t seen = 0;

        /* release: the slot is ready */
        if (word_swap(&p->index[i & p->index_mask], &seen, entry) || seen == entry)
            return;
    }
}

/* The number of a series that the index knows, or 0. */
static uint32_t index_find(const struct rows_part *p, uint64_t hash)
{
    for (uint32_t i = (uint32_t)(hash >> 32), n = 0; n <= p->index_mask; i++, n++) {
        uint64_t entry = word_read(&p->index[i & p->index_mask]); /* acquire: the slot */
        uint32_t number = (uint32_t)(entry & NUMBER_MASK);

        if (entry == 0)
            return 0;
        if ((entry & ~NUMBER_MASK) == (hash & ~NUMBER_MASK) &&
            word_peek(&p->slots[number].hash) == hash)
            return number;
    }
    return 0;
}

/* The slot of this hash, claimed if there is none; 0: all are taken. */
static uint32_t slot_claim(const struct rows_part *p, uint64_t hash, const struct tuple *t)
{
    /* full: look no further than at the last; a family that overflows must not cost a walk each time */
    if (word_peek(&p->slots[p->slots_max - 1].hash) != 0)
        return 0;
    for (uint32_t n = 1; n < p->slots_max; n++) {
        uint64_t seen = word_peek(&p->slots[n].hash);

        if (seen == 0 && word_swap(&p->slots[n].hash, &seen, hash))
            seen = hash;
        if (seen != hash)
            continue;
        slot_finish(&p->slots[n], t);
        index_add(p, hash, n);
        return n;
    }
    return 0;
}

uint32_t rows_find(const struct rows *rows, uint32_t family, const struct str *values)
{
    const struct rows_family *f = &rows->families[family];
    const struct rows_part *p = &rows->parts[family];
    struct tuple t;
    uint64_t hash;
    uint32_t number;

    CHECK(family < rows->family_count);
    if (!f->labels[0])
        return p->cell;
    tuple_fill(&t, values, label_count(f));
    hash = tuple_hash(rows, family, &t);
    number = index_find(p, hash);
    if (!number)
        number = slot_claim(p, hash, &t);
    return p->cell + number * p->width;
}

uint64_t rows_sum(const struct rows *rows, uint32_t seats, uint32_t series)
{
    uint64_t sum = 0;

    for (uint32_t s = 0; s < seats; s++)
        sum += word_peek(&rows->columns[(size_t)s * rows->stride + series]);
    return sum;
}

/* Copied, word by word: a late helper may still be writing the same bytes. */
static void read_labels(const struct rows_family *f, const struct rows_slot *slot, uint64_t lens,
                        struct rows_series *out)
{
    const char *at = out->text;

    out->label_count = label_count(f);
    for (size_t i = 0; i < TEXT_WORDS; i++) {
        uint64_t word = word_peek(&slot->text[i]);

        memcpy(out->text + 8 * i, &word, sizeof word);
    }
    for (uint32_t l = 0; l < out->label_count; l++) {
        out->values[l] = lens ? str_of(at, lens >> 8 * l & 0xff) : STR("__other__");
        at += out->values[l].len;
    }
}

static void read_values(const struct rows *rows, const struct rows_family *f, uint32_t seats,
                        uint32_t series, struct rows_series *out)
{
    if (f->type == ROWS_COUNTER) {
        out->total = rows_sum(rows, seats, series);
        return;
    }
    for (uint32_t b = 0; b <= f->bucket_count; b++) {
        out->buckets[b] = rows_sum(rows, seats, series + b);
        out->total += out->buckets[b];
    }
    out->sum_ns = rows_sum(rows, seats, series + f->bucket_count + 1);
}

bool rows_next(const struct rows *rows, uint32_t family, uint32_t seats, size_t *i,
               struct rows_series *out)
{
    const struct rows_family *f = &rows->families[family];
    const struct rows_part *p = &rows->parts[family];

    CHECK(family < rows->family_count);
    while (*i < p->slots_max) {
        uint32_t number = (uint32_t)(*i)++;
        const struct rows_slot *slot = &p->slots[number];
        uint64_t lens = word_read(&slot->lens); /* acquire: the text */

        if (number > 0 && word_peek(&slot->hash) == 0)
            break;
        if (number > 0 && !lens)
            continue; /* claimed a moment ago, or by somebody who was killed: nothing was counted */
        memset(out, 0, sizeof *out);
        read_values(rows, f, seats, p->cell + number * p->width, out);
        if (number == 0 && f->labels[0] && out->total == 0)
            continue;
        read_labels(f, slot, lens, out);
        return true;
    }
    return false;
}

uint32_t rows_used(const struct rows *rows, uint32_t family)
{
    const struct rows_part *p = &rows->parts[family];
    uint32_t n = 1;

    CHECK(family < rows->family_count);
    while (n < p->slots_max && word_peek(&p->slots[n].hash) != 0)
        n++;
    return n - 1;
}
