/* The metric families that are counted. */
#include "gateway/exchange/families.h"

/* What `size` is reckoned for; more processes take more. */
#define RECKONED_SEATS 16
#define SLOT_BYTES     (192 + 2 * 16) /* a series' text, and its places in the index */
#define LEAST_SERIES   64
#define SERIES_MAX     UINT64_C(65000)

struct declaration {
    struct rows_family family;
    uint32_t share; /* of max_series: one in so many */
    uint64_t names;
};

static const struct declaration declarations[FAMILY_COUNT] = {
    [FAMILY_REQUESTS] = { { .name = "gateway_requests_total",
                            .help = "Requests answered, by service, method and status.",
                            .labels = { "service", "method", "status" } },
                          1,
                          CONF_METRICS_S1 },
    [FAMILY_DURATION] = { { .name = "gateway_request_duration_seconds",
                            .help = "From the complete head of a request to the end of its answer.",
                            .type = ROWS_HISTOGRAM,
                            .labels = { "service" } },
                          16,
                          CONF_METRICS_S1 },
    [FAMILY_S3_COUNTER] = { { .name = "http_request_counter",
                              .help = "Requests to services that have the step metrics.",
                              .labels = { "method", "status", "service" } },
                            1,
                            CONF_METRICS_S3 },
    [FAMILY_S3_TIMER] = { { .name = "http_request_timer",
                            .help = "Seconds that requests took, of services that have the step "
                                    "metrics.",
                            .type = ROWS_HISTOGRAM,
                            .labels = { "service" } },
                          16,
                          CONF_METRICS_S3 },
    [FAMILY_RATE_LIMITED] = { { .name = "gateway_rate_limited_total",
                                .help = "Requests refused by a limit.",
                                .labels = { "service", "limit" } },
                              8,
                              CONF_METRICS_S3 },
    [FAMILY_LIMIT_FALLBACK] = { { .name = "gateway_limit_fallback_total",
                                  .help = "Requests that a limit of scope cluster decided without "
                                          "its store.",
                                  .labels = { "service", "limit" } },
                                8,
                                CONF_METRICS_NATIVE },
    [FAMILY_CONCURRENCY_REFUSED] = { { .name = "gateway_concurrency_refused_total",
                                       .help = "Requests refused because there were as many at "
                                               "once as there may be.",
                                       .labels = { "service", "limit" } },
                                     8,
                                     CONF_METRICS_NATIVE },
    [FAMILY_LOAD_SHED] = { { .name = "gateway_load_shed_total",
                             .help = "Requests turned away because a worker was overloaded.",
                             .labels = { "service" } },
                           8,
                           CONF_METRICS_NATIVE },
    [FAMILY_CANCELED] = { { .name = "gateway_proxy_canceled_total",
                            .help = "Requests whose client left before the answer was complete.",
                            .labels = { "service" } },
                          8,
                          CONF_METRICS_S3 },
    [FAMILY_REASONS] = { { .name = "gateway_failed_requests_total",
                           .help =
                               "Requests that did not go well, by the reason in the access log.",
                           .labels = { "service", "reason" } },
                         4,
                         CONF_METRICS_NATIVE },
    [FAMILY_SHADOW] = { { .name = "gateway_shadow_refusals_total",
                          .help = "Requests that a step in shadow mode would have refused: each "
                                  "step counts, and limits by name.",
                          .labels = { "service", "reason", "limit" } },
                        16,
                        CONF_METRICS_NATIVE },
    [FAMILY_AUTH_FAILURES] = { { .name = "gateway_auth_failures_total",
                                 .help = "Requests without a valid credential.",
                                 .labels = { "service" } },
                               8,
                               CONF_METRICS_NATIVE },
    [FAMILY_ATTEMPTS] = { { .name = "gateway_upstream_attempts_total",
                            .help = "Requests sent to endpoints: ok, error (the answer was 5xx) or "
                                    "failed (no answer).",
                            .labels = { "service", "outcome" } },
                          4,
                          CONF_METRICS_NATIVE },
    [FAMILY_RETRIES] = { { .name = "gateway_upstream_retries_total",
                           .help = "Attempts after the first of a request.",
                           .labels = { "service" } },
                         8,
                         CONF_METRICS_NATIVE },
    [FAMILY_BYTES_IN] = { { .name = "gateway_request_body_bytes_total",
                            .help = "Bytes of request bodies.",
                            .labels = { "service" } },
                          8,
                          CONF_METRICS_NATIVE },
    [FAMILY_BYTES_OUT] = { { .name = "gateway_response_body_bytes_total",
                             .help = "Bytes of answers' bodies.",
                             .labels = { "service" } },
                           8,
                           CONF_METRICS_NATIVE },
    [FAMILY_STORE_REQUESTS] = { { .name = "gateway_store_requests_total",
                                  .help = "Questions to stores outside: ok, error (it answered "
                                          "with one), failed (no connection), late, refused "
                                          "(it is away).",
                                  .labels = { "store", "outcome" } },
                                16,
                                CONF_METRICS_NATIVE },
    [FAMILY_STORE_DURATION] = { { .name = "gateway_store_request_duration_seconds",
                                  .help = "Time that answers of stores outside took.",
                                  .type = ROWS_HISTOGRAM,
                                  .labels = { "store" } },
                                16,
                                CONF_METRICS_NATIVE },
};

static uint64_t series_of(const struct declaration *d, uint64_t max_series)
{
    uint64_t n = max_series / d->share;

    return n < LEAST_SERIES ? LEAST_SERIES : n < SERIES_MAX ? n : SERIES_MAX;
}

static uint64_t bytes_of(uint64_t max_series, uint64_t bucket_count)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        const struct declaration *d = &declarations[i];
        uint64_t width = d->family.type == ROWS_HISTOGRAM ? bucket_count + 2 : 1;

        bytes += series_of(d, max_series) * (SLOT_BYTES + width * 8 * RECKONED_SEATS);
    }
    return bytes;
}

struct families_shape families_shape_of(const struct conf_globals *g)
{
    const uint64_t *bounds = g->metrics.buckets.items;
    struct families_shape s = { .max_series = g->metrics.max_series,
                                .size = g->shared_memory.metrics.size };

    while (s.bucket_count < g->metrics.buckets.count && s.bucket_count < ROWS_BUCKETS_MAX) {
        s.buckets[s.bucket_count] = bounds[s.bucket_count];
        s.bucket_count++;
    }
    return s;
}

void families_declare(struct rows_family *to, const struct families_shape *shape)
{
    uint64_t max_series = shape->max_series;

    while (max_series > LEAST_SERIES && bytes_of(max_series, shape->bucket_count) > shape->size)
        max_series -= max_series / 8 + 1;
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        to[i] = declarations[i].family;
        to[i].max_series = (uint32_t)series_of(&declarations[i], max_series);
        if (to[i].type == ROWS_HISTOGRAM) {
            to[i].buckets = shape->buckets;
            to[i].bucket_count = (uint32_t)shape->bucket_count;
        }
    }
}

uint64_t family_names(enum family f)
{
    CHECK(f < FAMILY_COUNT);
    return declarations[f].names;
}
