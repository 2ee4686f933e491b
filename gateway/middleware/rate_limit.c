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
#include "gateway/http/octets.h"
#include "gateway/middleware/limit_answer.h"
#include "gateway/middleware/limit_ban.h"
#include "gateway/middleware/limit_cluster.h"
#include "gateway/middleware/limit_key.h"
#include "gateway/middleware/limit_top.h"
#include "ratelimit/gcra.h"
#include "ratelimit/leaky_bucket.h"
#include "ratelimit/limiter.h"

extern const struct middleware rate_limit_middleware;

struct exempt_settings {
    struct conf_list ips, consumers;
};

struct rate_limit_settings {
    struct number_rate rate;
    uint64_t burst;
    int algorithm;
    uint64_t delay, tolerance, log_keys;
    struct conf_list key;
    int key_missing;
    uint64_t cost;
    struct str cost_header;
    struct exempt_settings exempt;
    struct limit_ban_settings ban;
    int scope;
    struct str store;
    struct limit_sync_settings sync;
    int on_store_failure;
    uint64_t status;
    struct str body;
    uint64_t retry_jitter;
    uint64_t headers;
    int headers_when;
};

static const char *const algorithm_names[] = {
#define ALGORITHM(name) #name,
#include "ratelimit/all.list"
#undef ALGORITHM
    NULL
};

static const struct conf_key exempt_keys[] = {
    KEY(exempt_settings, ips, list_of, "[]", "Addresses and prefixes of clients.",
        .arg = ELEMENT(prefix, .at_most = 4096)),
    KEY(exempt_settings, consumers, list_of, "[]",
        "Consumers and users that a step before has identified.",
        .arg = ELEMENT(word, .at_most = 4096)),
    KEY_END,
};
static const struct conf_schema exempt_schema = { .name = "exempt",
                                                  .doc = "Whose requests are not counted.",
                                                  .size = sizeof(struct exempt_settings),
                                                  .keys = exempt_keys,
                                                  .main = "ips" };

static const struct conf_key keys[] = {
    KEY(rate_limit_settings, rate, rate, "100/s", "Requests each client may make, on average.",
        .flat = "rate_limit_rps", .flat_type = &conf_type_per_second),
    KEY(rate_limit_settings, burst, uint, "200",
        "Requests a client may make at once after a pause. For token_bucket, gcra, and "
        "leaky_bucket without a delay; windows and logs count by the rate alone.",
        .flat = "rate_limit_burst", .arg = RANGE(1, 1000000000)),
    KEY(rate_limit_settings, algorithm, one_of, "token_bucket",
        "How it is reckoned. token_bucket refills steadily and lends up to the burst; leaky_bucket "
        "holds the burst and runs out at the rate, or with a delay spaces requests evenly; "
        "fixed_window counts in each second, minute, hour or day (UTC); sliding_window in the "
        "period before now, from two counters (above 1048575 the older one in units, exact to a "
        "millionth); sliding_log remembers each request, at most 128; gcra gives requests turns, "
        "with a tolerance.",
        .arg = algorithm_names),
    KEY(rate_limit_settings, delay, duration, "0",
        "With leaky_bucket: requests wait for their turn up to so long, evenly spaced; who would "
        "wait longer is refused. 0: nobody waits.",
        .arg = RANGE(0, 60 * NS_PER_S)),
    KEY(rate_limit_settings, tolerance, duration, "0",
        "With gcra: how much before its turn a request may come. 0: as the burst says.",
        .arg = RANGE(0, 86400 * NS_PER_S)),
    KEY(rate_limit_settings, log_keys, uint, "16384",
        "With sliding_log: clients remembered at once, at 1 KiB of shared memory each.",
        .arg = RANGE(4, 1000000)),
    KEY(rate_limit_settings, key, list_of, "[auto]",
        "Who has a limit of its own: " LIMIT_KEY_GRAMMAR
        ". auto is consumer|user|api_key|ip: of sources joined by |, the first that the request "
        "has. Members of a list count together: [ip, route] is a limit for each address on each "
        "route. ip is an IPv6 client's prefix. Users and keys are those that a step before has "
        "verified; headers, cookies and parameters are what the client says. service: all clients "
        "of a service together; global: of all services that use this name.",
        .arg = ELEMENT(word, .at_least = 1, .at_most = LIMIT_KEY_PARTS)),
    KEY(rate_limit_settings, key_missing, one_of, "ip",
        "What of a request that has nothing of a member of the key. ip: its address takes the "
        "place; refuse: it is refused; skip: it is not counted.",
        .arg = NAMES("ip", "refuse", "skip")),
    KEY(rate_limit_settings, cost, uint, "1", "Requests that a request counts for.",
        .arg = RANGE(1, 1000000)),
    KEY(rate_limit_settings, cost_header, text, "",
        "Header of the service's answer with a number: what the request counts for after all. It "
        "is not passed on. Empty: none."),
    KEY_BLOCK(rate_limit_settings, exempt, &exempt_schema, NULL),
    KEY_BLOCK(rate_limit_settings, ban, &limit_ban_schema, NULL),
    KEY(rate_limit_settings, scope, one_of, "node",
        "Who counts together: node, all workers of this gateway; cluster, all gateways that use "
        "the same store, with limits of the same name for services of the same name.",
        .arg = NAMES("node", "cluster")),
    KEY(rate_limit_settings, store, text, "",
        "With scope cluster: where the count is kept, redis:NAME of stores.redis."),
    KEY_BLOCK(rate_limit_settings, sync, &limit_sync_schema, NULL),
    KEY(rate_limit_settings, on_store_failure, one_of, "local_share",
        "While the store is away. local_share: this gateway's part of the limit, by how many were "
        "seen last; local: all of the limit, for each gateway; allow: everything; deny: nothing.",
        .arg = limit_store_failures),
    KEY(rate_limit_settings, status, uint, "429", "Status of a refusal.", .arg = RANGE(400, 599)),
    KEY(rate_limit_settings, body, text, "Too Many Requests", "Text of a refusal."),
    KEY(rate_limit_settings, retry_jitter, share, "0",
        "Retry-After is longer by up to this share of itself, a different one for each client, so "
        "that they do not come back all at once.",
        .arg = RANGE(0, 10000000)),
    KEY(rate_limit_settings, headers, some_of, "[draft, x_ratelimit]",
        "Headers that say what is left, beside Retry-After. draft: RateLimit and "
        "RateLimit-Policy; x_ratelimit: X-RateLimit-Limit, -Remaining and -Reset.",
        .arg = NAMES("draft", "x_ratelimit")),
    KEY(rate_limit_settings, headers_when, one_of, "refused",
        "On which answers they are said: only on refusals, or always.",
        .arg = NAMES("refused", "always")),
    KEY_END,
};

static void check(const void *settings, const struct conf_node *at, struct conf_problems *p)
{
    const struct rate_limit_settings *s = settings;
    const struct algorithm *a = algorithm_at((size_t)s->algorithm);

    if (s->delay && a != &leaky_bucket)
        conf_problem(p, at, "\"delay\" is for leaky_bucket; %s lets pass or refuses", a->name);
    if (s->tolerance && a != &gcra)
        conf_problem(p, at, "\"tolerance\" is for gcra; %s has none", a->name);
    if (s->cost_header.len && !octets_are(s->cost_header, OCTET_TOKEN))
        conf_problem(p, at, "\"cost_header\" is not the name of a header");
    if (s->scope == LIMIT_CLUSTER && !s->store.len)
        conf_problem(p, at,
                     "with scope cluster, \"store\" says where the limit is kept: redis:NAME");
}

/* Everything that a request needs; settings may be gone with an older snapshot. */
struct rate_limit {
    struct limiter limiter;
    const struct limit_cluster *cluster; /* NULL: all of it is this gateway's */
    struct limit_key key;
    const struct region_header *region;
    struct limit_ban ban;
    const struct cidr *exempt_ips;
    size_t exempt_ip_count;
    const struct str *exempt_names;
    size_t exempt_name_count;
    bool delays; /* requests wait for their turn */
    int32_t cost;
    struct str cost_header;
    struct limit_answer answer;
    struct limit_top top;
};

/* Of an exchange that was let pass. */
struct taken {
    struct limit_hold hold; /* with scope cluster */
    bool counted;
    uint64_t key, at_ns; /* whose, and when */
    uint64_t remaining, reset_ns;
};

/* ---- at load ---------------------------------------------------------------------------------- */

static enum when_full when_full_of(const struct builder *b)
{
    static const enum when_full all[] = { [CONF_ON_FULL_EVICT] = FULL_EVICT,
                                          [CONF_ON_FULL_ALLOW] = FULL_ALLOW,
                                          [CONF_ON_FULL_DENY] = FULL_DENY };

    return all[b->globals->shared_memory.limits.on_full];
}

static struct str state_name(const struct builder *b, const struct limit_key *key)
{
    if (b->whole_gateway || key->for_all_services)
        return str_format(b->arena, "/%.*s", STR_ARGS(b->step_name));
    return str_format(b->arena, "%.*s/%.*s", STR_ARGS(b->service_name), STR_ARGS(b->step_name));
}

static struct limit limit_of(const struct rate_limit_settings *s)
{
    if (s->delay)
        return leaky_bucket_queue(s->rate.count, s->rate.per_ns, s->delay);
    if (s->tolerance)
        return gcra_limit(s->rate.count, s->rate.per_ns, s->tolerance);
    return (struct limit){ s->rate.count, s->rate.per_ns, s->burst };
}

/* NULL, or why the limit cannot be. */
static const char *make_limiter(struct rate_limit *r, struct builder *b,
                                const struct rate_limit_settings *s)
{
    const struct algorithm *a = algorithm_at((size_t)s->algorithm);
    const struct limit limit = limit_of(s);
    struct str name = state_name(b, &r->key);
    struct limit_log log;
    const char *why = limit_check(&limit);

    if (!why)
        why = a->cannot(&limit);
    if (why)
        return why; /* cppcheck-suppress returnDanglingLifetime ; a constant text */
    if (s->cost > a->at_once(&limit))
        return "the cost of a request is more than can ever be taken";
    if (!a->keeps_log)
        return limiter_init(&r->limiter, r->region, &b->shared->limits, name, a, &limit,
                            when_full_of(b));
    if (!limit_log_table(b->region, str_format(b->arena, "log/%.*s", STR_ARGS(name)), s->log_keys,
                         &log))
        return "there is no room in the shared memory for the log of so many clients";
    return limiter_init_log(&r->limiter, r->region, &log, name, a, &limit, when_full_of(b));
}

static void keep_exempt(struct rate_limit *r, struct builder *b, const struct exempt_settings *s)
{
    const struct str *names = s->consumers.items;
    struct cidr *ips = ARENA_ARRAY(b->arena, struct cidr, s->ips.count + 1);
    struct str *kept = ARENA_ARRAY(b->arena, struct str, s->consumers.count + 1);

    if (s->ips.count)
        memcpy(ips, s->ips.items, s->ips.count * sizeof *ips);
    for (size_t i = 0; i < s->consumers.count; i++)
        kept[i] = str_keep(b->arena, names[i]);
    r->exempt_ips = ips;
    r->exempt_ip_count = s->ips.count;
    r->exempt_names = kept;
    r->exempt_name_count = s->consumers.count;
}

/* True, too, if it is this gateway's alone. */
static bool make_cluster(struct rate_limit *r, struct builder *b,
                         const struct rate_limit_settings *s)
{
    const struct limit_cluster_settings settings = { .scope = s->scope,
                                                     .store = s->store,
                                                     .sync = s->sync,
                                                     .on_store_failure = s->on_store_failure };

    if (s->scope == LIMIT_NODE)
        return true;
    r->cluster = limit_cluster_build(b, state_name(b, &r->key), &r->limiter, &r->key, r->delays,
                                     &settings, when_full_of(b));
    return r->cluster != NULL;
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
                              .answer = { .status = (unsigned)s->status,
                                          .body = str_keep_z(b->arena, s->body),
                                          .jitter_ppm = s->retry_jitter,
                                          .headers = s->headers,
                                          .when = (enum limit_headers_when)s->headers_when } };
    if (!limit_key_build(&r->key, b, &s->key, (enum key_missing)s->key_missing))
        return NULL;
    why = make_limiter(r, b, s);
    if (!why)
        why = limit_ban_build(&r->ban, b, state_name(b, &r->key), &s->ban, when_full_of(b));
    if (!why)
        why = limit_top_build(&r->top, b, state_name(b, &r->key), &r->limiter);
    if (why) {
        builder_problem(b, "rate: %s", why);
        return NULL;
    }
    if (!make_cluster(r, b, s))
        return NULL;
    keep_exempt(r, b, &s->exempt);
    limit_answer_build(&r->answer, b, &r->limiter);
    return r;
}

/* ---- at work ---------------------------------------------------------------------------------- */

static bool is_exempt(const struct rate_limit *r, const struct exchange *x)
{
    if (r->exempt_ip_count && cidr_any_holds(r->exempt_ips, r->exempt_ip_count, &x->who.address))
        return true;
    for (size_t i = 0; i < r->exempt_name_count; i++)
        if (str_equal(r->exempt_names[i], x->who.consumer) ||
            str_equal(r->exempt_names[i], x->who.user))
            return true;
    return false;
}

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

static void saw(const struct rate_limit *r, struct exchange *x, enum top_kind kind, uint64_t key,
                uint64_t now_ns)
{
    limit_top_saw(&r->top, x, kind, &r->key, &r->limiter, key, now_ns);
}

static enum verdict decided(struct exchange *x, struct frame *f, const struct decision *d)
{
    const struct rate_limit *r = f->step->prepared;
    struct taken *t = f->state;
    uint64_t now_ns = region_now(r->region, exchange_now_ns(x));

    saw(r, x, d->allowed ? TOP_TAKEN : TOP_REFUSED, t->key, now_ns);
    if (!d->allowed) {
        limit_ban_strike(&r->ban, t->key, now_ns);
        return limit_answer_refuse(
            &r->answer, x, f, d,
            limit_answer_with_jitter(&r->answer, t->key, d->at_ns, d->retry_ns));
    }
    t->counted = true;
    t->at_ns = d->at_ns;
    t->remaining = d->remaining;
    t->reset_ns = d->reset_ns;
    if (r->delays && d->delay_ns && frame_acts(f))
        return frame_sleep(f, ms_up(d->delay_ns), go_on);
    return NEXT;
}

/* Called again when an answer has come that was waited for. */
static enum verdict take_of_cluster(struct exchange *x, struct frame *f)
{
    const struct rate_limit *r = f->step->prepared;
    const struct taken *t = f->state;
    struct decision d;

    switch (limit_cluster_take(r->cluster, x, f, t->key, (uint32_t)r->cost, take_of_cluster, &d)) {
    case LIMIT_WAITS:
        return WAIT;
    case LIMIT_STORE_AWAY:
        if (!d.allowed) /* which is not the client's fault */
            return limit_answer_refuse_away(&r->answer, x, f, d.retry_ns);
        break;
    case LIMIT_DECIDED:
        break;
    }
    return decided(x, f, &d);
}

static enum verdict on_request(struct exchange *x, struct frame *f)
{
    const struct rate_limit *r = f->step->prepared;
    struct taken *t = f->state;
    struct decision d;
    uint64_t now_ns;

    if (is_exempt(r, x))
        return NEXT;
    switch (limit_key_of(&r->key, &r->limiter, x, &t->key)) {
    case KEY_FOUND:
        break;
    case KEY_REFUSE:
        return limit_answer_refuse_unknown(&r->answer, x, f);
    case KEY_SKIP:
        return NEXT;
    }
    now_ns = region_now(r->region, exchange_now_ns(x));
    if (limit_ban_holds(&r->ban, t->key, now_ns, &d)) {
        saw(r, x, TOP_REFUSED, t->key, now_ns);
        return limit_answer_refuse(&r->answer, x, f, &d, d.retry_ns);
    }
    if (r->cluster)
        return take_of_cluster(x, f);
    d = limiter_take(&r->limiter, t->key, r->cost, now_ns);
    return decided(x, f, &d);
}

static void put_back(struct exchange *x, const struct rate_limit *r, const struct taken *t,
                     uint32_t count)
{
    if (r->cluster)
        limit_cluster_give_back(r->cluster, x, &t->hold, t->key, count, t->at_ns);
    else
        limiter_take(&r->limiter, t->key, -(int32_t)count, t->at_ns);
}

static void take_more(struct exchange *x, const struct rate_limit *r, const struct taken *t,
                      uint32_t count)
{
    if (r->cluster)
        limit_cluster_take_more(r->cluster, x, &t->hold, t->key, count);
    else
        limiter_take_up_to(&r->limiter, t->key, count, region_now(r->region, exchange_now_ns(x)));
}

/* A later limit refused it: it does not count here either. Who waited in line has had its turn. */
static void give_back(struct exchange *x, const struct rate_limit *r, struct taken *t)
{
    if (!t->counted || r->delays || !x->made_here ||
        (x->reason != REASON_RATE_LIMITED && x->reason != REASON_STORE_AWAY))
        return;
    put_back(x, r, t, (uint32_t)r->cost);
    t->counted = false;
}

/* The service knows what it has cost: the difference is taken, or given back. */
static void settle(struct exchange *x, const struct rate_limit *r, const struct taken *t)
{
    const struct field *said = fields_find_name(&x->resp.fields, r->cost_header);
    uint64_t cost;

    if (!said || x->made_here)
        return;
    if (t->counted && number_read_u64(said->value, &cost) && cost <= INT32_MAX) {
        int32_t more = (int32_t)cost - r->cost;

        if (more < 0)
            put_back(x, r, t, (uint32_t)-more);
        else if (more > 0)
            take_more(x, r, t, (uint32_t)more);
    }
    fields_remove_name(&x->resp.fields, r->cost_header);
}

static enum verdict on_response(struct exchange *x, struct frame *f)
{
    const struct rate_limit *r = f->step->prepared;
    struct taken *t = f->state;

    give_back(x, r, t);
    if (r->cost_header.len)
        settle(x, r, t);
    if (t->counted && r->answer.when == WHEN_ALWAYS && frame_acts(f))
        limit_answer_say_what_is_left(&r->answer, x, t->remaining, t->reset_ns);
    return NEXT;
}

const struct middleware rate_limit_middleware = {
    .settings = { .name = "rate_limit",
                  .doc = "So many requests at once and in a period, for each client.",
                  .size = sizeof(struct rate_limit_settings),
                  .keys = keys,
                  .main = "rate",
                  .check = check },
    .state_size = sizeof(struct taken),
    .prepare = prepare,
    .on_request = on_request,
    .on_response = on_response,
};
