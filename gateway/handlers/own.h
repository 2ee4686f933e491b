/* What the pages of the gateway's own have in common.
 */
#ifndef GATEWAY_HANDLERS_OWN_H
#define GATEWAY_HANDLERS_OWN_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/exchange/exchange.h"

/* 405 with Allow; `methods` has bit m for each enum method m. (RFC 9110 15.5.6) */
void own_refuse_method(struct exchange *x, uint32_t methods);
/* Pages are only read: true for GET and HEAD; otherwise the exchange has been answered. */
bool own_is_read(struct exchange *x);
/* A short page that nobody may keep. */
void own_page(struct exchange *x, unsigned status, struct str text);

#endif
