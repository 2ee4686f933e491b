/* What a worker keeps for the gateway: pools, links and series, beside its loop. One per process. */
#ifndef GATEWAY_EXCHANGE_LOCAL_H
#define GATEWAY_EXCHANGE_LOCAL_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/cidr.h"
#include "gateway/base/date.h"
#include "gateway/base/pool.h"
#include "gateway/base/str.h"
#include "gateway/exchange/pressure.h"
#include "gateway/exchange/router.h"
#include "gateway/http/h1_head.h"
#include "gateway/http/hop.h"
#include "workers/loop.h"

struct conf_globals;
struct bells;
struct exchange;
struct limit_lines;
struct limit_asks;
struct links;
struct lookups;
struct part;
struct region;
struct reporter;
struct route;
struct shared;
struct worker;

/* What clients must keep to, and what we say about them to services. */
struct client_rules {
    struct h1_limits head;
    uint64_t header_ns, idle_ns;
    uint64_t requests_per_connection; /* 0: any number */
    const struct cidr *trusted;       /* proxies whose word about the client is believed */
    size_t trusted_count;
    enum client_address_field { CLIENT_XFF, CLIENT_FORWARDED, CLIENT_REAL_IP } address_field;
    unsigned ipv6_prefix;
    enum hop_forward forward;
    bool send_forwarded;
};

/* What every exchange needs of the snapshot and of no service. */
struct current {
    const struct router *router;
    const struct route *unmatched;
    struct client_rules clients;
    enum errors_format { ERRORS_AUTO, ERRORS_TEXT, ERRORS_PROBLEM } errors;
    const struct conf_globals *globals;
    void *snapshot; /* of gateway/snapshot.c */
};

struct local {
    struct worker *worker;
    struct loop *loop;
    struct region *region;
    uint32_t seat;
    struct current current; /* changes between two turns */
    struct pool exchanges, conns, sessions, upstream_links;
    struct links *links;           /* to services, found by value; outlive snapshots */
    struct lookups *lookups;       /* stores outside, found by value */
    struct limit_asks *limit_asks; /* questions about limits on their way to stores */
    struct shared *shared;         /* counters, rings, cells of limits: what all processes share */
    const struct bells *bells;     /* to wake other processes; NULL: they look by themselves */
    struct reporter *reporter;     /* takes the record of each exchange */
    struct limit_lines *lines; /* who waits for a place of a concurrency limit; NULL: nobody yet */
    struct pressure pressure;  /* how busy we are, if a step wants to know */
    uint64_t running;          /* exchanges now */
    struct list sessions_list; /* of connected clients */
    uint64_t session_count;
    bool draining;
    struct date_cache date;
    uint64_t wall_offset_ns; /* wall clock minus the loop's; looked at once a second */
    uint64_t wall_looked_s;  /* … in this second of the loop's, plus one */
    /* The layer above gives these: */
    void (*part_release)(struct part *p, struct local *l);
    void (*part_hold)(struct part *p);
    void (*report)(struct exchange *x);
    void (*let_go)(struct local *l); /* a client's connection has been closed */
};

/* The text of a Date field for this turn. */
struct str local_date(struct local *l);
/* Wall time of a time of the loop's clock. */
uint64_t local_wall_ns(struct local *l, uint64_t ns);

#endif
