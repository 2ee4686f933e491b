/* Who sits on a TCP address. */
#include "workers/socket_holder.h"

#include <dirent.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATE_LISTEN 0x0a /* TCP_LISTEN, as the kernel prints it */

static unsigned port_of(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)sa)->sin6_port);
    return sa->sa_family == AF_INET
               ? ntohs(((const struct sockaddr_in *)(const void *)sa)->sin_port)
               : 0;
}

/* The inode of a socket that listens on this port, whatever the address: two that collide need not be equal. */
static uint64_t listening_inode(const char *table, unsigned port)
{
    char line[512];
    uint64_t found = 0;
    FILE *f = fopen(table, "re");

    if (!f)
        return 0;
    while (found == 0 && fgets(line, sizeof line, f)) {
        unsigned local, state;
        uint64_t inode;

        /* sl: address:port remote:port state queues timer retransmits uid timeout inode */
        if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %" SCNu64,
                   &local, &state, &inode) == 3 &&
            local == port && state == STATE_LISTEN)
            found = inode;
    }
    fclose(f);
    return found;
}

static bool process_has(const char *pid, const char *socket)
{
    char path[512], target[64];
    struct dirent *e;
    bool has = false;
    DIR *d;

    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    d = opendir(path);
    if (!d)
        return false;
    while (!has && (e = readdir(d))) {
        ssize_t n = readlinkat(dirfd(d), e->d_name, target, sizeof target - 1);

        if (n > 0) {
            target[n] = '\0';
            has = strcmp(target, socket) == 0;
        }
    }
    closedir(d);
    return has;
}

static void describe(const char *pid, char *to, size_t size)
{
    char path[512], name[64] = "?";
    FILE *f;

    snprintf(path, sizeof path, "/proc/%s/comm", pid);
    f = fopen(path, "re");
    if (f) {
        if (fgets(name, sizeof name, f))
            name[strcspn(name, "\n")] = '\0';
        fclose(f);
    }
    snprintf(to, size, "%s (process %s)", name, pid);
}

bool socket_holder_name(const struct sockaddr *sa, char *to, size_t size)
{
    uint64_t inode = listening_inode("/proc/net/tcp", port_of(sa));
    char socket[64];
    struct dirent *e;
    DIR *d;

    to[0] = '\0';
    if (inode == 0)
        inode = listening_inode("/proc/net/tcp6", port_of(sa));
    if (inode == 0)
        return false;
    snprintf(socket, sizeof socket, "socket:[%" PRIu64 "]", inode);
    d = opendir("/proc");
    if (!d)
        return false;
    while (to[0] == '\0' && (e = readdir(d)))
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && process_has(e->d_name, socket))
            describe(e->d_name, to, size);
    closedir(d);
    return to[0] != '\0';
}
