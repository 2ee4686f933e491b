/* Which child polls which listening socket. */
#include "workers/lend.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/base/check.h"
#include "workers/control.h"
#include "workers/crew.h"
#include "workers/listener.h"
#include "workers/master.h"

static struct child *worker_of_slot(struct master *m, uint32_t slot)
{
    LIST_EACH (&m->crew.children, n) {
        if (child_at(n)->slot == slot && child_may_poll(child_at(n)))
            return child_at(n);
    }
    return NULL;
}

/* Its own worker; while that is dead, or when there are fewer workers than slots, the next that lives. */
static struct child *owner_of(struct master *m, uint32_t slot)
{
    for (uint32_t i = 0; i < m->now.workers; i++) {
        struct child *c = worker_of_slot(m, (slot + i) % m->now.workers);

        if (c)
            return c;
    }
    return NULL;
}

static size_t find_held(const struct child *c, uint32_t listener, uint32_t slot)
{
    size_t i = 0;

    while (i < c->held_count && (c->held[i].listener != listener || c->held[i].slot != slot))
        i++;
    return i;
}

static void give(struct child *c, const struct listener *l, uint32_t slot)
{
    struct control_message msg = { .kind = CONTROL_LISTENER,
                                   .listener = l->id,
                                   .slot = slot,
                                   .flags = l->local ? CONTROL_FLAG_LOCAL : 0 };

    if (find_held(c, l->id, slot) < c->held_count)
        return;
    if (c->held_count == c->held_room) {
        c->held_room = c->held_room ? 2 * c->held_room : 8;
        c->held = realloc(c->held, c->held_room * sizeof *c->held);
        if (!c->held)
            die("out of memory for sockets");
    }
    c->held[c->held_count++] = (struct held_socket){ .listener = l->id, .slot = slot };
    snprintf(msg.text, sizeof msg.text, "%s", l->address);
    child_tell(c, &msg, l->fds[slot]);
}

static void take_back(struct child *c, size_t i, bool last)
{
    struct control_message msg = { .kind = CONTROL_DROP,
                                   .listener = c->held[i].listener,
                                   .slot = c->held[i].slot,
                                   .number = last };

    c->held[i] = c->held[--c->held_count];
    child_tell(c, &msg, -1);
}

static struct listener *listener_of(struct master *m, uint32_t id)
{
    LIST_EACH (&m->listeners.list, n) {
        struct listener *l = CONTAINER(n, struct listener, node);

        if (l->id == id)
            return l;
    }
    return NULL;
}

static void give_all(struct master *m, const struct listener *l)
{
    for (uint32_t slot = 0; slot < l->listening; slot++) {
        if (l->local) {
            LIST_EACH (&m->crew.children, n) {
                if (child_may_poll(child_at(n)))
                    give(child_at(n), l, slot);
            }
        } else if (owner_of(m, slot)) {
            give(owner_of(m, slot), l, slot);
        }
    }
}

void lend_sockets(struct master *m)
{
    if (m->booting)
        return;
    LIST_EACH (&m->listeners.list, n) {
        give_all(m, CONTAINER(n, struct listener, node));
    }
    /* Only now from those who stood in: no queue is without somebody who looks. */
    LIST_EACH (&m->crew.children, n) {
        struct child *c = child_at(n);

        for (size_t i = child_may_poll(c) ? c->held_count : 0; i-- > 0;) {
            const struct listener *l = listener_of(m, c->held[i].listener);

            if (l && !l->local && owner_of(m, c->held[i].slot) != c)
                take_back(c, i, false);
        }
    }
}

void lend_no_more(struct master *m, uint32_t listener)
{
    LIST_EACH (&m->crew.children, n) {
        struct child *c = child_at(n);

        for (size_t i = c->held_count; i-- > 0;)
            if (c->held[i].listener == listener)
                take_back(c, i, true);
    }
}
