/* rate_limit: so many at once and so many in a period, for each client, counted by all workers together.
 *
 * A client is the API key that a step before this one has verified, else the address (IPv6: its prefix);
 * what nobody has checked buys no new limit. The state goes by the names of service and step, so it lives
 * through every reload that keeps those.
 */
#include "gateway/base/number.h"
#include "gateway/exchange/builder.h"
#include "gateway/exchange/exchange.h"
#include "gateway/exchange/local.h"
#include "gateway/exchange/reply.h"
#include "gateway/exchange/shared.h"
#include "ratelimit/limiter.h"

extern const struct middleware rate_limit_middleware;

enum counted_by { BY_AUTO, BY_IP, BY_API_KEY, BY_SERVICE, BY_GLOBAL };
enum header_set { HEADERS_DRAFT = 1, HEADERS_X = 2 };
enum header_when { WHEN_REFUSED, WHEN_ALWAYS };

struct rate_limit_settings {
    struct number_rate rate;
    uint64_t burst;
    struct str algorithm;
    int key;
    uint64_t status;
    struct str body;
    uint64_t headers;
    int headers_when;
};

static const struct conf_key keys[] = {
    KEY(rate_limit_settings, rate, rate, "100/s", "Requests each client may make, on average.",
        .flat = "rate_limit_rps", .flat_type = &conf_type_per_second),
    KEY(rate_limit_settings, burst, uint, "200",
        "Requests a client may make at once after a pause.", .flat = "rate_limit_burst",
        .arg = RANGE(1, 1000000000)),
    KEY(rate_limit_settings, algorithm, word, "token_bucket",
        "How it is reckoned: token_bucket refills steadily and lends up to the burst."),
    KEY(rate_limit_settings, key, one_of, "auto",
        "Who has a limit of its own. auto: each API key that a step before has verified, else each "
        "address; service: all clients of a service together; global: all clients of all services "
        "that use this name together.",
        .arg = NAMES("auto", "ip", "api_key", "service", "global")),
    KEY(rate_limit_settings, status, uint, "429", "Status of a refusal.", .arg = RANGE(400, 599)),
    KEY(rate_limit_settings, body, text, "Too Many Requests", "Text of a refusal."),
    KEY(rate_limit_settings, headers, some_of, "[draft, x_ratelimit]",
        "Headers that say what is left, beside Retry-After. draft: RateLimit and "
        "RateLimit-Policy; x_ratelimit: X-RateLimit-Limit, -Remaining and -Reset.",
        .arg = NAMES("draft", "x_ratelimit")),
    KEY(rate_limit_settings, headers_when, one_of, "refused",
        "On which answers they are said: only on refusals, or always.",
        .arg = NAMES("refused", "always")),
    KEY_END,
};

/* Everything that a request needs; settings may be gone with an older snapshot. */
struct rate_limit {
    struct limiter limiter;
    const struct region_header *region;
    enum counted_by by;
    unsigned v6_prefix;
    uint32_t series; /* gateway_rate_limited_total of this service and limit */
    unsigned status;
    const char *body;
    uint64_t headers;
    enum header_when when;
    struct str quoted_name; /* as a structured field's string (RFC 8941 3.3.3) */
    struct str policy;      /* "name";q=100;w=1 */
    struct str burst;
};

/* Of an exchange that was let pass. */
struct taken {
    bool known;
    uint64_t remaining, reset_ns;
};

/* ---- at load ---------------------------------------------------------------------------------- */

/* What may not stand in such a string is left out. */
static struct str quote(struct arena *a, struct str name)
{
    char *at = arena_take_bytes(a, name.len + 2);
    size_t len = 0;

    at[len++] = '"';
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] >= ' ' && name.at[i] <= '~' && name.at[i] != '"' && name.at[i] != '\\')
            at[len++] = name.at[i];
    at[len++] = '"';
    return str_of(at, len);
}

static uint64_t seconds_up(uint64_t ns)
{
    return ns / NS_PER_S + (ns % NS_PER_S != 0);
}

static void write_texts(struct builder *b, struct rate_limit *r)
{
    const struct limit *l = &r->limiter.limit;

    r->quoted_name = quote(b->arena, b->step_name);
    r->policy = str_format(b->arena, "%.*s;q=%llu;w=%llu", STR_ARGS(r->quoted_name),
                           (unsigned long long)l->count, (unsigned long long)seconds_up(l->per_ns));
    r->burst = str_format(b->arena, "%llu", (unsigned long long)l->burst);
}

static enum when_full when_full_of(const struct builder *b)
{
    static const enum when_full all[] = { [CONF_ON_FULL_EVICT] = FULL_EVICT,
                                          [CONF_ON_FULL_ALLOW] = FULL_ALLOW,
                                          [CONF_ON_FULL_DENY] = FULL_DENY };

    return all[b->globals->shared_memory.limits.on_full];
}

static struct str state_name(const struct builder *b, enum counted_by by)
{
    if (b->whole_gateway || by == BY_GLOBAL)
        return str_format(b->arena, "/%.*s", STR_ARGS(b->step_name));
    return str_format(b->arena, "%.*s/%.*s", STR_ARGS(b->service_name), STR_ARGS(b->step_name));
}

static const void *prepare(struct builder *b, const void *settings)
{
    const struct rate_limit_settings *s = settings;
    const struct limit limit = { s->rate.count, s->rate.per_ns, s->burst };
    const struct algorithm *algorithm = algorithm_find(s->algorithm);
    const struct str labels[] = { b->service_name, b->step_name };
    struct rate_limit *r = ARENA_NEW(b->arena, struct rate_limit);
    const char *why;

    if (!algorithm) {
        builder_problem(b, "algorithm: there is no %.*s", STR_ARGS(s->algorithm));
        return NULL;
    }
    *r = (struct rate_limit){ .region = region_header(b->region),
                              .by = (enum counted_by)s->key,
                              .v6_prefix = (unsigned)b->globals->client_ip.ipv6_prefix,
                              .status = (unsigned)s->status,
                              .body = str_keep_z(b->arena, s->body),
                              .headers = s->headers,
                              .when = (enum header_when)s->headers_when };
    why = limiter_init(&r->limiter, r->region, &b->shared->limits, state_name(b, r->by), algorithm,
                       &limit, when_full_of(b));
    if (why) {
        builder_problem(b, "rate: %s", why);
        return NULL;
    }
    /* The master only rehearses; what is refused leaves no series behind. */
    if (b->role == BUILD_WORKER)
        r->series = rows_find(&b->shared->rows, FAMILY_RATE_LIMITED, labels);
    write_texts(b, r);
    return r;
}

/* ---- at work ---------------------------------------------------------------------------------- */

static uint64_t key_of_address(const struct rate_limit *r, const struct exchange *x)
{
    struct ip group = ip_group(&x->who.address, r->v6_prefix);
    char bytes[1 + sizeof group.at] = { 0 }; /* no API key begins with NUL */

    memcpy(bytes + 1, group.at, sizeof group.at);
    return limiter_key(&r->limiter, str_of(bytes, sizeof bytes));
}

static uint64_t key_of(const struct rate_limit *r, const struct exchange *x)
{
    switch (r->by) {
    case BY_AUTO:
    case BY_API_KEY:
        if (x->who.api_key.len)
            return limiter_key(&r->limiter, x->who.api_key);
        return key_of_address(r, x);
    case BY_IP:
        return key_of_address(r, x);
    case BY_SERVICE:
        return limiter_key(&r->limiter, x->route->service_name);
    case BY_GLOBAL:
        return limiter_key(&r->limiter, STR(""));
    }
    UNREACHABLE();
}

static struct str number_text(struct exchange *x, uint64_t n)
{
    char *at = arena_take_bytes(&x->arena, NUMBER_TEXT_MAX);

    return str_of(at, number_write_u64(at, n));
}

/* "name";r=42;t=17 */
static struct str left_text(struct exchange *x, const struct rate_limit *r, struct str remaining,
                            struct str reset)
{
    char *begin = arena_take_bytes(&x->arena, r->quoted_name.len + remaining.len + reset.len + 6);
    char *at = begin;

    at = mempcpy(at, r->quoted_name.at, r->quoted_name.len);
    at = mempcpy(at, ";r=", 3);
    at = mempcpy(at, remaining.at, remaining.len);
    at = mempcpy(at, ";t=", 3);
    at = mempcpy(at, reset.at, reset.len);
    return str_between(begin, at);
}

/* The names are constants and the values made here of what may stand in a field: nothing to be checked. */
static void add(struct exchange *x, struct str name, struct str value)
{
    struct fields *fields = &x->resp.fields;

    *fields_place(fields) = (struct field){ .name = name, .value = value, .known = FIELD_OTHER };
    fields->count++;
    fields->present |= UINT64_C(1) << FIELD_OTHER;
}

/* draft-ietf-httpapi-ratelimit-headers-11, and the names from before there was a draft. */
static void say_what_is_left(struct exchange *x, const struct rate_limit *r, uint64_t remaining_n,
                             uint64_t reset_ns)
{
    struct str remaining, reset;

    if (!r->headers)
        return;
    remaining = number_text(x, remaining_n);
    reset = number_text(x, seconds_up(reset_ns));
    if (r->headers & HEADERS_DRAFT) {
        add(x, STR("RateLimit-Policy"), r->policy);
        add(x, STR("RateLimit"), left_text(x, r, remaining, reset));
    }
    if (r->headers & HEADERS_X) {
        add(x, STR("X-RateLimit-Limit"), r->burst);
        add(x, STR("X-RateLimit-Remaining"), remaining);
        add(x, STR("X-RateLimit-Reset"), reset);
    }
}

static enum verdict refuse(struct exchange *x, struct frame *f, const struct rate_limit *r,
                           const struct decision *d)
{
    enum verdict v = reply_refuse(x, f, r->status, REASON_RATE_LIMITED, r->body);

    if (v != REPLIED)
        return v;
    if (d->retry_ns != RETRY_NEVER)
        reply_retry_after(x, d->retry_ns);
    say_what_is_left(x, r, d->remaining, d->reset_ns);
    rows_add(&x->local->shared->rows, x->local->seat, r->series, 1);
    return v;
}

static enum verdict on_request(struct exchange *x, struct frame *f)
{
    const struct rate_limit *r = f->step->prepared;
    uint64_t now_ns = region_now(r->region, exchange_now_ns(x));
    struct decision d = limiter_take(&r->limiter, key_of(r, x), 1, now_ns);

    if (!d.allowed)
        return refuse(x, f, r, &d);
    if (r->when == WHEN_ALWAYS)
        *(struct taken *)f->state = (struct taken){ true, d.remaining, d.reset_ns };
    return NEXT;
}

static enum verdict on_response(struct exchange *x, struct frame *f)
{
    const struct taken *t = f->state;

    if (t->known && frame_acts(f))
        say_what_is_left(x, f->step->prepared, t->remaining, t->reset_ns);
    return NEXT;
}

const struct middleware rate_limit_middleware = {
    .settings = { .name = "rate_limit",
                  .doc = "So many requests at once and in a period, for each client.",
                  .size = sizeof(struct rate_limit_settings),
                  .keys = keys,
                  .main = "rate" },
    .state_size = sizeof(struct taken),
    .prepare = prepare,
    .on_request = on_request,
    .on_response = on_response,
};
