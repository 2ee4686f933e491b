/* A stage for a handler. */
#include "by_hand.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/exchange/chain.h"

#define BODY_MAX ((size_t)64 << 20)

static struct client *client_of(struct client_stream *cs)
{
    return CONTAINER(cs, struct client, stream);
}

static void keep_header(char *to, size_t size, const struct response *r, struct str name)
{
    const struct field *f = fields_find_name(&r->fields, name);

    snprintf(to, size, "%.*s", f ? (int)f->value.len : 0, f ? f->value.at : "");
}

static void send_head(struct client_stream *cs, struct response *r, bool last)
{
    struct client *c = client_of(cs);

    ck_assert_uint_eq(c->status, 0);
    c->status = r->status;
    c->last = last;
    keep_header(c->content_type, sizeof c->content_type, r, STR("Content-Type"));
    keep_header(c->allow, sizeof c->allow, r, STR("Allow"));
    keep_header(c->cache_control, sizeof c->cache_control, r, STR("Cache-Control"));
}

static size_t send_body(struct client_stream *cs, const struct piece *p)
{
    struct client *c = client_of(cs);
    size_t n = p->data.len < c->room ? p->data.len : c->room;

    ck_assert(!c->last);
    if (n)
        memcpy(c->body + c->len, p->data.at, n);
    c->len += n;
    c->room -= n;
    c->calls++;
    c->last = p->last && n == p->data.len;
    return n;
}

static void reset(struct client_stream *cs)
{
    client_of(cs)->ended = true;
}

static void ended(struct client_stream *cs)
{
    client_of(cs)->ended = true;
}

static const struct client_protocol protocol = {
    .name = "by hand",
    .send_head = send_head,
    .send_body = send_body,
    .reset = reset,
    .ended = ended,
};

static void report(struct exchange *x)
{
    (void)x;
}

static void make_shared(struct stage *s)
{
    static const uint64_t buckets[] = { 1000000, 2500000, 1000000000 };
    struct region *r = region_new(0);

    s->globals.metrics.buckets = (struct conf_list){ (void *)(uintptr_t)buckets, 3 };
    s->globals.metrics.max_series = 20000;
    s->globals.metrics.names = CONF_METRICS_S1 | CONF_METRICS_S3 | CONF_METRICS_NATIVE;
    s->globals.shared_memory.metrics.size = 64 << 20;
    s->globals.shared_memory.limits.size = 1 << 20;
    region_begin(r);
    ck_assert_ptr_nonnull(seats_table(r));
    s->local.region = r;
    s->local.shared = shared_open(r, &s->globals);
    ck_assert_ptr_nonnull(s->local.shared);
}

void stage_begin(struct stage *s)
{
    *s = (struct stage){ 0 };
    loop_init(&s->worker.loop);
    s->local.worker = &s->worker;
    s->local.loop = &s->worker.loop;
    s->local.current.globals = &s->globals;
    s->local.report = report;
    pool_init(&s->local.exchanges, 8192, 0);
    make_shared(s);
    loop_turn(&s->worker.loop, 0);
    s->client.stream.protocol = &protocol;
    s->client.body = malloc(BODY_MAX);
    ck_assert_ptr_nonnull(s->client.body);
}

void stage_end(struct stage *s)
{
    free(s->client.body);
    shared_close(s->local.shared);
    region_close(s->local.region);
    pool_end(&s->local.exchanges);
    loop_end(&s->worker.loop);
}

struct exchange *stage_ask(struct stage *s, const struct handler *handler, const void *prepared,
                           enum method method)
{
    struct exchange *x = exchange_begin(&s->local, &s->client.stream);

    fields_init(&x->req.fields, &x->arena, 0);
    x->req.method = method;
    s->route = (struct route){ .handler = handler, .prepared = prepared };
    x->route = &s->route;
    x->in = SIDE_DONE;
    s->client.room = s->client.room ? s->client.room : BODY_MAX;
    return x;
}

void stage_turn(struct stage *s, size_t room)
{
    for (int still = 0; still < 3 && !s->client.ended; still++) {
        size_t calls = s->client.calls;

        loop_turn(&s->worker.loop, 0);
        if (room && s->client.stream.x) {
            s->client.room += room;
            exchange_client_room(s->client.stream.x);
        }
        if (s->client.calls != calls)
            still = 0;
    }
}
