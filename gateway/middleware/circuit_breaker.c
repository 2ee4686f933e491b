/* circuit_breaker: a service that fails again and again is left alone for a while, by all workers at once; then one
 * request finds out whether it is back.
 *
 * It is asked once an exchange, before the first attempt, and told once how the exchange went: whether the
 * handler tried one endpoint or three is its affair. A failure is told before the client hears of it. An
 * answer is told when its head is there if it may be a stream, else when it is complete, so that a service
 * that breaks off its answers fails too.
 */
#include "gateway/base/log.h"
#include "gateway/base/number.h"
#include "gateway/exchange/builder.h"
#include "gateway/exchange/exchange.h"
#include "gateway/exchange/local.h"
#include "gateway/exchange/reply.h"
#include "shm/breaker.h"

extern const struct middleware circuit_breaker_middleware;

#define SHORT_ANSWER (UINT64_C(1) << 20) /* bytes; complete soon, so its end is waited for */
#define MAX_ASKED_S  UINT64_C(300)       /* of a service's Retry-After */

struct trip {
    uint64_t consecutive;
};

struct backoff {
    uint64_t factor, max;
};

struct half_open {
    uint64_t successes;
};

struct circuit_breaker_settings {
    struct trip trip;
    uint64_t reset_timeout;
    struct backoff backoff;
    struct half_open half_open;
};

static const struct conf_key trip_keys[] = {
    KEY(trip, consecutive, uint, "5", "Failures in a row.", .flat = "cb_failure_threshold",
        .arg = RANGE(1, 100000)),
    KEY_END,
};
static const struct conf_schema trip_schema = {
    .name = "trip", .doc = "What opens it.", .size = sizeof(struct trip), .keys = trip_keys
};

static const struct conf_key backoff_keys[] = {
    KEY(backoff, factor, uint, "1", "Each time in a row it stays open so many times longer.",
        .arg = RANGE(1, 16)),
    KEY(backoff, max, duration, "5m", "The longest that it stays open."),
    KEY_END,
};
static const struct conf_schema backoff_schema = {
    .name = "backoff",
    .doc = "How long it stays open when it opens again and again.",
    .size = sizeof(struct backoff),
    .keys = backoff_keys
};

static const struct conf_key half_open_keys[] = {
    KEY(half_open, successes, uint, "1", "Probes in a row that must succeed before it closes.",
        .arg = RANGE(1, 100)),
    KEY_END,
};
static const struct conf_schema half_open_schema = {
    .name = "half_open",
    .doc = "After the open time: one request at a time probes the service.",
    .size = sizeof(struct half_open),
    .keys = half_open_keys
};

static const struct conf_key keys[] = {
    KEY_BLOCK(circuit_breaker_settings, trip, &trip_schema, "What opens it."),
    KEY(circuit_breaker_settings, reset_timeout, duration, "10s",
        "How long it stays open before the first probe.", .flat = "cb_reset_timeout_seconds",
        .flat_type = &conf_type_seconds),
    KEY_BLOCK(circuit_breaker_settings, backoff, &backoff_schema,
              "How long it stays open when it opens again and again."),
    KEY_BLOCK(circuit_breaker_settings, half_open, &half_open_schema,
              "After the open time: one request at a time probes the service."),
    KEY_END,
};

struct circuit_breaker {
    struct breaker *breaker;
    const struct region_header *region;
    struct breaker_params params;
};

/* Of one exchange. */
struct passage {
    struct breaker_pass pass;
    bool asked, told;
    bool answered; /* by the last attempt */
    bool failed;   /* the last attempt did */
    bool late;     /* the client was, when it did */
    enum reason reason;
};

static const void *prepare(struct builder *b, const void *settings)
{
    const struct circuit_breaker_settings *s = settings;
    uint64_t request_ns = b->globals->timeouts.request;
    struct circuit_breaker *c = ARENA_NEW(b->arena, struct circuit_breaker);

    *c = (struct circuit_breaker){
        .breaker = builder_table(b, TABLE_BREAKER, "breaker", sizeof(struct breaker)),
        .region = region_header(b->region),
        .params = { .consecutive = (uint32_t)s->trip.consecutive,
                    .open_ns = s->reset_timeout,
                    .open_max_ns = s->backoff.factor > 1 ? s->backoff.max : 0,
                    .backoff = (uint32_t)s->backoff.factor,
                    .successes = (uint32_t)s->half_open.successes,
                    .probe_ns = request_ns ? request_ns + NS_PER_S : 0 },
    };
    return c->breaker ? c : NULL;
}

static uint64_t now_of(const struct exchange *x, const struct circuit_breaker *c)
{
    return region_now(c->region, exchange_now_ns(x));
}

/* Whole milliseconds, as the breaker keeps its times: three seconds and a bit would be told to clients as four. */
static uint64_t whole_ms(uint64_t ns)
{
    return ns < NS_PER_MS ? NS_PER_MS : ns - ns % NS_PER_MS;
}

static bool on_attempt(struct exchange *x, struct frame *f, const struct attempt *a)
{
    const struct circuit_breaker *c = f->step->prepared;
    struct passage *p = f->state;

    (void)a;
    if (p->asked)
        return true;
    p->pass = breaker_allows(c->breaker, &c->params, x->local->seat, now_of(x, c));
    if (p->pass.verdict != BREAKER_REFUSED) {
        p->asked = true;
        return true;
    }
    if (!frame_acts(f)) {
        if (x->record.shadow != REASON_CIRCUIT_OPEN) /* not for each attempt */
            reply_shadow(x, REASON_CIRCUIT_OPEN, STR_NONE);
        return true;
    }
    exchange_refuse(x, 503, REASON_CIRCUIT_OPEN, whole_ms(p->pass.retry_ns));
    return false;
}

static void on_attempt_done(struct exchange *x, struct frame *f, const struct attempt *a)
{
    struct passage *p = f->state;

    (void)x;
    p->answered = a->status != 0 && a->reason == REASON_OK;
    p->failed = !p->answered || (a->status >= 500 && a->status != 501);
    p->late = a->client_late;
    p->reason = a->reason;
}

static bool says_nothing_of_the_service(enum reason r)
{
    switch ((unsigned)r) {
    case REASON_CLIENT_GONE:
    case REASON_CLIENT_SLOW:
    case REASON_BAD_REQUEST:
    case REASON_BODY_TOO_LARGE:
    case REASON_REQUEST_TIMEOUT:
    case REASON_OVERLOADED:
    case REASON_CIRCUIT_OPEN:
    case REASON_SHUTDOWN:
    case REASON_INTERNAL:
        return true;
    default:
        return false;
    }
}

/* It broke off an answer that it had begun. */
static bool broke_off(enum reason r)
{
    return r == REASON_UPSTREAM_TRUNCATED || r == REASON_UPSTREAM_RESET ||
           r == REASON_UPSTREAM_TIMEOUT || r == REASON_UPSTREAM_BAD_RESPONSE;
}

static enum breaker_outcome outcome_of(const struct exchange *x, const struct passage *p)
{
    if (p->failed) {
        if (!p->answered && (p->late || says_nothing_of_the_service(p->reason) ||
                             says_nothing_of_the_service(x->reason)))
            return OUTCOME_IGNORED;
        return OUTCOME_FAILED;
    }
    if (!p->answered)
        return OUTCOME_IGNORED; /* no attempt came to an end */
    return broke_off(x->reason) ? OUTCOME_FAILED : OUTCOME_OK;
}

static void log_change(const struct exchange *x, int state, const struct circuit_breaker *c,
                       const struct passage *p)
{
    struct str service = x->route->service_name;

    if (state == BREAKER_CLOSED)
        log_line(LOG_LEVEL_INFO, "the circuit of service %.*s is closed: it answers again",
                 STR_ARGS(service));
    else if (state == BREAKER_OPEN && p->pass.verdict == BREAKER_PROBE)
        log_line(LOG_LEVEL_WARN, "the circuit of service %.*s stays open: the probe failed",
                 STR_ARGS(service));
    else if (state == BREAKER_OPEN)
        log_line(LOG_LEVEL_WARN, "the circuit of service %.*s is open: it failed %u times in a row",
                 STR_ARGS(service), c->params.consecutive);
}

static void tell(struct exchange *x, struct frame *f, uint64_t open_ns)
{
    const struct circuit_breaker *c = f->step->prepared;
    struct passage *p = f->state;
    int change;

    p->told = true;
    change =
        breaker_tell(c->breaker, &c->params, &p->pass, outcome_of(x, p), open_ns, now_of(x, c));
    if (change >= 0)
        log_change(x, change, c, p);
}

/* How long the service wants to be left alone; 0: it did not say. Dates are not worth a clock here. */
static uint64_t asked_ns(const struct exchange *x)
{
    uint64_t s;

    if (x->made_here || !fields_have(&x->resp.fields, FIELD_RETRY_AFTER) ||
        !number_read_u64(fields_value(&x->resp.fields, FIELD_RETRY_AFTER), &s))
        return 0;
    return (s < MAX_ASKED_S ? s : MAX_ASKED_S) * NS_PER_S;
}

static enum verdict on_response(struct exchange *x, struct frame *f)
{
    const struct passage *p = f->state;
    bool ends_soon = x->resp_last || (x->resp.body == BODY_LENGTH && !x->made_here &&
                                      x->resp.content_length <= SHORT_ANSWER);

    if (!p->asked || p->told)
        return NEXT;
    if (p->failed)
        tell(x, f, asked_ns(x));
    else if (!ends_soon)
        tell(x, f, 0);
    return NEXT;
}

static void on_done(struct exchange *x, struct frame *f)
{
    const struct passage *p = f->state;

    if (p->asked && !p->told)
        tell(x, f, 0);
}

const struct middleware circuit_breaker_middleware = {
    .settings = { .name = "circuit_breaker",
                  .doc = "Leave a service alone that fails again and again.",
                  .size = sizeof(struct circuit_breaker_settings),
                  .keys = keys },
    .state_size = sizeof(struct passage),
    .prepare = prepare,
    .on_attempt = on_attempt,
    .on_attempt_done = on_attempt_done,
    .on_response = on_response,
    .on_done = on_done,
};
