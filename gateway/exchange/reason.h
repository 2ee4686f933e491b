/* Why an exchange ended as it did: the words of reasons.list as an enum. */
#ifndef GATEWAY_EXCHANGE_REASON_H
#define GATEWAY_EXCHANGE_REASON_H

#include "gateway/base/str.h"

enum reason {
#define REASON(name, text) REASON_##name,
#include "gateway/exchange/reasons.list"
#undef REASON
    REASON_COUNT
};

struct str reason_text(enum reason r);

#endif
