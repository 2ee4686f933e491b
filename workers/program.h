/* The seam between processes and what they are for: what this engine asks of the program it runs.
 *
 * workers/ forks, watches, listens and reloads; it knows no HTTP. gateway/gateway.c fills this struct in;
 * a test fills it in with forty lines that echo bytes. Functions marked "may be NULL" may be NULL.
 */
#ifndef WORKERS_PROGRAM_H
#define WORKERS_PROGRAM_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "gateway/base/str.h"

struct region;
struct snapshot; /* everything derived from one reading of the configuration */
struct worker;

enum worker_role { ROLE_WORKER, ROLE_CARETAKER };

/* Where to listen. A listener is known by its address: the same text after a reload is the same socket. */
struct listen_address {
    struct str address; /* "8080", ":8080", "0.0.0.0:80", "[::1]:80", "unix:/run/x.sock" */
    uint32_t backlog;   /* 0: 4096 (the kernel caps it by net.core.somaxconn) */
    uint32_t unix_mode; /* permissions of a Unix socket's file; 0: 0660 */
};

enum pinning {
    PIN_AUTO, /* worker i on the i-th CPU we may use, if they are ours alone */
    PIN_NONE,
    PIN_MASKS /* worker i on pin_masks[i modulo pin_count] */
};

/* What stands for 0 in engine_settings. */
#define ENGINE_GRACE_NS        UINT64_C(30000000000)
#define ENGINE_ADOPT_NS        UINT64_C(60000000000)
#define ENGINE_MAX_CONNECTIONS 16384
#define ENGINE_BACKLOG         4096

/* What the engine itself wants to know. Lives in the snapshot that it came from. What is marked (start)
 * cannot change in a living process: a reload keeps the running value and says so. */
struct engine_settings {
    uint32_t workers; /* 0: as many as CPUs in our cgroup and affinity mask */
    enum pinning pin; /* (start) */
    const cpu_set_t *pin_masks;
    size_t pin_count;
    struct str user, group;   /* (start) workers and caretaker become these; empty: stay */
    struct str pid_file;      /* (start) empty: none */
    uint32_t max_connections; /* each worker; 0: 16384 */
    uint64_t descriptors;     /* (start) RLIMIT_NOFILE; 0: enough for max_connections twice */
    const struct listen_address *listeners;
    size_t listener_count;
    uint64_t drain_delay_ns; /* between the signal to stop and the end of accepting */
    uint64_t grace_ns;       /* what still runs so long after that is cut; 0: 30 s */
    uint64_t stuck_ns;       /* a worker that has not turned for so long is killed; 0: never */
    uint64_t adopt_ns;       /* a worker that takes longer to adopt refuses; 0: 60 s */
    struct str error_log;    /* file that takes over standard error; empty: stays */
    const struct str *logs;  /* files that the master opens for the caretaker, see worker_log */
    size_t log_count;
};

/* A connection that was just accepted. */
struct arrival {
    int fd;              /* non-blocking, close-on-exec; the program's from now on */
    bool local;          /* came through a Unix socket */
    struct str listener; /* listen_address.address; valid as long as the process */
    const struct sockaddr_storage *peer; /* valid during the call */
    socklen_t peer_len;
};

static inline uint64_t engine_grace_ns(const struct engine_settings *s)
{
    return s->grace_ns ? s->grace_ns : ENGINE_GRACE_NS;
}

static inline uint64_t engine_adopt_ns(const struct engine_settings *s)
{
    return s->adopt_ns ? s->adopt_ns : ENGINE_ADOPT_NS;
}

static inline uint32_t engine_max_connections(const struct engine_settings *s)
{
    return s->max_connections ? s->max_connections : ENGINE_MAX_CONNECTIONS;
}

enum build_result { BUILD_MORE, BUILD_DONE, BUILD_FAILED };

struct program {
    const char *name;     /* of processes and in messages: "sluice" */
    uint64_t region_size; /* of what the processes share; 0: the region's default */

    /* ---- in the master, which never touches a client's bytes ---- */

    /* The rehearsal: read `path` and all it names, build everything once, make the shared tables (the engine has
     * called region_begin). Fills *bundle with a sealed memfd of the exact bytes.
     * returns  NULL when there was a problem: every one has been logged, nothing is kept */
    struct snapshot *(*rehearse)(const char *path, struct region *r,
                                 const struct snapshot *previous, int *bundle);
    const struct engine_settings *(*settings)(const struct snapshot *s);
    void (*release)(struct snapshot *s);
    /* From now on this is the configuration: for what the master itself has from it, such as how its log looks. May
     * be NULL. */
    void (*settled)(const struct snapshot *s);
    /* A process has died and its seat is empty: give back what it held (holds, probes). May be NULL. */
    void (*seat_died)(const struct program *p, struct region *r, uint32_t seat);

    /* ---- in a worker or the caretaker; w->role says which ---- */

    /* Once, first; w->snapshot is still NULL. Ends the process (die) when it cannot. */
    void (*start)(struct worker *w);
    /* Begin to build from the bundle's bytes; w->snapshot lends what did not change. The descriptor is the engine's
     * and stays open until the build has ended.
     * returns  NULL when it cannot; it has been logged */
    struct snapshot *(*build)(struct worker *w, int bundle, uint64_t generation);
    /* A slice of the work, to about `until_ns` on clock_now_ns(). BUILD_FAILED: has been logged, and `s` is freed. */
    enum build_result (*build_more)(struct worker *w, struct snapshot *s, uint64_t until_ns);
    /* A build that was begun is not wanted any more. */
    void (*build_drop)(struct worker *w, struct snapshot *s);
    /* Between two turns: from now on `next`. w->snapshot is still the old one (NULL at first), to be let go. */
    void (*adopt)(struct worker *w, struct snapshot *next);
    /* Take a connection; call worker_let_go() once, when it is closed. Only in workers. */
    void (*accepted)(struct worker *w, const struct arrival *a);
    /* At the end of each turn, before the loop sleeps. May be NULL. */
    void (*turned)(struct worker *w);
    /* Log files were opened anew (SIGUSR1, a reload): ask worker_log() again. May be NULL. */
    void (*logs_changed)(struct worker *w);
    /* Begin nothing new, finish what runs; unfinished() is asked at the end of each turn from now on. */
    void (*drain)(struct worker *w);
    /* How much still runs. At 0 a draining process ends; after the grace, what is left is cut and counted. */
    size_t (*unfinished)(const struct worker *w);
    /* The last call, unless killed. May be NULL. */
    void (*stop)(struct worker *w);
};

#endif
