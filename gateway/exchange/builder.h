/* What a step or a handler may ask while a part of a snapshot is built.
 *
 * The same build runs first in the master (which makes the shared tables, resolves names and reads files with its
 * rights, and writes the bundle) and then in every worker and the caretaker (which find, look up and map).
 * One process, one thread; everything handed out lives as long as the part.
 */
#ifndef GATEWAY_EXCHANGE_BUILDER_H
#define GATEWAY_EXCHANGE_BUILDER_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/problems.h"
#include "gateway/base/arena.h"
#include "gateway/base/cidr.h"
#include "gateway/base/str.h"
#include "shm/region.h"

struct bundle;

enum build_role { BUILD_MASTER, BUILD_WORKER, BUILD_CARETAKER /* the globals only */ };

struct conf_globals;
struct conf_redis;
struct consumers;
struct shared;

struct builder {
    enum build_role role;
    struct arena *arena; /* of the part being built */
    struct region *region;
    struct conf_problems *problems;
    const struct conf_globals *globals;
    const struct consumers *consumers; /* NULL: none; the part holds them, so they may be kept */
    const struct shared *shared;       /* during the build: keep numbers, not pointers to it */
    bool identified;                   /* a step before this one says who asks */
    bool whole_gateway;                /* the step is of the whole gateway: one for all services */
    struct str service_name;           /* whose part it is; "" for the gateway's own */
    struct str step_name;              /* as in `middleware:`; state is kept under it */
    struct str label;     /* of its metrics, if that is another than step_name; else empty */
    struct conf_place at; /* of the step or service, for problems */
    struct bundle *bundle;
};

/* A shared table named kind/service/what, where what is b->step_name; `kind` is a short word ("breaker"). NULL: a problem
 * has been reported (the region is full). */
void *builder_table(struct builder *b, enum table_kind kind, const char *word,
                    size_t size) MUST_USE;
/* The store that a setting names ("redis:main"), its names resolved. Lives as long as the build: a step keeps what it needs of
 * it in b->arena. NULL: there is none, and a problem has been reported. */
const struct conf_redis *builder_redis(struct builder *b, struct str store) MUST_USE;
/* What its metrics are told apart by. */
struct str builder_label(const struct builder *b);
/* An error at the place of the step: fails the load. Always returns false. */
bool builder_problem(struct builder *b, const char *format, ...) PRINTF_LIKE(2, 3);
void builder_warning(struct builder *b, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
