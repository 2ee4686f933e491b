/* The program that workers/ runs: the gateway. */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "gateway/snapshot.h"
#include "workers/program.h"

struct bells;

/* The program, with what the master makes for all its children before it forks them. */
struct gateway_program {
    struct program program; /* first: a child finds the rest behind it */
    struct bells *bells;
};

void gateway_program_init(struct gateway_program *p);
void gateway_program_end(struct gateway_program *p);

/* Read a configuration as the master does, in a region where a load has begun.
 * returns  NULL when the file cannot be read (it has been logged); otherwise a snapshot that may have problems:
 *          *result says. Its build has not been sealed yet. */
struct snapshot *gateway_read(const char *path, struct region *r, const struct snapshot *previous,
                              struct bundle **bundle, enum build_result *result);

#endif
