/* Sending a body in the chunked coding, with the semantics of write(2). (RFC 9112 section 7.1)
 *
 * Clients and services are sent chunks in the same way, so it stands here once. A chunk's size is promised
 * before its data is taken: `chunk_left` is what the conn still owes of it, 0 at first, kept by whoever sends.
 */
#ifndef GATEWAY_EXCHANGE_CHUNKED_H
#define GATEWAY_EXCHANGE_CHUNKED_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/exchange/protocol.h"
#include "workers/conn.h"

/* Returns the bytes of p->data that were taken; fewer: the rest must be offered again. */
size_t chunked_send(struct conn *c, uint32_t *chunk_left, const struct piece *p) MUST_USE;

#endif
