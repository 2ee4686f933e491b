/* What everybody looks at, taken out of the settings of the whole gateway: the engine (workers/program.h) and each
 * exchange (exchange/local.h).
 */
#ifndef GATEWAY_SETTINGS_H
#define GATEWAY_SETTINGS_H

#include "conf/settings.h"
#include "gateway/exchange/local.h"
#include "workers/program.h"

/* Lives in `a`, and looks into g. */
struct engine_settings settings_of_engine(const struct conf_globals *g, struct arena *a);
/* But for the router, the route of what nobody claims, and the snapshot. Looks into g. */
struct current settings_of_exchanges(const struct conf_globals *g);

#endif
