/* Why an exchange ended as it did. */
#include "gateway/exchange/reason.h"

static const struct str texts[] = {
#define REASON(name, text) STR_INIT(text),
#include "gateway/exchange/reasons.list"
#undef REASON
};

struct str reason_text(enum reason r)
{
    CHECK(r < REASON_COUNT);
    return texts[r];
}
