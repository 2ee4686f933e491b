/* What happened: one per exchange, whatever became of it; for logs, metrics and traces.
 *
 * Plain data. The worker writes it while the exchange lives and hands it over once, at the end; texts are
 * borrowed from the exchange until then. For the way to the caretaker it becomes a line: numbers and texts
 * in a row of bytes, nothing formatted.
 */
#ifndef GATEWAY_EXCHANGE_RECORD_H
#define GATEWAY_EXCHANGE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/str.h"
#include "gateway/exchange/reason.h"

struct record {
    uint64_t begun_ns;    /* the head was complete */
    uint64_t sent_ns;     /* the (last) attempt was begun; 0: none */
    uint64_t answered_ns; /* head of the service's answer; 0: none */
    uint64_t end_ns;
    uint64_t bytes_in, bytes_out; /* of bodies */
    uint16_t upstream_status;     /* 0: none */
    enum reason shadow; /* what a step in shadow mode would have refused for; REASON_OK: nothing */
    uint16_t attempts;
    struct str endpoint; /* of the last attempt */
};

/* ---- on the way to the caretaker ---- */

enum record_text {
    RECORD_METHOD,
    RECORD_PATH, /* as the client sent it, without the query: that may hold secrets */
    RECORD_SERVICE,
    RECORD_CLIENT, /* address */
    RECORD_CONSUMER,
    RECORD_HOST,
    RECORD_ROUTE,
    RECORD_ENDPOINT,
    RECORD_TEXTS
};

#define RECORD_PATH_MAX 1024 /* bytes; what is longer is cut */
#define RECORD_TEXT_MAX 255  /* of the other texts */
#define RECORD_BYTES_MAX                                                                           \
    (sizeof(struct record_numbers) + RECORD_PATH_MAX + (RECORD_TEXTS - 1) * RECORD_TEXT_MAX)

struct record_numbers {
    uint64_t wall_ns; /* when it began */
    uint64_t latency_ns, upstream_ns;
    uint64_t bytes_in, bytes_out;
    uint16_t status, upstream_status, attempts;
    uint8_t layout; /* filled by record_encode */
    uint8_t reason, shadow;
    uint8_t version;             /* of HTTP: 10, 11, 20; 0: not known */
    uint16_t lens[RECORD_TEXTS]; /* filled by record_encode */
};

struct record_line {
    struct record_numbers numbers;
    struct str texts[RECORD_TEXTS];
};

/* Bytes that record_encode writes at most. */
size_t record_size(const struct record_line *line);
/* Returns how many bytes it wrote, at most RECORD_BYTES_MAX. */
size_t record_encode(void *to, const struct record_line *line);
/* The texts point into `bytes`. False: no record of this layout (another binary wrote it). */
bool record_decode(struct str bytes, struct record_line *line) MUST_USE;

#endif
