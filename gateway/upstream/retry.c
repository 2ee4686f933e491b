/* May a failed attempt be made again? */
#include "gateway/upstream/retry.h"

bool retry_allowed(const struct attempt *a, const struct request *req, bool body_begun)
{
    switch (a->sent) {
    case SENT_NOTHING:
        return a->reason != REASON_OVERLOADED;
    case SENT_ON_REUSED_NO_BYTE:
    case SENT_PART:
        return !body_begun && method_is_idempotent(req->method) &&
               a->reason == REASON_UPSTREAM_RESET;
    case SENT_ANSWERED:
        return false;
    }
    UNREACHABLE();
}
