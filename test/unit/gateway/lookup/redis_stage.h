/* Real Redis servers for the tests, liars in their place, and a loop that turns until something has happened.
 *
 * Every process started here ends with the test, however that ends. Ports are chosen when they are needed.
 */
#ifndef TEST_UNIT_GATEWAY_LOOKUP_REDIS_STAGE_H
#define TEST_UNIT_GATEWAY_LOOKUP_REDIS_STAGE_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "gateway/base/number.h"
#include "gateway/lookup/lookups.h"
#include "gateway/lookup/redis.h"
#include "workers/conn.h"
#include "workers/loop.h"

#define PATIENCE_NS (20 * NS_PER_S) /* what takes longer has failed */

/* ---- a server ---- */

struct server {
    uint16_t port;
    pid_t pid;
    char address[32]; /* "127.0.0.1:4711" */
};

/* Run a suite, in a directory that is gone afterwards; what main() returns. Skipped if redis-server is not there at all. */
int redis_suite_run(Suite *s);
/* The directory. */
const char *redis_dir(void);
uint16_t free_port(void);
/* Started, and accepting connections. `options`: more of its command line, ended by NULL, or NULL. */
struct server server_start(const char *const *options);
/* The same on a port that it had before. */
void server_start_again(struct server *s, const char *const *options);
void server_kill(struct server *s);
/* SIGSTOP or SIGCONT, and wait until it is so. */
void server_signal(const struct server *s, int signal);
/* One command; the reply as text: a status, a string, a number; of an array the members with spaces between. Errors fail the
 * test unless they begin with `may_fail`. Static memory. */
const char *server_ask(const struct server *s, const char *command);
const char *server_try(const struct server *s, const char *command);

/* A process that serves one connection after the other by calling `serve` with it. */
struct server liar_start(void (*serve)(int fd, const void *what), const void *what);
/* One that listens and never answers. */
struct server hole_start(void);

/* ---- a worker ---- */

struct asking {
    struct redis_question question;
    unsigned asked, answers; /* how often it was let through, and answered */
    struct redis_answer answer;
    uint64_t asked_ns, answered_ns;
    void (*then)(struct asking *a); /* called at the answer; may be NULL */
    void *with;
};

struct worker_stage {
    struct loop loop;
    struct pool conns;
    struct lookups *lookups;
    struct redis_target target;
    struct str addresses[8]; /* of it */
    struct redis_store *store;
    uint64_t outcomes[REDIS_OUTCOMES], refused;
    unsigned went_away, came_back;
    uint64_t before_ns; /* the loop's time in the turn before this one */
    char log_path[64];
    int log;
};

/* A target of 2 connections, away after 3 failures, tried every 200 ms. Its time-outs are so long that only who does not answer at
 * all is late, however busy the machine is. */
struct redis_target target_of(enum redis_mode mode, const struct str *addresses, size_t count);
void worker_begin(struct worker_stage *w, const struct redis_target *target);
void worker_end(struct worker_stage *w);
/* A worker for one server. */
void worker_of(struct worker_stage *w, const struct server *s);
/* The same again with little patience (300 ms), to see what is late; a server that is well may be late for it now and then. */
void worker_hurries(struct worker_stage *w);

void asking_init(struct asking *a);
/* How many have been answered so; none more than once. */
size_t asking_count(const struct asking *all, size_t count, enum redis_outcome outcome);
/* False: refused. */
bool ask(struct worker_stage *w, struct asking *a, const struct redis_script *script,
         const char *key, const char *arg) MUST_USE;
/* The same, which must be let through, and answered. */
enum redis_outcome ask_one(struct worker_stage *w, const struct redis_script *script,
                           const char *key, const char *arg);
/* Ask until it goes well. */
void ask_until_ok(struct worker_stage *w, const struct redis_script *script, const char *key);
/* … until the store refuses at once. */
void ask_until_refused(struct worker_stage *w, const struct redis_script *script);
/* All that has been logged. Static memory. */
const char *logged(const struct worker_stage *w);

void turn(struct worker_stage *w);
/* Turn until it is so, or fail. */
#define UNTIL(w, condition)                                                                        \
    do {                                                                                           \
        uint64_t patience = clock_now_ns() + PATIENCE_NS;                                          \
        while (!(condition)) {                                                                     \
            ck_assert_msg(clock_now_ns() < patience, "never: " #condition "\n%s", logged(w));      \
            turn(w);                                                                               \
        }                                                                                          \
    } while (0)

#endif
