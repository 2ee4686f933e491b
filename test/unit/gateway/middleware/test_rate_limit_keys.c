/* Who has a limit of their own, and who has none. */
#include <check.h>
#include <stdlib.h>

#include "gateway/base/number.h"
#include "rate_limit_play.h"

START_TEST(test_each_address_and_each_verified_key_has_its_own_limit)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", HOURLY));
    ck_assert_int_eq(passed(&s, 4, "192.0.2.1", NULL), 3);
    ck_assert_int_eq(passed(&s, 4, "192.0.2.2", NULL), 3);
    ck_assert_int_eq(passed(&s, 4, "192.0.2.1", "key a"), 3);
    ck_assert_int_eq(passed(&s, 4, "192.0.2.9", "key a"), 0);
    ck_assert_int_eq(passed(&s, 4, "192.0.2.1", "key b"), 3);
    stage_end(&s);
}
END_TEST

/* One customer has a whole prefix of IPv6 addresses. */
START_TEST(test_addresses_of_one_prefix_are_one_client)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", HOURLY));
    ck_assert_int_eq(passed(&s, 2, "2001:db8:0:1::1", NULL), 2);
    ck_assert_int_eq(passed(&s, 2, "2001:db8:0:1:ffff::2", NULL), 1);
    ck_assert_int_eq(passed(&s, 2, "2001:db8:0:2::1", NULL), 2);
    stage_end(&s);
}
END_TEST

static const struct {
    const char *key;
    int other_address, other_key; /* of 3 requests after the burst was used up */
} by[] = {
    { "auto", 3, 3 }, { "ip", 3, 0 }, { "api_key", 3, 3 }, { "service", 0, 0 }, { "global", 0, 0 },
};

START_TEST(test_key_says_who_has_a_limit_of_its_own)
{
    struct stage s;
    char yaml[64];

    stage_begin(&s);
    snprintf(yaml, sizeof yaml, "{rate: 6/h, burst: 3, key: %s}", by[_i].key);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", yaml));
    ck_assert_int_eq(passed(&s, 3, "192.0.2.1", "key a"), 3);
    ck_assert_int_eq(passed(&s, 3, "192.0.2.1", "key b"), by[_i].other_key);
    ck_assert_int_eq(passed(&s, 3, "192.0.2.2", NULL), by[_i].other_address);
    stage_end(&s);
}
END_TEST

struct asker {
    const char *address, *user, *consumer, *api_key, *header, *query;
};

static enum verdict ask_as(struct stage *s, const struct asker *who)
{
    struct act a;
    enum verdict v;

    act_begin(&a, s, who->address ? who->address : "192.0.2.1");
    a.x.who.user = str_from(who->user);
    a.x.who.consumer = str_from(who->consumer);
    a.x.who.api_key = str_from(who->api_key);
    a.x.req.query = str_from(who->query);
    if (who->header) {
        act_header(&a, "X-Tenant", who->header);
        act_header(&a, "Cookie", "a=b");
        act_header(&a, "Cookie",
                   str_keep_z(&a.x.arena, str_format(&a.x.arena, "c=d; sid=%s; e=f", who->header)));
    }
    v = act_request(&a);
    act_end(&a);
    return v;
}

/* Both ask a limit of one: are they one client? */
static const struct {
    const char *key;
    struct asker one, other;
    bool same;
} askers[] = {
    { "auto", { .user = "u" }, { .user = "u", .address = "192.0.2.2" }, true },
    { "auto", { .user = "u" }, { .consumer = "u" }, false },
    { "auto", { .user = "u", .consumer = "c" }, { .user = "v", .consumer = "c" }, true },
    { "user", { .user = "u" }, { .user = "v" }, false },
    { "user", { 0 }, { .address = "192.0.2.2" }, false }, /* falls to the address */
    { "user", { 0 }, { .api_key = "k" }, true },
    { "user|api_key", { .api_key = "k" }, { .api_key = "k", .address = "192.0.2.2" }, true },
    { "user|api_key", { .api_key = "k" }, { .api_key = "l" }, false },
    { "header:x-tenant", { .header = "t" }, { .header = "t", .address = "192.0.2.2" }, true },
    { "header:X-Tenant", { .header = "t" }, { .header = "T" }, false },
    { "header:X-Tenant", { 0 }, { .address = "192.0.2.2" }, false },
    { "cookie:sid", { .header = "t" }, { .header = "t", .address = "192.0.2.2" }, true },
    { "cookie:sid", { .header = "t" }, { .header = "u" }, false },
    { "cookie:si", { .header = "t" }, { .header = "u" }, true },
    { "query:q", { .query = "a=1&q=x" }, { .query = "q=x&b=2", .address = "192.0.2.2" }, true },
    { "query:q", { .query = "q=x%2B" }, { .query = "%71=%78%2b", .address = "192.0.2.2" }, true },
    { "query:q", { .query = "q=x" }, { .query = "qq=x&q=y" }, false },
    { "query:q", { .query = "q" }, { .query = "q=" }, true },
    { "[ip, query:q]", { .query = "q=x" }, { .query = "q=x" }, true },
    { "[ip, query:q]", { .query = "q=x" }, { .query = "q=x", .address = "192.0.2.2" }, false },
    { "[ip, query:q]", { .query = "q=x" }, { .query = "q=y" }, false },
    /* parts do not run into each other */
    { "[query:q, query:r]", { .query = "q=ab&r=c" }, { .query = "q=a&r=bc" }, false },
    { "[global, user]", { .user = "u" }, { .user = "v" }, false },
    { "route", { 0 }, { .address = "192.0.2.2" }, true },
};

START_TEST(test_a_key_says_who_is_one_client)
{
    struct stage s;
    char yaml[128];

    stage_begin(&s);
    snprintf(yaml, sizeof yaml, "{rate: 6/h, burst: 1, key: %s%s%s}",
             askers[_i].key[0] == '[' ? "" : "\"", askers[_i].key,
             askers[_i].key[0] == '[' ? "" : "\"");
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", yaml));
    ck_assert_int_eq(ask_as(&s, &askers[_i].one), NEXT);
    ck_assert_int_eq(ask_as(&s, &askers[_i].other), askers[_i].same ? REPLIED : NEXT);
    ck_assert_int_eq(ask_as(&s, &askers[_i].one), REPLIED);
    stage_end(&s);
}
END_TEST

/* A long value is known by its hash, but whole. */
START_TEST(test_long_values_differ_in_their_last_octet_too)
{
    struct stage s;
    char one[5001], other[5001];

    memset(one, 'x', 5000);
    memset(other, 'x', 5000);
    one[5000] = other[5000] = 0;
    other[4999] = 'y';
    stage_begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u",
                         "{rate: 6/h, burst: 1, key: [header:X-Tenant, \"header:X-Tenant\"]}"));
    ck_assert_int_eq(ask_as(&s, &(struct asker){ .header = one }), NEXT);
    ck_assert_int_eq(ask_as(&s, &(struct asker){ .header = other }), NEXT);
    ck_assert_int_eq(ask_as(&s, &(struct asker){ .header = one }), REPLIED);
    stage_end(&s);
}
END_TEST

START_TEST(test_who_has_no_key_is_counted_by_address_refused_or_not_counted_as_told)
{
    static const char *const rules[] = { "ip", "refuse", "skip" };
    static const int pass[] = { 1, 0, 5 };
    struct stage s;
    char yaml[128];

    stage_begin(&s);
    snprintf(yaml, sizeof yaml, "{rate: 6/h, burst: 1, key: user, key_missing: %s}", rules[_i]);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", yaml));
    ck_assert_int_eq(passed(&s, 5, "192.0.2.1", NULL), pass[_i]);
    ck_assert_int_eq(ask_as(&s, &(struct asker){ .user = "u" }), NEXT);
    ck_assert_int_eq(ask_as(&s, &(struct asker){ .user = "u" }), REPLIED);
    stage_end(&s);
}
END_TEST

START_TEST(test_who_is_exempt_is_not_counted)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u",
                         "{rate: 6/h, burst: 1, key: service, "
                         "exempt: {ips: [192.0.2.0/28], consumers: [boss]}}"));
    ck_assert_int_eq(passed(&s, 5, "192.0.2.1", NULL), 5);
    ck_assert_int_eq(ask_as(&s, &(struct asker){ .user = "boss", .address = "192.0.2.99" }), NEXT);
    ck_assert_int_eq(passed(&s, 5, "192.0.2.99", NULL), 1);
    ck_assert_int_eq(ask_as(&s, &(struct asker){ .consumer = "boss", .address = "192.0.2.99" }),
                     NEXT);
    stage_end(&s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("rate_limit_keys");
    TCase *c = tcase_create("rate_limit_keys");
    SRunner *r;
    int failed;

    tcase_add_test(c, test_each_address_and_each_verified_key_has_its_own_limit);
    tcase_add_test(c, test_addresses_of_one_prefix_are_one_client);
    tcase_add_loop_test(c, test_key_says_who_has_a_limit_of_its_own, 0, (int)ARRAY_LEN(by));
    tcase_add_loop_test(c, test_a_key_says_who_is_one_client, 0, (int)ARRAY_LEN(askers));
    tcase_add_test(c, test_long_values_differ_in_their_last_octet_too);
    tcase_add_loop_test(c, test_who_has_no_key_is_counted_by_address_refused_or_not_counted_as_told,
                        0, 3);
    tcase_add_test(c, test_who_is_exempt_is_not_counted);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
