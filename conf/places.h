/* The types of values that name a place: where to listen, whom to ask, which paths, where a log goes.
 *
 * One place has one spelling after reading, so that equal text means the same place after a reload.
 */
#ifndef CONF_PLACES_H
#define CONF_PLACES_H

#include "conf/schema.h"
#include "conf/settings.h"

/* ":8080", "10.0.0.1:80", "[::1]:80", "unix:/run/x.sock"; 8080 alone is ":8080". Port 0: the kernel chooses. */
#define CONF_FIELD_listen     struct str
/* http://host[:port][/] */
#define CONF_FIELD_url        struct conf_url
/* A path answered by the gateway itself; empty: none. */
#define CONF_FIELD_own_path   struct str
/* A host as clients name it, or *.name; lower case. */
#define CONF_FIELD_host       struct str
/* GET, POST, ... */
#define CONF_FIELD_method     struct str
/* off, stdout, stderr, file:/path */
#define CONF_FIELD_log_to     struct conf_log_to
/* Fill path and below of a struct conf_route: exactly this path (routes), or a path without wildcards and all below it
 * (route_pattern). */
#define CONF_FIELD_exact_path struct conf_route
#define CONF_FIELD_path_below struct conf_route

/* host[:port], where host is a name, an IPv4 address or an IPv6 address in brackets. */
struct conf_host {
    struct str host; /* without brackets, lower case; an address in one spelling */
    uint16_t port;   /* `port` if none is said */
    bool is_ip;
    struct ip ip;
};
bool conf_read_host(struct str text, uint16_t port, struct conf_host *to, struct arena *a) MUST_USE;

extern const struct conf_type conf_type_listen, conf_type_url, conf_type_own_path, conf_type_host,
    conf_type_method, conf_type_log_to, conf_type_exact_path, conf_type_path_below;

#endif
