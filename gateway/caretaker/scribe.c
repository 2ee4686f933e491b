/* The scribe. */
#include "gateway/caretaker/scribe.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/log.h"
#include "gateway/caretaker/line.h"
#include "shm/seats.h"

#define RECORDS_AT_ONCE 16384 /* of one drain: the caretaker has other things to look at too */

_Static_assert(LINE_MAX_BYTES <= SINK_BYTES / 2, "a buffer holds two of the longest lines");

/* ---- logs ------------------------------------------------------------------------------------- */

static const char *name_of(const struct access_log *log)
{
    switch (log->kind) {
    case CONF_SINK_STDOUT:
        return "standard output";
    case CONF_SINK_STDERR:
        return "standard error";
    case CONF_SINK_FILE:
        return log->path;
    case CONF_SINK_OFF:
        break;
    }
    UNREACHABLE();
}

static int descriptor_of(const struct scribe *s, const struct access_log *log)
{
    switch (log->kind) {
    case CONF_SINK_STDOUT:
        return STDOUT_FILENO;
    case CONF_SINK_STDERR:
        return STDERR_FILENO;
    case CONF_SINK_FILE:
        return s->descriptor(s->owner, str_from(log->path));
    case CONF_SINK_OFF:
        break;
    }
    UNREACHABLE();
}

static bool goes_to(const struct access_log *log, const struct conf_log_to *to)
{
    return log->kind == to->sink &&
           (log->kind != CONF_SINK_FILE || str_equal(str_from(log->path), to->path));
}

static struct access_log *log_new(const struct conf_log_to *to)
{
    struct access_log *log = calloc(1, sizeof *log);

    if (!log)
        die("out of memory for an access log");
    sink_init(&log->sink);
    log->kind = to->sink;
    if (to->sink == CONF_SINK_FILE) {
        log->path = strndup(to->path.at, to->path.len);
        if (!log->path)
            die("out of memory for an access log");
    }
    return log;
}

/* What has happened since the last time goes into the words that the metrics page shows. */
static void count(const struct scribe *s, struct access_log *log)
{
    const uint64_t now[LOG_STUCK] = { [LOG_LINES] = log->sink.lines,
                                      [LOG_DROPPED] = log->sink.dropped,
                                      [LOG_FAILURES] = log->sink.failures };

    for (size_t i = 0; i < LOG_STUCK; i++) {
        /* a line that was torn is counted as dropped after all: the difference may be -1 */
        word_add_own(&s->shared->logs[i], now[i] - log->said[i]);
        log->said[i] = now[i];
    }
}

static void log_end(const struct scribe *s, struct access_log *log, uint64_t now_ns)
{
    sink_end(&log->sink, now_ns);
    count(s, log);
    free(log->path);
    free(log);
}

/* ---- life ------------------------------------------------------------------------------------- */

void scribe_init(struct scribe *s, const struct shared *shared,
                 int (*descriptor)(void *owner, struct str path), void *owner)
{
    *s = (struct scribe){ .shared = shared, .descriptor = descriptor, .owner = owner };
}

static void forget_unwanted(struct scribe *s, uint64_t now_ns)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->count; i++)
        if (s->logs[i]->wanted)
            s->logs[kept++] = s->logs[i];
        else
            log_end(s, s->logs[i], now_ns);
    s->count = kept;
}

void scribe_end(struct scribe *s, uint64_t now_ns)
{
    for (size_t i = 0; i < s->count; i++)
        s->logs[i]->wanted = false;
    forget_unwanted(s, now_ns);
    word_put(&s->shared->logs[LOG_STUCK], 0);
}

/* The log that goes there and is not wanted yet (the same file may be named twice). */
static struct access_log *find(struct scribe *s, const struct conf_log_to *to)
{
    for (size_t i = 0; i < s->count; i++)
        if (!s->logs[i]->wanted && goes_to(s->logs[i], to))
            return s->logs[i];
    return NULL;
}

void scribe_configure(struct scribe *s, const struct conf_logging *logging, uint64_t now_ns)
{
    const struct conf_access *wanted = logging->access.items;

    for (size_t i = 0; i < s->count; i++)
        s->logs[i]->wanted = false;
    for (size_t i = 0; i < logging->access.count; i++) {
        struct access_log *log = find(s, &wanted[i].to);

        if (!log) {
            if (s->count == SCRIBE_LOGS_MAX) /* full of those that go: make room first */
                forget_unwanted(s, now_ns);
            CHECK(s->count < SCRIBE_LOGS_MAX);
            log = s->logs[s->count++] = log_new(&wanted[i].to);
        }
        log->wanted = true;
        log->fields = wanted[i].fields;
    }
    forget_unwanted(s, now_ns);
    scribe_reopen(s, now_ns);
}

void scribe_reopen(struct scribe *s, uint64_t now_ns)
{
    for (size_t i = 0; i < s->count; i++) {
        int fd = descriptor_of(s, s->logs[i]);

        sink_open(&s->logs[i]->sink, fd);
        sink_flush(&s->logs[i]->sink, now_ns);
    }
}

/* ---- writing ---------------------------------------------------------------------------------- */

static void tell_once(struct access_log *log)
{
    const struct sink *sink = &log->sink;

    if (sink->stuck && !log->told) {
        log->lost_was = sink->dropped;
        log_line(LOG_LEVEL_ERROR, "the access log %s takes nothing (%s): lines are dropped",
                 name_of(log), sink->error ? strerror(sink->error) : "its reader does not read");
    } else if (!sink->stuck && log->told) {
        log_line(LOG_LEVEL_WARN, "the access log %s takes lines again; %llu were lost",
                 name_of(log), (unsigned long long)(sink->dropped - log->lost_was));
    }
    log->told = sink->stuck;
}

static void flush_all(struct scribe *s, uint64_t now_ns)
{
    uint64_t stuck = 0;

    for (size_t i = 0; i < s->count; i++) {
        sink_flush(&s->logs[i]->sink, now_ns);
        tell_once(s->logs[i]);
        count(s, s->logs[i]);
        stuck += s->logs[i]->sink.stuck;
    }
    word_put(&s->shared->logs[LOG_STUCK], stuck);
}

/* Would a line be lost that a little patience could save? */
static bool must_wait(struct scribe *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (!s->logs[i]->sink.stuck && !sink_room(&s->logs[i]->sink, LINE_MAX_BYTES))
            return true;
    return false;
}

/* The next record of a ring; those of another binary, while one takes over from the other, are passed over. */
static void read_on(const struct scribe *s, struct reading *r)
{
    struct str bytes;

    do {
        r->before = r->at;
        r->there = ring_next(&s->shared->rings[r->seat], &r->at, &bytes);
    } while (r->there && !record_decode(bytes, &r->line));
    if (!r->there)
        r->before = r->at; /* a ring that cannot be read goes on at its end */
    r->ended_ns = r->there ? r->line.numbers.wall_ns + r->line.numbers.latency_ns : UINT64_MAX;
}

/* Begin with every ring that has something; returns how many. */
static size_t begin_reading(struct scribe *s)
{
    uint32_t high = seats_high(s->shared->seats);
    size_t count = 0;

    for (uint32_t seat = 0; seat < high; seat++) {
        struct ring *ring = &s->shared->rings[seat];
        struct reading *r = &s->readings[count];

        if (ring_waiting(ring) == 0)
            continue;
        *r = (struct reading){ .seat = seat, .at = ring_begin(ring) };
        read_on(s, r);
        count++;
    }
    return count;
}

/* Whose record comes next, or NULL. */
static struct reading *earliest(struct scribe *s, size_t count)
{
    struct reading *first = NULL;

    for (size_t i = 0; i < count; i++) {
        struct reading *r = &s->readings[i];

        if (r->there && (!first || r->ended_ns < first->ended_ns))
            first = r;
    }
    return first;
}

static void write_record(struct scribe *s, const struct reading *r)
{
    for (size_t i = 0; i < s->count; i++) {
        struct access_log *log = s->logs[i];
        char *to = sink_room(&log->sink, LINE_MAX_BYTES);

        if (to)
            sink_add(&log->sink, line_json(to, &r->line, log->fields, r->seat, &s->dates));
        else
            sink_drop(&log->sink);
    }
}

/* Offer all lines to the system, then give the rings' room back. */
static void settle(struct scribe *s, size_t count, uint64_t now_ns)
{
    flush_all(s, now_ns);
    for (size_t i = 0; i < count; i++)
        ring_done(&s->shared->rings[s->readings[i].seat], s->readings[i].before);
}

enum scribe_result scribe_drain(struct scribe *s, uint64_t now_ns)
{
    size_t count = begin_reading(s), n = 0;
    bool waits = false;
    struct reading *r;

    while (n < RECORDS_AT_ONCE && (r = earliest(s, count))) {
        if (must_wait(s)) {
            settle(s, count, now_ns);
            waits = must_wait(s);
            if (waits)
                break;
        }
        write_record(s, r);
        read_on(s, r);
        n++;
    }
    settle(s, count, now_ns);
    return n == RECORDS_AT_ONCE || waits ? SCRIBE_MORE : n ? SCRIBE_BUSY : SCRIBE_IDLE;
}

size_t scribe_unfinished(const struct scribe *s)
{
    uint32_t high = seats_high(s->shared->seats);
    size_t bytes = 0;

    for (uint32_t seat = 0; seat < high; seat++)
        bytes += ring_waiting(&s->shared->rings[seat]);
    for (size_t i = 0; i < s->count; i++)
        bytes += sink_waiting(&s->logs[i]->sink);
    return bytes;
}

uint64_t scribe_due(const struct scribe *s)
{
    uint64_t due = UINT64_MAX;

    for (size_t i = 0; i < s->count; i++) {
        uint64_t its = sink_due(&s->logs[i]->sink);

        due = its < due ? its : due;
    }
    return due;
}
