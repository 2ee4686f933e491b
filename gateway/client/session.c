/* A client's connection. */
#include "gateway/client/session.h"

#include <netinet/in.h>

#include "gateway/client/h1_client.h"
#include "gateway/exchange/exchange.h"
#include "workers/program.h"

#define SESSION_MAGIC 0x5e5510a1u

void sessions_init(struct local *l)
{
    pool_init(&l->sessions, sizeof(struct session), 0);
    list_init(&l->sessions_list);
}

static struct str port_of_listener(struct str address)
{
    for (size_t i = address.len; i-- > 0;)
        if (address.at[i] == ':')
            return str_from_index(address, i + 1);
    return address;
}

static void free_session(struct task *t)
{
    struct session *s = CONTAINER(t, struct session, end_task);

    s->magic = 0;
    pool_give(&s->local->sessions, s);
}

void session_begin(struct local *l, const struct arrival *a)
{
    struct session *s = pool_take(&l->sessions);

    *s = (struct session){ .magic = SESSION_MAGIC,
                           .local = l,
                           .stream.listener_port =
                               a->local ? STR("") : port_of_listener(a->listener) };
    s->local_peer = !ip_of_sockaddr((const struct sockaddr *)a->peer, &s->peer);
    task_init(&s->end_task, free_session);
    link_init(&s->node);
    s->conn = conn_open(l->loop, &l->conns, a->fd, false, &h1_client_events, s);
    if (!s->conn) {
        s->magic = 0;
        pool_give(&l->sessions, s);
        l->let_go(l);
        return;
    }
    list_push_back(&l->sessions_list, &s->node);
    l->session_count++;
    h1_client_open(s);
}

void session_end(struct session *s, enum conn_close how)
{
    struct local *l = s->local;
    struct exchange *x = s->stream.x;

    CHECK(s->magic == SESSION_MAGIC && s->conn);
    s->stream.x = NULL;
    if (x)
        exchange_client_gone(x, REASON_CLIENT_GONE);
    conn_close(s->conn, how);
    s->conn = NULL;
    link_remove(&s->node);
    l->session_count--;
    l->let_go(l);
    loop_queue_end(l->loop, &s->end_task);
}

void sessions_drain(struct local *l)
{
    LIST_EACH (&l->sessions_list, n) {
        struct session *s = CONTAINER(n, struct session, node);

        /* What is busy says Connection: close in its next head; what is idle gets a last moment to ask. */
        if (s->state == SESSION_IDLE) {
            s->head_due_ns = l->loop->now_ns + SESSION_LAST_MOMENT;
            conn_set_due(s->conn, s->head_due_ns);
        }
    }
}

void sessions_cut(struct local *l)
{
    LIST_EACH (&l->sessions_list, n)
        session_end(CONTAINER(n, struct session, node), CLOSE_NOW);
}
