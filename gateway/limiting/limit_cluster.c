/* Shares of limits, and what is done without a store. */
#include "gateway/limiting/limit_cluster.h"

#include <string.h>

#include "gateway/base/number.h"
#include "gateway/exchange/local.h"
#include "gateway/exchange/shared.h"
#include "gateway/limiting/limit_asks.h"
#include "gateway/lookup/lookups.h"
#include "ratelimit/remote_script.h"

enum store_failure { STORE_LOCAL_SHARE, STORE_LOCAL, STORE_ALLOW, STORE_DENY };

const char *const limit_store_failures[] = { "local_share", "local", "allow", "deny", NULL };

static const struct conf_key sync_keys[] = {
    KEY(limit_sync_settings, every, duration, "200ms",
        "With scope cluster: how long a gateway's share of tokens is meant to last. All shares "
        "together are at most a tenth of what may be taken at once; where a gateway's part of "
        "that is less than one, it asks when somebody waits. 0: the store is asked for each "
        "request, which waits for the answer: exact, and slower.",
        .arg = RANGE(0, 60 * NS_PER_S)),
    KEY_END,
};
const struct conf_schema limit_sync_schema = { .name = "sync",
                                               .doc = "How often the store is asked.",
                                               .size = sizeof(struct limit_sync_settings),
                                               .keys = sync_keys,
                                               .main = "every" };

/* A node's part of a limit, by how many gateways there are; more of them than said are the next larger number. */
static const uint32_t parts_of[] = { 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64 };

#define PARTS        ARRAY_LEN(parts_of)
#define DIGEST_SHOWN 32 /* digits of a client's digest: 128 bits */
#define HEAD_MAX     (LIMIT_ASK_KEY - DIGEST_SHOWN - 2)
#define PREFIX_MAX   (HEAD_MAX - DIGEST_TEXT_LEN - 2)

/* Const after the build. */
struct limit_cluster {
    const struct region_header *region;
    const struct limiter *limiter;
    struct limit_key who;
    struct shares shares;
    struct gateways gateways;
    struct redis_target target;
    enum store_failure on_failure;
    bool settles;                           /* what a request costs may be said afterwards */
    const struct algorithm *part_algorithm; /* of this node's part */
    struct str part_name;
    struct str key_head; /* gw:{users/rate_limit: */
    struct str gateways_key, gateway_name;
    uint32_t series; /* gateway_limit_fallback_total of this service and limit */
};

/* Of an exchange that has waited. */
struct limit_asking {
    bool answered;
    struct remote_answer answer;
};

/* ---- at load ---------------------------------------------------------------------------------- */

static const struct str *keep_addresses(struct builder *b, const struct conf_redis *r)
{
    struct str *addresses = ARENA_ARRAY(b->arena, struct str, r->address_count + 1);

    for (size_t i = 0; i < r->address_count; i++)
        addresses[i] = str_keep(b->arena, r->addresses[i]);
    return addresses;
}

static void keep_target(struct builder *b, const struct conf_redis *r, struct redis_target *t)
{
    static const enum redis_mode modes[] = { [CONF_REDIS_SINGLE] = REDIS_SINGLE,
                                             [CONF_REDIS_SENTINEL] = REDIS_SENTINEL,
                                             [CONF_REDIS_CLUSTER] = REDIS_CLUSTER };

    *t = (struct redis_target){ .name = str_keep(b->arena, r->name),
                                .mode = modes[r->mode],
                                .addresses = keep_addresses(b, r),
                                .address_count = r->address_count,
                                .database = conf_redis_database(r),
                                .master_name = str_keep(b->arena, r->master_name),
                                .username = str_keep(b->arena, r->username),
                                .password = str_keep(b->arena, r->password),
                                .connect_ns = r->connect_timeout,
                                .timeout_ns = r->timeout,
                                .open_after = r->outage.open_after,
                                .retry_every_ns = r->outage.retry_every,
                                .connections = r->pool.per_worker };
    redis_target_seal(t);
}

/* The braces say to a cluster of Redis where a key lives: each client's keys in one place, clients everywhere. */
static struct str key_head(struct builder *b, struct str prefix, struct str name)
{
    char digest[DIGEST_TEXT_LEN];
    struct digest d;

    if (prefix.len + name.len + 2 > HEAD_MAX) {
        d = digest_of(name);
        digest_write(digest, &d);
        name = str_of(digest, DIGEST_TEXT_LEN);
    }
    return str_format(b->arena, "%.*s{%.*s:", STR_ARGS(prefix), STR_ARGS(name));
}

/* A limit of the n-th part of this one. Rounded down, but never to nothing. */
static struct limit part_of(const struct limit *l, uint64_t n)
{
    static const uint64_t longer[] = { 60 * NS_PER_S, 3600 * NS_PER_S, 86400 * NS_PER_S };
    struct limit part = *l;

    /* few in a second are more in a minute: less is lost by rounding */
    for (size_t i = 0; i < ARRAY_LEN(longer) && part.count < n; i++)
        if (longer[i] > part.per_ns) {
            part.count *= longer[i] / part.per_ns;
            part.per_ns = longer[i];
        }
    part.count = part.count > n ? part.count / n : 1;
    part.burst = part.burst > n ? part.burst / n : 1;
    return part;
}

/* Made when it is needed, which is rarely: a limit of each size would have a tag of its own in the cells. A log is kept by
 * the whole limit only: of a part, a window of two counters takes its place. */
static struct limiter part_limiter(const struct limit_cluster *c, uint32_t part)
{
    const struct limit limit = part_of(&c->limiter->limit, parts_of[part]);
    struct limiter l;
    const char *why = limiter_init(&l, c->region, &c->shares.cells, c->part_name, c->part_algorithm,
                                   &limit, c->shares.when_full);

    CHECK(!why); /* as check_parts has seen */
    return l;
}

/* NULL, or why it could not be done. */
static const char *check_parts(struct limit_cluster *c, struct builder *b, struct str name)
{
    const struct algorithm *a = c->limiter->algorithm;

    c->part_algorithm = a->keeps_log ? algorithm_find(STR("sliding_window")) : a;
    c->part_name = str_format(b->arena, "%.*s#alone", STR_ARGS(name));
    for (size_t i = 0; i < PARTS; i++) {
        const struct limit part = part_of(&c->limiter->limit, parts_of[i]);
        const char *why = limit_check(&part);

        if (!why)
            why = c->part_algorithm->cannot(&part);
        if (why)
            return why; /* cppcheck-suppress returnDanglingLifetime ; a constant text */
    }
    return NULL;
}

static void keep_names(struct limit_cluster *c, struct builder *b, const struct conf_redis *r,
                       struct str name)
{
    const struct str labels[] = { b->service_name, builder_label(b) };
    static const char who[] = "gateway";

    c->key_head = key_head(b, r->key_prefix, name);
    c->gateways_key = str_format(b->arena, "%.*s{gateways}", STR_ARGS(r->key_prefix));
    c->gateway_name = str_format(
        b->arena, "%016llx", (unsigned long long)hash_keyed(&c->region->key, who, sizeof who - 1));
    if (b->role == BUILD_WORKER)
        c->series = rows_find(&b->shared->rows, FAMILY_LIMIT_FALLBACK, labels);
}

const struct limit_cluster *limit_cluster_build(struct builder *b, struct str name,
                                                const struct limiter *l,
                                                const struct limit_key *key, bool delays,
                                                const struct limit_cluster_settings *s,
                                                enum when_full when_full)
{
    const struct conf_redis *r = builder_redis(b, s->store);
    struct limit_cluster *c = ARENA_NEW(b->arena, struct limit_cluster);
    struct remote remote;
    const char *why;

    if (!r)
        return NULL;
    *c = (struct limit_cluster){ .region = region_header(b->region),
                                 .limiter = l,
                                 .who = *key,
                                 .settles = s->settles,
                                 .on_failure = (enum store_failure)s->on_store_failure };
    if (r->key_prefix.len > PREFIX_MAX) {
        builder_problem(b, "store: the key_prefix of stores.redis.%.*s has more than %d bytes",
                        STR_ARGS(r->name), PREFIX_MAX);
        return NULL;
    }
    why = remote_init(&remote, l->algorithm, &l->limit, delays, s->sync.every);
    if (!why && c->on_failure == STORE_LOCAL_SHARE)
        why = check_parts(c, b, name);
    if (why) {
        builder_problem(b, "rate: %s", why);
        return NULL;
    }
    keep_target(b, r, &c->target);
    keep_names(c, b, r, name);
    /* two stores may have one prefix */
    shares_init(&c->shares, c->region, &b->shared->limits,
                str_format(b->arena, "%.*s/%.*s", STR_ARGS(r->name), STR_ARGS(c->key_head)),
                &remote, when_full);
    gateways_init(&c->gateways, c->region, &b->shared->limits,
                  str_format(b->arena, "%.*s/%.*s", STR_ARGS(r->name), STR_ARGS(c->gateways_key)));
    return c;
}

/* ---- questions -------------------------------------------------------------------------------- */

/* Whose key a question is about; what is needed to spell it for the store. */
struct asker {
    const struct limit_cluster *c;
    struct exchange *x;
    struct limit_hold *h;
};

/* On the request's way in, while it still has what its key is made of. */
static void remember_key(const struct limit_cluster *c, struct exchange *x, struct limit_hold *h)
{
    struct digest d;
    char digest[DIGEST_TEXT_LEN], *begin, *at;

    if (h->redis_key.len)
        return;
    d = limit_key_digest(&c->who, x);
    digest_write(digest, &d);
    begin = at = arena_take_bytes(&x->arena, c->key_head.len + DIGEST_SHOWN + 2);
    at = mempcpy(at, c->key_head.at, c->key_head.len);
    at = mempcpy(at, digest, DIGEST_SHOWN);
    *at++ = '}';
    *at++ = remote_letter(c->shares.remote.family);
    h->redis_key = str_between(begin, at);
}

static struct str redis_key(const void *context, char *to)
{
    const struct asker *asker = context;

    remember_key(asker->c, asker->x, asker->h);
    memcpy(to, asker->h->redis_key.at, asker->h->redis_key.len);
    return str_of(to, asker->h->redis_key.len);
}

static struct limit_ask_about about(const struct asker *asker, struct redis_store *store,
                                    uint64_t key)
{
    const struct limit_cluster *c = asker->c;

    return (struct limit_ask_about){ .store = store,
                                     .shares = &c->shares,
                                     .gateways = &c->gateways,
                                     .key = key,
                                     .redis_key = redis_key,
                                     .context = asker,
                                     .timeout_ns = c->target.timeout_ns };
}

static struct redis_store *store_of(const struct limit_cluster *c, const struct exchange *x)
{
    struct redis_store *store = lookups_redis(x->local->lookups, &c->target);

    return redis_is_up(store) ? store : NULL;
}

/* Whoever uses the limit is counted among the gateways, even while it has no question to ask. */
static void say_that_we_live(const struct limit_cluster *c, struct exchange *x)
{
    struct redis_store *store;

    if (LIKELY(!limit_asks_is_time(x->local->limit_asks, &c->gateways)))
        return;
    store = store_of(c, x);
    if (store)
        limit_asks_announce(x->local->limit_asks, store, &c->gateways, c->gateways_key,
                            c->gateway_name);
}

/* ---- without a store -------------------------------------------------------------------------- */

/* Not so small that this request would never be let pass. */
static uint32_t part_for(const struct limit_cluster *c, uint64_t gateways, uint32_t cost)
{
    uint32_t i = 0;

    while (i + 1 < PARTS && parts_of[i] < gateways) {
        const struct limit next = part_of(&c->limiter->limit, parts_of[i + 1]);

        if (c->part_algorithm->at_once(&next) < cost)
            break;
        i++;
    }
    return i;
}

static enum limit_outcome do_without(const struct limit_cluster *c, struct exchange *x,
                                     struct limit_hold *h, uint64_t key, uint32_t cost,
                                     uint64_t now_ns, struct decision *d)
{
    const struct remote *r = &c->shares.remote;
    struct limiter l;

    rows_add(&x->local->shared->rows, x->local->seat, c->series, 1);
    *d = (struct decision){ .at_ns = now_ns };
    switch (c->on_failure) {
    case STORE_LOCAL_SHARE:
        h->source = LIMIT_FROM_PART;
        h->part = part_for(c, gateways_count(&c->gateways), cost);
        l = part_limiter(c, h->part);
        *d = limiter_take(&l, key, (int32_t)cost, now_ns);
        return LIMIT_DECIDED;
    case STORE_LOCAL:
        h->source = LIMIT_FROM_LOCAL;
        *d = limiter_take(c->limiter, key, (int32_t)cost, now_ns);
        return LIMIT_DECIDED;
    case STORE_ALLOW:
        d->allowed = true;
        d->remaining = r->at_once;
        break;
    case STORE_DENY:
        d->retry_ns = c->target.retry_every_ns;
        break;
    }
    h->source = LIMIT_FROM_NOBODY;
    return LIMIT_STORE_AWAY;
}

/* ---- with it ---------------------------------------------------------------------------------- */

static void on_deliver(struct waiter *w, const void *answer)
{
    const struct frame *f = CONTAINER(w, struct frame, waiter);
    const struct limit_hold *h = f->state;

    h->asking->answered = answer != NULL;
    if (answer)
        h->asking->answer = *(const struct remote_answer *)answer;
}

/* Never longer than the store may take, however often it is tried. */
static bool may_wait(const struct limit_cluster *c, struct exchange *x, struct frame *f)
{
    struct limit_hold *h = f->state;
    uint64_t now_ns = exchange_now_ns(x);

    if (!h->due_ns)
        h->due_ns = now_ns + c->target.timeout_ns;
    if (h->asking && f->waiter.status != WAITER_OK)
        return false;
    if (!h->asking)
        h->asking = ARENA_NEW(&x->arena, struct limit_asking);
    return now_ns < h->due_ns;
}

static enum limit_outcome wait_for(struct exchange *x, struct frame *f, struct wait_queue *queue,
                                   step_fn again)
{
    const struct limit_hold *h = f->state;
    uint64_t left_ns = h->due_ns - exchange_now_ns(x);

    frame_wait(f, queue, (uint32_t)((left_ns + NS_PER_MS - 1) / NS_PER_MS), again);
    f->waiter.deliver = on_deliver;
    return LIMIT_WAITS;
}

static void decide(const struct limit_cluster *c, const struct remote_taking *t, uint64_t now_ns,
                   struct decision *d)
{
    const struct remote *r = &c->shares.remote;

    *d = (struct decision){ .allowed = t->verdict == REMOTE_TAKEN,
                            .remaining = remote_remaining(r, t),
                            .retry_ns = t->retry_ns,
                            .reset_ns = remote_reset_ns(r, t),
                            .at_ns = now_ns };
}

/* Nowhere to keep a share. Two of the rules know what to do; the third, to take another's cell, always finds one. */
static enum limit_outcome without_place(const struct limit_cluster *c, struct limit_hold *h,
                                        struct decision *d)
{
    const struct remote *r = &c->shares.remote;

    h->source = LIMIT_FROM_NOBODY;
    d->allowed = c->shares.when_full == FULL_ALLOW;
    d->remaining = d->allowed ? r->at_once : 0;
    /* a cell of the group may be idle by then */
    d->retry_ns = d->allowed ? 0 : r->limit.per_ns;
    return LIMIT_DECIDED;
}

static enum limit_outcome take_share(const struct limit_cluster *c, struct exchange *x,
                                     struct frame *f, uint64_t key, uint32_t cost, uint64_t now_ns,
                                     step_fn again, struct decision *d)
{
    struct limit_hold *h = f->state;
    const struct asker asker = { c, x, h };
    struct limit_ask_about what;
    struct redis_store *store;
    struct remote_taking t;
    struct wait_queue *queue;
    bool has_waited = h->asking && f->waiter.status == WAITER_OK;

    shares_take(&c->shares, key, cost, now_ns, &t);
    decide(c, &t, now_ns, d);
    h->source = LIMIT_FROM_SHARE;
    if (t.verdict != REMOTE_ASK && LIKELY(!t.low))
        return LIMIT_DECIDED;
    store = store_of(c, x);
    if (store) {
        what = about(&asker, store, key);
        if (t.verdict != REMOTE_ASK) {
            limit_asks_share(x->local->limit_asks, &what, 0);
        } else if (!shares_has_place(&c->shares, key, now_ns)) {
            return without_place(c, h, d);
        } else if (may_wait(c, x, f)) {
            queue = limit_asks_share(x->local->limit_asks, &what, cost - t.balance);
            if (queue)
                return wait_for(x, f, queue, again);
        } else if (has_waited) {
            /* the store has answered, and others were quicker, all the time: that is how little is left */
            d->retry_ns = c->target.timeout_ns;
            return LIMIT_DECIDED;
        }
    }
    return t.verdict != REMOTE_ASK ? LIMIT_DECIDED : do_without(c, x, h, key, cost, now_ns, d);
}

static enum limit_outcome take_exactly(const struct limit_cluster *c, struct exchange *x,
                                       struct frame *f, uint64_t key, uint32_t cost,
                                       uint64_t now_ns, step_fn again, struct decision *d)
{
    struct limit_hold *h = f->state;
    const struct asker asker = { c, x, h };
    struct limit_ask_about what;
    struct redis_store *store;
    struct wait_queue *queue;

    if (h->asking && h->asking->answered) {
        const struct remote_answer *a = &h->asking->answer;

        h->source = LIMIT_FROM_STORE;
        *d = (struct decision){ .allowed = a->granted >= cost,
                                .remaining = a->left,
                                .retry_ns = a->granted >= cost ? 0 : a->pace_ns,
                                .delay_ns = a->granted >= cost ? a->delay_ns : 0,
                                .reset_ns = a->reset_ns,
                                .at_ns = now_ns };
        return LIMIT_DECIDED;
    }
    store = h->asking ? NULL : store_of(c, x); /* once only: it may have been counted */
    if (store && may_wait(c, x, f)) {
        what = about(&asker, store, key);
        queue = limit_asks_exactly(x->local->limit_asks, &what, cost);
        if (queue)
            return wait_for(x, f, queue, again);
    }
    return do_without(c, x, h, key, cost, now_ns, d);
}

enum limit_outcome limit_cluster_take(const struct limit_cluster *c, struct exchange *x,
                                      struct frame *f, uint64_t key, uint32_t cost, step_fn again,
                                      struct decision *d)
{
    uint64_t now_ns = region_now(c->region, exchange_now_ns(x));

    say_that_we_live(c, x);
    if (UNLIKELY(c->settles))
        remember_key(c, x, f->state);
    if (c->shares.remote.every_ns == 0)
        return take_exactly(c, x, f, key, cost, now_ns, again, d);
    return take_share(c, x, f, key, cost, now_ns, again, d);
}

/* ---- afterwards ------------------------------------------------------------------------------- */

static void tell(const struct limit_cluster *c, struct exchange *x, const struct limit_hold *h,
                 uint64_t key, int64_t want, int64_t id)
{
    struct limit_hold kept = *h;
    const struct asker asker = { c, x, &kept };
    struct redis_store *store = store_of(c, x);
    struct limit_ask_about what;

    CHECK(h->redis_key.len); /* by now it could not be spelled any more */
    if (!store)
        return;
    what = about(&asker, store, key);
    limit_asks_tell(x->local->limit_asks, &what, want, id);
}

void limit_cluster_give_back(const struct limit_cluster *c, struct exchange *x,
                             const struct limit_hold *h, uint64_t key, uint32_t count,
                             uint64_t at_ns)
{
    struct limiter l;

    switch (h->source) {
    case LIMIT_FROM_SHARE:
        shares_give_back(&c->shares, key, count, at_ns, region_now(c->region, exchange_now_ns(x)));
        return;
    case LIMIT_FROM_STORE:
        tell(c, x, h, key, -(int64_t)count, h->asking->answer.id);
        return;
    case LIMIT_FROM_LOCAL:
        limiter_take(c->limiter, key, -(int32_t)count, at_ns);
        return;
    case LIMIT_FROM_PART:
        l = part_limiter(c, h->part);
        limiter_take(&l, key, -(int32_t)count, at_ns);
        return;
    case LIMIT_FROM_NOBODY:
        return;
    }
}

/* Of this node's share as much as it has; what is missing then is taken from what nobody has been granted yet. */
static void take_more_of_share(const struct limit_cluster *c, struct exchange *x,
                               const struct limit_hold *h, uint64_t key, uint32_t count)
{
    uint64_t now_ns = region_now(c->region, exchange_now_ns(x));
    struct remote_taking t;

    shares_take(&c->shares, key, count, now_ns, &t);
    if (t.verdict == REMOTE_TAKEN)
        return;
    if (t.balance > 0 && t.balance < count) {
        uint32_t held = (uint32_t)t.balance;

        shares_take(&c->shares, key, held, now_ns, &t);
        count -= t.verdict == REMOTE_TAKEN ? held : 0;
    }
    if (t.verdict != REMOTE_REFUSED)
        tell(c, x, h, key, count, 0);
}

void limit_cluster_take_more(const struct limit_cluster *c, struct exchange *x,
                             const struct limit_hold *h, uint64_t key, uint32_t count)
{
    uint64_t now_ns = region_now(c->region, exchange_now_ns(x));
    struct limiter l;

    switch (h->source) {
    case LIMIT_FROM_SHARE:
        take_more_of_share(c, x, h, key, count);
        return;
    case LIMIT_FROM_STORE:
        tell(c, x, h, key, count, 0);
        return;
    case LIMIT_FROM_LOCAL:
        limiter_take_up_to(c->limiter, key, count, now_ns);
        return;
    case LIMIT_FROM_PART:
        l = part_limiter(c, h->part);
        limiter_take_up_to(&l, key, count, now_ns);
        return;
    case LIMIT_FROM_NOBODY:
        return;
    }
}
