/* Is a server worth asking? */
#include "gateway/lookup/redis_outage.h"

void redis_outage_init(struct redis_outage *o, uint64_t open_after, uint64_t retry_every_ns)
{
    *o = (struct redis_outage){ .open_after = open_after ? open_after : 1,
                                .retry_every_ns = retry_every_ns };
}

bool redis_outage_would_allow(const struct redis_outage *o)
{
    return o->state == OUTAGE_UP || (o->state == OUTAGE_TRIAL && !o->trying);
}

bool redis_outage_allows(struct redis_outage *o)
{
    if (!redis_outage_would_allow(o))
        return false;
    o->trying = o->state == OUTAGE_TRIAL;
    return true;
}

bool redis_outage_succeeded(struct redis_outage *o)
{
    bool was_up = o->state == OUTAGE_UP;

    /* What was asked before it went away and is answered now was late for somebody: only a trial brings it back. */
    if (o->state == OUTAGE_AWAY)
        return false;
    o->state = OUTAGE_UP;
    o->failures = 0;
    o->trying = false;
    return !was_up;
}

bool redis_outage_failed(struct redis_outage *o, bool silent, uint64_t now_ns)
{
    bool was_up = o->state == OUTAGE_UP;

    if (o->failures < o->open_after)
        o->failures++;
    if (was_up && o->failures < o->open_after)
        return false;
    if (o->state != OUTAGE_AWAY)
        o->retry_ns = now_ns + o->retry_every_ns;
    /* An error that only questions see is not forgotten because the connection breaks, too. */
    o->silent = was_up || o->state == OUTAGE_TRIAL ? silent : o->silent && silent;
    o->state = OUTAGE_AWAY;
    o->trying = false;
    return was_up;
}

bool redis_outage_pinged(struct redis_outage *o, uint64_t now_ns)
{
    if (o->state != OUTAGE_AWAY)
        return false;
    if (!o->silent) {
        if (now_ns >= o->retry_ns)
            o->state = OUTAGE_TRIAL;
        return false;
    }
    o->state = OUTAGE_UP;
    o->failures = o->open_after - 1; /* on probation */
    return true;
}

void redis_outage_forgot(struct redis_outage *o)
{
    o->trying = false;
}
