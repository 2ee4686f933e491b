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
#include <stdint.h>

#include "workers/cpu.h"
#include "workers/crew.h"
#include "workers/listener.h"
#include "workers/logfiles.h"
#include "workers/loop.h"
#include "workers/pidfile.h"
#include "workers/privilege.h"
#include "workers/program.h"
#include "workers/reload.h"
#include "workers/title.h"

struct master_options {
    const char *path;     /* of the configuration, as program->rehearse wants it */
    bool daemon;          /* go to the background; return when it is READY, or failed */
    const char *pid_file; /* instead of settings->pid_file; NULL: that */
    struct title *title;  /* from title_claim(argc, argv); NULL: titles stay */
};

/* Run until stopped. Call it with one thread and before any is made.
 * returns  the exit status: 0 after an orderly end, 1 when it could not start (the reason has been logged) */
int master_run(const struct program *p, const struct master_options *o);

/* ---- for crew.c and reload.c ---- */

enum stopping {
    STOPPING_NOT,
    STOPPING_SOON,      /* the drain delay: everything goes on, /ready says no */
    STOPPING_WORKERS,   /* they drain */
    STOPPING_CARETAKER, /* the workers are gone; it writes what they left */
    STOPPING_NOW        /* the second signal */
};

struct seats_shared;

struct master {
    const struct program *program;
    const struct master_options *options;
    struct loop loop;
    struct watch signals;
    struct region *region;
    struct seats_shared *seats;
    struct load now; /* what runs */
    struct reload reload;
    struct listeners listeners;
    struct logfiles logs;
    struct crew crew;
    struct pidfile pidfile;
    int waiting_caller; /* of --daemon; -1: none */
    bool booting;       /* not all have been READY yet */
    int status;
    enum stopping stopping;
    struct timer stop_timer, tick, watchdog;
    struct task left; /* a child has ended: is it time for the next step? */
    uint64_t watchdog_ns, cut;
    bool to_sweep; /* tables of older generations may be left */

    /* What a reload cannot change. */
    struct rights rights;
    struct cpus cpus;
    enum pinning pin;
    cpu_set_t *pin_masks;
    size_t pin_count;
    uint64_t descriptors;
};

/* Everybody has adopted the first snapshot. */
void master_is_ready(struct master *m);
/* It makes no sense to begin, or to go on: end with status 1. */
void master_give_up(struct master *m);
/* A child has ended and nothing takes its place. */
void master_child_left(struct master *m);

#endif
