/* A stage for an exchange. */
#include "by_hand.h"

#include <check.h>
#include <stdlib.h>

#include "gateway/base/clock.h"
#include "gateway/base/number.h"
#include "gateway/exchange/chain.h"
#include "gateway/exchange/reply.h"

static struct stage *stage_of(const struct exchange *x)
{
    return CONTAINER(x->local, struct stage, local);
}

static void tell(struct stage *s, char name, char what)
{
    size_t at = strlen(s->story);

    ck_assert_uint_lt(at + 2, sizeof s->story);
    s->story[at] = name;
    s->story[at + 1] = what;
    s->story[at + 2] = '\0';
}

/* ---- steps ------------------------------------------------------------------------------------ */

static struct script *script_of(const struct frame *f)
{
    return (struct script *)(uintptr_t)f->step->settings;
}

static enum verdict reply(struct exchange *x)
{
    reply_problem(x, 418, REASON_RATE_LIMITED, "no");
    return REPLIED;
}

static enum verdict again(struct exchange *x, struct frame *f)
{
    struct script *t = script_of(f);

    tell(stage_of(x), t->name, '~');
    ck_assert_int_ne(f->waiter.status, WAITER_WAITING);
    return t->then == REPLIED ? reply(x) : t->then;
}

static enum verdict act(struct exchange *x, struct frame *f, enum deed deed)
{
    switch (deed) {
    case GO_ON:
        return NEXT;
    case REPLY:
        return reply(x);
    case SLEEP:
        return frame_sleep(f, 50, again);
    case AWAIT:
        return frame_wait(f, &script_of(f)->queue, 1000, again);
    }
    UNREACHABLE();
}

static enum verdict on_request(struct exchange *x, struct frame *f)
{
    struct script *t = script_of(f);

    tell(stage_of(x), t->name, '>');
    if (t->tap_in)
        frame_tap_request_body(f);
    if (t->tap_out)
        frame_tap_response_body(f);
    return act(x, f, t->in);
}

static enum verdict on_response(struct exchange *x, struct frame *f)
{
    tell(stage_of(x), script_of(f)->name, '<');
    return act(x, f, script_of(f)->out);
}

static void emit(struct exchange *x, struct frame *f, struct str data, const struct piece *from)
{
    size_t cut = script_of(f)->cut;

    while (cut && data.len > cut) {
        struct piece p = { .data = str_up_to(data, cut) };

        frame_emit(x, f, &p);
        data = str_from_index(data, cut);
    }
    if (data.len || from->last) {
        struct piece p = { .data = data, .last = from->last, .trailers = from->trailers };

        frame_emit(x, f, &p);
    }
}

static enum flow on_body(struct exchange *x, struct frame *f, const struct piece *p)
{
    struct script *t = script_of(f);

    ck_assert_uint_eq(t->lasts, 0);
    t->lasts += p->last;
    t->seen += p->data.len;
    if (t->fail_after && t->seen >= t->fail_after)
        return FLOW_FAIL;
    if (!t->hoard) {
        emit(x, f, p->data, p);
        return FLOW_ON;
    }
    ck_assert_uint_le(t->kept + p->data.len, sizeof t->hoarded);
    if (p->data.len)
        memcpy(t->hoarded + t->kept, p->data.at, p->data.len);
    t->kept += p->data.len;
    if (p->last)
        emit(x, f, str_of(t->hoarded, t->kept), p);
    return FLOW_ON;
}

static void on_done(struct exchange *x, struct frame *f)
{
    tell(stage_of(x), script_of(f)->name, '.');
    ck_assert_int_ne(f->waiter.status, WAITER_WAITING);
}

static const struct middleware scripted = { .settings = { .name = "scripted" },
                                            .state_size = 24,
                                            .on_request = on_request,
                                            .on_response = on_response,
                                            .on_request_body = on_body,
                                            .on_response_body = on_body,
                                            .on_done = on_done };

/* ---- the two ends ----------------------------------------------------------------------------- */

static size_t take(struct sink *to, const struct piece *p)
{
    size_t n = p->data.len < to->room ? p->data.len : to->room;

    ck_assert_uint_eq(to->lasts, 0);
    ck_assert_uint_le(to->len + n, BODY_MAX);
    if (n)
        memcpy(to->body + to->len, p->data.at, n);
    to->len += n;
    to->room -= n;
    to->lasts += p->last && n == p->data.len;
    return n;
}

static struct stage *stage_of_client(struct client_stream *cs)
{
    return CONTAINER(cs, struct stage, stream);
}

static void send_early(struct client_stream *cs, const struct response *r)
{
    (void)r;
    stage_of_client(cs)->earlies++;
}

static void send_head(struct client_stream *cs, struct response *r, bool last)
{
    struct stage *s = stage_of_client(cs);

    s->heads++;
    s->status = r->status;
    s->head_last = last;
}

static size_t send_body(struct client_stream *cs, const struct piece *p)
{
    struct stage *s = stage_of_client(cs);

    ck_assert_uint_eq(s->heads, 1);
    ck_assert(!s->head_last);
    return take(&s->down, p);
}

static void resume_body(struct client_stream *cs)
{
    stage_of_client(cs)->resumes++;
}

static void reset(struct client_stream *cs)
{
    stage_of_client(cs)->resets++;
}

static void ended(struct client_stream *cs)
{
    stage_of_client(cs)->ends++;
}

static const struct client_protocol protocol = { .name = "by hand",
                                                 .send_early = send_early,
                                                 .send_head = send_head,
                                                 .send_body = send_body,
                                                 .resume_body = resume_body,
                                                 .reset = reset,
                                                 .ended = ended };

void handler_head(struct exchange *x, bool last)
{
    x->resp = (struct response){
        .status = 200, .body = last ? BODY_NONE : BODY_CHUNKED, .version = 11, .keep_alive = true
    };
    fields_init(&x->resp.fields, &x->arena, 0);
    exchange_head(x, last);
}

static void start(struct exchange *x)
{
    struct stage *s = stage_of(x);

    s->starts++;
    if (s->answers_at_once)
        handler_head(x, true);
}

static size_t body(struct exchange *x, const struct piece *p)
{
    struct stage *s = stage_of(x);
    struct piece answer = { .data = STR("answer"), .last = true };

    if (s->answers_in_body) {
        s->answers_in_body = false;
        handler_head(x, false);
        ck_assert_uint_eq(exchange_body(x, &answer), answer.data.len);
    }
    return take(&s->up, p);
}

static void room(struct exchange *x)
{
    stage_of(x)->rooms++;
}

static void cancel(struct exchange *x)
{
    stage_of(x)->cancels++;
}

static const struct handler handler = {
    .name = "by hand", .start = start, .body = body, .room = room, .cancel = cancel
};

static void report(struct exchange *x)
{
    struct stage *s = stage_of(x);

    s->reports++;
    s->reason = x->reason;
}

/* ---- the stage -------------------------------------------------------------------------------- */

static void part_is_held(struct part *part)
{
    ++*(int *)(void *)part;
}

static void part_is_released(struct part *part, struct local *l)
{
    struct stage *s = CONTAINER(l, struct stage, local);

    ck_assert_ptr_eq(part, (struct part *)(void *)&s->holds);
    s->releases++;
}

static void make_router(struct stage *s)
{
    struct router_builder *b = router_builder_new();
    struct route_pattern pattern = { .path = STR("/users"),
                                     .below = true,
                                     .methods = 1u << METHOD_GET | 1u << METHOD_PUT,
                                     .label = STR("/users") };

    s->route.part = s->unmatched.part = (struct part *)(void *)&s->holds;
    ck_assert_int_eq(router_builder_add(b, &pattern, &s->route, NULL), ROUTER_ADDED);
    s->router = router_builder_finish(b);
    s->local.current.router = s->router;
    s->local.current.unmatched = &s->unmatched;
    s->local.part_hold = part_is_held;
    s->local.part_release = part_is_released;
}

static void sink_init(struct sink *k)
{
    *k = (struct sink){ .room = BODY_MAX, .body = malloc(BODY_MAX) };
    ck_assert_ptr_nonnull(k->body);
}

void stage_begin(struct stage *s, uint32_t steps)
{
    *s = (struct stage){ .stream.protocol = &protocol };
    loop_init(&s->loop);
    s->local = (struct local){ .loop = &s->loop, .report = report };
    pool_init(&s->local.exchanges, 6144, 0);
    sink_init(&s->down);
    sink_init(&s->up);
    for (uint32_t i = 0; i < steps; i++) {
        s->scripts[i].name = (char)('a' + i);
        wait_queue_init(&s->scripts[i].queue);
        s->steps[i] = (struct step){ .type = &scripted,
                                     .settings = &s->scripts[i],
                                     .mode = CONF_MODE_ENFORCE,
                                     .state_offset = i * 32 };
    }
    s->route = (struct route){ .steps = s->steps,
                               .step_count = steps,
                               .handler = &handler,
                               .limits = { .body_size = BODY_MAX } };
    s->unmatched = (struct route){ .handler = &handler,
                                   .service_name = STR("unmatched"),
                                   .limits = { .body_size = BODY_MAX } };
    make_router(s);
}

void stage_end(struct stage *s)
{
    stage_turn(s);
    ck_assert_uint_eq(s->local.running, 0);
    ck_assert_int_eq(s->releases, s->holds);
    router_free(s->router);
    free(s->down.body);
    free(s->up.body);
    pool_end(&s->local.exchanges);
    ck_assert_uint_eq(s->loop.timers.count, 0);
    loop_end(&s->loop);
}

void stage_turn(struct stage *s)
{
    for (int i = 0; i < 4; i++)
        loop_turn(&s->loop, 0);
}

void stage_pass_ms(struct stage *s, uint64_t ms)
{
    s->passed_ns += ms * NS_PER_MS;
    timers_run(&s->loop.timers, s->loop.now_ns + s->passed_ns);
    stage_turn(s);
}

struct exchange *stage_begin_request(struct stage *s, enum method method, const char *path)
{
    struct exchange *x = exchange_begin(&s->local, &s->stream);

    fields_init(&x->req.fields, &x->arena, 0);
    x->req.method = method;
    x->req.path = x->req.target = str_from(path);
    x->req.host = STR("a");
    x->req.version = 11;
    return x;
}

struct exchange *stage_ask(struct stage *s, bool with_body)
{
    struct exchange *x = exchange_begin(&s->local, &s->stream);

    fields_init(&x->req.fields, &x->arena, 0);
    x->req.method = with_body ? METHOD_PUT : METHOD_GET;
    x->req.body = with_body ? BODY_CHUNKED : BODY_NONE;
    x->req.version = 11;
    x->in = with_body ? SIDE_BODY : SIDE_DONE;
    x->route = &s->route;
    x->body_limit = s->route.limits.body_size;
    chain_prepare(x);
    chain_in(x);
    return x;
}
