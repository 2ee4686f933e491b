/* Giving up what a worker does not need: the user, the way back to more rights; and asking for descriptors.
 *
 * The master keeps its rights (ports, keys, log files need them); workers and the caretaker drop theirs before
 * they see a byte from outside.
 */
#ifndef WORKERS_PRIVILEGE_H
#define WORKERS_PRIVILEGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "gateway/base/check.h"
#include "gateway/base/str.h"

#define RIGHTS_GROUPS_MAX 64

/* Whom to become. */
struct rights {
    bool change;
    uid_t user;
    gid_t group;
    gid_t groups[RIGHTS_GROUPS_MAX];
    int group_count;
};

/* Look the names (or numbers) up, in the master, where a mistake still fails the start.
 * user     empty: stay who we are. Somebody who is not root can only stay: that is said in the log.
 * group    empty: the user's own */
bool rights_find(struct str user, struct str group, struct rights *r) MUST_USE;
/* Become them, for good. Dies when it cannot: a worker must not run with more than it was meant to have. */
void rights_drop(const struct rights *r);

/* Raise the limit on open descriptors to `need`, as far as we may.
 * returns  the limit now; less than `need` is worth a word in the log */
uint64_t descriptors_allow(uint64_t need);

/* A process whose clients have used up all descriptors must still be able to take what its master sends it: a socket of a
 * neighbour that died, the bundle of a reload. So a few below the hard limit are kept back, and lent for the time of a
 * receipt; _lend returns the limit to _return to. They need no rights: a soft limit goes up to the hard one. */
void descriptors_keep_back(void);
uint64_t descriptors_lend(void);
void descriptors_return(uint64_t limit);

#endif
