/* Names of hosts and what they stand for: the master asks the system once and writes it into the bundle, the others read it
 * there. So all processes use the same addresses, and nobody asks while requests wait.
 */
#ifndef GATEWAY_NAMES_H
#define GATEWAY_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/settings.h"
#include "gateway/base/cidr.h"
#include "gateway/bundle.h"
#include "gateway/exchange/builder.h"

/* The addresses of a name, at most `room`. False: there is none (*count is 0). */
bool names_resolve(struct bundle *bundle, enum build_role role, struct str host, struct ip *ips,
                   size_t room, size_t *count);
/* Fill in what the urls of all stores stand for; the text goes to `a`. A name without an address is a warning. Returns a hash of what
 * was found: equal means that every store is where it was. */
uint64_t names_of_stores(struct bundle *bundle, enum build_role role, struct conf_stores *stores,
                         struct arena *a, struct conf_problems *p);

#endif
