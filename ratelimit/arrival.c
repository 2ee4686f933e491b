/* One time of arrival: what buckets have in common. */
#include "ratelimit/arrival.h"

#include "gateway/base/number.h"

#define GRAINS     UINT64_C(32)   /* in a ns */
#define COARSEST   UINT64_C(1000) /* grains in a token: rounding stays below 0.1 % */
#define FULL_MAX   (UINT64_C(1) << 62)
/* A word further ahead than the burst and this was not written by a colleague: no clock, read once a turn, is that old. */
#define SKEW       (600 * NS_PER_S * GRAINS)
#define IDLE_SLACK NS_PER_S

/* What a token takes to earn. */
static uint64_t token_of(const struct limit *l)
{
    return (l->per_ns * GRAINS + l->count - 1) / l->count;
}

static uint64_t to_ns(uint64_t grains)
{
    return (grains + GRAINS - 1) / GRAINS;
}

const char *arrival_cannot(const struct limit *l)
{
    uint64_t grains, full;

    if (__builtin_mul_overflow(l->per_ns, GRAINS, &grains) || grains / COARSEST < l->count)
        return "more than 32000000 a second cannot be counted";
    if (__builtin_mul_overflow(token_of(l), l->burst, &full) || full > FULL_MAX)
        return "earning the whole burst would take more than four years";
    return NULL;
}

/* Grains that are missing from a full bucket. */
static uint64_t missing(uint64_t word, uint64_t full, uint64_t now)
{
    if (word <= now || word - now > full + SKEW)
        return 0;
    return word - now;
}

uint64_t arrival_step(uint64_t word, const struct limit *l, uint64_t now_ns, int32_t cost,
                      struct decision *out)
{
    uint64_t token = token_of(l), full = l->burst * token, now = now_ns * GRAINS;
    uint64_t gone = missing(word, full, now);
    /* who only looks asks whether one more would be allowed */
    uint64_t amount = cost > 0 ? (uint64_t)cost : cost == 0 ? 1 : 0;

    *out = (struct decision){ .allowed = amount <= l->burst && gone + amount * token <= full,
                              .at_ns = now_ns };
    if (amount > l->burst)
        out->retry_ns = RETRY_NEVER;
    else if (!out->allowed && amount)
        out->retry_ns = to_ns(gone + amount * token - full);
    if (cost > 0 && out->allowed) {
        gone += amount * token;
        word = now + gone;
    } else if (cost < 0) {
        uint64_t given = (uint64_t) - (int64_t)cost;

        out->allowed = true;
        if (gone > 0) {
            gone = given < l->burst && given * token < gone ? gone - given * token : 0;
            word = now + gone;
        }
    }
    out->remaining = gone < full ? (full - gone) / token : 0;
    out->reset_ns = to_ns(gone);
    return word;
}

/* So many tokens as were missing are missing, or the whole burst if that is less. */
uint64_t arrival_rescale(uint64_t word, const struct limit *was, const struct limit *is,
                         uint64_t now_ns)
{
    uint64_t was_token = token_of(was), is_token = token_of(is), full = is->burst * is_token;
    uint64_t gone = missing(word, was->burst * was_token, now_ns * GRAINS);
    unsigned __int128 same = (unsigned __int128)gone * is_token / was_token;

    if (gone == 0)
        return 0;
    return now_ns * GRAINS + (same < full ? (uint64_t)same : full);
}

uint64_t arrival_idle_ns(const struct limit *l)
{
    return to_ns(l->burst * token_of(l)) + IDLE_SLACK;
}

uint64_t arrival_at_once(const struct limit *l)
{
    return l->burst;
}

uint64_t arrival_backlog_ns(uint64_t word, const struct limit *l, uint64_t now_ns)
{
    return to_ns(missing(word, l->burst * token_of(l), now_ns * GRAINS));
}
