/* Words to a gateway that runs. */
#include "workers/remote.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/number.h"
#include "shm/region.h"
#include "workers/pidfile.h"

#define LOOK_EVERY_MS      20
#define RELOAD_PATIENCE_NS (120 * NS_PER_S)

/* Who runs, held by a descriptor, so that a number which changes hands cannot deceive us. */
struct remote {
    pid_t pid;
    int process; /* a pidfd */
    int region;  /* the memfd, or -1: not to be seen */
};

static int find(struct remote *r, const char *pid_file)
{
    pid_t again;

    *r = (struct remote){ .process = -1, .region = -1 };
    switch (pidfile_look(pid_file, &r->pid)) {
    case PIDFILE_RUNS:
        break;
    case PIDFILE_NOBODY:
        fprintf(stderr, "%s: nobody runs\n", pid_file);
        return REMOTE_NOBODY;
    case PIDFILE_UNREADABLE:
        fprintf(stderr, "%s: %s\n", pid_file, errno ? strerror(errno) : "holds no number");
        return REMOTE_FAILED;
    }
    r->process = (int)syscall(SYS_pidfd_open, r->pid, 0);
    if (r->process < 0 || pidfile_look(pid_file, &again) != PIDFILE_RUNS || again != r->pid) {
        fprintf(stderr, "%s: process %d has just ended\n", pid_file, (int)r->pid);
        return REMOTE_NOBODY;
    }
    return REMOTE_OK;
}

static void end(struct remote *r)
{
    if (r->process >= 0)
        close(r->process);
    if (r->region >= 0)
        close(r->region);
}

static bool order(const struct remote *r, int signal)
{
    if (syscall(SYS_pidfd_send_signal, r->process, signal, NULL, 0) == 0)
        return true;
    fprintf(stderr, "cannot signal process %d: %s\n", (int)r->pid, strerror(errno));
    return false;
}

/* Has it ended, or does it within `ms`? */
static bool has_ended(const struct remote *r, int ms)
{
    struct pollfd p = { .fd = r->process, .events = POLLIN };

    return poll(&p, 1, ms) > 0;
}

/* ---- its region ---- */

static bool read_header(int fd, struct region_header *h)
{
    struct stat st;

    return fstat(fd, &st) == 0 && pread(fd, h, sizeof *h, 0) == (ssize_t)sizeof *h &&
           h->layout == REGION_LAYOUT && h->size == (uint64_t)st.st_size;
}

static int open_if_region(int dir, const char *name)
{
    struct region_header h;
    char target[64];
    ssize_t n = readlinkat(dir, name, target, sizeof target - 1);
    int fd;

    if (n < 7 || memcmp(target, "/memfd:", 7) != 0)
        return -1;
    fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && !read_header(fd, &h)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool find_region(struct remote *r)
{
    struct dirent *e;
    char path[64];
    DIR *d;

    snprintf(path, sizeof path, "/proc/%d/fd", (int)r->pid);
    d = opendir(path);
    while (d && r->region < 0 && (e = readdir(d)))
        r->region = open_if_region(dirfd(d), e->d_name);
    if (d)
        closedir(d);
    return r->region >= 0;
}

/* ---- the three ---- */

/* The outcome of a reload shows as one more failure or a new time of the running configuration. */
static int wait_for_outcome(const struct remote *r, const struct region_header *before)
{
    uint64_t until = clock_now_ns() + RELOAD_PATIENCE_NS;
    struct region_header now;

    while (clock_now_ns() < until) {
        if (has_ended(r, LOOK_EVERY_MS) || !read_header(r->region, &now)) {
            fprintf(stderr, "process %d has ended\n", (int)r->pid);
            return REMOTE_FAILED;
        }
        if (word_peek(&now.reload_failures) != word_peek(&before->reload_failures)) {
            fprintf(stderr, "refused; generation goes on as it was, the error log says why\n");
            return REMOTE_FAILED;
        }
        if (word_peek(&now.reload_last_wall_ns) != word_peek(&before->reload_last_wall_ns))
            return REMOTE_OK;
    }
    fprintf(stderr, "no outcome after %" PRIu64 " s\n", RELOAD_PATIENCE_NS / NS_PER_S);
    return REMOTE_FAILED;
}

int remote_reload(const char *pid_file)
{
    struct region_header before;
    struct remote r;
    int status = find(&r, pid_file);

    if (status == REMOTE_OK) {
        bool sees = find_region(&r) && read_header(r.region, &before);

        if (!order(&r, SIGHUP))
            status = REMOTE_FAILED;
        else if (sees)
            status = wait_for_outcome(&r, &before);
        else
            fprintf(stderr, "asked; its memory cannot be read from here, so see its log\n");
    }
    end(&r);
    return status;
}

int remote_stop(const char *pid_file)
{
    struct remote r;
    int status = find(&r, pid_file);

    if (status == REMOTE_OK)
        status = order(&r, SIGTERM) && has_ended(&r, -1) ? REMOTE_OK : REMOTE_FAILED;
    end(&r);
    return status;
}

static void say_process(FILE *out, const char *pid)
{
    char path[64], title[128] = "";
    FILE *f;

    snprintf(path, sizeof path, "/proc/%s/cmdline", pid);
    f = fopen(path, "re");
    if (f) {
        size_t n = fread(title, 1, sizeof title - 1, f);

        title[n] = '\0'; /* the first of its strings is the title */
        fclose(f);
    }
    fprintf(out, "process: %s %s\n", pid, title);
}

static void say_children(FILE *out, pid_t pid)
{
    char path[96], list[8192] = "", *rest = list;
    const char *one;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    f = fopen(path, "re");
    if (!f)
        return;
    if (fgets(list, sizeof list, f))
        while ((one = strsep(&rest, " ")))
            if (*one)
                say_process(out, one);
    fclose(f);
}

int remote_status(const char *pid_file, FILE *out)
{
    struct region_header h;
    struct remote r;
    int status = find(&r, pid_file);

    if (status == REMOTE_OK) {
        fprintf(out, "pid: %d\n", (int)r.pid);
        if (find_region(&r) && read_header(r.region, &h))
            fprintf(out,
                    "uptime_seconds: %" PRIu64 "\ngeneration: %" PRIu64 "\nreloads: %" PRIu64
                    "\nreloads_refused: %" PRIu64 "\nlast_reload: %s\nshared_bytes: %" PRIu64 "\n",
                    region_now(&h, clock_now_ns()) / NS_PER_S, word_peek(&h.generation),
                    word_peek(&h.reloads), word_peek(&h.reload_failures),
                    word_peek(&h.reload_last_ok) ? "taken" : "refused", word_peek(&h.bytes));
        say_children(out, r.pid);
    }
    end(&r);
    return status;
}

int remote_memory(const char *pid_file, int *fd)
{
    struct remote r;
    int status = find(&r, pid_file);

    if (status == REMOTE_OK && !find_region(&r)) {
        fprintf(stderr, "the memory of process %d cannot be read from here\n", (int)r.pid);
        status = REMOTE_FAILED;
    }
    *fd = r.region;
    r.region = -1;
    end(&r);
    return status;
}
