/* What the system says a host's name stands for, asked by a process of its own.
 *
 * getaddrinfo() cannot be told to hurry: where name servers are away it takes ten seconds for each name, and the master,
 * which reads the configuration, has children to watch and signals to obey. So it asks a child, and kills it when that takes
 * too long.
 */
#ifndef GATEWAY_RESOLVER_H
#define GATEWAY_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "gateway/base/cidr.h"
#include "gateway/base/str.h"

#define RESOLVER_ADDRESSES 16 /* of one name, at most */

struct resolver {
    pid_t pid; /* 0: none was needed yet, or it is gone */
    int fd;
    uint64_t patience_ns; /* for all slow names together */
};

void resolver_init(struct resolver *r, uint64_t patience_ns);
/* The addresses of a name, at most `room`; *count is 0 if it has none.
 * returns  false: nobody has told, neither them nor that there are none; *count is 0 */
bool resolver_ask(struct resolver *r, struct str host, struct ip *ips, size_t room,
                  size_t *count) MUST_USE;
void resolver_end(struct resolver *r);

#endif
