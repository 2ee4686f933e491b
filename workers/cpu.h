/* Which CPUs are ours: the affinity mask (cpusets are in it already) and the quota of our control group. */
#ifndef WORKERS_CPU_H
#define WORKERS_CPU_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/check.h"

struct cpus {
    cpu_set_t allowed;
    uint32_t count; /* of allowed */
    uint32_t quota; /* whole CPUs' worth of time, rounded up; 0: no quota */
};

void cpus_look(struct cpus *c);
/* How many workers make sense: at least 1. */
uint32_t cpus_workers(const struct cpus *c);
/* The quota of the group that `cgroup_file` (/proc/self/cgroup) names, or of a group above it, below `mount`
 * (/sys/fs/cgroup); versions 1 and 2. 0: none. */
uint32_t cpus_quota(const char *cgroup_file, const char *mount);
/* The n-th of the set, counted around; false if the set is empty. */
bool cpus_nth(const cpu_set_t *set, uint32_t n, cpu_set_t *one);

#endif
