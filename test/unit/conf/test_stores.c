/* Stores outside of the gateway, and plans. */
#include <stdlib.h>

#include "test/unit/conf/reading.h"

static struct reading r;

static const struct conf_redis *redis(size_t i)
{
    const struct conf_redis *all = r.globals->stores.redis.items;

    ck_assert_uint_lt(i, r.globals->stores.redis.count);
    return &all[i];
}

static const struct conf_redis_url *url(const struct conf_redis *s, size_t i)
{
    const struct conf_redis_url *all = s->urls.items;

    ck_assert_uint_lt(i, s->urls.count);
    return &all[i];
}

START_TEST(test_a_store_needs_only_a_url_and_has_a_name)
{
    const struct conf_redis *s;

    reading_begin(&r, "stores: {redis: {main: {urls: 'redis://10.0.0.5:6380/3'}}}\nservices: []");
    reading_is_good(&r);
    s = redis(0);
    ck_assert_text(s->name, "main");
    ck_assert_ptr_eq(s, conf_redis_named(&r.globals->stores, STR("main")));
    ck_assert_ptr_null(conf_redis_named(&r.globals->stores, STR("mai")));
    ck_assert(url(s, 0)->is_ip);
    ck_assert_text(url(s, 0)->host, "10.0.0.5");
    ck_assert_uint_eq(url(s, 0)->port, 6380);
    ck_assert_uint_eq(conf_redis_database(s), 3);
    ck_assert_int_eq(s->mode, CONF_REDIS_SINGLE);
    ck_assert_uint_eq(s->pool.per_worker, 2);
    ck_assert_uint_eq(s->connect_timeout, 200 * NS_PER_MS);
    ck_assert_uint_eq(s->timeout, 50 * NS_PER_MS);
    ck_assert_uint_eq(s->outage.open_after, 5);
    ck_assert_uint_eq(s->outage.retry_every, NS_PER_S);
    ck_assert_text(s->key_prefix, "gw:");
    ck_assert_uint_eq(s->username.len + s->password.len + s->master_name.len, 0);
    reading_end(&r);
}
END_TEST

START_TEST(test_a_place_is_written_with_or_without_scheme_port_and_database_or_is_a_socket)
{
    const struct conf_redis *s;

    reading_begin(&r, "stores:\n"
                      "  redis:\n"
                      "    a: Redis.example.com\n"
                      "    b: {urls: ['[::1]:7000', 'redis://[::2]', h3:7002], mode: cluster}\n"
                      "    c: 'unix:/run/redis.sock'\n"
                      "    d: {urls: [s1, 's2:26380'], mode: sentinel, master_name: mymaster}\n"
                      "services: []");
    reading_is_good(&r);
    s = redis(0);
    ck_assert_text(url(s, 0)->host, "redis.example.com");
    ck_assert(!url(s, 0)->is_ip);
    ck_assert_uint_eq(url(s, 0)->port, 0);
    s = redis(1);
    ck_assert_text(url(s, 0)->host, "::1");
    ck_assert_uint_eq(url(s, 0)->port, 7000);
    ck_assert_text(url(s, 1)->host, "::2");
    ck_assert_uint_eq(url(s, 1)->port, 0);
    ck_assert_uint_eq(url(s, 2)->port, 7002);
    ck_assert_text(url(redis(2), 0)->path, "/run/redis.sock");
    ck_assert_int_eq(redis(3)->mode, CONF_REDIS_SENTINEL);
    ck_assert_text(redis(3)->master_name, "mymaster");
    reading_end(&r);
}
END_TEST

START_TEST(test_a_password_may_come_from_outside)
{
    reading_begin(&r, "stores: {redis: {a: {urls: h, username: u, password: '${DB_PASSWORD}'}}}\n"
                      "services: []");
    reading_is_good(&r);
    ck_assert_text(redis(0)->password, "hunter2");
    ck_assert_text(redis(0)->username, "u");
    reading_end(&r);
}
END_TEST

START_TEST(test_a_plan_has_a_rate_and_may_have_a_burst_a_quota_and_a_bound_at_once)
{
    const struct conf_plan *plans;

    reading_begin(&r, "plans:\n"
                      "  free: {rate: 60/m, burst: 20, quota: 10000/d}\n"
                      "  gold: {rate: 200/s, concurrency: 50, quota: none}\n"
                      "services: []");
    reading_is_good(&r);
    ck_assert_uint_eq(r.globals->plans.count, 2);
    plans = r.globals->plans.items;
    ck_assert_text(plans[0].name, "free");
    ck_assert_uint_eq(plans[0].rate.count, 60);
    ck_assert_uint_eq(plans[0].rate.per_ns, 60 * NS_PER_S);
    ck_assert_uint_eq(plans[0].burst, 20);
    ck_assert_uint_eq(plans[0].quota.count, 10000);
    ck_assert_uint_eq(plans[0].quota.per_ns, 86400 * NS_PER_S);
    ck_assert_uint_eq(plans[0].concurrency, 0);
    ck_assert_text(plans[1].name, "gold");
    ck_assert_uint_eq(plans[1].burst, 0);
    ck_assert_uint_eq(plans[1].quota.count, 0);
    ck_assert_uint_eq(plans[1].concurrency, 50);
    ck_assert_uint_eq(conf_plan_named(&r.globals->plans, STR("gold")), 1);
    ck_assert_uint_eq(conf_plan_named(&r.globals->plans, STR("silver")), 2);
    reading_end(&r);
}
END_TEST

START_TEST(test_what_a_service_is_built_from_knows_stores_and_plans)
{
    static const char *const around[] = {
        "plans: {a: 1/s}\n",
        "plans: {a: 2/s}\n",
        "stores: {redis: {a: h}}\n",
        "stores: {redis: {a: g}}\n",
    };
    uint64_t hashes[ARRAY_LEN(around)];

    for (size_t i = 0; i < ARRAY_LEN(around); i++) {
        char yaml[200];

        snprintf(yaml, sizeof yaml, "%sservices: [{name: a, route_pattern: /a, urls: http://h}]\n",
                 around[i]);
        reading_begin(&r, yaml);
        reading_is_good(&r);
        hashes[i] = conf_service_hash(r.file, 0);
        reading_end(&r);
        for (size_t n = 0; n < i; n++)
            ck_assert_uint_ne(hashes[n], hashes[i]);
    }
}
END_TEST

#define REDIS(block) "services: []\nstores: {redis: {a: " block "}}"

static const struct {
    const char *yaml, *problem;
} wrong[] = {
    { REDIS("{mode: single}"), "config.yaml:2:18: stores.redis.a: \"urls\" is missing" },
    { REDIS("{urls: []}"), "config.yaml:2:22: stores.redis.a.urls: must hold at least 1, holds 0" },
    { REDIS("{urls: h, tls: true}"), "config.yaml:2:31: stores.redis.a: unknown key \"tls\"" },
    { REDIS("{urls: 'rediss://h'}"),
      "config.yaml:2:22: stores.redis.a.urls: Redis is asked without TLS: by redis://, on this "
      "machine or through a tunnel, not by rediss://" },
    { REDIS("{urls: 'redis://:hunter3@h'}"),
      "config.yaml:2:22: stores.redis.a.urls: must hold no user or password: the keys "
      "\"username\" and \"password\" of the store say them" },
    { REDIS("{urls: 'rdis//:hunter3@h'}"),
      "config.yaml:2:22: stores.redis.a.urls: must hold no user or password: the keys "
      "\"username\" and \"password\" of the store say them" },
    { REDIS("{urls: 'http://h'}"),
      "config.yaml:2:22: stores.redis.a.urls: must be redis://host:port/database, host:port or "
      "unix:/path, is \"http://h\"" },
    { REDIS("{urls: 'h:0'}"),
      "config.yaml:2:22: stores.redis.a.urls: must be redis://host:port/database, host:port or "
      "unix:/path, is \"h:0\"" },
    { REDIS("{urls: 'h/x'}"),
      "config.yaml:2:22: stores.redis.a.urls: must be redis://host:port/database, host:port or "
      "unix:/path, is \"h/x\"" },
    { REDIS("{urls: [h, g]}"),
      "config.yaml:2:22: stores.redis.a.urls: a single Redis has one url; several need mode: "
      "sentinel or mode: cluster" },
    { REDIS("{urls: [h/1, g/2], mode: sentinel, master_name: m}"),
      "config.yaml:2:22: stores.redis.a.urls: all must name the same database" },
    { REDIS("{urls: h, mode: sentinel}"),
      "config.yaml:2:18: stores.redis.a: \"master_name\" is missing: Sentinels know masters by "
      "name" },
    { REDIS("{urls: h, master_name: m}"),
      "config.yaml:2:31: stores.redis.a.master_name: is for mode: sentinel" },
    { REDIS("{urls: h/1, mode: cluster}"),
      "config.yaml:2:22: stores.redis.a.urls: a cluster has database 0 only" },
    { REDIS("{urls: 'unix:/x', mode: cluster}"),
      "config.yaml:2:22: stores.redis.a.urls: the nodes of a cluster know one another by host and "
      "port only" },
    { REDIS("{urls: h, username: u}"),
      "config.yaml:2:18: stores.redis.a: \"password\" is missing: a \"username\" needs one" },
    { REDIS("{urls: h, password: [hunter3]}"),
      "config.yaml:2:31: stores.redis.a.password: must be text, is a list" },
    { REDIS("{urls: h, key_prefix: '{gw}'}"),
      "config.yaml:2:31: stores.redis.a.key_prefix: must have at most 64 bytes and no blanks, "
      "control characters or braces" },
    { REDIS("{urls: h, timeout: 0s}"),
      "config.yaml:2:31: stores.redis.a.timeout: must be between 1ms and 1m, is 0s" },
    { REDIS("{urls: h, pool: {per_worker: 0}}"),
      "config.yaml:2:38: stores.redis.a.pool.per_worker: must be between 1 and 64, is 0" },
    { REDIS("{urls: h}, a: {urls: h}"),
      "config.yaml:2:32: stores.redis.a: given twice, first in line 2" },
    { "services: []\nstores: {redis: [h]}",
      "config.yaml:2:10: stores.redis: must be a map of names to blocks, is a list" },
    { "services: []\nstores: {redis: {'a b': h}}",
      "config.yaml:2:18: stores.redis.\"a b\": a name has 1 to 64 letters, digits, \"-\", \"_\" "
      "and \".\"" },
    { "services: []\nplans: {'': 5/s}",
      "config.yaml:2:9: plans.\"\": a name has 1 to 64 letters, digits, \"-\", \"_\" and \".\"" },
    { "services: []\nplans: {a: {burst: 5}}", "config.yaml:2:9: plans.a: \"rate\" is missing" },
    { "services: []\nplans: {a: {rate: 0/s}}",
      "config.yaml:2:13: plans.a.rate: must be a positive number for a period, such as 200/s, "
      "600/m, 1000/h or 5000/d, is \"0/s\"" },
    { "services: []\nplans: {a: {rate: 1/s, quota: 5}}",
      "config.yaml:2:24: plans.a.quota: must be none, or a positive number for a period, such as "
      "1000/h or 10000/d, is \"5\"" },
    { "services: []\nplans: {a: {rate: 1/s, rates: 5}}",
      "config.yaml:2:24: plans.a: unknown key \"rates\"; did you mean \"rate\"?" },
};

START_TEST(test_each_mistake_is_told_with_its_place_and_without_a_secret)
{
    reading_begin(&r, wrong[_i].yaml);
    ck_assert_str_eq(reading_problem(&r, 0), wrong[_i].problem);
    ck_assert_str_eq(reading_problem(&r, 1), "none");
    ck_assert_ptr_null(strstr(reading_problem(&r, 0), "hunter3"));
    reading_end(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("stores");
    TCase *t = tcase_create("stores");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_test(t, test_a_store_needs_only_a_url_and_has_a_name);
    tcase_add_test(t,
                   test_a_place_is_written_with_or_without_scheme_port_and_database_or_is_a_socket);
    tcase_add_test(t, test_a_password_may_come_from_outside);
    tcase_add_test(t, test_a_plan_has_a_rate_and_may_have_a_burst_a_quota_and_a_bound_at_once);
    tcase_add_test(t, test_what_a_service_is_built_from_knows_stores_and_plans);
    tcase_add_loop_test(t, test_each_mistake_is_told_with_its_place_and_without_a_secret, 0,
                        ARRAY_LEN(wrong));
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
