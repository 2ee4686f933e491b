/* Where a Redis is. */
#include "gateway/lookup/redis_address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "gateway/base/number.h"

#define UNIX STR("unix:")

static bool unix_of(struct str path, struct redis_address *a)
{
    struct sockaddr_un *to = (struct sockaddr_un *)(void *)&a->at;

    if (path.len == 0 || path.len >= sizeof to->sun_path || path.len + UNIX.len >= sizeof a->text ||
        memchr(path.at, 0, path.len))
        return false;
    to->sun_family = AF_UNIX;
    memcpy(to->sun_path, path.at, path.len);
    a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
    snprintf(a->text, sizeof a->text, "unix:%.*s", STR_ARGS(path));
    return true;
}

bool redis_address_of(struct str host, uint64_t port, struct redis_address *a)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&a->at;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&a->at;
    char z[INET6_ADDRSTRLEN + 1];

    *a = (struct redis_address){ .len = 0 };
    if (port == 0 || port > UINT16_MAX || host.len == 0 || host.len >= sizeof z)
        return false;
    memcpy(z, host.at, host.len);
    z[host.len] = 0;
    if (inet_pton(AF_INET, z, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        a->len = sizeof *v4;
        snprintf(a->text, sizeof a->text, "%s:%u", z, (unsigned)port);
        return true;
    }
    if (inet_pton(AF_INET6, z, &v6->sin6_addr) != 1)
        return false;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    a->len = sizeof *v6;
    inet_ntop(AF_INET6, &v6->sin6_addr, z, sizeof z); /* one text for each address */
    snprintf(a->text, sizeof a->text, "[%s]:%u", z, (unsigned)port);
    return true;
}

bool redis_address_read(struct str text, struct redis_address *a)
{
    struct str host = text, port_text;
    uint64_t port;

    *a = (struct redis_address){ .len = 0 };
    if (str_starts(text, UNIX))
        return unix_of(str_from_index(text, UNIX.len), a);
    while (host.len > 0 && host.at[host.len - 1] != ':')
        host.len--;
    if (host.len < 2)
        return false;
    port_text = str_from_index(text, host.len);
    host.len--;
    if (host.at[0] == '[') {
        if (host.len < 3 || host.at[host.len - 1] != ']')
            return false;
        host = str_of(host.at + 1, host.len - 2);
    } else if (memchr(host.at, ':', host.len)) {
        return false; /* an IPv6 address without brackets: which of it is the port? */
    }
    return number_read_u64(port_text, &port) && redis_address_of(host, port, a);
}

bool redis_address_equal(const struct redis_address *a, const struct redis_address *b)
{
    return strcmp(a->text, b->text) == 0;
}
