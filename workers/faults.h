/* Failure injection: in a build with -DFAULTS one system call of a worker fails, elsewhere this is nothing.
 *
 * Which one: the n-th after a living worker has adopted generation n. So a test reloads, plays, and looks how it went, n = 1,
 * 2, 3 … until the play has fewer calls than that; what was failed is logged as "fault n: name".
 */
#ifndef WORKERS_FAULTS_H
#define WORKERS_FAULTS_H

#ifdef FAULTS

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/log.h"

struct faults {
    uint64_t calls, fails; /* fails: which of the calls; 0: none */
};

static inline bool fault_now(struct faults *f, const char *what, int error)
{
    if (++f->calls != f->fails)
        return false;
    log_line(LOG_LEVEL_WARN, "fault %" PRIu64 ": %s", f->fails, what);
    errno = error;
    return true;
}

/* Shall this call fail? Then errno is set. */
#define FAULT(loop, what, error) fault_now(&(loop)->faults, what, error)
#define FAULTS_ARM(loop, n)      ((loop)->faults = (struct faults){ .fails = (n) })

#else

#define FAULT(loop, what, error) false
#define FAULTS_ARM(loop, n)      ((void)0)

#endif
#endif
