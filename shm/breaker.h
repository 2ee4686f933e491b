/* Circuit breaker: one for all processes, in one word, with ten words of history.
 *
 *            too many failures                 the open time is over: one probe
 *   CLOSED ---------------------> OPEN -----------------------------------------> HALF OPEN
 *      ^                            ^              the probe failed                  |
 *      |                            +------------------------------------------------+
 *      +-------------- enough probes succeeded --------------------------------------+
 *
 * The word holds the state, since or until when, how often it opened in a row (the open time backs off),
 * and in half open whose the probe is. A probe is a lease: given by one CAS, to exactly one exchange of
 * all processes, given back when it is told, when its seat is retired, or when its deadline has passed. An
 * outcome that comes after that does not count. The history is ten buckets of {epoch, ok, failed, slow}.
 *
 * Times are region_now(). Parameters come with each call, since a reload may change them at any time.
 */
#ifndef SHM_BREAKER_H
#define SHM_BREAKER_H

#include "shm/region.h"
#include "shm/seats.h"

#define BREAKER_WINDOWS 10

struct breaker {
    _Alignas(CACHE_LINE) shared_word state;
    shared_word window[BREAKER_WINDOWS];
    shared_word opened, half_opened, closed; /* transitions */
    shared_word refused;
};

struct breaker_params {
    uint32_t consecutive;    /* failures in a row that open it; 0: not a reason */
    uint64_t open_ns;        /* how long it stays open the first time */
    uint64_t open_max_ns;    /* longest, however often; 0: open_ns */
    uint32_t backoff;        /* each time in a row so many times longer; 0 or 1: no longer */
    uint32_t successes;      /* probes in a row that close it; 0: 1 */
    uint64_t probe_ns;       /* a probe that has not been told for so long is given up; 0: 60 s */
    uint64_t window_ns;      /* of the two shares; 0: neither is a reason */
    uint32_t failed_percent; /* of the window's outcomes that open it; 0: not a reason */
    uint32_t slow_percent;   /* the same */
    uint32_t at_least;       /* outcomes in the window before a share means anything */
};

enum breaker_verdict { BREAKER_ALLOWED, BREAKER_PROBE, BREAKER_REFUSED };

/* What breaker_allows said; keep it and hand it to breaker_tell. */
struct breaker_pass {
    enum breaker_verdict verdict;
    uint64_t retry_ns; /* REFUSED: come back then */
    uint64_t lease;    /* PROBE: which one */
};

enum breaker_outcome {
    OUTCOME_OK,
    OUTCOME_FAILED,
    OUTCOME_SLOW,   /* an answer, but later than the service may take */
    OUTCOME_IGNORED /* says nothing about the service: the client left, 4xx, 501 */
};

/* As the gauge shows them. */
enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

/* Made within a load, found otherwise. NULL as region_table. */
struct breaker *breaker_table(struct region *r, struct str name) MUST_USE;

/* May an exchange go to the service now? Whoever is not refused tells the outcome, once. */
struct breaker_pass breaker_allows(struct breaker *b, const struct breaker_params *p, uint32_t seat,
                                   uint64_t now_ns);
/* How it went. `open_ns` is how long a failed service asked to be left alone (its Retry-After), 0 if it did not: it
 * only matters to an outcome that opens the breaker, and is cut to five minutes or open_max_ns.
 * returns  the state if this outcome changed it, to be logged once; -1 otherwise */
int breaker_tell(struct breaker *b, const struct breaker_params *p, const struct breaker_pass *pass,
                 enum breaker_outcome outcome, uint64_t open_ns, uint64_t now_ns);

enum breaker_state breaker_state(const struct breaker *b);
/* Failures in a row, while closed. */
uint32_t breaker_failures(const struct breaker *b);

/* Master, seat retired: its probes in all breakers of the region are given back. */
void breakers_retire_seat(struct region *r, uint32_t seat);

#endif
