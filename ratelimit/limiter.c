/* The only loop that changes a limit's word. */
#include "ratelimit/limiter.h"

#define ALGORITHM_BITS 10 /* beside the 54 of limit_pack */
#define ALGORITHM_MASK ((UINT64_C(1) << ALGORITHM_BITS) - 1)

/* A number for an algorithm that is the same in every binary: from its name. */
static uint64_t algorithm_number(const struct algorithm *a)
{
    static const struct hash_key key = { UINT64_C(0x616c676f72697468),
                                         UINT64_C(0x6d2e6e756d626572) };

    return hash_str(&key, str_from(a->name)) & ALGORITHM_MASK;
}

static uint64_t meaning_of(const struct algorithm *a, const struct limit *limit)
{
    return limit_pack(limit) << ALGORITHM_BITS | algorithm_number(a);
}

/* All but the tag. */
static const char *init(struct limiter *l, const struct region_header *h, const struct cells *cells,
                        shared_word *stamps, struct str name, const struct algorithm *algorithm,
                        const struct limit *limit, enum when_full when_full)
{
    struct hash_key second = { h->key.k1, h->key.k0 };
    const char *why = limit_check(limit);

    CHECK(algorithm->keeps_log == (stamps != NULL));
    if (!why)
        why = algorithm->cannot(limit);
    if (why)
        return why;
    *l = (struct limiter){ .algorithm = algorithm,
                           .limit = *limit,
                           .cells = *cells,
                           .key = { hash_str(&h->key, name), hash_str(&second, name) },
                           .idle_ns = algorithm->idle_ns(limit),
                           .wall_ns = algorithm->by_wall_clock ? h->birth_wall_ns : 0,
                           .stamps = stamps,
                           .when_full = when_full };
    return NULL;
}

const char *limiter_init(struct limiter *l, const struct region_header *h,
                         const struct cells *cells, struct str name,
                         const struct algorithm *algorithm, const struct limit *limit,
                         enum when_full when_full)
{
    const char *why = init(l, h, cells, NULL, name, algorithm, limit, when_full);

    if (!why)
        l->tag = cells_tag(cells, meaning_of(algorithm, limit));
    return why; /* cppcheck-suppress returnDanglingLifetime ; a constant text */
}

const char *limiter_init_log(struct limiter *l, const struct region_header *h,
                             const struct limit_log *log, struct str name,
                             const struct algorithm *algorithm, const struct limit *limit,
                             enum when_full when_full)
{
    /* times mean the same under every limit: a log has no tags of its own */
    return init(l, h, &log->cells, log->stamps, name, algorithm, limit, when_full);
}

const char *limiter_init_to_look(struct limiter *l, const struct region_header *h,
                                 const struct cells *cells, const struct limit_log *log,
                                 struct str name, const struct algorithm *algorithm,
                                 const struct limit *limit)
{
    const char *why = init(l, h, log ? &log->cells : cells, log ? log->stamps : NULL, name,
                           algorithm, limit, FULL_ALLOW);

    /* 0 if nobody has used this limit yet: then there is nothing to be seen under it */
    if (!why && !log)
        l->tag = cells_tag_look(cells, meaning_of(algorithm, limit));
    return why; /* cppcheck-suppress returnDanglingLifetime ; a constant text */
}

uint64_t limiter_id(const struct limiter *l)
{
    return l->key.k0;
}

uint64_t limiter_meaning(const struct limiter *l)
{
    return meaning_of(l->algorithm, &l->limit);
}

bool limiter_read_meaning(uint64_t meaning, const struct algorithm **algorithm, struct limit *limit)
{
    const struct algorithm *a;
    size_t i = 0;

    while ((a = algorithm_at(i)) && algorithm_number(a) != (meaning & ALGORITHM_MASK))
        i++;
    *algorithm = a;
    *limit = limit_unpack(meaning >> ALGORITHM_BITS);
    return a && limit->count && limit->burst && !limit_check(limit) && !a->cannot(limit);
}

uint64_t limiter_key(const struct limiter *l, struct str client)
{
    return hash_str(&l->key, client);
}

/* The word of a pair, expressed under our parameters. */
static uint64_t word_of(const struct limiter *l, const struct cell *cell,
                        const struct cell_pair *pair, uint64_t now_ns)
{
    uint64_t tag = cell_tag(pair), meaning;
    struct limit was;

    if (pair->word == 0)
        return 0;
    /* What has been idle means nothing any more, though no newcomer took the cell: the number of a window comes round
     * again. Relaxed: it was written before the word that we have read. */
    if (UNLIKELY(word_peek(&cell->idle_at_ns) <= now_ns))
        return 0;
    if (LIKELY(tag == l->tag))
        return pair->word;
    meaning = cells_meaning(&l->cells, tag);
    was = limit_unpack(meaning >> ALGORITHM_BITS);
    /* another algorithm starts afresh */
    if ((meaning & ALGORITHM_MASK) != algorithm_number(l->algorithm) || !was.count || !was.burst ||
        l->algorithm->cannot(&was))
        return 0;
    return l->algorithm->rescale(pair->word, &was, &l->limit, now_ns + l->wall_ns);
}

static uint64_t step(const struct limiter *l, uint64_t word, uint64_t now_ns, int32_t cost,
                     struct decision *d)
{
    word = l->algorithm->step(word, &l->limit, now_ns + l->wall_ns, cost, d);
    d->at_ns -= l->wall_ns;
    return word;
}

/* A client that has no cell: as if it were never seen, or refused, by the limit's rule. */
static struct decision without_cell(const struct limiter *l, int32_t cost, uint64_t now_ns)
{
    struct decision d;

    step(l, 0, now_ns, cost, &d);
    if (l->when_full == FULL_DENY && cost > 0) {
        d.allowed = false;
        d.remaining = 0;
        d.delay_ns = 0;
        /* a cell of the group may be idle by then */
        d.retry_ns = l->limit.per_ns;
    }
    return d;
}

/* To look, or to give back, no cell is made. */
static struct cell *find(const struct limiter *l, uint64_t key, int32_t cost, uint64_t now_ns,
                         struct cell_pair *seen)
{
    if (cost > 0)
        return cells_find(&l->cells, key, l->tag, now_ns, l->when_full == FULL_EVICT, seen);
    return cells_look(&l->cells, key, seen);
}

struct decision limiter_take(const struct limiter *l, uint64_t key, int32_t cost, uint64_t now_ns)
{
    struct cell_pair seen;
    struct decision d;
    struct cell *cell;

    if (l->stamps)
        return sliding_log_take(l, key, cost, now_ns);
    cell = find(l, key, cost, now_ns, &seen);
    while (cell) {
        uint64_t word = word_of(l, cell, &seen, now_ns);
        struct cell_pair next = { (key & ~CELLS_TAG_MASK) | l->tag,
                                  step(l, word, now_ns, cost, &d) };

        if (cost == 0 || next.word == word)
            return d;
        cell_keep(cell, now_ns + l->idle_ns, CELLS_AHEAD_NS);
        if (LIKELY(cell_swap(cell, &seen, next)))
            return d;
        /* the key guards the word: when it is another's by now, look where ours is */
        if (cell_is_lost(&seen, key))
            cell = find(l, key, cost, now_ns, &seen);
    }
    if (cost > 0)
        return without_cell(l, cost, now_ns);
    step(l, 0, now_ns, cost, &d);
    return d;
}

void limiter_take_up_to(const struct limiter *l, uint64_t key, uint32_t cost, uint64_t now_ns)
{
    struct decision d = limiter_take(l, key, 0, now_ns);

    if (d.remaining < cost)
        cost = (uint32_t)d.remaining;
    if (cost > 0 && cost <= INT32_MAX)
        limiter_take(l, key, (int32_t)cost, now_ns);
}
