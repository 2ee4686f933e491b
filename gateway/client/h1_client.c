/* HTTP/1.1 towards clients: one exchange at a time, answers in the order of the requests.
 *
 * While an exchange runs, what a client pipelines behind it waits in the connection's buffer and, when
 * that is full, in the client. A head is copied once, whole, into the exchange's arena, and read there.
 */
#include "gateway/client/h1_client.h"

#include "gateway/client/client_address.h"
#include "gateway/client/session.h"
#include "gateway/exchange/chunked.h"
#include "gateway/exchange/exchange.h"
#include "gateway/http/h1_write.h"
#include "gateway/http/target.h"

static uint64_t now_of(const struct session *s)
{
    return s->local->loop->now_ns;
}

static const struct client_rules *rules_of(const struct session *s)
{
    return &s->local->current.clients;
}

/* The conn has one timer: it looks at the earliest of all that we wait for. Setting it later is free. */
static void due(struct session *s, uint64_t *which, uint64_t when_ns)
{
    *which = when_ns;
    if (when_ns && (s->conn->timer.due_ns == 0 || when_ns < s->conn->timer.due_ns))
        conn_set_due(s->conn, when_ns);
}

static void be_idle(struct session *s)
{
    s->state = SESSION_IDLE;
    s->scan = (struct h1_scan){ 0 };
    s->body_due_ns = s->write_due_ns = 0;
    s->head_due_ns = now_of(s) + (s->local->draining ? SESSION_LAST_MOMENT : rules_of(s)->idle_ns);
    conn_set_due(s->conn, s->head_due_ns);
}

/* The client has ended what it sends, and all of that has been consumed. */
static bool nothing_more_comes(const struct session *s)
{
    return conn_peer_ended(s->conn) && conn_input(s->conn).len == 0;
}

void h1_client_open(struct session *s)
{
    s->stream.protocol = &h1_client;
    be_idle(s);
    /* A fresh connection owes us a head, not idleness. */
    due(s, &s->head_due_ns, now_of(s) + rules_of(s)->header_ns);
}

/* ---- reading a request ------------------------------------------------------------------------ */

static void reject(struct session *s, unsigned status, enum reason reason, const char *why)
{
    struct exchange *x = exchange_begin(s->local, &s->stream);

    s->state = SESSION_EXCHANGE;
    s->head_due_ns = 0;
    s->keep_alive = false;
    s->body_done = false; /* whatever follows cannot be read either */
    client_address_set(x, s);
    fields_init(&x->req.fields, &x->arena, 0);
    x->req.version = 11;
    exchange_reject(x, status, reason, why);
}

static void reject_head(struct session *s, enum head_result r, const char *why)
{
    switch (r) {
    case HEAD_LINE_TOO_LONG:
        reject(s, 414, REASON_URI_TOO_LONG, NULL);
        return;
    case HEAD_TOO_LARGE:
        reject(s, 431, REASON_HEADERS_TOO_LARGE, NULL);
        return;
    case HEAD_VERSION:
        reject(s, 505, REASON_VERSION_NOT_SUPPORTED, NULL);
        return;
    case HEAD_NOT_IMPLEMENTED:
        reject(s, 501, REASON_NOT_IMPLEMENTED, why);
        return;
    case HEAD_BAD:
        reject(s, 400, REASON_BAD_REQUEST, why);
        return;
    case HEAD_DONE:
    case HEAD_MORE:
        break;
    }
    UNREACHABLE();
}

/* A complete head of `len` bytes lies at the front of the input. */
static void begin(struct session *s, size_t len, const struct h1_lines *lines)
{
    struct exchange *x = exchange_begin(s->local, &s->stream);
    struct str head = str_from_index(str_up_to(conn_input(s->conn), len), s->scan.skipped);
    const char *why = NULL;
    enum head_result r;
    bool ok;

    head = str_keep(&x->arena, head);
    conn_consume(s->conn, len);
    s->state = SESSION_EXCHANGE;
    s->scan = (struct h1_scan){ 0 };
    s->head_due_ns = 0;
    s->requests++;
    s->half_closed = s->conn->hung_up;
    fields_init(&x->req.fields, &x->arena, 20);
    client_address_set(x, s);
    r = h1_request_parse(head, lines, &x->req, &why);
    ok = r == HEAD_DONE && target_read(&x->req, &x->arena, &why);
    client_address_look_through(x, s);
    if (!ok) {
        s->keep_alive = s->body_done = false;
        if (r == HEAD_VERSION)
            exchange_reject(x, 505, REASON_VERSION_NOT_SUPPORTED, NULL);
        else if (r == HEAD_NOT_IMPLEMENTED)
            exchange_reject(x, 501, REASON_NOT_IMPLEMENTED, why);
        else
            exchange_reject(x, 400, REASON_BAD_REQUEST, why);
        return;
    }
    x->req.scheme = STR("http"); /* of the connection: what the target claims is only a claim */
    if (UNLIKELY(x->req.expect_unknown)) {
        s->keep_alive = s->body_done = false;
        exchange_reject(x, 417, REASON_EXPECTATION_FAILED, NULL);
        return;
    }
    s->keep_alive = x->req.keep_alive && !s->local->draining &&
                    (rules_of(s)->requests_per_connection == 0 ||
                     s->requests < rules_of(s)->requests_per_connection);
    h1_body_init(&s->body, x->req.body, x->req.content_length);
    s->body_done = !request_has_body(&x->req);
    s->body_wanted = false;
    if (!s->body_done)
        conn_pause(s->conn); /* until somebody wants the body */
    exchange_start(x);
    if (s->stream.x == x)
        due(s, &x->due_ns, x->due_ns);
}

static void read_head(struct session *s)
{
    struct conn *c = s->conn;
    struct str in = conn_input(c);
    struct h1_lines lines;
    enum head_result r;
    size_t len;

    if (in.len == 0) {
        if (conn_peer_ended(c))
            session_end(s, CLOSE_WRITTEN);
        return;
    }
    if (!conn_has_room(c)) { /* whoever does not read gets no further answers made */
        conn_pause(c);
        return;
    }
    if (s->state == SESSION_IDLE) {
        s->state = SESSION_HEAD;
        s->head_due_ns = 0;
    }
    r = h1_head_scan(in, &s->scan, &rules_of(s)->head, true, &lines, &len);
    if (r == HEAD_DONE) {
        conn_expect_large(c, false);
        begin(s, len, &lines);
        return;
    }
    if (r != HEAD_MORE) {
        reject_head(s, r, "malformed request head");
        return;
    }
    if (conn_peer_ended(c)) {
        session_end(s, CLOSE_WRITTEN);
        return;
    }
    if (s->head_due_ns == 0) {
        due(s, &s->head_due_ns, now_of(s) + rules_of(s)->header_ns);
        conn_await_rest(c);
    }
    if (in.len > LOOP_SMALL_BUFFER / 2)
        conn_expect_large(c, true);
}

/* ---- reading its body ------------------------------------------------------------------------- */

static bool feed_piece(struct session *s, struct exchange *x, const struct piece *p)
{
    size_t taken;

    s->feeding = true;
    taken = exchange_request_body(x, p);
    s->feeding = false;
    if (s->stream.x != x || !s->conn)
        return false;
    conn_consume(s->conn, taken);
    h1_body_took(&s->body, taken);
    if (taken < p->data.len) {
        s->body_wanted = false;
        s->body_due_ns = 0;
        conn_pause(s->conn);
        return false;
    }
    if (p->last) {
        s->body_done = true;
        s->body_due_ns = 0;
        conn_expect_large(s->conn, false);
        return false;
    }
    return true;
}

static void feed_body(struct session *s)
{
    struct exchange *x = s->stream.x;

    for (;;) {
        struct piece p = { 0 };
        size_t skip;
        enum h1_body_result r = h1_body_next(&s->body, conn_input(s->conn), &skip, &p.data,
                                             x->drops_trailers ? NULL : &x->req_trailers);

        conn_consume(s->conn, skip);
        switch (r) {
        case H1_BODY_DATA:
            p.last = s->body.kind == BODY_LENGTH && s->body.left == p.data.len;
            if (!feed_piece(s, x, &p))
                return;
            break;
        case H1_BODY_DONE:
            p = (struct piece){ .last = true, .trailers = &x->req_trailers };
            feed_piece(s, x, &p);
            return;
        case H1_BODY_MORE:
            if (x->phase == PHASE_OVER) /* it was refused: the answer is on its way */
                return;
            if (conn_peer_ended(s->conn))
                session_end(s, CLOSE_NOW);
            else
                due(s, &s->body_due_ns, now_of(s) + x->route->limits.client_body_ns);
            return;
        case H1_BODY_BAD:
            s->keep_alive = false;
            s->body_wanted = false;
            x->in = SIDE_ABANDONED;
            exchange_fail(x, 400, REASON_BAD_REQUEST, "malformed chunked body");
            return;
        }
    }
}

/* The rest of the request's body lies whole in the buffer: drop it, and the connection can go on. */
static bool skip_body(struct session *s)
{
    if (s->feeding) /* the buffer is being read by somebody up the stack */
        return false;
    while (!s->body_done) {
        struct str data;
        size_t skip;

        switch (h1_body_next(&s->body, conn_input(s->conn), &skip, &data, NULL)) {
        case H1_BODY_DATA:
            conn_consume(s->conn, skip + data.len);
            h1_body_took(&s->body, data.len);
            break;
        case H1_BODY_DONE:
            conn_consume(s->conn, skip);
            s->body_done = true;
            break;
        case H1_BODY_MORE:
            conn_consume(s->conn, skip);
            if (s->body.kind != BODY_LENGTH || s->body.left > 0)
                return false;
            s->body_done = true;
            break;
        case H1_BODY_BAD:
            return false;
        }
    }
    s->body_due_ns = 0;
    return true;
}

/* ---- the conn's events ------------------------------------------------------------------------ */

static void on_bytes(struct conn *c)
{
    struct session *s = c->owner;

    if (s->state != SESSION_EXCHANGE) {
        read_head(s);
        return;
    }
    if (!s->stream.x) /* over, and `ended` is on its way */
        return;
    if (s->body_wanted && !s->body_done)
        feed_body(s);
    if (s->conn && s->stream.x && c->hung_up && !s->half_closed && s->stream.x->phase != PHASE_OVER)
        session_end(s, CLOSE_NOW);
}

static void on_room(struct conn *c)
{
    struct session *s = c->owner;

    s->write_due_ns = 0;
    if (s->stream.x)
        exchange_client_room(s->stream.x);
    else if (c->paused) /* the next request waits for the answers before it to leave */
        conn_resume(c);
}

static void on_broken(struct conn *c)
{
    session_end(c->owner, CLOSE_NOW);
}

static bool passed(const struct session *s, uint64_t due_ns)
{
    return due_ns && due_ns <= now_of(s);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a == 0 ? b : b == 0 || a < b ? a : b;
}

static void body_took_too_long(struct session *s)
{
    struct exchange *x = s->stream.x;

    s->body_due_ns = 0;
    s->keep_alive = false;
    x->in = SIDE_ABANDONED;
    exchange_fail(x, 408, REASON_REQUEST_TIMEOUT, "the request body took too long");
}

static void on_due(struct conn *c)
{
    struct session *s = c->owner;
    struct exchange *x = s->stream.x;

    if (s->state == SESSION_IDLE && passed(s, s->head_due_ns)) {
        session_end(s, CLOSE_WRITTEN);
        return;
    }
    if (s->state == SESSION_HEAD && passed(s, s->head_due_ns)) {
        reject(s, 408, REASON_REQUEST_TIMEOUT, "the request head took too long");
        return;
    }
    if (x && passed(s, s->body_due_ns) && !s->body_done) {
        if (nothing_more_comes(s)) /* its end came together with the request */
            session_end(s, CLOSE_NOW);
        else
            body_took_too_long(s);
        return;
    }
    if (x && passed(s, s->write_due_ns)) {
        if (c->bytes_out == s->sent_before) {
            exchange_client_gone(x, REASON_CLIENT_SLOW);
            s->stream.x = NULL;
            session_end(s, CLOSE_NOW);
            return;
        }
        s->sent_before = c->bytes_out;
        s->write_due_ns = now_of(s) + x->route->limits.client_write_ns;
    }
    if (x && x->phase < PHASE_SENDING && passed(s, x->due_ns)) {
        if (s->body_due_ns && !s->body_done) /* we wait for the client, not for the service */
            body_took_too_long(s);
        else
            exchange_expired(x);
        return;
    }
    conn_set_due(c, earlier(earlier(s->head_due_ns, x && x->phase < PHASE_SENDING ? x->due_ns : 0),
                            earlier(s->body_due_ns, s->write_due_ns)));
}

/* ---- the exchange's side ---------------------------------------------------------------------- */

static struct session *session_of(struct client_stream *cs)
{
    return CONTAINER(cs, struct session, stream);
}

static void send_early(struct client_stream *cs, const struct response *r)
{
    struct session *s = session_of(cs);
    size_t size = h1_response_size(r);

    if (cs->x->req.version == 10) /* RFC 9110 15.2: an HTTP/1.0 client must not be sent a 1xx */
        return;
    if (conn_unsent(s->conn) + size > LOOP_LARGE_BUFFER / 2) /* a hint that finds no room is none */
        return;
    conn_commit(s->conn, h1_write_response(conn_reserve(s->conn, size), r, STR("")));
}

static void frame_body(struct session *s, const struct request *req, struct response *r, bool last)
{
    bool has_none = r->status == 204 || r->status == 304 || r->status < 200;

    s->chunked_out = s->close_delimited = false;
    s->chunk_left = 0;
    if (r->body == BODY_LENGTH || has_none)
        return;
    if (r->body == BODY_NONE) {
        if (last && req->method != METHOD_HEAD) {
            r->body = BODY_LENGTH;
            r->content_length = 0;
        }
        return;
    }
    if (req->method == METHOD_HEAD && last) {
        if (req->version < 11) /* RFC 9112 6.1: no coding for those who cannot know it */
            r->body = BODY_NONE;
        return;
    }
    if (req->version >= 11) {
        r->body = BODY_CHUNKED;
        s->chunked_out = true;
    } else {
        r->body = BODY_UNTIL_CLOSE;
        s->close_delimited = true;
        s->keep_alive = false;
    }
}

/* The answer is complete and nothing follows it. */
static void note_last(struct session *s)
{
    if (!s->keep_alive && s->body_done)
        conn_farewell(s->conn);
}

static void send_head(struct client_stream *cs, struct response *r, bool last)
{
    struct session *s = session_of(cs);
    struct exchange *x = cs->x;
    struct str connection = STR("");

    frame_body(s, &x->req, r, last);
    if (!s->body_done && x->made_here && !skip_body(s))
        s->keep_alive = false;
    if (!s->body_done &&
        r->status >= 300) /* the service has decided without the rest of the body */
        s->keep_alive = false;
    if (s->local->draining)
        s->keep_alive = false;
    if (!fields_have(&r->fields, FIELD_DATE))
        fields_add_known(&r->fields, FIELD_DATE, local_date(s->local));
    if (!s->keep_alive)
        connection = STR("close");
    else if (x->req.version == 10)
        connection = STR("keep-alive");
    conn_commit(s->conn,
                h1_write_response(conn_reserve(s->conn, h1_response_size(r) + 32), r, connection));
    if (last)
        note_last(s);
}

static size_t send_body(struct client_stream *cs, const struct piece *p)
{
    struct session *s = session_of(cs);
    size_t taken =
        s->chunked_out ? chunked_send(s->conn, &s->chunk_left, p) : conn_write(s->conn, p->data);

    if (p->last && taken == p->data.len)
        note_last(s);
    if (taken < p->data.len && s->write_due_ns == 0) {
        s->sent_before = s->conn->bytes_out;
        due(s, &s->write_due_ns, now_of(s) + cs->x->route->limits.client_write_ns);
    }
    return taken;
}

static void resume_body(struct client_stream *cs)
{
    struct session *s = session_of(cs);

    if (s->body_done || s->body_wanted)
        return;
    s->body_wanted = true;
    if (s->body.left >= LOOP_SMALL_BUFFER || s->body.kind == BODY_CHUNKED)
        conn_expect_large(s->conn, true);
    due(s, &s->body_due_ns,
        now_of(s) + (nothing_more_comes(s) ? 0 : cs->x->route->limits.client_body_ns));
    if (conn_input(s->conn).len == 0)
        conn_await_rest(s->conn);
    conn_resume(s->conn);
}

/* The head has been sent and the rest will not come: a client must not take what it has for the whole. */
static void reset(struct client_stream *cs)
{
    struct session *s = session_of(cs);

    if (s->close_delimited)
        conn_reset_on_close(s->conn);
    session_end(s, CLOSE_WRITTEN);
}

static void ended(struct client_stream *cs)
{
    struct session *s = session_of(cs);

    if (!s->conn)
        return;
    if (!s->body_done) { /* the client may still be sending it */
        session_end(s, CLOSE_LINGERING);
        return;
    }
    if (!s->keep_alive) {
        session_end(s, conn_input(s->conn).len ? CLOSE_LINGERING : CLOSE_WRITTEN);
        return;
    }
    if (nothing_more_comes(s)) {
        session_end(s, CLOSE_WRITTEN);
        return;
    }
    be_idle(s);
    if (s->conn->paused || conn_input(s->conn).len || s->conn->hung_up)
        conn_resume(s->conn);
}

const struct conn_events h1_client_events = {
    .on_bytes = on_bytes,
    .on_room = on_room,
    .on_broken = on_broken,
    .on_due = on_due,
};

const struct client_protocol h1_client = {
    .name = "http/1.1",
    .send_early = send_early,
    .send_head = send_head,
    .send_body = send_body,
    .resume_body = resume_body,
    .reset = reset,
    .ended = ended,
};
