/* Connections to services: one set per worker. */
#include "gateway/upstream/links.h"

#include <stdlib.h>

#include "gateway/exchange/local.h"
#include "gateway/exchange/service.h"
#include "gateway/upstream/call.h"
#include "gateway/upstream/h1_upstream.h"
#include "workers/dial.h"

#define LINK_MAGIC 0x11e4c0deu

struct links *links_new(struct local *local)
{
    struct links *l = calloc(1, sizeof *l);

    if (!l)
        die("out of memory for links");
    l->local = local;
    l->bucket_mask = 63;
    l->buckets = calloc(l->bucket_mask + 1, sizeof(struct target *));
    if (!l->buckets)
        die("out of memory for links");
    pool_init(&local->upstream_links, sizeof(struct link), 0);
    return l;
}

void links_limit(struct links *l, const struct link_limits *limits)
{
    l->limits = *limits;
}

void links_end(struct links *l)
{
    for (uint32_t i = 0; i <= l->bucket_mask; i++) {
        struct target *next;

        for (struct target *t = l->buckets[i]; t; t = next) {
            next = t->next;
            while (!list_is_empty(&t->idle))
                link_close(CONTAINER(list_first(&t->idle), struct link, node));
            free(t);
        }
    }
    free(l->buckets);
    free(l);
}

static void grow(struct links *l)
{
    uint32_t mask = l->bucket_mask * 2 + 1;
    struct target **buckets = calloc(mask + 1, sizeof(struct target *));

    if (!buckets)
        die("out of memory for %u targets", l->targets);
    for (uint32_t i = 0; i <= l->bucket_mask; i++) {
        struct target *next;

        for (struct target *t = l->buckets[i]; t; t = next) {
            next = t->next;
            t->next = buckets[t->id & mask];
            buckets[t->id & mask] = t;
        }
    }
    free(l->buckets);
    l->buckets = buckets;
    l->bucket_mask = mask;
}

struct target *links_target(struct links *l, uint64_t id)
{
    struct target *t = l->buckets[id & l->bucket_mask];

    while (t && t->id != id)
        t = t->next;
    if (LIKELY(t != NULL))
        return t;
    if (l->targets > l->bucket_mask)
        grow(l);
    t = calloc(1, sizeof *t);
    if (!t)
        die("out of memory for a target");
    t->id = id;
    t->links = l;
    list_init(&t->idle);
    list_init(&t->line);
    t->next = l->buckets[id & l->bucket_mask];
    l->buckets[id & l->bucket_mask] = t;
    l->targets++;
    return t;
}

void links_sweep(struct links *l)
{
    for (uint32_t i = 0; i <= l->bucket_mask; i++) {
        struct target **at = &l->buckets[i];

        while (*at) {
            struct target *t = *at;

            if (t->open > 0 || !list_is_empty(&t->line)) {
                at = &t->next;
                continue;
            }
            *at = t->next;
            l->targets--;
            free(t);
        }
    }
}

struct link *link_of(struct conn *c)
{
    struct link *l = c->owner;

    CHECK(l->magic == LINK_MAGIC);
    return l;
}

void link_set_due(struct link *l, uint64_t due_ns)
{
    l->due_ns = due_ns;
    conn_set_due(l->conn, due_ns);
}

static void leave_idle(struct link *l)
{
    link_remove(&l->node);
    l->target->idle_count--;
    l->target->links->idle--;
}

struct link *links_take(struct target *t)
{
    struct link_node *n;

    while ((n = list_first(&t->idle))) {
        struct link *l = CONTAINER(n, struct link, node);

        if (l->conn->hung_up || l->conn->broken) { /* its end is known but was not handled yet */
            link_close(l);
            continue;
        }
        leave_idle(l);
        l->state = LINK_BUSY;
        t->links->reused++;
        return l;
    }
    return NULL;
}

bool links_may_open(const struct target *t)
{
    return t->open < t->links->limits.max_per_host;
}

struct link *links_dial(struct target *t, const struct endpoint *e, uint8_t address,
                        struct call *call)
{
    struct local *local = t->links->local;
    struct link *l = pool_take(&local->upstream_links);
    const struct endpoint_address *a = &e->addresses[address];

    *l = (struct link){ .magic = LINK_MAGIC,
                        .state = LINK_OPENING,
                        .pool = &local->upstream_links,
                        .protocol = &h1_upstream,
                        .target = t,
                        .call = call };
    link_init(&l->node);
    l->conn = dial(local->loop, &local->conns, (const struct sockaddr *)&a->at, a->len,
                   &l->protocol->events, l);
    if (!l->conn) {
        l->magic = 0;
        pool_give(&local->upstream_links, l);
        return NULL;
    }
    t->open++;
    t->links->open++;
    t->links->dialled++;
    return l;
}

static void start_next_in_line(struct link *l)
{
    struct call *call = CONTAINER(list_pop_front(&l->target->line), struct call, waiting);

    l->target->line_count--;
    l->state = LINK_BUSY;
    timer_unset(&call->timer);
    call->link = l;
    l->protocol->start(l, call);
}

void link_put(struct link *l)
{
    struct target *t = l->target;
    struct links *links = t->links;

    CHECK(l->state == LINK_BUSY);
    l->call = NULL;
    l->served = true;
    if (!list_is_empty(&t->line)) {
        start_next_in_line(l);
        return;
    }
    if (links->idle >= links->limits.max_idle || links->local->draining) {
        link_close(l);
        return;
    }
    l->state = LINK_IDLE;
    list_push_front(&t->idle, &l->node);
    t->idle_count++;
    links->idle++;
}

static void free_link(struct task *task)
{
    struct link *l = CONTAINER(task, struct link, end_task);

    l->magic = 0;
    pool_give(l->pool, l);
}

/* A place is free: who waits first may dial. */
static void let_next_dial(struct target *t)
{
    /* One that cannot even begin to dial leaves the place to the next. */
    while (!list_is_empty(&t->line) && links_may_open(t)) {
        struct call *call = CONTAINER(list_pop_front(&t->line), struct call, waiting);

        t->line_count--;
        timer_unset(&call->timer);
        call_start(call);
        if (link_is_on_list(
                &call->waiting)) /* no descriptors: back in line, and no place after all */
            return;
    }
}

void link_close(struct link *l)
{
    struct target *t = l->target;

    CHECK(l->state != LINK_CLOSED);
    if (l->state == LINK_IDLE)
        leave_idle(l);
    l->state = LINK_CLOSED;
    l->call = NULL;
    conn_close(l->conn, CLOSE_NOW);
    t->open--;
    t->links->open--;
    task_init(&l->end_task, free_link);
    loop_queue_end(t->links->local->loop, &l->end_task);
    let_next_dial(t);
}
