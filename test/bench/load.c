/* The load: requests over N connections to one port, counted exactly and cheap to make.
 *
 * Three ways to ask:
 *   (default)    each connection asks again as soon as it has its answer;
 *   --rate R     R requests a second whatever the server does. Latency counts from when a request was
 *                due, not from when it could be sent: a server that stalls cannot hide those who
 *                waited meanwhile (no "coordinated omission");
 *   --oneshot    a connection for each request, which asks the server to close it.
 * --idle instead opens the connections, asks once on each, says "ready" and holds them until its
 * standard input ends.
 *
 * The first --warm milliseconds are not counted. At both ends of the time that is, thread 0 reads the
 * CPU clocks of the processes in --cpu, so that these and the requests are of the same interval.
 * The result is one line of JSON.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "gateway/base/check.h"
#include "test/bench/answer.h"
#include "test/bench/histogram.h"
#include "test/bench/plan.h"
#include "test/bench/tcp.h"

enum {
    EVENTS = 256,
    DIALS_AT_ONCE = 64, /* of idle connections: they shall not need as many links */
};

enum wire_state {
    WIRE_CLOSED,
    WIRE_FREE,    /* open, nothing asked */
    WIRE_SENDING, /* epoll tells when there is room */
    WIRE_WAITING, /* for the answer */
    WIRE_ENDING,  /* one-shot: answered, the server closes */
};

struct wire {
    enum wire_state state;
    int fd;
    uint8_t source;
    size_t sent;
    uint64_t due_ns; /* when the request should have left */
    struct answer answer;
    char *request; /* its own copy if it holds a number */
};

struct tally {
    uint64_t errors[4]; /* see error_names */
    uint64_t statuses[STATUS_MOST];
    uint64_t body;
    uint64_t begin_ns, end_ns;
    int64_t cpu_ns[PIDS_MOST];
    int64_t own_cpu_ns;
    struct histogram latency;
};

enum error { ERROR_CONNECT, ERROR_BROKEN, ERROR_BAD, ERROR_STATUS };
static const char *const error_names[] = { "connect", "broken", "bad", "status" };

struct thread {
    pthread_t id;
    uint32_t number;
    const struct plan *plan;
    int epoll;
    struct wire *wires;
    uint32_t wire_count;
    struct wire **unused; /* stack of WIRE_FREE, only with a rate */
    uint32_t unused_count;
    uint32_t busy;   /* wires with a request under way */
    double next_due; /* only with a rate; ns as a double holds 100 days to the ns */
    double interval;
    uint64_t path_at;
    enum { WARMING, COUNTING, FINISHING } phase;
    struct tally *tally;
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* CPU time of a whole process, to the nanosecond; -1 when it is gone. */
static int64_t cpu_ns_of(pid_t pid)
{
    clockid_t clock;
    struct timespec t;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return -1;
    return t.tv_sec * (int64_t)NS_PER_S + t.tv_nsec;
}

/* Take the clocks at the beginning (sign -1) and at the end (sign 1). */
static void read_clocks(struct thread *t, int sign)
{
    for (int i = 0; i < t->plan->pids; i++) {
        int64_t ns = cpu_ns_of(t->plan->pid[i]);

        if (ns < 0) {
            errno = 0;
            die("process %d ended under load", t->plan->pid[i]);
        }
        t->tally->cpu_ns[i] += sign * ns;
    }
    t->tally->own_cpu_ns += sign * cpu_ns_of(getpid());
}

static void count_error(struct thread *t, enum error e)
{
    uint64_t all = 0;

    t->tally->errors[e]++;
    for (size_t i = 0; i < ARRAY_LEN(t->tally->errors); i++)
        all += t->tally->errors[i];
    if (all > 1000 && all > t->tally->latency.count / 4) {
        errno = 0;
        die("too many errors: %" PRIu64 " connect, %" PRIu64 " broken, %" PRIu64 " bad, %" PRIu64
            " of another status, against %" PRIu64 " answers",
            t->tally->errors[0], t->tally->errors[1], t->tally->errors[2], t->tally->errors[3],
            t->tally->latency.count);
    }
}

static void wire_close(struct thread *t, struct wire *w)
{
    if (w->state == WIRE_SENDING || w->state == WIRE_WAITING)
        t->busy--;
    close(w->fd);
    w->state = WIRE_CLOSED;
}

static bool wire_open(struct thread *t, struct wire *w)
{
    w->fd = tcp_dial(t->plan->port, w->source);
    if (w->fd < 0) {
        count_error(t, ERROR_CONNECT);
        return false;
    }
    w->state = WIRE_FREE;
    tcp_watch(t->epoll, EPOLL_CTL_ADD, w->fd, EPOLLIN, w);
    return true;
}

/* Send what is left of the request; false when the connection is gone. */
static bool wire_send(struct thread *t, struct wire *w)
{
    const struct plan *p = t->plan;
    ssize_t n = send(w->fd, w->request + w->sent, p->request_len - w->sent, MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN && errno != ENOTCONN)
        return false;
    w->sent += n < 0 ? 0 : (size_t)n;
    if (w->sent < p->request_len) {
        if (w->state != WIRE_SENDING)
            tcp_watch(t->epoll, EPOLL_CTL_MOD, w->fd, EPOLLIN | EPOLLOUT, w);
        w->state = WIRE_SENDING;
        return true;
    }
    if (w->state == WIRE_SENDING)
        tcp_watch(t->epoll, EPOLL_CTL_MOD, w->fd, EPOLLIN, w);
    w->state = WIRE_WAITING;
    return true;
}

/* The next number of the path: each once per round, neighbours far apart. */
static void write_number(struct thread *t, struct wire *w)
{
    uint64_t n = t->path_at++ * 7919 % t->plan->paths;

    for (size_t i = NUMBER_DIGITS; i-- > 0; n /= 10)
        w->request[t->plan->digits_at + i] = (char)('0' + n % 10);
}

/* Ask on `w`, which is closed or free. */
static void wire_ask(struct thread *t, struct wire *w, uint64_t due_ns)
{
    if (w->state == WIRE_CLOSED && !wire_open(t, w))
        return;
    answer_begin(&w->answer);
    w->sent = 0;
    w->due_ns = due_ns;
    if (t->plan->digits_at != 0)
        write_number(t, w);
    t->busy++;
    w->state = WIRE_WAITING;
    if (!wire_send(t, w)) {
        count_error(t, ERROR_BROKEN);
        wire_close(t, w);
    }
}

/* What a wire does after its answer, or after it was lost. */
static void wire_next(struct thread *t, struct wire *w, uint64_t now)
{
    if (t->phase == FINISHING || t->plan->idle)
        return;
    if (t->interval == 0) {
        wire_ask(t, w, now);
    } else if (t->next_due <= (double)now) {
        wire_ask(t, w, (uint64_t)t->next_due); /* late already: its time counts from then */
        t->next_due += t->interval;
    } else {
        t->unused[t->unused_count++] = w;
    }
}

static void on_answer(struct thread *t, struct wire *w, uint64_t now)
{
    int status = w->answer.status;

    t->busy--;
    w->state = WIRE_FREE;
    if (t->phase == COUNTING) {
        histogram_add(&t->tally->latency, now - w->due_ns);
        t->tally->body += w->answer.body;
    }
    if (status > 0 && status < STATUS_MOST)
        t->tally->statuses[status]++;
    if (status != t->plan->expected)
        count_error(t, ERROR_STATUS);
    if (t->plan->oneshot && w->answer.form != ANSWER_UNTIL_CLOSE) {
        w->state = WIRE_ENDING;
        return;
    }
    if (w->answer.closes)
        wire_close(t, w);
    wire_next(t, w, now);
}

static void on_event(struct thread *t, struct wire *w, uint32_t events)
{
    char byte;

    if (w->state == WIRE_SENDING && (events & EPOLLOUT) && !wire_send(t, w)) {
        count_error(t, ERROR_BROKEN);
        wire_close(t, w);
        wire_next(t, w, now_ns());
        return;
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    if (w->state == WIRE_ENDING || w->state == WIRE_FREE) {
        /* the end is what we wait for; a byte is not */
        if (recv(w->fd, &byte, 1, 0) > 0)
            count_error(t, ERROR_BAD);
        else if (t->plan->idle)
            count_error(t, ERROR_BROKEN);
        if (w->state == WIRE_ENDING) {
            wire_close(t, w);
            wire_next(t, w, now_ns());
        } else {
            wire_close(t, w);
        }
        return;
    }
    switch (answer_read(&w->answer, w->fd)) {
    case ANSWER_MORE:
        break;
    case ANSWER_DONE:
        on_answer(t, w, now_ns());
        break;
    case ANSWER_GONE:
        count_error(t, ERROR_BROKEN);
        wire_close(t, w);
        wire_next(t, w, now_ns());
        break;
    case ANSWER_BAD:
        count_error(t, ERROR_BAD);
        wire_close(t, w);
        wire_next(t, w, now_ns());
        break;
    }
}

/* With a rate: all that is due now, as far as there are wires. */
static void ask_due(struct thread *t, uint64_t now)
{
    while (t->next_due <= (double)now && t->unused_count > 0) {
        wire_ask(t, t->unused[--t->unused_count], (uint64_t)t->next_due);
        t->next_due += t->interval;
    }
}

static void turn(struct thread *t, uint64_t until_ns)
{
    struct epoll_event events[EVENTS];
    struct timespec wait = { 0, 0 };
    uint64_t now = now_ns();
    int n;

    if (t->interval != 0 && t->phase != FINISHING) {
        ask_due(t, now);
        if (t->unused_count > 0 && (uint64_t)t->next_due < until_ns)
            until_ns = (uint64_t)t->next_due + 1;
    }
    if (until_ns > now) {
        wait.tv_sec = (time_t)((until_ns - now) / NS_PER_S);
        wait.tv_nsec = (long)((until_ns - now) % NS_PER_S);
    }
    n = epoll_pwait2(t->epoll, events, EVENTS, &wait, NULL);
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr != NULL)
            on_event(t, events[i].data.ptr, events[i].events);
    }
}

/* Warm up, count, and then wait for what is still under way, so that no server sees us leave. */
static void run_phases(struct thread *t)
{
    const struct plan *p = t->plan;
    uint64_t start = now_ns();
    uint64_t now;

    if (p->rate != 0) {
        t->interval = (double)NS_PER_S * p->threads / p->rate;
        t->next_due = (double)start + t->interval * t->number / p->threads;
    }
    for (uint32_t i = 0; i < t->wire_count; i++)
        wire_next(t, &t->wires[i], start);

    while ((now = now_ns()) < start + p->warm_ns)
        turn(t, start + p->warm_ns);
    t->phase = COUNTING;
    t->tally->begin_ns = now;
    if (t->number == 0)
        read_clocks(t, -1);

    while ((now = now_ns()) < start + p->warm_ns + p->run_ns)
        turn(t, start + p->warm_ns + p->run_ns);
    if (t->number == 0)
        read_clocks(t, 1);
    t->tally->end_ns = now;
    t->phase = FINISHING;

    while (t->busy > 0 && (now = now_ns()) < t->tally->end_ns + 2 * NS_PER_S)
        turn(t, t->tally->end_ns + 2 * NS_PER_S);
    t->tally->errors[ERROR_BROKEN] += t->busy; /* never answered */
}

/* Open all wires, some at a time, each with one answered request; then hold them. */
static void run_idle(struct thread *t)
{
    uint64_t deadline = now_ns() + 60 * NS_PER_S;
    uint32_t next = 0;
    char byte;

    while ((next < t->wire_count || t->busy > 0) && now_ns() < deadline) {
        while (next < t->wire_count && t->busy < DIALS_AT_ONCE)
            wire_ask(t, &t->wires[next++], now_ns());
        turn(t, now_ns() + 100 * NS_PER_MS);
    }
    if (next < t->wire_count || t->busy > 0) {
        errno = 0;
        die("only %u of %u connections were answered", next - t->busy, t->wire_count);
    }
    puts("ready");
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    turn(t, 0); /* who was closed meanwhile is an error */
}

static void *thread_run(void *argument)
{
    struct thread *t = argument;
    cpu_set_t core;

    if (t->plan->pin) {
        CPU_ZERO(&core);
        CPU_SET(t->number % (uint32_t)sysconf(_SC_NPROCESSORS_ONLN), &core);
        pthread_setaffinity_np(pthread_self(), sizeof core, &core);
    }
    /* a request is due on the microsecond, not 50 of them later */
    prctl(PR_SET_TIMERSLACK, 1);
    if (t->plan->idle)
        run_idle(t);
    else
        run_phases(t);
    return NULL;
}

static void thread_prepare(struct thread *t, const struct plan *p, uint32_t number)
{
    *t = (struct thread){ .number = number,
                          .plan = p,
                          .epoll = epoll_create1(EPOLL_CLOEXEC),
                          .wire_count = p->connections / p->threads,
                          .path_at = (uint64_t)number * 104729,
                          .tally = calloc(1, sizeof *t->tally) };
    t->wires = calloc(t->wire_count, sizeof *t->wires);
    t->unused = calloc(t->wire_count, sizeof(struct wire *));
    if (t->epoll < 0 || t->tally == NULL || t->wires == NULL || t->unused == NULL)
        die("out of memory");
    for (uint32_t i = 0; i < t->wire_count; i++) {
        struct wire *w = &t->wires[i];

        w->source = p->oneshot ? (uint8_t)(2 + i % 8) : 0;
        w->request = p->request;
        if (p->digits_at != 0) {
            w->request = malloc(p->request_len);
            if (w->request == NULL)
                die("out of memory");
            memcpy(w->request, p->request, p->request_len);
        }
    }
}

static void thread_release(struct thread *t)
{
    for (uint32_t i = 0; t->plan->digits_at != 0 && i < t->wire_count; i++)
        free(t->wires[i].request);
    free(t->wires);
    free(t->unused);
    free(t->tally);
    close(t->epoll);
}

static void report(const struct plan *p, const struct thread *threads)
{
    struct tally *sum = threads[0].tally;
    const char *comma = "";

    for (uint32_t i = 1; i < p->threads; i++) {
        const struct tally *one = threads[i].tally;

        histogram_merge(&sum->latency, &one->latency);
        sum->body += one->body;
        for (size_t e = 0; e < ARRAY_LEN(sum->errors); e++)
            sum->errors[e] += one->errors[e];
        for (size_t s = 0; s < STATUS_MOST; s++)
            sum->statuses[s] += one->statuses[s];
    }
    printf("{\"seconds\": %.6f, \"requests\": %" PRIu64 ", \"body_bytes\": %" PRIu64
           ", \"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f"
           ", \"max_us\": %.1f, \"own_cpu_ns\": %" PRId64,
           (double)(sum->end_ns - sum->begin_ns) / (double)NS_PER_S, sum->latency.count, sum->body,
           (double)histogram_at(&sum->latency, 0.5) / 1e3,
           (double)histogram_at(&sum->latency, 0.9) / 1e3,
           (double)histogram_at(&sum->latency, 0.99) / 1e3,
           (double)histogram_at(&sum->latency, 0.999) / 1e3, (double)sum->latency.most_ns / 1e3,
           sum->own_cpu_ns);
    printf(", \"errors\": {");
    for (size_t e = 0; e < ARRAY_LEN(error_names); e++)
        printf("%s\"%s\": %" PRIu64, e > 0 ? ", " : "", error_names[e], sum->errors[e]);
    printf("}, \"statuses\": {");
    for (size_t s = 0; s < STATUS_MOST; s++) {
        if (sum->statuses[s] > 0) {
            printf("%s\"%zu\": %" PRIu64, comma, s, sum->statuses[s]);
            comma = ", ";
        }
    }
    printf("}, \"cpu_ns\": {");
    for (int i = 0; i < p->pids; i++)
        printf("%s\"%d\": %" PRId64, i > 0 ? ", " : "", p->pid[i], sum->cpu_ns[i]);
    printf("}}\n");
}

int main(int argc, char **argv)
{
    struct plan p;
    struct thread threads[THREADS_MOST];

    plan_read(&p, argc, argv);
    for (uint32_t i = 0; i < p.threads; i++)
        thread_prepare(&threads[i], &p, i);
    for (uint32_t i = 1; i < p.threads; i++) {
        if (pthread_create(&threads[i].id, NULL, thread_run, &threads[i]) != 0)
            die("pthread_create");
    }
    thread_run(&threads[0]);
    for (uint32_t i = 1; i < p.threads; i++)
        pthread_join(threads[i].id, NULL);
    report(&p, threads);
    for (uint32_t i = 0; i < p.threads; i++)
        thread_release(&threads[i]);
    free(p.request);
    return 0;
}
