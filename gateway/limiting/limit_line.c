/* Lines of those who wait for a place. */
#include "gateway/limiting/limit_line.h"

#include <stdlib.h>

#include "gateway/base/number.h"
#include "gateway/exchange/local.h"

/* How often a line looks by itself. */
#define LOOK_NS (50 * NS_PER_MS)

struct limit_line {
    struct link_node node; /* in its bucket */
    struct limit_lines *lines;
    uint64_t key;
    struct places places;
    struct limit_most most; /* as the newest who came has it */
    const void *snapshot;   /* … and where that is from */
    struct list waiting;    /* of struct limit_wait; the longest first */
    struct timer look;
    struct task end;
};

struct limit_lines {
    struct local *local;
    struct list buckets[PLACES_NUMBERS]; /* so that a call names a bucket */
    struct places places;                /* as long as there are lines there is one table */
    size_t count;
    struct pool pool;
};

uint64_t limit_most_now(const struct limit_most *m)
{
    return m->measure ? gradient_limit(&m->gradient, m->measure) : m->max;
}

static struct limit_wait *first_of(struct limit_line *line)
{
    struct link_node *n = list_first(&line->waiting);

    return n ? CONTAINER(n, struct limit_wait, node) : NULL;
}

/* ---- the lines of a worker -------------------------------------------------------------------- */

static struct limit_lines *lines_of(struct local *l)
{
    struct limit_lines *all = l->lines;

    if (all)
        return all;
    all = l->lines = malloc(sizeof *all);
    if (!all)
        die("out of memory for lines of those who wait");
    *all = (struct limit_lines){ .local = l };
    pool_init(&all->pool, sizeof(struct limit_line), 0);
    for (size_t i = 0; i < PLACES_NUMBERS; i++)
        list_init(&all->buckets[i]);
    return all;
}

static struct list *bucket_of(struct limit_lines *all, uint64_t key)
{
    return &all->buckets[places_number(key)];
}

static struct limit_line *find(struct local *l, uint64_t key)
{
    if (!l->lines)
        return NULL;
    LIST_EACH (bucket_of(l->lines, key), n) {
        struct limit_line *line = CONTAINER(n, struct limit_line, node);

        if (line->key == key)
            return line;
    }
    return NULL;
}

static void on_end(struct task *t)
{
    struct limit_line *line = CONTAINER(t, struct limit_line, end);

    pool_give(&line->lines->pool, line);
}

/* Nobody waits in it any more. */
static void dissolve(struct limit_line *line)
{
    struct loop *loop = line->lines->local->loop;

    link_remove(&line->node);
    timer_remove(&loop->timers, &line->look);
    line->lines->count--;
    loop_queue_end(loop, &line->end); /* we may be inside a function of its own */
}

/* ---- serving ---------------------------------------------------------------------------------- */

/* The first has gone, with a place or without: who is first now? False: nobody, and the line is no more. */
static bool move_up(struct limit_line *line)
{
    struct limit_wait *first = first_of(line);

    if (!first) {
        dissolve(line);
        return false;
    }
    places_first_since(&line->places, line->lines->local->seat, line->key, first->since_ns);
    return true;
}

/* The first takes a place, if there is one. */
static bool advance(struct limit_line *line, uint64_t max)
{
    struct limit_wait *first = first_of(line);

    if (!places_advance(&line->places, line->lines->local->seat, line->key, max))
        return false;
    link_remove(&first->node);
    first->line = NULL;
    wait_queue_wake(&first->woken, WAITER_OK, NULL);
    return true;
}

void limit_line_serve(struct local *l, const struct places *p, uint64_t key,
                      const struct limit_most *most)
{
    struct limit_line *line = find(l, key);
    uint64_t max = limit_most_now(line ? &line->most : most);
    uint32_t late = SEAT_NONE;

    for (;;) {
        struct places_view v = places_look(p, l->seat, key, l->loop->now_ns);

        if (v.next == SEAT_NONE || v.taken + v.promised >= max)
            return;
        if (v.next == l->seat) {
            if (!line || !advance(line, max))
                return; /* a racer was faster, or holds us up for a moment: the look will tell */
            if (!move_up(line))
                line = NULL;
            continue;
        }
        places_call(p, l->bells, v.next, key, l->loop->now_ns);
        if (v.next == late) /* it does not come, and nobody else is there */
            return;
        late = v.next;
    }
}

/* Nobody may have told us, or the one whose turn it is may hang: here is who takes what there is. */
static void look(struct limit_line *line)
{
    struct local *l = line->lines->local;
    const struct limit_wait *first = first_of(line);

    if (line->snapshot != l->current.snapshot) {
        line->snapshot = l->current.snapshot;
        if (!first->renew(first->frame, &line->most))
            line->snapshot = NULL; /* it is not in there any more: as it was */
    }
    while (advance(line, limit_most_now(&line->most)))
        if (!move_up(line))
            return;
    timer_set(&l->loop->timers, &line->look, l->loop->now_ns + LOOK_NS);
}

static void on_look(struct timer *t)
{
    look(CONTAINER(t, struct limit_line, look));
}

void limit_lines_called(struct local *l)
{
    struct limit_lines *all = l->lines;
    uint64_t calls;

    if (!all || all->count == 0) /* who left has passed on what it was called for */
        return;
    for (calls = places_calls(&all->places, l->seat); calls; calls &= calls - 1)
        LIST_EACH (&all->buckets[__builtin_ctzll(calls)], n) {
            struct limit_line *line = CONTAINER(n, struct limit_line, node);

            limit_line_serve(l, &line->places, line->key, &line->most);
        }
}

/* ---- coming and going ------------------------------------------------------------------------- */

static struct limit_line *form(struct local *l, const struct places *p, uint64_t key)
{
    struct limit_lines *all = lines_of(l);
    struct limit_line *line = pool_take(&all->pool);

    if (all->count == 0) /* calls that came when nobody waited: a late one would be passed over */
        (void)places_calls(p, l->seat);
    *line = (struct limit_line){ .lines = all, .key = key, .places = *p };
    list_init(&line->waiting);
    timer_init(&line->look, on_look);
    task_init(&line->end, on_end);
    list_push_back(bucket_of(all, key), &line->node);
    all->places = *p;
    all->count++;
    timer_set(&l->loop->timers, &line->look, l->loop->now_ns + LOOK_NS);
    return line;
}

enum places_result limit_line_join(struct local *l, const struct places *p, uint64_t key,
                                   const struct limit_most *most, uint64_t most_waiting,
                                   struct limit_wait *w)
{
    struct limit_line *line = find(l, key);
    enum places_result r = places_wait(p, l->seat, key, most_waiting, l->loop->now_ns);

    if (r != PLACES_GOT)
        return r;
    if (!line)
        line = form(l, p, key);
    line->most = *most;
    line->snapshot = l->current.snapshot;
    link_init(&w->node);
    wait_queue_init(&w->woken);
    w->line = line;
    w->since_ns = l->loop->now_ns;
    list_push_back(&line->waiting, &w->node);
    return PLACES_GOT;
}

void limit_line_leave(struct local *l, struct limit_wait *w)
{
    struct limit_line *line = w->line;
    struct places p = line->places;
    struct limit_most most = line->most;
    uint64_t key = line->key;
    bool was_first = first_of(line) == w;

    link_remove(&w->node);
    w->line = NULL;
    places_leave(&p, l->seat, key);
    if (was_first)
        (void)move_up(line);
    /* if we were called for a place just now, somebody else shall have it */
    limit_line_serve(l, &p, key, &most);
}

void limit_lines_end(struct local *l)
{
    if (!l->lines)
        return;
    CHECK(l->lines->count == 0);
    pool_end(&l->lines->pool);
    free(l->lines);
    l->lines = NULL;
}
