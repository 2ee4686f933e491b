/* Shares of a limit that gateways keep together.
 *
 * The word is [held:1 | paced:1 | until:34 | size:8 | balance:20]. `until` is when to ask again if it is paced, else when
 * the window of a share ends (a bucket's has no end). `size` is about what was in the share when it was granted: what has
 * been spent of it says how large the next one should be.
 */
#include "ratelimit/remote.h"

#include <stdio.h>
#include <string.h>

#include "gateway/base/number.h"
#include "ratelimit/fixed_window.h"
#include "ratelimit/gcra.h"
#include "ratelimit/leaky_bucket.h"
#include "ratelimit/sliding_log.h"
#include "ratelimit/sliding_window.h"
#include "ratelimit/token_bucket.h"

#define COUNT_BITS  20
#define SIZE_BITS   8
#define UNTIL_BITS  34
#define UNTIL_SHIFT (COUNT_BITS + SIZE_BITS)
#define PACED_BIT   (UINT64_C(1) << 62)
#define HELD_BIT    (UINT64_C(1) << 63)

#define EXACT_MAX                                                                                  \
    (UINT64_C(1) << 52) /* what a number in Redis' scripts holds exactly, and once more */
#define LOG_MAX       128
#define TICK_NS       (NS_PER_MS / 8) /* of `until` */
#define LOOK_AGAIN_NS (30 * NS_PER_S)
#define GROWTH        4 /* a share is at most so many times the last one */
#define FAMILY(name, family)                                                                       \
    {                                                                                              \
        &(name), (family)                                                                          \
    }

static const struct {
    const struct algorithm *algorithm;
    enum remote_family family;
} families[] = {
    FAMILY(token_bucket, REMOTE_BUCKET),    FAMILY(gcra, REMOTE_BUCKET),
    FAMILY(leaky_bucket, REMOTE_BUCKET),    FAMILY(fixed_window, REMOTE_FIXED),
    FAMILY(sliding_window, REMOTE_SLIDING), FAMILY(sliding_log, REMOTE_LOG),
};

static uint64_t up_to(uint64_t n, uint64_t most)
{
    return n < most ? n : most;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* Units of which whole numbers are earned in a microsecond and taken by a token: the arithmetic is exact. */
static const char *init_bucket(struct remote *r)
{
    uint64_t per_us = r->limit.per_ns / NS_PER_US;
    uint64_t divisor = common_divisor(r->limit.count, per_us), full;

    r->earn = r->limit.count / divisor;
    r->token = per_us / divisor;
    if (__builtin_mul_overflow(r->token, r->limit.burst, &full) || full > EXACT_MAX)
        return "with scope cluster, this burst at this rate cannot be counted exactly: take a "
               "smaller burst, or a rate of rounder numbers";
    return NULL;
}

/* In which the script reckons what is left of a window. */
static uint64_t sliding_unit(const struct limit *l)
{
    return l->per_ns < 60 * NS_PER_S ? NS_PER_US : NS_PER_MS;
}

const char *remote_init(struct remote *r, const struct algorithm *a, const struct limit *l,
                        bool delays, uint64_t every_ns)
{
    size_t i = 0;

    while (i < ARRAY_LEN(families) && families[i].algorithm != a)
        i++;
    if (i == ARRAY_LEN(families))
        return "this algorithm has no form that several gateways could keep together";
    *r = (struct remote){ .family = families[i].family,
                          .limit = *l,
                          .at_once = a->at_once(l),
                          .every_ns = every_ns,
                          .token_ns = (l->per_ns + l->count - 1) / l->count };
    if (every_ns && delays)
        return "with scope cluster, a delay needs \"sync: 0\": each request has to be told its "
               "turn";
    if (every_ns && r->family == REMOTE_LOG)
        return "with scope cluster, sliding_log needs \"sync: 0\": shares are not exact";
    if (r->at_once > EXACT_MAX / 2)
        return "with scope cluster, so many at once cannot be counted";
    r->idle_ns = up_to(a->idle_ns(l), REMOTE_LONGEST_NS);
    if (r->family == REMOTE_SLIDING && l->count > EXACT_MAX / (l->per_ns / sliding_unit(l)))
        return "with scope cluster, sliding_window cannot count so many in so long: use "
               "fixed_window";
    return r->family == REMOTE_BUCKET ? init_bucket(r) : NULL;
}

/* ---- the word ---------------------------------------------------------------------------------- */

struct reading {
    bool paced;       /* and `until` is ahead */
    uint64_t balance; /* of what may still be spent */
    uint64_t size;
    int64_t ahead; /* of now, in ticks */
};

static uint64_t ms_of(uint64_t ns)
{
    return ns / NS_PER_MS;
}

static uint64_t low_bits(uint64_t n, unsigned bits)
{
    return n & ((UINT64_C(1) << bits) - 1);
}

/* The size in 8 bits: four digits and how far they were shifted. Rounded down. */
static uint64_t size_pack(uint64_t n)
{
    unsigned bits = n ? 64 - (unsigned)__builtin_clzll(n) : 0;
    unsigned shift = bits > 4 ? bits - 4 : 0;

    return shift * 8 + (n >> shift);
}

static uint64_t size_unpack(uint64_t code)
{
    return code < 16 ? code : (8 + code % 8) << (code / 8 - 1);
}

/* From `now` to `then`, of both of which the low bits are known: less than half a turn either way. */
static int64_t distance(uint64_t then, uint64_t now, unsigned bits)
{
    return (int64_t)((then - now) << (64 - bits)) >> (64 - bits);
}

static bool ends_with_window(const struct remote *r)
{
    return r->family != REMOTE_BUCKET;
}

static struct reading read_word(uint64_t word, const struct remote *r, uint64_t now_ns)
{
    struct reading v = { .balance = low_bits(word, COUNT_BITS),
                         .size = size_unpack(low_bits(word >> COUNT_BITS, SIZE_BITS)),
                         .ahead = distance(word >> UNTIL_SHIFT, now_ns / TICK_NS, UNTIL_BITS) };

    if (!(word & HELD_BIT))
        return (struct reading){ 0 };
    if (v.ahead <= 0) {
        v.ahead = 0;
        if (ends_with_window(r))
            v.balance = 0;
    } else {
        v.paced = (word & PACED_BIT) != 0;
    }
    return v;
}

static uint64_t with_balance(uint64_t word, uint64_t balance)
{
    return (word & ~REMOTE_TOKENS_MAX) | balance;
}

uint64_t remote_take(uint64_t word, const struct remote *r, uint64_t now_ns, uint64_t cost,
                     struct remote_taking *out)
{
    struct reading v = read_word(word, r, now_ns);

    *out = (struct remote_taking){ .verdict = REMOTE_ASK, .balance = v.balance };
    if (ends_with_window(r))
        out->end_ns = (uint64_t)v.ahead * TICK_NS;
    if (v.balance >= cost) {
        v.balance -= cost;
        out->verdict = REMOTE_TAKEN;
        out->balance = v.balance;
        /* one token is not worth a question before it is needed */
        out->low = !v.paced && v.size > 1 && v.balance <= v.size / 4;
        return with_balance(word, v.balance);
    }
    if (v.paced) {
        out->verdict = REMOTE_REFUSED;
        out->retry_ns = (uint64_t)v.ahead * TICK_NS;
    }
    return word;
}

/* Is at_ns in the window that ends so far ahead? Paced by a sliding window, `until` is not the window's end. */
static bool is_of_window(uint64_t word, const struct remote *r, const struct reading *v,
                         uint64_t now_ns, uint64_t at_ns)
{
    uint64_t end_ns = now_ns + (uint64_t)v->ahead * TICK_NS;

    if (v->ahead <= 0 || (r->family == REMOTE_SLIDING && (word & PACED_BIT)))
        return false;
    return end_ns <= at_ns || end_ns - at_ns < r->limit.per_ns;
}

uint64_t remote_give_back(uint64_t word, const struct remote *r, uint64_t now_ns, uint64_t count,
                          uint64_t at_ns)
{
    struct reading v = read_word(word, r, now_ns);
    uint64_t most = r->at_once < REMOTE_TOKENS_MAX ? r->at_once : REMOTE_TOKENS_MAX;

    if (!(word & HELD_BIT) || (ends_with_window(r) && !is_of_window(word, r, &v, now_ns, at_ns)))
        return word;
    v.balance = count < most && v.balance + count < most ? v.balance + count : most;
    return with_balance(word, v.balance);
}

uint64_t remote_rescale(uint64_t word, const struct remote *r, const struct limit *was)
{
    uint64_t balance = low_bits(word, COUNT_BITS);

    if (ends_with_window(r) && (was->per_ns != r->limit.per_ns || (word & PACED_BIT)))
        return 0;
    return with_balance(word & ~PACED_BIT, balance < r->at_once ? balance : r->at_once);
}

uint64_t remote_remaining(const struct remote *r, const struct remote_taking *t)
{
    return t->balance + t->left < r->at_once ? t->balance + t->left : r->at_once;
}

uint64_t remote_reset_ns(const struct remote *r, const struct remote_taking *t)
{
    uint64_t missing = r->at_once - remote_remaining(r, t), ns;

    switch (r->family) {
    case REMOTE_BUCKET:
        return __builtin_mul_overflow(missing, r->token_ns, &ns) ? REMOTE_LONGEST_NS : ns;
    case REMOTE_FIXED:
        return t->end_ns ? t->end_ns : r->limit.per_ns;
    case REMOTE_SLIDING:
        return t->end_ns + r->limit.per_ns;
    case REMOTE_LOG:
    case REMOTE_FAMILIES:
        break;
    }
    return r->limit.per_ns;
}

/* ---- a question ------------------------------------------------------------------------------- */

/* [asked_until:20 | granted:20 | left:24], times in ms. */
#define NOTE_BITS 20
#define LEFT_BITS 24
#define LEFT_MAX  ((UINT64_C(1) << LEFT_BITS) - 1)

uint64_t remote_note_pack(const struct remote_note *n)
{
    uint64_t left = n->left < LEFT_MAX ? n->left : LEFT_MAX;

    return low_bits(ms_of(n->asked_until_ns), NOTE_BITS) << (NOTE_BITS + LEFT_BITS) |
           low_bits(ms_of(n->granted_ns), NOTE_BITS) << LEFT_BITS | left;
}

uint64_t remote_note_left(uint64_t packed)
{
    return low_bits(packed, LEFT_BITS);
}

struct remote_note remote_note_unpack(uint64_t packed, uint64_t now_ns)
{
    uint64_t now = ms_of(now_ns);
    int64_t granted = distance(packed >> LEFT_BITS, now, NOTE_BITS);
    int64_t asked = distance(packed >> (NOTE_BITS + LEFT_BITS), now, NOTE_BITS);

    return (struct remote_note){
        .granted_ns = granted < 0 && (uint64_t)-granted <= now
                          ? (now - (uint64_t)-granted) * NS_PER_MS
                          : now_ns,
        .asked_until_ns = asked > 0 ? (now + (uint64_t)asked) * NS_PER_MS : 0,
        .left = remote_note_left(packed),
    };
}

bool remote_note_is_old(const struct remote_note *n, uint64_t now_ns)
{
    return now_ns - n->granted_ns > LOOK_AGAIN_NS;
}

uint64_t remote_want(uint64_t word, const struct remote *r, const struct remote_note *note,
                     uint64_t now_ns, uint64_t gateways, uint64_t needed)
{
    struct reading v = read_word(word, r, now_ns);
    uint64_t most = r->at_once / (REMOTE_ERROR_PARTS * gateways);
    uint64_t spent = v.size > v.balance ? v.size - v.balance : 0, want;
    uint64_t took_ns = now_ns > note->granted_ns ? now_ns - note->granted_ns : 0;

    if (r->every_ns == 0)
        return needed;
    took_ns = took_ns < NS_PER_MS ? NS_PER_MS : took_ns;
    want = (uint64_t)((unsigned __int128)spent * r->every_ns / took_ns);
    if (want > v.size * GROWTH)
        want = v.size * GROWTH;
    if (want > most)
        want = most;
    want = want > v.balance ? want - v.balance : 0;
    if (v.paced && want == 0)
        want = 1; /* whether there is really nothing left */
    want = want > needed ? want : needed;
    return want < REMOTE_TOKENS_MAX ? want : REMOTE_TOKENS_MAX;
}

static void add(struct remote_question *q, int64_t n)
{
    char *to = q->text[q->count];
    int len = snprintf(to, sizeof q->text[0], "%lld", (long long)n);

    CHECK(q->count < REMOTE_ARGS && len > 0);
    q->args[q->count++] = str_of(to, (size_t)len);
}

void remote_ask(struct remote_question *q, const struct remote *r, int64_t want, uint64_t least,
                int64_t id)
{
    q->count = 0;
    add(q, want);
    add(q, (int64_t)least);
    add(q, id);
    add(q, (int64_t)(r->every_ns / NS_PER_US));
    if (r->family == REMOTE_BUCKET) {
        add(q, (int64_t)r->limit.burst);
        add(q, (int64_t)r->earn);
        add(q, (int64_t)r->token);
    } else {
        add(q, (int64_t)r->limit.count);
        add(q, (int64_t)(r->limit.per_ns / NS_PER_US));
        if (r->family != REMOTE_LOG)
            add(q, r->family == REMOTE_SLIDING);
    }
}

/* ---- an answer -------------------------------------------------------------------------------- */

enum number { GRANTED, PACE, LASTS, LEFT, RESET, DELAY, ID, NUMBERS };

#define LONGEST_US (INT64_MAX / 2 / 1000)

bool remote_answer_read(struct remote_answer *a, const int64_t *n, size_t count, uint64_t want)
{
    if (count != NUMBERS || n[GRANTED] < 0 || (uint64_t)n[GRANTED] > want || n[ID] < 0)
        return false;
    for (size_t i = PACE; i <= DELAY; i++)
        if (n[i] < 0 || n[i] > LONGEST_US)
            return false;
    *a = (struct remote_answer){ .granted = (uint64_t)n[GRANTED],
                                 .paced = n[PACE] > 0,
                                 .pace_ns = (uint64_t)n[PACE] * NS_PER_US,
                                 .lasts_ns = (uint64_t)n[LASTS] * NS_PER_US,
                                 .left = (uint64_t)n[LEFT],
                                 .reset_ns = (uint64_t)n[RESET] * NS_PER_US,
                                 .delay_ns = (uint64_t)n[DELAY] * NS_PER_US,
                                 .id = n[ID] };
    return true;
}

uint64_t remote_grant(uint64_t word, const struct remote *r, uint64_t asked_ns, uint64_t now_ns,
                      const struct remote_answer *a)
{
    struct reading v = read_word(word, r, now_ns);
    uint64_t balance = up_to(v.balance + a->granted, REMOTE_TOKENS_MAX), until = now_ns / TICK_NS;
    uint64_t end = (asked_ns + up_to(a->lasts_ns, REMOTE_LONGEST_NS)) / TICK_NS;
    uint64_t flags = HELD_BIT;

    if (a->paced) {
        flags |= PACED_BIT;
        until = (now_ns + up_to(a->pace_ns, REMOTE_LONGEST_NS) + TICK_NS - 1) / TICK_NS;
    }
    /* What it holds is not to be spent after its window. Redis saw the question after it was sent, so the end is not later
     * than this. */
    if (ends_with_window(r) && (!a->paced || (balance && end < until)))
        until = end;
    return flags | low_bits(until, UNTIL_BITS) << UNTIL_SHIFT | size_pack(balance) << COUNT_BITS |
           balance;
}
