/* Redis as a worker asks it.
 *
 * A question becomes a command of ours that outlives it: Redis cannot be told to forget, so when nobody wants to know any
 * more the command stays until its reply has come by. What a command may still do is said by few words: `sent` (it is in a
 * link's pipeline, otherwise in a line), `over` (its time is up: whatever comes is dropped), and who asked, or NULL.
 */
#include "gateway/lookup/redis.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/arena.h"
#include "gateway/base/log.h"
#include "gateway/base/number.h"
#include "gateway/lookup/redis_store.h"
#include "gateway/lookup/redis_topology.h"

#define ASKED_MAGIC 0xa54edc0du
#define PENDING_MAX                                                                                \
    2048 /* questions of a store that Redis owes an answer, cancelled and late ones included */
#define HOPS_MAX        4   /* NOSCRIPT, MOVED, ASK of one question */
#define OWN_BYTES       320 /* of key and arguments; longer ones take memory of their own */
/* A link that owes an answer is given up after so many timeouts, and not before so long. */
#define SILENT_TIMEOUTS 10
#define SILENT_LEAST    NS_PER_S

struct redis_store {
    struct redis_target target; /* texts in the arena */
    struct arena arena;
    struct loop *loop;
    struct lookups_observer observer;
    struct redis_topology topology;
    struct redis_outage outage; /* of finding out who has a key */
    struct pool commands;
    struct list all;  /* of struct asked */
    struct list due;  /* those whose time runs, by due_ns */
    struct list line; /* those without a server yet */
    struct timer timer;
    struct task dispatch;
    size_t pending;
    uint64_t used_ns;
    bool told_away;
};

/* One question to Redis. */
struct asked {
    struct redis_command command;
    uint32_t magic;
    struct redis_store *store;
    struct redis_server *server;     /* NULL: in the store's line */
    struct redis_question *question; /* NULL: nobody wants to know */
    const struct redis_script *script;
    struct link_node node, due;
    uint64_t asked_ns, due_ns;
    bool sent, over;
    bool trial; /* of the server's outage */
    bool whole; /* the text of the script instead of its SHA-1 */
    uint8_t hops, word_count;
    uint32_t lens[1 + REDIS_ARGS]; /* of the key and the arguments, which lie in `text` */
    char *text;
    char own[OWN_BYTES];
};

/* ---- scripts ---------------------------------------------------------------------------------- */

void redis_script_init(struct redis_script *s, struct str text)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    s->text = text;
    if (EVP_Digest(text.at, text.len, digest, &len, EVP_sha1(), NULL) != 1 || len != 20)
        die("no SHA-1");
    for (unsigned i = 0; i < len; i++) {
        s->sha1[2 * i] = hex[digest[i] >> 4];
        s->sha1[2 * i + 1] = hex[digest[i] & 15];
    }
    s->sha1[40] = 0;
}

/* ---- a command's life ------------------------------------------------------------------------- */

static struct asked *asked_of(struct redis_command *c)
{
    struct asked *a = CONTAINER(c, struct asked, command);

    CHECK(a->magic == ASKED_MAGIC);
    return a;
}

static void forget(struct asked *a)
{
    struct redis_store *s = a->store;

    if (a->trial)
        redis_outage_forgot(&a->server->outage);
    link_remove(&a->command.node);
    link_remove(&a->node);
    link_remove(&a->due);
    if (a->text != a->own)
        free(a->text);
    a->magic = 0;
    s->pending--;
    pool_give(&s->commands, a);
}

/* Whoever asked is free to ask again. */
static void tell(struct redis_store *s, struct redis_question *q, uint64_t asked_ns,
                 const struct redis_answer *answer)
{
    q->command = NULL;
    if (s->observer.on_answer)
        s->observer.on_answer(s->observer.owner, s->target.name, answer->outcome,
                              s->loop->now_ns - asked_ns);
    q->on_answer(q, answer);
}

/* The command is over, and its question is answered. */
static void end_with(struct asked *a, const struct redis_answer *answer)
{
    struct redis_store *s = a->store;
    struct redis_question *q = a->question;
    uint64_t asked_ns = a->asked_ns;

    forget(a);
    if (q)
        tell(s, q, asked_ns, answer);
}

static void end_without(struct asked *a, enum redis_outcome outcome)
{
    end_with(a, &(struct redis_answer){ .outcome = outcome });
}

/* ---- sending ---------------------------------------------------------------------------------- */

static struct str key_of(const struct asked *a)
{
    return str_of(a->text, a->lens[0]);
}

static bool send_question(struct redis_command *c, struct redis_link *l)
{
    struct asked *a = asked_of(c);
    struct str words[3 + 1 + REDIS_ARGS];
    const char *at = a->text;
    size_t n = 0;

    words[n++] = a->whole ? STR("EVAL") : STR("EVALSHA");
    words[n++] = a->whole ? a->script->text : str_of(a->script->sha1, 40);
    words[n++] = STR("1");
    for (size_t i = 0; i < a->word_count; i++) {
        words[n++] = str_of(at, a->lens[i]);
        at += a->lens[i];
    }
    a->sent = redis_link_send(l, c, words, n);
    return a->sent;
}

/* To this server. False: it cannot take it, and the command is still ours. */
static bool go_to(struct asked *a, struct redis_server *server)
{
    if (!redis_outage_allows(&server->outage))
        return false;
    a->server = server;
    a->trial = server->outage.state == OUTAGE_TRIAL;
    a->sent = false;
    return redis_server_take(server, &a->command);
}

/* Once more: nothing has been done yet. */
static void go_on_to(struct asked *a, struct redis_server *server)
{
    if (!a->question)
        forget(a);
    else if (++a->hops > HOPS_MAX)
        end_without(a, REDIS_ERROR);
    else if (!go_to(a, server))
        end_without(a, REDIS_FAILED);
}

/* ---- answers ---------------------------------------------------------------------------------- */

static void on_error(struct asked *a, struct str error)
{
    struct redis_server *server = a->server, *other;
    enum redis_trouble t = redis_trouble_of(error);

    if (t == TROUBLE_NOSCRIPT && !a->whole) {
        a->whole = true;
        redis_server_succeeded(server);
        go_on_to(a, server);
        return;
    }
    if (t == TROUBLE_MOVED || t == TROUBLE_ASK) {
        other = redis_topology_named(&a->store->topology, server, error, t == TROUBLE_MOVED);
        if (other) {
            a->command.after_asking = t == TROUBLE_ASK;
            redis_server_succeeded(server);
            go_on_to(a, other);
            return;
        }
    }
    redis_server_erred(server, error);
    end_without(a, REDIS_ERROR);
    if (t == TROUBLE_NOT_MASTER && server->rules->link.only_masters)
        redis_server_renew(server, "it is not the master any more");
}

static bool read_numbers(const struct redis_reply *r, struct redis_answer *answer)
{
    if (r->type != REPLY_ARRAY || r->count > REDIS_NUMBERS)
        return false;
    for (; answer->count < r->count; answer->count++) {
        const struct redis_reply *item = redis_reply_item(r, answer->count, REPLY_INTEGER);

        if (!item)
            return false;
        answer->numbers[answer->count] = item->integer;
    }
    return true;
}

static void on_result(struct asked *a, const struct redis_reply *r)
{
    struct redis_answer answer = { .outcome = REDIS_OK };

    if (read_numbers(r, &answer)) {
        redis_server_succeeded(a->server);
    } else {
        answer = (struct redis_answer){ .outcome = REDIS_ERROR };
        redis_server_erred(a->server, STR("something else than numbers"));
    }
    end_with(a, &answer);
}

static void on_reply(struct redis_command *c, struct redis_link *l, const struct redis_reply *r,
                     const char *why)
{
    struct asked *a = asked_of(c);
    struct redis_server *server = a->server;

    (void)l;
    (void)why; /* the server has said so */
    if (a->over)
        forget(a);
    else if (!r)
        end_without(a, REDIS_FAILED);
    else if (r->type == REPLY_ERROR)
        on_error(a, r->text);
    else
        on_result(a, r);
    if (r)
        redis_server_go_on(server);
}

/* ---- time ------------------------------------------------------------------------------------- */

static void look_away(struct redis_store *s)
{
    bool away = s->outage.state != OUTAGE_UP || redis_topology_is_away(&s->topology);

    if (away == s->told_away)
        return;
    s->told_away = away;
    if (s->observer.on_away)
        s->observer.on_away(s->observer.owner, s->target.name, away);
}

static void nobody_knows(struct redis_store *s)
{
    if (!redis_outage_failed(&s->outage, true, s->loop->now_ns))
        return;
    log_line(LOG_LEVEL_WARN, "store redis:%.*s is away: nobody says who has its keys",
             STR_ARGS(s->target.name));
    look_away(s);
}

/* Its time is up. What was sent must still be waited for, by us alone. */
static void is_late(struct asked *a)
{
    struct redis_answer late = { .outcome = REDIS_LATE };
    struct redis_question *q = a->question;

    link_remove(&a->due);
    if (a->server)
        redis_server_failed(a->server, true, "no answer in time");
    else
        nobody_knows(a->store);
    a->trial = false;
    if (!a->sent) {
        end_with(a, &late);
        return;
    }
    a->over = true;
    a->question = NULL;
    if (q)
        tell(a->store, q, a->asked_ns, &late);
}

static void on_due(struct timer *t)
{
    struct redis_store *s = CONTAINER(t, struct redis_store, timer);
    struct link_node *n;

    while ((n = list_first(&s->due))) {
        struct asked *a = CONTAINER(n, struct asked, due);

        if (a->due_ns > s->loop->now_ns) {
            timer_set(&s->loop->timers, &s->timer, a->due_ns);
            return;
        }
        is_late(a);
    }
}

/* ---- the picture ------------------------------------------------------------------------------ */

static bool known(struct redis_store *s)
{
    return s->topology.slots || redis_topology_find(&s->topology, STR(""));
}

/* Those who wait for somebody to have their key. A task: whoever is told may ask again, or cancel. */
static void dispatch(struct task *task)
{
    struct redis_store *s = CONTAINER(task, struct redis_store, dispatch);
    struct list line;
    struct link_node *n;

    if (!known(s))
        return;
    if (s->outage.state != OUTAGE_UP) {
        log_line(LOG_LEVEL_INFO, "store redis:%.*s is back", STR_ARGS(s->target.name));
        redis_outage_init(&s->outage, s->target.open_after, s->target.retry_every_ns);
        look_away(s);
    }
    list_move(&line, &s->line);
    while ((n = list_pop_front(&line))) {
        struct asked *a = CONTAINER(n, struct asked, command.node);
        struct redis_server *server = redis_topology_find(&s->topology, key_of(a));

        if (!server || !go_to(a, server))
            end_without(a, REDIS_FAILED);
    }
}

static void on_change(struct redis_topology *t)
{
    struct redis_store *s = CONTAINER(t, struct redis_store, topology);

    look_away(s);
    loop_queue(s->loop, &s->dispatch);
}

/* ---- asking ----------------------------------------------------------------------------------- */

static bool refused(struct redis_store *s)
{
    if (s->observer.on_refused)
        s->observer.on_refused(s->observer.owner, s->target.name);
    return false;
}

static struct asked *asked_new(struct redis_store *s, const struct redis_script *script,
                               struct str key, const struct str *args, size_t arg_count, size_t len)
{
    struct asked *a = pool_take(&s->commands);
    char *to;

    *a = (struct asked){ .magic = ASKED_MAGIC,
                         .store = s,
                         .script = script,
                         .asked_ns = s->loop->now_ns,
                         .due_ns = s->loop->now_ns + s->target.timeout_ns,
                         .word_count = (uint8_t)(1 + arg_count) };
    a->command = (struct redis_command){ .send = send_question, .on_reply = on_reply };
    link_init(&a->command.node);
    link_init(&a->node);
    link_init(&a->due);
    a->text = len <= sizeof a->own ? a->own : malloc(len);
    if (!a->text)
        die("out of memory for a question");
    to = a->text;
    for (size_t i = 0; i < a->word_count; i++) {
        struct str word = i == 0 ? key : args[i - 1];

        if (word.len)
            memcpy(to, word.at, word.len);
        to += word.len;
        a->lens[i] = (uint32_t)word.len;
    }
    list_push_back(&s->all, &a->node);
    s->pending++;
    return a;
}

bool redis_ask(struct redis_store *s, struct redis_question *q, const struct redis_script *script,
               struct str key, const struct str *args, size_t arg_count)
{
    struct redis_server *server = redis_topology_find(&s->topology, key);
    size_t len = key.len;
    struct asked *a;

    CHECK(!q->command && arg_count <= REDIS_ARGS);
    for (size_t i = 0; i < arg_count; i++)
        len += args[i].len;
    s->used_ns = s->loop->now_ns;
    if (s->pending >= PENDING_MAX || len > REDIS_QUESTION_BYTES)
        return refused(s);
    if (!server && (!redis_topology_is_looking(&s->topology) || !redis_outage_allows(&s->outage)))
        return refused(s);
    a = asked_new(s, script, key, args, arg_count, len);
    if (!server) {
        list_push_back(&s->line, &a->command.node);
    } else if (!go_to(a, server)) {
        forget(a);
        return refused(s);
    }
    a->question = q;
    q->command = a;
    if (list_is_empty(&s->due))
        timer_set(&s->loop->timers, &s->timer, a->due_ns);
    list_push_back(&s->due, &a->due);
    return true;
}

void redis_question_cancel(struct redis_question *q)
{
    struct asked *a = q->command;

    if (!a)
        return;
    CHECK(a->magic == ASKED_MAGIC && a->question == q);
    q->command = NULL;
    a->question = NULL;
    if (!a->sent)
        forget(a);
}

bool redis_is_up(const struct redis_store *s)
{
    const struct redis_topology *t = &s->topology;

    if (t->kind == &redis_sentinel ? t->master != NULL : t->slots || t->kind == &redis_single)
        return redis_topology_would_take(t);
    return redis_topology_is_looking(t) && redis_outage_would_allow(&s->outage);
}

/* ---- life ------------------------------------------------------------------------------------- */

static struct redis_target copy_of(struct arena *arena, const struct redis_target *from)
{
    struct redis_target t = *from;
    struct str *addresses = ARENA_ARRAY(arena, struct str, from->address_count + 1);

    for (size_t i = 0; i < from->address_count; i++)
        addresses[i] = str_keep(arena, from->addresses[i]);
    t.addresses = addresses;
    t.name = str_keep(arena, from->name);
    t.master_name = str_keep(arena, from->master_name);
    t.username = str_keep(arena, from->username);
    t.password = str_keep(arena, from->password);
    return t;
}

struct redis_store *redis_store_new(struct loop *l, struct pool *conns, struct random *random,
                                    const struct lookups_observer *observer,
                                    const struct redis_target *target)
{
    struct redis_store *s = calloc(1, sizeof *s);
    struct redis_server_rules rules;
    uint64_t silence;

    if (!s)
        die("out of memory for a store");
    arena_init(&s->arena, NULL);
    s->target = copy_of(&s->arena, target);
    s->loop = l;
    s->used_ns = l->now_ns;
    if (observer)
        s->observer = *observer;
    s->told_away = true;
    pool_init(&s->commands, sizeof(struct asked), 0);
    list_init(&s->all);
    list_init(&s->due);
    list_init(&s->line);
    timer_init(&s->timer, on_due);
    task_init(&s->dispatch, dispatch);
    redis_outage_init(&s->outage, target->open_after, target->retry_every_ns);
    silence = target->timeout_ns * SILENT_TIMEOUTS;
    rules = (struct redis_server_rules){
        .link = { .loop = l,
                  .conns = conns,
                  .username = s->target.username,
                  .password = s->target.password,
                  .database = target->database,
                  .connect_ns = target->connect_ns,
                  .silence_ns = silence > SILENT_LEAST ? silence : SILENT_LEAST },
        .store = s->target.name,
        .random = random,
        .timeout_ns = target->timeout_ns,
        .open_after = target->open_after,
        .retry_every_ns = target->retry_every_ns,
        .connections = target->connections
    };
    redis_topology_init(&s->topology, &s->target, &rules, on_change);
    look_away(s); /* it begins as not away, whatever was said before */
    return s;
}

void redis_store_end(struct redis_store *s)
{
    struct link_node *n;

    LIST_EACH (&s->all, each) {
        struct asked *a = CONTAINER(each, struct asked, node);

        if (a->question)
            a->question->command = NULL;
        a->question = NULL;
    }
    redis_topology_end(&s->topology);
    while ((n = list_first(&s->all)))
        forget(CONTAINER(n, struct asked, node));
    if (s->told_away && s->observer.on_away)
        s->observer.on_away(s->observer.owner, s->target.name, false);
    timer_remove(&s->loop->timers, &s->timer);
    task_cancel(&s->dispatch);
    pool_end(&s->commands);
    arena_free(&s->arena);
    free(s);
}

uint64_t redis_store_id(const struct redis_store *s)
{
    return s->target.id;
}

bool redis_store_is_idle_since(const struct redis_store *s, uint64_t ns)
{
    return s->pending == 0 && s->used_ns <= ns;
}
