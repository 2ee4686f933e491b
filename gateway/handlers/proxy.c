/* Forward to a service: pick an endpoint, try, try again where that is safe, stream both bodies.
 *
 * Endpoints are taken in turn. A connection that is refused costs nothing that was sent, so the next
 * endpoint is tried at once, and when all have refused, all again after a short pause, until the connect
 * budget is spent: a service that restarts loses no request.
 */
#include "gateway/handlers/proxy.h"

#include "gateway/base/number.h"
#include "gateway/exchange/chain.h"
#include "gateway/exchange/exchange.h"
#include "gateway/exchange/local.h"
#include "gateway/exchange/reply.h"
#include "gateway/exchange/service.h"
#include "gateway/http/hop.h"
#include "gateway/upstream/balance.h"
#include "gateway/upstream/call.h"
#include "gateway/upstream/retry.h"
#include "workers/waiter.h"

#define RESENDS_MAX  2               /* of a request that had been sent                */
#define FIRST_PAUSE  (5 * NS_PER_MS) /* doubled each time round, up to …               */
#define LONGEST_WAIT (50 * NS_PER_MS)
#define LATE_AFTER   NS_PER_S /* a body that takes longer may be why a service hangs up   */

struct proxy {
    struct call call;
    struct waiter pause;
    uint64_t pause_ns;
    uint64_t connect_until_ns; /* refused connections are tried again until then   */
    uint32_t index;            /* of the endpoint                                  */
    uint32_t refused_in_a_row;
    uint32_t resends;
    bool in_attempt; /* the steps wait to hear how it went               */
    bool body_begun; /* some of the request's body was given away        */
    bool empty_body; /* its end came with nothing before it              */
    bool held_back;  /* the service could not take all of it that came   */
};

static struct exchange *exchange_of(const struct call *c)
{
    return c->owned_by;
}

static struct proxy *proxy_of(const struct exchange *x)
{
    return x->answer;
}

static void tell_steps(struct exchange *x)
{
    struct proxy *p = proxy_of(x);

    if (!p->in_attempt)
        return;
    p->in_attempt = false;
    chain_attempt_done(x, &p->call.attempt);
}

/* Give up: the handler is done with x before the answer is made. */
static void fail(struct exchange *x, unsigned status, enum reason reason)
{
    exchange_fail(x, status, reason, NULL);
}

static void refused(struct exchange *x)
{
    uint64_t retry_ns = x->refusal.retry_ns;

    x->retry_after_ns = retry_ns;
    fail(x, x->refusal.status, x->refusal.reason);
}

static void attempt(struct exchange *x)
{
    struct proxy *p = proxy_of(x);
    struct attempt *a = &p->call.attempt;
    const struct service *s = x->route->service;

    a->endpoint = &s->endpoints[p->index];
    a->number = ++x->record.attempts;
    a->begun_ns = a->end_ns = exchange_now_ns(x);
    a->sent = SENT_NOTHING;
    a->reason = REASON_OK;
    a->client_late = false;
    if (x->req.host.len == 0) /* an HTTP/1.0 client need not say it, we must (RFC 9112 3.2) */
        x->req.host = a->endpoint->authority;
    x->record.endpoint = a->endpoint->authority;
    x->record.sent_ns = a->begun_ns;
    if (!chain_attempt(x, a)) {
        x->record.attempts--;
        refused(x);
        return;
    }
    p->in_attempt = true;
    call_start(&p->call);
}

static void after_pause(struct waiter *w)
{
    struct proxy *p = CONTAINER(w, struct proxy, pause);

    attempt(exchange_of(&p->call));
}

static unsigned status_of(enum reason reason)
{
    switch ((unsigned)reason) {
    case REASON_UPSTREAM_TIMEOUT:
    case REASON_UPSTREAM_CONNECT_TIMEOUT:
        return 504;
    case REASON_OVERLOADED:
        return 503;
    default:
        return 502;
    }
}

/* The next endpoint in turn; false when there was none that had not refused since the last pause. */
static bool next_endpoint(struct proxy *p, const struct service *s)
{
    p->index = (p->index + 1) % s->endpoint_count;
    return ++p->refused_in_a_row % s->endpoint_count != 0;
}

/* ---- what the call tells ---------------------------------------------------------------------- */

/* It had all that came of the body, and hung up in the middle of it: whose fault was that? A service dies at any
 * time, but most often one that hangs up after a while has lost its patience with the client. */
static bool client_is_late(const struct exchange *x, const struct proxy *p)
{
    const struct attempt *a = &p->call.attempt;

    return x->in == SIDE_BODY && !p->held_back && a->reason == REASON_UPSTREAM_RESET &&
           exchange_now_ns(x) - a->begun_ns >= LATE_AFTER;
}

static void on_failed(struct call *c)
{
    struct exchange *x = exchange_of(c);
    struct proxy *p = proxy_of(x);
    const struct service *s = x->route->service;
    enum reason reason = c->attempt.reason;

    c->attempt.client_late = client_is_late(x, p);
    tell_steps(x);
    if (x->phase > PHASE_HANDLER || !retry_allowed(&c->attempt, &x->req, p->body_begun)) {
        fail(x, status_of(reason), reason);
        return;
    }
    if (c->attempt.sent != SENT_NOTHING) {
        if (p->resends++ == RESENDS_MAX) {
            fail(x, status_of(reason), reason);
            return;
        }
        if (c->attempt.sent == SENT_PART)
            p->index = (p->index + 1) % s->endpoint_count;
        attempt(x);
        return;
    }
    if (next_endpoint(p, s)) {
        attempt(x);
        return;
    }
    if (exchange_now_ns(x) + p->pause_ns >= p->connect_until_ns) {
        fail(x, status_of(reason), reason);
        return;
    }
    waiter_wait(&p->pause, NULL, exchange_now_ns(x) + p->pause_ns);
    p->pause_ns = p->pause_ns * 2 < LONGEST_WAIT ? p->pause_ns * 2 : LONGEST_WAIT;
}

static void on_room(struct call *c)
{
    struct exchange *x = exchange_of(c);
    struct proxy *p = proxy_of(x);
    struct piece end = { .last = true, .trailers = &x->req_trailers };

    if (p->empty_body && !c->request_done) /* each attempt is to hear of it */
        p->body_begun = call_send_body(c, &end) > 0;
    exchange_resume_body(x);
}

static void on_early(struct call *c, const struct response *r)
{
    exchange_early(exchange_of(c), r);
}

static void on_head(struct call *c, bool last)
{
    struct exchange *x = exchange_of(c);

    x->record.answered_ns = c->attempt.head_ns;
    x->record.upstream_status = c->attempt.status;
    c->attempt.sent = SENT_ANSWERED;
    tell_steps(x);
    x->resp = c->resp;
    hop_response(&x->resp, STR("sluice"), &x->arena);
    exchange_head(x, last);
}

static size_t on_body(struct call *c, const struct piece *piece)
{
    return exchange_body(exchange_of(c), piece);
}

static const struct call_owner owner = {
    .room = on_room,
    .early = on_early,
    .head = on_head,
    .body = on_body,
    .failed = on_failed,
};

/* ---- what the exchange asks ------------------------------------------------------------------- */

static void start(struct exchange *x)
{
    const struct service *s = x->route->service;
    const struct client_rules *rules = &x->local->current.clients;
    struct proxy *p = ARENA_NEW(&x->arena, struct proxy);
    struct hop_client client = { .address = x->who.peer_text,
                                 .port = x->client->listener_port,
                                 .is_ipv6 = x->who.peer_is_ipv6,
                                 .forward = rules->forward,
                                 .send_forwarded = rules->send_forwarded,
                                 .via = STR("sluice") };

    x->answer = p;
    hop_request(&x->req, &client, &x->arena);
    call_init(&p->call, x->local->links, &x->arena, &x->req, &s->timeouts, &owner, x);
    waiter_init(&p->pause, x->local->loop, after_pause);
    p->index = balance_round_robin(s);
    p->pause_ns = FIRST_PAUSE;
    p->connect_until_ns = exchange_now_ns(x) + s->timeouts.connect_ns;
    attempt(x);
}

static size_t body(struct exchange *x, const struct piece *piece)
{
    struct proxy *p = proxy_of(x);
    size_t taken;

    if (piece->last && piece->data.len == 0 && !p->body_begun)
        p->empty_body = true;
    if (p->call.state == CALL_IDLE) /* between two attempts */
        return 0;
    taken = call_send_body(&p->call, piece);
    p->held_back = taken < piece->data.len;
    if (taken > 0)
        p->body_begun = true;
    return taken;
}

static void room(struct exchange *x)
{
    call_resume(&proxy_of(x)->call);
}

static void cancel(struct exchange *x)
{
    struct proxy *p = proxy_of(x);

    waiter_cancel(&p->pause);
    call_cancel(&p->call);
    if (p->in_attempt) {
        p->call.attempt.reason = x->client_lost ? REASON_CLIENT_GONE : REASON_TIMEOUT;
        tell_steps(x);
    }
}

const struct handler proxy_handler = {
    .name = "proxy",
    .start = start,
    .body = body,
    .room = room,
    .cancel = cancel,
};
