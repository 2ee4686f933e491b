/* What a place of a concurrency limit costs: ns of CPU time for taking and giving back.
 *
 *     make build/release/test/bench/micro_places && build/release/test/bench/micro_places
 *
 *   hot      one process, one key; so many seats are looked at
 *   refused  the same, all places are taken
 *   keys     one process, keys in random order
 *   shared   a process on each core, all of them on one key with room for everybody
 *
 * Each number is the median of several rounds.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "gateway/base/number.h"
#include "gateway/base/random.h"
#include "shm/places.h"

#define ROUNDS 7
#define TRIES  300000
#define KEY    UINT64_C(0x123456789abcdef0)

enum row { HOT, REFUSED, KEYS, ROWS };

static struct places places;

static uint64_t used_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static double once(enum row row, uint32_t seat, struct random *random)
{
    uint64_t begun_ns = used_ns(), max = row == REFUSED ? 0 : 1000;

    for (int i = 0; i < TRIES; i++) {
        uint64_t key = row == KEYS ? random_u64(random) : KEY;
        enum places_result r = places_take(&places, seat, key, max);

        if ((r == PLACES_GOT) != (row != REFUSED))
            exit(1);
        if (r == PLACES_GOT)
            places_give(&places, seat, key);
    }
    return (double)(used_ns() - begun_ns) / TRIES;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(enum row row, uint32_t seat, struct random *random)
{
    double took[ROUNDS];

    for (int i = 0; i < ROUNDS; i++)
        took[i] = once(row, seat, random);
    qsort(took, ROUNDS, sizeof *took, compare);
    return took[ROUNDS / 2];
}

/* Somebody else is at the key all the time. */
static pid_t rival(uint32_t seat)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;)
        if (places_take(&places, seat, KEY, 1000) == PLACES_GOT)
            places_give(&places, seat, KEY);
}

int main(void)
{
    struct region *region = region_new(0);
    struct seats_shared *seats;
    struct random random;
    uint32_t first = 0, claimed = 0;
    long rivals = sysconf(_SC_NPROCESSORS_ONLN) - 1;
    pid_t pids[16];

    random_seed(&random);
    region_begin(region);
    seats = seats_table(region);
    if (!places_table(region, STR("gateway/places"), &places))
        return 1;
    region_commit(region);
    printf("%-8s %8s %8s %8s\n", "seats", "hot", "refused", "keys");
    for (uint32_t count = 2; count <= 16; count *= 2) {
        while (claimed < count) {
            uint32_t seat = seats_claim(seats, 100 + (int)claimed, SEAT_WORKER, claimed, 1, 1);

            first = claimed++ == 0 ? seat : first;
        }
        printf("%-8u %8.1f %8.1f %8.1f\n", (unsigned)count, median(HOT, first, &random),
               median(REFUSED, first, &random), median(KEYS, first, &random));
    }
    rivals = rivals > 15 ? 15 : rivals;
    for (long i = 0; i < rivals; i++)
        pids[i] = rival((uint32_t)i + 1);
    printf("shared   %8.1f with %ld others\n", median(HOT, first, &random), rivals);
    for (long i = 0; i < rivals; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    region_close(region);
    return 0;
}
