/* The pid file: a number for people and scripts, and a lock for us.
 *
 * The lock, not the number, says whether somebody runs: it goes with the process, so a file left by a crash
 * or a number that another process has by now deceives nobody.
 */
#ifndef WORKERS_PIDFILE_H
#define WORKERS_PIDFILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "gateway/base/check.h"

struct pidfile {
    int fd; /* -1: none */
    char path[4096];
};

#define PIDFILE_NONE ((struct pidfile){ .fd = -1 })

/* Take the lock and write our number. False: somebody runs already or the file cannot be written; logged. */
bool pidfile_take(struct pidfile *f, const char *path) MUST_USE;
/* Remove the file and let go of the lock. */
void pidfile_end(struct pidfile *f);
/* In a child: the lock is the master's. */
void pidfile_leave(struct pidfile *f);

enum pidfile_state { PIDFILE_RUNS, PIDFILE_NOBODY, PIDFILE_UNREADABLE };
/* Who holds it. PIDFILE_UNREADABLE: errno says why. */
enum pidfile_state pidfile_look(const char *path, pid_t *pid) MUST_USE;

#endif
