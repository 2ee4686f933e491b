/* Who has a key, and who has none. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "by_hand.h"
#include "gateway/base/clock.h"
#include "gateway/exchange/consumers.h"

extern const struct middleware auth_apikey_middleware;

static enum verdict ask(struct stage *s, const char *header, const char *key)
{
    struct act a;
    enum verdict v;

    act_begin(&a, s, "192.0.2.1");
    if (key)
        act_header(&a, header, key);
    v = act_request(&a);
    if (v == NEXT)
        ck_assert_uint_eq(a.x.who.api_key.len, strlen(key));
    else
        ck_assert_uint_eq(a.x.who.api_key.len, 0);
    act_end(&a);
    return v;
}

/* A request with a valid key passes, and the key is its identity. */
START_TEST(test_valid_keys_pass)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(stage_step(&s, &auth_apikey_middleware, "u", "valid_keys: [abc-123, dwe-569]"));
    ck_assert_int_eq(ask(&s, "X-API-KEY", "abc-123"), NEXT);
    ck_assert_int_eq(ask(&s, "x-api-key", "dwe-569"), NEXT);
    stage_end(&s);
}
END_TEST

static const char *const wrong[] = { NULL,       "",        "abc",     "abc-12",
                                     "abc-1234", "ABC-123", "abc-124", "abc-123,dwe-569",
                                     "abc-123 ", "*",       "\xff\xfe" };

START_TEST(test_what_is_not_exactly_a_key_is_refused)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(stage_step(&s, &auth_apikey_middleware, "u", "valid_keys: [abc-123, dwe-569]"));
    ck_assert_int_eq(ask(&s, "X-API-KEY", wrong[_i]), REPLIED);
    stage_end(&s);
}
END_TEST

/* Two parsers could take different ones. */
START_TEST(test_two_keys_are_none_even_if_both_are_valid)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    ck_assert(stage_step(&s, &auth_apikey_middleware, "u", "valid_keys: [abc-123, dwe-569]"));
    act_begin(&a, &s, "192.0.2.1");
    act_header(&a, "X-API-KEY", "abc-123");
    act_header(&a, "X-Api-Key", _i ? "abc-123" : "dwe-569");
    ck_assert_int_eq(act_request(&a), REPLIED);
    act_end(&a);
    stage_end(&s);
}
END_TEST

START_TEST(test_a_refusal_has_the_words_of_the_seed_and_a_challenge)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    ck_assert(stage_step(&s, &auth_apikey_middleware, "u", "valid_keys: [abc-123]"));
    act_begin(&a, &s, "192.0.2.1");
    act_header(&a, "X-API-KEY", "a-wrong-secret");
    ck_assert_int_eq(act_request(&a), REPLIED);
    ck_assert_uint_eq(a.x.resp.status, 401);
    ck_assert_int_eq(a.x.reason, REASON_AUTH_FAILED);
    ck_assert(str_equal(a.x.own_body, STR("Authentication Failed\n")));
    ck_assert_str_eq(act_answer(&a, "WWW-Authenticate"), "ApiKey header=\"X-API-KEY\"");
    ck_assert_ptr_null(memmem(a.x.own_body.at, a.x.own_body.len, "secret", 6));
    act_end(&a);
    stage_end(&s);
}
END_TEST

START_TEST(test_programs_that_ask_for_json_get_a_problem)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    ck_assert(stage_step(&s, &auth_apikey_middleware, "u", "valid_keys: [abc-123]"));
    act_begin(&a, &s, "192.0.2.1");
    act_header(&a, "Accept", "application/json");
    ck_assert_int_eq(act_request(&a), REPLIED);
    ck_assert_str_eq(act_answer(&a, "Content-Type"), "application/problem+json");
    ck_assert_ptr_nonnull(
        memmem(a.x.own_body.at, a.x.own_body.len, "\"Authentication Failed\"", 23));
    act_end(&a);
    stage_end(&s);
}
END_TEST

START_TEST(test_status_text_and_header_are_as_configured)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    ck_assert(stage_step(&s, &auth_apikey_middleware, "u",
                         "{valid_keys: [abc-123], header: X-Token, status: 403, body: No way}"));
    ck_assert_int_eq(ask(&s, "X-Token", "abc-123"), NEXT);
    ck_assert_int_eq(ask(&s, "X-API-KEY", "abc-123"), REPLIED);
    act_begin(&a, &s, "192.0.2.1");
    ck_assert_int_eq(act_request(&a), REPLIED);
    ck_assert_uint_eq(a.x.resp.status, 403);
    ck_assert(str_equal(a.x.own_body, STR("No way\n")));
    ck_assert_str_eq(act_answer(&a, "WWW-Authenticate"), "");
    act_end(&a);
    stage_end(&s);
}
END_TEST

START_TEST(test_strip_takes_the_key_off_the_request_and_keeps_it_as_identity)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    ck_assert(stage_step(&s, &auth_apikey_middleware, "u",
                         _i ? "{valid_keys: [abc-123], strip: true}" : "valid_keys: [abc-123]"));
    act_begin(&a, &s, "192.0.2.1");
    act_header(&a, "X-API-KEY", "abc-123");
    ck_assert_int_eq(act_request(&a), NEXT);
    ck_assert_int_eq(fields_find(&a.x.req.fields, FIELD_X_API_KEY) == NULL, _i);
    ck_assert(str_equal(a.x.who.api_key, STR("abc-123")));
    act_end(&a);
    stage_end(&s);
}
END_TEST

START_TEST(test_in_shadow_all_pass_nobody_is_known_and_it_is_noted)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    ck_assert(stage_step(&s, &auth_apikey_middleware, "u", "valid_keys: [abc-123]"));
    s.step.mode = CONF_MODE_SHADOW;
    act_begin(&a, &s, "192.0.2.1");
    if (_i)
        act_header(&a, "X-API-KEY", "abc-123");
    ck_assert_int_eq(act_request(&a), NEXT);
    ck_assert_uint_eq(a.x.who.api_key.len, 0);
    ck_assert_int_eq(a.x.record.shadow, _i ? REASON_OK : REASON_AUTH_FAILED);
    act_end(&a);
    stage_end(&s);
}
END_TEST

START_TEST(test_every_one_of_many_keys_is_found_and_no_other)
{
    struct stage s;
    char yaml[20000] = "valid_keys: [";
    size_t len = strlen(yaml);

    stage_begin(&s);
    for (int i = 0; i < 1000; i++)
        len += (size_t)snprintf(yaml + len, sizeof yaml - len, "%skey-%d", i ? ", " : "", i);
    snprintf(yaml + len, sizeof yaml - len, "]");
    ck_assert(stage_step(&s, &auth_apikey_middleware, "u", yaml));
    for (int i = 0; i < 1100; i++) {
        char key[16];

        snprintf(key, sizeof key, "key-%d", i);
        ck_assert_int_eq(ask(&s, "X-API-KEY", key), i < 1000 ? NEXT : REPLIED);
    }
    stage_end(&s);
}
END_TEST

/* ---- consumers -------------------------------------------------------------------------------- */

#define ITEMS(array)                                                                               \
    {                                                                                              \
        (array), ARRAY_LEN(array)                                                                  \
    }

/* app: key "app-1", and "app-old" that has ended; tied: key "tied", bound to 10.0.0.0/8 and the services u and v;
 * none: no plan. */
static void with_consumers(struct stage *s)
{
    static const uint64_t long_ago = 1000000000 * NS_PER_S, far_ahead = 16725225600 * NS_PER_S;
    struct consumers *all = consumers_new(1, 4);
    struct conf_plan plans[] = { { .name = STR("free") }, { .name = STR("gold") } };
    struct conf_list plan_list = ITEMS(plans);
    struct str *groups = ARENA_ARRAY(&s->arena, struct str, 2);
    struct str *services = ARENA_ARRAY(&s->arena, struct str, 2);
    struct cidr *nets = ARENA_ARRAY(&s->arena, struct cidr, 1);
    struct conf_consumer_key app[] = {
        { .key = { true, digest_of(STR("app-1")) }, .expires = far_ahead },
        { .key = { true, digest_of(STR("app-old")) }, .expires = long_ago },
    };
    struct conf_consumer_key tied[] = { { .sha256 = { true, digest_of(STR("tied")) } } };
    struct conf_consumer_key plain[] = { { .sha256 = { true, digest_of(STR("none-1")) } } };

    groups[0] = STR("apps");
    groups[1] = STR("eu");
    services[0] = STR("v");
    services[1] = STR("u");
    ck_assert(cidr_read(STR("10.0.0.0/8"), nets));
    consumers_add(
        all,
        &(struct conf_consumer){
            .name = STR("app"), .plan = STR("gold"), .groups = { groups, 2 }, .keys = ITEMS(app) },
        &plan_list);
    consumers_add(all,
                  &(struct conf_consumer){ .name = STR("tied"),
                                           .plan = STR("free"),
                                           .keys = ITEMS(tied),
                                           .allow_ips = { nets, 1 },
                                           .services = { services, 2 } },
                  &plan_list);
    consumers_add(all, &(struct conf_consumer){ .name = STR("none"), .keys = ITEMS(plain) },
                  &plan_list);
    s->builder.consumers = all;
}

static void consumers_end(struct stage *s)
{
    consumers_release((struct consumers *)(uintptr_t)s->builder.consumers, NULL);
    stage_end(s);
}

#define TELLING "{identity_headers: {X-Consumer: name, X-Plan: plan, X-Groups: groups}}"

static const struct {
    const char *key, *address, *service;
    enum reason reason;
    unsigned status;
} presented[] = {
    { "app-1", "192.0.2.1", "u", REASON_OK, 0 },
    { "app-1", "192.0.2.1", "anything", REASON_OK, 0 },
    { "app-old", "192.0.2.1", "u", REASON_KEY_EXPIRED, 401 },
    { "app-2", "192.0.2.1", "u", REASON_AUTH_FAILED, 401 },
    { "tied", "10.9.8.7", "u", REASON_OK, 0 },
    { "tied", "10.9.8.7", "v", REASON_OK, 0 },
    { "tied", "10.9.8.7", "w", REASON_SERVICE_NOT_ALLOWED, 403 },
    { "tied", "11.0.0.1", "u", REASON_IP_NOT_ALLOWED, 403 },
    { "", "10.9.8.7", "u", REASON_AUTH_FAILED, 401 },
    { NULL, "10.9.8.7", "u", REASON_AUTH_FAILED, 401 },
};

START_TEST(test_a_consumer_may_ask_what_from_where_and_until_when_it_is_said)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    with_consumers(&s);
    ck_assert(stage_step(&s, &auth_apikey_middleware, presented[_i].service, "{}"));
    act_begin(&a, &s, presented[_i].address);
    if (presented[_i].key)
        act_header(&a, "X-API-KEY", presented[_i].key);
    ck_assert_int_eq(act_request(&a), presented[_i].reason == REASON_OK ? NEXT : REPLIED);
    ck_assert_int_eq(a.x.reason, presented[_i].reason);
    ck_assert_uint_eq(a.x.resp.status, presented[_i].status);
    ck_assert_int_eq(*act_answer(&a, "WWW-Authenticate") != 0, presented[_i].status == 401);
    act_end(&a);
    consumers_end(&s);
}
END_TEST

START_TEST(test_who_is_known_has_a_name_a_plan_and_groups_and_the_service_is_told)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    with_consumers(&s);
    ck_assert(stage_step(&s, &auth_apikey_middleware, "u", TELLING));
    act_begin(&a, &s, "192.0.2.1");
    act_header(&a, "X-API-KEY", "app-1");
    act_header(&a, "x-consumer", "root");
    act_header(&a, "X_Plan", "platinum");
    ck_assert_int_eq(act_request(&a), NEXT);
    ck_assert(str_equal(a.x.who.consumer, STR("app")));
    ck_assert(str_equal(a.x.who.plan, STR("gold")));
    ck_assert_uint_eq(a.x.who.plan_number, 2);
    ck_assert_uint_eq(a.x.who.group_count, 2);
    ck_assert(str_equal(fields_find_name(&a.x.req.fields, STR("X-Consumer"))->value, STR("app")));
    ck_assert(str_equal(fields_find_name(&a.x.req.fields, STR("X-Plan"))->value, STR("gold")));
    ck_assert(str_equal(fields_find_name(&a.x.req.fields, STR("X-Groups"))->value, STR("apps,eu")));
    ck_assert_ptr_null(fields_find_name(&a.x.req.fields, STR("X_Plan")));
    act_end(&a);
    consumers_end(&s);
}
END_TEST

/* With a plain key, with a consumer's that has no plan, and where the step only watches. */
START_TEST(test_what_a_client_says_about_itself_is_never_passed_on)
{
    static const char *const keys[] = { "abc-123", "none-1", "app-1", NULL };
    struct stage s;
    struct act a;

    stage_begin(&s);
    with_consumers(&s);
    ck_assert(stage_step(&s, &auth_apikey_middleware, "u",
                         "{valid_keys: [abc-123], identity_headers: {X-Consumer: name, X-Plan: "
                         "plan, X-API-KEY: groups}}"));
    s.step.mode = _i < 2 ? CONF_MODE_ENFORCE : CONF_MODE_SHADOW;
    act_begin(&a, &s, "192.0.2.1");
    if (keys[_i])
        act_header(&a, "X-API-KEY", keys[_i]);
    act_header(&a, "X-Plan", "gold");
    act_header(&a, "X-CONSUMER", "app");
    ck_assert_int_eq(act_request(&a), NEXT);
    ck_assert_ptr_null(fields_find_name(&a.x.req.fields, STR("X-Plan")));
    ck_assert_ptr_null(fields_find_name(&a.x.req.fields, STR("X-API-KEY")));
    if (_i == 1)
        ck_assert(
            str_equal(fields_find_name(&a.x.req.fields, STR("X-Consumer"))->value, STR("none")));
    else
        ck_assert_ptr_null(fields_find_name(&a.x.req.fields, STR("X-Consumer")));
    ck_assert_uint_eq(a.x.who.plan.len, 0);
    act_end(&a);
    consumers_end(&s);
}
END_TEST

START_TEST(test_who_has_a_plain_key_is_known_by_it_alone)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    with_consumers(&s);
    ck_assert(stage_step(&s, &auth_apikey_middleware, "u", "valid_keys: [abc-123]"));
    act_begin(&a, &s, "192.0.2.1");
    act_header(&a, "X-API-KEY", "abc-123");
    ck_assert_int_eq(act_request(&a), NEXT);
    ck_assert(str_equal(a.x.who.api_key, STR("abc-123")));
    ck_assert_uint_eq(a.x.who.consumer.len, 0);
    act_end(&a);
    consumers_end(&s);
}
END_TEST

START_TEST(test_consumers_that_are_not_used_are_strangers)
{
    struct stage s;

    stage_begin(&s);
    with_consumers(&s);
    ck_assert(stage_step(&s, &auth_apikey_middleware, "u",
                         "{valid_keys: [abc-123], use_consumers: false}"));
    ck_assert_int_eq(ask(&s, "X-API-KEY", "app-1"), REPLIED);
    ck_assert_int_eq(ask(&s, "X-API-KEY", "abc-123"), NEXT);
    consumers_end(&s);
}
END_TEST

static const char *const unusable[] = {
    "{valid_keys: [app-1]}", /* two kinds of one key */
    "{use_consumers: false}",
    "{identity_headers: {X-Consumer: nam}}",
    "{identity_headers: {'X Consumer': name}}",
    "{identity_headers: {Content-Length: name}}",
    "{identity_headers: {Connection: name}}",
    "{cookie: 'a b'}",
};

START_TEST(test_settings_that_do_not_fit_the_consumers_fail_the_load)
{
    struct stage s;

    stage_begin(&s);
    with_consumers(&s);
    s.builder.role = BUILD_MASTER; /* it looks whether a key is told twice */
    ck_assert(!stage_step(&s, &auth_apikey_middleware, "u", unusable[_i]));
    consumers_end(&s);
}
END_TEST

START_TEST(test_each_of_many_keys_is_found_as_its_own_and_no_other)
{
    struct consumers *all = consumers_new(1, 3000);
    struct conf_list none = { 0 };
    char text[16];

    for (int i = 0; i < 3000; i++) {
        struct conf_consumer_key key = { .sha256.said = true };
        struct conf_consumer c = { .keys = { &key, 1 } };

        snprintf(text, sizeof text, "%d", i);
        key.sha256.digest = digest_of(str_from(text));
        c.name = str_keep(consumers_arena(all), str_from(text));
        consumers_add(all, &c, &none);
    }
    for (int i = 0; i < 4000; i++) {
        const struct consumer_key *k;

        snprintf(text, sizeof text, "%d", i);
        k = consumers_find(all, str_from(text));
        ck_assert_int_eq(k != NULL, i < 3000);
        if (k)
            ck_assert(str_equal(k->consumer->name, str_from(text)));
    }
    consumers_hold(all);
    consumers_release(all, NULL);
    consumers_release(all, NULL);
    consumers_release(NULL, NULL);
}
END_TEST

/* ---- where a key may stand -------------------------------------------------------------------- */

static const struct {
    const char *target, *header, *cookie;
    bool good;
    const char *stripped, *cookie_left;
} places[] = {
    { "/a", "abc-123", NULL, true, "/a", NULL },
    { "/a?key=abc-123", NULL, NULL, true, "/a", NULL },
    { "/a?key=abc%2d123&x=1", NULL, NULL, true, "/a?x=1", NULL },
    { "/a?x=1&k%65y=abc-123&y&=z", NULL, NULL, true, "/a?x=1&y&=z", NULL },
    { "/a", NULL, "kk=abc-123", true, "/a", NULL },
    { "/a?", NULL, "x=1; kk=abc-123;y=2", true, "/a?", "x=1; y=2" },
    { "/a?key=abc-123", "abc-123", NULL, false, NULL, NULL },
    { "/a?key=abc-123", "wrong", NULL, false, NULL, NULL },
    { "/a?key=abc-123&key=abc-123", NULL, NULL, false, NULL, NULL },
    { "/a?key=abc-123", NULL, "kk=abc-123", false, NULL, NULL },
    { "/a", NULL, "kk=abc-123; kk=abc-123", false, NULL, NULL },
    { "/a?KEY=abc-123", NULL, NULL, false, NULL, NULL },
    { "/a?key", NULL, NULL, false, NULL, NULL },
    { "/a?key=", NULL, "kk=", false, NULL, NULL },
    { "/a?akey=abc-123", NULL, "akk=abc-123", false, NULL, NULL },
};

START_TEST(test_a_key_stands_in_one_place_and_is_taken_off_there)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    ck_assert(stage_step(&s, &auth_apikey_middleware, "u",
                         "{valid_keys: [abc-123], query: key, cookie: kk, strip: true}"));
    act_begin(&a, &s, "192.0.2.1");
    a.x.req.target = str_from(places[_i].target);
    str_cut(a.x.req.target, '?', &a.x.req.query);
    if (places[_i].header)
        act_header(&a, "X-API-KEY", places[_i].header);
    if (places[_i].cookie)
        act_header(&a, "Cookie", places[_i].cookie);
    ck_assert_int_eq(act_request(&a), places[_i].good ? NEXT : REPLIED);
    if (places[_i].good) {
        const struct field *cookie = fields_find(&a.x.req.fields, FIELD_COOKIE);
        struct str query;

        ck_assert(str_equal(a.x.who.api_key, STR("abc-123")));
        ck_assert_msg(str_equal(a.x.req.target, str_from(places[_i].stripped)), "%.*s",
                      STR_ARGS(a.x.req.target));
        str_cut(a.x.req.target, '?', &query);
        ck_assert(str_equal(a.x.req.query, query));
        ck_assert_ptr_null(fields_find(&a.x.req.fields, FIELD_X_API_KEY));
        ck_assert_int_eq(cookie != NULL, places[_i].cookie_left != NULL);
        if (cookie)
            ck_assert(str_equal(cookie->value, str_from(places[_i].cookie_left)));
    }
    act_end(&a);
    stage_end(&s);
}
END_TEST

static const char *const bad[] = { "{}",
                                   "valid_keys: []",
                                   "{valid_keys: [a], header: \"a b\"}",
                                   "{valid_keys: [a], header: \"a:b\"}",
                                   "{valid_keys: [a], status: 200}",
                                   "{valid_keys: [a], nonsense: 1}" };

START_TEST(test_settings_that_cannot_work_fail_the_load)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(!stage_step(&s, &auth_apikey_middleware, "u", bad[_i]));
    stage_end(&s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("auth_apikey");
    TCase *c = tcase_create("auth_apikey");
    SRunner *r;
    int failed;

    tcase_add_test(c, test_valid_keys_pass);
    tcase_add_loop_test(c, test_what_is_not_exactly_a_key_is_refused, 0, (int)ARRAY_LEN(wrong));
    tcase_add_loop_test(c, test_two_keys_are_none_even_if_both_are_valid, 0, 2);
    tcase_add_test(c, test_a_refusal_has_the_words_of_the_seed_and_a_challenge);
    tcase_add_test(c, test_programs_that_ask_for_json_get_a_problem);
    tcase_add_test(c, test_status_text_and_header_are_as_configured);
    tcase_add_loop_test(c, test_strip_takes_the_key_off_the_request_and_keeps_it_as_identity, 0, 2);
    tcase_add_loop_test(c, test_in_shadow_all_pass_nobody_is_known_and_it_is_noted, 0, 2);
    tcase_add_test(c, test_every_one_of_many_keys_is_found_and_no_other);
    tcase_add_loop_test(c, test_settings_that_cannot_work_fail_the_load, 0, (int)ARRAY_LEN(bad));
    tcase_add_loop_test(c, test_a_consumer_may_ask_what_from_where_and_until_when_it_is_said, 0,
                        (int)ARRAY_LEN(presented));
    tcase_add_test(c, test_who_is_known_has_a_name_a_plan_and_groups_and_the_service_is_told);
    tcase_add_loop_test(c, test_what_a_client_says_about_itself_is_never_passed_on, 0, 4);
    tcase_add_test(c, test_who_has_a_plain_key_is_known_by_it_alone);
    tcase_add_test(c, test_consumers_that_are_not_used_are_strangers);
    tcase_add_loop_test(c, test_settings_that_do_not_fit_the_consumers_fail_the_load, 0,
                        (int)ARRAY_LEN(unusable));
    tcase_add_test(c, test_each_of_many_keys_is_found_as_its_own_and_no_other);
    tcase_add_loop_test(c, test_a_key_stands_in_one_place_and_is_taken_off_there, 0,
                        (int)ARRAY_LEN(places));
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
