/* HTTP/1.1 towards services: one call at a time on a link.
 *
 * A service is not trusted: whatever could be read in two ways, is too large or does not end where it said
 * becomes a failed call and a closed link, never the beginning of the next answer.
 */
#include "gateway/upstream/h1_upstream.h"

#include "gateway/exchange/chunked.h"
#include "gateway/exchange/local.h"
#include "gateway/http/h1_write.h"
#include "gateway/http/hop.h"
#include "gateway/upstream/call.h"
#include "gateway/upstream/links.h"

static const struct h1_limits limits = {
    .first_line = 8192, .field_line = 32768, .total = 65536, .count = 256
};
#define EARLY_MAX  16                    /* informational answers before the one that counts */
#define LARGE_BODY ((uint64_t)64 * 1024) /* bytes; from here on reads are large */

static uint64_t now_of(const struct link *l)
{
    return l->conn->loop->now_ns;
}

static void rearm(struct link *l, uint64_t after_ns)
{
    link_set_due(l, after_ns ? now_of(l) + after_ns : 0);
}

/* How far the call on this link has come, for whoever decides about trying again. */
static enum sent sent_of(const struct link *l, bool any_answer)
{
    if (any_answer || l->head_seen)
        return SENT_ANSWERED;
    return l->served ? SENT_ON_REUSED_NO_BYTE : SENT_PART;
}

/* What a service does not read would stay in the system's buffers long after we have closed: megabytes for each upload. */
static void give_up(struct link *l)
{
    if (l->blocked)
        conn_reset_on_close(l->conn);
    link_close(l);
}

/* The link is not usable any more; its call, if any, hears why. */
static void break_link(struct link *l, enum reason reason)
{
    struct call *c = l->call;
    bool opening = l->state == LINK_OPENING;
    enum sent sent = sent_of(l, conn_input(l->conn).len > 0);

    give_up(l);
    if (!c)
        return;
    if (opening)
        call_dial_failed(c, reason);
    else
        call_fail(c, sent, reason);
}

/* The answer is complete. Can the link serve again? */
static void finish(struct link *l, struct call *c)
{
    /* What lies behind the answer must not become the beginning of the next one. */
    bool again = l->keep_alive && c->timeouts.keepalive_ns > 0 && c->request_done &&
                 l->chunk_left == 0 && conn_is_quiet(l->conn);

    c->answer_done = true;
    c->link = NULL;
    l->call = NULL;
    if (!again) {
        give_up(l);
        return;
    }
    conn_expect_large(l->conn, false);
    rearm(l, c->timeouts.keepalive_ns);
    link_put(l);
}

static void start(struct link *l, struct call *c)
{
    const struct request *req = c->req;
    char *to = conn_reserve(l->conn, h1_request_size(req));

    l->call = c;
    l->scan = (struct h1_scan){ 0 };
    l->head_seen = l->blocked = false;
    l->chunk_left = 0;
    conn_commit(l->conn, h1_write_request(to, req, hop_connection(&req->fields, false)));
    c->state = CALL_SENT;
    c->request_done = !request_has_body(req);
    if (c->request_done) {
        rearm(l, c->timeouts.header_ns);
        return;
    }
    rearm(l, 0);
    c->owner->room(c);
}

static size_t send_body(struct link *l, struct call *c, const struct piece *p)
{
    size_t taken = c->req->body == BODY_CHUNKED ? chunked_send(l->conn, &l->chunk_left, p)
                                                : conn_write(l->conn, p->data);

    l->blocked = taken < p->data.len;
    if (l->blocked)
        rearm(l, c->timeouts.idle_read_ns);
    else if (p->last)
        rearm(l, c->state == CALL_ANSWERED ? c->timeouts.idle_read_ns : c->timeouts.header_ns);
    else if (c->state != CALL_ANSWERED)
        rearm(l, 0); /* the client is the slow one: its own limits watch it */
    return taken;
}

/* An informational answer: passed on, and the head that counts is still to come. (RFC 9110 15.2) */
static bool take_early(struct link *l, struct call *c)
{
    if (c->resp.status == 101 || c->early_count++ == EARLY_MAX) /* we asked for no upgrade */
        return false;
    l->scan = (struct h1_scan){ 0 };
    c->owner->early(c, &c->resp);
    return true;
}

static void read_body(struct link *l, struct call *c);

/* False: the link was given up or waits for more. */
static bool read_head(struct link *l, struct call *c)
{
    for (;;) {
        struct str in = conn_input(l->conn);
        const char *why = NULL;
        struct h1_lines lines;
        struct str head;
        size_t len;

        switch (in.len ? h1_head_scan(in, &l->scan, &limits, false, &lines, &len) : HEAD_MORE) {
        case HEAD_DONE:
            break;
        case HEAD_MORE:
            if (conn_peer_ended(l->conn))
                break_link(l, in.len ? REASON_UPSTREAM_BAD_RESPONSE : REASON_UPSTREAM_RESET);
            else if (in.len >= LOOP_SMALL_BUFFER / 2)
                conn_expect_large(l->conn, true);
            if (l->call == c && in.len > 0)
                conn_await_rest(l->conn);
            return false;
        case HEAD_BAD:
        case HEAD_LINE_TOO_LONG:
        case HEAD_TOO_LARGE:
        case HEAD_VERSION:
        case HEAD_NOT_IMPLEMENTED:
            break_link(l, REASON_UPSTREAM_BAD_RESPONSE);
            return false;
        }
        head = str_keep(c->arena, str_from_index(str_up_to(in, len), l->scan.skipped));
        fields_init(&c->resp.fields, c->arena, 16);
        conn_consume(l->conn, len);
        if (h1_response_parse(head, &lines, c->req->method, &c->resp, &why) != HEAD_DONE) {
            l->head_seen = true;
            break_link(l, REASON_UPSTREAM_BAD_RESPONSE);
            return false;
        }
        if (c->resp.status >= 200)
            return true;
        if (!take_early(l, c)) {
            l->head_seen = true;
            break_link(l, REASON_UPSTREAM_BAD_RESPONSE);
            return false;
        }
        if (l->call != c)
            return false;
    }
}

static void take_head(struct link *l, struct call *c)
{
    bool last;

    l->head_seen = true;
    l->keep_alive = c->resp.keep_alive;
    h1_body_init(&l->body, c->resp.body, c->resp.content_length);
    last = c->resp.body == BODY_NONE || c->req->method == METHOD_HEAD || c->resp.status == 304 ||
           (c->resp.body == BODY_LENGTH && c->resp.content_length == 0);
    c->state = CALL_ANSWERED;
    c->attempt.status = c->resp.status;
    c->attempt.head_ns = now_of(l);
    if (c->resp.body != BODY_LENGTH || c->resp.content_length >= LARGE_BODY)
        conn_expect_large(l->conn, !last);
    rearm(l, c->timeouts.idle_read_ns);
    if (last) { /* the link first, so that whoever comes next finds it */
        c->owner->head(c, true);
        if (l->call == c)
            finish(l, c);
        return;
    }
    if (conn_input(l->conn).len == 0)
        conn_await_rest(l->conn);
    c->owner->head(c, false);
    if (l->call == c)
        read_body(l, c);
}

static void read_body(struct link *l, struct call *c)
{
    for (;;) {
        struct piece p = { 0 };
        size_t skip, taken;
        enum h1_body_result r =
            h1_body_next(&l->body, conn_input(l->conn), &skip, &p.data, &c->trailers);

        conn_consume(l->conn, skip);
        switch (r) {
        case H1_BODY_DATA:
            p.last = l->body.kind == BODY_LENGTH && l->body.left == p.data.len;
            taken = c->owner->body(c, &p);
            if (l->call != c)
                return;
            conn_consume(l->conn, taken);
            h1_body_took(&l->body, taken);
            if (taken < p.data.len) {
                conn_pause(l->conn); /* resumed by resume_body */
                rearm(l, 0);
                return;
            }
            if (p.last) {
                finish(l, c);
                return;
            }
            break;
        case H1_BODY_MORE:
            if (!conn_peer_ended(l->conn))
                return;
            if (l->body.kind != BODY_UNTIL_CLOSE) {
                break_link(l, REASON_UPSTREAM_TRUNCATED);
                return;
            }
            /* fall through: the end of the connection is the end of the body */
            __attribute__((fallthrough));
        case H1_BODY_DONE:
            p = (struct piece){ .last = true, .trailers = &c->trailers };
            c->owner->body(c, &p);
            if (l->call == c)
                finish(l, c);
            return;
        case H1_BODY_BAD:
            break_link(l, REASON_UPSTREAM_BAD_RESPONSE);
            return;
        }
    }
}

static void on_bytes(struct conn *conn)
{
    struct link *l = link_of(conn);
    struct call *c = l->call;

    if (!c) { /* idle: closed, or talking out of turn */
        link_close(l);
        return;
    }
    if (conn->paused)
        return;
    if (l->head_seen) {
        rearm(l, c->timeouts.idle_read_ns);
        read_body(l, c);
    } else if (read_head(l, c)) {
        take_head(l, c);
    }
}

static void on_open(struct conn *conn)
{
    struct link *l = link_of(conn);
    struct call *c = l->call;

    l->state = LINK_BUSY;
    l->target->good_address = c->address;
    l->protocol->start(l, c);
}

static void on_room(struct conn *conn)
{
    struct link *l = link_of(conn);

    if (!l->call)
        return;
    l->blocked = false;
    l->call->owner->room(l->call);
}

static void on_broken(struct conn *conn)
{
    struct link *l = link_of(conn);

    if (l->state == LINK_OPENING)
        break_link(l, REASON_UPSTREAM_CONNECT_FAILED);
    else
        break_link(l, l->head_seen ? REASON_UPSTREAM_TRUNCATED : REASON_UPSTREAM_RESET);
}

static void on_due(struct conn *conn)
{
    struct link *l = link_of(conn);

    if (l->state == LINK_OPENING)
        break_link(l, REASON_UPSTREAM_CONNECT_TIMEOUT);
    else if (l->state == LINK_IDLE)
        link_close(l);
    else
        break_link(l, REASON_UPSTREAM_TIMEOUT);
}

static void resume_body(struct link *l, struct call *c)
{
    rearm(l, c->timeouts.idle_read_ns);
    conn_resume(l->conn);
}

static void cancel(struct link *l, struct call *c)
{
    (void)c;
    give_up(l);
}

const struct upstream_protocol h1_upstream = {
    .name = "http/1.1",
    .events = { on_open, on_bytes, on_room, on_broken, on_due },
    .start = start,
    .send_body = send_body,
    .resume_body = resume_body,
    .cancel = cancel,
};
