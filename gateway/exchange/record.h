/* What happened: one per exchange, whatever became of it; for logs, metrics and traces.
 *
 * Plain data. The worker writes it while the exchange lives and hands it over once, at the end; texts are
 * borrowed from the exchange until then.
 */
#ifndef GATEWAY_EXCHANGE_RECORD_H
#define GATEWAY_EXCHANGE_RECORD_H

#include <stdint.h>

#include "gateway/base/str.h"
#include "gateway/exchange/reason.h"

struct record {
    uint64_t begun_ns;    /* the head was complete                     */
    uint64_t sent_ns;     /* the (last) attempt was begun; 0: none     */
    uint64_t answered_ns; /* head of the service's answer; 0: none     */
    uint64_t end_ns;
    uint64_t bytes_in, bytes_out; /* of bodies                                 */
    uint16_t upstream_status;     /* 0: none                                   */
    enum reason shadow; /* what a step in shadow mode would have refused for; REASON_OK: nothing */
    uint16_t attempts;
    struct str endpoint; /* of the last attempt                       */
};

#endif
