/* Strikes and bans. */
#include "gateway/limiting/limit_ban.h"

#include "gateway/base/number.h"
#include "gateway/exchange/shared.h"
#include "ratelimit/token_bucket.h"

#define DAY_NS      (86400 * NS_PER_S)
#define UP_TO_A_DAY RANGE(NS_PER_S, DAY_NS)

static const struct conf_key ban_keys[] = {
    KEY(limit_ban_settings, after, uint, "0", "Refusals that lead to it; 0: there is no ban.",
        .arg = RANGE(0, 1000000)),
    KEY(limit_ban_settings, within, duration, "1m",
        "How long a refusal is remembered: they are forgotten evenly, all of them in so long.",
        .arg = UP_TO_A_DAY),
    { .name = "for",
      .type = &conf_type_duration,
      .offset = offsetof(struct limit_ban_settings, length),
      .init = "10m",
      .doc = "How long everything is refused. What comes meanwhile does not make it longer.",
      .arg = UP_TO_A_DAY },
    KEY_END,
};
const struct conf_schema limit_ban_schema = { .name = "ban",
                                              .doc = "Who is refused again and again is refused "
                                                     "everything for a while.",
                                              .size = sizeof(struct limit_ban_settings),
                                              .keys = ban_keys,
                                              .main = "after" };

/* So many in so long, all of them at once if need be. */
static const char *make_bucket(struct limiter *l, struct builder *b, struct str name,
                               enum when_full when_full, uint64_t count, uint64_t in_ns)
{
    /* rounded down: remembered a little longer */
    const struct limit limit = { .count = (uint64_t)((unsigned __int128)count * DAY_NS / in_ns),
                                 .per_ns = DAY_NS,
                                 .burst = count };

    return limiter_init(l, region_header(b->region), &b->shared->limits, name, &token_bucket,
                        &limit, when_full);
}

const char *limit_ban_build(struct limit_ban *ban, struct builder *b, struct str name,
                            const struct limit_ban_settings *s, enum when_full when_full)
{
    struct str strikes = str_format(b->arena, "%.*s#strikes", STR_ARGS(name));
    struct str bans = str_format(b->arena, "%.*s#bans", STR_ARGS(name));
    const char *why;

    ban->on = s->after > 0;
    if (!ban->on)
        return NULL;
    why = make_bucket(&ban->strikes, b, strikes, when_full, s->after, s->within);
    return why ? why : make_bucket(&ban->bans, b, bans, when_full, 1, s->length);
}

/* The key of the same client under another limiter. */
static uint64_t key_under(const struct limiter *l, uint64_t key)
{
    return limiter_key(l, str_of((const char *)&key, sizeof key));
}

bool limit_ban_holds(const struct limit_ban *ban, uint64_t key, uint64_t now_ns, struct decision *d)
{
    if (LIKELY(!ban->on))
        return false;
    *d = limiter_take(&ban->bans, key_under(&ban->bans, key), 0, now_ns);
    return !d->allowed;
}

bool limit_ban_strike(const struct limit_ban *ban, uint64_t key, uint64_t now_ns,
                      struct decision *d)
{
    struct decision forgiven;
    uint64_t strikes;

    if (LIKELY(!ban->on))
        return false;
    strikes = key_under(&ban->strikes, key);
    forgiven = limiter_take(&ban->strikes, strikes, 1, now_ns);
    if (forgiven.allowed && forgiven.remaining > 0)
        return false; /* the one that leaves nothing is the last that was forgiven */
    limiter_take(&ban->bans, key_under(&ban->bans, key), 1, now_ns);
    /* it begins anew when it is let out */
    limiter_take(&ban->strikes, strikes, -INT32_MAX, now_ns);
    return limit_ban_holds(ban, key, now_ns, d);
}
