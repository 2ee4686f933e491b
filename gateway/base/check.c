/* The two ways a process of ours ends by its own hand. */
#include "gateway/base/check.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The last words of a process must not keep it from dying: nobody may be reading the pipe they go into. */
static void say(const char *line, int len, size_t size)
{
    struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
    size_t n = len < 0 ? 0 : (size_t)len < size ? (size_t)len : size - 1;

    if (poll(&p, 1, 0) == 1 && p.revents & POLLOUT && write(STDERR_FILENO, line, n) < 0)
        return;
}

void check_failed(const char *what, const char *file, int line)
{
    char text[512];

    say(text,
        snprintf(text, sizeof text, "sluice[%d]: check failed: %s (%s:%d)\n", (int)getpid(), what,
                 file, line),
        sizeof text);
    abort();
}

void die(const char *format, ...)
{
    int cause = errno;
    char text[512], line[768];
    int len;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    len = snprintf(line, sizeof line, "sluice[%d]: %s%s%s\n", (int)getpid(), text,
                   cause ? ": " : "", cause ? strerror(cause) : "");
    say(line, len, sizeof line);
    exit(1);
}
