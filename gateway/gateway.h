/* The program that workers/ runs: the gateway. */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "gateway/snapshot.h"
#include "workers/program.h"

extern const struct program gateway_program;

/* Read a configuration as the master does, in a region where a load has begun.
 * returns  NULL when the file cannot be read (it has been logged); otherwise a snapshot that may have problems:
 *          *result says. Its build has not been sealed yet. */
struct snapshot *gateway_read(const char *path, struct region *r, const struct snapshot *previous,
                              struct bundle **bundle, enum build_result *result);

#endif
