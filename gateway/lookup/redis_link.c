/* One connection to a Redis. */
#include "gateway/lookup/redis_link.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "gateway/base/number.h"
#include "workers/dial.h"

#define LINK_MAGIC 0x4ed15c0du
#define UNSENT_MAX (LOOP_LARGE_BUFFER / 2) /* bytes on their way to the socket */
#define WHY_MAX    256

/* ---- writing ---------------------------------------------------------------------------------- */

/* "$5\r\n" and "*3\r\n" */
static char *put_count(char *to, char kind, size_t n)
{
    *to++ = kind;
    to += number_write_u64(to, n);
    *to++ = '\r';
    *to++ = '\n';
    return to;
}

static size_t command_bytes(const struct str *words, size_t count)
{
    size_t n = NUMBER_TEXT_MAX + 3;

    for (size_t i = 0; i < count; i++)
        n += NUMBER_TEXT_MAX + 3 + words[i].len + 2;
    return n;
}

static bool put_command(struct redis_link *l, struct redis_command *c, const struct str *words,
                        size_t count)
{
    struct str asking = STR("*1\r\n$6\r\nASKING\r\n");
    size_t most = command_bytes(words, count) + asking.len;
    char *begin, *to;

    if (most > UNSENT_MAX || conn_unsent(l->conn) > UNSENT_MAX - most)
        return false;
    begin = to = conn_reserve(l->conn, most);
    if (c->after_asking) {
        memcpy(to, asking.at, asking.len);
        to += asking.len;
    }
    c->asking_owed = c->after_asking;
    to = put_count(to, '*', count);
    for (size_t i = 0; i < count; i++) {
        to = put_count(to, '$', words[i].len);
        if (words[i].len)
            memcpy(to, words[i].at, words[i].len);
        to += words[i].len;
        *to++ = '\r';
        *to++ = '\n';
    }
    conn_commit(l->conn, (size_t)(to - begin));
    list_push_back(&l->sent, &c->node);
    l->sent_count++;
    return true;
}

bool redis_link_send(struct redis_link *l, struct redis_command *c, const struct str *words,
                     size_t count)
{
    if (l->state != REDIS_LINK_UP || !put_command(l, c, words, count))
        return false;
    if (l->sent_count == 1)
        conn_set_due(l->conn, l->rules->loop->now_ns + l->rules->silence_ns);
    return true;
}

/* ---- the end ---------------------------------------------------------------------------------- */

/* In two steps, since whoever hears of a failed command may use this link again. */
static void take_down(struct redis_link *l, struct list *owed)
{
    conn_close(l->conn, CLOSE_NOW);
    l->conn = NULL;
    l->state = REDIS_LINK_DOWN;
    list_move(owed, &l->sent);
}

static void fail_all(struct redis_link *l, struct list *owed, const char *why)
{
    struct link_node *n;

    while ((n = list_pop_front(owed))) {
        struct redis_command *c = CONTAINER(n, struct redis_command, node);

        c->on_reply(c, l, NULL, why);
    }
}

static void break_link(struct redis_link *l, const char *why)
{
    struct list owed;
    bool was_up = l->state == REDIS_LINK_UP;

    take_down(l, &owed);
    l->events->on_down(l, was_up, why);
    l->sent_count = 0;
    fail_all(l, &owed, why);
}

void redis_link_close(struct redis_link *l, const char *why)
{
    struct list owed;

    if (l->state == REDIS_LINK_DOWN)
        return;
    take_down(l, &owed);
    l->sent_count = 0;
    fail_all(l, &owed, why);
}

/* ---- the greeting ----------------------------------------------------------------------------- */

static void refuse(struct redis_link *l, const struct redis_reply *r, const char *what)
{
    char why[WHY_MAX];

    /* An answer to AUTH does not repeat the password. */
    if (r->type == REPLY_ERROR)
        snprintf(why, sizeof why, "%s: %.*s", what, STR_ARGS(str_up_to(r->text, 160)));
    else
        snprintf(why, sizeof why, "%s: not an answer of Redis", what);
    break_link(l, why);
}

/* To all but the last: "+OK". */
static void on_step(struct redis_command *c, struct redis_link *l, const struct redis_reply *r,
                    const char *why)
{
    (void)why;
    if (r && r->type != REPLY_STATUS)
        refuse(l, r, c == &l->greetings[0] ? "AUTH" : "SELECT");
}

static void comes_up(struct redis_link *l)
{
    l->state = REDIS_LINK_UP;
    l->up_ns = l->rules->loop->now_ns;
    conn_set_due(l->conn, 0);
    l->events->on_up(l);
}

static void on_pong(struct redis_command *c, struct redis_link *l, const struct redis_reply *r,
                    const char *why)
{
    (void)c;
    (void)why;
    if (!r)
        return;
    if (r->type == REPLY_STATUS && str_equal(r->text, STR("PONG")))
        comes_up(l);
    else
        refuse(l, r, "PING");
}

static void on_role(struct redis_command *c, struct redis_link *l, const struct redis_reply *r,
                    const char *why)
{
    const struct redis_reply *role = r ? redis_reply_item(r, 0, REPLY_TEXT) : NULL;

    (void)c;
    (void)why;
    if (!r)
        return;
    if (role && str_equal(role->text, STR("master")))
        comes_up(l);
    else if (role)
        break_link(l, "it is not the master");
    else
        refuse(l, r, "ROLE");
}

static void greet(struct redis_link *l)
{
    const struct redis_link_rules *r = l->rules;
    char database[NUMBER_TEXT_MAX];
    struct str words[3];
    size_t n = 0;
    bool sent = true;

    if (r->password.len > 0) {
        words[n++] = STR("AUTH");
        if (r->username.len > 0)
            words[n++] = r->username;
        words[n++] = r->password;
        sent = put_command(l, &l->greetings[0], words, n);
    }
    if (r->database > 0) {
        words[0] = STR("SELECT");
        words[1] = str_of(database, number_write_u64(database, r->database));
        sent = sent && put_command(l, &l->greetings[1], words, 2);
    }
    words[0] = r->only_masters ? STR("ROLE") : STR("PING");
    sent = sent && put_command(l, &l->greetings[2], words, 1);
    if (!sent)
        break_link(l, "the greeting is too long");
}

/* ---- what the connection tells ---------------------------------------------------------------- */

static struct redis_link *link_of(struct conn *c)
{
    struct redis_link *l = c->owner;

    CHECK(l->magic == LINK_MAGIC && l->conn == c);
    return l;
}

static void on_open(struct conn *c)
{
    greet(link_of(c));
}

static void give_reply(struct redis_link *l, const struct redis_reply *r)
{
    struct redis_command *c = CONTAINER(list_first(&l->sent), struct redis_command, node);

    if (c->asking_owed) {
        c->asking_owed = false;
        return;
    }
    link_remove(&c->node);
    l->sent_count--;
    if (l->state == REDIS_LINK_UP) /* a whole reply is progress, a byte is not */
        conn_set_due(l->conn, l->sent_count ? l->rules->loop->now_ns + l->rules->silence_ns : 0);
    c->on_reply(c, l, r, NULL);
}

/* Whoever hears a reply may close this link, never open it again from there. */
static void read_replies(struct redis_link *l)
{
    const struct redis_reply *r;

    while (l->conn) {
        switch (redis_reader_next(l->reader, &r)) {
        case READ_MORE:
            return;
        case READ_BAD:
            break_link(l, "it does not speak the protocol of Redis");
            return;
        case READ_REPLY:
            if (list_is_empty(&l->sent)) {
                if (r->type == REPLY_ERROR)
                    refuse(l, r, "it closes"); /* too many clients, for one */
                else
                    break_link(l, "an answer to nothing");
                return;
            }
            give_reply(l, r);
        }
    }
}

static void on_bytes(struct conn *c)
{
    struct redis_link *l = link_of(c);
    struct str in = conn_input(c);

    if (in.len > 0) {
        redis_reader_feed(l->reader, in);
        conn_consume(c, in.len);
        read_replies(l);
        if (l->conn != c)
            return;
    }
    if (conn_peer_ended(c))
        break_link(l, "it closed the connection");
}

static void on_room(struct conn *c)
{
    (void)c;
}

static void on_broken(struct conn *c)
{
    break_link(link_of(c), strerror(c->error));
}

static void on_due(struct conn *c)
{
    struct redis_link *l = link_of(c);

    break_link(l, l->state == REDIS_LINK_UP ? "it says nothing"
                  : c->opening              ? "no connection in time"
                                            : "no greeting in time");
}

static const struct conn_events of_conn = {
    .on_open = on_open,
    .on_bytes = on_bytes,
    .on_room = on_room,
    .on_broken = on_broken,
    .on_due = on_due,
};

/* ---- life ------------------------------------------------------------------------------------- */

void redis_link_init(struct redis_link *l, const struct redis_link_rules *rules,
                     const struct redis_link_events *events, void *owner)
{
    *l = (struct redis_link){ .magic = LINK_MAGIC,
                              .rules = rules,
                              .events = events,
                              .owner = owner,
                              .reader = redis_reader_new() };
    list_init(&l->sent);
    for (size_t i = 0; i < REDIS_GREETINGS; i++) {
        link_init(&l->greetings[i].node);
        l->greetings[i].on_reply = i + 1 < REDIS_GREETINGS ? on_step
                                   : rules->only_masters   ? on_role
                                                           : on_pong;
    }
}

void redis_link_end(struct redis_link *l)
{
    if (l->conn)
        conn_close(l->conn, CLOSE_NOW);
    l->conn = NULL;
    redis_reader_free(l->reader);
    l->magic = 0;
}

/* So that a server that vanished from the network is missed before somebody asks it. A link that owes something is watched
 * by silence_ns. */
static void keep_alive(int fd)
{
    int on = 1, idle_s = 10, every_s = 5, times = 3;

    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof every_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof times);
}

bool redis_link_open(struct redis_link *l, const struct redis_address *to)
{
    CHECK(l->state == REDIS_LINK_DOWN);
    l->conn = dial(l->rules->loop, l->rules->conns, (const struct sockaddr *)(const void *)&to->at,
                   to->len, &of_conn, l);
    if (!l->conn)
        return false;
    if (to->at.ss_family != AF_UNIX)
        keep_alive(l->conn->watch.fd);
    redis_reader_restart(l->reader);
    l->state = REDIS_LINK_OPENING;
    conn_set_due(l->conn, l->rules->loop->now_ns + l->rules->connect_ns);
    return true;
}
