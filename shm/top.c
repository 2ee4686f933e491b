/* Scores, places, and which events are noted. */
#include "shm/top.h"

#include <math.h>
#include <string.h>

#include "gateway/base/number.h"

#define HALF_LIFE_S 8.0
/* A score fades by half in HALF_LIFE_S; so of a steady stream it is worth what came in so many seconds. */
#define WORTH_S     (HALF_LIFE_S / 0.69314718055994531)

/* ---- scores: 1 + log2(count) + when / half life ---- */

static double halves(uint64_t now_ns)
{
    return (double)now_ns / (HALF_LIFE_S * (double)NS_PER_S);
}

/* What it is worth at a moment. */
static double worth(double score, double at)
{
    return score > 0 ? exp2(score - 1 - at) : 0;
}

static double score_with(double score, double n, double at)
{
    return 1 + log2(worth(score, at) + n) + at;
}

static double score_of(uint64_t bits)
{
    double score;

    memcpy(&score, &bits, sizeof score);
    return score;
}

static uint64_t bits_of(double score)
{
    uint64_t bits;

    memcpy(&bits, &score, sizeof bits);
    return bits;
}

/* ---- which events ---- */

bool top_table(struct region *r, struct top *out)
{
    *out = (struct top){ .seats = region_table(r, TABLE_TOP, STR("gateway/top"),
                                               SEATS_MAX * sizeof(struct top_seat)) };
    if (out->seats)
        random_seed(&out->random);
    return out->seats != NULL;
}

uint32_t top_turn_ends(struct top *t, enum top_kind kind, uint64_t now_ns)
{
    struct top_turn *turn = &t->turns[kind];
    uint32_t events = turn->gap - turn->left + 1; /* since the last that was noted, with this one */

    if (now_ns >= turn->until_ns) {
        turn->until_ns = now_ns + NS_PER_S;
        turn->exact = TOP_EXACT;
    }
    if (turn->exact > 0) {
        turn->exact--;
        turn->gap = 1;
    } else {
        /* by chance: clients who come in a fixed order are all met */
        turn->gap = 1 + (uint32_t)random_below(&t->random, 2 * TOP_GAP - 1);
    }
    turn->left = turn->gap;
    return events;
}

/* ---- places ---- */

static struct top_set *set_of(struct top *t, uint32_t seat, enum top_kind kind, uint64_t limit)
{
    CHECK(seat < SEATS_MAX);
    return &t->seats[seat].sets[kind][limit % TOP_SETS];
}

static uint64_t key_of(uint64_t key)
{
    return key ? key : 1;
}

static size_t find(const struct top_set *set, uint64_t key)
{
    size_t i = 0;

    while (i < TOP_PLACES && word_peek(&set->key[i]) != key)
        i++;
    return i;
}

static size_t find_least(const struct top_set *set)
{
    uint64_t least = UINT64_MAX;
    size_t which = 0;

    for (size_t i = 0; i < TOP_PLACES; i++) {
        uint64_t score =
            word_peek(&set->score[i]); /* not negative: as whole numbers they rank the same */

        if (score < least) {
            least = score;
            which = i;
        }
    }
    return which;
}

bool top_count(struct top *t, uint32_t seat, enum top_kind kind, uint64_t limit, uint64_t key,
               uint32_t n, uint64_t now_ns)
{
    struct top_set *set = set_of(t, seat, kind, limit);
    size_t i = find(set, key_of(key));

    /* odd: who sat here before us was killed while it wrote the name */
    if (i == TOP_PLACES || word_peek(&set->place[i].sequence) % 2)
        return false;
    word_put(&set->score[i],
             bits_of(score_with(score_of(word_peek(&set->score[i])), n, halves(now_ns))));
    word_add_own(&set->place[i].total, n);
    return true;
}

static void write_text(struct top_place *place, struct str text)
{
    char bytes[TOP_TEXT] = "";

    if (text.len)
        memcpy(bytes, text.at, text.len < TOP_TEXT ? text.len : TOP_TEXT);
    for (size_t i = 0; i < TOP_TEXT / 8; i++) {
        uint64_t word;

        memcpy(&word, bytes + 8 * i, 8);
        word_publish(&place->text[i], word);
    }
}

void top_enter(struct top *t, uint32_t seat, enum top_kind kind, uint64_t limit, uint64_t key,
               uint32_t n, uint64_t now_ns, struct str text)
{
    struct top_set *set = set_of(t, seat, kind, limit);
    size_t i = find(set, key_of(key));
    struct top_place *place;
    uint64_t sequence;
    double before;

    if (i == TOP_PLACES)
        i = find_least(set);
    place = &set->place[i];
    before = score_of(word_peek(&set->score[i]));
    sequence = word_peek(&place->sequence) | 1;
    word_put(&place->sequence, sequence);
    /* release, each of them: who reads one of these words sees that the sequence has become odd before */
    word_publish(&set->key[i], key_of(key));
    word_publish(&set->score[i], bits_of(score_with(before, n, halves(now_ns))));
    word_publish(&place->limit, limit);
    word_publish(&place->total, n);
    word_publish(&place->not_own, bits_of(before));
    write_text(place, text);
    word_publish(&place->sequence, sequence + 1); /* release: the words above */
}

/* ---- reading ---- */

/* False: nobody's, or it changes hands just now. */
static bool copy_out(const struct top_set *set, size_t i, uint64_t now_ns, struct top_entry *out)
{
    const struct top_place *place = &set->place[i];
    /* acquire, here and below: the sequence is looked at again after these */
    uint64_t sequence = word_read(&place->sequence), score, not_own;
    double at = halves(now_ns), own;

    if (sequence == 0 || sequence % 2)
        return false;
    out->key = word_read(&set->key[i]);
    score = word_read(&set->score[i]);
    out->limit = word_read(&place->limit);
    out->total = word_read(&place->total);
    not_own = word_read(&place->not_own);
    for (size_t w = 0; w < TOP_TEXT / 8; w++) {
        uint64_t word = word_read(&place->text[w]);

        memcpy(out->bytes + 8 * w, &word, 8);
    }
    if (word_peek(&place->sequence) != sequence)
        return false;
    out->text = str_of(out->bytes, strnlen(out->bytes, TOP_TEXT));
    own = worth(score_of(score), at) - worth(score_of(not_own), at);
    out->per_s = own > 0 ? own / WORTH_S : 0;
    return true;
}

bool top_next(const struct top *t, uint32_t seats, enum top_kind kind, uint64_t now_ns, size_t *i,
              struct top_entry *out)
{
    while (*i < (size_t)seats * TOP_SETS * TOP_PLACES) {
        size_t at = (*i)++;
        const struct top_set *set =
            &t->seats[at / (TOP_SETS * TOP_PLACES)].sets[kind][at / TOP_PLACES % TOP_SETS];

        if (copy_out(set, at % TOP_PLACES, now_ns, out))
            return true;
    }
    return false;
}
