/* A record as a line of the access log: one JSON object.
 *
 * Hand-made, because it is made for every request and its time is counted; what it writes is JSON whatever
 * the bytes of the texts. Pure.
 */
#ifndef GATEWAY_CARETAKER_LINE_H
#define GATEWAY_CARETAKER_LINE_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/base/date.h"
#include "gateway/exchange/record.h"

/* Bytes of a line at most: every byte of every text as \u00xx, and the numbers. */
#define LINE_MAX_BYTES (6 * RECORD_BYTES_MAX + 1024)

/* Write a line with its newline.
 *
 * fields   bits of enum conf_access_field; written in the order of that enum. What does not apply (upstream of a
 *          request that went nowhere) is left out; `shadow` is there when a step in shadow mode would have refused
 * seat     of the worker that sent the record
 * returns  bytes written, at most LINE_MAX_BYTES */
size_t line_json(char *to, const struct record_line *r, uint64_t fields, uint32_t seat,
                 struct date_cache *dates);

#endif
