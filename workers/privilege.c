/* Giving up what a worker does not need. */
#include "workers/privilege.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gateway/base/log.h"
#include "gateway/base/number.h"

#define NAME_SIZE 256
#define KEPT_BACK 64 /* descriptors: more than a reload brings to one process at once, as a rule */

static bool name_z(struct str name, char *to)
{
    if (name.len >= NAME_SIZE || memchr(name.at, '\0', name.len))
        return false;
    memcpy(to, name.at, name.len);
    to[name.len] = '\0';
    return true;
}

static bool find_user(struct str user, char *name, struct rights *r)
{
    const struct passwd *who;
    uint64_t number;

    if (!name_z(user, name))
        return false;
    who = getpwnam(name);
    if (!who && number_read_u64(user, &number) && number <= INT32_MAX) {
        who = getpwuid((uid_t)number);
        if (!who) { /* containers run as numbers that no file knows */
            r->user = (uid_t)number;
            r->group = (gid_t)number;
            return true;
        }
    }
    if (!who)
        return false;
    r->user = who->pw_uid;
    r->group = who->pw_gid;
    name_z(str_from(who->pw_name), name);
    return true;
}

static bool find_group(struct str group, struct rights *r)
{
    const struct group *which;
    char name[NAME_SIZE];
    uint64_t number;

    if (!name_z(group, name))
        return false;
    which = getgrnam(name);
    if (which)
        r->group = which->gr_gid;
    else if (number_read_u64(group, &number) && number <= INT32_MAX)
        r->group = (gid_t)number;
    else
        return false;
    return true;
}

bool rights_find(struct str user, struct str group, struct rights *r)
{
    char name[NAME_SIZE] = "";

    *r = (struct rights){ .user = geteuid(), .group = getegid() };
    if (user.len == 0 && group.len == 0)
        return true;
    if (user.len > 0 && !find_user(user, name, r)) {
        log_line(LOG_LEVEL_ERROR, "there is no user %.*s", STR_ARGS(user));
        return false;
    }
    if (group.len > 0 && !find_group(group, r)) {
        log_line(LOG_LEVEL_ERROR, "there is no group %.*s", STR_ARGS(group));
        return false;
    }
    if (r->user == geteuid() && r->group == getegid())
        return true;
    if (geteuid() != 0) {
        log_line(LOG_LEVEL_WARN, "not started as root: workers stay user %u and do not become %.*s",
                 (unsigned)geteuid(), STR_ARGS(user));
        r->user = geteuid();
        r->group = getegid();
        return true;
    }
    r->change = true;
    r->group_count = RIGHTS_GROUPS_MAX;
    if (name[0] == '\0' || getgrouplist(name, r->group, r->groups, &r->group_count) < 0) {
        r->groups[0] = r->group;
        r->group_count = 1;
    }
    return true;
}

void rights_drop(const struct rights *r)
{
    errno = 0;
    if (r->change) {
        /* In this order: each step needs the rights that the next one takes. */
        if (setgroups((size_t)r->group_count, r->groups) != 0)
            die("setgroups");
        if (setresgid(r->group, r->group, r->group) != 0)
            die("cannot become group %u", (unsigned)r->group);
        if (setresuid(r->user, r->user, r->user) != 0)
            die("cannot become user %u", (unsigned)r->user);
        errno = 0;
        if (r->user != 0 && setuid(0) == 0)
            die("could become root again");
        errno = 0;
    }
    /* No set-uid program can give rights back, whatever a hole would run. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        die("prctl(PR_SET_NO_NEW_PRIVS)");
}

uint64_t descriptors_allow(uint64_t need)
{
    struct rlimit now, wanted;

    if (getrlimit(RLIMIT_NOFILE, &now) != 0)
        die("getrlimit(RLIMIT_NOFILE)");
    if (now.rlim_cur >= need)
        return now.rlim_cur;
    wanted =
        (struct rlimit){ .rlim_cur = need, .rlim_max = need > now.rlim_max ? need : now.rlim_max };
    if (setrlimit(RLIMIT_NOFILE, &wanted) == 0)
        return need;
    /* Not allowed above the hard limit: take what there is. */
    wanted = (struct rlimit){ .rlim_cur = need < now.rlim_max ? need : now.rlim_max,
                              .rlim_max = now.rlim_max };
    return setrlimit(RLIMIT_NOFILE, &wanted) == 0 ? wanted.rlim_cur : now.rlim_cur;
}

static uint64_t set_soft(uint64_t to)
{
    struct rlimit limit;
    uint64_t was;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        die("getrlimit(RLIMIT_NOFILE)");
    was = limit.rlim_cur;
    limit.rlim_cur = to < limit.rlim_max ? to : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return was;
}

void descriptors_keep_back(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        die("getrlimit(RLIMIT_NOFILE)");
    if (limit.rlim_cur == limit.rlim_max && limit.rlim_cur != RLIM_INFINITY)
        set_soft(limit.rlim_cur -
                 (limit.rlim_cur / 8 < KEPT_BACK ? limit.rlim_cur / 8 : KEPT_BACK));
}

uint64_t descriptors_lend(void)
{
    return set_soft(RLIM_INFINITY);
}

void descriptors_return(uint64_t limit)
{
    set_soft(limit);
}
