/* What reloads have ended. */
#include "gateway/ended.h"

#include "gateway/base/clock.h"

#define IN_A_TURN_NS (NS_PER_MS / 4) /* beside the slice of a build */

/* The smallest piece that can be let go; false: there is none. */
static bool let_go_one(struct ended *e)
{
    struct snapshot *s;
    struct part *p;

    if (list_is_empty(&e->snapshots))
        return arena_bin_give_one(&e->bin);
    s = CONTAINER(e->snapshots.head.next, struct snapshot, node);
    p = snapshot_take_part(s);
    if (!p) {
        snapshot_free(s);
        e->moved_on(e);
    } else if (part_leave(p, &e->bin)) {
        p->generation = s->generation;
        list_push_back(&e->orphans, &p->node);
    }
    return true;
}

static void on_turn(struct task *t)
{
    struct ended *e = CONTAINER(t, struct ended, task);
    uint64_t until_ns = clock_now_ns() + IN_A_TURN_NS;

    while (let_go_one(e))
        if (clock_now_ns() >= until_ns) {
            ended_soon(e);
            return;
        }
}

void ended_init(struct ended *e, struct loop *l, void (*moved_on)(struct ended *e))
{
    *e = (struct ended){ .loop = l, .moved_on = moved_on };
    list_init(&e->snapshots);
    list_init(&e->orphans);
    task_init(&e->task, on_turn);
}

void ended_take(struct ended *e, struct snapshot *s)
{
    s->bin = &e->bin;
    list_push_back(&e->snapshots, &s->node);
    ended_soon(e);
}

void ended_release(struct ended *e, struct part *p)
{
    bool last_orphan = link_is_on_list(&p->node) && p->holders == 1;

    part_release(p, &e->bin);
    if (last_orphan) {
        ended_soon(e);
        e->moved_on(e);
    }
}

void ended_soon(struct ended *e)
{
    loop_queue(e->loop, &e->task);
}

uint64_t ended_oldest(const struct ended *e)
{
    uint64_t oldest = UINT64_MAX;

    LIST_EACH (&e->snapshots, n) {
        const struct snapshot *s = CONTAINER(n, struct snapshot, node);

        oldest = s->generation < oldest ? s->generation : oldest;
    }
    LIST_EACH (&e->orphans, n) {
        const struct part *p = CONTAINER(n, struct part, node);

        oldest = p->generation < oldest ? p->generation : oldest;
    }
    return oldest;
}

void ended_all(struct ended *e)
{
    while (let_go_one(e))
        ;
    task_cancel(&e->task);
}
