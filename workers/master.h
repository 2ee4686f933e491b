/* The parent: loads, listens, forks, watches, reloads, stops. It never touches a client's bytes.
 *
 * A loop like any other: signals are read from a descriptor, children talk over control sockets, time is
 * timers. What a worker is asked to do next is always a function of the current state (which slots exist,
 * who is alive, which generation is wanted), never a remembered sequence, so a death at any moment is an
 * ordinary event.
 */
#ifndef WORKERS_MASTER_H
#define WORKERS_MASTER_H

#include <stdbool.h>

#include "workers/program.h"
#include "workers/title.h"

struct master_options {
    const char *path;              /* of the configuration, as program->rehearse wants it      */
    bool daemon;                   /* go to the background; return when it is READY, or failed */
    const char *pid_file;          /* instead of settings->pid_file; NULL: that                */
    struct title *title;           /* from title_claim(argc, argv); NULL: titles stay          */
};

/* Run until stopped. Call it with one thread and before any is made.
 * returns  the exit status: 0 after an orderly end, 1 when it could not start (the reason has been logged) */
int master_run(const struct program *p, const struct master_options *o);

#endif
