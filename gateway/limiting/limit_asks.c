/* Questions about limits on their way. */
#include "gateway/limiting/limit_asks.h"

#include <stdlib.h>

#include "gateway/base/clock.h"
#include "gateway/base/number.h"
#include "gateway/base/pool.h"
#include "ratelimit/remote_script.h"

#define ASK_LISTS   256 /* by key; a power of two */
#define ANNOUNCE_NS (2 * NS_PER_S)
#define LOOK_NS     (NS_PER_S / 2)
#define ALIVE_NS    (15 * NS_PER_S) /* since it was heard of last */

enum ask_kind { ASK_SHARE, ASK_EXACTLY, ASK_TELL };

struct ask {
    struct redis_question question;
    struct link_node node; /* ASK_SHARE: in asks.lists; else in asks.others */
    struct task free_task;
    struct limit_asks *asks;
    enum ask_kind kind;
    struct redis_store *store; /* good as long as the question is on its way */
    struct shares shares;
    struct gateways gateways;
    uint64_t key, want, asked_ns, timeout_ns;
    struct wait_queue now;  /* for the answer that is on its way */
    struct wait_queue next; /* who came since it was asked */
    uint64_t next_needs;
    size_t key_len;
    char redis_key[LIMIT_ASK_KEY];
};

struct announcement {
    struct redis_question question;
    struct gateways gateways;
    const struct region_header *region;
};

struct limit_asks {
    struct local *local;
    const struct region_header *region;
    struct pool pool;
    struct list lists[ASK_LISTS];
    struct list others;
    struct list ended; /* to be freed at the end of the turn */
    struct redis_script scripts[REMOTE_FAMILIES], announce;
    struct announcement announcement;
    uint64_t look_ns, look_at; /* the loop's clock: not before, for the same list of gateways */
};

static uint64_t fresh_now(const struct limit_asks *a)
{
    return region_now(a->region, clock_now_ns());
}

/* ---- the end of one --------------------------------------------------------------------------- */

static void free_ask(struct task *t)
{
    struct ask *ask = CONTAINER(t, struct ask, free_task);

    link_remove(&ask->node);
    pool_give(&ask->asks->pool, ask);
}

/* Not found any more; freed when nothing of it is on the stack. */
static void end_ask(struct ask *ask, enum waiter_status status, const struct remote_answer *answer)
{
    wait_queue_wake(&ask->now, status, answer);
    wait_queue_wake(&ask->next, status, answer);
    link_remove(&ask->node);
    list_push_back(&ask->asks->ended, &ask->node);
    loop_queue_end(ask->asks->local->loop, &ask->free_task);
}

/* ---- asking ----------------------------------------------------------------------------------- */

/* Send it. False: the store is away. */
static bool send(struct ask *ask, int64_t want, uint64_t least, int64_t id)
{
    struct limit_asks *a = ask->asks;
    struct remote_question q;

    remote_ask(&q, &ask->shares.remote, want, least, id);
    ask->want = want > 0 ? (uint64_t)want : 0;
    ask->asked_ns = region_now(a->region, a->local->loop->now_ns);
    return redis_ask(ask->store, &ask->question, &a->scripts[ask->shares.remote.family],
                     str_of(ask->redis_key, ask->key_len), q.args, q.count);
}

/* How many to ask for, for those who need so many now. */
static uint64_t want_of(const struct ask *ask, uint64_t needed, uint64_t now_ns)
{
    return shares_want(&ask->shares, ask->key, gateways_most(&ask->gateways), needed, now_ns,
                       now_ns + ask->timeout_ns);
}

/* Those who came after the question was asked are asked for in their turn. */
static bool ask_for_next(struct ask *ask, uint64_t now_ns)
{
    uint64_t needs = ask->next_needs;

    if (list_is_empty(&ask->next.waiters))
        return false;
    wait_queue_wake(&ask->now, WAITER_OK, NULL);
    list_move(&ask->now.waiters, &ask->next.waiters);
    ask->next_needs = 0;
    return send(ask, (int64_t)want_of(ask, needs, now_ns), 1, 0);
}

static void on_answer(struct redis_question *q, const struct redis_answer *said)
{
    struct ask *ask = CONTAINER(q, struct ask, question);
    uint64_t now_ns = fresh_now(ask->asks);
    struct remote_answer a;

    if (said->outcome != REDIS_OK ||
        !remote_answer_read(&a, said->numbers, said->count, ask->want)) {
        end_ask(ask, WAITER_FAILED, NULL);
        return;
    }
    switch (ask->kind) {
    case ASK_SHARE:
        shares_grant(&ask->shares, ask->key, ask->asked_ns, now_ns, &a);
        if (a.paced || !ask_for_next(ask, now_ns))
            end_ask(ask, WAITER_OK, NULL);
        return;
    case ASK_EXACTLY:
    case ASK_TELL:
        end_ask(ask, WAITER_OK, &a);
        return;
    }
}

static struct ask *new_ask(struct limit_asks *a, const struct limit_ask_about *about,
                           enum ask_kind kind, struct list *list)
{
    struct ask *ask = pool_take(&a->pool);
    struct str key = about->redis_key(about->context, ask->redis_key);

    CHECK(key.len <= LIMIT_ASK_KEY);
    ask->asks = a;
    ask->kind = kind;
    ask->store = about->store;
    ask->shares = *about->shares;
    ask->gateways = *about->gateways;
    ask->key = about->key;
    ask->timeout_ns = about->timeout_ns;
    ask->next_needs = 0;
    ask->key_len = key.len;
    redis_question_init(&ask->question, on_answer);
    wait_queue_init(&ask->now);
    wait_queue_init(&ask->next);
    link_init(&ask->node);
    task_init(&ask->free_task, free_ask);
    list_push_back(list, &ask->node);
    return ask;
}

/* It was never sent. */
static void drop_ask(struct ask *ask)
{
    link_remove(&ask->node);
    pool_give(&ask->asks->pool, ask);
}

static struct list *list_of(struct limit_asks *a, uint64_t key)
{
    return &a->lists[key & (ASK_LISTS - 1)];
}

static struct ask *find(struct limit_asks *a, const struct limit_ask_about *about)
{
    LIST_EACH (list_of(a, about->key), n) {
        struct ask *ask = CONTAINER(n, struct ask, node);

        if (ask->key == about->key && ask->shares.salt == about->shares->salt &&
            ask->store == about->store)
            return ask;
    }
    return NULL;
}

struct wait_queue *limit_asks_share(struct limit_asks *a, const struct limit_ask_about *about,
                                    uint64_t needed)
{
    struct ask *ask = find(a, about);
    uint64_t want;

    if (ask) {
        if (needed == 0)
            return NULL;
        ask->next_needs += needed;
        return &ask->next;
    }
    ask = new_ask(a, about, ASK_SHARE, list_of(a, about->key));
    want = want_of(ask, needed, region_now(a->region, a->local->loop->now_ns));
    if (want > 0 && send(ask, (int64_t)want, needed ? needed : 1, 0))
        return needed ? &ask->now : NULL;
    drop_ask(ask);
    return NULL;
}

struct wait_queue *limit_asks_exactly(struct limit_asks *a, const struct limit_ask_about *about,
                                      uint64_t cost)
{
    struct ask *ask = new_ask(a, about, ASK_EXACTLY, &a->others);

    if (send(ask, (int64_t)cost, cost, 0))
        return &ask->now;
    drop_ask(ask);
    return NULL;
}

void limit_asks_tell(struct limit_asks *a, const struct limit_ask_about *about, int64_t want,
                     int64_t id)
{
    struct ask *ask = new_ask(a, about, ASK_TELL, &a->others);

    if (!send(ask, want, 1, id))
        drop_ask(ask);
}

/* ---- how many gateways there are -------------------------------------------------------------- */

static void on_announced(struct redis_question *q, const struct redis_answer *said)
{
    struct announcement *n = CONTAINER(q, struct announcement, question);

    if (said->outcome == REDIS_OK && said->count == 1 && said->numbers[0] > 0)
        gateways_seen(&n->gateways, (uint64_t)said->numbers[0],
                      region_now(n->region, clock_now_ns()));
}

bool limit_asks_is_time(struct limit_asks *a, const struct gateways *gateways)
{
    uint64_t now_ns = a->local->loop->now_ns;

    if (LIKELY(now_ns < a->look_ns && a->look_at == gateways->key))
        return false;
    a->look_ns = now_ns + LOOK_NS;
    a->look_at = gateways->key;
    return true;
}

void limit_asks_announce(struct limit_asks *a, struct redis_store *store,
                         const struct gateways *gateways, struct str key, struct str name)
{
    uint64_t now_ns = region_now(a->region, a->local->loop->now_ns);
    char text[NUMBER_TEXT_MAX];
    struct str args[] = { name, str_of(text, number_write_u64(text, ALIVE_NS / NS_PER_US)) };

    if (a->announcement.question.command || !gateways_is_due(gateways, now_ns, ANNOUNCE_NS))
        return;
    a->announcement.gateways = *gateways;
    /* not taken: the next turn to ask comes soon */
    if (!redis_ask(store, &a->announcement.question, &a->announce, key, args, ARRAY_LEN(args)))
        return;
}

/* ---- all of them ------------------------------------------------------------------------------ */

struct limit_asks *limit_asks_new(struct local *l)
{
    struct limit_asks *a = calloc(1, sizeof *a);

    if (!a)
        die("out of memory for the questions of limits");
    a->local = l;
    a->region = region_header(l->region);
    pool_init(&a->pool, sizeof(struct ask), 0);
    for (size_t i = 0; i < ASK_LISTS; i++)
        list_init(&a->lists[i]);
    list_init(&a->others);
    list_init(&a->ended);
    for (size_t i = 0; i < REMOTE_FAMILIES; i++)
        redis_script_init(&a->scripts[i], remote_script((enum remote_family)i));
    redis_script_init(&a->announce, remote_announce_script());
    redis_question_init(&a->announcement.question, on_announced);
    a->announcement.region = a->region;
    return a;
}

static void cut(struct list *asks)
{
    struct link_node *n;

    while ((n = list_pop_front(asks))) {
        struct ask *ask = CONTAINER(n, struct ask, node);

        CHECK(list_is_empty(&ask->now.waiters) && list_is_empty(&ask->next.waiters));
        redis_question_cancel(&ask->question);
        task_cancel(&ask->free_task);
        pool_give(&ask->asks->pool, ask);
    }
}

void limit_asks_end(struct limit_asks *a)
{
    for (size_t i = 0; i < ASK_LISTS; i++)
        cut(&a->lists[i]);
    cut(&a->others);
    cut(&a->ended);
    redis_question_cancel(&a->announcement.question);
    pool_end(&a->pool);
    free(a);
}
