/* Words to a gateway that runs, found by its pid file: `sluice reload`, `stop`, `status`.
 *
 * The lock on the file says who runs. What the gateway knows of itself is read from the header of its shared
 * region, which whoever may signal it may also open. Reasons for failure go to standard error.
 */
#ifndef WORKERS_REMOTE_H
#define WORKERS_REMOTE_H

#include <stdio.h>

/* All return an exit status. REMOTE_NOBODY: nobody runs (as scripts of init systems have it). */
enum { REMOTE_OK = 0, REMOTE_FAILED = 1, REMOTE_NOBODY = 3 };

/* Ask for a reload and wait for what becomes of it. REMOTE_FAILED: it was refused; its log says why. */
int remote_reload(const char *pid_file);
/* Ask it to stop and wait until it has: as long as its drain delay and grace allow. */
int remote_stop(const char *pid_file);
/* Lines of "name: value", and one for each process. */
int remote_status(const char *pid_file, FILE *out);

/* The shared memory of whoever runs, as a descriptor to look at (region_look). */
int remote_memory(const char *pid_file, int *fd);

#endif
