/* The onion: the steps of a route, inwards and outwards, with one way to wait. */
#include "gateway/exchange/chain.h"

#include <stdlib.h>

#include "gateway/base/number.h"
#include "gateway/exchange/handler.h"
#include "gateway/exchange/local.h"
#include "gateway/exchange/reply.h"

enum way { WAY_IN, WAY_OUT };

/* What a step emitted and the next one could not take yet, one for each way. Rare, so plain malloc. */
struct held_piece {
    size_t begin, len, room;
    bool last;
    const struct fields *trailers;
    char *data;
};

void chain_prepare(struct exchange *x)
{
    uint32_t n = x->route->step_count;
    size_t states = 0;
    char *memory;

    if (n == 0)
        return;
    states = x->route->steps[n - 1].state_offset + x->route->steps[n - 1].type->state_size;
    x->frames = arena_take(&x->arena, n * sizeof *x->frames + states);
    memory = (char *)(x->frames + n);
    for (uint32_t i = 0; i < n; i++) {
        x->frames[i].step = &x->route->steps[i];
        x->frames[i].x = x;
        x->frames[i].state = memory + x->route->steps[i].state_offset;
    }
}

/* Continue inwards after a verdict. False: somebody else continues. */
static bool goes_on_in(struct exchange *x, enum verdict v)
{
    switch (v) {
    case NEXT:
        return true;
    case REPLIED:
        x->made_here = true;
        x->cursor = x->entered;
        chain_out(x);
        return false;
    case WAIT:
        return false;
    }
    UNREACHABLE();
}

void chain_in(struct exchange *x)
{
    x->phase = PHASE_IN;
    while (x->entered < x->route->step_count) {
        struct frame *f = &x->frames[x->entered++];

        f->entered = true;
        if (f->step->type->on_request && !goes_on_in(x, f->step->type->on_request(x, f)))
            return;
    }
    x->cursor = x->entered;
    x->phase = PHASE_HANDLER;
    x->handler_runs = true;
    x->route->handler->start(x);
}

/* Continue outwards after a verdict. False: somebody else continues. */
static bool goes_on_out(struct exchange *x, enum verdict v)
{
    if (v == REPLIED)
        x->made_here = true;
    return v != WAIT;
}

void chain_out(struct exchange *x)
{
    x->phase = PHASE_OUT;
    while (x->cursor > 0) {
        struct frame *f = &x->frames[--x->cursor];

        if (f->step->type->on_response && !goes_on_out(x, f->step->type->on_response(x, f)))
            return;
    }
    exchange_send_head(x);
}

/* ---- waiting ---------------------------------------------------------------------------------- */

static void on_wake(struct waiter *w)
{
    struct frame *f = CONTAINER(w, struct frame, waiter);
    struct exchange *x = f->x;

    CHECK(f->again);
    if (x->phase == PHASE_IN) {
        if (goes_on_in(x, f->again(x, f)))
            chain_in(x);
    } else {
        CHECK(x->phase == PHASE_OUT);
        if (goes_on_out(x, f->again(x, f)))
            chain_out(x);
    }
}

enum verdict frame_wait(struct frame *f, struct wait_queue *queue, uint32_t ms, step_fn again)
{
    struct loop *l = f->x->local->loop;

    if (!f->waiter.loop)
        waiter_init(&f->waiter, l, on_wake);
    f->again = again;
    waiter_wait(&f->waiter, queue, l->now_ns + ms * NS_PER_MS);
    return WAIT;
}

enum verdict frame_sleep(struct frame *f, uint32_t ms, step_fn again)
{
    return frame_wait(f, NULL, ms, again);
}

/* ---- bodies ----------------------------------------------------------------------------------- */

void frame_tap_request_body(struct frame *f)
{
    f->taps_request = true;
    f->x->request_tapped = true;
}

void frame_tap_response_body(struct frame *f)
{
    f->taps_response = true;
    f->x->response_tapped = true;
}

static bool is_held(const struct frame *f, enum way way)
{
    return f->held && (f->held[way].len > f->held[way].begin || f->held[way].last);
}

static bool any_held(const struct exchange *x, enum way way)
{
    for (uint32_t i = 0; i < x->entered; i++)
        if (is_held(&x->frames[i], way))
            return true;
    return false;
}

static bool taps(const struct frame *f, enum way way)
{
    return way == WAY_IN ? f->taps_request : f->taps_response;
}

/* To the handler or to the client: where a body leaves the chain. */
static size_t deliver(struct exchange *x, enum way way, const struct piece *p)
{
    size_t taken = p->data.len;

    if (way == WAY_OUT) {
        if (x->client)
            taken = x->client->protocol->send_body(x->client, p);
        x->delivered |= p->last && taken == p->data.len;
        return taken;
    }
    if (!x->handler_runs || !x->route->handler->body)
        return p->data.len; /* nobody wants it */
    return x->route->handler->body(x, p);
}

/* Offer a piece to the next step after `from` that taps, or to whoever stands at the end. */
static size_t pass(struct exchange *x, enum way way, uint32_t from, const struct piece *p)
{
    for (uint32_t n = way == WAY_IN ? x->entered - from : from; n > 0; n--) {
        struct frame *f = &x->frames[way == WAY_IN ? x->entered - n : n - 1];
        const struct middleware *type = f->step->type;
        bool before = f->emits_response; /* an answer may begin while the request still comes */
        enum flow flow;

        if (!taps(f, way))
            continue;
        if (p->data.len && is_held(f, way)) /* it is offered more when that is gone */
            return 0;
        f->emits_response = way == WAY_OUT;
        flow = (way == WAY_IN ? type->on_request_body : type->on_response_body)(x, f, p);
        f->emits_response = before;
        if (flow == FLOW_FAIL)
            exchange_fail(x, 500, REASON_INTERNAL, NULL);
        return p->data.len;
    }
    return deliver(x, way, p);
}

static void hold(struct frame *f, enum way way, struct str data, const struct piece *p)
{
    struct held_piece *h;

    if (!f->held) {
        f->held = calloc(2, sizeof *f->held);
        if (!f->held)
            die("out of memory for a held piece");
    }
    h = &f->held[way];
    if (h->begin == h->len)
        h->begin = h->len = 0;
    if (data.len > h->room - h->len) {
        h->room = (h->len + data.len) * 2;
        h->data = realloc(h->data, h->room);
        if (!h->data)
            die("out of memory for %zu bytes of a held piece", h->room);
    }
    if (data.len)
        memcpy(h->data + h->len, data.at, data.len);
    h->len += data.len;
    h->last |= p->last;
    if (p->last)
        h->trailers = p->trailers;
}

enum flow frame_emit(struct exchange *x, struct frame *f, const struct piece *p)
{
    enum way way = f->emits_response ? WAY_OUT : WAY_IN;
    uint32_t index = (uint32_t)(f - x->frames);
    size_t taken = 0;

    if (x->phase == PHASE_OVER)
        return FLOW_FAIL;
    if (!is_held(f, way)) {
        taken = pass(x, way, way == WAY_IN ? index + 1 : index, p);
        if (taken == p->data.len)
            return FLOW_ON;
    }
    hold(f, way, str_from_index(p->data, taken), p);
    return FLOW_ON;
}

/* Move on what is held, from the end of the way backwards. True: nothing is held any more. */
static bool release_held(struct exchange *x, enum way way)
{
    for (uint32_t n = 0; n < x->entered; n++) {
        uint32_t i = way == WAY_IN ? x->entered - 1 - n : n;
        struct frame *f = &x->frames[i];
        struct held_piece *h;
        struct piece p;
        size_t taken;

        if (!is_held(f, way))
            continue;
        h = &f->held[way];
        p = (struct piece){ .data = str_of(h->data + h->begin, h->len - h->begin),
                            .last = h->last,
                            .trailers = h->trailers };
        taken = pass(x, way, way == WAY_IN ? i + 1 : i, &p);
        h->begin += taken;
        if (taken < p.data.len)
            return false;
        h->last = false;
    }
    return true;
}

size_t chain_request_body(struct exchange *x, const struct piece *p)
{
    if (LIKELY(!x->request_tapped))
        return deliver(x, WAY_IN, p);
    return any_held(x, WAY_IN) && p->data.len ? 0 : pass(x, WAY_IN, 0, p);
}

size_t chain_response_body(struct exchange *x, const struct piece *p)
{
    if (LIKELY(!x->response_tapped))
        return deliver(x, WAY_OUT, p);
    return any_held(x, WAY_OUT) && p->data.len ? 0 : pass(x, WAY_OUT, x->entered, p);
}

bool chain_request_room(struct exchange *x)
{
    return !x->request_tapped || release_held(x, WAY_IN);
}

bool chain_response_room(struct exchange *x)
{
    return !x->response_tapped || release_held(x, WAY_OUT);
}

/* ---- attempts and the end --------------------------------------------------------------------- */

bool chain_attempt(struct exchange *x, const struct attempt *a)
{
    for (uint32_t i = 0; i < x->entered; i++) {
        struct frame *f = &x->frames[i];

        if (f->step->type->on_attempt && !f->step->type->on_attempt(x, f, a)) {
            while (i-- > 0) { /* those who had said yes hear that nothing came of it */
                const struct middleware *type = x->frames[i].step->type;

                if (type->on_attempt_done)
                    type->on_attempt_done(x, &x->frames[i], a);
            }
            return false;
        }
    }
    return true;
}

void chain_attempt_done(struct exchange *x, const struct attempt *a)
{
    for (uint32_t i = x->entered; i-- > 0;) {
        const struct middleware *type = x->frames[i].step->type;

        if (type->on_attempt_done)
            type->on_attempt_done(x, &x->frames[i], a);
    }
}

void chain_cancel_waits(struct exchange *x)
{
    for (uint32_t i = x->entered; i-- > 0;)
        waiter_cancel(&x->frames[i].waiter);
}

void chain_done(struct exchange *x)
{
    chain_cancel_waits(x);
    for (uint32_t i = x->entered; i-- > 0;) {
        struct frame *f = &x->frames[i];

        if (f->step->type->on_done)
            f->step->type->on_done(x, f);
        if (f->held) {
            free(f->held[WAY_IN].data);
            free(f->held[WAY_OUT].data);
            free(f->held);
            f->held = NULL;
        }
    }
}
