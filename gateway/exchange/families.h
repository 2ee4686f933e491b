/* The metric families that are counted: which there are, and how they are called. Gauges are not among them:
 * whoever makes the page reads the truth.
 *
 * To add one: a name here, a line in families.c, and a rows_add where it happens.
 */
#ifndef GATEWAY_EXCHANGE_FAMILIES_H
#define GATEWAY_EXCHANGE_FAMILIES_H

#include <stdint.h>

#include "conf/settings.h"
#include "shm/rows.h"

enum family {
    FAMILY_REQUESTS,            /* service, method, status */
    FAMILY_DURATION,            /* service */
    FAMILY_S3_COUNTER,          /* method, status, service */
    FAMILY_S3_TIMER,            /* service */
    FAMILY_RATE_LIMITED,        /* service, limit */
    FAMILY_LIMIT_FALLBACK,      /* service, limit */
    FAMILY_CONCURRENCY_REFUSED, /* service, limit */
    FAMILY_LOAD_SHED,           /* service */
    FAMILY_CANCELED,            /* service */
    FAMILY_REASONS,             /* service, reason */
    FAMILY_SHADOW,              /* service, reason, limit */
    FAMILY_AUTH_FAILURES,       /* service */
    FAMILY_ATTEMPTS,            /* service, outcome */
    FAMILY_RETRIES,             /* service */
    FAMILY_BYTES_IN,            /* service */
    FAMILY_BYTES_OUT,           /* service */
    FAMILY_STORE_REQUESTS,      /* store, outcome */
    FAMILY_STORE_DURATION,      /* store */
    FAMILY_COUNT
};

/* What the configuration says about them; cannot change while the gateway runs, see shared.h. */
struct families_shape {
    uint64_t max_series; /* of the family with the most labels; the others have less */
    uint64_t size;       /* bytes that all of them may take: max_series is made to fit */
    uint64_t buckets[ROWS_BUCKETS_MAX];
    uint64_t bucket_count;
};

struct families_shape families_shape_of(const struct conf_globals *g);
/* Declare all FAMILY_COUNT of them. `shape` must live as long as the families. */
void families_declare(struct rows_family *to, const struct families_shape *shape);
/* Which of `metrics.names` a family belongs to: one bit of enum conf_metric_names. */
uint64_t family_names(enum family f);

#endif
