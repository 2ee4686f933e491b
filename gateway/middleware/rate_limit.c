/* rate_limit: so many at once and so many in a period, for each client, counted by all workers together.
 *
 * Who is a client is said by `key` (limit_key.h): by default whoever a step before this one has identified, else
 * the address (IPv6: its prefix); what nobody has checked buys no new limit. How it is reckoned is said by
 * `algorithm` (ratelimit/). The state goes by the names of service and step, so it lives through every reload
 * that keeps those.
 *
 * A limit that has let a request pass takes back what it counted when a later one refuses it: nobody pays for
 * what was refused. Who is refused all the time may be banned for a while (limit_ban.h). What clients are told
 * is in limit_answer.h; how several gateways keep one limit, in limit_cluster.h.
 */
#include "gateway/base/number.h"
#include "gateway/exchange/builder.h"
#include "gateway/exchange/exchange.h"
#include "gateway/exchange/local.h"
#include "gateway/exchange/shared.h"
#include "gateway/limiting/limit_answer.h"
#include "gateway/limiting/limit_ban.h"
#include "gateway/limiting/limit_cluster.h"
#include "gateway/limiting/limit_exempt.h"
#include "gateway/limiting/limit_key.h"
#include "gateway/limiting/limit_plan.h"
#include "gateway/limiting/limit_state.h"
#include "gateway/limiting/limit_top.h"
#include "gateway/middleware/rate_limit_settings.h"
#include "ratelimit/fixed_window.h"
#include "ratelimit/gcra.h"
#include "ratelimit/leaky_bucket.h"
#include "ratelimit/limiter.h"

extern const struct middleware rate_limit_middleware;

#define PARTS_MAX 2 /* the rate, and a quota */

/* One count of a limit. */
struct part {
    struct limiter limiter;
    const struct limit_cluster *cluster; /* NULL: all of it is this gateway's */
    struct limit_answer answer;
    struct limit_top top;
};

/* What counts for those of one plan, one after the other: who is refused by one has not used the others. */
struct tier {
    struct part parts[PARTS_MAX];
    uint32_t count;
};

/* Everything that a request needs; settings may be gone with an older snapshot. */
struct rate_limit {
    struct tier *tiers;
    struct limit_plan plan; /* whose is which */
    struct limit_key key;
    const struct region_header *region;
    struct limit_ban ban;
    struct limit_exempt exempt;
    bool delays; /* requests wait for their turn */
    int32_t cost;
    struct str cost_header;
    struct limit_answer unknown; /* to who has no key or no plan */
};

/* Of an exchange, at one of the parts. */
struct got {
    struct limit_hold hold; /* with scope cluster */
    bool counted;
    uint64_t key, at_ns; /* whose, and when */
    uint64_t remaining, reset_ns;
};

struct taken {
    struct limit_hold hold; /* of the part that is being asked */
    const struct tier *tier;
    uint32_t at; /* which one that is */
    uint64_t delay_ns;
    struct got got[PARTS_MAX];
};
_Static_assert(offsetof(struct taken, hold) == 0, "where limit_cluster.c looks for it");

/* ---- at load ---------------------------------------------------------------------------------- */

static struct limit limit_of(const struct rate_limit_settings *s)
{
    if (s->delay)
        return leaky_bucket_queue(s->rate.count, s->rate.per_ns, s->delay);
    if (s->tolerance)
        return gcra_limit(s->rate.count, s->rate.per_ns, s->tolerance);
    return (struct limit){ s->rate.count, s->rate.per_ns, s->burst };
}

/* True, too, if it is this gateway's alone. */
static bool make_cluster(struct part *p, const struct rate_limit *r, struct builder *b,
                         const struct rate_limit_settings *s)
{
    const struct limit_cluster_settings settings = { .scope = s->scope,
                                                     .store = s->store,
                                                     .sync = s->sync,
                                                     .on_store_failure = s->on_store_failure,
                                                     .settles = s->cost_header.len > 0 };

    if (s->scope == LIMIT_NODE)
        return true;
    p->cluster = limit_cluster_build(b, limit_state_name(b, &r->key), &p->limiter, &r->key,
                                     s->delay > 0, &settings, limit_state_when_full(b));
    return p->cluster != NULL;
}

/* The state and all that is said of it go by b->step_name. */
static bool make_part(struct part *p, const struct rate_limit *r, struct builder *b,
                      const struct rate_limit_settings *s, enum reason reason)
{
    const struct limit limit = limit_of(s);
    struct str name = limit_state_name(b, &r->key);
    const char *why = limit_state_limiter(&p->limiter, b, name, algorithm_at((size_t)s->algorithm),
                                          &limit, s->log_keys, s->cost);

    if (!why)
        why = limit_top_build(&p->top, b, name, &p->limiter, s->scope == LIMIT_CLUSTER);
    if (why)
        return builder_problem(b, "rate: %s", why);
    p->answer = (struct limit_answer){ .status = (unsigned)s->status,
                                       .reason = reason,
                                       .body = str_keep_z(b->arena, s->body),
                                       .jitter_ppm = s->retry_jitter,
                                       .headers = s->headers,
                                       .when = (enum limit_headers_when)s->headers_when };
    limit_answer_build(&p->answer, b, &p->limiter);
    return make_cluster(p, r, b, s);
}

/* A quota is so many in each window of the clock, whatever the algorithm of the rate. */
static struct rate_limit_settings quota_of(const struct rate_limit_settings *s,
                                           const struct conf_plan *plan)
{
    struct rate_limit_settings quota = *s;

    quota.rate = plan->quota;
    quota.burst = plan->quota.count;
    quota.algorithm = (int)algorithm_index(&fixed_window);
    quota.delay = quota.tolerance = 0;
    quota.body = s->quota_body;
    return quota;
}

static bool make_tier_of_plan(struct tier *t, const struct rate_limit *r, struct builder *b,
                              const struct rate_limit_settings *s, uint32_t number)
{
    const struct conf_plan *plan = limit_plan_at(b, number);
    struct rate_limit_settings settings = *s;
    struct str step = b->step_name;
    bool good;

    settings.rate = plan->rate;
    settings.burst = plan->burst ? plan->burst : plan->rate.count;
    b->label = step; /* plans may be many: series are for all of them */
    b->step_name = limit_plan_name(b, step, number, false);
    good = make_part(&t->parts[t->count++], r, b, &settings, REASON_RATE_LIMITED);
    if (good && plan->quota.count) {
        settings = quota_of(s, plan);
        b->label = str_format(b->arena, "%.*s:quota", STR_ARGS(step));
        b->step_name = limit_plan_name(b, step, number, true);
        good = make_part(&t->parts[t->count++], r, b, &settings, REASON_QUOTA_EXCEEDED);
    }
    b->step_name = step;
    b->label = STR_NONE;
    return good;
}

static bool make_tiers(struct rate_limit *r, struct builder *b, const struct rate_limit_settings *s)
{
    r->tiers = ARENA_ARRAY(b->arena, struct tier, r->plan.count);
    if (!r->plan.by_plan) {
        r->tiers->count = 1;
        return make_part(r->tiers->parts, r, b, s, REASON_RATE_LIMITED);
    }
    for (uint32_t i = 0; i < r->plan.count; i++)
        if (!make_tier_of_plan(&r->tiers[i], r, b, s, i))
            return false;
    return true;
}

static const void *prepare(struct builder *b, const void *settings)
{
    const struct rate_limit_settings *s = settings;
    struct rate_limit *r = ARENA_NEW(b->arena, struct rate_limit);
    const char *why;

    *r = (struct rate_limit){ .region = region_header(b->region),
                              .delays = s->delay > 0,
                              .cost = (int32_t)s->cost,
                              .cost_header = str_keep(b->arena, s->cost_header),
                              .exempt = limit_exempt_build(b, &s->exempt) };
    if (!limit_plan_build(&r->plan, b, s->rate.count == 0, s->plan_default) ||
        !limit_key_build(&r->key, b, &s->key, (enum key_missing)s->key_missing) ||
        !make_tiers(r, b, s))
        return NULL;
    why = limit_ban_build(&r->ban, b, limit_state_name(b, &r->key), &s->ban,
                          limit_state_when_full(b));
    if (why) {
        builder_problem(b, "ban: %s", why);
        return NULL;
    }
    r->unknown = r->tiers->parts->answer;
    limit_answer_build(&r->unknown, b, &r->tiers->parts->limiter);
    return r;
}

/* ---- at work ---------------------------------------------------------------------------------- */

static enum verdict go_on(struct exchange *x, struct frame *f)
{
    (void)x;
    (void)f;
    return NEXT;
}

static uint32_t ms_up(uint64_t ns)
{
    return (uint32_t)(ns / NS_PER_MS + (ns % NS_PER_MS != 0));
}

static void put_back(struct exchange *x, const struct part *p, const struct got *g, uint32_t count)
{
    if (p->cluster)
        limit_cluster_give_back(p->cluster, x, &g->hold, g->key, count, g->at_ns);
    else
        limiter_take(&p->limiter, g->key, -(int32_t)count, g->at_ns);
}

/* It does not count after all. Who waited in line has had its turn. */
static void give_back(struct exchange *x, const struct rate_limit *r, struct taken *t)
{
    for (uint32_t i = 0; i < PARTS_MAX; i++) {
        struct got *g = &t->got[i];

        if (g->counted && !(r->delays && i == 0)) {
            put_back(x, &t->tier->parts[i], g, (uint32_t)r->cost);
            g->counted = false;
        }
    }
}

static enum verdict refused(struct exchange *x, struct frame *f, const struct decision *d)
{
    const struct rate_limit *r = f->step->prepared;
    struct taken *t = f->state;
    const struct part *p = &t->tier->parts[t->at];
    uint64_t key = t->got[t->at].key, now_ns = region_now(r->region, exchange_now_ns(x));
    struct decision ban;

    give_back(x, r, t);
    if (limit_ban_strike(&r->ban, t->got[0].key, now_ns, &ban))
        return limit_answer_refuse(&p->answer, x, f, &ban, ban.retry_ns);
    return limit_answer_refuse(&p->answer, x, f, d,
                               limit_answer_with_jitter(&p->answer, key, d->at_ns, d->retry_ns));
}

static void count(struct taken *t, const struct decision *d)
{
    struct got *g = &t->got[t->at];

    g->hold = t->hold;
    t->hold = (struct limit_hold){ .due_ns = g->hold.due_ns };
    g->counted = true;
    g->at_ns = d->at_ns;
    g->remaining = d->remaining;
    g->reset_ns = d->reset_ns;
    if (d->delay_ns > t->delay_ns)
        t->delay_ns = d->delay_ns;
}

/* Ask part after part. Called again when an answer has come that was waited for. */
static enum verdict take(struct exchange *x, struct frame *f)
{
    const struct rate_limit *r = f->step->prepared;
    struct taken *t = f->state;
    uint64_t now_ns = region_now(r->region, exchange_now_ns(x));
    struct decision d;

    for (; t->at < t->tier->count; t->at++) {
        const struct part *p = &t->tier->parts[t->at];
        struct got *g = &t->got[t->at];

        if (t->at > 0 && limit_key_of(&r->key, &p->limiter, x, &g->key) != KEY_FOUND)
            break; /* it had one a moment ago */
        if (!p->cluster) {
            d = limiter_take(&p->limiter, g->key, r->cost, now_ns);
        } else {
            switch (limit_cluster_take(p->cluster, x, f, g->key, (uint32_t)r->cost, take, &d)) {
            case LIMIT_WAITS:
                return WAIT;
            case LIMIT_STORE_AWAY:
                if (!d.allowed) { /* which is not the client's fault */
                    give_back(x, r, t);
                    return limit_answer_refuse_away(&p->answer, x, f, d.retry_ns);
                }
                break;
            case LIMIT_DECIDED:
                break;
            }
        }
        limit_top_saw(&p->top, x, d.allowed ? TOP_TAKEN : TOP_REFUSED, &r->key, &p->limiter, g->key,
                      now_ns);
        if (!d.allowed)
            return refused(x, f, &d);
        count(t, &d);
    }
    if (r->delays && t->delay_ns && frame_acts(f))
        return frame_sleep(f, ms_up(t->delay_ns), go_on);
    return NEXT;
}

static enum verdict on_request(struct exchange *x, struct frame *f)
{
    const struct rate_limit *r = f->step->prepared;
    uint32_t tier = limit_plan_tier(&r->plan, x);
    struct taken *t = f->state;
    const struct part *p;
    struct decision d;
    uint64_t now_ns;

    if (limit_exempt_is(&r->exempt, x))
        return NEXT;
    if (UNLIKELY(tier == r->plan.count))
        return limit_answer_refuse_unknown(&r->unknown, x, f);
    t->tier = &r->tiers[tier];
    p = t->tier->parts;
    switch (limit_key_of(&r->key, &p->limiter, x, &t->got[0].key)) {
    case KEY_FOUND:
        break;
    case KEY_REFUSE:
        return limit_answer_refuse_unknown(&r->unknown, x, f);
    case KEY_SKIP:
        return NEXT;
    }
    now_ns = region_now(r->region, exchange_now_ns(x));
    if (limit_ban_holds(&r->ban, t->got[0].key, now_ns, &d)) {
        limit_top_saw(&p->top, x, TOP_REFUSED, &r->key, &p->limiter, t->got[0].key, now_ns);
        return limit_answer_refuse(&p->answer, x, f, &d, d.retry_ns);
    }
    return take(x, f);
}

/* Did a later limit refuse it? Then it does not count here either. */
static bool is_refused_later(const struct exchange *x)
{
    static const uint64_t limits =
        UINT64_C(1) << REASON_RATE_LIMITED | UINT64_C(1) << REASON_QUOTA_EXCEEDED |
        UINT64_C(1) << REASON_STORE_AWAY | UINT64_C(1) << REASON_CONCURRENCY_LIMITED |
        UINT64_C(1) << REASON_QUEUE_TIMEOUT | UINT64_C(1) << REASON_LOAD_SHED;

    return x->made_here && (limits >> x->reason & 1);
}

static void take_more(struct exchange *x, const struct part *p, const struct got *g, uint32_t more,
                      uint64_t now_ns)
{
    if (p->cluster)
        limit_cluster_take_more(p->cluster, x, &g->hold, g->key, more);
    else
        limiter_take_up_to(&p->limiter, g->key, more, now_ns);
}

/* What the service says; if that cannot be read, what was taken. */
static int32_t cost_said(const struct rate_limit *r, const struct field *said)
{
    uint64_t cost;

    if (!number_read_u64(said->value, &cost))
        return r->cost;
    return cost < INT32_MAX ? (int32_t)cost : INT32_MAX;
}

/* A limit outside of this one reads the same header. */
static bool is_read_outside(const struct exchange *x, const struct frame *f,
                            const struct rate_limit *r)
{
    for (const struct frame *outer = x->frames; outer < f; outer++) {
        const struct rate_limit *other = outer->step->prepared;

        if (outer->step->type == &rate_limit_middleware &&
            str_equal_folded(other->cost_header, r->cost_header))
            return true;
    }
    return false;
}

/* The service knows what it has cost: the difference is taken, or given back. */
static void settle(struct exchange *x, const struct frame *f, const struct rate_limit *r,
                   const struct taken *t)
{
    const struct field *said = fields_find_name(&x->resp.fields, r->cost_header);
    uint64_t now_ns = region_now(r->region, exchange_now_ns(x));
    int32_t more;

    if (!said || x->made_here)
        return;
    more = cost_said(r, said) - r->cost;
    for (uint32_t i = 0; t->tier && i < PARTS_MAX && more; i++) {
        if (t->got[i].counted && more < 0)
            put_back(x, &t->tier->parts[i], &t->got[i], (uint32_t)-more);
        else if (t->got[i].counted)
            take_more(x, &t->tier->parts[i], &t->got[i], (uint32_t)more, now_ns);
    }
    if (!is_read_outside(x, f, r))
        fields_remove_name(&x->resp.fields, r->cost_header);
}

/* The older fields are no lists: they are said of one part. */
static void say_what_is_left(struct exchange *x, const struct taken *t)
{
    for (uint32_t i = 0; i < PARTS_MAX; i++) {
        const struct limit_answer *a = &t->tier->parts[i].answer;

        if (t->got[i].counted && a->when == WHEN_ALWAYS)
            limit_answer_say_what_is_left(a, i ? a->headers & HEADERS_DRAFT : a->headers, x,
                                          t->got[i].remaining, t->got[i].reset_ns);
    }
}

static enum verdict on_response(struct exchange *x, struct frame *f)
{
    const struct rate_limit *r = f->step->prepared;
    struct taken *t = f->state;

    if (t->tier && is_refused_later(x))
        give_back(x, r, t);
    if (r->cost_header.len)
        settle(x, f, r, t);
    if (t->tier && t->tier->parts->answer.when == WHEN_ALWAYS && frame_acts(f))
        say_what_is_left(x, t);
    return NEXT;
}

const struct middleware rate_limit_middleware = {
    .settings = { .name = "rate_limit",
                  .doc = "So many requests at once and in a period, for each client.",
                  .size = sizeof(struct rate_limit_settings),
                  .keys = rate_limit_keys,
                  .main = "rate",
                  .check = rate_limit_check },
    .state_size = sizeof(struct taken),
    .prepare = prepare,
    .on_request = on_request,
    .on_response = on_response,
};
