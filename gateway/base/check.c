/* The two ways a process of ours ends by its own hand. */
#include "gateway/base/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void check_failed(const char *what, const char *file, int line)
{
    dprintf(STDERR_FILENO, "sluice[%d]: check failed: %s (%s:%d)\n", (int)getpid(), what, file,
            line);
    abort();
}

void die(const char *format, ...)
{
    int cause = errno;
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (cause)
        dprintf(STDERR_FILENO, "sluice[%d]: %s: %s\n", (int)getpid(), text, strerror(cause));
    else
        dprintf(STDERR_FILENO, "sluice[%d]: %s\n", (int)getpid(), text);
    exit(1);
}
