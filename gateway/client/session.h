/* A client's connection: which protocol it speaks, and what is known of the client. */
#ifndef GATEWAY_CLIENT_SESSION_H
#define GATEWAY_CLIENT_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/cidr.h"
#include "gateway/base/list.h"
#include "gateway/base/number.h"
#include "gateway/exchange/local.h"
#include "gateway/exchange/protocol.h"
#include "gateway/http/h1_body.h"
#include "gateway/http/h1_head.h"
#include "workers/conn.h"

#define SESSION_LAST_MOMENT (2 * NS_PER_S) /* for an idle connection while draining */

struct arrival;

enum session_state { SESSION_IDLE, SESSION_HEAD, SESSION_EXCHANGE };

struct session {
    uint32_t magic;
    enum session_state state;
    struct client_stream stream; /* HTTP/1.1: one exchange at a time */
    struct local *local;
    struct conn *conn;     /* NULL: closed */
    struct link_node node; /* in local->sessions_list */
    struct task end_task;
    struct ip peer;
    bool local_peer;             /* a Unix socket: no address */
    bool keep_alive;             /* may another request follow */
    bool feeding;                /* a piece of the body is being handed on */
    bool body_wanted, body_done; /* of the request */
    bool half_closed;            /* the client had sent its end together with the request */
    bool chunked_out, close_delimited;
    uint32_t chunk_left;
    uint32_t requests;
    struct h1_scan scan;
    struct h1_body body;
    uint64_t head_due_ns; /* of the next head, or of being idle; 0: not waiting for it */
    uint64_t body_due_ns, write_due_ns;
    uint64_t sent_before; /* conn->bytes_out when write_due_ns was set */
};

/* Prepare local's pool and list of sessions. */
void sessions_init(struct local *l);
/* A fresh connection. */
void session_begin(struct local *l, const struct arrival *a);
/* Finish what runs, begin nothing new: all sessions. */
void sessions_drain(struct local *l);
/* Cut what is left. */
void sessions_cut(struct local *l);
/* The connection ends; an exchange that runs is told. */
void session_end(struct session *s, enum conn_close how);

#endif
