/* HTTP/1.1 towards clients. (RFC 9112) */
#ifndef GATEWAY_CLIENT_H1_CLIENT_H
#define GATEWAY_CLIENT_H1_CLIENT_H

#include "gateway/exchange/protocol.h"
#include "workers/conn.h"

struct session;

extern const struct conn_events h1_client_events;
extern const struct client_protocol h1_client;

void h1_client_open(struct session *s);

#endif
