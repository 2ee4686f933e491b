/* Which child polls which listening socket: a function of which slots there are and who is READY.
 *
 * Slot i belongs to worker i modulo the number of workers; while that one is dead or being born, to the next
 * that lives. So after every death and birth the same function is called, and there is nothing to remember.
 */
#ifndef WORKERS_LEND_H
#define WORKERS_LEND_H

#include <stdint.h>

struct master;

/* Bring what the children poll in line with who is READY. */
void lend_sockets(struct master *m);
/* Nobody polls it any more: those who did empty its queue. Close the master's own descriptors first. */
void lend_no_more(struct master *m, uint32_t listener);

#endif
