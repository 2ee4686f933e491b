/* The roster of a service: its endpoints as a board that the caretaker writes, and, for each address, words
 * about its health that survive every change of the list, because they are found by the address.
 *
 * The list has a version; who keeps a copy compares it now and then. `turn` is the one counter that round
 * robin uses in all processes, so that two endpoints alternate with any number of workers.
 */
#ifndef SHM_ROSTER_H
#define SHM_ROSTER_H

#include "shm/board.h"
#include "shm/region.h"

#define ROSTER_MAX     64 /* endpoints of a service */
#define ROSTER_ADDRESS 112

struct roster_endpoint {
    char address[ROSTER_ADDRESS]; /* "10.0.0.1:8080", "[::1]:80", "unix:/run/x"; NUL-ended */
    uint32_t weight;
    uint32_t flags; /* the program's own */
};

/* What is known about one address. Words that mean something alone. */
struct roster_health {
    _Alignas(CACHE_LINE) shared_word address_hash; /* 0: free */
    shared_word down_until_ns; /* region_now(): not to be picked before; UINT64_MAX: until told */
    shared_word failures;      /* in a row */
    shared_word latency_ns;    /* smoothed */
    shared_word probed_ns;     /* when an active check last told something */
    shared_word own[3];        /* the program's own */
};

struct roster_shared;

/* This process's view; may be copied. */
struct roster {
    struct roster_shared *shared;
    struct hash_key key;
};

struct roster_list {
    uint64_t version; /* 0: the caretaker has written none */
    uint32_t count;
    struct roster_endpoint endpoints[ROSTER_MAX];
};

/* Made within a load, found otherwise. False as region_table. */
bool roster_table(struct region *r, struct str service, struct roster *out) MUST_USE;

/* Caretaker: the endpoints from now on; more than ROSTER_MAX are left out. False: that is the list already. */
bool roster_publish(const struct roster *r, const struct roster_endpoint *endpoints, size_t count);
/* Copy the list if it is newer than *list (which begins as zeros). True if it was replaced. */
bool roster_read(const struct roster *r, struct roster_list *list);
/* The words about an address; the same for everybody as long as the region lives. Keep the pointer for a snapshot.
 * NULL when twice ROSTER_MAX addresses have been seen: then do without. */
struct roster_health *roster_health_of(const struct roster *r, struct str address);
/* The next number of the round; each is given once. */
uint64_t roster_turn(const struct roster *r);

#endif
