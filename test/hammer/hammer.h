/* What the hammers have in common: many actors on one shared structure, as threads or as processes that are killed.
 *
 *   hammer_x threads 2       actors are threads; for the thread sanitizer, which cannot see across processes
 *   hammer_x processes 2     actors are processes, and every few milliseconds one is killed with SIGKILL, wherever it
 *                            is; what a master does after a death is done, and another takes its place
 *
 * The second argument is how long, in seconds; without it the environment's HAMMER_SECONDS, else 2. A hammer ends with 0
 * and a line that says what it did, or with 1 at the first thing that must not be. An actor has a number, 0 …; whoever
 * follows a killed one has the same.
 */
#ifndef TEST_HAMMER_HAMMER_H
#define TEST_HAMMER_HAMMER_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/number.h"
#include "gateway/base/random.h"
#include "shm/region.h"

#define HAMMER_ACTORS_MAX 16

struct hammer {
    bool threads;
    uint64_t until_ns;
    uint64_t kills;
    struct region *region;
    shared_word *stop;
    unsigned actors;
    unsigned spared; /* the first so many are never killed */
    void (*act)(struct hammer *h, unsigned actor, struct random *random); /* until hammer_ends() */
    void (*died)(struct hammer *h, unsigned actor, int pid); /* what the master does; may be NULL */
};

struct hammer_actor {
    struct hammer *h;
    unsigned number;
    pthread_t thread;
};

#define HAMMER_CHECK(cond, ...)                                                                    \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: must be: %s: ", __FILE__, __LINE__, #cond);                    \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* Reads the arguments; a region with a load begun, for the tables that the hammer needs. */
static inline struct hammer hammer_begin(int argc, char **argv)
{
    const char *text = argc > 2 ? argv[2] : getenv("HAMMER_SECONDS");
    struct hammer h = { .region = region_new(UINT64_C(1) << 30) };
    uint64_t seconds;

    if (!text || !number_read_u64(str_from(text), &seconds))
        seconds = 2;
    h.threads = argc > 1 && strcmp(argv[1], "threads") == 0;
    h.until_ns = clock_now_ns() + seconds * NS_PER_S;
    region_begin(h.region);
    h.stop = region_words(h.region, STR("hammer/stop"), 1);
    return h;
}

static inline bool hammer_ends(const struct hammer *h)
{
    return word_peek(h->stop) != 0;
}

static inline void hammer_nap(uint64_t ns)
{
    struct timespec t = { .tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S) };

    nanosleep(&t, NULL);
}

static inline void *hammer_thread(void *arg)
{
    struct hammer_actor *a = arg;
    struct random random;

    random_seed(&random);
    a->h->act(a->h, a->number, &random);
    return NULL;
}

static inline pid_t hammer_fork(struct hammer *h, unsigned actor)
{
    pid_t parent = getpid(), pid = fork();
    struct random random;

    HAMMER_CHECK(pid >= 0, "fork: %s", strerror(errno));
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
    random_seed(&random);
    h->act(h, actor, &random);
    _exit(0);
}

static inline void hammer_run_threads(struct hammer *h)
{
    struct hammer_actor actors[HAMMER_ACTORS_MAX];
    uint64_t now = clock_now_ns();

    for (unsigned i = 0; i < h->actors; i++) {
        actors[i] = (struct hammer_actor){ .h = h, .number = i };
        HAMMER_CHECK(pthread_create(&actors[i].thread, NULL, hammer_thread, &actors[i]) == 0,
                     "no thread");
    }
    if (now < h->until_ns)
        hammer_nap(h->until_ns - now);
    word_put(h->stop, 1);
    for (unsigned i = 0; i < h->actors; i++)
        pthread_join(actors[i].thread, NULL);
}

/* Who ended by itself has found something that must not be. */
static inline void hammer_reap(unsigned actor, pid_t pid, bool killed)
{
    int status;

    HAMMER_CHECK(waitpid(pid, &status, 0) == pid, "waitpid: %s", strerror(errno));
    HAMMER_CHECK((killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) || status == 0,
                 "actor %u ended with %#x", actor, (unsigned)status);
}

static inline void hammer_run_processes(struct hammer *h)
{
    pid_t pids[HAMMER_ACTORS_MAX];
    struct random random;

    random_seed(&random);
    for (unsigned i = 0; i < h->actors; i++)
        pids[i] = hammer_fork(h, i);
    while (clock_now_ns() < h->until_ns) {
        unsigned victim;

        hammer_nap(random_below(&random, 3 * NS_PER_MS));
        if (h->spared >= h->actors)
            continue;
        victim = h->spared + (unsigned)random_below(&random, h->actors - h->spared);
        kill(pids[victim], SIGKILL);
        hammer_reap(victim, pids[victim], true);
        h->kills++;
        if (h->died)
            h->died(h, victim, pids[victim]);
        pids[victim] = hammer_fork(h, victim);
    }
    word_put(h->stop, 1);
    for (unsigned i = 0; i < h->actors; i++)
        hammer_reap(i, pids[i], false);
}

/* The tables are made: act until the time is over. */
static inline void hammer_run(struct hammer *h)
{
    region_commit(h->region);
    if (h->threads)
        hammer_run_threads(h);
    else
        hammer_run_processes(h);
}

static inline int hammer_end(struct hammer *h)
{
    region_close(h->region);
    return 0;
}

#endif
