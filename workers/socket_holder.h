/* Who sits on a TCP address: read from /proc, for the message that somebody will be glad about. */
#ifndef WORKERS_SOCKET_HOLDER_H
#define WORKERS_SOCKET_HOLDER_H

#include <stdbool.h>
#include <stddef.h>

struct sockaddr;

/* "nginx (process 4711)". False, and an empty text, when /proc does not tell. */
bool socket_holder_name(const struct sockaddr *sa, char *to, size_t size);

#endif
