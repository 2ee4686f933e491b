/* The end of an exchange, for everybody who wants to know: the worker's counters, and the record on its way to the
 * caretaker. On every request's way, so nothing here formats, allocates or calls the system.
 */
#ifndef GATEWAY_REPORT_H
#define GATEWAY_REPORT_H

#include "gateway/exchange/exchange.h"
#include "gateway/exchange/local.h"
#include "shm/region.h"

/* Child, at its start: finds what is shared (l->shared) and makes l->reporter. l->bells is set before, or NULL. */
void report_attach(struct local *l);
/* l->report: counts and tells what became of x. */
void reporter_take(struct exchange *x);
/* At the end of each turn: say how much is in hand. */
void report_in_hand(struct local *l);
/* Undo report_attach. */
void reporter_end(struct local *l);

#endif
