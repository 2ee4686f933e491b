/* Timers of one loop: lazy, on a binary heap. */
#include "workers/timer.h"

#include <stdlib.h>

#include "gateway/base/check.h"

void timers_init(struct timers *h)
{
    *h = (struct timers){ .room = 64 };
    h->heap = malloc(h->room * sizeof *h->heap);
    if (!h->heap)
        die("out of memory for timers");
}

void timers_end(struct timers *h)
{
    free(h->heap);
    *h = (struct timers){ 0 };
}

static void put(struct timers *h, uint32_t i, struct timer_entry e)
{
    h->heap[i] = e;
    e.timer->place = i + 1;
}

static void sift_up(struct timers *h, uint32_t i, struct timer_entry e)
{
    while (i > 0 && h->heap[(i - 1) / 2].key_ns > e.key_ns) {
        put(h, i, h->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(h, i, e);
}

static void sift_down(struct timers *h, uint32_t i, struct timer_entry e)
{
    for (;;) {
        uint32_t child = 2 * i + 1;

        if (child >= h->count)
            break;
        if (child + 1 < h->count && h->heap[child + 1].key_ns < h->heap[child].key_ns)
            child++;
        if (h->heap[child].key_ns >= e.key_ns)
            break;
        put(h, i, h->heap[child]);
        i = child;
    }
    put(h, i, e);
}

void timer_place(struct timers *h, struct timer *t)
{
    struct timer_entry e = { t->due_ns, t };

    if (t->place) {
        sift_up(h, t->place - 1, e);
        return;
    }
    if (h->count == h->room) {
        h->room *= 2;
        h->heap = realloc(h->heap, h->room * sizeof *h->heap);
        if (!h->heap)
            die("out of memory for %u timers", h->room);
    }
    sift_up(h, h->count++, e);
}

void timer_remove(struct timers *h, struct timer *t)
{
    uint32_t i = t->place;
    struct timer_entry last;

    t->due_ns = 0;
    if (i-- == 0)
        return;
    t->place = 0;
    last = h->heap[--h->count];
    if (i == h->count)
        return;
    if (i > 0 && h->heap[(i - 1) / 2].key_ns > last.key_ns)
        sift_up(h, i, last);
    else
        sift_down(h, i, last);
}

void timers_run(struct timers *h, uint64_t now_ns)
{
    uint32_t most =
        h->count; /* one that is set for now again waits a turn: no loop without an end */

    while (h->count && h->heap[0].key_ns <= now_ns && most > 0) {
        struct timer *t = h->heap[0].timer;

        if (t->due_ns >
            now_ns) { /* it was moved later since: this is where the heap learns of it */
            sift_down(h, 0, (struct timer_entry){ t->due_ns, t });
            continue;
        }
        if (t->due_ns == 0) {
            timer_remove(h, t);
            continue;
        }
        timer_remove(h, t);
        most--;
        t->on_due(t);
    }
}

uint64_t timers_next(const struct timers *h)
{
    return h->count ? h->heap[0].key_ns : UINT64_MAX;
}
