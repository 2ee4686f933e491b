/* What ps shows: "sluice: worker 0". The text takes the place of argv and the environment, which moves away. */
#ifndef WORKERS_TITLE_H
#define WORKERS_TITLE_H

#include <stddef.h>

#include "gateway/base/check.h"

struct title {
    char *area;
    size_t size;
};

/* Take the memory behind argv for titles. Call it first in main: argv's strings are overwritten by the first
 * title_set, so keep what is needed. The environment is copied, getenv works on. */
struct title title_claim(int argc, char **argv);
/* Cut to what fits. t may be NULL: only the short name of the process (15 bytes) is set. */
void title_set(struct title *t, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
