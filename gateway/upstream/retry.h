/* May a failed attempt be made again? (RFC 9110 section 9.2.2)
 *
 * The failure is classed by what had been sent. Nothing: always. Something, and no byte of an answer came:
 * only if the method is idempotent and none of the body has been given away. After that: never.
 */
#ifndef GATEWAY_UPSTREAM_RETRY_H
#define GATEWAY_UPSTREAM_RETRY_H

#include <stdbool.h>

#include "gateway/exchange/middleware.h"
#include "gateway/http/message.h"

bool retry_allowed(const struct attempt *a, const struct request *req, bool body_begun);

#endif
