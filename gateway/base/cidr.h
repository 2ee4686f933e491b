/* Addresses and prefixes: who is trusted, who is allowed, who counts as one client.
 *
 * An IPv4 address is kept as its IPv4-mapped IPv6 form (RFC 4291 2.5.5.2), so that there is one comparison
 * and a client is the same whichever socket it came through.
 */
#ifndef GATEWAY_BASE_CIDR_H
#define GATEWAY_BASE_CIDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/check.h"
#include "gateway/base/str.h"

#define CIDR_TEXT_MAX 43 /* the longest IPv6 address, a slash and three digits */

struct sockaddr;

struct ip {
    uint8_t at[16];
};

struct cidr {
    struct ip ip; /* bits behind the prefix are 0 */
    uint8_t bits; /* 0 … 128; an IPv4 prefix counts its 96 mapped bits too */
};

/* 10.0.0.1, ::1, [::1], ::ffff:10.0.0.1; no port, no zone. */
bool ip_read(struct str text, struct ip *ip) MUST_USE;
/* False for what is no Internet address (a Unix socket). */
bool ip_of_sockaddr(const struct sockaddr *sa, struct ip *ip) MUST_USE;
/* As RFC 5952 writes it, IPv4 with dots; returns the length, at most CIDR_TEXT_MAX, no NUL. */
size_t ip_write(char *to, const struct ip *ip);
bool ip_is_v4(const struct ip *ip);
bool ip_equal(const struct ip *a, const struct ip *b);
/* The group that an address belongs to: the address itself for IPv4, its first `bits` for IPv6. */
struct ip ip_group(const struct ip *ip, unsigned v6_bits);

/* 10.0.0.0/8, fd00::/8, or one address. Refuses bits set behind the prefix: 10.0.0.1/8 is a mistake. */
bool cidr_read(struct str text, struct cidr *net) MUST_USE;
size_t cidr_write(char *to, const struct cidr *net);
/* ::/0 holds IPv6 only; 0.0.0.0/0 holds IPv4 only. */
bool cidr_holds(const struct cidr *net, const struct ip *ip);
bool cidr_any_holds(const struct cidr *nets, size_t count, const struct ip *ip);

#endif
