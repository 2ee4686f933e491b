/* The tables as text: the reference, and effective values. */
#include <stdlib.h>
#include <string.h>

#include "conf/reference.h"
#include "test/unit/conf/reading.h"

static struct reading r;

static char *printed(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);

    conf_print(r.file, to);
    fclose(to);
    return text;
}

#define FILE_WITH_EVERYTHING                                                                       \
    "port: 8081\n"                                                                                 \
    "listeners: [{name: b, address: 'unix:/x'}]\n"                                                 \
    "process: {workers: 2, user: '${DB_PASSWORD}'}\n"                                              \
    "stores: {redis: {main: {urls: 'redis://h:1/2', password: '${DB_PASSWORD}', timeout: 7ms}, "   \
    "b: {urls: h, password: unseen}, c: {urls: h}}}\n"                                             \
    "plans: {free: {rate: 60/m, burst: 20, quota: 10000/d}, gold: 200/s}\n"                        \
    "consumers: [{name: app, plan: free, groups: [g], keys: [{id: k, key: not-to-be-seen}], "      \
    "allow_ips: ['::/0'], services: users},\n"                                                     \
    "  {name: b, keys: [{sha256: "                                                                 \
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad}]}]"                         \
    "\n"                                                                                           \
    "middleware: [metrics]\n"                                                                      \
    "middleware_config:\n"                                                                         \
    "  auth_apikey: {valid_keys: [not-to-be-seen]}\n"                                              \
    "  login: {type: rate_limit, rate: 5/m, mode: shadow, body: \"a 'b'\\n\"}\n"                   \
    "services:\n"                                                                                  \
    "  - name: users\n"                                                                            \
    "    route_pattern: /users\n"                                                                  \
    "    urls: [http://localhost:8081, 'http://[::1]']\n"                                          \
    "    middleware: [auth_apikey, login, rate_limit: {by: key}, circuit_breaker]\n"               \
    "    rate_limit_burst: 9\n"                                                                    \
    "    timeouts: {request: 5s}\n"                                                                \
    "    routes: [{path: '/u/{id}', methods: [GET]}]\n"                                            \
    "  - {name: b, route_pattern: '/b/{c}', urls: http://h}\n"

START_TEST(test_effective_values_show_layers_and_hide_secrets)
{
    char *text;

    reading_begin(&r, FILE_WITH_EVERYTHING);
    reading_is_good(&r);
    text = printed();
    ck_assert_ptr_nonnull(strstr(text, "\nport: \":8081\"\n"));
    ck_assert_ptr_nonnull(strstr(text, "\n  user: \"***\"\n"));
    ck_assert_ptr_nonnull(strstr(text, "valid_keys: \"***\"\n"));
    ck_assert_ptr_nonnull(strstr(text, "    main:\n      urls: [\"redis://h:1/2\"]\n"));
    ck_assert_ptr_nonnull(strstr(text, "      password: \"***\"\n"));
    /* where there is none, none is hidden */
    ck_assert_ptr_nonnull(strstr(text, "      password: \"\"\n"));
    ck_assert_ptr_nonnull(strstr(text, "61f20015ad, key: \"\", "));
    ck_assert_ptr_null(strstr(text, "unseen"));
    ck_assert_ptr_nonnull(strstr(text, "      timeout: 7ms\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nplans:\n  free:\n    rate: 60/m\n    burst: 20\n"));
    ck_assert_ptr_nonnull(strstr(text, "    quota: 10000/d\n"));
    ck_assert_ptr_null(strstr(text, "hunter2"));
    ck_assert_ptr_null(strstr(text, "not-to-be-seen"));
    ck_assert_ptr_nonnull(strstr(text, "rate: 5/m\n"));
    ck_assert_ptr_nonnull(strstr(text, "mode: shadow\n"));
    ck_assert_ptr_nonnull(strstr(text, "burst: 9\n"));
    ck_assert_ptr_nonnull(strstr(text, "by: key\n"));
    ck_assert_ptr_nonnull(strstr(text, "      request: 5s\n"));
    free(text);
    reading_end(&r);
}
END_TEST

START_TEST(test_effective_values_read_back_as_the_same)
{
    char *text, *again;

    reading_begin(&r, FILE_WITH_EVERYTHING);
    text = printed();
    reading_end(&r);
    reading_begin(&r, text);
    reading_is_good(&r);
    again = printed();
    reading_end(&r);
    ck_assert_str_eq(again, text);
    free(again);
    free(text);
}
END_TEST

START_TEST(test_the_defaults_read_back_as_the_same)
{
    char *text, *again;

    reading_begin(&r, "services: []");
    text = printed();
    reading_end(&r);
    reading_begin(&r, text);
    reading_is_good(&r);
    again = printed();
    reading_end(&r);
    ck_assert_str_eq(again, text);
    free(again);
    free(text);
}
END_TEST

START_TEST(test_the_reference_names_every_key_with_its_default)
{
    static const char *const lines[] = {
        "| `port` | address | `:8080` |",
        "| `listeners[].address` | address | required |",
        "| `process.workers` | number or auto | `auto` |",
        "| `process.cpu_affinity` | auto, none | `auto` |",
        "| `logging.access[].format` | json | `json` |",
        "| `services[].urls` | list of URL | required |",
        "| `services[].routes[].path` | path | required |",
        "| `stores.redis` | map of blocks | `{}` |",
        "| `stores.redis.NAME.urls` | list of Redis URL | required |",
        "| `stores.redis.NAME.outage.retry_every` | duration | `1s` |",
        "| `plans.NAME.quota` | quota | `none` |",
        "| `consumers[].name` | word | required |",
        "| `consumers[].keys[].expires` | moment | `never` |",
        "| `metrics.names` | list of s1, s3, native | `[s1, s3, native]` |",
        "### rate_limit\n",
        "| `rate` | rate or plan | `100/s` | Requests each client may make, on average. Short "
        "spelling in "
        "a service: "
        "`rate_limit_rps` (number a second). |",
        "| `trip.consecutive` | number | `5` |",
        "### metrics\n\nCounts.\n\nNo settings.\n",
    };
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);

    conf_reference(&toy_catalog, to);
    fclose(to);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        ck_assert_msg(strstr(text, lines[i]) != NULL, "no line %s in\n%s", lines[i], text);
    free(text);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("reference");
    TCase *t = tcase_create("reference");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_test(t, test_effective_values_show_layers_and_hide_secrets);
    tcase_add_test(t, test_effective_values_read_back_as_the_same);
    tcase_add_test(t, test_the_defaults_read_back_as_the_same);
    tcase_add_test(t, test_the_reference_names_every_key_with_its_default);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
