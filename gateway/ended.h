/* What reloads have ended, let go a little in each turn of the loop.
 *
 * To free the snapshot of a large configuration, and the tree that one was read from, takes milliseconds, and there are
 * clients. So snapshots wait here to be taken apart part by part, and what they leave waits in a bin to be given back
 * block by block. A part that exchanges still hold when no snapshot has it any more lives on here as an orphan. One
 * process, one thread.
 */
#ifndef GATEWAY_ENDED_H
#define GATEWAY_ENDED_H

#include "gateway/base/arena.h"
#include "gateway/base/list.h"
#include "gateway/part.h"
#include "gateway/snapshot.h"
#include "workers/loop.h"

struct ended {
    struct loop *loop;
    struct list snapshots, orphans;
    struct arena_bin bin; /* for snapshot->bin; after using it say ended_soon */
    struct task task;
    void (*moved_on)(struct ended *e);
};

/* moved_on: ended_oldest may be another one now. */
void ended_init(struct ended *e, struct loop *l, void (*moved_on)(struct ended *e));
/* From now on it is used by nobody. Also one that was still being built. */
void ended_take(struct ended *e, struct snapshot *s);
/* An exchange holds the part no more. */
void ended_release(struct ended *e, struct part *p);
/* There is something in the bin. */
void ended_soon(struct ended *e);
/* The oldest generation of all that is here; UINT64_MAX: nothing is. */
uint64_t ended_oldest(const struct ended *e);
/* All of it at once, but for orphans, which have holders. */
void ended_all(struct ended *e);

#endif
