/* Connecting out.
 *
 * Starts a non-blocking connect(2); the conn's owner hears on_open or on_broken. Nagle is switched off.
 */
#ifndef WORKERS_DIAL_H
#define WORKERS_DIAL_H

#include <sys/socket.h>

#include "workers/conn.h"

/* returns  NULL with errno if no socket could be had (EMFILE, EADDRNOTAVAIL …) or the address refused at once */
struct conn *dial(struct loop *l, struct pool *pool, const struct sockaddr *to, socklen_t len,
                  const struct conn_events *events, void *owner) MUST_USE;

#endif
