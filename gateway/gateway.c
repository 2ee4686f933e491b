/* The program that workers/ runs: starts a process's share of the gateway, adopts snapshots, takes
 * connections, drains.
 */
#include "gateway/gateway.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/base/number.h"
#include "gateway/caretaker/caretaker.h"
#include "gateway/client/session.h"
#include "gateway/ended.h"
#include "gateway/exchange/shared.h"
#include "gateway/limiting/limit_asks.h"
#include "gateway/limiting/limit_line.h"
#include "gateway/lookup/lookups.h"
#include "gateway/report.h"
#include "gateway/stores.h"
#include "gateway/upstream/links.h"
#include "shm/bell.h"
#include "shm/breaker.h"
#include "shm/holds.h"
#include "shm/places.h"
#include "workers/worker.h"

#define EXCHANGE_MEMORY      ((size_t)6 * 1024) /* bytes of an exchange and the first of its arena */
/* What a build may take: this, and so much for each byte of the configuration. */
#define BUILD_BYTES          ((size_t)4 << 20)
#define BUILD_BYTES_PER_BYTE ((size_t)128)
#define READ_WITHIN          (2 * NS_PER_S)

/* What this file keeps of a process, around what everybody else looks at. */
struct gateway {
    struct local local;
    struct caretaker *caretaker;
    uint64_t generation; /* of the current snapshot                             */
    struct ended ended;  /* what is older and not let go yet */
    struct watch bell;   /* of a worker: there may be a place for somebody who waits */
};

static struct gateway *gateway_of(const struct worker *w)
{
    return w->local;
}

/* ---- in the master ---------------------------------------------------------------------------- */

/* A master that runs out of memory in a build takes everybody with it, so a reload that is too large for what there is has
 * to be refused before. Only asked for and not touched, this costs nothing.
 * (Measured: a service written in one line takes 80 times its text.) */
static bool memory_is_there(const char *path)
{
    struct stat st;
    size_t size;
    void *p;

    if (stat(path, &st) != 0 || st.st_size > (off_t)CONF_TREE_BYTES_MAX)
        return true; /* who reads it says so better */
    size = BUILD_BYTES + (size_t)st.st_size * BUILD_BYTES_PER_BYTE;
    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        log_line(LOG_LEVEL_ERROR, "not enough memory to build from %s: it may take %zu MiB", path,
                 size >> 20);
        return false;
    }
    munmap(p, size);
    return true;
}

/* As read(), until then: a pipe may have a writer that says nothing, or none, and the master has more to do. */
static ssize_t read_until(int fd, char *to, size_t room, uint64_t until_ns)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    for (;;) {
        uint64_t now_ns = clock_now_ns();
        int ready = poll(&p, 1, now_ns < until_ns ? (int)((until_ns - now_ns) / NS_PER_MS) : 0);
        ssize_t n;

        if (ready == 0) {
            errno = ETIMEDOUT;
            return -1;
        }
        if (ready < 0 && errno != EINTR)
            return -1;
        if (ready < 0)
            continue;
        n = read(fd, to, room);
        if (n >= 0 || errno != EAGAIN)
            return n;
    }
}

/* The whole file, or false with the reason logged. */
static bool read_file(const char *path, struct bundle *b)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    uint64_t until_ns = clock_now_ns() + READ_WITHIN;
    char *bytes = NULL;
    size_t len = 0, room = 0;
    ssize_t n = -1;

    while (fd >= 0) {
        if (len == room) {
            room = room ? room * 2 : 65536;
            bytes = realloc(bytes, room);
            if (!bytes)
                die("out of memory for %s", path);
        }
        n = read_until(fd, bytes + len, room - len, until_ns);
        if (n <= 0)
            break;
        len += (size_t)n;
        if (len > CONF_TREE_BYTES_MAX) {
            errno = EFBIG;
            n = -1;
            break;
        }
    }
    if (n < 0)
        log_line(LOG_LEVEL_ERROR, "cannot read %s: %s", path, strerror(errno));
    else
        bundle_put(b, BUNDLE_CONFIG, str_from(path), str_of(bytes, len));
    if (fd >= 0)
        close(fd);
    free(bytes);
    return n == 0;
}

struct snapshot *gateway_read(const char *path, struct region *r, const struct snapshot *previous,
                              struct bundle **bundle, enum build_result *result)
{
    struct snapshot *s;

    *bundle = bundle_new();
    if (!memory_is_there(path) || !read_file(path, *bundle)) {
        bundle_free(*bundle);
        return NULL;
    }
    if (previous)
        bundle_remember(*bundle, previous->names);
    s = snapshot_begin(BUILD_MASTER, str_from(path), r, *bundle, previous);
    *result = snapshot_more(s, UINT64_MAX);
    return s;
}

static struct snapshot *rehearse(const char *path, struct region *r,
                                 const struct snapshot *previous, int *bundle_fd)
{
    struct bundle *bundle;
    enum build_result result;
    struct snapshot *s = gateway_read(path, r, previous, &bundle, &result);

    if (!s)
        return NULL;
    snapshot_log_problems(s);
    *bundle_fd = result == BUILD_DONE ? bundle_seal(bundle) : -1;
    if (*bundle_fd < 0) {
        if (result == BUILD_DONE)
            log_line(LOG_LEVEL_ERROR, "cannot seal the configuration: %s", strerror(errno));
        snapshot_free(s);
        return NULL;
    }
    word_put(&region_header(r)->config_hash, s->config_hash);
    s->names = bundle_addresses(bundle);
    snapshot_seal(s);
    snapshot_forget_routes(s);
    malloc_trim(0); /* the rehearsal was many times as large as what is kept of it */
    return s;
}

static const struct engine_settings *settings(const struct snapshot *s)
{
    return &s->engine;
}

/* Every process does it for itself: the log's level and form are of the process. */
static void configure_log(const struct conf_globals *c)
{
    log_set_level((enum log_level)c->logging.level);
    log_set_format(c->logging.error.format == CONF_LOG_JSON ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
}

static void settled(const struct snapshot *s)
{
    configure_log(s->globals);
}

static void seat_died(const struct program *p, struct region *r, uint32_t seat)
{
    breakers_retire_seat(r, seat);
    holds_retire_seat(r, seat);
    stores_retire_seat(r, seat);
    places_retire_seat(r, seat);
    places_call_all(r, ((const struct gateway_program *)(const void *)p)->bells);
}

/* ---- in a worker or the caretaker ------------------------------------------------------------- */

/* The oldest generation that this process may still touch: of the current snapshot, of one that it is on its way back to, or
 * of what has ended and is not let go yet. */
static void say_what_is_held(struct ended *e)
{
    struct gateway *g = CONTAINER(e, struct gateway, ended);
    const struct worker *w = g->local.worker;
    uint64_t oldest = ended_oldest(e);

    oldest = g->generation < oldest ? g->generation : oldest;
    if (w->next.snapshot && w->next.generation < oldest)
        oldest = w->next.generation;
    worker_holds_since(g->local.worker, oldest);
}

static void release_part(struct part *p, struct local *l)
{
    ended_release(&CONTAINER(l, struct gateway, local)->ended, p);
}

static void let_go(struct local *l)
{
    worker_let_go(l->worker);
}

/* Made by the master, and the same in all its children. */
static const struct bells *bells_of(const struct worker *w)
{
    return ((const struct gateway_program *)(const void *)w->program)->bells;
}

static void on_bell(struct watch *w, uint32_t events)
{
    struct gateway *g = CONTAINER(w, struct gateway, bell);

    (void)events;
    bells_hush(g->local.bells, g->local.seat);
    limit_lines_called(&g->local);
}

static void watch_bell(struct gateway *g)
{
    watch_init(&g->bell, bells_fd(g->local.bells, g->local.seat), on_bell);
    if (!loop_watch(g->local.loop, &g->bell, EPOLLIN))
        die("cannot watch the worker's bell");
}

/* What the last one in this seat said of its load is not ours. */
static void begin_worker(struct gateway *g)
{
    shared_word *mine = &g->local.shared->in_hand[(size_t)g->local.seat * SEAT_WORDS];

    word_put(&mine[SEAT_DELAY_NS], 0);
    word_put(&mine[SEAT_SHED_PPM], 0);
    watch_bell(g);
}

static void start(struct worker *w)
{
    struct gateway *g = calloc(1, sizeof *g);
    struct local *l = &g->local;
    struct lookups_observer observer;

    if (!g)
        die("out of memory for a worker");
    *l = (struct local){ .worker = w,
                         .loop = &w->loop,
                         .region = w->region,
                         .seat = w->seat,
                         .bells = bells_of(w),
                         .part_hold = part_hold,
                         .part_release = release_part,
                         .report = reporter_take,
                         .let_go = let_go };
    w->local = g;
    ended_init(&g->ended, l->loop, say_what_is_held);
    pool_init(&l->exchanges, EXCHANGE_MEMORY, 0);
    conn_pool_init(&l->conns);
    sessions_init(l);
    l->links = links_new(l);
    observer = stores_observer(l);
    l->lookups = lookups_new(l->loop, &l->conns, &observer);
    l->limit_asks = limit_asks_new(l);
    report_attach(l);
    if (w->role == ROLE_CARETAKER)
        g->caretaker = caretaker_start(w, l->bells);
    else
        begin_worker(g);
}

static struct snapshot *build(struct worker *w, int bundle_fd, uint64_t generation)
{
    struct bundle *b = bundle_open(bundle_fd);
    struct snapshot *s =
        b ? snapshot_begin(w->role == ROLE_CARETAKER ? BUILD_CARETAKER : BUILD_WORKER, STR(""),
                           w->region, b, w->snapshot)
          : NULL;

    if (s) {
        s->generation = generation;
        s->bin = &gateway_of(w)->ended.bin;
    }
    return s;
}

static enum build_result build_more(struct worker *w, struct snapshot *s, uint64_t until_ns)
{
    enum build_result r = snapshot_more(s, until_ns);

    if (r == BUILD_FAILED) {
        snapshot_log_problems(s);
        ended_take(&gateway_of(w)->ended, s);
    } else if (r == BUILD_DONE) {
        snapshot_seal(s);
        ended_soon(&gateway_of(w)->ended);
    }
    return r;
}

static void build_drop(struct worker *w, struct snapshot *s)
{
    ended_take(&gateway_of(w)->ended, s);
}

static uint32_t share(uint64_t whole, uint32_t workers)
{
    uint64_t each = workers ? whole / workers : whole;

    return each ? (uint32_t)each : 1;
}

static void configure(struct worker *w, const struct conf_globals *c)
{
    struct gateway *g = gateway_of(w);
    struct link_limits limits = { .max_idle = share(c->upstream_pool.max_idle, w->workers),
                                  .max_per_host = share(c->upstream_pool.max_per_host, w->workers),
                                  .max_pending = (uint32_t)c->upstream_pool.max_pending };

    configure_log(c);
    links_limit(g->local.links, &limits);
    if (g->caretaker)
        caretaker_configure(g->caretaker, c);
}

static void adopt(struct worker *w, struct snapshot *next)
{
    struct gateway *g = gateway_of(w);
    struct snapshot *old = w->snapshot;

    configure(w, next->globals);
    g->local.current = next->current;
    g->generation = next->generation;
    if (old) {
        ended_take(&g->ended, old);
    } else { /* nobody is served yet: the first build leaves nothing behind */
        ended_all(&g->ended);
        malloc_trim(0);
    }
    links_sweep(g->local.links);
    say_what_is_held(&g->ended);
}

static void accepted(struct worker *w, const struct arrival *a)
{
    session_begin(&gateway_of(w)->local, a);
}

/* Only while a step wants to know; see pressure.h. */
static void look_at_pressure(struct local *l)
{
    shared_word *mine = &l->shared->in_hand[(size_t)l->seat * SEAT_WORDS];
    uint64_t now_ns = clock_now_ns();
    struct timespec used;

    /* each client may have a link to a service */
    pressure_turned(&l->pressure, l->loop->now_ns, now_ns,
                    l->loop->full ? 2 * l->session_count / LOOP_EVENTS : 0);
    if (pressure_is_due(&l->pressure, now_ns)) {
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
        pressure_look(&l->pressure, now_ns,
                      (uint64_t)used.tv_sec * NS_PER_S + (uint64_t)used.tv_nsec);
    }
    /* relaxed: numbers that mean something alone */
    word_put(&mine[SEAT_DELAY_NS], l->pressure.delay_ns);
    word_put(&mine[SEAT_SHED_PPM], pressure_shed_most(&l->pressure));
}

static void turned(struct worker *w)
{
    struct local *l = &gateway_of(w)->local;

    report_in_hand(l);
    if (UNLIKELY(pressure_is_watched(&l->pressure)))
        look_at_pressure(l);
}

static void logs_changed(struct worker *w)
{
    if (gateway_of(w)->caretaker)
        caretaker_logs_changed(gateway_of(w)->caretaker);
}

static void drain(struct worker *w)
{
    struct gateway *g = gateway_of(w);

    g->local.draining = true;
    if (g->caretaker)
        caretaker_drain(g->caretaker);
    else
        sessions_drain(&g->local);
}

static size_t unfinished(const struct worker *w)
{
    const struct gateway *g = gateway_of(w);

    if (g->caretaker)
        return caretaker_unfinished(g->caretaker);
    return g->local.session_count + g->local.loop->closing_count;
}

static void stop(struct worker *w)
{
    struct gateway *g = gateway_of(w);

    if (g->caretaker)
        caretaker_stop(g->caretaker);
    sessions_cut(&g->local);
    loop_turn(&w->loop,
              0); /* what has ended is freed, and the records of what was cut are written */
    links_end(g->local.links);
    limit_asks_end(g->local.limit_asks);
    lookups_end(g->local.lookups);
    conns_cut(&w->loop);
    loop_turn(&w->loop, 0);
    limit_lines_end(&g->local);
    if (!g->caretaker)
        loop_unwatch(&w->loop, &g->bell);
    reporter_end(&g->local);
    ended_take(&g->ended, w->snapshot);
    w->snapshot = NULL;
    ended_all(&g->ended);
    pool_end(&g->local.exchanges);
    pool_end(&g->local.conns);
    pool_end(&g->local.sessions);
    pool_end(&g->local.upstream_links);
    free(g);
    w->local = NULL;
}

static const struct program program = {
    .name = "sluice",
    .rehearse = rehearse,
    .settings = settings,
    .release = snapshot_free,
    .settled = settled,
    .seat_died = seat_died,
    .start = start,
    .build = build,
    .build_more = build_more,
    .build_drop = build_drop,
    .adopt = adopt,
    .accepted = accepted,
    .turned = turned,
    .logs_changed = logs_changed,
    .drain = drain,
    .unfinished = unfinished,
    .stop = stop,
};

void gateway_program_init(struct gateway_program *p)
{
    *p = (struct gateway_program){ .program = program, .bells = bells_new() };
}

void gateway_program_end(struct gateway_program *p)
{
    bells_free(p->bells);
}
