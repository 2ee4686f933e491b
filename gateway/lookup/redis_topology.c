/* Who serves which key. */
#include "gateway/lookup/redis_topology.h"

#include <stdlib.h>

#include "gateway/base/log.h"
#include "gateway/base/number.h"

#define LOOK_GAP   (50 * NS_PER_MS)  /* nobody is asked more often */
#define LOOK_AGAIN (300 * NS_PER_MS) /* an answer should have come: ask another one */
#define LOOK_EVERY (15 * NS_PER_S)   /* a picture that is well */
#define TOLD_EVERY (60 * NS_PER_S)   /* the same complaint */
#define NAMED_FOR  (60 * NS_PER_S)   /* a server that another one named is kept */

static struct loop *loop_of(const struct redis_topology *t)
{
    return t->rules.link.loop;
}

static void look_at(struct redis_topology *t, uint64_t due_ns)
{
    timer_set(&loop_of(t)->timers, &t->look_timer, due_ns);
}

/* ---- looking ---------------------------------------------------------------------------------- */

static void on_look_due(struct timer *timer)
{
    struct redis_topology *t = CONTAINER(timer, struct redis_topology, look_timer);

    t->looked_ns = loop_of(t)->now_ns;
    look_at(t, t->looked_ns + LOOK_AGAIN);
    t->kind->look(t);
}

void redis_topology_doubt(struct redis_topology *t)
{
    uint64_t now = loop_of(t)->now_ns, due = t->looked_ns + LOOK_GAP;

    if (!t->kind->look)
        return;
    due = due > now ? due : now;
    if (t->look_timer.due_ns == 0 || due < t->look_timer.due_ns)
        look_at(t, due);
}

void redis_topology_settled(struct redis_topology *t)
{
    uint64_t every = t->kind == &redis_sentinel || redis_topology_is_away(t)
                         ? t->target->retry_every_ns
                         : LOOK_EVERY;

    look_at(t, loop_of(t)->now_ns + every / 2 + random_below(t->rules.random, every / 2 + 1));
}

void redis_topology_complain(struct redis_topology *t, const struct redis_server *s,
                             const char *what, struct str detail)
{
    uint64_t since = loop_of(t)->now_ns - t->told_ns;

    if (t->told && since < (t->told == what ? TOLD_EVERY : NS_PER_S))
        return;
    t->told = what;
    t->told_ns = loop_of(t)->now_ns;
    log_line(LOG_LEVEL_WARN, "store redis:%.*s: %s %s%.*s", STR_ARGS(t->rules.store),
             s->address.text, what, STR_ARGS(str_up_to(detail, 200)));
}

struct redis_server *redis_topology_next(struct redis_topology *t)
{
    for (size_t i = 0; i < t->server_count; i++) {
        struct redis_server *s = t->servers[t->turn++ % t->server_count];

        if (redis_server_is_connected(s) && !s->looking)
            return s;
    }
    return NULL;
}

void redis_topology_ask(struct redis_topology *t, struct redis_server *s, const struct str *words,
                        size_t count,
                        void (*on_reply)(struct redis_command *, struct redis_link *,
                                         const struct redis_reply *, const char *))
{
    (void)t;
    s->look.on_reply = on_reply;
    s->looking = redis_link_send(redis_server_link(s), &s->look, words, count);
}

/* ---- what servers tell ------------------------------------------------------------------------ */

static void on_server_change(struct redis_server *s)
{
    struct redis_topology *t = redis_topology_of(s);

    t->on_change(t);
}

static void on_server_up(struct redis_server *s)
{
    struct redis_topology *t = redis_topology_of(s);

    t->kind->on_up(t, s);
}

static void on_server_doubt(struct redis_server *s)
{
    redis_topology_doubt(redis_topology_of(s));
}

struct redis_server *redis_topology_server(struct redis_topology *t,
                                           const struct redis_server_rules *rules,
                                           const struct redis_address *a)
{
    for (size_t i = 0; i < t->server_count; i++)
        if (redis_address_equal(&t->servers[i]->address, a))
            return t->servers[i];
    if (t->server_count == REDIS_SERVERS_MAX)
        return NULL;
    t->servers[t->server_count] = redis_server_new(rules, a);
    return t->servers[t->server_count++];
}

/* ---- asking it -------------------------------------------------------------------------------- */

struct redis_server *redis_topology_find(struct redis_topology *t, struct str key)
{
    return t->kind->find(t, key);
}

bool redis_topology_is_looking(const struct redis_topology *t)
{
    if (t->slots)
        return false; /* there is a picture, and nobody has the slot in it */
    for (size_t i = 0; i < t->server_count; i++) {
        const struct redis_server *s = t->servers[i];

        if (s->up + s->opening > 0 || s->dials_failed == 0)
            return true;
    }
    return false;
}

struct redis_server *redis_topology_named(struct redis_topology *t, struct redis_server *by,
                                          struct str error, bool moved)
{
    struct redis_address a;
    struct redis_server *s;
    struct str host;
    uint64_t slot, port;

    if (moved)
        redis_topology_doubt(t);
    if (!t->slots || !redis_redirection(error, &slot, &host, &port) || slot >= REDIS_SLOTS)
        return NULL;
    if (!redis_address_told(host, port, &by->address, &a)) {
        redis_topology_complain(t, by, "names a server by no numeric address: ", host);
        return NULL;
    }
    s = redis_topology_server(t, &t->rules, &a);
    if (s)
        s->named_until_ns = loop_of(t)->now_ns + NAMED_FOR;
    if (s && moved)
        for (size_t i = 0; i < t->server_count; i++)
            if (t->servers[i] == s)
                t->slots[slot] = (uint8_t)i;
    return s;
}

bool redis_topology_is_away(const struct redis_topology *t)
{
    if (t->kind == &redis_sentinel)
        return t->master && t->master->outage.state != OUTAGE_UP;
    for (size_t i = 0; i < t->server_count; i++)
        if (t->servers[i]->outage.state != OUTAGE_UP && (t->servers[i]->wanted || !t->slots))
            return true;
    return false;
}

static bool would_take(const struct redis_server *s)
{
    return redis_outage_would_allow(&s->outage) && (s->up + s->opening > 0 || s->dials_failed == 0);
}

bool redis_topology_would_take(const struct redis_topology *t)
{
    if (t->kind == &redis_sentinel)
        return t->master && would_take(t->master);
    for (size_t i = 0; i < t->server_count; i++)
        if (would_take(t->servers[i]))
            return true;
    return false;
}

/* ---- life ------------------------------------------------------------------------------------- */

void redis_topology_init(struct redis_topology *t, const struct redis_target *target,
                         const struct redis_server_rules *rules,
                         void (*on_change)(struct redis_topology *t))
{
    static const struct redis_topology_kind *const kinds[] = {
        [REDIS_SINGLE] = &redis_single,
        [REDIS_SENTINEL] = &redis_sentinel,
        [REDIS_CLUSTER] = &redis_cluster,
    };

    *t = (struct redis_topology){
        .kind = kinds[target->mode], .target = target, .rules = *rules, .on_change = on_change
    };
    t->rules.on_change = on_server_change;
    t->rules.on_up = on_server_up;
    t->rules.on_doubt = on_server_doubt;
    t->rules.owner = t;
    timer_init(&t->look_timer, on_look_due);
    t->addresses = calloc(target->address_count + 1, sizeof *t->addresses);
    if (!t->addresses)
        die("out of memory for the addresses of a store");
    for (size_t i = 0; i < target->address_count && t->address_count < REDIS_SERVERS_MAX; i++) {
        if (redis_address_read(target->addresses[i], &t->addresses[t->address_count]))
            t->address_count++;
        else
            log_line(LOG_LEVEL_ERROR, "store redis:%.*s: not a numeric address: %.*s",
                     STR_ARGS(target->name), STR_ARGS(target->addresses[i]));
    }
    t->kind->begin(t);
}

void redis_topology_end(struct redis_topology *t)
{
    timer_remove(&loop_of(t)->timers, &t->look_timer);
    while (t->server_count > 0)
        redis_server_end(t->servers[--t->server_count], "the store is closed");
    if (t->master)
        redis_server_end(t->master, "the store is closed");
    if (t->candidate)
        redis_server_end(t->candidate, "the store is closed");
    free(t->addresses);
    free(t->slots);
}

/* ---- one server ------------------------------------------------------------------------------- */

static void single_begin(struct redis_topology *t)
{
    if (t->address_count > 0)
        redis_topology_server(t, &t->rules, &t->addresses[0])->wanted = true;
}

static struct redis_server *single_find(struct redis_topology *t, struct str key)
{
    (void)key;
    return t->server_count ? t->servers[0] : NULL;
}

static void single_on_up(struct redis_topology *t, struct redis_server *s)
{
    (void)t;
    (void)s;
}

const struct redis_topology_kind redis_single = { .begin = single_begin,
                                                  .find = single_find,
                                                  .on_up = single_on_up };
