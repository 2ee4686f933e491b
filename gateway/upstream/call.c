/* One attempt at an endpoint. */
#include "gateway/upstream/call.h"

#include <errno.h>

#include "gateway/exchange/local.h"
#include "gateway/upstream/links.h"

static struct loop *loop_of(const struct call *c)
{
    return c->links->local->loop;
}

static void end(struct call *c)
{
    c->state = CALL_IDLE;
    c->link = NULL;
    c->attempt.end_ns = loop_of(c)->now_ns;
    task_cancel(&c->task);
    timer_remove(&loop_of(c)->timers, &c->timer);
    if (link_is_on_list(&c->waiting)) {
        link_remove(&c->waiting);
        links_target(c->links, c->attempt.endpoint->id)->line_count--;
    }
}

void call_fail(struct call *c, enum sent sent, enum reason reason)
{
    end(c);
    c->attempt.sent = sent;
    c->attempt.reason = reason;
    c->owner->failed(c);
}

/* What went wrong inside call_start is told from a task. */
static void tell_failure(struct task *t)
{
    struct call *c = CONTAINER(t, struct call, task);

    call_fail(c, SENT_NOTHING, c->attempt.reason);
}

static void fail_later(struct call *c, enum reason reason)
{
    c->attempt.reason = reason;
    loop_queue(loop_of(c), &c->task);
}

static void on_due(struct timer *t) /* too long in line */
{
    call_fail(CONTAINER(t, struct call, timer), SENT_NOTHING, REASON_OVERLOADED);
}

void call_init(struct call *c, struct links *links, struct arena *arena, const struct request *req,
               const struct upstream_timeouts *timeouts, const struct call_owner *owner,
               void *owned_by)
{
    *c = (struct call){ .links = links,
                        .arena = arena,
                        .req = req,
                        .timeouts = *timeouts,
                        .owner = owner,
                        .owned_by = owned_by };
    fields_init(&c->trailers, arena, 0);
    link_init(&c->waiting);
    timer_init(&c->timer, on_due);
    task_init(&c->task, tell_failure);
}

static void wait_in_line(struct call *c, struct target *t)
{
    if (t->line_count >= t->links->limits.max_pending) {
        fail_later(c, REASON_OVERLOADED);
        return;
    }
    list_push_back(&t->line, &c->waiting);
    t->line_count++;
    timer_set(&loop_of(c)->timers, &c->timer, loop_of(c)->now_ns + c->timeouts.connect_ns);
}

/* Dial the addresses of the endpoint's name one after the other, the one that answered last time first. */
static void dial_next(struct call *c, struct target *t)
{
    const struct endpoint *e = c->attempt.endpoint;

    while (c->addresses_left > 0) {
        c->address =
            (uint8_t)((t->good_address + e->address_count - c->addresses_left) % e->address_count);
        c->addresses_left--;
        c->link = links_dial(t, e, c->address, c);
        if (c->link) {
            link_set_due(c->link, loop_of(c)->now_ns + c->timeouts.connect_ns);
            return;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            if (t->open > 0) /* one that stands will be free again */
                wait_in_line(c, t);
            else
                fail_later(c, REASON_OVERLOADED);
            return;
        }
    }
    fail_later(c, REASON_UPSTREAM_CONNECT_FAILED);
}

void call_start(struct call *c)
{
    const struct endpoint *e = c->attempt.endpoint;
    struct target *t = links_target(c->links, e->id);
    struct link *l = links_take(t);

    c->state = CALL_WAITING;
    c->request_done = c->answer_done = false;
    c->attempt.begun_ns = loop_of(c)->now_ns;
    c->attempt.head_ns = 0;
    c->attempt.status = 0;
    c->attempt.reason = REASON_OK;
    c->addresses_left = (uint8_t)e->address_count;
    if (l) {
        c->link = l;
        l->protocol->start(l, c);
        return;
    }
    if (!links_may_open(t))
        wait_in_line(c, t);
    else
        dial_next(c, t);
}

/* A connection could not be made (from the link's protocol): the next address, or the news. */
void call_dial_failed(struct call *c, enum reason reason)
{
    c->link = NULL;
    if (c->addresses_left > 0 && reason == REASON_UPSTREAM_CONNECT_FAILED)
        dial_next(c, links_target(c->links, c->attempt.endpoint->id));
    else
        call_fail(c, SENT_NOTHING, reason);
}

size_t call_send_body(struct call *c, const struct piece *p)
{
    size_t taken;

    if (c->state != CALL_SENT && c->state != CALL_ANSWERED)
        return c->state == CALL_IDLE ? p->data.len : 0;
    if (!c->link) /* the answer is complete: nobody wants the rest */
        return p->data.len;
    taken = c->link->protocol->send_body(c->link, c, p);
    if (p->last && taken == p->data.len)
        c->request_done = true;
    return taken;
}

void call_resume(struct call *c)
{
    if (c->link && c->state == CALL_ANSWERED)
        c->link->protocol->resume_body(c->link, c);
}

void call_cancel(struct call *c)
{
    struct link *l = c->link;

    if (c->state == CALL_IDLE)
        return;
    end(c);
    if (l)
        l->protocol->cancel(l, c);
}
