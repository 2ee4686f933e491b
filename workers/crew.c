/* The children. */
#include "workers/crew.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/base/check.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/base/number.h"
#include "shm/region.h"
#include "shm/seats.h"
#include "workers/lend.h"
#include "workers/master.h"
#include "workers/reload.h"
#include "workers/signals.h"
#include "workers/title.h"
#include "workers/worker.h"

#define RESPAWN_FIRST_NS                                                                           \
    (100 * NS_PER_MS) /* the second death in a row; the first waits not at all */
#define RESPAWN_MOST_NS   (10 * NS_PER_S)
#define LIVED_WELL_NS     (30 * NS_PER_S)
/* After SIGABRT, which leaves a core to look at; a process that is stopped does not even die of that. */
#define ABORT_PATIENCE_NS (2 * NS_PER_S)

static const char *role_name(const struct child *c, char *to, size_t size)
{
    if (c->role == ROLE_CARETAKER)
        snprintf(to, size, "caretaker");
    else
        snprintf(to, size, "worker %" PRIu32, c->slot);
    return to;
}

/* ---- telling ---- */

void child_kill(struct child *c, int signal)
{
    if (c->pid > 0 && kill(c->pid, signal) != 0 && errno != ESRCH)
        log_line(LOG_LEVEL_ERROR, "cannot kill process %d: %s", (int)c->pid, strerror(errno));
}

void child_tell(struct child *c, const struct control_message *msg, int fd)
{
    if (c->control.fd < 0 || control_send(&c->control, msg, fd))
        return;
    if (errno == EPIPE || errno == ECONNRESET) /* it has died; SIGCHLD is on its way */
        return;
    log_line(LOG_LEVEL_ERROR, "process %d does not take orders (%s): it is replaced", (int)c->pid,
             strerror(errno));
    child_kill(c, SIGKILL);
}

void crew_tell(struct master *m, int role, const struct control_message *msg, int fd)
{
    LIST_EACH (&m->crew.children, n) {
        if (role < 0 || (int)child_at(n)->role == role)
            child_tell(child_at(n), msg, fd);
    }
}

static void send_logs_to(struct child *c)
{
    LIST_EACH (&c->master->logs.list, n) {
        const struct logfile *f = logfile_at(n);
        struct control_message msg = { .kind = CONTROL_LOG };

        if (strlen(f->path) >= sizeof msg.text) {
            log_line(LOG_LEVEL_ERROR, "the path of the log %s is too long", f->path);
            continue;
        }
        memcpy(msg.text, f->path, strlen(f->path) + 1);
        child_tell(c, &msg, f->fd);
    }
}

void crew_send_logs(struct master *m)
{
    LIST_EACH (&m->crew.children, n) {
        if (child_at(n)->role == ROLE_CARETAKER)
            send_logs_to(child_at(n));
    }
}

void crew_send_error_log(struct master *m)
{
    crew_tell(m, -1, &(struct control_message){ .kind = CONTROL_ERROR_LOG }, STDERR_FILENO);
}

/* ---- being born ---- */

/* What a child got by fork and must not have. */
static void leave_masters_things(struct master *m, const struct child *self)
{
    signals_leave();
    close(m->signals.fd);
    close(m->loop.epoll);
    pidfile_leave(&m->pidfile);
    if (m->waiting_caller >= 0)
        close(m->waiting_caller);
    if (m->reload.next.bundle >= 0)
        close(m->reload.next.bundle);
    LIST_EACH (&m->crew.children, n) {
        if (child_at(n) != self && child_at(n)->control.fd >= 0)
            close(child_at(n)->control.fd);
    }
    close(self->control.fd);
    listeners_end(&m->listeners, true);
    logfiles_end(&m->logs);
}

static bool pin_of(const struct master *m, const struct child *c, cpu_set_t *cpus)
{
    if (c->role != ROLE_WORKER)
        return false;
    switch (m->pin) {
    case PIN_NONE:
        return false;
    case PIN_AUTO:
        /* With a quota below the mask the CPUs are shared with others, who would all sit on the first ones. */
        if (m->cpus.quota != 0 && m->cpus.quota < m->cpus.count)
            return false;
        return cpus_nth(&m->cpus.allowed, c->slot, cpus);
    case PIN_MASKS:
        if (m->pin_count == 0)
            return false;
        *cpus = m->pin_masks[c->slot % m->pin_count];
        return true;
    }
    UNREACHABLE();
}

NORETURN static void be_born(struct child *c, int control)
{
    struct master *m = c->master;
    char name[32];
    struct worker_birth birth = { .program = m->program,
                                  .region = m->region,
                                  .rights = &m->rights,
                                  .role = c->role,
                                  .slot = c->slot,
                                  .workers = m->now.workers,
                                  .control = control,
                                  .bundle = m->now.bundle,
                                  .generation = m->now.generation };

    leave_masters_things(m, c);
    log_set_role(role_name(c, name, sizeof name));
    title_set(m->options->title, "%s: %s", m->program->name, name);
    birth.pinned = pin_of(m, c, &birth.cpus);
    exit(worker_run(&birth));
}

static void on_told(struct control *control, const struct control_message *msg, int fd);
static void on_silence(struct control *control);

static void man(struct child *c)
{
    struct master *m = c->master;
    int ends[2];
    pid_t pid;

    if (!control_pair(ends)) {
        log_line(LOG_LEVEL_ERROR, "cannot make a control socket: %s", strerror(errno));
        goto later;
    }
    control_init(&c->control, ends[0], on_told, on_silence);
    if (c->role == ROLE_CARETAKER)
        send_logs_to(c); /* they wait in the socket until it is born */
    pid = fork();
    if (pid == 0)
        be_born(c, ends[1]);
    close(ends[1]);
    if (pid < 0) {
        log_line(LOG_LEVEL_ERROR, "cannot fork: %s", strerror(errno));
        control_close(&c->control, &m->loop);
        goto later;
    }
    if (!control_watch(&c->control, &m->loop))
        die("cannot poll a control socket");
    c->pid = pid;
    c->state = CHILD_STARTING;
    c->born_ns = m->loop.now_ns;
    c->generation = m->now.generation;
    c->asked = 0;
    c->seat = SEAT_NONE;
    c->beat = c->silent_ns = 0;
    c->aborted = false;
    m->crew.epoch++;
    if (c->role == ROLE_CARETAKER)
        word_publish(&region_header(m->region)->caretaker, region_process((int)pid, m->crew.epoch));
    return;
later:
    c->failures++;
    c->state = CHILD_AWAITED;
    timer_set(&m->loop.timers, &c->respawn, m->loop.now_ns + NS_PER_S);
}

static void on_respawn(struct timer *t)
{
    man(CONTAINER(t, struct child, respawn));
}

static void on_end(struct task *t)
{
    struct child *c = CONTAINER(t, struct child, end);

    free(c->held);
    free(c);
}

static void add_post(struct master *m, enum worker_role role, uint32_t slot)
{
    struct child *c = calloc(1, sizeof *c);

    if (!c)
        die("out of memory for a child");
    c->master = m;
    c->role = role;
    c->slot = slot;
    c->seat = SEAT_NONE;
    link_init(&c->node);
    control_init(&c->control, -1, on_told, on_silence);
    timer_init(&c->respawn, on_respawn);
    task_init(&c->end, on_end);
    list_push_back(&m->crew.children, &c->node);
    man(c);
}

static void remove_post(struct child *c)
{
    struct master *m = c->master;

    timer_remove(&m->loop.timers, &c->respawn);
    link_remove(&c->node);
    loop_queue_end(&m->loop, &c->end);
    master_child_left(m);
}

/* ---- hearing ---- */

static void on_told(struct control *control, const struct control_message *msg, int fd)
{
    struct child *c = CONTAINER(control, struct child, control);
    struct master *m = c->master;

    CHECK(fd < 0);
    switch (msg->kind) {
    case CONTROL_READY:
        c->seat = (uint32_t)msg->number;
        if (c->state != CHILD_STARTING)
            return;
        c->state = CHILD_READY;
        if (m->booting && !crew_is_starting(m))
            master_is_ready(m);
        lend_sockets(m);
        reload_step(m);
        return;
    case CONTROL_ADOPTED:
        reload_answered(m, c, msg->generation, true);
        return;
    case CONTROL_REFUSED:
        reload_answered(m, c, msg->generation, false);
        return;
    case CONTROL_ENDED:
        m->cut += msg->number;
        return;
    case CONTROL_LISTENER:
    case CONTROL_DROP:
    case CONTROL_ADOPT:
    case CONTROL_LOG:
    case CONTROL_ERROR_LOG:
    case CONTROL_CLOSING_SOON:
    case CONTROL_DRAIN:
    case CONTROL_CUT:
        break;
    }
    UNREACHABLE();
}

/* It is dying; SIGCHLD says how. */
static void on_silence(struct control *control)
{
    control_close(control, &CONTAINER(control, struct child, control)->master->loop);
}

/* ---- dying ---- */

static struct child *find_pid(struct master *m, pid_t pid)
{
    LIST_EACH (&m->crew.children, n) {
        if (child_at(n)->pid == pid)
            return child_at(n);
    }
    return NULL;
}

static void retire_seat(struct master *m, pid_t pid)
{
    uint32_t seat;

    while ((seat = seats_retire(m->seats, (int)pid)) != SEAT_NONE) {
        if (m->program->seat_died)
            m->program->seat_died(m->program, m->region, seat);
        seats_free(m->seats, seat);
    }
}

static bool ended_well(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void say_how(const struct child *c, pid_t pid, int status, bool expected)
{
    enum log_level level = expected && ended_well(status) ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR;
    char name[32];

    role_name(c, name, sizeof name);
    if (WIFSIGNALED(status))
        log_line(LOG_LEVEL_ERROR, "%s (process %d) was killed by signal %d (%s)%s", name, (int)pid,
                 WTERMSIG(status), strsignal(WTERMSIG(status)),
                 WCOREDUMP(status) ? " and left a core" : "");
    else
        log_line(level, "%s (process %d) ended with status %d", name, (int)pid,
                 WEXITSTATUS(status));
}

static uint64_t respawn_delay(const struct child *c)
{
    uint64_t delay = RESPAWN_FIRST_NS;

    if (c->failures <= 1)
        return 0;
    for (uint32_t i = 2; i < c->failures && delay < RESPAWN_MOST_NS; i++)
        delay *= 2;
    return delay < RESPAWN_MOST_NS ? delay : RESPAWN_MOST_NS;
}

static void man_again(struct child *c)
{
    struct master *m = c->master;
    uint64_t delay;

    c->failures = m->loop.now_ns - c->born_ns >= LIVED_WELL_NS ? 1 : c->failures + 1;
    delay = respawn_delay(c);
    c->state = CHILD_AWAITED;
    if (delay == 0) {
        man(c);
        return;
    }
    log_line(LOG_LEVEL_WARN,
             "it died %" PRIu32 " times in a row: the next is started in %" PRIu64 " ms",
             c->failures, delay / NS_PER_MS);
    timer_set(&m->loop.timers, &c->respawn, m->loop.now_ns + delay);
}

static void bury(struct child *c, int status)
{
    struct master *m = c->master;
    bool leaving = c->state == CHILD_LEAVING;
    pid_t pid = c->pid;

    control_read(&c->control); /* its last words */
    control_close(&c->control, &m->loop);
    say_how(c, pid, status, leaving || m->stopping == STOPPING_NOW);
    retire_seat(m, pid);
    c->held_count = 0;
    if (leaving || m->stopping == STOPPING_NOW) {
        remove_post(c);
        return;
    }
    if (m->booting) {
        remove_post(c);
        master_give_up(m);
        return;
    }
    c->state = CHILD_AWAITED;
    lend_sockets(m); /* at once: nobody waits for a dead worker's sockets */
    reload_lost(m, c);
    c->pid = 0;
    man_again(c);
    reload_step(m);
}

void crew_reap(struct master *m)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct child *c = find_pid(m, pid);

        if (c) /* as process 1 of a container we also get orphans that we never made */
            bury(c, status);
    }
}

/* ---- watching ---- */

static uint64_t patience(const struct master *m, const struct child *c)
{
    uint64_t stuck = m->now.settings->stuck_ns, adopt = engine_adopt_ns(m->now.settings);

    if (c->state != CHILD_STARTING || stuck == 0)
        return stuck;
    return stuck > adopt ? stuck : adopt; /* nobody is served yet; the first build is at one go */
}

static void look_at_heart(struct master *m, struct child *c, uint64_t passed_ns)
{
    uint64_t limit = patience(m, c);
    uint64_t beat = c->seat == SEAT_NONE ? 0 : seats_view(m->seats, c->seat).heartbeat_ns;

    c->silent_ns = beat != c->beat ? 0 : c->silent_ns + passed_ns;
    c->beat = beat;
    if (limit == 0 || c->silent_ns < limit)
        return;
    if (!c->aborted) {
        char name[32];

        log_line(LOG_LEVEL_ERROR, "%s (process %d) has not moved for %" PRIu64 " ms: it is killed",
                 role_name(c, name, sizeof name), (int)c->pid, c->silent_ns / NS_PER_MS);
        c->aborted = true;
        child_kill(c, SIGABRT);
        lend_sockets(m);
    } else if (c->silent_ns >= limit + ABORT_PATIENCE_NS) {
        child_kill(c, SIGKILL);
    }
}

void crew_tick(struct master *m)
{
    uint64_t stuck = m->now.settings->stuck_ns;
    uint64_t period = stuck && stuck / 4 < NS_PER_S ? stuck / 4 : NS_PER_S;
    uint64_t passed = m->loop.now_ns - m->crew.ticked_ns;

    /* If we were late, the machine stood still or was overloaded, and our children no less. */
    m->crew.ticked_ns = m->loop.now_ns;
    passed = passed < 2 * period ? passed : 2 * period;
    LIST_EACH (&m->crew.children, n) {
        if (child_at(n)->pid > 0)
            look_at_heart(m, child_at(n), passed);
    }
}

/* ---- the whole crew ---- */

void crew_init(struct crew *c)
{
    *c = (struct crew){ 0 };
    list_init(&c->children);
}

void crew_hurry(struct master *m)
{
    LIST_EACH (&m->crew.children, n) {
        struct child *c = child_at(n);

        if (c->state != CHILD_AWAITED || c->pid > 0)
            continue;
        timer_unset(&c->respawn);
        c->failures = 0;
        man(c);
    }
}

static bool is_manned(struct master *m, enum worker_role role, uint32_t slot)
{
    LIST_EACH (&m->crew.children, n) {
        struct child *c = child_at(n);

        if (c->role == role && c->slot == slot && c->state != CHILD_LEAVING)
            return true;
    }
    return false;
}

static void dismiss(struct child *c, uint64_t grace_ns)
{
    timer_unset(&c->respawn);
    if (c->pid <= 0) {
        remove_post(c);
        return;
    }
    c->state = CHILD_LEAVING;
    c->held_count = 0;
    child_tell(c, &(struct control_message){ .kind = CONTROL_DRAIN, .number = grace_ns }, -1);
}

void crew_resize(struct master *m, uint32_t workers)
{
    LIST_EACH (&m->crew.children, n) {
        struct child *c = child_at(n);

        if (c->role == ROLE_WORKER && c->slot >= workers && c->state != CHILD_LEAVING)
            dismiss(c, engine_grace_ns(m->now.settings));
    }
    if (!is_manned(m, ROLE_CARETAKER, 0))
        add_post(m, ROLE_CARETAKER, 0);
    for (uint32_t slot = 0; slot < workers; slot++)
        if (!is_manned(m, ROLE_WORKER, slot))
            add_post(m, ROLE_WORKER, slot);
}

void crew_dismiss(struct master *m, enum worker_role role, uint64_t grace_ns)
{
    LIST_EACH (&m->crew.children, n) {
        if (child_at(n)->role == role)
            dismiss(child_at(n), grace_ns);
    }
}

size_t crew_count(const struct master *m, enum worker_role role)
{
    size_t count = 0;

    for (struct link_node *n = m->crew.children.head.next; n != &m->crew.children.head; n = n->next)
        count += child_at(n)->role == role;
    return count;
}

struct child *crew_first_ready(struct master *m)
{
    struct child *first = NULL;

    LIST_EACH (&m->crew.children, n) {
        if (child_may_poll(child_at(n)) && (!first || child_at(n)->slot < first->slot))
            first = child_at(n);
    }
    return first;
}

bool crew_is_starting(const struct master *m)
{
    for (struct link_node *n = m->crew.children.head.next; n != &m->crew.children.head; n = n->next)
        if (child_at(n)->state == CHILD_STARTING)
            return true;
    return false;
}

bool crew_has_unseated(const struct master *m)
{
    for (struct link_node *n = m->crew.children.head.next; n != &m->crew.children.head; n = n->next)
        if (child_at(n)->pid > 0 && child_at(n)->seat == SEAT_NONE)
            return true;
    return false;
}

void crew_end(struct master *m)
{
    struct link_node *n;

    while ((n = list_pop_front(&m->crew.children))) {
        timer_remove(&m->loop.timers, &child_at(n)->respawn);
        control_close(&child_at(n)->control, &m->loop);
        on_end(&child_at(n)->end);
    }
}
