/* Real Redis servers for the tests. */
#include "test/unit/gateway/lookup/redis_stage.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"

#define OPTIONS_MAX 40
#define REDIS       "/usr/bin/redis-server"

/* ---- a server --------------------------------------------------------------------------------- */

const char *redis_dir(void)
{
    return getenv("SLUICE_REDIS_DIR");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

int redis_suite_run(Suite *s)
{
    char dir[] = "/tmp/sluice-redis-XXXXXX";
    SRunner *runner = srunner_create(s);
    int failed;

    if (access(REDIS, X_OK) != 0) {
        puts("skipped: no redis-server");
        srunner_free(runner);
        return 0;
    }
    /* The tests are processes of their own, and may end at any time. */
    if (!mkdtemp(dir) || setenv("SLUICE_REDIS_DIR", dir, 1) != 0)
        return 1;
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return failed != 0;
}

static int listen_on_any(uint16_t *port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert(fd >= 0 && bind(fd, (struct sockaddr *)&in, len) == 0);
    ck_assert(getsockname(fd, (struct sockaddr *)&in, &len) == 0);
    ck_assert(listen(fd, 64) == 0);
    *port = ntohs(in.sin_port);
    return fd;
}

/* Also free 10000 above, where a server of a cluster has its other port. */
uint16_t free_port(void)
{
    for (;;) {
        struct sockaddr_in in = { .sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        uint16_t port;
        int fd = listen_on_any(&port), other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool good = port < 55000;

        in.sin_port = htons((uint16_t)(port + 10000));
        good = good && bind(other, (struct sockaddr *)&in, sizeof in) == 0;
        close(fd);
        close(other);
        if (good)
            return port;
    }
}

static void wait_until_ready(int out)
{
    char text[65536];
    size_t len = 0;

    for (;;) {
        ssize_t n = read(out, text + len, sizeof text - 1 - len);

        if (n <= 0)
            ck_abort_msg("redis-server does not start: %.*s", (int)len, text);
        len += (size_t)n;
        text[len] = 0;
        if (strstr(text, "Ready to accept connections") || strstr(text, "Sentinel ID is"))
            return;
        ck_assert(len < sizeof text - 1);
    }
}

static void run_server(struct server *s, const char *const *options)
{
    const char *args[OPTIONS_MAX] = { "redis-server" };
    char port[16], dir[96];
    int out[2], n = 1;

    snprintf(port, sizeof port, "%u", s->port);
    snprintf(dir, sizeof dir, "%s/%u", redis_dir(), s->port);
    mkdir(dir, 0700);
    if (options && options[0] && options[0][0] != '-')
        args[n++] = *options++; /* a configuration file */
    args[n++] = "--port";
    args[n++] = port;
    args[n++] = "--dir";
    args[n++] = dir;
    args[n++] = "--bind";
    args[n++] = "127.0.0.1";
    if (!options || !options[0] || strcmp(options[0], "--sentinel") != 0) {
        args[n++] = "--save";
        args[n++] = "";
        args[n++] = "--enable-debug-command";
        args[n++] = "yes";
    }
    while (options && *options) {
        ck_assert_int_lt(n, OPTIONS_MAX - 1);
        args[n++] = *options++;
    }
    ck_assert(pipe2(out, O_CLOEXEC) == 0);
    s->pid = fork();
    ck_assert(s->pid >= 0);
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(out[1], 1);
        execv(REDIS, (char *const *)(uintptr_t)args);
        _exit(127);
    }
    close(out[1]);
    wait_until_ready(out[0]);
    /* Whatever else it says goes nowhere, and must not stop it. */
    signal(SIGPIPE, SIG_IGN);
    close(out[0]);
}

void server_start_again(struct server *s, const char *const *options)
{
    run_server(s, options);
}

struct server server_start(const char *const *options)
{
    struct server s = { .port = free_port() };

    snprintf(s.address, sizeof s.address, "127.0.0.1:%u", s.port);
    run_server(&s, options);
    return s;
}

void server_kill(struct server *s)
{
    /* It need not be a child of ours. */
    struct pollfd gone = { .fd = (int)syscall(SYS_pidfd_open, s->pid, 0), .events = POLLIN };

    ck_assert_int_ge(gone.fd, 0);
    kill(s->pid, SIGKILL);
    ck_assert_int_eq(poll(&gone, 1, 20000), 1);
    close(gone.fd);
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

void server_signal(const struct server *s, int signal)
{
    siginfo_t info;

    ck_assert_int_eq(kill(s->pid, signal), 0);
    ck_assert_int_eq(
        waitid(P_PID, (id_t)s->pid, &info, (signal == SIGSTOP ? WSTOPPED : WCONTINUED) | WEXITED),
        0);
}

static void put_reply(char *to, size_t room, const redisReply *r)
{
    size_t len = strlen(to);

    switch (r->type) {
    case REDIS_REPLY_INTEGER:
        snprintf(to + len, room - len, "%lld", r->integer);
        break;
    case REDIS_REPLY_ARRAY:
        for (size_t i = 0; i < r->elements; i++) {
            if (i > 0)
                snprintf(to + strlen(to), room - strlen(to), " ");
            put_reply(to, room, r->element[i]);
        }
        break;
    default:
        snprintf(to + len, room - len, "%s", r->str ? r->str : "");
    }
}

const char *server_try(const struct server *s, const char *command)
{
    static char text[65536];
    struct timeval limit = { .tv_sec = 20 };
    redisContext *c = NULL;
    redisReply *r = NULL;

    /* A server that changes its role throws its clients out. */
    for (int i = 0; !r && i < 10; i++) {
        if (c)
            redisFree(c);
        c = redisConnectWithTimeout("127.0.0.1", s->port, limit);
        ck_assert_msg(c && !c->err, "%s", c ? c->errstr : "no memory");
        redisSetTimeout(c, limit);
        r = redisCommand(c, command);
    }
    ck_assert_msg(r != NULL, "%s: %s", command, c->errstr);
    text[0] = 0;
    put_reply(text, sizeof text, r);
    freeReplyObject(r);
    redisFree(c);
    return text;
}

const char *server_ask(const struct server *s, const char *command)
{
    const char *reply = server_try(s, command);

    ck_assert_msg(strncmp(reply, "ERR", 3) != 0, "%s: %s", command, reply);
    return reply;
}

struct server liar_start(void (*serve)(int fd, const void *what), const void *what)
{
    struct server s = { .pid = 0 };
    int fd = listen_on_any(&s.port);

    snprintf(s.address, sizeof s.address, "127.0.0.1:%u", s.port);
    s.pid = fork();
    ck_assert(s.pid >= 0);
    if (s.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_IGN);
        for (;;) {
            int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
            pid_t each = client >= 0 ? fork() : -1;

            if (each == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                close(fd);
                serve(client, what);
                _exit(0);
            }
            close(client);
            while (waitpid(-1, NULL, WNOHANG) > 0)
                ;
        }
    }
    close(fd);
    return s;
}

struct server hole_start(void)
{
    struct server s = { .pid = 0 };

    /* The kernel accepts, and nobody reads. The descriptor ends with the test. */
    listen_on_any(&s.port);
    snprintf(s.address, sizeof s.address, "127.0.0.1:%u", s.port);
    return s;
}

/* ---- a worker --------------------------------------------------------------------------------- */

static void count_answer(void *owner, struct str store, enum redis_outcome outcome,
                         uint64_t took_ns)
{
    struct worker_stage *w = owner;

    (void)took_ns;
    ck_assert(str_equal(store, STR("main")));
    w->outcomes[outcome]++;
}

static void count_refused(void *owner, struct str store)
{
    struct worker_stage *w = owner;

    (void)store;
    w->refused++;
}

static void count_away(void *owner, struct str store, bool away)
{
    struct worker_stage *w = owner;

    (void)store;
    if (away)
        w->went_away++;
    else
        w->came_back++;
}

struct redis_target target_of(enum redis_mode mode, const struct str *addresses, size_t count)
{
    return (struct redis_target){ .name = STR("main"),
                                  .mode = mode,
                                  .addresses = addresses,
                                  .address_count = count,
                                  .connect_ns = 15 * NS_PER_S,
                                  .timeout_ns = 15 * NS_PER_S,
                                  .open_after = 3,
                                  .retry_every_ns = 200 * NS_PER_MS,
                                  .connections = 2 };
}

void worker_begin(struct worker_stage *w, const struct redis_target *target)
{
    struct lookups_observer observer = {
        .on_answer = count_answer, .on_refused = count_refused, .on_away = count_away, .owner = w
    };

    *w = (struct worker_stage){ .target = *target };
    ck_assert_uint_le(target->address_count, ARRAY_LEN(w->addresses));
    memcpy(w->addresses, target->addresses, target->address_count * sizeof w->addresses[0]);
    w->target.addresses = w->addresses;
    snprintf(w->log_path, sizeof w->log_path, "/tmp/sluice-log-XXXXXX");
    w->log = mkostemp(w->log_path, O_CLOEXEC);
    ck_assert_int_ge(w->log, 0);
    unlink(w->log_path);
    log_set_fd(w->log);
    loop_init(&w->loop);
    w->loop.now_ns = clock_now_ns();
    conn_pool_init(&w->conns);
    w->lookups = lookups_new(&w->loop, &w->conns, &observer);
    redis_target_seal(&w->target);
    w->store = lookups_redis(w->lookups, &w->target);
    ck_assert_uint_eq(w->came_back, 1); /* so it says at first */
    w->came_back = 0;
}

void worker_of(struct worker_stage *w, const struct server *s)
{
    struct str address = str_from(s->address);
    struct redis_target t = target_of(REDIS_SINGLE, &address, 1);

    worker_begin(w, &t);
}

void worker_hurries(struct worker_stage *w)
{
    struct str addresses[ARRAY_LEN(w->addresses)];
    struct redis_target t = w->target;

    memcpy(addresses, w->addresses, sizeof addresses);
    t.addresses = addresses;
    t.timeout_ns = 300 * NS_PER_MS;
    t.connect_ns = 1000 * NS_PER_MS;
    worker_end(w);
    worker_begin(w, &t);
}

void worker_end(struct worker_stage *w)
{
    lookups_end(w->lookups);
    loop_turn(&w->loop, 0); /* what has ended is freed */
    ck_assert_uint_eq(w->conns.used, 0);
    pool_end(&w->conns);
    loop_end(&w->loop);
    log_set_fd(2);
    close(w->log);
}

static void on_answer(struct redis_question *q, const struct redis_answer *answer)
{
    struct asking *a = CONTAINER(q, struct asking, question);

    a->answers++;
    ck_assert_uint_eq(a->answers, a->asked);
    ck_assert_ptr_null(q->command);
    a->answer = *answer;
    a->answered_ns = clock_now_ns();
    if (a->then)
        a->then(a);
}

void asking_init(struct asking *a)
{
    *a = (struct asking){ .answers = 0 };
    redis_question_init(&a->question, on_answer);
}

size_t asking_count(const struct asking *all, size_t count, enum redis_outcome outcome)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_le(all[i].answers, 1);
        n += all[i].answers && all[i].answer.outcome == outcome;
    }
    return n;
}

bool ask(struct worker_stage *w, struct asking *a, const struct redis_script *script,
         const char *key, const char *arg)
{
    struct str args[] = { str_from(arg) };

    a->asked_ns = w->loop.now_ns;
    if (!redis_ask(w->store, &a->question, script, str_from(key), args, arg ? 1 : 0))
        return false;
    a->asked++;
    return true;
}

void turn(struct worker_stage *w)
{
    w->before_ns = w->loop.now_ns;
    loop_turn(&w->loop, 5 * NS_PER_MS);
}

enum redis_outcome ask_one(struct worker_stage *w, const struct redis_script *script,
                           const char *key, const char *arg)
{
    struct asking a;

    asking_init(&a);
    UNTIL(w, ask(w, &a, script, key, arg));
    UNTIL(w, a.answers > 0);
    return a.answer.outcome;
}

void ask_until_ok(struct worker_stage *w, const struct redis_script *script, const char *key)
{
    while (ask_one(w, script, key, NULL) != REDIS_OK)
        turn(w);
}

void ask_until_refused(struct worker_stage *w, const struct redis_script *script)
{
    struct asking a;

    asking_init(&a);
    while (ask(w, &a, script, "k", NULL)) {
        unsigned before = a.answers;

        ck_assert_msg(before < 100, "never refused\n%s", logged(w));

        UNTIL(w, a.answers > before);
        ck_assert_int_ne(a.answer.outcome, REDIS_OK);
    }
}

const char *logged(const struct worker_stage *w)
{
    static char text[65536];
    ssize_t n = pread(w->log, text, sizeof text - 1, 0);

    text[n > 0 ? n : 0] = 0;
    return text;
}
