/* What load was asked for on its command line. */
#ifndef TEST_BENCH_PLAN_H
#define TEST_BENCH_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

enum {
    PIDS_MOST = 64,
    THREADS_MOST = 16,
    STATUS_MOST = 600,
    NUMBER_DIGITS = 5, /* of what stands for '%' in the path */
};

struct plan {
    uint16_t port;
    uint32_t connections, threads;
    uint64_t warm_ns, run_ns;
    double rate; /* per second; 0: as fast as answered */
    bool oneshot, idle, pin;
    int expected;   /* status; any other is an error */
    uint32_t paths; /* numbers that '%' in the path runs over */
    size_t post;
    char *request; /* head and body */
    size_t request_len;
    size_t digits_at; /* of the number in it; 0: none */
    int pids;
    pid_t pid[PIDS_MOST];
};

/* Read the options; ends the process with a word on how to use it when they make no sense. */
void plan_read(struct plan *p, int argc, char **argv);

#endif
