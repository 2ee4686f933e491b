/* What each signal means to the master, read from a descriptor like everything else.
 *
 * Children ignore all of them: a terminal's Ctrl-C and a service manager's SIGTERM reach every process of a
 * group, and only the master may say what that means for whom.
 */
#ifndef WORKERS_SIGNALS_H
#define WORKERS_SIGNALS_H

#include <stdbool.h>

#include "gateway/base/check.h"

enum order {
    ORDER_RELOAD,  /* SIGHUP */
    ORDER_STOP,    /* SIGTERM, SIGINT, SIGQUIT: drain; the second: now */
    ORDER_REOPEN,  /* SIGUSR1 */
    ORDER_UPGRADE, /* SIGUSR2 */
    ORDER_CHILD    /* SIGCHLD */
};

/* Block what the table names and read it from a descriptor instead. SIGPIPE and SIGXFSZ are ignored. Dies when it
 * cannot. */
int signals_open(void) MUST_USE;
/* The next one that waits. False: none now. */
bool signals_next(int fd, enum order *order, const char **name);
/* In a child: ignore what the master reads, and unblock. */
void signals_leave(void);

#endif
