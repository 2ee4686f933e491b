/* The parent. */
#include "workers/master.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "gateway/base/check.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/base/number.h"
#include "shm/region.h"
#include "shm/seats.h"
#include "workers/daemon.h"
#include "workers/lend.h"
#include "workers/notify.h"
#include "workers/signals.h"

#define SPARE_DESCRIPTORS  1024
/* A worker ends by itself when its grace is over; one that does not is killed so much later. */
#define KILL_AFTER_NS      NS_PER_S
/* For the caretaker to write what the workers have left. */
#define CARETAKER_GRACE_NS (5 * NS_PER_S)

/* ---- stopping ---- */

static void stop_caretaker(struct master *m)
{
    m->stopping = STOPPING_CARETAKER;
    crew_dismiss(m, ROLE_CARETAKER, CARETAKER_GRACE_NS);
    timer_set(&m->loop.timers, &m->stop_timer, m->loop.now_ns + CARETAKER_GRACE_NS + KILL_AFTER_NS);
}

static void stop_workers(struct master *m)
{
    uint64_t grace = engine_grace_ns(m->now.settings);

    reload_abandon(m);
    m->stopping = STOPPING_WORKERS;
    /* First our descriptors: the workers' are the last ones, so a queue they have emptied is gone. */
    listeners_end(&m->listeners, false);
    crew_dismiss(m, ROLE_WORKER, grace);
    timer_set(&m->loop.timers, &m->stop_timer, m->loop.now_ns + grace + KILL_AFTER_NS);
    loop_queue(&m->loop, &m->left);
}

static void stop_now(struct master *m)
{
    reload_abandon(m);
    m->stopping = STOPPING_NOW;
    listeners_end(&m->listeners, false);
    crew_dismiss(m, ROLE_WORKER, 0);
    crew_dismiss(m, ROLE_CARETAKER, 0);
    crew_tell(m, -1, &(struct control_message){ .kind = CONTROL_CUT }, -1);
    timer_set(&m->loop.timers, &m->stop_timer, m->loop.now_ns + KILL_AFTER_NS);
    loop_queue(&m->loop, &m->left);
}

static void stop(struct master *m, const char *why)
{
    uint64_t delay = m->now.settings ? m->now.settings->drain_delay_ns : 0;

    if (m->stopping != STOPPING_NOT || m->booting) {
        log_line(LOG_LEVEL_WARN, "%s: stopping now", why);
        stop_now(m);
        return;
    }
    log_line(LOG_LEVEL_INFO, "%s: stopping, what runs is finished first", why);
    notify_send("STOPPING=1\nSTATUS=draining");
    if (delay == 0) {
        stop_workers(m);
        return;
    }
    m->stopping = STOPPING_SOON;
    crew_tell(m, -1, &(struct control_message){ .kind = CONTROL_CLOSING_SOON }, -1);
    timer_set(&m->loop.timers, &m->stop_timer, m->loop.now_ns + delay);
}

static void kill_the_rest(struct master *m)
{
    LIST_EACH (&m->crew.children, n) {
        struct child *c = child_at(n);

        if (c->state != CHILD_LEAVING)
            continue;
        log_line(LOG_LEVEL_WARN, "process %d did not end in time: it is killed", (int)c->pid);
        child_kill(c, SIGKILL);
    }
}

static void on_stop_timer(struct timer *t)
{
    struct master *m = CONTAINER(t, struct master, stop_timer);

    if (m->stopping == STOPPING_SOON)
        stop_workers(m);
    else
        kill_the_rest(m);
}

/* Workers first, so that the caretaker can write what they have left. */
static void on_left(struct task *t)
{
    struct master *m = CONTAINER(t, struct master, left);

    if (m->stopping == STOPPING_WORKERS && crew_count(m, ROLE_WORKER) == 0)
        stop_caretaker(m);
    if (m->stopping >= STOPPING_CARETAKER && list_is_empty(&m->crew.children))
        loop_stop(&m->loop);
}

void master_child_left(struct master *m)
{
    loop_queue(&m->loop, &m->left);
}

void master_give_up(struct master *m)
{
    log_line(LOG_LEVEL_ERROR, "cannot start");
    m->status = 1;
    if (m->stopping != STOPPING_NOW)
        stop_now(m);
}

/* ---- time ---- */

static void sweep(struct master *m)
{
    uint64_t oldest;

    if (!m->to_sweep || m->reload.phase != RELOAD_NONE || crew_has_unseated(m))
        return;
    oldest = seats_oldest_generation(m->seats);
    region_sweep(m->region, oldest);
    m->to_sweep = oldest < m->now.generation;
}

static void on_tick(struct timer *t)
{
    struct master *m = CONTAINER(t, struct master, tick);
    uint64_t stuck = m->now.settings->stuck_ns;
    uint64_t every = stuck && stuck / 4 < NS_PER_S ? stuck / 4 : NS_PER_S;

    crew_tick(m);
    sweep(m);
    timer_set(&m->loop.timers, t, m->loop.now_ns + every);
}

static void on_watchdog(struct timer *t)
{
    struct master *m = CONTAINER(t, struct master, watchdog);

    notify_send("WATCHDOG=1");
    timer_set(&m->loop.timers, t, m->loop.now_ns + m->watchdog_ns);
}

/* ---- signals ---- */

static bool open_error_log(struct master *m)
{
    struct str path = m->now.settings->error_log;
    char name[4096];
    int fd;

    if (path.len == 0)
        return true;
    if (path.len >= sizeof name) {
        log_line(LOG_LEVEL_ERROR, "the path of the error log is too long");
        return false;
    }
    memcpy(name, path.at, path.len);
    name[path.len] = '\0';
    fd = logfile_open(name);
    if (fd < 0 || dup2(fd, STDERR_FILENO) < 0) {
        log_line(LOG_LEVEL_ERROR, "cannot open the error log %s: %s", name, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    close(fd);
    return true;
}

static void reopen_logs(struct master *m)
{
    if (m->booting || m->stopping >= STOPPING_CARETAKER)
        return;
    logfiles_reopen(&m->logs);
    crew_send_logs(m);
    if (m->now.settings->error_log.len > 0 && open_error_log(m))
        crew_send_error_log(m);
    log_line(LOG_LEVEL_INFO, "logs were opened anew");
}

static void obey(struct master *m, enum order order, const char *name)
{
    switch (order) {
    case ORDER_RELOAD:
        if (m->stopping != STOPPING_NOT)
            log_line(LOG_LEVEL_WARN, "%s: not while stopping", name);
        else
            reload_begin(m);
        return;
    case ORDER_STOP:
        stop(m, name);
        return;
    case ORDER_REOPEN:
        reopen_logs(m);
        return;
    case ORDER_UPGRADE:
        log_line(LOG_LEVEL_WARN,
                 "%s: this version cannot hand over to another binary; nothing happens", name);
        return;
    case ORDER_CHILD:
        crew_reap(m);
        return;
    }
}

static void on_signal(struct watch *w, uint32_t events)
{
    struct master *m = CONTAINER(w, struct master, signals);
    enum order order;
    const char *name;

    (void)events;
    while (signals_next(w->fd, &order, &name))
        obey(m, order, name);
}

/* ---- starting ---- */

void master_is_ready(struct master *m)
{
    struct region_header *h = region_header(m->region);
    const struct engine_settings *s = m->now.settings;

    if (!listeners_listen(&m->listeners, s->listeners, s->listener_count)) {
        master_give_up(m);
        return;
    }
    m->booting = false;
    word_put(&h->reload_last_wall_ns, clock_wall_ns());
    /* release: who sees the outcome sees its time */
    word_publish(&h->reload_last_ok, 1);
    log_line(LOG_LEVEL_INFO, "ready: %" PRIu32 " workers, generation %" PRIu64, m->now.workers,
             m->now.generation);
    lend_sockets(m);
    notify_send("READY=1\nMAINPID=%d\nSTATUS=generation %" PRIu64, (int)getpid(),
                m->now.generation);
    if (m->waiting_caller >= 0)
        daemon_ready(m->waiting_caller, s->error_log.len > 0);
    m->waiting_caller = -1;
    if (m->reload.again) {
        m->reload.again = false;
        reload_begin(m);
    }
}

static void allow_descriptors(struct master *m)
{
    const struct engine_settings *s = m->now.settings;
    uint64_t connections = engine_max_connections(s);
    uint64_t need = s->descriptors ? s->descriptors : 2 * connections + SPARE_DESCRIPTORS;
    uint64_t have = descriptors_allow(need);

    m->descriptors = have;
    if (have < need)
        log_line(LOG_LEVEL_WARN,
                 "only %" PRIu64 " descriptors are allowed (ulimit -n), %" PRIu64
                 " would be needed for %" PRIu64 " connections a worker",
                 have, need, connections);
}

static void keep_pinning(struct master *m)
{
    const struct engine_settings *s = m->now.settings;

    m->pin = s->pin;
    if (s->pin != PIN_MASKS || s->pin_count == 0)
        return;
    m->pin_masks = malloc(s->pin_count * sizeof *m->pin_masks);
    if (!m->pin_masks)
        die("out of memory for CPU masks");
    memcpy(m->pin_masks, s->pin_masks, s->pin_count * sizeof *m->pin_masks);
    m->pin_count = s->pin_count;
}

static bool take_pidfile(struct master *m)
{
    struct str path =
        m->options->pid_file ? str_from(m->options->pid_file) : m->now.settings->pid_file;
    char name[sizeof m->pidfile.path];

    if (path.len == 0)
        return true;
    if (path.len >= sizeof name) {
        log_line(LOG_LEVEL_ERROR, "the path of the pid file is too long");
        return false;
    }
    memcpy(name, path.at, path.len);
    name[path.len] = '\0';
    return pidfile_take(&m->pidfile, name);
}

static void prepare(struct master *m, const struct program *p, const struct master_options *o)
{
    struct region_header *h;

    *m = (struct master){ .program = p,
                          .options = o,
                          .now = LOAD_NONE,
                          .pidfile.fd = -1,
                          .waiting_caller = o->daemon ? daemon_begin() : -1,
                          .booting = true };
    log_set_role("master");
    loop_init(&m->loop);
    watch_init(&m->signals, signals_open(), on_signal);
    if (!loop_watch(&m->loop, &m->signals, EPOLLIN))
        die("cannot poll for signals");
    reload_init(&m->reload);
    listeners_init(&m->listeners);
    logfiles_init(&m->logs);
    crew_init(&m->crew);
    timer_init(&m->stop_timer, on_stop_timer);
    timer_init(&m->tick, on_tick);
    timer_init(&m->watchdog, on_watchdog);
    task_init(&m->left, on_left);
    cpus_look(&m->cpus);
    m->region = region_new(p->region_size);
    h = region_header(m->region);
    word_publish(&h->master, region_process((int)getpid(), 0));
    word_put(&h->reloads, 1);
}

static bool start(struct master *m)
{
    if (!load_read(m, &m->now))
        return false;
    if (m->program->settled)
        m->program->settled(m->now.snapshot);
    if (!open_error_log(m) || !take_pidfile(m) ||
        !rights_find(m->now.settings->user, m->now.settings->group, &m->rights))
        return false;
    allow_descriptors(m);
    keep_pinning(m);
    title_set(m->options->title, "%s: master %s", m->program->name, m->options->path);
    m->crew.ticked_ns = m->loop.now_ns;
    on_tick(&m->tick);
    m->watchdog_ns = notify_watchdog_ns();
    if (m->watchdog_ns > 0)
        on_watchdog(&m->watchdog);
    crew_resize(m, m->now.workers);
    return true;
}

static void finish(struct master *m)
{
    crew_end(m);
    listeners_end(&m->listeners, false);
    logfiles_end(&m->logs);
    load_end(m, &m->now);
    free(m->pin_masks);
    pidfile_end(&m->pidfile);
    if (m->waiting_caller >= 0)
        close(m->waiting_caller);
    close(m->signals.fd);
    loop_end(&m->loop);
    region_close(m->region);
}

int master_run(const struct program *p, const struct master_options *o)
{
    struct master m;

    prepare(&m, p, o);
    if (start(&m)) {
        loop_run(&m.loop);
        log_line(LOG_LEVEL_INFO, "stopped; %" PRIu64 " unfinished were cut", m.cut);
    } else {
        log_line(LOG_LEVEL_ERROR, "cannot start");
        m.status = 1;
    }
    finish(&m);
    return m.status;
}
