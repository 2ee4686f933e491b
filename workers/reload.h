/* A reload: rehearse, ask one worker, ask the others, and only then let the old one go.
 *
 * Until everybody has said ADOPTED the previous load is whole: its bundle is open, its listeners and logs are
 * there, a worker that dies is reborn on it. One refusal, one death in the middle of adopting or one that
 * takes too long, and all go back to it.
 */
#ifndef WORKERS_RELOAD_H
#define WORKERS_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "workers/program.h"
#include "workers/timer.h"

struct child;
struct control_message;
struct master;

/* One reading of the configuration, as the master holds it. */
struct load {
    struct snapshot *snapshot; /* NULL: none */
    const struct engine_settings *settings;
    int bundle;
    uint64_t generation;
    uint32_t workers; /* with `auto` resolved */
};

#define LOAD_NONE ((struct load){ .bundle = -1 })

enum reload_phase {
    RELOAD_NONE,
    RELOAD_FIRST, /* one worker is asked */
    RELOAD_REST,  /* it adopted: all others are */
    RELOAD_BACK   /* somebody refused: who adopted goes back */
};

struct reload {
    enum reload_phase phase;
    bool again;   /* another was asked for meanwhile */
    bool hurried; /* nobody was there to ask: they were started */
    struct load next;
    struct timer due;
};

void reload_init(struct reload *r);
/* Read the configuration, bind its listeners and open its logs; all or nothing, with the reasons logged. */
bool load_read(struct master *m, struct load *to) MUST_USE;
/* Undo load_read, or let an old load go. */
void load_end(struct master *m, struct load *l);

/* SIGHUP. */
void reload_begin(struct master *m);
/* Something has changed that a reload may have waited for. */
void reload_step(struct master *m);
/* A child has answered, for `generation`. */
void reload_answered(struct master *m, struct child *c, uint64_t generation, bool adopted);
/* A child died that had been asked and had not answered. */
void reload_lost(struct master *m, struct child *c);
/* The gateway stops: leave it. */
void reload_abandon(struct master *m);

#endif
