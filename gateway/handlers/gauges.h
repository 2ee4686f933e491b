/* What the metrics page shows beside the counted families: the state of things now, read from where it is kept.
 *
 * A gauge is a family that writes one series after the other; all of them together never make the page's
 * writer hold more than a series at a time.
 */
#ifndef GATEWAY_HANDLERS_GAUGES_H
#define GATEWAY_HANDLERS_GAUGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/exchange/shared.h"
#include "gateway/handlers/prometheus.h"

/* Where the truth is. */
struct gauge_sources {
    const struct shared *shared;
    uint64_t now_ns; /* clock_now_ns() */
};

struct gauge {
    const char *name, *help, *type;
    uint64_t names; /* which of `metrics.names`: one bit of enum conf_metric_names */
    /* Write the next series from *i on, which begins at 0; false, and nothing written, after the last. */
    bool (*next)(const struct gauge *g, const struct gauge_sources *s, size_t *i,
                 struct prometheus *p);
    uint64_t (*value)(const struct gauge_sources *s, uint32_t which); /* for the simple ones */
    uint32_t which;
};

/* The i-th; NULL after the last. */
const struct gauge *gauges_at(size_t i);

#endif
