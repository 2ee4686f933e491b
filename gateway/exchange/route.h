/* Where a request goes: its steps, its handler, its service. Const after the build. */
#ifndef GATEWAY_EXCHANGE_ROUTE_H
#define GATEWAY_EXCHANGE_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/str.h"

struct handler;
struct part;
struct service;
struct step;

struct route_limits {
    uint64_t body_size;  /* bytes; 413 */
    uint64_t request_ns; /* the whole exchange, all attempts included */
    uint64_t client_body_ns, client_write_ns;
};

struct route {
    struct part *part;        /* keeps it alive, see exchange_begin */
    struct str service_name;  /* label of metrics and logs; "unmatched" and the like */
    const struct step *steps; /* outermost first */
    uint32_t step_count;
    bool counts_for_s3; /* the step `metrics` is among them */
    const struct handler *handler;
    const void *prepared;          /* of the handler */
    const struct service *service; /* NULL: answered here */
    struct route_limits limits;
    uint64_t service_id; /* keyed hash of service_name, for the worker's cache of series */
};

#endif
