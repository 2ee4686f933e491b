/* Writing Prometheus' text format, version 0.0.4, into memory of a known size.
 *
 *     prometheus_family(&p, STR("gateway_up"), STR("What it is."), STR("gauge"));
 *     prometheus_begin(&p, STR("gateway_up"), STR("")); prometheus_label(&p, …); prometheus_u64(&p, 1);
 *
 * The caller knows how much room one series takes at most: what does not fit is a bug and dies.
 */
#ifndef GATEWAY_HANDLERS_PROMETHEUS_H
#define GATEWAY_HANDLERS_PROMETHEUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/str.h"
#include "shm/rows.h"

struct prometheus {
    char *at;
    size_t len, size;
    bool in_labels;
};

/* Bytes of one series at most: all lines of a histogram, every byte of its labels escaped. */
#define PROMETHEUS_SERIES_MAX ((ROWS_BUCKETS_MAX + 3) * (2 * ROWS_TEXT + 256))

void prometheus_family(struct prometheus *p, struct str name, struct str help, struct str type);
/* A sample: its name, labels, and then one value, which ends the line. */
void prometheus_begin(struct prometheus *p, struct str name, struct str suffix);
void prometheus_label(struct prometheus *p, struct str name, struct str value);
void prometheus_label_u64(struct prometheus *p, struct str name, uint64_t value);
void prometheus_u64(struct prometheus *p, uint64_t value);
/* Nanoseconds as seconds, exactly. */
void prometheus_seconds(struct prometheus *p, uint64_t ns);
/* All lines of a counted series. */
void prometheus_series(struct prometheus *p, const struct rows_family *f,
                       const struct rows_series *s);

#endif
