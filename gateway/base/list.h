/* Doubly linked list whose links live in the members: no memory of its own, removal in one step.
 *
 * A link that is on no list points to itself, so list_remove is always allowed and list_linked tells.
 */
#ifndef GATEWAY_BASE_LIST_H
#define GATEWAY_BASE_LIST_H

#include <stdbool.h>

#include "gateway/base/check.h"

struct link_node {
    struct link_node *next, *prev;
};

struct list {
    struct link_node head;
};

static inline void link_init(struct link_node *n)
{
    n->next = n->prev = n;
}

static inline void list_init(struct list *l)
{
    link_init(&l->head);
}

static inline bool link_is_on_list(const struct link_node *n)
{
    return n->next != n;
}

static inline bool list_is_empty(const struct list *l)
{
    return l->head.next == &l->head;
}

static inline void link_between(struct link_node *n, struct link_node *before,
                                struct link_node *after)
{
    n->prev = before;
    n->next = after;
    before->next = n;
    after->prev = n;
}

static inline void list_push_back(struct list *l, struct link_node *n)
{
    link_between(n, l->head.prev, &l->head);
}

static inline void list_push_front(struct list *l, struct link_node *n)
{
    link_between(n, &l->head, l->head.next);
}

static inline void link_remove(struct link_node *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    link_init(n);
}

/* The first member's link, or NULL. */
static inline struct link_node *list_first(struct list *l)
{
    return list_is_empty(l) ? NULL : l->head.next;
}

static inline struct link_node *list_last(struct list *l)
{
    return list_is_empty(l) ? NULL : l->head.prev;
}

/* Take the first member off, or NULL. */
static inline struct link_node *list_pop_front(struct list *l)
{
    struct link_node *n = list_first(l);

    if (n)
        link_remove(n);
    return n;
}

/* Move everything from `from` to the empty list `to`. */
static inline void list_move(struct list *to, struct list *from)
{
    list_init(to);
    if (list_is_empty(from))
        return;
    to->head = from->head;
    to->head.next->prev = &to->head;
    to->head.prev->next = &to->head;
    list_init(from);
}

/* Safe against removal of `n` in the body. */
#define LIST_EACH(l, n)                                                                            \
    for (struct link_node *n = (l)->head.next, *n##_next = n->next; n != &(l)->head;               \
         n = n##_next, n##_next = n->next)

#endif
