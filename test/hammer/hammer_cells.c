/* Sixty-four keys fight for sixteen cells, and every word says whose it is. Nobody may ever see a word of another key,
 * no change may be lost while the key kept its cell, and no key may have two words.
 */
#include "shm/cells.h"
#include "test/hammer/hammer.h"

#define KEYS 64

struct work {
    struct hammer h; /* first */
    struct cells cells;
    shared_word *looks;
    struct hash_key key;
};

static void act(struct hammer *h, unsigned actor, struct random *random)
{
    struct work *w = (struct work *)h;

    while (!hammer_ends(h)) {
        uint64_t id = 1 + random_below(random, KEYS), now = clock_now_ns();
        uint64_t hash = hash_keyed(&w->key, &id, sizeof id), tag = 1 + random_below(random, 3);
        struct cell_pair seen;
        struct cell *cell = cells_find(&w->cells, hash, tag, now, random_below(random, 2), &seen);

        while (cell && cell_is_of(&seen, hash)) {
            HAMMER_CHECK(seen.word == 0 || seen.word >> 32 == id, "key %llu sees the word of %llu",
                         (unsigned long long)id, (unsigned long long)(seen.word >> 32));
            HAMMER_CHECK(cell_tag(&seen) >= 1 && cell_tag(&seen) <= 3, "a tag that nobody gave");
            cell_keep_until(cell, now + random_below(random, 20000));
            if (cell_swap(cell, &seen,
                          (struct cell_pair){ (hash & ~CELLS_TAG_MASK) | tag,
                                              id << 32 | ((seen.word + 1) & UINT32_MAX) }))
                break;
            if (cell_is_lost(&seen, hash))
                break;
        }
        if (cells_look(&w->cells, hash, &seen))
            HAMMER_CHECK(seen.word == 0 || seen.word >> 32 == id, "key %llu looks at %llu",
                         (unsigned long long)id, (unsigned long long)(seen.word >> 32));
        word_add_own(&w->looks[actor], 2);
    }
}

/* Whoever began a word made sure that there was no other. */
static void check_that_keys_have_one_word(const struct work *w)
{
    for (uint64_t id = 1; id <= KEYS; id++) {
        uint64_t hash = hash_keyed(&w->key, &id, sizeof id), words = 0;

        for (size_t i = 0; i < cells_capacity(&w->cells); i++) {
            const struct cell *cell = &w->cells.shared->cell[i];
            struct cell_pair p = { word_peek(&cell->key), word_peek(&cell->word) };

            words += p.word != 0 && cell_is_of(&p, hash);
        }
        HAMMER_CHECK(words <= 1, "key %llu has %llu words", (unsigned long long)id,
                     (unsigned long long)words);
    }
}

int main(int argc, char **argv)
{
    struct work w = { .h = hammer_begin(argc, argv) };
    uint64_t looks = 0, used = 0;

    HAMMER_CHECK(cells_table(w.h.region, STR("cells"), 16, &w.cells), "no table");
    w.looks = region_words(w.h.region, STR("looks"), HAMMER_ACTORS_MAX);
    w.key = region_header(w.h.region)->key;
    w.h.actors = 4;
    w.h.act = act;
    hammer_run(&w.h);
    check_that_keys_have_one_word(&w);
    for (unsigned i = 0; i < HAMMER_ACTORS_MAX; i++)
        looks += word_peek(&w.looks[i]);
    for (size_t i = 0; i < cells_capacity(&w.cells); i++)
        used += word_peek(&w.cells.shared->cell[i].key) != 0;
    /* a key may have two cells for a moment, and the count of used ones may miss what a killed one did */
    HAMMER_CHECK(word_peek(&w.cells.shared->used) <= used + w.h.kills &&
                     word_peek(&w.cells.shared->used) + w.h.kills >= used,
                 "%llu used, %llu counted", (unsigned long long)used,
                 (unsigned long long)word_peek(&w.cells.shared->used));
    HAMMER_CHECK(word_peek(&w.cells.shared->takeovers) > 100, "nothing was taken over");
    printf("cells: %llu looks, %llu take-overs, %llu evictions, %llu kills\n",
           (unsigned long long)looks, (unsigned long long)word_peek(&w.cells.shared->takeovers),
           (unsigned long long)word_peek(&w.cells.shared->evictions),
           (unsigned long long)w.h.kills);
    return hammer_end(&w.h);
}
