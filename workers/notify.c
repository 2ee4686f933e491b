/* Telling a service manager how we are. */
#include "workers/notify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "gateway/base/number.h"

static void send_text(const char *path, const char *text)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    struct timeval most = { .tv_sec = 1 };
    size_t len = strlen(path);
    int fd;

    if (len < 2 || len >= sizeof to.sun_path)
        return;
    memcpy(to.sun_path, path, len);
    if (path[0] == '@') /* the abstract name space */
        to.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    /* A busy manager must not miss that we are READY; one that never listens must not hold us up. */
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
    sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&to,
           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    close(fd);
}

void notify_send(const char *format, ...)
{
    const char *path = getenv("NOTIFY_SOCKET");
    char text[512];
    va_list args;

    if (!path)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    send_text(path, text);
}

void notify_reloading(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    notify_send("RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reloading",
                (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000);
}

uint64_t notify_watchdog_ns(void)
{
    const char *every = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    uint64_t usec, who;

    if (!every || !number_read_u64(str_from(every), &usec) || usec > UINT64_MAX / NS_PER_US)
        return 0;
    if (pid && (!number_read_u64(str_from(pid), &who) || who != (uint64_t)getpid()))
        return 0;
    return usec * NS_PER_US / 2;
}
