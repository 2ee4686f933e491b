/* metrics: a flag. Everything is counted for every service; the families http_request_* hold only services that list
 * this step (struct route, counts_for_s3).
 */
#include "gateway/exchange/middleware.h"

extern const struct middleware metrics_middleware;

const struct middleware metrics_middleware = {
    .settings = { .name = "metrics",
                  .doc = "Count this service in the families http_request_counter and "
                         "http_request_timer too." },
};
