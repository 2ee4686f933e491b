/* A program for the engine that answers lines. */
#include "test/unit/workers/echo_program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gateway/base/check.h"
#include "gateway/base/list.h"
#include "gateway/base/log.h"
#include "gateway/base/number.h"
#include "shm/region.h"
#include "workers/notify.h"
#include "workers/worker.h"

#define LISTENERS_MAX 8
#define SLICES        3 /* a build takes so many turns */
#define EVERY_SLOT    99

struct snapshot {
    char text[4096];
    uint64_t generation;
    int slices;
    struct engine_settings settings;
    struct listen_address listeners[LISTENERS_MAX];
    struct str logs[LISTENERS_MAX];
    struct str greeting;
    int64_t refuse_slot; /* this worker cannot build it                 */
    int64_t die_slot;    /* this one dies of it                         */
    bool slow;           /* it never ends to build                      */
};

struct echo {
    struct worker *worker;
    struct list conns;
    size_t midway;
};

struct echo_conn {
    struct watch watch;
    struct echo *echo;
    struct link_node node;
    struct task end;
    size_t len;
    char line[512];
};

/* ---- snapshots ---- */

static bool take_number(struct str value, uint64_t unit, uint64_t *to)
{
    if (!number_read_u64(value, to))
        return false;
    *to *= unit;
    return true;
}

static bool read_line(struct snapshot *s, struct str key, struct str value)
{
    struct engine_settings *e = &s->settings;
    uint64_t n;

    if (str_equal(key, STR("listen"))) {
        s->listeners[e->listener_count++] = (struct listen_address){ .address = value };
        return e->listener_count <= LISTENERS_MAX;
    }
    if (str_equal(key, STR("log"))) {
        s->logs[e->log_count++] = value;
        return true;
    }
    if (str_equal(key, STR("greeting"))) {
        s->greeting = value;
        return true;
    }
    if (str_equal(key, STR("pid_file"))) {
        e->pid_file = value;
        return true;
    }
    if (str_equal(key, STR("user"))) {
        e->user = value;
        return true;
    }
    if (str_equal(key, STR("slow"))) {
        s->slow = true;
        return true;
    }
    if (str_equal(key, STR("drain_delay_ms")))
        return take_number(value, NS_PER_MS, &e->drain_delay_ns);
    if (str_equal(key, STR("grace_ms")))
        return take_number(value, NS_PER_MS, &e->grace_ns);
    if (str_equal(key, STR("stuck_ms")))
        return take_number(value, NS_PER_MS, &e->stuck_ns);
    if (str_equal(key, STR("adopt_ms")))
        return take_number(value, NS_PER_MS, &e->adopt_ns);
    if (!number_read_u64(value, &n))
        return false;
    if (str_equal(key, STR("workers")))
        e->workers = (uint32_t)n;
    else if (str_equal(key, STR("max_connections")))
        e->max_connections = (uint32_t)n;
    else if (str_equal(key, STR("refuse_slot")))
        s->refuse_slot = (int64_t)n;
    else if (str_equal(key, STR("die_slot")))
        s->die_slot = (int64_t)n;
    else
        return false;
    return true;
}

static struct snapshot *read_text(int fd)
{
    struct snapshot *s = calloc(1, sizeof *s);
    struct str rest, line, key, value;
    ssize_t n;

    CHECK(s);
    s->refuse_slot = s->die_slot = -1;
    s->settings.listeners = s->listeners;
    s->settings.logs = s->logs;
    n = pread(fd, s->text, sizeof s->text, 0);
    CHECK(n >= 0);
    for (rest = str_of(s->text, (size_t)n); rest.len > 0;) {
        line = str_cut(rest, '\n', &rest);
        key = str_cut(line, ' ', &value);
        if (line.len > 0 && !read_line(s, key, value)) {
            log_line(LOG_LEVEL_ERROR, "cannot read: %.*s", STR_ARGS(line));
            free(s);
            return NULL;
        }
    }
    return s;
}

static struct snapshot *rehearse(const char *path, struct region *r,
                                 const struct snapshot *previous, int *bundle)
{
    char text[4096];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct snapshot *s;
    ssize_t n;

    (void)previous;
    CHECK(file >= 0 && region_words(r, STR("echo"), 8));
    n = read(file, text, sizeof text);
    close(file);
    *bundle = memfd_create("bundle", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(n >= 0 && *bundle >= 0 && write(*bundle, text, (size_t)n) == n);
    fcntl(*bundle, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
    s = read_text(*bundle);
    if (!s) {
        close(*bundle);
        *bundle = -1;
    }
    return s;
}

static const struct engine_settings *settings(const struct snapshot *s)
{
    return &s->settings;
}

static void release(struct snapshot *s)
{
    free(s);
}

static struct snapshot *build(struct worker *w, int bundle, uint64_t generation)
{
    struct snapshot *s = read_text(bundle);

    CHECK(s && region_words(w->region, STR("echo"), 8));
    if (w->role == ROLE_WORKER && (s->die_slot == (int64_t)w->slot || s->die_slot == EVERY_SLOT))
        raise(SIGKILL);
    if (s->slow)
        notify_send("BUILDING");
    s->generation = generation;
    return s;
}

static enum build_result build_more(struct worker *w, struct snapshot *s, uint64_t until_ns)
{
    if (w->role == ROLE_WORKER &&
        (s->refuse_slot == (int64_t)w->slot || s->refuse_slot == EVERY_SLOT)) {
        free(s);
        return BUILD_FAILED;
    }
    if (s->slow && until_ns != UINT64_MAX)
        return BUILD_MORE;
    return ++s->slices < SLICES ? BUILD_MORE : BUILD_DONE;
}

static void build_drop(struct worker *w, struct snapshot *s)
{
    (void)w;
    free(s);
}

static void adopt(struct worker *w, struct snapshot *next)
{
    if (!w->snapshot && w->role == ROLE_WORKER)
        notify_send("BORN=worker %u", w->slot);
    free(w->snapshot);
    worker_holds_since(w, next->generation);
}

/* ---- connections ---- */

static void on_end(struct task *t)
{
    free(CONTAINER(t, struct echo_conn, end));
}

static void close_conn(struct echo_conn *c)
{
    struct worker *w = c->echo->worker;
    int fd = c->watch.fd;

    loop_unwatch(&w->loop, &c->watch);
    close(fd);
    link_remove(&c->node);
    loop_queue_end(&w->loop, &c->end);
    worker_let_go(w);
}

static size_t list_descriptors(char *to, size_t size)
{
    struct dirent *e;
    char target[256];
    size_t len = 0;
    DIR *d = opendir("/proc/self/fd");

    CHECK(d);
    while ((e = readdir(d))) {
        ssize_t n = readlinkat(dirfd(d), e->d_name, target, sizeof target - 1);

        if (n > 0 && len + (size_t)n + 2 < size) {
            memcpy(to + len, target, (size_t)n);
            len += (size_t)n;
            to[len++] = ' ';
        }
    }
    closedir(d);
    return len;
}

static void answer(struct echo_conn *c, struct str line)
{
    struct worker *w = c->echo->worker;
    char text[8192];
    size_t len;
    cpu_set_t cpus;

    if (str_equal(line, STR("who"))) {
        len = (size_t)snprintf(text, sizeof text, "%d %u %llu %.*s", (int)getpid(), w->slot,
                               (unsigned long long)w->generation, STR_ARGS(w->snapshot->greeting));
    } else if (str_equal(line, STR("ready"))) {
        len = (size_t)snprintf(text, sizeof text, "%s", w->closing_soon ? "no" : "yes");
    } else if (str_equal(line, STR("fds"))) {
        len = list_descriptors(text, sizeof text - 1);
    } else if (str_equal(line, STR("cpus"))) {
        CHECK(sched_getaffinity(0, sizeof cpus, &cpus) == 0);
        len = (size_t)snprintf(text, sizeof text, "%d", CPU_COUNT(&cpus));
    } else {
        if (str_equal(line, STR("crash")))
            raise(SIGKILL);
        while (str_equal(line, STR("hang")))
            continue;
        memcpy(text, line.at, line.len);
        len = line.len;
    }
    text[len++] = '\n';
    if (write(c->watch.fd, text, len) != (ssize_t)len)
        close_conn(c);
}

static void set_len(struct echo_conn *c, size_t len)
{
    c->echo->midway -= c->len > 0;
    c->len = len;
    c->echo->midway += c->len > 0;
}

static void on_bytes(struct watch *watch, uint32_t events)
{
    struct echo_conn *c = CONTAINER(watch, struct echo_conn, watch);
    ssize_t n = read(watch->fd, c->line + c->len, sizeof c->line - c->len);
    struct str rest, line;

    (void)events;
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        set_len(c, 0);
        close_conn(c);
        return;
    }
    rest = str_of(c->line, c->len + (size_t)n);
    while (str_index(rest, '\n') < rest.len) {
        line = str_cut(rest, '\n', &rest);
        answer(c, line);
        if (watch->fd < 0)
            return;
    }
    memmove(c->line, rest.at, rest.len);
    set_len(c, rest.len);
    if (c->len == 0 && c->echo->worker->draining)
        close_conn(c);
}

static void accepted(struct worker *w, const struct arrival *a)
{
    struct echo *echo = w->local;
    struct echo_conn *c = calloc(1, sizeof *c);

    CHECK(c && a->listener.len > 0);
    c->echo = echo;
    link_init(&c->node);
    task_init(&c->end, on_end);
    watch_init(&c->watch, a->fd, on_bytes);
    CHECK(loop_watch(&w->loop, &c->watch, EPOLLIN));
    list_push_back(&echo->conns, &c->node);
}

/* ---- life ---- */

static void start(struct worker *w)
{
    struct echo *echo = calloc(1, sizeof *echo);

    CHECK(echo);
    echo->worker = w;
    list_init(&echo->conns);
    w->local = echo;
    if (getenv("ECHO_DIE_AT_START"))
        exit(3);
}

static void logs_changed(struct worker *w)
{
    struct str path = str_from(getenv("ECHO_LOG"));
    int fd = worker_log(w, path);

    if (path.len == 0)
        return;
    if (fd >= 0)
        CHECK(write(fd, "written\n", 8) == 8);
    notify_send("LOG=%s", fd >= 0 ? "open" : "gone");
}

static void drain(struct worker *w)
{
    struct echo *echo = w->local;

    LIST_EACH (&echo->conns, n) {
        struct echo_conn *c = CONTAINER(n, struct echo_conn, node);

        on_bytes(&c->watch, EPOLLIN); /* what was sent before the end is answered */
    }
    LIST_EACH (&echo->conns, n) {
        struct echo_conn *c = CONTAINER(n, struct echo_conn, node);

        if (c->len == 0)
            close_conn(c);
    }
}

static size_t unfinished(const struct worker *w)
{
    return ((const struct echo *)w->local)->midway;
}

static void stop(struct worker *w)
{
    struct echo *echo = w->local;
    struct link_node *n;

    while ((n = list_pop_front(&echo->conns))) {
        struct echo_conn *c = CONTAINER(n, struct echo_conn, node);

        close(c->watch.fd);
        free(c);
    }
    free(echo);
    free(w->snapshot);
}

static void seat_died(const struct program *p, struct region *r, uint32_t seat)
{
    (void)p;
    (void)seat;
    word_add(region_words(r, STR("echo"), 8), 1);
}

const struct program echo_program = {
    .name = "echo",
    .rehearse = rehearse,
    .settings = settings,
    .release = release,
    .seat_died = seat_died,
    .start = start,
    .build = build,
    .build_more = build_more,
    .build_drop = build_drop,
    .adopt = adopt,
    .accepted = accepted,
    .logs_changed = logs_changed,
    .drain = drain,
    .unfinished = unfinished,
    .stop = stop,
};
