/* Take: look, add to mine, sum all, give back when it is too much. */
#include "shm/places.h"

#define ONE_TAKEN   UINT64_C(1)
#define ONE_WAITING (UINT64_C(1) << 16)
#define COUNTS      UINT64_C(0xffffffff)
#define TAKEN(w)    ((w)&0xffff)
#define WAITING(w)  ((w) >> 16 & 0xffff)

_Static_assert(PLACES_NUMBERS == 64 && PLACES_GROUPS % PLACES_NUMBERS == 0, "a word of calls");

/* Two that race for the last place may both see the other and both give back; then they try again. */
#define TRIES 32

bool places_table(struct region *r, struct str name, struct places *out)
{
    out->shared = region_table(r, TABLE_PLACES, name, sizeof *out->shared);
    out->seats = seats_table(r);
    return out->shared && out->seats;
}

static size_t group_of(uint64_t key)
{
    return key % PLACES_GROUPS;
}

/* The part of a key that its group does not say. */
static uint64_t mark_of(uint64_t key)
{
    return key & ~COUNTS;
}

static bool is_of(uint64_t way, uint64_t key)
{
    return (way & COUNTS) != 0 && (way & ~COUNTS) == mark_of(key);
}

static uint64_t call_bit(uint64_t key)
{
    return UINT64_C(1) << places_number(key);
}

/* My way of this key, or a free one with no counts; PLACES_WAYS: there is none. Nobody else writes here. */
static size_t my_way(const struct places_group *g, uint64_t key)
{
    size_t free_one = PLACES_WAYS;

    for (size_t i = 0; i < PLACES_WAYS; i++) {
        uint64_t way = word_peek(&g->way[i]);

        if (is_of(way, key))
            return i;
        if ((way & COUNTS) == 0)
            free_one = i;
    }
    return free_one;
}

enum call { NOT_CALLED, COMING, LATE /* it may never come */ };

static enum call call_of(const struct places *p, uint32_t seat, uint64_t key, uint64_t now_ns)
{
    /* relaxed: who goes first is a matter of fairness only */
    uint64_t called_ns = word_peek(&p->shared->seat[seat].called_ns);

    if (!(word_peek(&p->shared->seat[seat].calls) & call_bit(key)))
        return NOT_CALLED;
    return now_ns > called_ns && now_ns - called_ns > PLACES_PATIENCE_NS ? LATE : COMING;
}

/* What this column says of the key: its way, and where; 0: nothing. A key has at most one way in a column. */
static uint64_t way_of(const struct places_group *g, uint64_t key, size_t *at)
{
    for (*at = 0; *at < PLACES_WAYS; ++*at) {
        uint64_t way = word_see(&g->way[*at]);

        if (is_of(way, key))
            return way;
    }
    return 0;
}

struct places_view places_look(const struct places *p, uint32_t seat, uint64_t key, uint64_t now_ns)
{
    struct places_view v = { .next = SEAT_NONE };
    uint64_t oldest_ns = UINT64_MAX;
    enum call next_was = LATE;

    /* seq_cst: whoever sits down after this look adds after it, and sees us */
    for (uint32_t s = 0, high = seats_high(p->seats); s < high; s++) {
        const struct places_group *g = &p->shared->group[s][group_of(key)];
        size_t at;
        uint64_t way = way_of(g, key, &at), since_ns;
        enum call was;

        v.taken += TAKEN(way);
        v.waiting += WAITING(way);
        if (LIKELY(WAITING(way) == 0))
            continue;
        was = s == seat ? NOT_CALLED : call_of(p, s, key, now_ns);
        if (was == COMING) {
            v.promised++;
            continue;
        }
        since_ns = word_peek(&g->since_ns[at]); /* relaxed: as above */
        if (was > next_was || (was == next_was && since_ns >= oldest_ns))
            continue;
        v.next = s;
        oldest_ns = since_ns;
        next_was = was;
        v.next_is_late = was == LATE;
    }
    return v;
}

/* So that two do not try at the same pace for ever. */
static void pause_a_little(uint32_t seat, unsigned tries)
{
    for (unsigned i = 0; i < (tries + 1) * (seat % 16 + 1); i++) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#else
        atomic_signal_fence(memory_order_seq_cst);
#endif
    }
}

enum claim { CLAIM_NEWCOMER, CLAIM_PAST, CLAIM_WAITER, CLAIM_LINE };

static bool is_too_much(enum claim claim, const struct places_view *v, uint64_t most)
{
    return claim == CLAIM_LINE ? v->waiting > most : v->taken > most;
}

static bool is_worth_trying(enum claim claim, const struct places_view *v, uint64_t most)
{
    switch (claim) {
    case CLAIM_NEWCOMER:
        return v->taken + v->waiting < most;
    case CLAIM_PAST:
        return v->taken + v->promised < most && (v->next == SEAT_NONE || v->next_is_late);
    case CLAIM_WAITER:
        return v->taken < most;
    case CLAIM_LINE:
        return v->waiting < most;
    }
    UNREACHABLE();
}

static enum places_result lay_claim(const struct places *p, uint32_t seat, uint64_t key,
                                    enum claim claim, uint64_t most, uint64_t now_ns)
{
    struct places_group *g = &p->shared->group[seat][group_of(key)];
    size_t i = my_way(g, key);

    CHECK(seat < SEATS_MAX && most <= PLACES_MOST);
    if (UNLIKELY(i == PLACES_WAYS)) {
        word_add(&p->shared->full, 1);
        return PLACES_FULL;
    }
    for (unsigned tries = 0; tries < TRIES; tries++) {
        uint64_t mine = mark_of(key) | (word_peek(&g->way[i]) & COUNTS);
        struct places_view v = places_look(p, seat, key, now_ns);

        /* Not needed to be right, but who is refused anyway must not push out others by a number that it takes back. */
        if (!is_worth_trying(claim, &v, most))
            return PLACES_NONE;
        if (claim == CLAIM_LINE && WAITING(mine) == 0)
            word_put(&g->since_ns[i], now_ns); /* nobody asks for it before the next line */
        /* seq_cst: of two that take the last one, at least one sees both */
        word_show(&g->way[i], claim == CLAIM_LINE     ? mine + ONE_WAITING
                              : claim == CLAIM_WAITER ? mine + ONE_TAKEN - ONE_WAITING
                                                      : mine + ONE_TAKEN);
        v = places_look(p, seat, key, now_ns);
        if (!is_too_much(claim, &v, most))
            return PLACES_GOT;
        word_show(&g->way[i], mine);
        pause_a_little(seat, tries);
    }
    return PLACES_NONE;
}

enum places_result places_take(const struct places *p, uint32_t seat, uint64_t key, uint64_t max)
{
    return lay_claim(p, seat, key, CLAIM_NEWCOMER, max, 0);
}

enum places_result places_take_past(const struct places *p, uint32_t seat, uint64_t key,
                                    uint64_t max, uint64_t now_ns)
{
    return lay_claim(p, seat, key, CLAIM_PAST, max, now_ns);
}

enum places_result places_wait(const struct places *p, uint32_t seat, uint64_t key, uint64_t most,
                               uint64_t now_ns)
{
    return lay_claim(p, seat, key, CLAIM_LINE, most, now_ns);
}

/* My way of a key of which I have something. */
static shared_word *own_way(const struct places *p, uint32_t seat, uint64_t key, size_t *i)
{
    struct places_group *g = &p->shared->group[seat][group_of(key)];

    CHECK(seat < SEATS_MAX);
    *i = my_way(g, key);
    CHECK(*i < PLACES_WAYS && is_of(word_peek(&g->way[*i]), key));
    return &g->way[*i];
}

bool places_advance(const struct places *p, uint32_t seat, uint64_t key, uint64_t max)
{
    size_t i;

    CHECK(WAITING(word_peek(own_way(p, seat, key, &i))) > 0);
    return lay_claim(p, seat, key, CLAIM_WAITER, max, 0) == PLACES_GOT;
}

void places_leave(const struct places *p, uint32_t seat, uint64_t key)
{
    size_t i;
    shared_word *mine = own_way(p, seat, key, &i);

    CHECK(WAITING(word_peek(mine)) > 0);
    word_show(mine, word_peek(mine) - ONE_WAITING);
}

void places_first_since(const struct places *p, uint32_t seat, uint64_t key, uint64_t since_ns)
{
    size_t i;

    (void)own_way(p, seat, key, &i);
    word_put(&p->shared->group[seat][group_of(key)].since_ns[i], since_ns);
}

void places_give(const struct places *p, uint32_t seat, uint64_t key)
{
    size_t i;
    shared_word *mine = own_way(p, seat, key, &i);

    CHECK(TAKEN(word_peek(mine)) > 0);
    /* seq_cst: whoever waits sees the place after this, or we see that it waits */
    word_show(mine, word_peek(mine) - ONE_TAKEN);
}

/* ---- calling ---------------------------------------------------------------------------------- */

void places_call(const struct places *p, const struct bells *bells, uint32_t to, uint64_t key,
                 uint64_t now_ns)
{
    CHECK(to < SEATS_MAX);
    if (word_peek(&p->shared->seat[to].calls) == 0)
        word_put(&p->shared->seat[to].called_ns, now_ns);
    word_set_bits(&p->shared->seat[to].calls, call_bit(key));
    /* rung although the bit may be set already: whoever set it may have been killed before it rang */
    if (bells)
        bells_ring_seat(bells, to);
}

uint64_t places_calls(const struct places *p, uint32_t seat)
{
    CHECK(seat < SEATS_MAX);
    return word_take_all(&p->shared->seat[seat].calls);
}

/* ---- after a death ---------------------------------------------------------------------------- */

static struct places_shared *next_table(struct region *r, size_t *i)
{
    struct table_info info;

    while (region_next_table(r, i, &info))
        if (info.kind == TABLE_PLACES)
            return info.at;
    return NULL;
}

void places_retire_seat(struct region *r, uint32_t seat)
{
    struct places_shared *p;
    size_t t = 0;

    CHECK(seat < SEATS_MAX);
    while ((p = next_table(r, &t))) {
        for (size_t g = 0; g < PLACES_GROUPS; g++)
            for (size_t i = 0; i < PLACES_WAYS; i++)
                if (word_peek(&p->group[seat][g].way[i]) != 0)
                    word_show(&p->group[seat][g].way[i], 0);
        word_show(&p->seat[seat].calls, 0);
    }
}

void places_call_all(struct region *r, const struct bells *bells)
{
    const struct seats_shared *seats = seats_table(r);
    struct places_shared *p;
    size_t t = 0;

    while (seats && (p = next_table(r, &t)))
        for (uint32_t s = seats_find(seats, SEAT_WORKER, 0); s != SEAT_NONE;
             s = seats_find(seats, SEAT_WORKER, s + 1)) {
            word_set_bits(&p->seat[s].calls, UINT64_MAX);
            bells_ring_seat(bells, s);
        }
}
