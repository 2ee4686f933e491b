/* The state of things now, for the metrics page. */
#include "gateway/handlers/gauges.h"

#include <stdio.h>

#include "gateway/base/number.h"
#include "ratelimit/gradient.h"
#include "shm/breaker.h"
#include "shm/holds.h"
#include "shm/places.h"
#include "shm/seats.h"

#ifndef SLUICE_VERSION
#define SLUICE_VERSION "unknown"
#endif

/* A process that has not turned for so long is not up, whatever the seat says. */
#define SILENT_NS (10 * NS_PER_S)

/* ---- one number ------------------------------------------------------------------------------- */

static bool next_number(const struct gauge *g, const struct gauge_sources *s, size_t *i,
                        struct prometheus *p)
{
    if ((*i)++ > 0)
        return false;
    prometheus_begin(p, str_from(g->name), STR(""));
    prometheus_u64(p, g->value(s, g->which));
    return true;
}

/* The same where the number is nanoseconds. */
static bool next_time(const struct gauge *g, const struct gauge_sources *s, size_t *i,
                      struct prometheus *p)
{
    if ((*i)++ > 0)
        return false;
    prometheus_begin(p, str_from(g->name), STR(""));
    prometheus_seconds(p, g->value(s, g->which));
    return true;
}

enum header_word { RELOADS, RELOAD_FAILURES, RELOAD_LAST_OK, RELOAD_LAST_TIME, GENERATION };

static uint64_t header_value(const struct gauge_sources *s, uint32_t which)
{
    const struct region_header *h = region_header(s->shared->region);

    switch ((enum header_word)which) {
    case RELOADS:
        return word_peek(&h->reloads);
    case RELOAD_FAILURES:
        return word_peek(&h->reload_failures);
    case RELOAD_LAST_OK:
        return word_peek(&h->reload_last_ok);
    case RELOAD_LAST_TIME:
        return word_peek(&h->reload_last_wall_ns);
    case GENERATION:
        return word_peek(&h->generation);
    }
    UNREACHABLE();
}

static uint64_t log_value(const struct gauge_sources *s, uint32_t which)
{
    return word_peek(&s->shared->logs[which]);
}

enum cells_word { CELLS_USED, CELLS_ALL, CELLS_TAKEOVERS, CELLS_EVICTIONS, CELLS_FULL };

static uint64_t cells_value(const struct gauge_sources *s, uint32_t which)
{
    const struct cells *c = &s->shared->limits;

    switch ((enum cells_word)which) {
    case CELLS_USED:
        return word_peek(&c->shared->used);
    case CELLS_ALL:
        return cells_capacity(c);
    case CELLS_TAKEOVERS:
        return word_peek(&c->shared->takeovers);
    case CELLS_EVICTIONS:
        return word_peek(&c->shared->evictions);
    case CELLS_FULL:
        return word_peek(&c->shared->full);
    }
    UNREACHABLE();
}

static uint64_t region_bytes(const struct gauge_sources *s, uint32_t which)
{
    (void)which;
    return region_header(s->shared->region)->size;
}

static uint64_t resident_bytes(const struct gauge_sources *s, uint32_t which)
{
    (void)which;
    return region_resident(s->shared->region);
}

/* ---- what is said in a label ------------------------------------------------------------------ */

static bool next_version(const struct gauge *g, const struct gauge_sources *s, size_t *i,
                         struct prometheus *p)
{
    (void)s;
    if ((*i)++ > 0)
        return false;
    prometheus_begin(p, str_from(g->name), STR(""));
    prometheus_label(p, STR("version"), STR(SLUICE_VERSION));
    prometheus_u64(p, 1);
    return true;
}

static bool next_hash(const struct gauge *g, const struct gauge_sources *s, size_t *i,
                      struct prometheus *p)
{
    char text[17];
    uint64_t hash = word_peek(&region_header(s->shared->region)->config_hash);

    if ((*i)++ > 0)
        return false;
    snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
    prometheus_begin(p, str_from(g->name), STR(""));
    prometheus_label(p, STR("hash"), str_from(text));
    prometheus_u64(p, 1);
    return true;
}

/* ---- seats ------------------------------------------------------------------------------------ */

static struct str role_text(enum seat_role role)
{
    switch (role) {
    case SEAT_WORKER:
        return STR("worker");
    case SEAT_CARETAKER:
        return STR("caretaker");
    case SEAT_OTHER:
        break;
    }
    return STR("other");
}

/* The next seat from *i on that somebody has, alive or just dead. */
static bool next_taken(const struct gauge_sources *s, size_t *i, struct seat_view *v)
{
    while (*i < seats_high(s->shared->seats)) {
        *v = seats_view(s->shared->seats, (uint32_t)(*i)++);
        if (v->state != SEAT_FREE)
            return true;
    }
    return false;
}

static uint64_t silent_for(const struct gauge_sources *s, const struct seat_view *v)
{
    return s->now_ns > v->heartbeat_ns ? s->now_ns - v->heartbeat_ns : 0;
}

static void begin_seat(const struct gauge *g, const struct seat_view *v, size_t seat,
                       struct prometheus *p)
{
    prometheus_begin(p, str_from(g->name), STR(""));
    prometheus_label_u64(p, STR("seat"), seat);
    prometheus_label(p, STR("role"), role_text(v->role));
    prometheus_label_u64(p, STR("slot"), v->slot);
}

static bool next_up(const struct gauge *g, const struct gauge_sources *s, size_t *i,
                    struct prometheus *p)
{
    struct seat_view v;

    if (!next_taken(s, i, &v))
        return false;
    begin_seat(g, &v, *i - 1, p);
    prometheus_u64(p, v.state == SEAT_ALIVE && silent_for(s, &v) < SILENT_NS);
    return true;
}

static bool next_silence(const struct gauge *g, const struct gauge_sources *s, size_t *i,
                         struct prometheus *p)
{
    struct seat_view v;

    if (!next_taken(s, i, &v))
        return false;
    begin_seat(g, &v, *i - 1, p);
    prometheus_seconds(p, silent_for(s, &v));
    return true;
}

/* The same where the number is nanoseconds, or millionths. */
static bool next_load(const struct gauge *g, const struct gauge_sources *s, size_t *i,
                      struct prometheus *p)
{
    struct seat_view v;
    uint64_t value;

    do
        if (!next_taken(s, i, &v))
            return false;
    while (v.state != SEAT_ALIVE || v.role != SEAT_WORKER);
    value = word_peek(&s->shared->in_hand[(*i - 1) * SEAT_WORDS + g->which]);
    begin_seat(g, &v, *i - 1, p);
    prometheus_seconds(p, g->which == SEAT_SHED_PPM ? value * 1000 : value);
    return true;
}

static bool next_in_hand(const struct gauge *g, const struct gauge_sources *s, size_t *i,
                         struct prometheus *p)
{
    struct seat_view v;

    do
        if (!next_taken(s, i, &v))
            return false;
    while (v.state != SEAT_ALIVE || v.role != SEAT_WORKER);
    begin_seat(g, &v, *i - 1, p);
    prometheus_u64(p, word_peek(&s->shared->in_hand[(*i - 1) * SEAT_WORDS + g->which]));
    return true;
}

/* What a seat has counted stays when its process is gone: every seat that was ever used. */
enum per_seat { SEAT_HOLDERS, RECORDS_WRITTEN, RECORDS_DROPPED, RECORDS_BROKEN };

static uint64_t seat_value(const struct gauge_sources *s, uint32_t seat, enum per_seat which)
{
    const struct ring *ring = &s->shared->rings[seat];

    switch (which) {
    case SEAT_HOLDERS:
        return seats_view(s->shared->seats, seat).holders;
    case RECORDS_WRITTEN:
        return word_peek(&ring->written);
    case RECORDS_DROPPED:
        return word_peek(&ring->dropped);
    case RECORDS_BROKEN:
        return word_peek(&ring->broken);
    }
    UNREACHABLE();
}

static bool next_of_seats(const struct gauge *g, const struct gauge_sources *s, size_t *i,
                          struct prometheus *p)
{
    if (*i >= seats_high(s->shared->seats))
        return false;
    prometheus_begin(p, str_from(g->name), STR(""));
    prometheus_label_u64(p, STR("seat"), *i);
    prometheus_u64(p, seat_value(s, (uint32_t)(*i)++, (enum per_seat)g->which));
    return true;
}

/* ---- tables of the region --------------------------------------------------------------------- */

static const struct {
    enum table_kind kind;
    const char *name;
} kinds[] = {
    { TABLE_WORDS, "words" },     { TABLE_SEATS, "seats" },       { TABLE_ROWS, "metrics" },
    { TABLE_RINGS, "records" },   { TABLE_CELLS, "limits" },      { TABLE_HOLDS, "holds" },
    { TABLE_BREAKER, "breaker" }, { TABLE_BOARD, "boards" },      { TABLE_TOPIC, "bells" },
    { TABLE_ROSTER, "rosters" },  { TABLE_PLACES, "places" },     { TABLE_GRADIENT, "gradients" },
    { TABLE_TOP, "top" },         { TABLE_LIMIT, "limit_names" },
};

static bool next_kind(const struct gauge *g, const struct gauge_sources *s, size_t *i,
                      struct prometheus *p)
{
    struct table_info info;
    uint64_t bytes = 0;
    size_t at = 0;

    if (*i == ARRAY_LEN(kinds))
        return false;
    while (region_next_table(s->shared->region, &at, &info))
        bytes += info.kind == kinds[*i].kind ? info.size : 0;
    prometheus_begin(p, str_from(g->name), STR(""));
    prometheus_label(p, STR("kind"), str_from(kinds[(*i)++].name));
    prometheus_u64(p, bytes);
    return true;
}

static bool next_series_count(const struct gauge *g, const struct gauge_sources *s, size_t *i,
                              struct prometheus *p)
{
    const struct shared *shared = s->shared;

    if (*i == FAMILY_COUNT)
        return false;
    prometheus_begin(p, str_from(g->name), STR(""));
    prometheus_label(p, STR("family"), str_from(shared->families[*i].name));
    prometheus_u64(p, g->which ? shared->families[*i].max_series
                               : rows_used(&shared->rows, (uint32_t)*i));
    ++*i;
    return true;
}

/* ---- breakers --------------------------------------------------------------------------------- */

/* Where the name of a step begins in users/step: services may have slashes in theirs. 0: there is no service. */
static size_t step_index(struct str name)
{
    size_t i = name.len;

    while (i > 0 && name.at[i - 1] != '/')
        i--;
    return i;
}

/* breaker/users/circuit_breaker; steps of S3's name need no label. */
static void put_breaker_labels(struct str name, struct prometheus *p)
{
    struct str service, step = str_from_index(name, str_index(name, '/') + 1);
    size_t slash = step_index(step);

    service = str_up_to(step, slash ? slash - 1 : step.len);
    step = str_from_index(step, slash);
    prometheus_label(p, STR("service"), service);
    if (slash && !str_equal(step, STR("circuit_breaker")))
        prometheus_label(p, STR("breaker"), step);
}

/* The next breaker of the running configuration. */
static const struct breaker *next_breaker(const struct gauge_sources *s, size_t *i,
                                          struct table_info *info)
{
    uint64_t generation = word_read(&region_header(s->shared->region)->generation);

    while (region_next_table(s->shared->region, i, info))
        if (info->kind == TABLE_BREAKER && info->last_named >= generation)
            return info->at;
    return NULL;
}

/* The same, with the beginning of its line. */
static const struct breaker *begin_breaker(const struct gauge *g, const struct gauge_sources *s,
                                           size_t *i, struct prometheus *p)
{
    struct table_info info;
    const struct breaker *b = next_breaker(s, i, &info);

    if (b) {
        prometheus_begin(p, str_from(g->name), STR(""));
        put_breaker_labels(info.name, p);
    }
    return b;
}

static bool next_breaker_state(const struct gauge *g, const struct gauge_sources *s, size_t *i,
                               struct prometheus *p)
{
    const struct breaker *b = begin_breaker(g, s, i, p);

    if (b)
        prometheus_u64(p, (uint64_t)breaker_state(b));
    return b != NULL;
}

static bool next_breaker_refusals(const struct gauge *g, const struct gauge_sources *s, size_t *i,
                                  struct prometheus *p)
{
    const struct breaker *b = begin_breaker(g, s, i, p);

    if (b)
        prometheus_u64(p, word_peek(&b->refused));
    return b != NULL;
}

static bool next_breaker_changes(const struct gauge *g, const struct gauge_sources *s, size_t *i,
                                 struct prometheus *p)
{
    struct table_info info;
    const struct breaker *b = next_breaker(s, i, &info);

    if (!b)
        return false;
    for (int to = 0; to < 3; to++) {
        prometheus_begin(p, str_from(g->name), STR(""));
        put_breaker_labels(info.name, p);
        prometheus_label(p, STR("to"),
                         to == 0   ? STR("open")
                         : to == 1 ? STR("half_open")
                                   : STR("closed"));
        prometheus_u64(p, word_peek(to == 0 ? &b->opened : to == 1 ? &b->half_opened : &b->closed));
    }
    return true;
}

/* ---- concurrency ------------------------------------------------------------------------------ */

/* concurrency/users/concurrency; that of the whole gateway has no service: concurrency//concurrency. */
static void put_limit_labels(struct str name, struct prometheus *p)
{
    struct str rest = str_from_index(name, str_index(name, '/') + 1);
    size_t slash = step_index(rest);

    prometheus_label(p, STR("service"), str_up_to(rest, slash ? slash - 1 : 0));
    prometheus_label(p, STR("limit"), str_from_index(rest, slash));
}

/* The next table of the running configuration of this kind whose name begins so. */
static void *next_named(const struct gauge_sources *s, enum table_kind kind, struct str begin,
                        size_t *i, struct table_info *info)
{
    uint64_t generation = word_read(&region_header(s->shared->region)->generation);

    while (region_next_table(s->shared->region, i, info))
        if (info->kind == kind && info->last_named >= generation &&
            str_equal(str_up_to(info->name, begin.len), begin))
            return info->at;
    return NULL;
}

static bool next_held(const struct gauge *g, const struct gauge_sources *s, size_t *i,
                      struct prometheus *p)
{
    struct table_info info;
    struct holds h = { .seats = s->shared->seats };

    h.entries = next_named(s, TABLE_HOLDS, STR("concurrency/"), i, &info);
    if (!h.entries)
        return false;
    h.count = info.size / sizeof *h.entries;
    prometheus_begin(p, str_from(g->name), STR(""));
    put_limit_labels(info.name, p);
    prometheus_u64(p, holds_sum(&h, g->which));
    return true;
}

static bool next_gradient(const struct gauge *g, const struct gauge_sources *s, size_t *i,
                          struct prometheus *p)
{
    struct table_info info;
    const struct gradient_words *w = next_named(s, TABLE_GRADIENT, STR("gradient/"), i, &info);

    if (!w)
        return false;
    prometheus_begin(p, str_from(g->name), STR(""));
    put_limit_labels(info.name, p);
    if (g->which)
        prometheus_seconds(p, gradient_look(w).base_ns);
    else
        prometheus_u64(p, gradient_look(w).limit);
    return true;
}

static uint64_t places_full(const struct gauge_sources *s, uint32_t which)
{
    struct table_info info;
    size_t i = 0;
    const struct places_shared *p = next_named(s, TABLE_PLACES, STR("gateway/places"), &i, &info);

    (void)which;
    return p ? word_peek(&p->full) : 0;
}

/* ---- stores outside --------------------------------------------------------------------------- */

static bool next_store(const struct gauge *g, const struct gauge_sources *s, size_t *i,
                       struct prometheus *p)
{
    struct table_info info;
    const shared_word *away = next_named(s, TABLE_WORDS, STR(STORE_TABLES), i, &info);
    uint64_t count = 0;

    if (!away)
        return false;
    for (uint32_t seat = 0; seat < seats_high(s->shared->seats); seat++)
        if (seats_view(s->shared->seats, seat).state == SEAT_ALIVE)
            count += word_peek(&away[seat]) != 0;
    prometheus_begin(p, str_from(g->name), STR(""));
    prometheus_label(p, STR("store"), str_from_index(info.name, STR(STORE_TABLES).len));
    prometheus_u64(p, count);
    return true;
}

/* ---- all of them ------------------------------------------------------------------------------ */

#define NATIVE  .names = CONF_METRICS_NATIVE
#define GAUGE   .type = "gauge"
#define COUNTER .type = "counter"

static const struct gauge all[] = {
    { "gateway_circuit_breaker_state",
      "State of the circuit to a service: 0 closed, 1 open, 2 half-open.", GAUGE,
      .names = CONF_METRICS_S3, .next = next_breaker_state },
    { "gateway_circuit_breaker_transitions_total", "Changes of a circuit's state.", COUNTER, NATIVE,
      .next = next_breaker_changes },
    { "gateway_circuit_breaker_refused_total", "Requests refused because a circuit was open.",
      COUNTER, NATIVE, .next = next_breaker_refusals },
    { "gateway_store_state", "Workers that see a store outside away: 0 when all is well.", GAUGE,
      NATIVE, .next = next_store },
    { "gateway_seat_up", "1: a process has the seat and turns.", GAUGE, NATIVE, .next = next_up },
    { "gateway_seat_heartbeat_age_seconds", "Since a process last turned.", GAUGE, NATIVE,
      .next = next_silence },
    { "gateway_seat_holders_total", "Processes that have had a seat, one after the other.", COUNTER,
      NATIVE, .next = next_of_seats, .which = SEAT_HOLDERS },
    { "gateway_connections", "Connections of clients.", GAUGE, NATIVE, .next = next_in_hand,
      .which = SEAT_CONNECTIONS },
    { "gateway_requests_in_flight", "Requests being answered.", GAUGE, NATIVE, .next = next_in_hand,
      .which = SEAT_EXCHANGES },
    { "gateway_worker_delay_seconds",
      "How long requests wait for a worker; measured while load_shed wants to know.", GAUGE, NATIVE,
      .next = next_load, .which = SEAT_DELAY_NS },
    { "gateway_load_shed_share", "Share of the requests that a worker sheds, 0 to 1.", GAUGE,
      NATIVE, .next = next_load, .which = SEAT_SHED_PPM },
    { "gateway_concurrency_in_flight", "Requests that have a place of a concurrency limit.", GAUGE,
      NATIVE, .next = next_held, .which = 0 },
    { "gateway_concurrency_queued", "Requests that wait for one.", GAUGE, NATIVE, .next = next_held,
      .which = 1 },
    { "gateway_concurrency_limit", "An adaptive concurrency limit, when it is not being measured.",
      GAUGE, NATIVE, .next = next_gradient, .which = 0 },
    { "gateway_concurrency_base_seconds",
      "How long a service takes where nobody queues, by the last measurement.", GAUGE, NATIVE,
      .next = next_gradient, .which = 1 },
    { "gateway_concurrency_full_total",
      "Requests that no place could be counted for because the table was full.", COUNTER, NATIVE,
      .next = next_number, .value = places_full },
    { "gateway_records_written_total", "Records of requests on their way to the caretaker.",
      COUNTER, NATIVE, .next = next_of_seats, .which = RECORDS_WRITTEN },
    { "gateway_records_dropped_total", "Records dropped because the caretaker was too slow.",
      COUNTER, NATIVE, .next = next_of_seats, .which = RECORDS_DROPPED },
    { "gateway_records_broken_total", "Times that a ring of records could not be read.", COUNTER,
      NATIVE, .next = next_of_seats, .which = RECORDS_BROKEN },
    { "gateway_access_log_lines_total", "Lines written to access logs.", COUNTER, NATIVE,
      .next = next_number, .value = log_value, .which = LOG_LINES },
    { "gateway_access_log_dropped_total", "Lines dropped because an access log took no more.",
      COUNTER, NATIVE, .next = next_number, .value = log_value, .which = LOG_DROPPED },
    { "gateway_access_log_failures_total", "Writes to access logs that failed.", COUNTER, NATIVE,
      .next = next_number, .value = log_value, .which = LOG_FAILURES },
    { "gateway_access_log_stuck", "Access logs that take nothing now.", GAUGE, NATIVE,
      .next = next_number, .value = log_value, .which = LOG_STUCK },
    { "gateway_config_reloads_total", "Configurations tried, the first one included.", COUNTER,
      NATIVE, .next = next_number, .value = header_value, .which = RELOADS },
    { "gateway_config_reload_failures_total", "Configurations that were refused.", COUNTER, NATIVE,
      .next = next_number, .value = header_value, .which = RELOAD_FAILURES },
    { "gateway_config_last_reload_success", "1: the last configuration tried is the running one.",
      GAUGE, NATIVE, .next = next_number, .value = header_value, .which = RELOAD_LAST_OK },
    { "gateway_config_last_reload_timestamp_seconds", "When the running configuration was taken.",
      GAUGE, NATIVE, .next = next_time, .value = header_value, .which = RELOAD_LAST_TIME },
    { "gateway_config_generation", "Number of the running configuration.", GAUGE, NATIVE,
      .next = next_number, .value = header_value, .which = GENERATION },
    { "gateway_config_info", "The running configuration by a hash of its bytes.", GAUGE, NATIVE,
      .next = next_hash },
    { "gateway_shm_bytes", "Shared memory set aside, by kind of table.", GAUGE, NATIVE,
      .next = next_kind },
    { "gateway_shm_size_bytes", "Shared memory that may be set aside.", GAUGE, NATIVE,
      .next = next_number, .value = region_bytes },
    { "gateway_shm_resident_bytes", "Shared memory that is really used.", GAUGE, NATIVE,
      .next = next_number, .value = resident_bytes },
    { "gateway_shm_cells_used", "Clients of limits that are remembered.", GAUGE, NATIVE,
      .next = next_number, .value = cells_value, .which = CELLS_USED },
    { "gateway_shm_cells_capacity", "Clients of limits that can be remembered.", GAUGE, NATIVE,
      .next = next_number, .value = cells_value, .which = CELLS_ALL },
    { "gateway_shm_takeovers_total", "Places of idle clients taken by others.", COUNTER, NATIVE,
      .next = next_number, .value = cells_value, .which = CELLS_TAKEOVERS },
    { "gateway_shm_evictions_total", "Clients of limits forgotten because there was no room.",
      COUNTER, NATIVE, .next = next_number, .value = cells_value, .which = CELLS_EVICTIONS },
    { "gateway_shm_full_total", "Clients of limits that found no room.", COUNTER, NATIVE,
      .next = next_number, .value = cells_value, .which = CELLS_FULL },
    { "gateway_metric_series", "Series of a counted family.", GAUGE, NATIVE,
      .next = next_series_count, .which = 0 },
    { "gateway_metric_series_max", "Series that a counted family may have.", GAUGE, NATIVE,
      .next = next_series_count, .which = 1 },
    { "gateway_build_info", "The binary that runs.", GAUGE, NATIVE, .next = next_version },
};

const struct gauge *gauges_at(size_t i)
{
    return i < ARRAY_LEN(all) ? &all[i] : NULL;
}
