/* Which CPUs are ours. */
#include "workers/cpu.h"

#include <stdio.h>
#include <string.h>

#include "gateway/base/number.h"
#include "gateway/base/str.h"

static bool read_line(const char *path, char *line, size_t size)
{
    FILE *f = fopen(path, "re");
    bool ok = f && fgets(line, (int)size, f);

    if (f)
        fclose(f);
    if (ok)
        line[strcspn(line, "\n")] = '\0';
    return ok;
}

static uint32_t whole_cpus(uint64_t quota, uint64_t period)
{
    uint64_t n = period == 0 ? 0 : quota / period + (quota % period != 0);

    return n < CPU_SETSIZE ? (uint32_t)n : CPU_SETSIZE;
}

/* Version 2: cpu.max holds "max 100000" or "150000 100000". */
static uint32_t quota_v2(const char *dir)
{
    char path[1024], line[128];
    struct str period;
    uint64_t quota, of;

    if ((size_t)snprintf(path, sizeof path, "%s/cpu.max", dir) >= sizeof path ||
        !read_line(path, line, sizeof line))
        return 0;
    if (!number_read_u64(str_cut(str_from(line), ' ', &period), &quota) ||
        !number_read_u64(period, &of))
        return 0;
    return whole_cpus(quota, of);
}

/* Version 1: two files, -1 is no quota. */
static uint32_t quota_v1(const char *dir)
{
    char path[1024], line[128];
    uint64_t quota, of;

    if ((size_t)snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", dir) >= sizeof path ||
        !read_line(path, line, sizeof line) || !number_read_u64(str_from(line), &quota))
        return 0;
    if ((size_t)snprintf(path, sizeof path, "%s/cpu.cfs_period_us", dir) >= sizeof path ||
        !read_line(path, line, sizeof line) || !number_read_u64(str_from(line), &of))
        return 0;
    return whole_cpus(quota, of);
}

static uint32_t tighter(uint32_t a, uint32_t b)
{
    return a == 0 ? b : b == 0 ? a : a < b ? a : b;
}

/* A group above may be the tight one, so walk up to the mount. In a container the path may be the host's and not
 * exist here; its upper ends do. */
static uint32_t quota_upwards(const char *mount, struct str group, uint32_t (*quota)(const char *))
{
    char dir[1024];
    uint32_t least = 0;

    for (;;) {
        if ((size_t)snprintf(dir, sizeof dir, "%s%.*s", mount, STR_ARGS(group)) < sizeof dir)
            least = tighter(least, quota(dir));
        while (group.len > 0 && group.at[group.len - 1] != '/')
            group.len--;
        if (group.len == 0)
            return least;
        group.len--;
    }
}

static bool names_cpu(struct str controllers)
{
    struct str one;

    while (controllers.len > 0) {
        one = str_cut(controllers, ',', &controllers);
        if (str_equal(one, STR("cpu")))
            return true;
    }
    return false;
}

static uint32_t quota_of_line(struct str line, const char *mount)
{
    char below[512];
    struct str controllers, group;
    uint32_t q = 0;

    str_cut(line, ':', &controllers);
    controllers = str_cut(controllers, ':', &group);
    if (group.len > 0 && group.at[group.len - 1] == '/')
        group.len--;
    if (controllers.len == 0) {
        q = quota_upwards(mount, group, quota_v2);
        if ((size_t)snprintf(below, sizeof below, "%s/unified", mount) < sizeof below)
            q = tighter(q, quota_upwards(below, group, quota_v2));
    } else if (names_cpu(controllers)) {
        if ((size_t)snprintf(below, sizeof below, "%s/cpu", mount) < sizeof below)
            q = quota_upwards(below, group, quota_v1);
        if (q == 0 && (size_t)snprintf(below, sizeof below, "%s/%.*s", mount,
                                       STR_ARGS(controllers)) < sizeof below)
            q = quota_upwards(below, group, quota_v1);
    }
    return q;
}

uint32_t cpus_quota(const char *cgroup_file, const char *mount)
{
    char line[1024];
    uint32_t least = 0;
    FILE *f = fopen(cgroup_file, "re");

    if (!f)
        return 0;
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        least = tighter(least, quota_of_line(str_from(line), mount));
    }
    fclose(f);
    return least;
}

void cpus_look(struct cpus *c)
{
    *c = (struct cpus){ 0 };
    if (sched_getaffinity(0, sizeof c->allowed, &c->allowed) != 0)
        CPU_ZERO(&c->allowed); /* more CPUs than the type holds: unpinned then */
    c->count = (uint32_t)CPU_COUNT(&c->allowed);
    c->quota = cpus_quota("/proc/self/cgroup", "/sys/fs/cgroup");
}

uint32_t cpus_workers(const struct cpus *c)
{
    uint32_t n = tighter(c->count, c->quota);

    return n > 0 ? n : 1;
}

bool cpus_nth(const cpu_set_t *set, uint32_t n, cpu_set_t *one)
{
    uint32_t count = (uint32_t)CPU_COUNT(set);

    if (count == 0)
        return false;
    n %= count;
    CPU_ZERO(one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, set) && n-- == 0) {
            CPU_SET(cpu, one);
            return true;
        }
    UNREACHABLE();
}
