/* All that is wrong, in the order of the file. */
#include "conf/problems.h"

#include <stdarg.h>
#include <stdio.h>

#include "conf/tree.h"

#define TEXT_MAX 512

void conf_problems_init(struct conf_problems *p)
{
    *p = (struct conf_problems){ .first = NULL };
    arena_init(&p->arena, NULL);
}

void conf_problems_free(struct conf_problems *p)
{
    arena_free(&p->arena);
    conf_problems_init(p);
}

uint16_t conf_problems_file(struct conf_problems *p, struct str name)
{
    for (size_t i = 0; i < p->file_count; i++)
        if (str_equal(p->files[i], name))
            return (uint16_t)i;
    CHECK(p->file_count < CONF_FILES_MAX);
    p->files[p->file_count] = str_keep(&p->arena, name);
    return (uint16_t)p->file_count++;
}

static int place_compare(struct conf_place a, struct conf_place b)
{
    if (a.file != b.file)
        return a.file < b.file ? -1 : 1;
    if (a.line != b.line)
        return a.line < b.line ? -1 : 1;
    return (a.column > b.column) - (a.column < b.column);
}

/* Where a problem at this place goes: behind those of the same place. NULL: it is known already. */
static struct conf_problem **slot_for(struct conf_problems *p, struct conf_place at,
                                      struct str text)
{
    struct conf_problem **slot = &p->first;

    for (; *slot && place_compare((*slot)->at, at) <= 0; slot = &(*slot)->next)
        if (at.line && place_compare((*slot)->at, at) == 0 && str_equal((*slot)->text, text))
            return NULL;
    return slot;
}

static void count(struct conf_problems *p, enum conf_severity severity)
{
    if (severity == CONF_ERROR)
        p->errors++;
    else
        p->warnings++;
}

static void add(struct conf_problems *p, enum conf_severity severity, struct conf_place at,
                struct str path, struct str text)
{
    struct conf_problem **slot, *one;

    slot = slot_for(p, at, text);
    if (!slot)
        return;
    if (p->kept >= CONF_PROBLEMS_MAX) {
        count(p, severity);
        return;
    }
    one = ARENA_NEW(&p->arena, struct conf_problem);
    *one = (struct conf_problem){ .next = *slot,
                                  .severity = severity,
                                  .at = at,
                                  .path = str_keep(&p->arena, path),
                                  .text = str_keep(&p->arena, text) };
    *slot = one;
    p->kept++;
    count(p, severity);
}

static void PRINTF_LIKE(5, 0)
    add_formatted(struct conf_problems *p, enum conf_severity severity, struct conf_place at,
                  struct str path, const char *format, va_list args)
{
    char text[TEXT_MAX];
    int len = vsnprintf(text, sizeof text, format, args);

    CHECK(len >= 0);
    add(p, severity, at, path,
        str_of(text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1));
}

static void PRINTF_LIKE(4, 0) report(struct conf_problems *p, const struct conf_node *at,
                                     enum conf_severity severity, const char *format, va_list args)
{
    struct conf_place nowhere = { 0 };

    add_formatted(p, severity, at ? at->key_at : nowhere,
                  at ? conf_node_path(at, &p->arena) : STR_NONE, format, args);
}

bool conf_problem(struct conf_problems *p, const struct conf_node *at, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    report(p, at, CONF_ERROR, format, args);
    va_end(args);
    return false;
}

void conf_warning(struct conf_problems *p, const struct conf_node *at, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    report(p, at, CONF_WARNING, format, args);
    va_end(args);
}

bool conf_problem_at(struct conf_problems *p, enum conf_severity severity, struct conf_place at,
                     struct str path, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_formatted(p, severity, at, path, format, args);
    va_end(args);
    return false;
}

struct str conf_problem_text(const struct conf_problems *p, const struct conf_problem *one,
                             struct arena *a)
{
    struct str file = one->at.file < p->file_count ? p->files[one->at.file] : STR("configuration");
    const char *warning = one->severity == CONF_WARNING ? "warning: " : "";
    const char *colon = one->path.len ? ": " : "";

    if (!one->at.line)
        return str_format(a, "%.*s: %s%.*s%s%.*s", STR_ARGS(file), warning, STR_ARGS(one->path),
                          colon, STR_ARGS(one->text));
    return str_format(a, "%.*s:%u:%u: %s%.*s%s%.*s", STR_ARGS(file), one->at.line, one->at.column,
                      warning, STR_ARGS(one->path), colon, STR_ARGS(one->text));
}
