/* Lists of middlewares and the layers of their settings. */
#include "test/unit/conf/reading.h"

static struct reading r;

#define SERVICE "services:\n  - name: a\n    route_pattern: /a\n    urls: http://h\n"

static const struct toy_limit *limit_of(const char *step)
{
    return reading_step(&r.services[0]->steps, step)->settings;
}

START_TEST(test_the_service_wins_over_middleware_config_and_that_over_the_defaults)
{
    const struct toy_limit *limit;

    reading_begin(&r, "middleware_config:\n  rate_limit: {burst: 7, by: key}\n" SERVICE
                      "    middleware: [rate_limit: {by: global}]\n");
    reading_is_good(&r);
    limit = limit_of("rate_limit");
    ck_assert_uint_eq(limit->rate.count, 100);
    ck_assert_uint_eq(limit->burst, 7);
    ck_assert_int_eq(limit->by, 2);
    reading_end(&r);
}
END_TEST

START_TEST(test_a_variant_stands_on_what_its_type_says)
{
    reading_begin(&r, "middleware_config:\n"
                      "  rate_limit: {burst: 7, by: key}\n"
                      "  login: {type: rate_limit, rate: 5/m, mode: shadow}\n" SERVICE
                      "    middleware: [login, rate_limit]\n");
    reading_is_good(&r);
    ck_assert_uint_eq(limit_of("login")->rate.per_ns, 60 * NS_PER_S);
    ck_assert_uint_eq(limit_of("login")->burst, 7);
    ck_assert_int_eq(limit_of("login")->by, 1);
    ck_assert_uint_eq(limit_of("rate_limit")->rate.count, 100);
    ck_assert_int_eq(reading_step(&r.services[0]->steps, "login")->mode, CONF_MODE_SHADOW);
    ck_assert_int_eq(reading_step(&r.services[0]->steps, "rate_limit")->mode, CONF_MODE_ENFORCE);
    ck_assert_str_eq(reading_step(&r.services[0]->steps, "login")->type->name, "rate_limit");
    reading_end(&r);
}
END_TEST

START_TEST(test_a_value_in_the_place_of_a_block_fills_its_main_key)
{
    const struct toy_keys *keys;

    reading_begin(&r, "middleware_config: {auth_apikey: [x, y]}\n" SERVICE
                      "    middleware: [auth_apikey, rate_limit: 3/h]\n");
    reading_is_good(&r);
    ck_assert_uint_eq(limit_of("rate_limit")->rate.count, 3);
    keys = reading_step(&r.services[0]->steps, "auth_apikey")->settings;
    ck_assert_uint_eq(keys->valid_keys.count, 2);
    reading_end(&r);
}
END_TEST

/* A block of the service stands on middleware_config, an item of the list on the block. */
START_TEST(test_a_service_may_have_a_block_named_like_a_middleware)
{
    reading_begin(&r, "middleware_config:\n"
                      "  rate_limit: {burst: 7, by: key}\n"
                      "  login: {type: rate_limit, burst: 8}\n" SERVICE
                      "    rate_limit: {rate: 5/s, mode: shadow}\n"
                      "    login: 6/m\n"
                      "    middleware: [login, rate_limit: {rate: 9/h}]\n"
                      "    rate_limit_burst: 11\n");
    reading_is_good(&r);
    ck_assert_uint_eq(r.problems.warnings, 0);
    ck_assert_uint_eq(limit_of("rate_limit")->rate.count, 9);
    ck_assert_uint_eq(limit_of("rate_limit")->burst, 11);
    ck_assert_int_eq(limit_of("rate_limit")->by, 1);
    ck_assert_int_eq(reading_step(&r.services[0]->steps, "rate_limit")->mode, CONF_MODE_SHADOW);
    ck_assert_uint_eq(limit_of("login")->rate.count, 6);
    ck_assert_uint_eq(limit_of("login")->burst, 8);
    reading_end(&r);
}
END_TEST

START_TEST(test_a_block_without_its_middleware_is_looked_at_and_a_warning)
{
    reading_begin(&r, SERVICE "    rate_limit: {rate: 5/s}\n    middleware: [auth_apikey: x]\n");
    reading_is_good(&r);
    ck_assert_uint_eq(r.problems.warnings, 1);
    reading_end(&r);
    reading_begin(&r, SERVICE "    rate_limit: {rate: x}\n");
    ck_assert_uint_eq(r.problems.errors, 1);
    reading_end(&r);
}
END_TEST

START_TEST(test_short_spellings_go_to_the_step_that_is_named_as_its_type)
{
    reading_begin(&r, "middleware_config: {login: {type: rate_limit}}\n" SERVICE
                      "    rate_limit_rps: 9\n"
                      "    middleware: [login, rate_limit, circuit_breaker]\n"
                      "    cb_reset_timeout_seconds: 1500ms\n");
    reading_is_good(&r);
    ck_assert_uint_eq(r.problems.warnings, 0);
    ck_assert_uint_eq(limit_of("rate_limit")->rate.count, 9);
    ck_assert_uint_eq(limit_of("login")->rate.count, 100);
    reading_end(&r);
    reading_begin(&r, "middleware_config: {login: {type: rate_limit}}\n" SERVICE
                      "    rate_limit_rps: 9\n    middleware: [login]\n");
    ck_assert_uint_eq(limit_of("login")->rate.count, 9);
    reading_end(&r);
}
END_TEST

START_TEST(test_steps_of_the_gateway_are_read_like_those_of_a_service)
{
    reading_begin(&r,
                  "middleware: [metrics, rate_limit: {rate: 5000/s, mode: off}]\nservices: []\n");
    reading_is_good(&r);
    ck_assert_uint_eq(r.globals->steps.count, 2);
    ck_assert_int_eq(r.globals->steps.items[1].mode, CONF_MODE_OFF);
    ck_assert_uint_eq(r.globals->steps.items[1].at.line, 1);
    ck_assert_uint_eq(r.globals->steps.items[1].at.column, 23);
    reading_end(&r);
}
END_TEST

static const struct {
    const char *yaml, *problem;
} wrong[] = {
    { SERVICE "    rate_limit_rps: 5\n    middleware: [rate_limit: {rate: 5/s}]\n",
      "config.yaml:5:5: services[0].rate_limit_rps: says the same as \"rate\" in line 6; give one "
      "of the two" },
    { SERVICE "    rate_limit_rps: 5\n    middleware: [rate_limit: 5/s]\n",
      "config.yaml:5:5: services[0].rate_limit_rps: says the same as \"rate\" in line 6; give one "
      "of the two" },
    { SERVICE "    cb_failure_threshold: 5\n    middleware:\n    - circuit_breaker: {trip: "
              "{consecutive: 1}}\n",
      "config.yaml:5:5: services[0].cb_failure_threshold: says the same as \"trip\" in line 7; "
      "give one of the two" },
    { SERVICE "    cb_failure_threshold: 0\n    middleware: [circuit_breaker]\n",
      "config.yaml:5:5: services[0].cb_failure_threshold: must be between 1 and 1000, is 0" },
    { SERVICE "    cb_reset_timeout_seconds: soon\n    middleware: [circuit_breaker]\n",
      "config.yaml:5:5: services[0].cb_reset_timeout_seconds: must be a number of seconds, is "
      "\"soon\"" },
    { SERVICE "    middleware: [auth_apikey]\n",
      "config.yaml:5:18: services[0].middleware[0]: \"valid_keys\" is missing" },
    { SERVICE "    middleware: [rate_limit, rate_limit]\n",
      "config.yaml:5:30: services[0].middleware[1]: \"rate_limit\" is in this list already" },
    { SERVICE "    middleware: [{rate_limit: {}, metrics: {}}]\n",
      "config.yaml:5:18: services[0].middleware[0]: must be the name of a middleware, or a map of "
      "one name to its settings" },
    { SERVICE "    middleware: [rate_limit: {rte: 5}]\n",
      "config.yaml:5:31: services[0].middleware[0].rate_limit: unknown key \"rte\"; did you mean "
      "\"rate\"?" },
    { SERVICE "    middleware: [rate_limit: {mode: of}]\n",
      "config.yaml:5:31: services[0].middleware[0].rate_limit.mode: must be one of enforce, "
      "shadow, off, is \"of\"" },
    { SERVICE "    middleware: [logn]\nmiddleware_config: {login: {type: metrics}}\n",
      "config.yaml:5:18: services[0].middleware[0]: unknown middleware \"logn\"; did you mean "
      "\"login\"?" },
    { SERVICE "middleware_config: {login: {}}\n",
      "config.yaml:5:21: middleware_config.login: unknown middleware \"login\"; a variant needs a "
      "\"type\"" },
    { SERVICE "middleware_config: {login: {type: metric}}\n",
      "config.yaml:5:29: middleware_config.login.type: unknown middleware \"metric\"; did you mean "
      "\"metrics\"?" },
    { SERVICE "middleware_config: {'a:b': {type: metrics}}\n",
      "config.yaml:5:21: middleware_config.\"a:b\": a name has 1 to 64 letters, digits, \"-\", "
      "\"_\" "
      "and \".\"" },
    { SERVICE "middleware_config: {metrics: {type: metrics}}\n",
      "config.yaml:5:31: middleware_config.metrics: unknown key \"type\"" },
    { SERVICE "middleware_config: {rate_limit: {burst: many}}\n",
      "config.yaml:5:34: middleware_config.rate_limit.burst: must be a whole number, is \"many\"" },
    { SERVICE "    middleware: [rate_limit]\n    rate_limit_burst: many\n",
      "config.yaml:6:5: services[0].rate_limit_burst: must be a whole number, is \"many\"" },
    { SERVICE "    rate_limit_rps: 5\n    rate_limit: 5/s\n    middleware: [rate_limit]\n",
      "config.yaml:5:5: services[0].rate_limit_rps: says the same as \"rate\" in line 6; give one "
      "of the two" },
    { SERVICE "    rate_limit: {rte: 5}\n    middleware: [rate_limit]\n",
      "config.yaml:5:18: services[0].rate_limit: unknown key \"rte\"; did you mean \"rate\"?" },
    { SERVICE "    rate_limit: {rte: 5}\n",
      "config.yaml:5:18: services[0].rate_limit: unknown key \"rte\"; did you mean \"rate\"?" },
    { SERVICE "    rate_limt: {rate: 5}\n    middleware: [rate_limit]\n",
      "config.yaml:5:5: services[0]: unknown key \"rate_limt\"; did you mean \"rate_limit\"?" },
    { SERVICE "    lgin: {}\nmiddleware_config: {login: {type: metrics}}\n",
      "config.yaml:5:5: services[0]: unknown key \"lgin\"; did you mean \"login\"?" },
    { SERVICE "middleware_config: 5\n",
      "config.yaml:5:1: middleware_config: must be a map of middlewares to their settings" },
};

START_TEST(test_each_mistake_is_told_once)
{
    reading_begin(&r, wrong[_i].yaml);
    ck_assert_str_eq(reading_problem(&r, 0), wrong[_i].problem);
    ck_assert_uint_eq(r.problems.errors, 1);
    reading_end(&r);
}
END_TEST

START_TEST(test_a_mistake_in_middleware_config_is_told_once_however_many_services_use_it)
{
    reading_begin(&r,
                  "middleware_config: {rate_limit: {burst: many}}\n"
                  "services:\n"
                  "  - {name: a, route_pattern: /a, urls: http://h, middleware: [rate_limit]}\n"
                  "  - {name: b, route_pattern: /b, urls: http://h, middleware: [rate_limit]}\n");
    ck_assert_uint_eq(r.problems.errors, 1);
    reading_end(&r);
}
END_TEST

START_TEST(test_a_short_spelling_without_its_middleware_is_a_warning)
{
    reading_begin(&r, SERVICE "    rate_limit_rps: 5\n    middleware: [metrics]\n");
    reading_is_good(&r);
    ck_assert_str_eq(reading_problem(&r, 0),
                     "config.yaml:5:5: warning: services[0].rate_limit_rps: has no effect: "
                     "\"rate_limit\" is not in the middleware of this service");
    reading_end(&r);
}
END_TEST

START_TEST(test_a_secret_is_not_shown_in_a_problem)
{
    reading_begin(&r, "middleware_config: {auth_apikey: {valid_keys: ['my secret']}, rate_limit: "
                      "{burst: '${DB_PASSWORD}'}}\n" SERVICE);
    ck_assert_str_eq(reading_problem(&r, 0),
                     "config.yaml:1:48: middleware_config.auth_apikey.valid_keys[0]: "
                     "must be a word without blanks");
    ck_assert_str_eq(
        reading_problem(&r, 1),
        "config.yaml:1:76: middleware_config.rate_limit.burst: must be a whole number");
    reading_end(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("steps");
    TCase *t = tcase_create("steps");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_test(t, test_the_service_wins_over_middleware_config_and_that_over_the_defaults);
    tcase_add_test(t, test_a_variant_stands_on_what_its_type_says);
    tcase_add_test(t, test_a_value_in_the_place_of_a_block_fills_its_main_key);
    tcase_add_test(t, test_a_service_may_have_a_block_named_like_a_middleware);
    tcase_add_test(t, test_a_block_without_its_middleware_is_looked_at_and_a_warning);
    tcase_add_test(t, test_short_spellings_go_to_the_step_that_is_named_as_its_type);
    tcase_add_test(t, test_steps_of_the_gateway_are_read_like_those_of_a_service);
    tcase_add_loop_test(t, test_each_mistake_is_told_once, 0, ARRAY_LEN(wrong));
    tcase_add_test(t,
                   test_a_mistake_in_middleware_config_is_told_once_however_many_services_use_it);
    tcase_add_test(t, test_a_short_spelling_without_its_middleware_is_a_warning);
    tcase_add_test(t, test_a_secret_is_not_shown_in_a_problem);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
