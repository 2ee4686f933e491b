/* What a worker keeps for the gateway. */
#include "gateway/exchange/local.h"

#include "gateway/base/clock.h"
#include "gateway/base/number.h"

struct str local_date(struct local *l)
{
    return date_http(&l->date, local_wall_ns(l, l->loop->now_ns));
}

/* The wall clock is looked at once a second of the loop's; between, it is the loop's plus an offset. */
uint64_t local_wall_ns(struct local *l, uint64_t ns)
{
    uint64_t second = l->loop->now_ns / NS_PER_S + 1;

    if (second != l->wall_looked_s) {
        l->wall_looked_s = second;
        l->wall_offset_ns = clock_wall_ns() - clock_now_ns();
    }
    return ns + l->wall_offset_ns;
}
