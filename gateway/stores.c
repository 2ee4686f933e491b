/* What is counted of the stores outside. */
#include "gateway/stores.h"

#include <stdio.h>

#include "gateway/exchange/shared.h"

/* Seats' words of a store, or NULL: it is not configured any more. */
static shared_word *words_of(struct region *r, struct str store)
{
    char name[512]; /* longer ones share their words */

    snprintf(name, sizeof name, STORE_TABLES "%.*s", STR_ARGS(store));
    return region_words(r, str_from(name), SEATS_MAX);
}

bool stores_tables(struct region *r, const struct conf_globals *g)
{
    const struct conf_redis *all = g->stores.redis.items;

    for (size_t i = 0; i < g->stores.redis.count; i++)
        if (!words_of(r, all[i].name))
            return false;
    return true;
}

void stores_retire_seat(struct region *r, uint32_t seat)
{
    struct table_info info;
    size_t i = 0;

    while (region_next_table(r, &i, &info)) {
        shared_word *words = info.at;

        if (info.kind == TABLE_WORDS && str_starts(info.name, STR(STORE_TABLES)))
            word_put(&words[seat],
                     0); /* relaxed: nobody else writes it, and it means something alone */
    }
}

static void count(const struct local *l, struct str store, struct str outcome)
{
    struct str values[] = { store, outcome };

    rows_add(&l->shared->rows, l->seat, rows_find(&l->shared->rows, FAMILY_STORE_REQUESTS, values),
             1);
}

static void on_answer(void *owner, struct str store, enum redis_outcome outcome, uint64_t took_ns)
{
    static const struct str texts[REDIS_OUTCOMES] = { [REDIS_OK] = STR_INIT("ok"),
                                                      [REDIS_ERROR] = STR_INIT("error"),
                                                      [REDIS_FAILED] = STR_INIT("failed"),
                                                      [REDIS_LATE] = STR_INIT("late") };
    const struct local *l = owner;
    const struct rows *rows = &l->shared->rows;

    count(l, store, texts[outcome]);
    if (outcome == REDIS_OK)
        rows_observe(rows, l->seat, FAMILY_STORE_DURATION,
                     rows_find(rows, FAMILY_STORE_DURATION, &store), took_ns);
}

static void on_refused(void *owner, struct str store)
{
    count(owner, store, STR("refused"));
}

static void on_away(void *owner, struct str store, bool away)
{
    const struct local *l = owner;
    shared_word *words = words_of(l->region, store);

    if (words)
        word_put(&words[l->seat], away); /* relaxed: a number that means something alone */
}

struct lookups_observer stores_observer(struct local *l)
{
    return (struct lookups_observer){
        .on_answer = on_answer, .on_refused = on_refused, .on_away = on_away, .owner = l
    };
}
