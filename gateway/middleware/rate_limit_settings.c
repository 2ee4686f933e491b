/* The keys of rate_limit. */
#include "gateway/middleware/rate_limit_settings.h"

#include "gateway/http/octets.h"
#include "gateway/limiting/limit_key.h"
#include "gateway/limiting/limit_plan.h"
#include "ratelimit/gcra.h"
#include "ratelimit/leaky_bucket.h"

#define DEFAULT_BURST 200
#define TEXT_OF(n)    #n
#define DEFAULT(n)    TEXT_OF(n)

static const char *const algorithm_names[] = {
#define ALGORITHM(name) #name,
#include "ratelimit/all.list"
#undef ALGORITHM
    NULL
};

const struct conf_key rate_limit_keys[] = {
    KEY(rate_limit_settings, rate, rate_or_plan, "100/s",
        "Requests each client may make, on average. plan: what the plan of its consumer says, with "
        "the burst and the quota of the plan.",
        .flat = "rate_limit_rps", .flat_type = &conf_type_per_second),
    KEY(rate_limit_settings, plan_default, text, "",
        "With rate: plan, the plan of who has none; empty: who has none is refused."),
    KEY(rate_limit_settings, burst, uint, DEFAULT(DEFAULT_BURST),
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
        "wait longer is refused. The turn of who leaves stays taken. 0: nobody waits.",
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
    KEY_BLOCK(rate_limit_settings, exempt, &limit_exempt_schema, NULL),
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
    KEY(rate_limit_settings, quota_body, text, "Quota Exceeded",
        "Text of a refusal by the quota of a plan."),
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

/* Who writes one down that means nothing is told so; the default comes with every algorithm. */
static void check_burst(const struct rate_limit_settings *s, const struct algorithm *a,
                        const struct conf_node *at, struct conf_problems *p)
{
    const char *why = NULL;

    if (s->rate.count == 0)
        why = "the plan says it";
    else if (s->delay)
        why = "the delay says how many may wait";
    else if (s->tolerance)
        why = "the tolerance says how early a request may come";
    else if (!algorithm_has_burst(a))
        why = "this algorithm counts by the rate alone";
    if (why && s->burst != DEFAULT_BURST)
        conf_warning(p, at, "\"burst\" has no effect: %s", why);
}

void rate_limit_check(const void *settings, const struct conf_node *at, struct conf_problems *p)
{
    const struct rate_limit_settings *s = settings;
    const struct algorithm *a = algorithm_at((size_t)s->algorithm);

    check_burst(s, a, at, p);
    if (s->delay && a != &leaky_bucket)
        conf_problem(p, at, "\"delay\" is for leaky_bucket; %s lets pass or refuses", a->name);
    if (s->tolerance && a != &gcra)
        conf_problem(p, at, "\"tolerance\" is for gcra; %s has none", a->name);
    if (s->plan_default.len && s->rate.count)
        conf_problem(p, at, "\"plan_default\" is for rate: plan");
    if (s->cost_header.len && !octets_are(s->cost_header, OCTET_TOKEN))
        conf_problem(p, at, "\"cost_header\" is not the name of a header");
    if (s->scope == LIMIT_CLUSTER && !s->store.len)
        conf_problem(p, at,
                     "with scope cluster, \"store\" says where the limit is kept: redis:NAME");
}
