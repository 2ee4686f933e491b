/* The end of an exchange.
 *
 * A series is found by its labels once and then remembered under {service, method, status}, in a table where
 * each has one place: a collision costs a search, no more. What happens rarely is searched for each time.
 */
#include "gateway/report.h"

#include <stdlib.h>

#include "conf/settings.h"
#include "gateway/base/number.h"
#include "gateway/exchange/shared.h"

#define PLACES      256
#define GONE_STATUS 499 /* the client left before there was a status; nginx's number for it */

/* All series that an ordinary exchange counts in: one cache line. */
struct place {
    _Alignas(CACHE_LINE) uint64_t service_id;
    uint32_t kind; /* see kind_of; 0: empty */
    uint32_t requests, duration, s3_counter, s3_timer;
    uint32_t bytes_in, bytes_out;
    uint32_t attempts_ok, attempts_error, attempts_failed, retries;
    uint32_t reason; /* the last one that was not OK; 0: none yet */
    uint32_t reason_series, reason_extra;
};

_Static_assert(sizeof(struct place) == CACHE_LINE, "one cache line");

struct reporter {
    const struct shared *shared;
    const struct bells *bells;
    struct place places[PLACES];
};

/* ---- series ----------------------------------------------------------------------------------- */

static struct str label_of_method(enum method m)
{
    return m == METHOD_OTHER ? STR("OTHER") : method_text(m);
}

static uint32_t kind_of(const struct exchange *x, unsigned status)
{
    return (uint32_t)x->req.method << 16 | status | (uint32_t)(x->route->service != NULL) << 29 |
           (uint32_t)x->route->counts_for_s3 << 30 | UINT32_C(1) << 31;
}

static uint32_t find1(const struct reporter *r, enum family f, struct str service)
{
    return rows_find(&r->shared->rows, f, &service);
}

static uint32_t find2(const struct reporter *r, enum family f, struct str service,
                      struct str second)
{
    struct str labels[] = { service, second };

    return rows_find(&r->shared->rows, f, labels);
}

static void fill_place(const struct reporter *r, struct place *p, const struct exchange *x,
                       unsigned status, uint32_t kind)
{
    char digits[NUMBER_TEXT_MAX];
    struct str service = x->route->service_name;
    struct str labels[] = { service, label_of_method(x->req.method),
                            str_of(digits, number_write_u64(digits, status)) };
    struct str s3_labels[] = { labels[1], labels[2], service };

    *p = (struct place){ .service_id = x->route->service_id, .kind = kind };
    p->requests = rows_find(&r->shared->rows, FAMILY_REQUESTS, labels);
    p->duration = find1(r, FAMILY_DURATION, service);
    if (x->route->counts_for_s3) {
        p->s3_counter = rows_find(&r->shared->rows, FAMILY_S3_COUNTER, s3_labels);
        p->s3_timer = find1(r, FAMILY_S3_TIMER, service);
    }
    p->bytes_in = find1(r, FAMILY_BYTES_IN, service);
    p->bytes_out = find1(r, FAMILY_BYTES_OUT, service);
    if (!x->route->service)
        return;
    p->attempts_ok = find2(r, FAMILY_ATTEMPTS, service, STR("ok"));
    p->attempts_error = find2(r, FAMILY_ATTEMPTS, service, STR("error"));
    p->attempts_failed = find2(r, FAMILY_ATTEMPTS, service, STR("failed"));
    p->retries = find1(r, FAMILY_RETRIES, service);
    (void)find1(r, FAMILY_CANCELED, service); /* shown before anybody cancels */
}

static struct place *place_of(struct reporter *r, const struct exchange *x, unsigned status)
{
    uint32_t kind = kind_of(x, status);
    uint64_t hash = (x->route->service_id ^ kind) * UINT64_C(0x9e3779b97f4a7c15);
    struct place *p = &r->places[hash >> 56];

    if (UNLIKELY(p->kind != kind || p->service_id != x->route->service_id))
        fill_place(r, p, x, status, kind);
    return p;
}

/* ---- counting --------------------------------------------------------------------------------- */

static void count_attempts(const struct reporter *r, uint32_t seat, const struct place *p,
                           const struct record *record)
{
    const struct rows *rows = &r->shared->rows;
    uint32_t last = record->upstream_status == 0    ? p->attempts_failed
                    : record->upstream_status < 500 ? p->attempts_ok
                                                    : p->attempts_error;

    rows_add(rows, seat, last, 1);
    if (UNLIKELY(record->attempts > 1)) {
        rows_add(rows, seat, p->attempts_failed, record->attempts - 1u);
        rows_add(rows, seat, p->retries, record->attempts - 1u);
    }
}

/* A service and a status nearly always have one reason, so that one is kept. */
static void note_reason(const struct reporter *r, struct place *p, const struct exchange *x)
{
    struct str service = x->route->service_name;

    p->reason = (uint32_t)x->reason;
    p->reason_series = find2(r, FAMILY_REASONS, service, reason_text(x->reason));
    p->reason_extra = 0;
    if (x->reason == REASON_AUTH_FAILED)
        p->reason_extra = find1(r, FAMILY_AUTH_FAILURES, service);
    else if (x->reason == REASON_CLIENT_GONE && x->route->service)
        p->reason_extra = find1(r, FAMILY_CANCELED, service);
}

static void count_failure(const struct reporter *r, struct place *p, const struct exchange *x)
{
    const struct rows *rows = &r->shared->rows;
    uint32_t seat = x->local->seat;

    if (UNLIKELY(p->reason != (uint32_t)x->reason))
        note_reason(r, p, x);
    rows_add(rows, seat, p->reason_series, 1);
    if (p->reason_extra)
        rows_add(rows, seat, p->reason_extra, 1);
}

static void count(struct reporter *r, const struct exchange *x, unsigned status)
{
    const struct rows *rows = &r->shared->rows;
    struct place *p = place_of(r, x, status);
    const struct record *record = &x->record;
    uint64_t took_ns = record->end_ns - record->begun_ns;
    uint32_t seat = x->local->seat;

    rows_add(rows, seat, p->requests, 1);
    rows_observe(rows, seat, FAMILY_DURATION, p->duration, took_ns);
    if (x->route->counts_for_s3) {
        rows_add(rows, seat, p->s3_counter, 1);
        rows_observe(rows, seat, FAMILY_S3_TIMER, p->s3_timer, took_ns);
    }
    if (record->bytes_in)
        rows_add(rows, seat, p->bytes_in, record->bytes_in);
    rows_add(rows, seat, p->bytes_out, record->bytes_out);
    if (record->attempts > 0 && x->route->service)
        count_attempts(r, seat, p, record);
    if (x->reason != REASON_OK)
        count_failure(r, p, x);
}

/* ---- telling ---------------------------------------------------------------------------------- */

static uint64_t upstream_ns(const struct record *r)
{
    if (r->sent_ns == 0)
        return 0;
    return (r->answered_ns ? r->answered_ns : r->end_ns) - r->sent_ns;
}

static void tell(const struct reporter *r, struct exchange *x, unsigned status)
{
    const struct record *record = &x->record;
    struct local *l = x->local;
    struct ring *ring = &r->shared->rings[l->seat];
    struct record_line line = {
        .numbers = { .wall_ns = local_wall_ns(l, record->begun_ns),
                     .latency_ns = record->end_ns - record->begun_ns,
                     .upstream_ns = upstream_ns(record),
                     .bytes_in = record->bytes_in,
                     .bytes_out = record->bytes_out,
                     .status = (uint16_t)status,
                     .upstream_status = record->upstream_status,
                     .attempts = record->attempts,
                     .reason = (uint8_t)x->reason,
                     .shadow = (uint8_t)record->shadow,
                     .version = x->req.version },
        .texts = { [RECORD_METHOD] = x->req.method_text,
                   [RECORD_PATH] = str_up_to(x->req.target, str_index(x->req.target, '?')),
                   [RECORD_SERVICE] = x->route->service_name,
                   [RECORD_CLIENT] = x->who.address_text,
                   [RECORD_CONSUMER] = x->who.consumer,
                   [RECORD_HOST] = x->req.host,
                   [RECORD_ROUTE] = x->pattern,
                   [RECORD_ENDPOINT] = record->endpoint },
    };
    uint32_t size = (uint32_t)record_size(&line);
    void *to = ring_reserve(ring, size);

    if (!to) /* full: dropped, and counted by the ring */
        return;
    record_encode(to, &line);
    if (UNLIKELY(ring_commit(ring, size)) && r->bells)
        bell_ring(r->bells, r->shared->records);
}

/* ---- life ------------------------------------------------------------------------------------- */

void reporter_take(struct exchange *x)
{
    struct reporter *r = x->local->reporter;
    unsigned status = x->resp.status;

    if (UNLIKELY(status == 0)) /* nobody was answered */
        status = GONE_STATUS;
    count(r, x, status);
    if (x->local->current.globals->logging.access.count > 0)
        tell(r, x, status);
}

void report_in_hand(struct local *l)
{
    shared_word *mine = &l->shared->in_hand[(size_t)l->seat * SEAT_WORDS];

    /* relaxed: numbers that mean something alone */
    word_put(&mine[SEAT_CONNECTIONS], l->session_count);
    word_put(&mine[SEAT_EXCHANGES], l->running);
}

void report_attach(struct local *l)
{
    struct reporter *r = aligned_alloc(CACHE_LINE, sizeof *r);

    l->shared = shared_open(l->region, NULL);
    if (!l->shared || !r)
        die(r ? "the shared tables are not there" : "out of memory for counting");
    memset(r, 0, sizeof *r);
    r->shared = l->shared;
    r->bells = l->bells;
    l->reporter = r;
}

void reporter_end(struct local *l)
{
    free(l->reporter);
    l->reporter = NULL;
    shared_close(l->shared);
    l->shared = NULL;
}
