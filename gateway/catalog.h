/* The middlewares by name, from the one list. */
#ifndef GATEWAY_CATALOG_H
#define GATEWAY_CATALOG_H

#include "conf/schema.h"
#include "gateway/exchange/middleware.h"

extern const struct conf_catalog catalog;

/* The middleware behind a schema that `catalog` handed out. */
const struct middleware *catalog_middleware(const struct conf_schema *schema);

#endif
