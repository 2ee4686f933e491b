/* What is counted of the stores outside (`stores.redis.NAME`): answers, how long they took, and which worker sees one away.
 */
#ifndef GATEWAY_STORES_H
#define GATEWAY_STORES_H

#include <stdbool.h>

#include "conf/settings.h"
#include "gateway/exchange/local.h"
#include "gateway/lookup/lookups.h"

/* Within a load: a word for each seat and store, 1 while the process there sees the store away. False: no room. */
bool stores_tables(struct region *r, const struct conf_globals *g) MUST_USE;
/* Master: the process of a seat is dead, it sees nothing any more. */
void stores_retire_seat(struct region *r, uint32_t seat);
/* Who counts for this worker; l->shared must be there when something is counted. */
struct lookups_observer stores_observer(struct local *l);

#endif
