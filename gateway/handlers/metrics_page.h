/* /metrics: all counters and gauges of all processes, as Prometheus reads them.
 *
 * Whichever worker is asked answers for all. The page is made as far as the client takes it, and in turns of
 * a bounded size, so that ten thousand series delay nobody else's request.
 */
#ifndef GATEWAY_HANDLERS_METRICS_PAGE_H
#define GATEWAY_HANDLERS_METRICS_PAGE_H

#include "gateway/exchange/handler.h"

extern const struct handler metrics_page_handler;

#endif
