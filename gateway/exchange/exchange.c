/* One request and its answer. */
#include "gateway/exchange/exchange.h"

#include "gateway/exchange/chain.h"
#include "gateway/exchange/handler.h"
#include "gateway/exchange/local.h"
#include "gateway/exchange/reply.h"

#define EXCHANGE_MAGIC 0xe8c4a49eu

uint64_t exchange_now_ns(const struct exchange *x)
{
    return x->local->loop->now_ns;
}

static void cancel_handler(struct exchange *x)
{
    if (!x->handler_runs)
        return;
    x->handler_runs = false;
    if (x->route->handler->cancel)
        x->route->handler->cancel(x);
}

/* The last act, from the loop with an empty stack: nobody is in the middle of something with x. */
static void end(struct task *t)
{
    struct exchange *x = CONTAINER(t, struct exchange, end_task);
    struct local *l = x->local;
    struct client_stream *client = x->client;
    struct part *part = x->part;

    CHECK(x->magic == EXCHANGE_MAGIC && x->phase == PHASE_OVER);
    cancel_handler(x);
    chain_done(x);
    x->record.end_ns = l->loop->now_ns;
    l->report(x);
    arena_free(&x->arena);
    x->magic = 0;
    pool_give(&l->exchanges, x);
    l->running--;
    if (part)
        l->part_release(part, l);
    if (client) {
        client->x = NULL;
        client->protocol->ended(client);
    }
}

void exchange_end_if_over(struct exchange *x)
{
    if (x->out != SIDE_DONE || x->phase == PHASE_OVER)
        return;
    if (x->in == SIDE_BODY) /* the answer is complete: what is still on its way interests nobody */
        x->in = SIDE_ABANDONED;
    x->phase = PHASE_OVER;
    loop_queue(x->local->loop, &x->end_task);
}

struct exchange *exchange_begin(struct local *l, struct client_stream *client)
{
    struct exchange *x = pool_take(&l->exchanges);

    *x = (struct exchange){ .magic = EXCHANGE_MAGIC, .local = l, .client = client };
    arena_init(&x->arena, &l->exchanges);
    arena_lend(&x->arena, x + 1, l->exchanges.size - sizeof *x);
    task_init(&x->end_task, end);
    fields_init(&x->req_trailers, &x->arena, 0);
    x->record.begun_ns = l->loop->now_ns;
    client->x = x;
    l->running++;
    return x;
}

/* The pattern by which it was found is borrowed from the part. */
static void take_route(struct exchange *x, const struct route *route, struct str pattern)
{
    x->route = route;
    x->pattern = pattern;
    x->part = route->part;
    if (x->part)
        x->local->part_hold(x->part);
    x->due_ns = route->limits.request_ns ? x->local->loop->now_ns + route->limits.request_ns : 0;
    x->body_limit = route->limits.body_size;
}

static void take_unmatched(struct exchange *x)
{
    const struct route *unmatched = x->local->current.unmatched;

    take_route(x, unmatched, unmatched->service_name);
}

/* A service that does not resolve ".." takes "/admin/../x" for something below /admin: does that reading lead to
 * a route other than the one that was found? */
static bool evades_a_route(const struct exchange *x, const struct route_match *found)
{
    struct params params;
    struct route_match m = router_find(x->local->current.router, x->req.host, x->req.method,
                                       x->req.unresolved, &params);

    return m.ambiguous || m.method_mismatch || (m.route && m.route != found->route);
}

void exchange_start(struct exchange *x)
{
    const struct current *now = &x->local->current;
    struct route_match m =
        router_find(now->router, x->req.host, x->req.method, x->req.path, &x->params);

    CHECK(x->phase == PHASE_NEW);
    if (UNLIKELY(x->req.unresolved.len > 0) && m.route && evades_a_route(x, &m))
        m = (struct route_match){ .ambiguous = true };
    x->in = request_has_body(&x->req) ? SIDE_BODY : SIDE_DONE;
    if (!m.route && m.method_mismatch) {
        x->reason = REASON_METHOD_NOT_ALLOWED;
        x->allowed_methods = m.allowed_methods;
    } else if (!m.route) {
        x->reason = REASON_NO_ROUTE;
    }
    if (m.route)
        take_route(x, m.route, m.label);
    else
        take_unmatched(x);
    if (m.ambiguous) {
        x->phase = PHASE_IN;
        exchange_fail(x, 400, REASON_BAD_REQUEST, "the path can be read in two ways");
        return;
    }
    if (x->req.body == BODY_LENGTH && x->req.content_length > x->body_limit) {
        x->phase = PHASE_IN;
        exchange_fail(x, 413, REASON_BODY_TOO_LARGE, NULL);
        return;
    }
    chain_prepare(x);
    chain_in(x);
}

void exchange_reject(struct exchange *x, unsigned status, enum reason reason, const char *why)
{
    CHECK(x->phase == PHASE_NEW);
    x->in = SIDE_ABANDONED;
    take_unmatched(x);
    x->phase = PHASE_IN;
    exchange_fail(x, status, reason, why);
}

/* ---- from the client -------------------------------------------------------------------------- */

size_t exchange_request_body(struct exchange *x, const struct piece *p)
{
    size_t taken;

    if (x->in != SIDE_BODY)
        return p->data.len;
    if (x->phase < PHASE_HANDLER)
        return 0; /* steps are still deciding; resumed when the handler wants it */
    if (x->record.bytes_in + p->data.len > x->body_limit) {
        x->in = SIDE_ABANDONED;
        exchange_fail(x, 413, REASON_BODY_TOO_LARGE, NULL);
        return p->data.len;
    }
    taken = chain_request_body(x, p);
    x->record.bytes_in += taken;
    if (p->last && taken == p->data.len && x->in == SIDE_BODY)
        x->in = SIDE_DONE;
    return taken;
}

/* What a step still holds is not delivered: the end may follow only when the client has room. */
static void end_if_delivered(struct exchange *x)
{
    if (!x->delivered || x->phase != PHASE_SENDING)
        return;
    x->out = SIDE_DONE;
    exchange_end_if_over(x);
}

static void send_own_body(struct exchange *x)
{
    struct piece p = { .data = x->own_body, .last = true };
    size_t taken = chain_response_body(x, &p);

    x->own_body = str_from_index(x->own_body, taken);
    x->record.bytes_out += taken;
    end_if_delivered(x);
}

static void send_end(struct exchange *x)
{
    struct piece p = { .last = true, .trailers = x->end_trailers };

    (void)chain_response_body(x, &p);
    end_if_delivered(x);
}

void exchange_client_room(struct exchange *x)
{
    bool nothing_held;

    if (x->phase != PHASE_SENDING || x->out != SIDE_BODY)
        return;
    nothing_held = chain_response_room(x);
    end_if_delivered(x);
    if (!nothing_held || x->phase != PHASE_SENDING)
        return;
    if (x->made_here)
        send_own_body(x);
    else if (x->handler_runs && x->route->handler->room)
        x->route->handler->room(x);
}

void exchange_client_gone(struct exchange *x, enum reason reason)
{
    if (x->phase == PHASE_OVER) {
        x->client = NULL;
        return;
    }
    x->client = NULL;
    x->client_lost = true;
    x->reason = reason;
    cancel_handler(x);
    chain_cancel_waits(x);
    x->out = SIDE_DONE;
    exchange_end_if_over(x);
}

void exchange_expired(struct exchange *x)
{
    exchange_fail(x, 504, REASON_TIMEOUT, NULL);
}

/* ---- from the handler ------------------------------------------------------------------------- */

void exchange_send_head(struct exchange *x)
{
    bool last = x->resp_last;

    CHECK(x->phase == PHASE_OUT && x->client);
    x->phase = PHASE_SENDING;
    if (x->made_here) {
        last = x->req.method == METHOD_HEAD || x->own_body.len == 0;
        cancel_handler(x); /* its answer was replaced */
    }
    x->client->protocol->send_head(x->client, &x->resp, last);
    if (last) {
        x->out = SIDE_DONE;
        exchange_end_if_over(x);
        return;
    }
    x->out = SIDE_BODY;
    if (x->made_here)
        send_own_body(x);
    else if (x->end_waited)
        send_end(x);
    else if (x->body_waited && x->handler_runs && x->route->handler->room)
        x->route->handler->room(x);
}

void exchange_head(struct exchange *x, bool last)
{
    CHECK(x->phase == PHASE_HANDLER);
    x->resp_last = last;
    chain_out(x);
}

size_t exchange_body(struct exchange *x, const struct piece *p)
{
    size_t taken;

    if (x->phase == PHASE_OVER)
        return p->data.len;
    if (x->phase != PHASE_SENDING) { /* a step still holds the head back */
        x->body_waited = true;
        if (p->data.len == 0 && p->last) { /* there is nothing that could be offered again */
            x->end_waited = true;
            x->end_trailers = p->trailers;
        }
        return 0;
    }
    taken = chain_response_body(x, p);
    x->record.bytes_out += taken;
    end_if_delivered(x);
    return taken;
}

void exchange_early(struct exchange *x, const struct response *r)
{
    if (x->client && x->phase == PHASE_HANDLER)
        x->client->protocol->send_early(x->client, r);
}

void exchange_resume_body(struct exchange *x)
{
    /* Also when all has come: steps may hold the rest of it. */
    if (x->in == SIDE_ABANDONED || !x->client || !chain_request_room(x))
        return;
    if (x->in == SIDE_BODY && x->client)
        x->client->protocol->resume_body(x->client);
}

void exchange_fail(struct exchange *x, unsigned status, enum reason reason, const char *why)
{
    struct client_stream *client = x->client;

    if (x->phase == PHASE_OVER)
        return;
    cancel_handler(x);
    chain_cancel_waits(x);
    if (x->phase < PHASE_SENDING) {
        if (x->phase != PHASE_OUT)
            x->cursor = x->entered;
        x->made_here = true;
        reply_problem(x, status, reason, why);
        if (x->retry_after_ns)
            reply_retry_after(x, x->retry_after_ns);
        chain_out(x);
        return;
    }
    x->reason = reason;
    x->out = SIDE_DONE;
    x->in = x->in == SIDE_BODY ? SIDE_ABANDONED : x->in;
    x->client = NULL;
    exchange_end_if_over(x);
    client->x = NULL;
    client->protocol->reset(client);
}

void exchange_refuse(struct exchange *x, unsigned status, enum reason reason, uint64_t retry_ns)
{
    x->refusal.status = (uint16_t)status;
    x->refusal.reason = reason;
    x->refusal.retry_ns = retry_ns;
}
