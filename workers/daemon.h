/* Going to the background, in a way that a script can trust: whoever called returns when the gateway is READY,
 * with 0, or when it could not start, with 1 and the reasons on its standard error.
 */
#ifndef WORKERS_DAEMON_H
#define WORKERS_DAEMON_H

#include <stdbool.h>

#include "gateway/base/check.h"

/* Forks. In the caller's process it waits and ends the process; it returns in the one that lives on.
 * returns  a descriptor for daemon_ready */
int daemon_begin(void) MUST_USE;
/* Let the caller go, and let go of its terminal. keep_stderr: it is a log file by now. */
void daemon_ready(int fd, bool keep_stderr);

#endif
