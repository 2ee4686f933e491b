/* What changes when a message passes through us. (RFC 9110 sections 7.6 and 6.5, RFC 7239)
 *
 * Removes what belongs to one hop: Connection and every field that it names, Keep-Alive, Proxy-Connection,
 * TE (except "trailers", which we pass on), Upgrade, Transfer-Encoding; adds Via, Forwarded and
 * X-Forwarded-For, -Proto, -Host, -Port, X-Real-IP.
 *
 * Connection cannot name away what framing, routing, policy and trust depend on (Content-Length, Host,
 * Authorization, X-API-Key, Cookie, Via, X-Forwarded-* …), nor what a step of ours has added or set.
 */
#ifndef GATEWAY_HTTP_HOP_H
#define GATEWAY_HTTP_HOP_H

#include <stdbool.h>

#include "gateway/base/arena.h"
#include "gateway/base/str.h"
#include "gateway/http/message.h"

enum hop_forward {
    HOP_APPEND,
    HOP_REPLACE,
    HOP_DROP
}; /* what to do with X-Forwarded-* that a client sent */

struct hop_client {
    struct str address; /* of the peer, as text without port: "192.0.2.7", "2001:db8::1" */
    struct str port;    /* of the listener, as text: X-Forwarded-Port */
    bool is_ipv6;
    enum hop_forward forward;
    bool send_forwarded; /* RFC 7239 Forwarded too */
    struct str via;      /* pseudonym: "sluice" */
};

/* Makes the client's request what a service should see. Strings come from the arena or from `req`. */
void hop_request(struct request *req, const struct hop_client *client, struct arena *arena);
/* Makes the service's answer what the client should see. */
void hop_response(struct response *resp, struct str via, struct arena *arena);
/* The Connection field for h1_write: "close" if asked for, "TE" if there is a TE field (9110 10.1.4), both, or "". */
struct str hop_connection(const struct fields *fields, bool close);

#endif
