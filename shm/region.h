/* The memory that all processes of a gateway share, and the directory that finds things in it by name.
 *
 * The master makes one large sparse memfd and maps it before it forks, so it lies at one address in all
 * of them; yet nothing stored in it is a pointer, so another binary may map it elsewhere. What lies in it
 * are tables. A table is a kind, a name ("breaker/users/circuit_breaker") and a size: the same three
 * after a reload are the same memory, another size is another table that starts as zeros.
 *
 * Only the master changes the directory, and only within a load: region_begin, any number of
 * region_table, then region_commit or region_abort. A load that is aborted leaves nothing. A worker asks
 * the same region_table for the same table and finds what the master made. All functions are for one
 * thread of a process; what lies inside the tables is for everybody, by the rules of each kind.
 */
#ifndef SHM_REGION_H
#define SHM_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/check.h"
#include "gateway/base/hash.h"
#include "gateway/base/str.h"
#include "shm/word.h"

#define REGION_SIZE     (UINT64_C(2) << 30) /* the default: addresses, not memory */
#define REGION_NAME_MAX 80 /* of a table; what is longer is told apart by its hash */
#define REGION_TABLES   65536
#define REGION_LAYOUT   1 /* raise it when anything that lies in the region changes its meaning */

enum table_kind {
    TABLE_NONE,
    TABLE_WORDS, /* words of the gateway's own, see region_words */
    TABLE_SEATS,
    TABLE_ROWS,
    TABLE_RINGS,
    TABLE_CELLS,
    TABLE_HOLDS,
    TABLE_BREAKER,
    TABLE_BOARD,
    TABLE_TOPIC,
    TABLE_ROSTER,
    TABLE_TOP,
    TABLE_LIMIT, /* what is known of a limit by its name */
    TABLE_PLACES,
    TABLE_GRADIENT
};

/* Words about the whole gateway. The first part is written once, before anybody else looks. */
struct region_header {
    uint64_t magic;
    uint64_t layout;        /* REGION_LAYOUT of the binary that made it */
    uint64_t size;          /* of the mapping */
    uint64_t birth_ns;      /* clock_now_ns() when it was made */
    uint64_t birth_wall_ns; /* clock_wall_ns() at the same moment */
    struct hash_key key;    /* of every hash that lies in the region; secret */

    _Alignas(CACHE_LINE) shared_word master; /* region_process(): who may change the directory */
    shared_word caretaker;  /* region_process(): who reads the rings and writes the boards */
    shared_word generation; /* of the last load that was committed; 0: none yet */
    shared_word upgrade;    /* binary upgrade: enum region_upgrade */
    shared_word heir;       /* region_process() of the master that takes over, or 0 */

    /* Written by the master, shown by the metrics page. */
    _Alignas(CACHE_LINE) shared_word reloads; /* tried, the first load included */
    shared_word reload_failures;
    shared_word reload_last_ok;      /* 1: the last one was taken; 0: it was refused */
    shared_word reload_last_wall_ns; /* when the running configuration was taken */
    shared_word config_hash;         /* of the running configuration's bytes */

    /* Written by the master within loads. */
    _Alignas(CACHE_LINE) shared_word tables; /* entries of the directory ever used */
    shared_word bytes;                       /* in tables */
};

enum region_upgrade { UPGRADE_NONE, UPGRADE_FROZEN, UPGRADE_READY };

struct region;

/* What the directory knows of a table. */
struct table_info {
    enum table_kind kind;
    struct str name; /* the first REGION_NAME_MAX bytes; lies in `text` */
    size_t size;
    uint64_t last_named; /* by the load of this generation */
    void *at;
    char text[REGION_NAME_MAX];
};

/* Master, at boot. `size` 0: REGION_SIZE. Dies when the system refuses. */
struct region *region_new(size_t size);
/* The region behind a descriptor that another master handed over, which is ours from now on. A load that was
 * under way is undone.
 * returns  NULL when it is not one, or has another layout: then start a new one and say so. */
struct region *region_open(int fd) MUST_USE;
/* The region behind a descriptor of another process, only to be looked at: to write into it kills. The descriptor is ours
 * from now on. NULL as region_open. */
struct region *region_look(int fd) MUST_USE;
/* The mapping ends for this process; its state lives on while anybody has it. */
void region_close(struct region *r);
/* The memfd, to be handed to the next binary. */
int region_fd(const struct region *r);
struct region_header *region_header(const struct region *r);

/* The time that limits and breakers use: nanoseconds since the region was made, at least 1. */
static inline uint64_t region_now(const struct region_header *h, uint64_t clock_ns)
{
    return clock_ns > h->birth_ns ? clock_ns - h->birth_ns : 1;
}

/* A process in a word: who and, so that a number used twice is not the same, the count of such words given. */
static inline uint64_t region_process(int pid, uint32_t epoch)
{
    return (uint64_t)epoch << 32 | (uint32_t)pid;
}

static inline int region_process_pid(uint64_t word)
{
    return (int)(uint32_t)word;
}

/* Begin a load; returns the generation it will be if it is committed. */
uint64_t region_begin(struct region *r);
void region_commit(struct region *r);
void region_abort(struct region *r);

/* The table of this kind, name and size, aligned to a cache line. Within a load it is made, as zeros, if it is not
 * there, and counts as named by the load. Otherwise it is only found.
 * returns  NULL: within a load, the region is full; otherwise, there is none */
void *region_table(struct region *r, enum table_kind kind, struct str name, size_t size) MUST_USE;
/* A table of `count` words. */
shared_word *region_words(struct region *r, struct str name, size_t count) MUST_USE;
/* Is there a table of this kind and name with another size? A load that asks can say that its state starts afresh. */
bool region_has_other_size(const struct region *r, enum table_kind kind, struct str name,
                           size_t size);

/* Master, between loads: free the tables whose last load is older than `oldest`, the oldest generation that any seat
 * still holds (seats_oldest_generation) and older than the last load. Their pages go back to the system.
 * returns  how many */
size_t region_sweep(struct region *r, uint64_t oldest);

/* The next table from *i on, which begins at 0; false after the last. Any process. */
bool region_next_table(const struct region *r, size_t *i, struct table_info *info);
/* Bytes that the system has really given. */
uint64_t region_resident(const struct region *r);

#endif
