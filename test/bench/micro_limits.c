/* What a decision costs: ns of CPU time for key and taking, for each algorithm.
 *
 *     make build/release/test/bench/micro_limits && build/release/test/bench/micro_limits
 *
 *   hot      one process, one key, everything allowed: a look-up, the arithmetic, one compare and swap
 *   refused  the same, everything refused: nothing is written
 *   shared   a process on each core, all of them on one key, everything allowed
 *   million  one process, keys in random order out of 1 000 000 that all have a cell
 *   both     a process on each core, the same keys
 *   noted    what is added by noting who it was, for `sluice limits`: one key, and a million
 *
 * Each number is the median of several rounds; the algorithms take turns, so that a noisy moment hits them all. The
 * last lines say whether the goals were reached. A log has 16 384 keys instead of a million: each takes 1 KiB.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "gateway/base/cidr.h"
#include "gateway/base/number.h"
#include "gateway/base/random.h"
#include "ratelimit/limiter.h"
#include "shm/top.h"

#define CELLS      (1 << 21) /* 64 MiB: the default size */
#define MILLION    1000000
#define LOG_KEYS   16384
#define ROUNDS     7
#define TRIES      300000
#define CORES      16

#define NOTED_GOAL 10.0

enum row { HOT, REFUSED, SHARED, ALL_KEYS, ALL_KEYS_BOTH, ROWS };

static const struct {
    const char *name;
    double goal_ns; /* 0: none */
} rows[ROWS] = { [HOT] = { "hot", 50 },
                 [REFUSED] = { "refused", 50 },
                 [SHARED] = { "shared", 250 },
                 [ALL_KEYS] = { "million", 250 },
                 [ALL_KEYS_BOTH] = { "both", 0 } };

struct bench {
    struct region *region;
    struct limiter limiter, strict; /* allows all that is asked here; allows one a day */
    uint64_t keys;
    uint64_t step_ns; /* between two decisions on one key */
    uint64_t now_ns;
    const char *name;
    double took[ROWS][ROUNDS];
};

/* By all processes of a row: when to begin, and what each has used. */
struct meeting {
    _Alignas(CACHE_LINE) shared_word ready;
    _Alignas(CACHE_LINE) shared_word used_ns[CORES];
};

static uint64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static unsigned core_count(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > CORES ? CORES : (unsigned)n;
}

static void pin_to(unsigned core)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(core, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        perror("sched_setaffinity");
}

/* As the gateway does it: an address of 16 octets becomes a key. */
static uint64_t key_of(const struct limiter *l, uint64_t client)
{
    uint64_t address[2] = { 0x20010db8, client };

    return limiter_key(l, str_of((const char *)address, sizeof address));
}

/* So many decisions; returns the CPU time of them all. */
static uint64_t decide(const struct bench *b, enum row row, uint64_t now, uint64_t seed)
{
    const struct limiter *l = row == REFUSED ? &b->strict : &b->limiter;
    bool one = row == HOT || row == REFUSED || row == SHARED;
    uint64_t begun, allowed = 0, x = seed * 2 + 1;

    begun = cpu_ns();
    for (uint64_t i = 0; i < TRIES; i++) {
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        now += b->step_ns;
        allowed +=
            limiter_take(l, key_of(l, one ? 1 : ((x >> 32) * b->keys) >> 32), 1, now).allowed;
    }
    begun = cpu_ns() - begun;
    /* on many cores whoever falls behind is refused now and then, where the limit counts by time */
    if (row == REFUSED ? allowed > 1 : row == SHARED ? allowed == 0 : allowed != TRIES) {
        fprintf(stderr, "%s, %s: %llu of %d were allowed\n", b->name, rows[row].name,
                (unsigned long long)allowed, TRIES);
        exit(1);
    }
    return begun;
}

static void decide_on_each_core(struct bench *b, enum row row, struct meeting *m, unsigned cores)
{
    word_put(&m->ready, 0);
    for (unsigned i = 0; i < cores; i++) {
        pid_t pid = fork();

        if (pid < 0)
            die("fork");
        if (pid > 0)
            continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin_to(i);
        word_add(&m->ready, 1);
        while (word_read(&m->ready) < cores) /* none goes ahead alone */
            sched_yield();
        word_put(&m->used_ns[i], decide(b, row, b->now_ns, i + 1));
        _exit(0);
    }
    for (unsigned i = 0; i < cores; i++) {
        int status;

        if (wait(&status) < 0 || status != 0)
            exit(1);
    }
}

static double measure(struct bench *b, enum row row, struct meeting *m, unsigned cores,
                      uint64_t seed)
{
    uint64_t used = 0;

    if (row != SHARED && row != ALL_KEYS_BOTH) {
        used = decide(b, row, b->now_ns, seed);
        cores = 1;
    } else {
        decide_on_each_core(b, row, m, cores);
        for (unsigned i = 0; i < cores; i++)
            used += word_peek(&m->used_ns[i]);
    }
    b->now_ns += TRIES * b->step_ns;
    return (double)used / TRIES / cores;
}

static const char *make_limiter(struct limiter *l, struct bench *b, const struct cells *cells,
                                const struct algorithm *a, const struct limit *limit,
                                const char *which)
{
    char name[64];
    struct limit_log log;

    snprintf(name, sizeof name, "%s %s", a->name, which);
    if (!a->keeps_log)
        return limiter_init(l, region_header(b->region), cells, str_from(name), a, limit,
                            FULL_EVICT);
    if (!limit_log_table(b->region, str_from(name), 2 * (size_t)LOG_KEYS, &log))
        return "no room";
    return limiter_init_log(l, region_header(b->region), &log, str_from(name), a, limit,
                            FULL_EVICT);
}

/* Each has a table of its own, of the default size: a million keys of one do not crowd those of another. */
static void make_bench(struct bench *b, struct region *r, const struct algorithm *a, unsigned cores)
{
    struct cells cells;
    struct limit much = { 1000000, NS_PER_S, 10000000 }, little = { 1, 86400 * NS_PER_S, 1 };
    const char *why;

    *b = (struct bench){ .region = r, .name = a->name, .keys = MILLION, .now_ns = NS_PER_S };
    if (!cells_table(r, str_from(a->name), CELLS, &cells))
        die("no room for the cells");
    if (a->keeps_log) {
        much.count = 100;
        b->keys = LOG_KEYS;
    }
    /* twice as long as it takes to earn what all cores take */
    b->step_ns = 2 * cores * much.per_ns / much.count;
    why = make_limiter(&b->limiter, b, &cells, a, &much, "much");
    if (!why)
        why = make_limiter(&b->strict, b, &cells, a, &little, "little");
    if (why)
        die("%s: %s", a->name, why);
}

/* Every key has its cell, and none of them is idle. */
static void fill(struct bench *b)
{
    for (uint64_t i = 0; i < b->keys; i++)
        limiter_take(&b->limiter, key_of(&b->limiter, i), 1, b->now_ns);
}

/* As gateway/limiting/limit_top.h does it, at a million a second. */
static double note(struct top *top, uint64_t keys, uint64_t now, uint64_t seed)
{
    uint64_t x = seed * 2 + 1, begun = cpu_ns();

    for (uint64_t i = 0; i < TRIES; i++) {
        uint64_t key;
        uint32_t n;

        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        key = 1 + (((x >> 32) * keys) >> 32);
        now += 1000;
        n = top_turn(top, TOP_TAKEN, now);
        if (UNLIKELY(n > 0) && !top_count(top, 0, TOP_TAKEN, 1, key, n, now)) {
            struct ip ip = { { 0 } };
            char text[TOP_TEXT];

            memcpy(ip.at, &key, sizeof key);
            top_enter(top, 0, TOP_TAKEN, 1, key, n, now, str_of(text, ip_write(text, &ip)));
        }
    }
    return (double)(cpu_ns() - begun) / TRIES;
}

static int by_size(const void *a, const void *b)
{
    const double *one = a, *other = b;

    return (*one > *other) - (*one < *other);
}

static double median(const double *values)
{
    double sorted[ROUNDS];

    memcpy(sorted, values, sizeof sorted);
    qsort(sorted, ROUNDS, sizeof *sorted, by_size);
    return sorted[ROUNDS / 2];
}

static bool judge(const struct bench *b, size_t count)
{
    bool good = true;

    for (size_t i = 0; i < count; i++) {
        bool log = strcmp(b[i].name, "sliding_log") == 0;

        for (int row = 0; row < ROWS && !log; row++) {
            double ns = median(b[i].took[row]), first = median(b[0].took[row]);

            if (rows[row].goal_ns > 0 && ns > rows[row].goal_ns) {
                printf("MISS %s, %s: %.1f ns, goal %.0f\n", b[i].name, rows[row].name, ns,
                       rows[row].goal_ns);
                good = false;
            }
            if (ns > 1.5 * first) {
                printf("MISS %s, %s: %.2f of the token bucket, goal 1.5\n", b[i].name,
                       rows[row].name, ns / first);
                good = false;
            }
        }
    }
    return good;
}

static bool judge_noting(struct top *top)
{
    double one[ROUNDS], many[ROUNDS];

    for (int round = 0; round < ROUNDS; round++) {
        uint64_t now = (uint64_t)(round + 1) * NS_PER_S;

        one[round] = note(top, 1, now, (uint64_t)round);
        many[round] = note(top, MILLION, now, (uint64_t)round);
    }
    printf("%-26s%12.1f%36s%12.1f\n", "noted", median(one), "", median(many));
    if (median(one) <= NOTED_GOAL && median(many) <= NOTED_GOAL)
        return true;
    printf("MISS noted: goal %.0f\n", NOTED_GOAL);
    return false;
}

int main(void)
{
    unsigned cores = core_count();
    struct region *r = region_new(0);
    struct bench all[16];
    size_t count = 0;
    struct meeting *m;
    struct top top;
    bool good;

    region_begin(r);
    m = region_table(r, TABLE_WORDS, STR("meeting"), sizeof *m);
    if (!m || !top_table(r, &top))
        die("no room to meet");
    for (const struct algorithm *a; (a = algorithm_at(count)); count++)
        make_bench(&all[count], r, a, cores);
    region_commit(r);
    for (int row = 0; row < ROWS; row++)
        for (int round = 0; round < ROUNDS; round++)
            for (size_t i = 0; i < count; i++) {
                if (round == 0 && row == ALL_KEYS)
                    fill(&all[i]);
                all[i].took[row][round] =
                    measure(&all[i], (enum row)row, m, cores, (uint64_t)round + 2);
            }
    printf("ns per decision (%u cores)", cores);
    for (int row = 0; row < ROWS; row++)
        printf("%12s", rows[row].name);
    printf("\n");
    for (size_t i = 0; i < count; i++) {
        printf("%-26s", all[i].name);
        for (int row = 0; row < ROWS; row++)
            printf("%12.1f", median(all[i].took[row]));
        printf("\n");
    }
    good = judge_noting(&top);
    if (judge(all, count) && good)
        printf("all goals reached\n");
    region_close(r);
    return 0;
}
