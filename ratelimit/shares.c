/* Words of shares in shared cells. */
#include "ratelimit/shares.h"

#include "gateway/base/number.h"

/* What a tag means: the limit and, in the 10 bits that limiters have for their algorithm, the family. */
#define FAMILY_BITS   10
#define FAMILY_FIRST  1
#define ASK_ANYWAY_NS (5 * NS_PER_S) /* refused for longer than this: it is asked now and then */
#define GATEWAYS_IDLE (3600 * NS_PER_S)
#define GATEWAYS_TAG  (UINT64_C(1) << FAMILY_BITS | 1023)

static uint64_t family_number(const struct remote *r)
{
    return FAMILY_FIRST + (uint64_t)r->family;
}

void shares_init(struct shares *s, const struct region_header *h, const struct cells *cells,
                 struct str name, const struct remote *remote, enum when_full when_full)
{
    struct hash_key turned = { ~h->key.k0, ~h->key.k1 };

    *s = (struct shares){ .remote = *remote,
                          .cells = *cells,
                          .salt = hash_str(&turned, name),
                          .tag = cells_tag(cells, limit_pack(&remote->limit) << FAMILY_BITS |
                                                      family_number(remote)),
                          .when_full = when_full };
}

static uint64_t word_of(const struct shares *s, const struct cell *cell,
                        const struct cell_pair *pair, uint64_t now_ns)
{
    uint64_t tag = cell_tag(pair), meaning;
    struct limit was;

    /* relaxed: idle_at was written before the word that we have read */
    if (pair->word == 0 || UNLIKELY(word_peek(&cell->idle_at_ns) <= now_ns))
        return 0;
    if (LIKELY(tag == s->tag))
        return pair->word;
    meaning = cells_meaning(&s->cells, tag);
    was = limit_unpack(meaning >> FAMILY_BITS);
    if ((meaning & ((1U << FAMILY_BITS) - 1)) != family_number(&s->remote))
        return 0;
    return remote_rescale(pair->word, &s->remote, &was);
}

/* One change of a client's word. */
struct change {
    enum { TAKE, GIVE_BACK, GRANT } what;
    uint64_t count, at_ns, now_ns;
    const struct remote_answer *answer;
    struct remote_taking taking;
};

static uint64_t changed(const struct shares *s, uint64_t word, struct change *c)
{
    switch (c->what) {
    case TAKE:
        return remote_take(word, &s->remote, c->now_ns, c->count, &c->taking);
    case GIVE_BACK:
        return remote_give_back(word, &s->remote, c->now_ns, c->count, c->at_ns);
    case GRANT:
        return remote_grant(word, &s->remote, c->at_ns, c->now_ns, c->answer);
    }
    UNREACHABLE();
}

/* Only a grant makes a cell. */
static struct cell *find(const struct shares *s, uint64_t key, const struct change *c,
                         struct cell_pair *seen)
{
    if (c->what == GRANT)
        return cells_find(&s->cells, key, s->tag, c->now_ns, s->when_full == FULL_EVICT, seen);
    return cells_look(&s->cells, key, seen);
}

static struct cell *change(const struct shares *s, uint64_t key, struct change *c)
{
    struct cell_pair seen;
    struct cell *cell = find(s, key, c, &seen);

    while (cell) {
        uint64_t word = word_of(s, cell, &seen, c->now_ns);
        struct cell_pair next = { (key & ~CELLS_TAG_MASK) | s->tag, changed(s, word, c) };

        if (next.word == word)
            return cell;
        cell_keep_until(cell, c->now_ns + s->remote.idle_ns);
        if (LIKELY(cell_swap(cell, &seen, next)))
            return cell;
        /* the key guards the word: when it is another's by now, look where ours is */
        if (cell_is_lost(&seen, key))
            cell = find(s, key, c, &seen);
    }
    c->taking = (struct remote_taking){ .verdict = REMOTE_ASK };
    return NULL;
}

void shares_take(const struct shares *s, uint64_t key, uint64_t cost, uint64_t now_ns,
                 struct remote_taking *out)
{
    struct change c = { .what = TAKE, .count = cost, .now_ns = now_ns };
    struct cell *cell = change(s, key ^ s->salt, &c);

    *out = c.taking;
    if (cell) { /* advice, from the same cache line */
        uint64_t packed = word_peek(&cell->spare);

        out->left = remote_note_left(packed);
        if (UNLIKELY(out->retry_ns > ASK_ANYWAY_NS)) {
            struct remote_note note = remote_note_unpack(packed, now_ns);

            out->low = remote_note_is_old(&note, now_ns);
        }
    }
}

void shares_give_back(const struct shares *s, uint64_t key, uint64_t count, uint64_t at_ns,
                      uint64_t now_ns)
{
    struct change c = { .what = GIVE_BACK, .count = count, .at_ns = at_ns, .now_ns = now_ns };

    change(s, key ^ s->salt, &c);
}

bool shares_has_place(const struct shares *s, uint64_t key, uint64_t now_ns)
{
    struct cell_pair seen;

    return cells_find(&s->cells, key ^ s->salt, s->tag, now_ns, s->when_full == FULL_EVICT,
                      &seen) != NULL;
}

void shares_grant(const struct shares *s, uint64_t key, uint64_t asked_ns, uint64_t now_ns,
                  const struct remote_answer *a)
{
    struct change c = { .what = GRANT, .at_ns = asked_ns, .now_ns = now_ns, .answer = a };
    struct cell *cell = change(s, key ^ s->salt, &c);
    struct remote_note note = { .granted_ns = now_ns, .left = a->left };

    /* advice: nobody relies on it */
    if (cell)
        word_put(&cell->spare, remote_note_pack(&note));
}

/* The word as it is now, and the note beside it. False: there is none. */
static bool look(const struct shares *s, uint64_t key, uint64_t now_ns, struct cell **cell,
                 uint64_t *word, struct remote_note *note)
{
    struct cell_pair seen;

    *cell = cells_look(&s->cells, key, &seen);
    if (!*cell)
        return false;
    *word = word_of(s, *cell, &seen, now_ns);
    *note = remote_note_unpack(word_peek(&(*cell)->spare), now_ns);
    return true;
}

uint64_t shares_want(const struct shares *s, uint64_t key, uint64_t gateways, uint64_t needed,
                     uint64_t now_ns, uint64_t until_ns)
{
    struct remote_note note;
    struct cell *cell;
    uint64_t word, want;

    if (!look(s, key ^ s->salt, now_ns, &cell, &word, &note))
        return needed;
    /* A note further ahead than anybody would write is a predecessor's. */
    if (note.asked_until_ns > now_ns && note.asked_until_ns <= until_ns)
        return needed;
    want = remote_want(word, &s->remote, &note, now_ns, gateways, needed);
    if (want) {
        note.asked_until_ns = until_ns;
        word_put(&cell->spare, remote_note_pack(&note)); /* advice */
    }
    return want;
}

/* ---- how many gateways there are -------------------------------------------------------------- */

/* The word is [known:1 | due:31 | before:16 | count:16]: when somebody is to ask again, in ms; how many there were when it
 * was asked last, and before that. */
#define COUNT_MASK   UINT64_C(0xffff)
#define BEFORE_SHIFT 16
#define DUE_SHIFT    32
#define KNOWN        (UINT64_C(1) << 63)
#define DUE_MASK     UINT64_C(0x7fffffff)
#define UNKNOWN      4 /* there may be so many until it is known better */

void gateways_init(struct gateways *g, const struct region_header *h, const struct cells *cells,
                   struct str store)
{
    struct hash_key turned = { ~h->key.k1, ~h->key.k0 };

    *g = (struct gateways){ .cells = *cells,
                            .key = hash_str(&turned, store),
                            .tag = cells_tag(cells, GATEWAYS_TAG) };
}

static uint64_t due_in(uint64_t now_ns, uint64_t in_ns)
{
    return ((now_ns + in_ns) / NS_PER_MS & DUE_MASK) << DUE_SHIFT;
}

static bool is_due_at(uint64_t word, uint64_t now_ns, uint64_t every_ns)
{
    uint64_t ahead = ((word >> DUE_SHIFT) - now_ns / NS_PER_MS) & DUE_MASK;

    /* further ahead than anybody sets it: it has passed */
    return word == 0 || ahead == 0 || ahead > every_ns / NS_PER_MS + 1;
}

static uint64_t look_at(const struct gateways *g)
{
    struct cell_pair seen;

    return cells_look(&g->cells, g->key, &seen) ? seen.word : 0;
}

uint64_t gateways_count(const struct gateways *g)
{
    uint64_t word = look_at(g), count = word & COUNT_MASK;
    uint64_t before = word >> BEFORE_SHIFT & COUNT_MASK;

    if (count < before)
        count = before;
    return count ? count : 1;
}

uint64_t gateways_most(const struct gateways *g)
{
    uint64_t word = look_at(g), count = word & COUNT_MASK;
    uint64_t before = word >> BEFORE_SHIFT & COUNT_MASK;

    if (before == 0)
        before = UNKNOWN;
    return count > before ? count : before;
}

static struct cell_pair pair_of(const struct gateways *g, uint64_t word)
{
    return (struct cell_pair){ (g->key & ~CELLS_TAG_MASK) | g->tag, KNOWN | word };
}

bool gateways_is_due(const struct gateways *g, uint64_t now_ns, uint64_t every_ns)
{
    struct cell_pair seen;
    struct cell *cell = cells_find(&g->cells, g->key, g->tag, now_ns, true, &seen);
    uint64_t counts;

    if (!cell || !is_due_at(seen.word, now_ns, every_ns))
        return false;
    counts = seen.word & (COUNT_MASK << BEFORE_SHIFT | COUNT_MASK);
    cell_keep_until(cell, now_ns + GATEWAYS_IDLE);
    return cell_swap(cell, &seen, pair_of(g, due_in(now_ns, every_ns) | counts));
}

void gateways_seen(const struct gateways *g, uint64_t count, uint64_t now_ns)
{
    struct cell_pair seen;
    struct cell *cell = cells_find(&g->cells, g->key, g->tag, now_ns, true, &seen);

    count = count < COUNT_MASK ? count : COUNT_MASK;
    while (cell) {
        uint64_t due = seen.word ? seen.word & DUE_MASK << DUE_SHIFT : due_in(now_ns, 0);
        uint64_t before = (seen.word & COUNT_MASK) << BEFORE_SHIFT;

        cell_keep_until(cell, now_ns + GATEWAYS_IDLE);
        if (cell_swap(cell, &seen, pair_of(g, due | before | count)))
            return;
        if (cell_is_lost(&seen, g->key))
            cell = cells_find(&g->cells, g->key, g->tag, now_ns, true, &seen);
    }
}
