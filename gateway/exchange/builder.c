/* What a step or a handler may ask while a part of a snapshot is built. */
#include "gateway/exchange/builder.h"

#include <stdarg.h>
#include <stdio.h>

void *builder_table(struct builder *b, enum table_kind kind, const char *word, size_t size)
{
    struct str name = str_format(b->arena, "%s/%.*s/%.*s", word, STR_ARGS(b->service_name),
                                 STR_ARGS(b->step_name));
    void *table = region_table(b->region, kind, name, size);

    if (!table)
        builder_problem(b, "no room for the shared table %.*s of %zu bytes", STR_ARGS(name), size);
    return table;
}

static void report(struct builder *b, enum conf_severity severity, const char *format, va_list args)
{
    char text[512];

    vsnprintf(text, sizeof text, format, args);
    conf_problem_at(b->problems, severity, b->at, b->service_name, "%s", text);
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
