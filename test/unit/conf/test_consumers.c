/* Consumers. */
#include <stdlib.h>

#include "test/unit/conf/reading.h"

static struct reading r;

#define ABC     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" /* of "abc" */
#define SERVICE "services: [{name: users, route_pattern: /a, urls: http://h}]\n"
#define PLANS   "plans: {free: 1/s, gold: 2/s}\n"

static const struct conf_consumer *consumer(size_t i)
{
    const struct conf_consumer *c = conf_read_consumer(r.file, i, &r.arena);

    ck_assert_uint_ge(conf_consumer_keys(r.file, i), c->keys.count);
    conf_check_consumer(r.file, r.globals, i, c);
    return c;
}

static const struct conf_consumer_key *key(const struct conf_consumer *c, size_t i)
{
    const struct conf_consumer_key *all = c->keys.items;

    ck_assert_uint_lt(i, c->keys.count);
    return &all[i];
}

START_TEST(test_a_consumer_has_a_plan_groups_keys_and_bounds)
{
    const struct digest plain = digest_of(STR("plain-one"));
    const struct conf_consumer *c;

    reading_begin(&r, SERVICE PLANS
                  "consumers:\n"
                  "  - name: mobile-app\n"
                  "    plan: gold\n"
                  "    groups: [apps, eu]\n"
                  "    keys:\n"
                  "      - {id: k1, prefix: gw_8Fq2, sha256: " ABC ", expires: 2027-01-01}\n"
                  "      - {id: k2, key: plain-one, expires: '2027-06-01T12:00:00+02:00'}\n"
                  "    allow_ips: [203.0.113.0/24, '::1']\n"
                  "    services: [users]\n"
                  "  - name: partner\n");
    ck_assert_uint_eq(conf_consumer_count(r.file), 2);
    c = consumer(0);
    reading_is_good(&r);
    ck_assert_text(c->name, "mobile-app");
    ck_assert_text(c->plan, "gold");
    ck_assert_uint_eq(c->groups.count, 2);
    ck_assert_text(key(c, 0)->id, "k1");
    ck_assert_text(key(c, 0)->prefix, "gw_8Fq2");
    ck_assert_uint_eq(conf_consumer_digest(key(c, 0))->at[0], 0xba);
    ck_assert_uint_eq(key(c, 0)->expires, 1798761600 * NS_PER_S);
    ck_assert(digest_equal(conf_consumer_digest(key(c, 1)), &plain));
    ck_assert_uint_eq(key(c, 1)->expires, 1811844000 * NS_PER_S);
    ck_assert_uint_eq(c->allow_ips.count, 2);
    ck_assert_text(((const struct str *)c->services.items)[0], "users");
    ck_assert_uint_eq(c->at.line, 4);
    c = consumer(1);
    reading_is_good(&r);
    ck_assert_uint_eq(
        c->plan.len + c->groups.count + c->keys.count + c->services.count + c->allow_ips.count, 0);
    reading_end(&r);
}
END_TEST

START_TEST(test_a_digest_alone_is_a_key_and_never_is_when_it_ends)
{
    reading_begin(&r, SERVICE "consumers: [{name: a, keys: " ABC "}]");
    ck_assert_uint_eq(conf_consumer_digest(key(consumer(0), 0))->at[31], 0xad);
    ck_assert_uint_eq(key(consumer(0), 0)->expires, 0);
    reading_end(&r);
}
END_TEST

START_TEST(test_what_a_consumer_says_has_a_hash)
{
    reading_begin(&r, SERVICE "consumers: [{name: a}, {name: b}, {name: a}]");
    ck_assert_uint_eq(conf_consumer_hash(r.file, 0), conf_consumer_hash(r.file, 2));
    ck_assert_uint_ne(conf_consumer_hash(r.file, 0), conf_consumer_hash(r.file, 1));
    reading_end(&r);
}
END_TEST

START_TEST(test_files_without_consumers_have_none)
{
    reading_begin(&r, _i ? SERVICE "consumers: []" : SERVICE);
    ck_assert_uint_eq(conf_consumer_count(r.file), 0);
    reading_is_good(&r);
    reading_end(&r);
}
END_TEST

static const struct {
    const char *yaml, *problem;
} wrong[] = {
    { "consumers: {a: b}", "config.yaml:3:1: consumers: must be a list" },
    { "consumers: [{plan: free}]", "config.yaml:3:13: consumers[0]: \"name\" is missing" },
    { "consumers: [{name: 'a b'}]",
      "config.yaml:3:14: consumers[0].name: must be a word without blanks, is \"a b\"" },
    { "consumers: [{name: a, plan: fre}]",
      "config.yaml:3:23: consumers[0].plan: there is no plan \"fre\"; did you mean \"free\"?" },
    { "consumers: [{name: a, plan: platinum}]",
      "config.yaml:3:23: consumers[0].plan: there is no plan \"platinum\" in plans" },
    { "consumers: [{name: a, services: [users, user]}]",
      "config.yaml:3:41: consumers[0].services[1]: there is no service \"user\"" },
    { "consumers: [{name: a}, {name: b}, {name: a}]",
      "config.yaml:3:36: consumers[2].name: there is a consumer \"a\" already, in line 3" },
    { "consumers: [{name: a, keys: [{sha256: " ABC "}]},\n  {name: b, keys: [{key: abc}]}]",
      "config.yaml:4:20: consumers[1].keys[0]: is the key of a consumer already, in line 3: each "
      "key is one consumer's" },
    { "consumers: [{name: a, keys: [{id: x}]}]",
      "config.yaml:3:30: consumers[0].keys[0]: \"sha256\" is missing: the digest of the key, as "
      "`sluice key new` prints it" },
    { "consumers: [{name: a, keys: [{key: hunter3, sha256: " ABC "}]}]",
      "config.yaml:3:30: consumers[0].keys[0]: \"key\" and \"sha256\" both say the key: keep "
      "\"sha256\"" },
    { "consumers: [{name: a, keys: [{key: 'hunter3 x'}]}]",
      "config.yaml:3:31: consumers[0].keys[0].key: must be a word without blanks" },
    { "consumers: [{name: a, keys: [{sha256: abc}]}]",
      "config.yaml:3:31: consumers[0].keys[0].sha256: must be 64 hexadecimal digits, as `sluice "
      "key new` prints them; the key itself is said by \"key\"" },
    { "consumers: [{name: a, keys: [{key: a, expires: tomorrow}]}]",
      "config.yaml:3:39: consumers[0].keys[0].expires: must be never, a day such as 2027-01-01, "
      "or a moment such as 2027-01-01T12:00:00Z, is \"tomorrow\"" },
    { "consumers: [{name: a, keys: [{id: x, key: a}, {id: x, key: b}]}]",
      "config.yaml:3:13: consumers[0]: has two keys with the id \"x\"" },
    { "consumers: [{name: a, allow_ips: 10.0.0.1/8}]",
      "config.yaml:3:23: consumers[0].allow_ips: must be an address or a prefix with nothing "
      "behind it, such as 10.0.0.0/8 or fd00::/8, is \"10.0.0.1/8\"" },
    { "consumers: [{name: a, jwt_sub: x}]",
      "config.yaml:3:23: consumers[0]: unknown key \"jwt_sub\"" },
};

START_TEST(test_each_mistake_is_told_with_its_place_and_without_a_secret)
{
    char yaml[1000];

    snprintf(yaml, sizeof yaml, SERVICE PLANS "%s", wrong[_i].yaml);
    reading_begin(&r, yaml);
    for (size_t i = 0; i < conf_consumer_count(r.file); i++)
        consumer(i);
    ck_assert_str_eq(reading_problem(&r, 0), wrong[_i].problem);
    ck_assert_str_eq(reading_problem(&r, 1), "none");
    ck_assert_ptr_null(strstr(reading_problem(&r, 0), "hunter3"));
    reading_end(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("consumers");
    TCase *t = tcase_create("consumers");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_test(t, test_a_consumer_has_a_plan_groups_keys_and_bounds);
    tcase_add_test(t, test_a_digest_alone_is_a_key_and_never_is_when_it_ends);
    tcase_add_test(t, test_what_a_consumer_says_has_a_hash);
    tcase_add_loop_test(t, test_files_without_consumers_have_none, 0, 2);
    tcase_add_loop_test(t, test_each_mistake_is_told_with_its_place_and_without_a_secret, 0,
                        ARRAY_LEN(wrong));
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
