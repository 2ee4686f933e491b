/* One reading of the configuration becomes a router and parts; what did not change is shared with the one before. */
#include <check.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/exchange/consumers.h"
#include "gateway/exchange/middleware.h"
#include "gateway/exchange/shared.h"
#include "gateway/snapshot.h"

#define HEAD                                                                                       \
    "port: 127.0.0.1:8099\n"                                                                       \
    "middleware_config: {auth_apikey: {valid_keys: [k1, k2]}}\n"
#define USERS                                                                                      \
    "  - {name: users, route_pattern: /users, urls: ['http://127.0.0.1:9001', "                    \
    "'http://127.0.0.1:9002'], middleware: [auth_apikey, rate_limit], rate_limit_rps: 5}\n"
#define ORDERS "  - {name: orders, route_pattern: /orders, urls: ['http://127.0.0.1:9003']}\n"
#define ORDERS_CHANGED                                                                             \
    "  - {name: orders, route_pattern: /orders, urls: ['http://127.0.0.1:9004']}\n"

static struct region *region;

static void begin(void)
{
    region = region_new(0);
}

static void finish(void)
{
    region_close(region);
}

/* As the master does: the snapshot, or NULL with what is wrong in `wrong`; *bundle_fd is what a worker gets. */
static struct snapshot *rehearse(const char *text, int *bundle_fd, char *wrong, size_t size)
{
    struct bundle *b = bundle_new();
    struct snapshot *s;
    struct arena a;

    arena_init(&a, NULL);
    *bundle_fd = -1;
    bundle_put(b, BUNDLE_CONFIG, STR("config.yaml"), str_from(text));
    region_begin(region);
    ck_assert_ptr_nonnull(seats_table(region));
    s = snapshot_begin(BUILD_MASTER, STR("config.yaml"), region, b, NULL);
    if (snapshot_more(s, UINT64_MAX) == BUILD_DONE) {
        region_commit(region);
        *bundle_fd = bundle_seal(b);
        snapshot_seal(s);
        return s;
    }
    region_abort(region);
    ck_assert_ptr_nonnull(wrong);
    snprintf(
        wrong, size, "%s",
        str_keep_z(&a, conf_problem_text(snapshot_problems(s), snapshot_problems(s)->first, &a)));
    arena_free(&a);
    snapshot_free(s);
    return NULL;
}

/* As a worker does, in slices that end at `until`; counts them. */
static struct snapshot *adopt(int bundle_fd, const struct snapshot *previous, uint64_t until,
                              unsigned *slices)
{
    struct bundle *b = bundle_open(bundle_fd);
    struct snapshot *s;
    enum build_result r;

    ck_assert_ptr_nonnull(b);
    s = snapshot_begin(BUILD_WORKER, STR(""), region, b, previous);
    do {
        r = snapshot_more(s, until);
        ++*slices;
    } while (r == BUILD_MORE);
    ck_assert_int_eq(r, BUILD_DONE);
    snapshot_seal(s);
    return s;
}

/* Read by the master and adopted by a worker at one go. */
static struct snapshot *load(const char *text, const struct snapshot *previous)
{
    unsigned slices = 0;
    int fd;
    struct snapshot *m = rehearse(text, &fd, NULL, 0),
                    *s = adopt(fd, previous, UINT64_MAX, &slices);

    ck_assert_uint_eq(slices, 1);
    snapshot_free(m);
    close(fd);
    return s;
}

static const struct part *part_named(const struct snapshot *s, const char *name)
{
    for (uint32_t i = 0; i < s->part_count; i++)
        if (str_equal(s->parts[i]->service.name, str_from(name)))
            return s->parts[i];
    return NULL;
}

static const struct route *find(const struct snapshot *s, const char *path)
{
    struct params params = { 0 };

    return router_find(s->router, STR("a"), METHOD_GET, str_from(path), &params).route;
}

START_TEST(test_a_service_becomes_a_part_with_its_steps_and_endpoints)
{
    struct snapshot *s;
    const struct route *r;

    begin();
    s = load(HEAD "services:\n" USERS ORDERS, NULL);
    r = find(s, "/users/7");
    ck_assert_ptr_nonnull(r);
    ck_assert(str_equal(r->service_name, STR("users")));
    ck_assert_uint_eq(r->service->endpoint_count, 2);
    ck_assert_uint_eq(r->step_count, 2);
    ck_assert_str_eq(r->steps[0].type->settings.name, "auth_apikey");
    ck_assert_str_eq(r->steps[1].type->settings.name, "rate_limit");
    ck_assert_uint_ge(r->steps[1].state_offset, r->steps[0].type->state_size);
    ck_assert_ptr_nonnull(r->steps[1].prepared);
    ck_assert_ptr_eq(r->part, part_named(s, "users"));
    ck_assert_ptr_null(find(s, "/other"));
    ck_assert_ptr_nonnull(find(s, "/metrics"));
    ck_assert_ptr_nonnull(s->current.unmatched);
    snapshot_free(s);
    finish();
}
END_TEST

START_TEST(test_what_did_not_change_is_shared_and_what_did_is_not)
{
    struct snapshot *one, *two;

    begin();
    one = load(HEAD "services:\n" USERS ORDERS, NULL);
    two = load(HEAD "services:\n" USERS ORDERS_CHANGED, one);
    ck_assert_ptr_eq(part_named(two, "users"), part_named(one, "users"));
    ck_assert_ptr_ne(part_named(two, "orders"), part_named(one, "orders"));
    ck_assert_uint_eq(two->shared_count, 1);
    ck_assert_ptr_eq(find(two, "/users"), find(one, "/users"));
    snapshot_free(one);
    ck_assert(str_equal(find(two, "/users")->service_name, STR("users"))); /* outlives the first */
    ck_assert_uint_eq(part_named(two, "users")->holders, 1);
    snapshot_free(two);
    finish();
}
END_TEST

START_TEST(test_a_part_is_found_wherever_it_has_moved_to)
{
    struct snapshot *one, *two;

    begin();
    one = load(HEAD "services:\n" USERS ORDERS, NULL);
    two = load(HEAD "services:\n" ORDERS "# a comment\n" USERS, one);
    ck_assert_uint_eq(two->shared_count, 2);
    ck_assert_ptr_eq(part_named(two, "orders"), part_named(one, "orders"));
    snapshot_free(two);
    snapshot_free(one);
    finish();
}
END_TEST

/* What a service inherits is a part of it. */
START_TEST(test_a_change_of_what_is_inherited_is_a_change)
{
    static const char *const heads[] = {
        "port: 127.0.0.1:8099\nmiddleware_config: {auth_apikey: {valid_keys: [k1, "
        "k3]}}\nservices:\n" USERS,
        HEAD "limits: {body_size: 1k}\nservices:\n" USERS,
        HEAD "timeouts: {request: 1s}\nservices:\n" USERS,
        HEAD "middleware: [metrics]\nservices:\n" USERS,
    };
    struct snapshot *one, *two;

    begin();
    one = load(HEAD "services:\n" USERS, NULL);
    two = load(heads[_i], one);
    ck_assert_ptr_ne(part_named(two, "users"), part_named(one, "users"));
    ck_assert_uint_eq(two->shared_count, 0);
    snapshot_free(two);
    snapshot_free(one);
    finish();
}
END_TEST

START_TEST(test_a_change_of_what_is_not_inherited_shares_all)
{
    struct snapshot *one, *two;

    begin();
    one = load(HEAD "services:\n" USERS ORDERS, NULL);
    two =
        load(HEAD "logging: {level: debug}\nshutdown: {grace: 3s}\nservices:\n" USERS ORDERS, one);
    ck_assert_uint_eq(two->shared_count, 2);
    snapshot_free(one);
    snapshot_free(two);
    finish();
}
END_TEST

START_TEST(test_a_part_that_an_exchange_holds_outlives_its_snapshots)
{
    struct snapshot *one, *two;
    struct part *held;

    begin();
    one = load(HEAD "services:\n" USERS ORDERS, NULL);
    held = find(one, "/orders")->part;
    part_hold(held);
    two = load(HEAD "services:\n" USERS, one);
    snapshot_free(one);
    ck_assert_uint_eq(held->holders, 1);
    ck_assert(str_equal(held->service.name, STR("orders")));
    ck_assert_uint_eq(held->service.endpoint_count, 1);
    part_release(held, NULL);
    snapshot_free(two);
    finish();
}
END_TEST

#define PLANS     "plans: {free: 1/s, gold: 2/s}\n"
#define APP       "{name: app, plan: gold, keys: [{key: k-app}]}"
#define APP_MOVED "{name: app, plan: free, keys: [{key: k-app}]}"
#define PARTNER   "{name: partner, keys: [{key: k-partner}]}"

static const struct consumer *consumer_of(const struct snapshot *s, const char *key)
{
    const struct consumer_key *k =
        s->consumers ? consumers_find(s->consumers, str_from(key)) : NULL;

    return k ? k->consumer : NULL;
}

START_TEST(test_consumers_that_did_not_change_are_shared_with_all_parts)
{
    struct snapshot *one, *two;

    begin();
    one = load(HEAD PLANS "consumers: [" APP ", " PARTNER "]\nservices:\n" USERS ORDERS, NULL);
    ck_assert_uint_eq(consumer_of(one, "k-app")->plan_number, 2);
    ck_assert_uint_eq(consumer_of(one, "k-partner")->plan_number, 0);
    ck_assert_ptr_null(consumer_of(one, "k1"));
    two =
        load(HEAD PLANS "consumers: [" APP ", " PARTNER "]\nservices:\n" USERS ORDERS_CHANGED, one);
    ck_assert_ptr_eq(one->consumers, two->consumers);
    ck_assert_uint_eq(two->shared_count, 1);
    snapshot_free(one);
    ck_assert(str_equal(consumer_of(two, "k-app")->name, STR("app")));
    snapshot_free(two);
    finish();
}
END_TEST

/* Whatever it is: another consumer, the same with another plan, another number of the same plan. */
START_TEST(test_a_change_of_consumers_is_one_of_every_part)
{
    static const char *const changed[] = {
        HEAD PLANS "consumers: [" APP "]\nservices:\n" USERS,
        HEAD PLANS "consumers: [" APP_MOVED ", " PARTNER "]\nservices:\n" USERS,
        HEAD "plans: {gold: 2/s, free: 1/s}\nconsumers: [" APP ", " PARTNER "]\nservices:\n" USERS,
        HEAD PLANS "services:\n" USERS,
    };
    struct snapshot *one, *two;
    struct part *held;

    begin();
    one = load(HEAD PLANS "consumers: [" APP ", " PARTNER "]\nservices:\n" USERS, NULL);
    held = find(one, "/users")->part;
    part_hold(held);
    two = load(changed[_i], one);
    ck_assert_uint_eq(two->shared_count, 0);
    ck_assert_ptr_ne(one->consumers, two->consumers);
    if (_i == 2)
        ck_assert_uint_eq(consumer_of(two, "k-app")->plan_number, 1);
    snapshot_free(one);
    ck_assert_ptr_nonnull(consumers_find(held->consumers, STR("k-partner")));
    part_release(held, NULL);
    snapshot_free(two);
    finish();
}
END_TEST

START_TEST(test_stores_are_where_the_master_found_them)
{
    static const char yaml[] =
        HEAD "stores:\n"
             "  redis:\n"
             "    one: 'redis://127.0.0.1/3'\n"
             "    two: {urls: ['[::1]:7000', 10.1.2.3], mode: sentinel, master_name: m}\n"
             "    three: 'unix:/run/redis.sock'\n"
             "    four: localhost\n"
             "    five: nobody.invalid\n"
             "services:\n" USERS;
    static const char *const addresses[][2] = { { "127.0.0.1:6379", NULL },
                                                { "[::1]:7000", "10.1.2.3:26379" },
                                                { "unix:/run/redis.sock", NULL } };
    const struct conf_redis *stores;
    struct snapshot *s;

    begin();
    s = load(yaml, NULL);
    stores = s->globals->stores.redis.items;
    ck_assert_uint_eq(s->globals->stores.redis.count, 5);
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        ck_assert_uint_eq(stores[i].address_count, addresses[i][1] ? 2 : 1);
        for (size_t n = 0; n < stores[i].address_count; n++)
            ck_assert(str_equal(stores[i].addresses[n], str_from(addresses[i][n])));
    }
    ck_assert_uint_ge(stores[3].address_count, 1);
    for (size_t n = 0; n < stores[3].address_count; n++)
        ck_assert(str_ends(stores[3].addresses[n], STR(":6379")));
    ck_assert_uint_eq(stores[4].address_count, 0);
    snapshot_free(s);
    finish();
}
END_TEST

static char *many_services(int count)
{
    size_t room = (size_t)count * 300 + 1000, at;
    char *text = malloc(room);

    ck_assert_ptr_nonnull(text);
    at = (size_t)snprintf(text, room, "%sconsumers:\n", HEAD PLANS);
    for (int i = 0; i < count; i++)
        at += (size_t)snprintf(text + at, room - at,
                               "  - {name: c%d, plan: free, keys: [{key: key-%d}]}\n", i, i);
    at += (size_t)snprintf(text + at, room - at, "services:\n");
    for (int i = 0; i < count; i++)
        at += (size_t)snprintf(
            text + at, room - at,
            "  - {name: s%d, route_pattern: /s/%d, urls: ['http://127.0.0.1:9001'], "
            "middleware: [rate_limit, metrics], rate_limit_rps: %d}\n",
            i, i, i + 1);
    return text;
}

START_TEST(test_slices_give_the_same_as_one_go)
{
    char *text = many_services(300), path[32];
    struct snapshot *m, *whole, *sliced;
    unsigned one = 0, slices = 0;
    int fd;

    begin();
    m = rehearse(text, &fd, NULL, 0);
    whole = adopt(fd, NULL, UINT64_MAX, &one);
    sliced = adopt(fd, NULL, 0, &slices); /* each slice is over before it begins: one step */
    ck_assert_uint_eq(one, 1);
    ck_assert_uint_gt(slices, 300);
    ck_assert_uint_eq(whole->part_count, sliced->part_count);
    ck_assert_uint_eq(router_size(whole->router), router_size(sliced->router));
    for (int i = 0; i < 300; i++) {
        const struct route *a, *b;

        snprintf(path, sizeof path, "/s/%d", i);
        a = find(whole, path);
        b = find(sliced, path);
        ck_assert(a && b && str_equal(a->service_name, b->service_name));
        ck_assert_uint_eq(a->part->hash, b->part->hash);
        ck_assert_uint_eq(a->step_count, b->step_count);
        ck_assert_uint_eq(a->service->endpoints[0].id, b->service->endpoints[0].id);
        ck_assert_ptr_eq(a->service->turn, b->service->turn); /* one counter for all */
    }
    snapshot_free(sliced);
    snapshot_free(whole);
    snapshot_free(m);
    close(fd);
    free(text);
    finish();
}
END_TEST

/* What stands in one service may be much, too: keys here, routes there. */
START_TEST(test_one_large_service_is_built_in_slices)
{
    enum { COUNT = 2000 };
    const size_t room = (size_t)COUNT * 60 + 1000;
    char *text = malloc(room), path[32];
    size_t at = (size_t)snprintf(text, room,
                                 "port: 127.0.0.1:8099\nservices:\n  - name: s\n    urls: "
                                 "['http://127.0.0.1:1']\n    middleware: [auth_apikey]\n    "
                                 "auth_apikey:\n      valid_keys:\n");
    unsigned slices = 0;
    struct snapshot *m, *s;
    int fd;

    for (int i = 0; i < COUNT; i++)
        at += (size_t)snprintf(text + at, room - at, "        - key-%d\n", i);
    at += (size_t)snprintf(text + at, room - at, "    routes:\n");
    for (int i = 0; i < COUNT; i++)
        at += (size_t)snprintf(text + at, room - at, "      - {path: /s/%d}\n", i);
    begin();
    m = rehearse(text, &fd, NULL, 0);
    s = adopt(fd, NULL, 0, &slices);
    ck_assert_uint_gt(slices, COUNT + COUNT / 64);
    for (int i = 0; i < COUNT; i++) {
        snprintf(path, sizeof path, "/s/%d", i);
        ck_assert_ptr_eq(find(s, path), s->parts[0]->routes);
    }
    snapshot_free(s);
    snapshot_free(m);
    close(fd);
    free(text);
    finish();
}
END_TEST

/* Given up in the middle, after any number of slices: nothing stays behind, and what it borrowed is whole. */
START_TEST(test_a_build_dropped_in_the_middle_leaves_the_one_before_whole)
{
    char *text = many_services(8);
    struct snapshot *one, *m;
    int fd;

    begin();
    one = load(text, NULL);
    m = rehearse(text, &fd, NULL, 0);
    for (int most = 0; most < 100; most++) {
        struct snapshot *s = snapshot_begin(BUILD_WORKER, STR(""), region, bundle_open(fd), one);
        enum build_result r = BUILD_MORE;

        for (int n = 0; n < most && r == BUILD_MORE; n++)
            r = snapshot_more(s, 0);
        snapshot_free(s);
        for (uint32_t i = 0; i < one->part_count; i++)
            ck_assert_uint_eq(one->parts[i]->holders, 1);
        if (r == BUILD_DONE)
            break;
        ck_assert_int_lt(most, 99);
    }
    snapshot_free(m);
    snapshot_free(one);
    close(fd);
    free(text);
    finish();
}
END_TEST

START_TEST(test_two_services_on_one_route_are_told_where)
{
    char wrong[300];
    int fd;

    begin();
    ck_assert_ptr_null(
        rehearse(HEAD "services:\n" ORDERS
                      "  - {name: again, route_pattern: /orders, urls: ['http://127.0.0.1:1']}\n",
                 &fd, wrong, sizeof wrong));
    ck_assert_msg(strstr(wrong, "config.yaml:5:") && strstr(wrong, "/orders") &&
                      strstr(wrong, "orders already"),
                  "%s", wrong);
    finish();
}
END_TEST

START_TEST(test_what_cannot_be_read_fails_with_its_place)
{
    static const struct {
        const char *text, *place;
    } bad[] = {
        { HEAD "services:\n  - {name: a, route_pattern: /a, urls: [nonsense]}\n",
          "config.yaml:4:" },
        { HEAD "services:\n  - {name: a, route_pattern: a, urls: ['http://127.0.0.1:1']}\n",
          "config.yaml:4:" },
        { HEAD "services:\n" ORDERS ORDERS, "config.yaml:5:" },
        { HEAD "services:\n  - {name: a, route_pattern: /a, urls: ['http://127.0.0.1:1'], "
               "middleware: [none]}\n",
          "config.yaml:4:" },
        { "services: [\n", "config.yaml:" },
        { "\x01", "config.yaml:" },
        { "", "config.yaml" },
    };
    char wrong[300] = "";
    struct snapshot *s;
    int fd;

    begin();
    s = rehearse(bad[_i].text, &fd, wrong, sizeof wrong);
    ck_assert(s == NULL ||
              bad[_i].text[0] == '\0'); /* an empty file is a gateway without services */
    if (s) {
        snapshot_free(s);
        close(fd);
    } else {
        ck_assert_msg(strncmp(wrong, bad[_i].place, strlen(bad[_i].place)) == 0, "%s", wrong);
    }
    finish();
}
END_TEST

#define NOBODY_SAYS "{rate_limit: {rate: 5/s, key: [consumer]}}"

/* It is built with every service, more than problems are kept of, and is no fault of any of them. */
START_TEST(test_a_warning_about_a_step_of_the_whole_gateway_is_said_of_it_and_once)
{
    const size_t room = 100000;
    char *text = malloc(room);
    size_t at = (size_t)snprintf(
        text, room, "port: 127.0.0.1:8099\nmiddleware:\n  - " NOBODY_SAYS "\nservices:\n");
    struct bundle *b = bundle_new();
    struct conf_problems *p;
    struct snapshot *s;
    struct str first;

    begin();
    for (int i = 0; i < CONF_PROBLEMS_MAX + 50; i++)
        at += (size_t)snprintf(text + at, room - at,
                               "  - {name: s%d, route_pattern: /%d, urls: ['http://127.0.0.1:1'], "
                               "middleware: [" NOBODY_SAYS "]}\n",
                               i, i);
    bundle_put(b, BUNDLE_CONFIG, STR("config.yaml"), str_from(text));
    region_begin(region);
    ck_assert_ptr_nonnull(seats_table(region));
    s = snapshot_begin(BUILD_MASTER, STR("config.yaml"), region, b, NULL);
    ck_assert_int_eq(snapshot_more(s, UINT64_MAX), BUILD_DONE);
    p = snapshot_problems(s);
    first = conf_problem_text(p, p->first, &p->arena);
    ck_assert_msg(str_starts(first, STR("config.yaml:3:5: warning: the whole gateway: key: ")),
                  "%.*s", STR_ARGS(first));
    first = conf_problem_text(p, p->first->next, &p->arena);
    ck_assert_msg(str_starts(first, STR("config.yaml:5:")) &&
                      memmem(first.at, first.len, " s0: ", 5),
                  "%.*s", STR_ARGS(first));
    ck_assert_uint_eq(p->warnings, 1 + CONF_PROBLEMS_MAX + 50);
    region_commit(region);
    snapshot_free(s);
    free(text);
    finish();
}
END_TEST

/* ---- the end ---------------------------------------------------------------------------------- */

/* Part by part while the next one serves; what exchanges hold, and no snapshot any more, is an orphan. */
START_TEST(test_a_snapshot_is_let_go_part_by_part)
{
    struct arena_bin bin = { NULL };
    struct snapshot *one, *two;
    struct part *held, *shared, *p;
    unsigned parts = 0;

    begin();
    one = load(HEAD "services:\n" USERS ORDERS, NULL);
    two = load(HEAD "services:\n" USERS ORDERS_CHANGED, one);
    held = find(one, "/orders")->part;
    shared = find(one, "/users")->part;
    part_hold(held);
    part_hold(shared);
    one->bin = &bin;
    for (; (p = snapshot_take_part(one)); parts++)
        ck_assert_int_eq(part_leave(p, &bin), p == held);
    ck_assert_uint_eq(parts, 3); /* and the gateway's own */
    snapshot_free(one);
    ck_assert_ptr_nonnull(bin.first);
    ck_assert_ptr_eq(find(two, "/users")->part, shared);
    part_release(shared, &bin);
    ck_assert_uint_eq(shared->holders, 1);
    ck_assert(str_equal(held->service.name, STR("orders")));
    arena_bin_empty(&bin);
    part_release(held, &bin); /* the last to hold it may be an exchange */
    ck_assert_ptr_nonnull(bin.first);
    arena_bin_empty(&bin);
    snapshot_free(two);
    finish();
}
END_TEST

/* Consumers, parts and the tree they were read from: nothing large is given back at once. */
START_TEST(test_all_that_is_large_goes_into_the_bin)
{
    char *text = many_services(300);
    struct arena_bin bin = { NULL };
    size_t in_one, in_two = 0;
    struct snapshot *m, *s;
    struct part *p;
    int fd;

    begin();
    m = rehearse(text, &fd, NULL, 0);
    s = snapshot_begin(BUILD_WORKER, STR(""), region, bundle_open(fd), NULL);
    s->bin = &bin;
    ck_assert_int_eq(snapshot_more(s, UINT64_MAX), BUILD_DONE);
    snapshot_seal(s);
    ck_assert_ptr_nonnull(bin.first);
    in_one = bin.first->total; /* the tree's: the last block of it knows */
    ck_assert_uint_gt(in_one, strlen(text));
    arena_bin_empty(&bin);
    while ((p = snapshot_take_part(s)))
        (void)part_leave(p, &bin);
    snapshot_free(s);
    while (bin.first) {
        in_two += bin.first->size;
        (void)arena_bin_give_one(&bin);
    }
    ck_assert_uint_gt(in_two, (size_t)300 * sizeof(struct part));
    snapshot_free(m);
    close(fd);
    free(text);
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("snapshot");
    TCase *t = tcase_create("snapshot");
    SRunner *runner;
    int failed;

    tcase_set_timeout(t, 30);
    tcase_add_test(t, test_a_service_becomes_a_part_with_its_steps_and_endpoints);
    tcase_add_test(t, test_what_did_not_change_is_shared_and_what_did_is_not);
    tcase_add_test(t, test_a_part_is_found_wherever_it_has_moved_to);
    tcase_add_loop_test(t, test_a_change_of_what_is_inherited_is_a_change, 0, 4);
    tcase_add_test(t, test_a_change_of_what_is_not_inherited_shares_all);
    tcase_add_test(t, test_a_part_that_an_exchange_holds_outlives_its_snapshots);
    tcase_add_test(t, test_consumers_that_did_not_change_are_shared_with_all_parts);
    tcase_add_loop_test(t, test_a_change_of_consumers_is_one_of_every_part, 0, 4);
    tcase_add_test(t, test_stores_are_where_the_master_found_them);
    tcase_add_test(t, test_slices_give_the_same_as_one_go);
    tcase_add_test(t, test_one_large_service_is_built_in_slices);
    tcase_add_test(t, test_a_build_dropped_in_the_middle_leaves_the_one_before_whole);
    tcase_add_test(t, test_two_services_on_one_route_are_told_where);
    tcase_add_loop_test(t, test_what_cannot_be_read_fails_with_its_place, 0, 7);
    tcase_add_test(t, test_a_warning_about_a_step_of_the_whole_gateway_is_said_of_it_and_once);
    tcase_add_test(t, test_a_snapshot_is_let_go_part_by_part);
    tcase_add_test(t, test_all_that_is_large_goes_into_the_bin);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
