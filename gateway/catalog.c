/* The middlewares by name, from the one list. */
#include "gateway/catalog.h"

#define MIDDLEWARE(name) extern const struct middleware name##_middleware;
#include "gateway/middleware/all.list"
#undef MIDDLEWARE

static const struct middleware *const all[] = {
#define MIDDLEWARE(name) &name##_middleware,
#include "gateway/middleware/all.list"
#undef MIDDLEWARE
};

static const struct conf_schema *middleware_at(size_t i)
{
    return i < ARRAY_LEN(all) ? &all[i]->settings : NULL;
}

static const struct conf_schema *find_middleware(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (str_equal(str_from(all[i]->settings.name), name))
            return &all[i]->settings;
    return NULL;
}

const struct middleware *catalog_middleware(const struct conf_schema *schema)
{
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (&all[i]->settings == schema)
            return all[i];
    UNREACHABLE();
}

const struct conf_catalog catalog = { find_middleware, middleware_at };
