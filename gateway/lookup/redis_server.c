/* One Redis server as a worker sees it. */
#include "gateway/lookup/redis_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/log.h"
#include "gateway/base/number.h"
#include "workers/conn.h"

#define SERVER_MAGIC   0x5e47e4edu
#define FIRST_DELAY    (10 * NS_PER_MS)
#define DOUBLINGS_MAX  10
#define SAME_ERROR_NS  (60 * NS_PER_S) /* the same trouble is said again after so long */
#define OTHER_ERROR_NS NS_PER_S        /* another one, at most so often */

static struct redis_server *server_of(struct redis_link *l)
{
    struct redis_server *s = l->owner;

    CHECK(s->magic == SERVER_MAGIC);
    return s;
}

static struct loop *loop_of(const struct redis_server *s)
{
    return s->rules->link.loop;
}

static uint64_t now(const struct redis_server *s)
{
    return loop_of(s)->now_ns;
}

/* ---- away and back ---------------------------------------------------------------------------- */

static void went_away(struct redis_server *s, const char *why)
{
    log_line(LOG_LEVEL_WARN, "store redis:%.*s: %s is away: %s", STR_ARGS(s->rules->store),
             s->address.text, why);
    timer_set(&loop_of(s)->timers, &s->ping_timer, now(s) + s->rules->retry_every_ns);
    s->rules->on_change(s);
}

static void came_back(struct redis_server *s)
{
    log_line(LOG_LEVEL_INFO, "store redis:%.*s: %s is back", STR_ARGS(s->rules->store),
             s->address.text);
    s->told_ns = 0;
    s->rules->on_change(s);
}

void redis_server_succeeded(struct redis_server *s)
{
    s->dials_failed = 0;
    if (redis_outage_succeeded(&s->outage))
        came_back(s);
}

void redis_server_failed(struct redis_server *s, bool silent, const char *why)
{
    if (redis_outage_failed(&s->outage, silent, now(s)))
        went_away(s, why);
    else if (s->outage.state == OUTAGE_AWAY && s->ping_timer.due_ns == 0)
        timer_set(&loop_of(s)->timers, &s->ping_timer, now(s) + s->rules->retry_every_ns);
    s->rules->on_doubt(s);
}

static void say_error(struct redis_server *s, enum redis_trouble t, struct str error)
{
    uint64_t since = now(s) - s->told_ns;

    if (s->told_ns && since < (t == s->told_trouble ? SAME_ERROR_NS : OTHER_ERROR_NS))
        return;
    s->told_trouble = t;
    s->told_ns = now(s);
    log_line(LOG_LEVEL_WARN, "store redis:%.*s: %s answers: %.*s", STR_ARGS(s->rules->store),
             s->address.text, STR_ARGS(str_up_to(error, 300)));
}

void redis_server_erred(struct redis_server *s, struct str error)
{
    enum redis_trouble t = redis_trouble_of(error);

    say_error(s, t, error);
    if (redis_trouble_is_servers(t))
        redis_server_failed(s, false, "it answers with errors");
    else
        redis_server_succeeded(s);
}

/* ---- the line --------------------------------------------------------------------------------- */

struct redis_link *redis_server_link(struct redis_server *s)
{
    struct redis_link *best = NULL;

    for (size_t i = 0; i < s->link_count; i++) {
        struct redis_link *l = &s->links[i];

        if (l->state != REDIS_LINK_UP)
            continue;
        if (conn_unsent(l->conn) > 0 && conn_unsent(l->conn) < LOOP_SMALL_BUFFER)
            return l;
        if (!best || l->sent_count < best->sent_count)
            best = l;
    }
    return best;
}

void redis_server_go_on(struct redis_server *s)
{
    struct redis_link *l;
    struct link_node *n;

    while ((n = list_first(&s->line)) && (l = redis_server_link(s))) {
        struct redis_command *c = CONTAINER(n, struct redis_command, node);

        link_remove(n);
        if (!c->send(c, l)) {
            list_push_front(&s->line, n);
            return;
        }
    }
}

/* ---- PING ------------------------------------------------------------------------------------- */

static void on_ping_due(struct timer *t)
{
    struct redis_server *s = CONTAINER(t, struct redis_server, ping_timer);
    struct redis_link *l = redis_server_link(s);
    struct str word = STR("PING");

    if (s->outage.state != OUTAGE_AWAY)
        return;
    if (l && !s->pinging) {
        s->pinging = redis_link_send(l, &s->ping, &word, 1);
        s->pinged_ns = now(s);
    }
    timer_set(&loop_of(s)->timers, &s->ping_timer, now(s) + s->rules->retry_every_ns);
}

static void on_pong(struct redis_command *c, struct redis_link *l, const struct redis_reply *r,
                    const char *why)
{
    struct redis_server *s = CONTAINER(c, struct redis_server, ping);

    (void)l;
    (void)why;
    s->pinging = false;
    redis_server_go_on(s);
    if (!r || now(s) - s->pinged_ns > s->rules->timeout_ns)
        return;
    if (r->type == REPLY_ERROR)
        say_error(s, redis_trouble_of(r->text), r->text);
    else if (redis_outage_pinged(&s->outage, now(s)))
        came_back(s);
}

/* ---- links ------------------------------------------------------------------------------------ */

static void fail_line(struct redis_server *s, const char *why)
{
    struct list line;
    struct link_node *n;

    list_move(&line, &s->line);
    while ((n = list_pop_front(&line))) {
        struct redis_command *c = CONTAINER(n, struct redis_command, node);

        c->on_reply(c, NULL, NULL, why);
    }
}

/* Between one half of it and all: workers that lost a server together do not come back together. */
static uint64_t next_delay(struct redis_server *s)
{
    uint64_t delay = FIRST_DELAY << s->dials_failed;

    if (s->dials_failed < DOUBLINGS_MAX)
        s->dials_failed++;
    if (delay > s->rules->retry_every_ns)
        delay = s->rules->retry_every_ns;
    return delay / 2 + random_below(s->rules->random, delay / 2 + 1);
}

static void dial_later(struct redis_server *s)
{
    timer_set(&loop_of(s)->timers, &s->dial_timer, now(s) + next_delay(s));
}

/* Is a dial delayed? */
static bool backs_off(const struct redis_server *s)
{
    return s->dial_timer.due_ns != 0;
}

static void dial_some(struct redis_server *s)
{
    for (size_t i = 0; i < s->link_count && !backs_off(s); i++) {
        struct redis_link *l = &s->links[i];

        if (s->up == 0 && s->opening > 0)
            return; /* one is enough to see whether it is there */
        if (l->state != REDIS_LINK_DOWN)
            continue;
        if (!redis_link_open(l, &s->address)) {
            int error = errno;

            dial_later(s);
            if (s->up == 0)
                redis_server_failed(s, true, strerror(error));
            return;
        }
        s->opening++;
    }
}

static void on_dial_due(struct timer *t)
{
    struct redis_server *s = CONTAINER(t, struct redis_server, dial_timer);

    dial_some(s);
    if (s->up == 0 && s->opening == 0)
        fail_line(s, "no connection");
}

static void on_up(struct redis_link *l)
{
    struct redis_server *s = server_of(l);

    s->opening--;
    s->up++;
    if (redis_outage_pinged(&s->outage, now(s))) /* the greeting was one */
        came_back(s);
    redis_server_go_on(s);
    s->rules->on_up(s);
    if (s->magic == SERVER_MAGIC)
        dial_some(s);
}

static void say_one_less(struct redis_server *s, const char *why)
{
    char text[256];

    snprintf(text, sizeof text, "to one connection more: %s", why);
    say_error(s, TROUBLE_UNABLE, str_from(text));
}

static void on_down(struct redis_link *l, bool was_up, const char *why)
{
    struct redis_server *s = server_of(l);
    bool lived = was_up && now(s) - l->up_ns >= s->rules->retry_every_ns;

    if (was_up)
        s->up--;
    else
        s->opening--;
    if (lived)
        s->dials_failed = 0;
    /* A server may close whom it has not heard for a while; whether it is gone, dialling will show. */
    if (lived && l->sent_count == 0)
        timer_set(&loop_of(s)->timers, &s->dial_timer, now(s));
    else if (!backs_off(s))
        dial_later(s);
    if (!was_up && s->up > 0)
        say_one_less(s, why); /* it has enough clients, perhaps */
    else if (was_up && l->sent_count == 0)
        s->rules->on_doubt(s);
    else
        redis_server_failed(s, true, why);
    if (!was_up && s->up == 0)
        fail_line(s, why);
}

static const struct redis_link_events link_events = { .on_up = on_up, .on_down = on_down };

bool redis_server_take(struct redis_server *s, struct redis_command *c)
{
    struct redis_link *l = redis_server_link(s);

    if (l && list_is_empty(&s->line) && c->send(c, l))
        return true;
    /* Just broken, or refused: until it is dialled again there is nothing to wait for. */
    if (s->up == 0 && s->opening == 0 && s->dials_failed > 0)
        return false;
    list_push_back(&s->line, &c->node);
    return true;
}

/* ---- life ------------------------------------------------------------------------------------- */

static void free_server(struct task *t)
{
    free(CONTAINER(t, struct redis_server, end_task));
}

struct redis_server *redis_server_new(const struct redis_server_rules *rules,
                                      const struct redis_address *address)
{
    size_t n = rules->connections ? rules->connections : 1;
    struct redis_server *s = calloc(1, sizeof *s + n * sizeof s->links[0]);

    if (!s)
        die("out of memory for a server of Redis");
    s->magic = SERVER_MAGIC;
    s->rules = rules;
    s->address = *address;
    s->link_count = n;
    redis_outage_init(&s->outage, rules->open_after, rules->retry_every_ns);
    link_init(&s->node);
    list_init(&s->line);
    timer_init(&s->dial_timer, on_dial_due);
    timer_init(&s->ping_timer, on_ping_due);
    task_init(&s->end_task, free_server);
    link_init(&s->ping.node);
    link_init(&s->look.node);
    s->ping.on_reply = on_pong;
    for (size_t i = 0; i < n; i++)
        redis_link_init(&s->links[i], &rules->link, &link_events, s);
    /* From the loop: whoever makes a server may hear of nothing before it knows it. */
    timer_set(&loop_of(s)->timers, &s->dial_timer, 1);
    return s;
}

void redis_server_end(struct redis_server *s, const char *why)
{
    link_remove(&s->node);
    timer_remove(&loop_of(s)->timers, &s->dial_timer);
    timer_remove(&loop_of(s)->timers, &s->ping_timer);
    for (size_t i = 0; i < s->link_count; i++)
        redis_link_close(&s->links[i], why);
    fail_line(s, why);
    for (size_t i = 0; i < s->link_count; i++)
        redis_link_end(&s->links[i]);
    s->magic = 0;
    loop_queue_end(loop_of(s), &s->end_task);
}

void redis_server_renew(struct redis_server *s, const char *why)
{
    s->up = s->opening = 0;
    if (!backs_off(s))
        dial_later(s);
    for (size_t i = 0; i < s->link_count; i++)
        redis_link_close(&s->links[i], why);
}
