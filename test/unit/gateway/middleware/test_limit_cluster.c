/* A limit that several gateways keep, with a store that answers what the test says, when the test says. */
#include <check.h>
#include <stdlib.h>

#include "by_hand.h"
#include "gateway/base/number.h"
#include "gateway/limiting/limit_asks.h"
#include "gateway/lookup/lookups.h"

extern const struct middleware rate_limit_middleware;

/* ---- the store -------------------------------------------------------------------------------- */

#define ASKED_MAX 64

struct asked {
    struct redis_question *question; /* NULL: answered, or nobody wants to know any more */
    int64_t want, least;
    char key[LIMIT_ASK_KEY + 1];
};

/* In the place of gateway/lookup/, which has no other door. */
static struct {
    bool away, full;
    struct asked asked[ASKED_MAX];
    size_t count, announced;
} store;

struct redis_store *lookups_redis(struct lookups *l, const struct redis_target *t)
{
    (void)l;
    ck_assert_uint_eq(t->timeout_ns, 50 * NS_PER_MS);
    return (struct redis_store *)(void *)&store;
}

bool redis_is_up(const struct redis_store *s)
{
    (void)s;
    return !store.away;
}

void redis_target_seal(struct redis_target *t)
{
    t->id = 1;
}

void redis_script_init(struct redis_script *s, struct str text)
{
    s->text = text;
}

bool redis_ask(struct redis_store *s, struct redis_question *q, const struct redis_script *script,
               struct str key, const struct str *args, size_t arg_count)
{
    struct asked *a = &store.asked[store.count];

    ck_assert_ptr_eq((void *)s, (void *)&store);
    ck_assert_uint_gt(script->text.len, 0);
    if (store.away || store.full)
        return false;
    if (arg_count == 2) { /* how many gateways there are: some other time */
        store.announced++;
        return true;
    }
    ck_assert_uint_lt(store.count++, ASKED_MAX);
    snprintf(a->key, sizeof a->key, "%.*s", STR_ARGS(key));
    a->want = strtoll(args[0].at, NULL, 10);
    a->least = strtoll(args[1].at, NULL, 10);
    a->question = q;
    q->command = a;
    return true;
}

void redis_question_cancel(struct redis_question *q)
{
    struct asked *a = q->command;

    if (a)
        a->question = NULL;
    q->command = NULL;
}

static void answer(size_t i, enum redis_outcome outcome, int64_t granted, int64_t pace_us)
{
    struct redis_answer said = { .outcome = outcome,
                                 .count = outcome == REDIS_OK ? 7 : 0,
                                 .numbers = { granted, pace_us, 0, 0, 1000000, 0, 42 } };
    struct redis_question *q = store.asked[i].question;

    ck_assert_ptr_nonnull(q);
    store.asked[i].question = NULL;
    q->command = NULL;
    q->on_answer(q, &said);
}

/* ---- the stage -------------------------------------------------------------------------------- */

struct play {
    struct stage s;
    struct loop loop;
    struct conf_redis redis;
};

/* A request, and what the step said when it was asked last. */
struct guest {
    struct act a;
    step_fn again;
    enum verdict said;
};

static void play_begin(struct play *p, const char *more)
{
    static const struct str addresses[] = { STR_INIT("127.0.0.1:6379") };
    char yaml[256];

    memset(&store, 0, sizeof store);
    stage_begin(&p->s);
    loop_init(&p->loop);
    p->loop.now_ns = p->s.loop.now_ns;
    p->s.local.loop = &p->loop;
    p->redis = (struct conf_redis){ .name = STR("main"),
                                    .key_prefix = STR("gw:"),
                                    .addresses = addresses,
                                    .address_count = 1,
                                    .timeout = 50 * NS_PER_MS,
                                    .outage = { .retry_every = NS_PER_S } };
    p->s.globals.stores.redis = (struct conf_list){ &p->redis, 1 };
    p->s.local.limit_asks = limit_asks_new(&p->s.local);
    snprintf(yaml, sizeof yaml,
             "{rate: 24/d, key: service, scope: cluster, store: 'redis:main', status: 420%s%s}",
             strstr(more, "burst") ? "" : ", burst: 100", more);
    ck_assert(stage_step(&p->s, &rate_limit_middleware, "u", yaml));
}

static void run_all(struct list *tasks)
{
    struct link_node *n;

    while ((n = list_pop_front(tasks))) {
        struct task *t = CONTAINER(n, struct task, node);

        t->run(t);
    }
}

static void play_end(struct play *p)
{
    run_all(&p->loop.tasks);
    run_all(&p->loop.ends);
    limit_asks_end(p->s.local.limit_asks);
    for (size_t i = 0; i < store.count; i++)
        ck_assert_ptr_null(store.asked[i].question);
    ck_assert_uint_eq(p->loop.timers.count, 0);
    loop_end(&p->loop);
    stage_end(&p->s);
}

static void hear(struct guest *g);

/* Asked again: the chain is not ours to continue. */
static enum verdict overhear(struct exchange *x, struct frame *f)
{
    struct guest *g = CONTAINER(f, struct guest, a.frame);

    g->said = g->again(x, f);
    hear(g);
    return WAIT;
}

static void hear(struct guest *g)
{
    if (g->said != WAIT)
        return;
    g->again = g->a.frame.again;
    g->a.frame.again = overhear;
}

static enum verdict come(struct play *p, struct guest *g)
{
    act_begin(&g->a, &p->s, "192.0.2.1");
    g->said = act_request(&g->a);
    hear(g);
    return g->said;
}

static void leave(struct guest *g)
{
    waiter_cancel(&g->a.frame.waiter);
    act_end(&g->a);
}

static enum verdict once(struct play *p)
{
    struct guest g;

    come(p, &g);
    leave(&g);
    return g.said;
}

/* A turn of the loop on the test's clock. */
static void turn(struct play *p)
{
    run_all(&p->loop.tasks);
    run_all(&p->loop.ends);
}

static void pass(struct play *p, uint64_t ns)
{
    p->loop.now_ns += ns;
    timers_run(&p->loop.timers, p->loop.now_ns);
    turn(p);
}

/* ---- tests ------------------------------------------------------------------------------------ */

START_TEST(test_the_first_one_waits_and_the_others_spend_the_share)
{
    struct play p;
    struct guest a;

    play_begin(&p, "");
    ck_assert_int_eq(come(&p, &a), WAIT);
    ck_assert_uint_eq(store.count, 1);
    ck_assert_int_eq(store.asked[0].want, 1);
    answer(0, REDIS_OK, 1, 0);
    ck_assert(a.said == WAIT); /* waking is never immediate */
    turn(&p);
    ck_assert(a.said == NEXT);
    leave(&a);
    ck_assert_uint_eq(store.announced, 1);
    play_end(&p);
}
END_TEST

START_TEST(test_keys_are_spelled_alike_and_say_nothing)
{
    struct play p;

    play_begin(&p, "");
    once(&p);
    ck_assert_uint_eq(strlen(store.asked[0].key), strlen("gw:{u/rate_limit:}b") + 32);
    ck_assert_int_eq(strncmp(store.asked[0].key, "gw:{u/rate_limit:", 17), 0);
    play_end(&p);
}
END_TEST

START_TEST(test_who_comes_meanwhile_is_asked_for_once_and_together)
{
    struct play p;
    struct guest a[6];

    play_begin(&p, "");
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(come(&p, &a[i]), WAIT);
    ck_assert_uint_eq(store.count, 1);
    answer(0, REDIS_OK, 1, 0);
    ck_assert_uint_eq(store.count, 2);
    ck_assert_int_ge(store.asked[1].want, 5);
    turn(&p);
    answer(1, REDIS_OK, 5, 0);
    turn(&p);
    for (int i = 0; i < 6; i++) {
        ck_assert(a[i].said == NEXT);
        leave(&a[i]);
    }
    play_end(&p);
}
END_TEST

START_TEST(test_when_nothing_is_left_all_are_refused_and_nobody_asks_again)
{
    struct play p;
    struct guest a[3];

    play_begin(&p, "");
    for (int i = 0; i < 3; i++)
        come(&p, &a[i]);
    answer(0, REDIS_OK, 1, 3599500000);
    turn(&p);
    ck_assert_int_eq((a[0].said == NEXT) + (a[1].said == NEXT) + (a[2].said == NEXT), 1);
    for (int i = 0; i < 3; i++)
        leave(&a[i]);
    ck_assert_int_eq(come(&p, &a[0]), REPLIED);
    ck_assert_uint_eq(a[0].a.x.resp.status, 420);
    ck_assert_str_eq(act_answer(&a[0].a, "Retry-After"), "3600");
    leave(&a[0]);
    ck_assert_uint_eq(store.count, 1);
    ck_assert_uint_eq(counted(&p.s, FAMILY_LIMIT_FALLBACK), 0);
    play_end(&p);
}
END_TEST

static const struct {
    const char *policy;
    enum verdict verdict;
    int more; /* of a hundred that come then */
} policies[] = {
    { "local_share", NEXT, 99 },
    { "local", NEXT, 99 },
    { "allow", NEXT, 100 },
    { "deny", REPLIED, 0 },
};

START_TEST(test_without_the_store_it_is_as_the_policy_says)
{
    struct play p;
    struct guest a;
    char more[64];
    int passed = 0;

    snprintf(more, sizeof more, ", on_store_failure: %s", policies[_i].policy);
    play_begin(&p, more);
    store.away = true;
    ck_assert_int_eq(come(&p, &a), policies[_i].verdict);
    if (policies[_i].verdict == REPLIED) {
        ck_assert_int_eq(a.a.x.reason, REASON_STORE_AWAY);
        ck_assert_uint_eq(a.a.x.resp.status, 420);
        ck_assert_str_eq(act_answer(&a.a, "Retry-After"), "1");
    }
    leave(&a);
    for (int i = 0; i < 100; i++)
        passed += once(&p) == NEXT;
    ck_assert_int_eq(passed, policies[_i].more);
    ck_assert_uint_eq(counted(&p.s, FAMILY_LIMIT_FALLBACK), 101);
    ck_assert_uint_eq(store.count, 0);
    play_end(&p);
}
END_TEST

static const enum redis_outcome bad[] = { REDIS_ERROR, REDIS_FAILED, REDIS_LATE };

START_TEST(test_a_question_that_fails_leaves_it_to_the_policy)
{
    struct play p;
    struct guest a[2];

    play_begin(&p, _i % 2 ? ", sync: 0, on_store_failure: allow" : ", on_store_failure: allow");
    come(&p, &a[0]);
    come(&p, &a[1]);
    for (size_t i = 0; i < store.count; i++)
        answer(i, bad[_i / 2], 0, 0);
    turn(&p);
    ck_assert(a[0].said == NEXT && a[1].said == NEXT);
    ck_assert_uint_eq(counted(&p.s, FAMILY_LIMIT_FALLBACK), 2);
    leave(&a[0]);
    leave(&a[1]);
    play_end(&p);
}
END_TEST

START_TEST(test_a_store_that_has_too_much_to_do_is_as_one_that_is_away)
{
    struct play p;

    play_begin(&p, ", on_store_failure: allow");
    store.full = true;
    ck_assert_int_eq(once(&p), NEXT);
    play_end(&p);
}
END_TEST

START_TEST(test_nobody_waits_longer_than_the_store_may_take)
{
    struct play p;
    struct guest a;

    play_begin(&p, _i ? ", sync: 0, on_store_failure: allow" : ", on_store_failure: allow");
    ck_assert_int_eq(come(&p, &a), WAIT);
    pass(&p, 49 * NS_PER_MS);
    ck_assert(a.said == WAIT);
    pass(&p, 2 * NS_PER_MS);
    ck_assert(a.said == NEXT);
    leave(&a);
    answer(0, REDIS_OK, 1, 0); /* too late for it, and good for the next */
    ck_assert_int_eq(once(&p), _i ? WAIT : NEXT);
    play_end(&p);
}
END_TEST

/* Others may be quicker each time; that does not make it the store's fault. */
START_TEST(test_whom_others_are_always_quicker_than_is_refused_in_the_end)
{
    struct play p;
    struct guest a;
    size_t i = 0;

    play_begin(&p, ", on_store_failure: allow");
    ck_assert_int_eq(come(&p, &a), WAIT);
    while (a.said == WAIT && i < 20) {
        answer(i++, REDIS_OK, 1, 0);
        ck_assert_int_eq(once(&p), NEXT); /* before it is awake */
        pass(&p, 9 * NS_PER_MS);
    }
    ck_assert_int_eq(a.said, REPLIED);
    ck_assert_uint_eq(a.a.x.resp.status, 420);
    ck_assert_uint_eq(counted(&p.s, FAMILY_LIMIT_FALLBACK), 0);
    leave(&a);
    play_end(&p);
}
END_TEST

START_TEST(test_who_leaves_leaves_the_question_to_itself)
{
    struct play p;
    struct guest a;

    play_begin(&p, _i ? ", sync: 0" : "");
    come(&p, &a);
    leave(&a);
    if (_i < 2)
        answer(0, REDIS_OK, 1, 0);
    play_end(&p); /* or it is never answered */
}
END_TEST

START_TEST(test_a_share_is_renewed_before_it_is_used_up)
{
    struct play p;
    struct guest a;

    play_begin(&p, ", burst: 2000");
    come(&p, &a);
    answer(0, REDIS_OK, 1, 0);
    turn(&p);
    leave(&a);
    come(&p, &a); /* it is spent fast: more is asked for than one */
    ck_assert_int_eq(store.asked[1].want, 4);
    answer(1, REDIS_OK, 4, 0);
    turn(&p);
    ck_assert_int_eq(a.said, NEXT);
    leave(&a);
    ck_assert_int_eq(once(&p), NEXT);
    ck_assert_uint_eq(store.count, 2);
    ck_assert_int_eq(once(&p), NEXT);
    ck_assert_uint_eq(store.count, 3); /* one is left, and nobody waits */
    ck_assert_int_eq(once(&p), NEXT);
    ck_assert_uint_eq(store.count, 3);
    answer(2, REDIS_OK, store.asked[2].want, 0);
    ck_assert_int_eq(once(&p), NEXT);
    play_end(&p);
}
END_TEST

START_TEST(test_exactly_means_a_question_for_each_and_all_or_nothing)
{
    struct play p;
    struct guest a[3];

    play_begin(&p, ", sync: 0, cost: 5");
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(come(&p, &a[i]), WAIT);
        ck_assert_int_eq(store.asked[i].want, 5);
        ck_assert_int_eq(store.asked[i].least, 5);
    }
    answer(1, REDIS_OK, 0, 7000000);
    answer(0, REDIS_OK, 5, 0);
    answer(2, REDIS_OK, 6, 0); /* more than was asked for: it lies */
    turn(&p);
    ck_assert(a[0].said == NEXT);
    ck_assert_uint_eq(a[1].a.x.resp.status, 420);
    ck_assert_str_eq(act_answer(&a[1].a, "Retry-After"), "7");
    ck_assert_uint_eq(counted(&p.s, FAMILY_LIMIT_FALLBACK), 1);
    /* the first one is refused by a later limit */
    a[0].a.x.made_here = true;
    a[0].a.x.reason = REASON_RATE_LIMITED;
    act_response(&a[0].a);
    ck_assert_uint_eq(store.count, 4);
    ck_assert_int_eq(store.asked[3].want, -5);
    answer(3, REDIS_OK, 0, 0);
    for (int i = 0; i < 3; i++)
        leave(&a[i]);
    play_end(&p);
}
END_TEST

START_TEST(test_what_a_later_limit_refused_goes_back_to_the_share)
{
    struct play p;
    struct guest a;

    play_begin(&p, "");
    come(&p, &a);
    answer(0, REDIS_OK, 1, 3600 * 1000000LL);
    turn(&p);
    a.a.x.made_here = true;
    a.a.x.reason = REASON_RATE_LIMITED;
    act_response(&a.a);
    leave(&a);
    ck_assert_int_eq(once(&p), NEXT);
    ck_assert_int_eq(once(&p), REPLIED);
    ck_assert_uint_eq(store.count, 1);
    play_end(&p);
}
END_TEST

/* Of sixteen gateways, by what was seen last. */
static int passed_of_sixteen(const char *more, int tries)
{
    struct gateways g;
    struct play p;
    int passed = 0;

    play_begin(&p, more);
    gateways_init(&g, region_header(p.s.region), &p.s.local.shared->limits,
                  STR("main/gw:{gateways}"));
    gateways_seen(&g, 16, region_now(region_header(p.s.region), p.loop.now_ns));
    store.away = true;
    while (tries-- > 0)
        passed += once(&p) == NEXT;
    play_end(&p);
    return passed;
}

START_TEST(test_alone_it_lets_pass_its_part_of_the_limit)
{
    ck_assert_int_eq(passed_of_sixteen(", burst: 160", 100), 10);
    ck_assert_int_eq(passed_of_sixteen(", burst: 3", 100), 1); /* and never nothing */
    /* of a part of ten nobody would ever get the twenty that a request costs */
    ck_assert_int_eq(passed_of_sixteen(", burst: 160, cost: 20", 100), 1);
    ck_assert_int_eq(passed_of_sixteen(", burst: 160, on_store_failure: local", 200), 160);
    ck_assert_int_eq(passed_of_sixteen(", algorithm: sliding_log, sync: 0, burst: 1", 200), 1);
}
END_TEST

START_TEST(test_long_names_and_prefixes_stay_within_a_key)
{
    struct play p;
    char service[401], prefix[201];

    memset(service, 's', sizeof service - 1);
    memset(prefix, 'p', sizeof prefix - 1);
    service[400] = prefix[200] = 0;
    play_begin(&p, "");
    for (size_t len = 1; len <= 200; len++) {
        bool fits = len <= LIMIT_ASK_KEY - 32 - 2 - 64 - 2;
        struct guest a;

        p.redis.key_prefix = str_of(prefix, len);
        ck_assert(stage_step(&p.s, &rate_limit_middleware, service,
                             "{rate: 24/d, scope: cluster, store: 'redis:main'}") == fits);
        p.s.problems.errors = 0;
        if (!fits)
            continue;
        store.count = 0;
        ck_assert_int_eq(come(&p, &a), WAIT);
        ck_assert_uint_eq(strlen(store.asked[0].key), len + 64 + 32 + 4);
        answer(0, REDIS_FAILED, 0, 0);
        leave(&a);
    }
    play_end(&p);
}
END_TEST

START_TEST(test_a_store_that_is_not_there_is_a_problem_of_the_configuration)
{
    struct play p;

    play_begin(&p, "");
    p.s.globals.stores.redis.count = 0;
    ck_assert(
        !stage_step(&p.s, &rate_limit_middleware, "u", "{scope: cluster, store: 'redis:main'}"));
    p.s.problems.errors = 0;
    ck_assert(!stage_step(&p.s, &rate_limit_middleware, "u", "{scope: cluster}"));
    play_end(&p);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("limit_cluster");
    TCase *t = tcase_create("cluster");
    SRunner *runner;
    int failed;

    tcase_add_test(t, test_the_first_one_waits_and_the_others_spend_the_share);
    tcase_add_test(t, test_keys_are_spelled_alike_and_say_nothing);
    tcase_add_test(t, test_who_comes_meanwhile_is_asked_for_once_and_together);
    tcase_add_test(t, test_when_nothing_is_left_all_are_refused_and_nobody_asks_again);
    tcase_add_loop_test(t, test_without_the_store_it_is_as_the_policy_says, 0, ARRAY_LEN(policies));
    tcase_add_loop_test(t, test_a_question_that_fails_leaves_it_to_the_policy, 0,
                        2 * (int)ARRAY_LEN(bad));
    tcase_add_test(t, test_a_store_that_has_too_much_to_do_is_as_one_that_is_away);
    tcase_add_loop_test(t, test_nobody_waits_longer_than_the_store_may_take, 0, 2);
    tcase_add_test(t, test_whom_others_are_always_quicker_than_is_refused_in_the_end);
    tcase_add_loop_test(t, test_who_leaves_leaves_the_question_to_itself, 0, 3);
    tcase_add_test(t, test_a_share_is_renewed_before_it_is_used_up);
    tcase_add_test(t, test_exactly_means_a_question_for_each_and_all_or_nothing);
    tcase_add_test(t, test_what_a_later_limit_refused_goes_back_to_the_share);
    tcase_add_test(t, test_alone_it_lets_pass_its_part_of_the_limit);
    tcase_add_test(t, test_long_names_and_prefixes_stay_within_a_key);
    tcase_add_test(t, test_a_store_that_is_not_there_is_a_problem_of_the_configuration);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
