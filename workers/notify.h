/* Telling a service manager how we are: the datagrams of sd_notify(3), without its library. */
#ifndef WORKERS_NOTIFY_H
#define WORKERS_NOTIFY_H

#include <stdint.h>

#include "gateway/base/check.h"

/* "READY=1", "STOPPING=1", "STATUS=…": lines to $NOTIFY_SOCKET, if there is one. Waits at most a second. */
void notify_send(const char *format, ...) PRINTF_LIKE(1, 2);
/* RELOADING=1 with the time that the protocol wants. */
void notify_reloading(void);
/* How often WATCHDOG=1 is expected of this process, halved; 0: not at all. */
uint64_t notify_watchdog_ns(void);

#endif
