/* The caretaker: the one process that looks after shared facts, once for all workers. Now: the access log.
 *
 * It is a worker in another role and lives by the same loop. Nobody waits for it: while it is away, rings
 * fill, and when they are full, records are dropped and counted.
 */
#ifndef GATEWAY_CARETAKER_CARETAKER_H
#define GATEWAY_CARETAKER_CARETAKER_H

#include <stddef.h>

#include "conf/settings.h"
#include "shm/bell.h"
#include "workers/worker.h"

struct caretaker;

/* At the start of the process, before the first configuration. bells: may be NULL, then rings are only looked at. */
struct caretaker *caretaker_start(struct worker *w, const struct bells *bells);
/* At each adoption. `g` is borrowed for the call. */
void caretaker_configure(struct caretaker *c, const struct conf_globals *g);
/* Descriptors of logs have changed. */
void caretaker_logs_changed(struct caretaker *c);
/* The workers are gone: write what they have left. */
void caretaker_drain(struct caretaker *c);
/* Bytes that are still to be written, 0 when it may end; logs that take nothing do not count. */
size_t caretaker_unfinished(const struct caretaker *c);
/* Write what can be written at once, and end. */
void caretaker_stop(struct caretaker *c);

#endif
