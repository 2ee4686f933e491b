/* Dates as text, UTC, written once a second and copied after that. The caller holds the cache: a worker
 * one, the scribe one.
 */
#ifndef GATEWAY_BASE_DATE_H
#define GATEWAY_BASE_DATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/check.h"
#include "gateway/base/str.h"

#define DATE_HTTP_LEN 29 /* Sun, 06 Nov 1994 08:49:37 GMT */
#define DATE_ISO_LEN  24 /* 1994-11-06T08:49:37.123Z */

/* Zeroed at first. */
struct date_cache {
    uint64_t http_s, iso_s; /* the second that the text says, plus one; 0: none */
    char http[DATE_HTTP_LEN];
    char iso[DATE_ISO_LEN];
};

/* wall_ns: nanoseconds since 1970. The result is valid until the next call with this cache. */
/* IMF-fixdate (RFC 9110 5.6.7). */
struct str date_http(struct date_cache *c, uint64_t wall_ns);
/* ISO 8601 with milliseconds (RFC 3339). */
struct str date_iso(struct date_cache *c, uint64_t wall_ns);

/* A moment as RFC 3339 writes it, 2027-01-01T12:00:00Z or with an offset, or a day alone, which is its beginning in UTC.
 * Nanoseconds since 1970; from there to 2500. False: not such a text, or no such day. */
bool date_read(struct str text, uint64_t *wall_ns) MUST_USE;
/* The shortest of these that reads back as the same second; at most DATE_TEXT_MAX bytes, no NUL; returns how many. */
#define DATE_TEXT_MAX 20
size_t date_write(char *to, uint64_t wall_ns);

#endif
