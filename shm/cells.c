/* Finding a key's cell in its group, and taking one over. */
#include "shm/cells.h"

_Static_assert(sizeof(struct cell) == 32, "four cells are two cache lines");

#define TAG_PROBES     64
#define GROUPS_IN_PAGE (4096 / (CELLS_GROUP * sizeof(struct cell)))
/* Between a key's hash and its tag, while the word is 0: how often the cell was begun anew. */
#define LIFE           UINT64_C(0x2000)
#define LIFE_MASK      UINT64_C(0xe000)

_Static_assert((CELLS_TAG_MASK & ~LIFE_MASK) == CELLS_TAGS - 1, "a tag has its own bits");

/* x86-64 has had it since its second year; the attribute spares the rest of the program the flag. */
#if defined(__x86_64__)
#define WIDE __attribute__((target("cx16")))
#else
#define WIDE
#endif

typedef unsigned __int128 __attribute__((may_alias)) wide_word;

static wide_word wide(struct cell_pair p)
{
    return (wide_word)p.word << 64 | p.key;
}

/* Both halves, each at a moment when the other was this too. */
static struct cell_pair pair_read(const struct cell *cell)
{
    for (;;) {
        /* acquire: the second look at the key comes after the word */
        struct cell_pair p = { word_read(&cell->key), word_read(&cell->word) };

        if (LIKELY(word_peek(&cell->key) == p.key))
            return p;
    }
}

/* Free cells keep the number of their last life, and nothing else. */
static bool is_free(const struct cell_pair *p)
{
    return (p->key & ~LIFE_MASK) == 0;
}

/* A full barrier, as all locked instructions of this width are: what the caller reads next is read after it. */
WIDE bool cell_swap(struct cell *cell, struct cell_pair *seen, struct cell_pair next)
{
    if (__sync_bool_compare_and_swap((wide_word *)(void *)cell, wide(*seen), wide(next)))
        return true;
    *seen = pair_read(cell);
    return false;
}

bool cells_table(struct region *r, struct str name, size_t capacity, struct cells *out)
{
    size_t groups = 1;

    while (groups * CELLS_GROUP < capacity)
        groups *= 2;
    out->groups = groups;
    out->shared =
        region_table(r, TABLE_CELLS, name,
                     sizeof(struct cells_shared) + groups * CELLS_GROUP * sizeof(struct cell));
    return out->shared != NULL;
}

bool cells_table_look(const struct region *r, struct str name, struct cells *out)
{
    struct table_info info;
    size_t i = 0;

    while (region_next_table(r, &i, &info))
        if (info.kind == TABLE_CELLS && str_equal(info.name, name) &&
            info.size > sizeof(struct cells_shared)) {
            *out = (struct cells){ info.at, (info.size - sizeof(struct cells_shared)) /
                                                (CELLS_GROUP * sizeof(struct cell)) };
            return true;
        }
    return false;
}

size_t cells_capacity(const struct cells *c)
{
    return c->groups * CELLS_GROUP;
}

/* Where a key may live: its first group, and its second one, which lies in the same page. */
struct home {
    struct cell *groups[2];
    size_t cells; /* in both; the group of a table that has but one is both */
};

static struct cell *first_group_of(const struct cells *c, uint64_t hash)
{
    return &c->shared->cell[(hash & (c->groups - 1)) * CELLS_GROUP];
}

/* Another one of the same block of groups. */
static struct cell *second_group_of(const struct cells *c, uint64_t hash)
{
    uint64_t others = (c->groups < GROUPS_IN_PAGE ? c->groups : GROUPS_IN_PAGE) - 1;
    /* bits that choose no first group of any table, and of those that are compared the lowest */
    uint64_t step = others ? 1 + (hash >> 44) % others : 0;

    return &c->shared->cell[((hash & (c->groups - 1)) ^ step) * CELLS_GROUP];
}

static struct home home_of(const struct cells *c, uint64_t hash)
{
    struct home h = { { first_group_of(c, hash), second_group_of(c, hash) }, 2 * CELLS_GROUP };

    if (c->groups == 1)
        h.cells = CELLS_GROUP;
    return h;
}

static struct cell *cell_at(const struct home *h, size_t i)
{
    return &h->groups[i / CELLS_GROUP][i % CELLS_GROUP];
}

static struct cell *find_in(struct cell *group, uint64_t hash, struct cell_pair *seen)
{
    for (size_t i = 0; i < CELLS_GROUP; i++) {
        *seen = pair_read(&group[i]);
        if (!is_free(seen) && cell_is_of(seen, hash))
            return &group[i];
    }
    return NULL;
}

static struct cell *find_word_in(struct cell *group, uint64_t hash, struct cell_pair *seen)
{
    for (size_t i = 0; i < CELLS_GROUP; i++) {
        *seen = pair_read(&group[i]);
        if (seen->word != 0 && cell_is_of(seen, hash))
            return &group[i];
    }
    return NULL;
}

struct cell *cells_look(const struct cells *c, uint64_t hash, struct cell_pair *seen)
{
    struct cell *cell = find_word_in(first_group_of(c, hash), hash, seen);

    return cell ? cell : find_word_in(second_group_of(c, hash), hash, seen);
}

/* A cell that may be taken. */
struct victim {
    struct cell *cell;
    struct cell_pair seen;
    uint64_t idle_at_ns;
    size_t idle; /* how many of the group may be taken without harm */
};

/* Of a group: a free one, else the one idle the longest, else the one idle soonest. */
static struct victim find_victim(struct cell *group, uint64_t now_ns)
{
    struct victim v = { .idle_at_ns = UINT64_MAX };

    for (size_t i = 0; i < CELLS_GROUP; i++) {
        struct cell_pair p = pair_read(&group[i]);
        uint64_t idle_at = is_free(&p) ? 0 : word_peek(&group[i].idle_at_ns);

        v.idle += idle_at <= now_ns;
        if (v.cell && idle_at >= v.idle_at_ns)
            continue;
        v.cell = &group[i];
        v.seen = p;
        v.idle_at_ns = idle_at;
    }
    return v;
}

/* The cell that a newcomer may take, of its first group while that is half empty, else of the one with more room: so hardly
 * any key finds both full in a table that is half full, and nine of ten are found in their first group. */
static struct cell *choose_victim(const struct home *h, uint64_t now_ns, bool evict,
                                  struct cell_pair *seen)
{
    struct victim first = find_victim(h->groups[0], now_ns), second;
    bool other = false;

    if (first.idle < CELLS_GROUP / 2) {
        second = find_victim(h->groups[1], now_ns);
        if (first.idle == 0 && second.idle == 0)
            other = second.idle_at_ns < first.idle_at_ns;
        else
            other = second.idle > first.idle;
        if (other)
            first = second;
    }
    *seen = first.seen;
    return evict || first.idle > 0 ? first.cell : NULL;
}

/* Give a cell up that holds nothing yet. */
static bool vacate(const struct cells *c, struct cell *cell, struct cell_pair *seen)
{
    const struct cell_pair nobody = { seen->key & LIFE_MASK, 0 };

    if (seen->word != 0 || !cell_swap(cell, seen, nobody))
        return false;
    word_add(&c->shared->used, UINT64_MAX); /* one less */
    return true;
}

/* Newcomers of one key who did not see one another may have taken several cells. Whoever is about to begin a word looks for
 * the others: of cells that hold nothing the first stays, and one that holds something is the key's. So before a word is
 * begun there is no other, and whoever begins one elsewhere finds its cell given up. (test/model/cells_settle.pml)
 * returns  false: it was given up, look again */
static bool settle(const struct cells *c, const struct home *h, struct cell *mine, uint64_t hash,
                   struct cell_pair *seen)
{
    bool behind = false; /* are we past ours? */

    for (size_t i = 0; i < h->cells; i++) {
        struct cell *cell = cell_at(h, i);
        struct cell_pair other = pair_read(cell);

        if (cell == mine) {
            behind = true;
            continue;
        }
        if (is_free(&other) || !cell_is_of(&other, hash) || (behind && vacate(c, cell, &other)))
            continue;
        (void)vacate(c, mine, seen); /* or it holds something by now: either way there is news */
        return false;
    }
    return true;
}

/* The key of a cell that begins, told apart from the same key that was there before. */
static uint64_t key_of_next_life(const struct cell_pair *before, uint64_t hash, uint64_t tag)
{
    uint64_t life = before->word == 0 ? (before->key + LIFE) & LIFE_MASK : LIFE;

    return (hash & ~CELLS_TAG_MASK) | life | tag;
}

/* No word of it was found: a cell that holds nothing yet, of a new life or one that has been begun. False: look again. */
static bool begin(const struct cells *c, uint64_t hash, uint64_t tag, uint64_t now_ns, bool evict,
                  struct cell **cell, struct cell_pair *seen)
{
    struct home home = home_of(c, hash);
    struct cell_pair fresh;
    bool was_used, was_idle;

    if (*cell)
        return settle(c, &home, *cell, hash, seen);
    *cell = choose_victim(&home, now_ns, evict, seen);
    if (!*cell) {
        word_add(&c->shared->full, 1);
        return true;
    }
    if (!is_free(seen) && cell_is_of(seen, hash))
        return false; /* somebody was faster, for this very key */
    was_used = !is_free(seen);
    was_idle = word_peek(&(*cell)->idle_at_ns) <= now_ns;
    fresh = (struct cell_pair){ key_of_next_life(seen, hash, tag), 0 };
    if (!cell_swap(*cell, seen, fresh))
        return false;
    *seen = fresh;
    if (!was_used)
        word_add(&c->shared->used, 1);
    else
        word_add(was_idle ? &c->shared->takeovers : &c->shared->evictions, 1);
    return settle(c, &home, *cell, hash, seen);
}

struct cell *cells_find(const struct cells *c, uint64_t hash, uint64_t tag, uint64_t now_ns,
                        bool evict, struct cell_pair *seen)
{
    struct cell *cell;

    CHECK(tag > 0 && tag < CELLS_TAGS);
    do {
        cell = find_in(first_group_of(c, hash), hash, seen);
        if (UNLIKELY(!cell))
            cell = find_in(second_group_of(c, hash), hash, seen);
        if (LIKELY(cell && seen->word != 0))
            return cell;
    } while (!begin(c, hash, tag, now_ns, evict, &cell, seen));
    return cell;
}

static uint64_t tag_home(uint64_t meaning)
{
    return meaning * UINT64_C(0x9e3779b97f4a7c15) >> 32;
}

uint64_t cells_tag_look(const struct cells *c, uint64_t meaning)
{
    for (uint64_t i = tag_home(meaning), end = i + TAG_PROBES; i < end; i++)
        if (word_read(&c->shared->meaning[i % (CELLS_TAGS - 1) + 1]) == meaning)
            return i % (CELLS_TAGS - 1) + 1;
    return 0;
}

uint64_t cells_tag(const struct cells *c, uint64_t meaning)
{
    uint64_t first = tag_home(meaning);
    shared_word *home = NULL;

    CHECK(meaning != 0);
    for (uint64_t i = first; i < first + TAG_PROBES; i++) {
        uint64_t tag = i % (CELLS_TAGS - 1) + 1, seen = 0;

        if (word_swap(&c->shared->meaning[tag], &seen, meaning) || seen == meaning)
            return tag;
        if (!home)
            home = &c->shared->meaning[tag];
    }
    /* thousands of meanings later: the oldest neighbour is forgotten, its cells are read as ours */
    word_publish(home, meaning);
    return (uint64_t)(home - c->shared->meaning);
}

uint64_t cells_meaning(const struct cells *c, uint64_t tag)
{
    return tag < CELLS_TAGS ? word_read(&c->shared->meaning[tag]) : 0;
}
