/* What ps shows. */
#include "workers/title.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* The end of the strings that lie in one piece behind argv[0]: arguments, then the environment. */
static char *end_of_area(int argc, char **argv)
{
    char *end = argv[0];

    for (int i = 0; i < argc; i++)
        if (argv[i] == end)
            end += strlen(end) + 1;
    for (char **e = environ; e && *e; e++)
        if (*e == end)
            end += strlen(end) + 1;
    return end;
}

/* The copy lives as long as the process: environ holds it. */
static bool move_environment(void)
{
    size_t count = 0;
    char **copy;

    while (environ && environ[count])
        count++;
    copy = calloc(count + 1, sizeof *copy);
    if (!copy)
        return false;
    for (size_t i = 0; i < count; i++) {
        copy[i] = strdup(environ[i]);
        if (!copy[i])
            return false;
    }
    environ = copy;
    return true;
}

struct title title_claim(int argc, char **argv)
{
    struct title t = { 0 };

    if (argc < 1 || !argv[0])
        return t;
    t.size = (size_t)(end_of_area(argc, argv) - argv[0]);
    if (!move_environment())
        return (struct title){ 0 };
    t.area = argv[0];
    return t;
}

/* "sluice: worker 0" -> "sluice worker 0", which is what fits into a thread's name. */
static void set_short_name(const char *text)
{
    char name[16];
    size_t n = 0;

    for (; *text && n < sizeof name - 1; text++)
        if (*text != ':')
            name[n++] = *text;
    name[n] = '\0';
    prctl(PR_SET_NAME, name, 0, 0, 0);
}

void title_set(struct title *t, const char *format, ...)
{
    char text[128];
    va_list args;
    size_t len;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    set_short_name(text);
    if (!t || t->size < 2)
        return;
    len = strlen(text);
    len = len < t->size - 1 ? len : t->size - 1;
    memset(t->area, 0, t->size);
    memcpy(t->area, text, len);
}
