/* The scribe: takes the records of all workers out of their rings and writes the access logs.
 *
 * Records of several rings are written in the order in which their requests ended, as far as they are there.
 * A record's place in the ring is given back after its line was offered to every log's system call, so a
 * caretaker that dies writes some lines twice and loses none that were not already given up. A log that is a
 * little behind holds the scribe back, and the rings fill; one that takes nothing loses its lines, and they are
 * counted; the others go on.
 */
#ifndef GATEWAY_CARETAKER_SCRIBE_H
#define GATEWAY_CARETAKER_SCRIBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/settings.h"
#include "gateway/base/date.h"
#include "gateway/caretaker/sink.h"
#include "gateway/exchange/record.h"
#include "gateway/exchange/shared.h"

#define SCRIBE_LOGS_MAX 8

struct access_log {
    struct sink sink;
    enum conf_sink kind;
    char *path; /* of a file */
    uint64_t fields;
    bool wanted;       /* by the configuration being looked at */
    bool told;         /* that it is stuck */
    uint64_t lost_was; /* dropped before it was stuck */
    uint64_t
        said[LOG_STUCK]; /* what of the sink's counts is in the shared words, by enum log_word */
};

/* A ring being read: the next record of it that is still to be written. */
struct reading {
    uint32_t seat;
    bool there;          /* there is one */
    uint64_t before, at; /* positions before it, and behind it */
    uint64_t ended_ns;   /* wall time at which its request was over */
    struct record_line line;
};

struct scribe {
    const struct shared *shared;
    struct access_log *logs[SCRIBE_LOGS_MAX];
    size_t count;
    struct date_cache dates;
    struct reading readings[SEATS_MAX];
    /* The descriptor of a file's path, or -1. */
    int (*descriptor)(void *owner, struct str path);
    void *owner;
};

void scribe_init(struct scribe *s, const struct shared *shared,
                 int (*descriptor)(void *owner, struct str path), void *owner);
/* Write what the logs still hold, once, and forget them. */
void scribe_end(struct scribe *s, uint64_t now_ns);

/* From now on these logs; one that stays keeps what it has not written yet. */
void scribe_configure(struct scribe *s, const struct conf_logging *logging, uint64_t now_ns);
/* Descriptors have changed: ask for each again. */
void scribe_reopen(struct scribe *s, uint64_t now_ns);

enum scribe_result {
    SCRIBE_IDLE, /* there was nothing */
    SCRIBE_BUSY, /* all there was, is written */
    SCRIBE_MORE, /* there is more: come back soon */
};

/* Take records out of all rings, up to a bound, and write them. */
enum scribe_result scribe_drain(struct scribe *s, uint64_t now_ns);
/* Bytes of records and lines that can still be written. */
size_t scribe_unfinished(const struct scribe *s);
/* When a log that was not ready should be tried again; UINT64_MAX: none. */
uint64_t scribe_due(const struct scribe *s);

#endif
