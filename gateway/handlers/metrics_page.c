/* /metrics.
 *
 *     head → make a piece → offer it → taken whole: the next one in the next turn
 *                                    → taken in part: the rest when there is room
 */
#include "gateway/handlers/metrics_page.h"

#include <stdlib.h>

#include "conf/settings.h"
#include "gateway/base/clock.h"
#include "gateway/exchange/local.h"
#include "gateway/handlers/gauges.h"
#include "gateway/handlers/own.h"
#include "gateway/handlers/prometheus.h"

/* A piece is ended when the largest series might not fit any more. */
#define PIECE_BYTES ((size_t)48 * 1024)

struct page {
    struct exchange *x;
    struct task task;
    struct gauge_sources sources;
    uint64_t names;
    size_t family, gauge; /* where we are: first the counted families, then the gauges */
    size_t i;             /* … and in that                                        */
    bool titled;          /* its HELP and TYPE have been written                  */
    bool all_made;
    struct prometheus text;
    size_t taken; /* of text */
};

_Static_assert(PIECE_BYTES >= 2 * PROMETHEUS_SERIES_MAX, "a piece holds a series and its title");

static struct page *page_of(const struct exchange *x)
{
    return x->answer;
}

/* ---- making ----------------------------------------------------------------------------------- */

static void begin_title(struct page *p, const char *name, const char *help, const char *type)
{
    if (p->titled)
        return;
    prometheus_family(&p->text, str_from(name), str_from(help), str_from(type));
    p->titled = true;
}

static void next_family(size_t *which, struct page *p)
{
    ++*which;
    p->i = 0;
    p->titled = false;
}

static void make_counted(struct page *p)
{
    const struct shared *s = p->sources.shared;
    const struct rows_family *f = &s->families[p->family];
    struct rows_series series;

    if (!(family_names((enum family)p->family) & p->names)) {
        next_family(&p->family, p);
        return;
    }
    begin_title(p, f->name, f->help, f->type == ROWS_HISTOGRAM ? "histogram" : "counter");
    if (rows_next(&s->rows, (uint32_t)p->family, seats_high(s->seats), &p->i, &series))
        prometheus_series(&p->text, f, &series);
    else
        next_family(&p->family, p);
}

static void make_gauge(struct page *p)
{
    const struct gauge *g = gauges_at(p->gauge);

    if (!g) {
        p->all_made = true;
        return;
    }
    if (!(g->names & p->names)) {
        next_family(&p->gauge, p);
        return;
    }
    begin_title(p, g->name, g->help, g->type);
    if (!g->next(g, &p->sources, &p->i, &p->text))
        next_family(&p->gauge, p);
}

static void make_piece(struct page *p)
{
    p->text.len = p->taken = 0;
    while (!p->all_made && p->text.len + PROMETHEUS_SERIES_MAX <= p->text.size)
        if (p->family < FAMILY_COUNT)
            make_counted(p);
        else
            make_gauge(p);
}

/* ---- giving ----------------------------------------------------------------------------------- */

static void give(struct page *p)
{
    struct exchange *x = p->x;
    struct piece piece;

    if (p->taken == p->text.len && !p->all_made)
        make_piece(p);
    piece = (struct piece){ .data = str_of(p->text.at + p->taken, p->text.len - p->taken),
                            .last = p->all_made };
    p->taken += exchange_body(x, &piece);
    if (p->taken == p->text.len && !p->all_made)
        loop_queue(x->local->loop, &p->task);
}

static void on_task(struct task *t)
{
    give(CONTAINER(t, struct page, task));
}

static void room(struct exchange *x)
{
    give(page_of(x));
}

static void cancel(struct exchange *x)
{
    if (page_of(x))
        task_cancel(&page_of(x)->task);
}

static void start(struct exchange *x)
{
    bool head_only = x->req.method == METHOD_HEAD;
    struct page *p;

    if (!own_is_read(x))
        return;
    p = ARENA_NEW(&x->arena, struct page);
    *p = (struct page){
        .x = x,
        .sources = { .shared = x->local->shared, .now_ns = clock_now_ns() },
        .names = x->local->current.globals->metrics.names,
        .text = { .at = arena_take_bytes(&x->arena, PIECE_BYTES), .size = PIECE_BYTES },
    };
    task_init(&p->task, on_task);
    x->answer = p;
    x->resp = (struct response){ .status = 200,
                                 .body = head_only ? BODY_NONE : BODY_CHUNKED,
                                 .version = 11,
                                 .keep_alive = true };
    fields_init(&x->resp.fields, &x->arena, 4);
    fields_add_known(&x->resp.fields, FIELD_CONTENT_TYPE,
                     STR("text/plain; version=0.0.4; charset=utf-8"));
    fields_add(&x->resp.fields, STR("Cache-Control"), STR("no-store"));
    exchange_head(x, head_only);
    if (!head_only && x->handler_runs)
        give(p);
}

const struct handler metrics_page_handler = {
    .name = "metrics_page",
    .start = start,
    .room = room,
    .cancel = cancel,
};
