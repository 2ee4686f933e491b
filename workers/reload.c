/* A reload. */
#include "workers/reload.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/check.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "shm/region.h"
#include "shm/seats.h"
#include "workers/control.h"
#include "workers/crew.h"
#include "workers/lend.h"
#include "workers/master.h"
#include "workers/notify.h"

/* ---- loads ---- */

/* A seat each, and room for those who drain while others take their place. */
#define WORKERS_MAX (SEATS_MAX / 2)

static bool count_workers(struct master *m, struct load *l)
{
    l->workers = l->settings->workers ? l->settings->workers : cpus_workers(&m->cpus);
    if (l->workers <= WORKERS_MAX)
        return true;
    if (l->settings->workers) {
        log_line(LOG_LEVEL_ERROR, "%" PRIu32 " workers are too many, at most %d", l->workers,
                 WORKERS_MAX);
        return false;
    }
    l->workers = WORKERS_MAX;
    return true;
}

static bool read_inside(struct master *m, struct load *l)
{
    const struct engine_settings *s;

    m->seats = seats_table(m->region);
    if (!m->seats) {
        log_line(LOG_LEVEL_ERROR, "the shared region is too small for the seats");
        return false;
    }
    l->snapshot = m->program->rehearse(m->options->path, m->region, m->now.snapshot, &l->bundle);
    if (!l->snapshot)
        return false;
    CHECK(l->bundle >= 0);
    s = l->settings = m->program->settings(l->snapshot);
    if (!count_workers(m, l) ||
        !listeners_bind(&m->listeners, s->listeners, s->listener_count, l->workers))
        return false;
    if (logfiles_open(&m->logs, s->logs, s->log_count))
        return true;
    listeners_undo(&m->listeners);
    return false;
}

bool load_read(struct master *m, struct load *to)
{
    struct load l = LOAD_NONE;

    l.generation = region_begin(m->region);
    if (!read_inside(m, &l)) {
        load_end(m, &l);
        region_abort(m->region);
        return false;
    }
    region_commit(m->region);
    *to = l;
    return true;
}

void load_end(struct master *m, struct load *l)
{
    if (l->snapshot)
        m->program->release(l->snapshot);
    if (l->bundle >= 0)
        close(l->bundle);
    *l = LOAD_NONE;
}

/* ---- asking ---- */

static void ask(struct child *c, const struct load *l)
{
    struct control_message msg = { .kind = CONTROL_ADOPT,
                                   .generation = l->generation,
                                   .workers = l->workers };

    c->asked = l->generation;
    child_tell(c, &msg, l->bundle);
}

/* Ask who is READY and runs something else; true when all who are or will be READY run `l`. */
static bool ask_the_others(struct master *m, const struct load *l)
{
    bool all = true;

    LIST_EACH (&m->crew.children, n) {
        struct child *c = child_at(n);

        if (c->state == CHILD_STARTING)
            all = false; /* on the current bundle: it is asked when it is READY */
        if (c->state != CHILD_READY || (c->asked == 0 && c->generation == l->generation))
            continue;
        all = false;
        if (c->asked != l->generation)
            ask(c, l);
    }
    return all;
}

/* ---- ends ---- */

static void say_outcome(struct master *m, bool ok)
{
    struct region_header *h = region_header(m->region);

    if (ok)
        word_put(&h->reload_last_wall_ns, clock_wall_ns());
    else
        word_put(&h->reload_failures, word_peek(&h->reload_failures) + 1);
    /* release: who sees the outcome sees its count and time */
    word_publish(&h->reload_last_ok, ok);
    notify_send("READY=1\nSTATUS=generation %" PRIu64 "%s", m->now.generation,
                ok ? "" : ", the last reload was refused");
}

static void end_phase(struct master *m)
{
    struct reload *r = &m->reload;

    r->phase = RELOAD_NONE;
    timer_unset(&r->due);
    if (r->again && m->stopping == STOPPING_NOT) {
        r->again = false;
        reload_begin(m);
    }
}

static void tell_log_is_gone(void *who, const struct logfile *f)
{
    struct control_message msg = { .kind = CONTROL_LOG };

    if (strlen(f->path) >= sizeof msg.text)
        return;
    memcpy(msg.text, f->path, strlen(f->path) + 1);
    crew_tell(who, ROLE_CARETAKER, &msg, -1);
}

static void close_unwanted_listeners(struct master *m)
{
    LIST_EACH (&m->listeners.list, n) {
        struct listener *l = CONTAINER(n, struct listener, node);
        uint32_t id = l->id;

        if (l->wanted)
            continue;
        log_line(LOG_LEVEL_INFO, "no longer listening on %s", l->address);
        listener_close(l);
        lend_no_more(m, id);
    }
}

static void take_it(struct master *m)
{
    struct reload *r = &m->reload;
    const struct engine_settings *s = r->next.settings;

    load_end(m, &m->now);
    m->now = r->next;
    r->next = LOAD_NONE;
    if (m->program->settled)
        m->program->settled(m->now.snapshot);
    listeners_listen(&m->listeners, s->listeners, s->listener_count);
    crew_resize(m, m->now.workers);
    crew_hurry(m); /* what they died of may be gone */
    lend_sockets(m);
    close_unwanted_listeners(m);
    logfiles_keep(&m->logs, tell_log_is_gone, m);
    m->to_sweep = true;
    log_line(LOG_LEVEL_INFO, "generation %" PRIu64 " is running in all processes",
             m->now.generation);
    say_outcome(m, true);
    end_phase(m);
}

static void drop_next(struct master *m)
{
    listeners_undo(&m->listeners);
    logfiles_undo(&m->logs);
    load_end(m, &m->reload.next);
}

static void go_back(struct master *m, const char *why, const struct child *c)
{
    struct reload *r = &m->reload;

    if (c)
        log_line(LOG_LEVEL_ERROR,
                 "reload refused: process %d %s; all go back to generation %" PRIu64, (int)c->pid,
                 why, m->now.generation);
    else
        log_line(LOG_LEVEL_ERROR, "reload refused: %s; all go back to generation %" PRIu64, why,
                 m->now.generation);
    drop_next(m);
    m->to_sweep = true;
    r->phase = RELOAD_BACK;
    timer_set(&m->loop.timers, &r->due, m->loop.now_ns + engine_adopt_ns(m->now.settings));
    reload_step(m);
}

/* ---- steps ---- */

static void begin_rest(struct master *m)
{
    m->reload.phase = RELOAD_REST;
    if (ask_the_others(m, &m->reload.next))
        take_it(m);
}

static void step_first(struct master *m)
{
    struct child *c = crew_first_ready(m);
    bool asked = false;

    LIST_EACH (&m->crew.children, n) {
        asked = asked || child_at(n)->asked == m->reload.next.generation;
    }
    if (asked)
        return;
    if (c) {
        ask(c, &m->reload.next);
        return;
    }
    if (!m->reload.hurried) {
        m->reload.hurried = true;
        crew_hurry(m);
    }
    /* Nobody can live with the old one: the new one may be the cure. */
    if (!crew_is_starting(m))
        begin_rest(m);
}

void reload_step(struct master *m)
{
    switch (m->reload.phase) {
    case RELOAD_NONE:
        return;
    case RELOAD_FIRST:
        step_first(m);
        return;
    case RELOAD_REST:
        if (ask_the_others(m, &m->reload.next))
            take_it(m);
        return;
    case RELOAD_BACK:
        if (ask_the_others(m, &m->now)) {
            say_outcome(m, false);
            end_phase(m);
        }
        return;
    }
}

void reload_answered(struct master *m, struct child *c, uint64_t generation, bool adopted)
{
    struct reload *r = &m->reload;

    if (adopted)
        c->generation = generation;
    if (c->asked != generation) /* the answer to something that is not wanted any more */
        return;
    c->asked = 0;
    if (r->phase == RELOAD_BACK && !adopted) {
        log_line(LOG_LEVEL_ERROR, "process %d cannot go back: it is replaced", (int)c->pid);
        child_kill(c, SIGKILL);
        return;
    }
    if ((r->phase == RELOAD_FIRST || r->phase == RELOAD_REST) && generation == r->next.generation) {
        if (!adopted) {
            go_back(m, "could not adopt it", c);
            return;
        }
        if (r->phase == RELOAD_FIRST) {
            begin_rest(m);
            return;
        }
    }
    reload_step(m);
}

void reload_lost(struct master *m, struct child *c)
{
    bool midway = c->asked != 0 && c->asked == m->reload.next.generation;

    c->asked = 0;
    if (midway && (m->reload.phase == RELOAD_FIRST || m->reload.phase == RELOAD_REST))
        go_back(m, "died while adopting it", c);
}

static void on_due(struct timer *t)
{
    struct reload *r = CONTAINER(t, struct reload, due);
    struct master *m = CONTAINER(r, struct master, reload);

    switch (r->phase) {
    case RELOAD_NONE:
        return;
    case RELOAD_FIRST:
    case RELOAD_REST:
        go_back(m, "not everybody adopted it in time", NULL);
        return;
    case RELOAD_BACK:
        LIST_EACH (&m->crew.children, n) {
            if (child_at(n)->asked != 0)
                child_kill(child_at(n), SIGKILL);
        }
        return;
    }
}

void reload_init(struct reload *r)
{
    *r = (struct reload){ .next = LOAD_NONE };
    timer_init(&r->due, on_due);
}

/* What only an upgrade of the binary, or a restart, can change. */
static void say_what_stays(const struct engine_settings *was, const struct engine_settings *is)
{
    const char *later = "takes effect at upgrade (SIGUSR2) or restart; the running value stays";

    if (!str_equal(was->user, is->user) || !str_equal(was->group, is->group))
        log_line(LOG_LEVEL_WARN, "a change of user or group %s", later);
    if (was->pin != is->pin)
        log_line(LOG_LEVEL_WARN, "a change of the CPUs of the workers %s", later);
    if (!str_equal(was->pid_file, is->pid_file))
        log_line(LOG_LEVEL_WARN, "a change of the pid file %s", later);
    if (was->descriptors != is->descriptors)
        log_line(LOG_LEVEL_WARN, "a change of the limit on descriptors %s", later);
    if (!str_equal(was->error_log, is->error_log))
        log_line(LOG_LEVEL_WARN, "a change of the error log's file %s", later);
}

void reload_begin(struct master *m)
{
    struct reload *r = &m->reload;
    struct region_header *h = region_header(m->region);

    if (r->phase != RELOAD_NONE || m->booting) {
        r->again = true;
        return;
    }
    notify_reloading();
    word_put(&h->reloads, word_peek(&h->reloads) + 1);
    if (!load_read(m, &r->next)) {
        log_line(LOG_LEVEL_ERROR, "reload refused: generation %" PRIu64 " goes on",
                 m->now.generation);
        say_outcome(m, false);
        return;
    }
    say_what_stays(m->now.settings, r->next.settings);
    crew_send_logs(m);
    r->phase = RELOAD_FIRST;
    r->hurried = false;
    timer_set(&m->loop.timers, &r->due, m->loop.now_ns + engine_adopt_ns(r->next.settings));
    reload_step(m);
}

void reload_abandon(struct master *m)
{
    if (m->reload.phase == RELOAD_FIRST || m->reload.phase == RELOAD_REST)
        drop_next(m);
    m->reload.phase = RELOAD_NONE;
    m->reload.again = false;
    timer_unset(&m->reload.due);
}
