/* A service's share of a snapshot: its endpoints, its steps, its routes, in an arena of its own.
 *
 * Const once built. Parts are counted with a plain integer (one process, one thread): snapshots and exchanges
 * hold them, so a stream that lives for days pins one service and not the whole configuration. One that is in no
 * snapshot any more, and that exchanges still hold, is an orphan. The gateway's own routes (/metrics, /health, /ready,
 * and what no service claims) are a part too.
 */
#ifndef GATEWAY_PART_H
#define GATEWAY_PART_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/settings.h"
#include "gateway/base/list.h"
#include "gateway/exchange/builder.h"
#include "gateway/exchange/route.h"
#include "gateway/exchange/service.h"

struct part {
    uint32_t holders;      /* snapshots and exchanges */
    uint32_t snapshots;    /* of them */
    uint64_t hash;         /* of its source; equal: the same part */
    uint64_t generation;   /* of an orphan: the last one that it was part of */
    struct link_node node; /* among the orphans */
    struct arena arena;
    struct consumers *consumers; /* held for who asks for it; NULL: none */
    const struct conf_service *conf;
    struct service service;
    struct route
        *routes; /* one, to which all its patterns lead; the gateway's own: by enum own_route */
};

enum own_route { OWN_UNMATCHED, OWN_METRICS, OWN_LIVE, OWN_READY, OWN_COUNT };

/* Empty, held by the snapshot that it is made for; holds the consumers, which may be NULL. */
struct part *part_new(uint64_t hash, struct consumers *consumers);
/* For exchanges. */
void part_hold(struct part *p);
/* bin: where its memory goes if that was the last holder; NULL: back at once. */
void part_release(struct part *p, struct arena_bin *bin);
/* For snapshots: it is in one more. */
void part_enter(struct part *p);
/* It is in one less, which does not hold it any more. True: it has become an orphan. */
bool part_leave(struct part *p, struct arena_bin *bin);

/* A part being built. */
struct part_build {
    struct builder
        b; /* whoever begins fills it in: b.arena is the part's, b.at and b.service_name the service's */
    struct part *part;
    struct route *route; /* whose steps are made: all that there are */
    struct step *steps;
    const struct conf_steps *from; /* the gateway's, then the service's own */
    size_t next;                   /* of these */
    bool preparing;                /* the step made last is not ready */
};

/* Begin to make it the share of the service w->part->conf, */
void part_build_service(struct part_build *w);
/* or the gateway's own. */
void part_build_own(struct part_build *w);
/* A step, or a slice of what a step takes; true: the part is ready. */
bool part_build_more(struct part_build *w, uint64_t until_ns) MUST_USE;
/* Do the names of its endpoints still stand for the same addresses, by this bundle? */
bool part_addresses_stand(struct builder *b, const struct part *p);

#endif
