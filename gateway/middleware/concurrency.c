/* concurrency: so many exchanges at once for each key, counted over all workers (shm/places.h); some more may wait
 * for a place (limit_line.h).
 *
 * An exchange has its place from this step on until it is over, whatever it ends of: on_done gives it back, and what
 * a killed worker had is given back by the master, though the service may not have noticed yet that nobody waits for
 * its answer. With `adaptive` the limit moves between `min` and `max` by how long the service takes
 * (ratelimit/gradient.h); it is one for the step, whatever its keys.
 */
#include "gateway/base/number.h"
#include "gateway/exchange/builder.h"
#include "gateway/exchange/exchange.h"
#include "gateway/exchange/local.h"
#include "gateway/exchange/reply.h"
#include "gateway/exchange/route.h"
#include "gateway/exchange/shared.h"
#include "gateway/limiting/limit_exempt.h"
#include "gateway/limiting/limit_key.h"
#include "gateway/limiting/limit_line.h"
#include "gateway/limiting/limit_plan.h"
#include "gateway/limiting/limit_state.h"
#include "gateway/limiting/limit_top.h"
#include "shm/holds.h"

extern const struct middleware concurrency_middleware;

/* What pages show, see gauges.c: entries of the table concurrency/<service>/<step>. */
enum { NOW_RUNNING, NOW_WAITING, NOW_COUNT };

struct concurrency_settings {
    uint64_t max, min; /* max 0: as the plan says */
    struct str plan_default;
    int adaptive;
    uint64_t measure_every, headroom;
    struct conf_list key;
    int key_missing;
    uint64_t queue, queue_timeout;
    struct limit_exempt_settings exempt;
    uint64_t status, retry_after;
    struct str body;
};

static bool read_max(const struct conf_key *key, const struct conf_node *n, void *field,
                     struct arena *a, struct conf_problems *p)
{
    if (n->kind == CONF_SCALAR && str_equal(n->text, STR("plan"))) {
        *(uint64_t *)field = 0;
        return true;
    }
    return conf_type_uint.read(key, n, field, a, p);
}

static void print_max(const struct conf_key *key, const void *field, FILE *to)
{
    if (*(const uint64_t *)field)
        conf_type_uint.print(key, field, to);
    else
        fputs("plan", to);
}

static const struct conf_type conf_type_max = { "number or plan", "plan, or a number",
                                                sizeof(uint64_t), read_max, print_max };
#define CONF_FIELD_max uint64_t

static const struct conf_key keys[] = {
    KEY(concurrency_settings, max, max, NULL,
        "Requests at once, of each key. plan: what the plan of its consumer says.",
        .arg = RANGE(1, PLACES_MOST)),
    KEY(concurrency_settings, plan_default, text, "",
        "With max: plan, the plan of who has none; empty: who has none is refused."),
    KEY(concurrency_settings, key, list_of, "[service]",
        "Who has a limit of its own: as in rate_limit. service: all clients of a service "
        "together; consumer, ip, …: each of them. Where more keys come at once than can be told "
        "apart (tens of thousands), shared_memory.limits.on_full: deny refuses, else they pass.",
        .arg = ELEMENT(word, .at_least = 1, .at_most = LIMIT_KEY_PARTS)),
    KEY(concurrency_settings, key_missing, one_of, "ip",
        "What of a request that has nothing of a member of the key. ip: its address takes the "
        "place; refuse: it is refused; skip: it is not counted.",
        .arg = NAMES("ip", "refuse", "skip")),
    KEY(concurrency_settings, queue, uint, "0",
        "Requests of each key that may wait for a place, in all workers together. Who has waited "
        "longest goes first.",
        .arg = RANGE(0, PLACES_MOST)),
    KEY(concurrency_settings, queue_timeout, duration, "1s",
        "Who has waited so long is refused after all.", .arg = RANGE(NS_PER_MS, 600 * NS_PER_S)),
    KEY(concurrency_settings, adaptive, one_of, "off",
        "gradient: the limit moves between `min` and `max`. It falls when the service takes longer "
        "than it does where nobody queues, and rises while it does not. Give it a queue: while it "
        "is measured how long that is, only `min` get in.",
        .arg = NAMES("off", "gradient")),
    KEY(concurrency_settings, min, uint, "3",
        "With adaptive: the smallest limit, and the one while it is measured how long the service "
        "takes where nobody queues.",
        .arg = RANGE(1, PLACES_MOST)),
    KEY(concurrency_settings, measure_every, duration, "60s",
        "With adaptive: how often that is measured.", .arg = RANGE(NS_PER_S, 3600 * NS_PER_S)),
    KEY(concurrency_settings, headroom, share, "25%",
        "With adaptive: longer by so much, and by a millisecond at least, is not yet too long.",
        .arg = RANGE(0, 10000000)),
    KEY_BLOCK(concurrency_settings, exempt, &limit_exempt_schema, NULL),
    KEY(concurrency_settings, status, uint, "0",
        "Status of a refusal. 0: 503 where all clients share the limit (its key is made of "
        "service, route and global alone), else 429.",
        .arg = RANGE(0, 599)),
    KEY(concurrency_settings, body, text, "Too Many Requests At Once", "Text of a refusal."),
    KEY(concurrency_settings, retry_after, duration, "1s", "Retry-After of a refusal. 0: none.",
        .arg = RANGE(0, 86400 * NS_PER_S)),
    KEY_END,
};

static void check(const void *settings, const struct conf_node *at, struct conf_problems *p)
{
    const struct concurrency_settings *s = settings;

    if (s->status != 0 && s->status < 400)
        conf_problem(p, at, "\"status\" must be an error: 400 to 599, or 0");
    if (s->adaptive && s->max == 0)
        conf_problem(p, at, "\"adaptive\" needs a number as \"max\"");
    else if (s->adaptive && s->min > s->max)
        conf_problem(p, at, "\"min\" is more than \"max\"");
    if (s->plan_default.len && s->max)
        conf_problem(p, at, "\"plan_default\" is for max: plan");
}

/* Everything that a request needs; settings may be gone with an older snapshot. */
struct concurrency {
    struct places places;
    struct limiter named; /* only its secret, which makes keys of this limit's own */
    struct limit_key key;
    struct limit_exempt exempt;
    struct limit_plan plan;        /* whose is which of … */
    const struct limit_most *most; /* … these; one, or one for each plan */
    const struct str *plan_names;
    struct limit_top *tops; /* what people see of each of `most` */
    const struct region_header *region;
    struct holds now; /* for pages */
    uint64_t queue;
    uint32_t queue_ms;
    bool full_refuses; /* what finds no room in the table: refused, or let pass uncounted */
    unsigned status;
    const char *body;
    uint64_t retry_ns;
    uint32_t series;  /* gateway_concurrency_refused_total of this service and limit */
    struct str label; /* the limit there */
};

/* Of one exchange. */
struct stay {
    enum { STAY_NOT_COUNTED, STAY_WAITS, STAY_RUNS } stage; /* WAITS until it was woken, too */
    uint64_t key;
    const struct limit_most *most;
    struct limit_wait wait;
};

/* ---- at load ---------------------------------------------------------------------------------- */

/* Do all clients share it? */
static bool is_shared_by_all(const struct conf_list *key)
{
    const struct str *text = key->items;

    for (size_t i = 0; i < key->count; i++)
        if (!str_equal(text[i], STR("service")) && !str_equal(text[i], STR("route")) &&
            !str_equal(text[i], STR("global")))
            return false;
    return true;
}

static bool make_tables(struct builder *b, struct concurrency *c, struct str name)
{
    struct str now = str_format(b->arena, "concurrency/%.*s", STR_ARGS(name));

    return (places_table(b->region, STR("gateway/places"), &c->places) &&
            holds_table(b->region, now, NOW_COUNT, &c->now)) ||
           builder_problem(b, "there is no room in the shared memory for its counts");
}

static bool make_top(struct builder *b, struct concurrency *c, size_t i, struct str name)
{
    struct limit_places places = { .max = c->most[i].max,
                                   .queue = c->queue,
                                   .min = c->most[i].measure ? c->most[i].gradient.min : 0 };
    const char *why = limit_top_build_places(
        &c->tops[i], b, name, hash_str(&region_header(b->region)->key, name), &places);

    return !why || builder_problem(b, "max: %s", why);
}

static bool make_most(struct builder *b, struct concurrency *c, struct str name,
                      const struct concurrency_settings *s)
{
    struct limit_most *most = ARENA_NEW(b->arena, struct limit_most);

    c->most = most;
    *most = (struct limit_most){ .max = s->max,
                                 .gradient = { .min = s->min,
                                               .max = s->max,
                                               .measure_ns = s->measure_every,
                                               .window_ns = 100 * NS_PER_MS,
                                               .headroom_ppm = s->headroom } };
    if (s->adaptive)
        most->measure = region_table(b->region, TABLE_GRADIENT,
                                     str_format(b->arena, "gradient/%.*s", STR_ARGS(name)),
                                     sizeof *most->measure);
    if (s->adaptive && !most->measure)
        return builder_problem(b, "there is no room in the shared memory for what it measures");
    c->tops = ARENA_NEW(b->arena, struct limit_top);
    return make_top(b, c, 0, name);
}

static bool make_most_by_plan(struct builder *b, struct concurrency *c, struct str name,
                              const struct concurrency_settings *s)
{
    size_t count = b->globals->plans.count;
    struct limit_most *most = ARENA_ARRAY(b->arena, struct limit_most, count + 1);
    struct str *names = ARENA_ARRAY(b->arena, struct str, count + 1);

    if (count == 0)
        return builder_problem(b, "max: there are no plans");
    if (!limit_plan_build(&c->plan, b, true, s->plan_default))
        return false;
    c->most = most;
    c->plan_names = names;
    c->tops = ARENA_ARRAY(b->arena, struct limit_top, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        const struct conf_plan *plan = limit_plan_at(b, i);

        names[i] = str_keep(b->arena, plan->name);
        most[i].max =
            plan->concurrency && plan->concurrency < PLACES_MOST ? plan->concurrency : PLACES_MOST;
        if (!make_top(b, c, i, limit_plan_name(b, name, i, false)))
            return false;
    }
    return true;
}

static const void *prepare(struct builder *b, const void *settings)
{
    const struct concurrency_settings *s = settings;
    const struct region_header *h = region_header(b->region);
    const struct str labels[] = { b->service_name, b->step_name };
    struct hash_key second = { h->key.k1, h->key.k0 };
    struct concurrency *c = ARENA_NEW(b->arena, struct concurrency);
    struct str name;

    *c = (struct concurrency){
        .region = h,
        .plan = { .count = 1 },
        .queue = s->queue,
        .queue_ms = (uint32_t)(s->queue_timeout / NS_PER_MS),
        .full_refuses = b->globals->shared_memory.limits.on_full == CONF_ON_FULL_DENY,
        .status = s->status                   ? (unsigned)s->status
                  : is_shared_by_all(&s->key) ? 503
                                              : 429,
        .body = str_keep_z(b->arena, s->body),
        .retry_ns = s->retry_after,
        .label = str_keep(b->arena, b->step_name),
    };
    if (!limit_key_build(&c->key, b, &s->key, (enum key_missing)s->key_missing))
        return NULL;
    c->exempt = limit_exempt_build(b, &s->exempt);
    name = limit_state_name(b, &c->key);
    c->named.key = (struct hash_key){ hash_str(&h->key, name), hash_str(&second, name) };
    if (!make_tables(b, c, name) ||
        !(s->max ? make_most(b, c, name, s) : make_most_by_plan(b, c, name, s)))
        return NULL;
    /* The master only rehearses; what is refused leaves no series behind. */
    if (b->role == BUILD_WORKER)
        c->series = rows_find(&b->shared->rows, FAMILY_CONCURRENCY_REFUSED, labels);
    return c;
}

/* ---- at work ---------------------------------------------------------------------------------- */

static enum verdict refuse(struct exchange *x, struct frame *f, enum reason reason)
{
    const struct concurrency *c = f->step->prepared;
    enum verdict v = reply_refuse_by_limit(x, f, c->status, reason, c->body, c->label);

    if (v != REPLIED)
        return v;
    if (c->retry_ns)
        reply_retry_after(x, c->retry_ns);
    rows_add(&x->local->shared->rows, x->local->seat, c->series, 1);
    return v;
}

/* For people. */
static void note(struct exchange *x, const struct concurrency *c, const struct stay *s,
                 enum top_kind kind)
{
    limit_top_saw(&c->tops[s->most - c->most], x, kind, &c->key, &c->named, s->key,
                  region_now(c->region, exchange_now_ns(x)));
}

/* Its client has too many. */
static enum verdict turn_away(struct exchange *x, struct frame *f, enum reason reason)
{
    note(x, f->step->prepared, f->state, TOP_REFUSED);
    return refuse(x, f, reason);
}

/* How many of its kind there may be at once. NULL: it has no plan, and that is no reason to let it pass. */
static const struct limit_most *most_of(const struct concurrency *c, const struct exchange *x)
{
    uint32_t tier = limit_plan_tier(&c->plan, x);

    return LIKELY(tier < c->plan.count) ? &c->most[tier] : NULL;
}

/* The same for a request that began under another configuration, whose plans had other numbers. */
static const struct limit_most *most_by_name(const struct concurrency *c, const struct exchange *x)
{
    if (!c->plan.by_plan)
        return c->most;
    for (uint32_t i = 0; i < c->plan.count; i++)
        if (str_equal(c->plan_names[i], x->who.plan))
            return &c->most[i];
    return c->plan.default_plan && x->who.plan.len == 0 ? &c->most[c->plan.default_plan - 1] : NULL;
}

/* What the running configuration says about this limit, for a request that waits since an older one. */
static bool renew(const struct frame *f, struct limit_most *most)
{
    const struct exchange *x = f->x;
    const struct concurrency *mine = f->step->prepared;
    struct params params;
    const struct route *r =
        router_find(x->local->current.router, x->req.host, x->req.method, x->req.path, &params)
            .route;

    r = r ? r : x->local->current.unmatched;
    for (uint32_t i = 0; r && i < r->step_count; i++) {
        const struct concurrency *c = r->steps[i].prepared;
        const struct limit_most *now;

        if (r->steps[i].type != &concurrency_middleware || c->named.key.k0 != mine->named.key.k0 ||
            c->named.key.k1 != mine->named.key.k1)
            continue;
        now = most_by_name(c, x);
        if (now)
            *most = *now;
        return now != NULL;
    }
    return false;
}

/* It waits no more, or has no place any more. */
static void depart(struct exchange *x, const struct concurrency *c, struct stay *s)
{
    holds_give(&c->now, x->local->seat, s->stage == STAY_WAITS ? NOW_WAITING : NOW_RUNNING);
    if (s->stage == STAY_WAITS && s->wait.line) {
        limit_line_leave(x->local, &s->wait);
    } else {
        places_give(&c->places, x->local->seat, s->key);
        if (c->queue)
            limit_line_serve(x->local, &c->places, s->key, s->most);
    }
    s->stage = STAY_NOT_COUNTED;
}

/* Called when it has a place, or has waited too long. */
static enum verdict after_waiting(struct exchange *x, struct frame *f)
{
    const struct concurrency *c = f->step->prepared;
    struct stay *s = f->state;

    if (s->wait.line) {
        depart(x, c, s);
        return turn_away(x, f, REASON_QUEUE_TIMEOUT);
    }
    holds_give(&c->now, x->local->seat, NOW_WAITING);
    holds_add(&c->now, x->local->seat, NOW_RUNNING);
    note(x, c, s, TOP_TAKEN);
    s->stage = STAY_RUNS;
    return NEXT;
}

/* No room in the table for one more key: nobody can tell how many it has. */
static enum verdict without_count(struct exchange *x, struct frame *f)
{
    const struct concurrency *c = f->step->prepared;

    return c->full_refuses ? turn_away(x, f, REASON_CONCURRENCY_LIMITED) : NEXT;
}

static enum verdict let_in(struct exchange *x, const struct concurrency *c, struct stay *s)
{
    s->stage = STAY_RUNS;
    holds_add(&c->now, x->local->seat, NOW_RUNNING);
    note(x, c, s, TOP_TAKEN);
    return NEXT;
}

static enum verdict wait_for_place(struct exchange *x, struct frame *f, uint64_t max)
{
    const struct concurrency *c = f->step->prepared;
    struct stay *s = f->state;
    struct local *l = x->local;

    s->wait.frame = f;
    s->wait.renew = renew;
    switch (limit_line_join(l, &c->places, s->key, s->most, c->queue, &s->wait)) {
    case PLACES_GOT:
        break;
    case PLACES_FULL:
        return without_count(x, f);
    case PLACES_NONE:
        /* it may be full of those whose worker hangs, and places free all the same */
        if (places_take_past(&c->places, l->seat, s->key, max, exchange_now_ns(x)) == PLACES_GOT)
            return let_in(x, c, s);
        /* who waits may have seen a number that we took back */
        limit_line_serve(l, &c->places, s->key, s->most);
        return turn_away(x, f, REASON_CONCURRENCY_LIMITED);
    }
    s->stage = STAY_WAITS;
    holds_add(&c->now, l->seat, NOW_WAITING);
    (void)frame_wait(f, &s->wait.woken, c->queue_ms, after_waiting);
    /* one may have become free before anybody could see us wait */
    limit_line_serve(l, &c->places, s->key, s->most);
    return WAIT;
}

static enum verdict on_request(struct exchange *x, struct frame *f)
{
    const struct concurrency *c = f->step->prepared;
    struct stay *s = f->state;
    uint64_t max;

    if (limit_exempt_is(&c->exempt, x))
        return NEXT;
    s->most = most_of(c, x);
    if (!s->most)
        return refuse(x, f, REASON_CONCURRENCY_LIMITED);
    switch (limit_key_of(&c->key, &c->named, x, &s->key)) {
    case KEY_FOUND:
        break;
    case KEY_REFUSE:
        return refuse(x, f, REASON_CONCURRENCY_LIMITED);
    case KEY_SKIP:
        return NEXT;
    }
    max = limit_most_now(s->most);
    if (!frame_acts(f)) /* nobody waits in shadow, and who could have waited is not refused */
        max = max + c->queue < PLACES_MOST ? max + c->queue : PLACES_MOST;
    switch (places_take(&c->places, x->local->seat, s->key, max)) {
    case PLACES_GOT:
        return let_in(x, c, s);
    case PLACES_FULL:
        return without_count(x, f);
    case PLACES_NONE:
        break;
    }
    if (c->queue == 0 || !frame_acts(f))
        return turn_away(x, f, REASON_CONCURRENCY_LIMITED);
    return wait_for_place(x, f, max);
}

/* How long the service took is what the limit goes by. */
static void tell(const struct exchange *x, const struct concurrency *c, const struct stay *s)
{
    const struct record *r = &x->record;
    bool late = x->reason == REASON_UPSTREAM_TIMEOUT;
    uint64_t now_ns = exchange_now_ns(x), end_ns = r->answered_ns ? r->answered_ns : now_ns;
    struct gradient_answer a;

    /* answers made here say nothing, and a service that fails fast is not a fast one */
    if (r->sent_ns == 0 || (!late && (x->made_here || x->resp.status >= 500)))
        return;
    a = (struct gradient_answer){
        .begun_ns = region_now(c->region, r->sent_ns),
        .now_ns = region_now(c->region, now_ns),
        .latency_ns = end_ns - r->sent_ns,
        .in_flight = places_look(&c->places, x->local->seat, s->key, now_ns).taken,
        .failed = late,
    };
    gradient_tell(&s->most->gradient, s->most->measure, &a);
}

static enum verdict on_response(struct exchange *x, struct frame *f)
{
    const struct concurrency *c = f->step->prepared;
    struct stay *s = f->state;

    if (s->stage == STAY_WAITS) /* it failed meanwhile: its time was up */
        depart(x, c, s);
    else if (s->stage == STAY_RUNS && s->most->measure)
        tell(x, c, s);
    return NEXT;
}

static void on_done(struct exchange *x, struct frame *f)
{
    struct stay *s = f->state;

    if (s->stage != STAY_NOT_COUNTED)
        depart(x, f->step->prepared, s);
}

const struct middleware concurrency_middleware = {
    .settings = { .name = "concurrency",
                  .doc = "So many requests at once, for all or for each client; more may wait.",
                  .size = sizeof(struct concurrency_settings),
                  .keys = keys,
                  .main = "max",
                  .check = check },
    .state_size = sizeof(struct stay),
    .prepare = prepare,
    .on_request = on_request,
    .on_response = on_response,
    .on_done = on_done,
};
