/* What a step or a handler may ask while a part of a snapshot is built. */
#include "gateway/exchange/builder.h"

#include <stdarg.h>
#include <stdio.h>

#include "conf/read.h"
#include "conf/settings.h"

void *builder_table(struct builder *b, enum table_kind kind, const char *word, size_t size)
{
    struct str name = str_format(b->arena, "%s/%.*s/%.*s", word, STR_ARGS(b->service_name),
                                 STR_ARGS(b->step_name));
    void *table = region_table(b->region, kind, name, size);

    if (!table)
        builder_problem(b, "no room for the shared table %.*s of %zu bytes", STR_ARGS(name), size);
    return table;
}

static const char *offer_redis(const void *from, size_t i)
{
    const struct builder *b = from;
    const struct conf_redis *all = b->globals->stores.redis.items;

    return i < b->globals->stores.redis.count ? str_keep_z(b->arena, all[i].name) : NULL;
}

const struct conf_redis *builder_redis(struct builder *b, struct str store)
{
    const struct conf_redis *found;
    const char *hint;
    struct str name;

    if (!str_starts(store, STR("redis:"))) {
        builder_problem(b,
                        "store: must be redis:NAME, where NAME is one of stores.redis, is "
                        "\"%.*s\"",
                        STR_ARGS(store));
        return NULL;
    }
    name = str_from_index(store, 6);
    found = conf_redis_named(&b->globals->stores, name);
    if (found)
        return found;
    hint = conf_nearest(name, offer_redis, b);
    if (hint)
        builder_problem(b, "store: there is no stores.redis.%.*s; did you mean \"redis:%s\"?",
                        STR_ARGS(name), hint);
    else
        builder_problem(b, "store: there is no stores.redis.%.*s", STR_ARGS(name));
    return NULL;
}

struct str builder_label(const struct builder *b)
{
    return b->label.len ? b->label : b->step_name;
}

static void PRINTF_LIKE(3, 0)
    report(struct builder *b, enum conf_severity severity, const char *format, va_list args)
{
    char text[512];

    vsnprintf(text, sizeof text, format, args);
    conf_problem_at(b->problems, severity, b->at,
                    b->whole_gateway ? STR("the whole gateway") : b->service_name, "%s", text);
}

bool builder_problem(struct builder *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    report(b, CONF_ERROR, format, args);
    va_end(args);
    return false;
}

void builder_warning(struct builder *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    report(b, CONF_WARNING, format, args);
    va_end(args);
}
