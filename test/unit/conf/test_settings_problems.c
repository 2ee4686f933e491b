/* What config.yaml may not say, and in which words it is told. */
#include "test/unit/conf/reading.h"

static struct reading r;

START_TEST(test_all_problems_of_a_file_are_told_at_once_in_its_order_with_line_and_column)
{
    static const char *const expected[] = {
        "config.yaml:2:1: unknown key \"prot\"; did you mean \"port\"?",
        "config.yaml:3:11: process.workers: must be between 1 and 1024, is 0",
        "config.yaml:7:5: services[0]: \"urls\" is missing",
        "config.yaml:9:5: services[0].rate_limit_rps: must be a positive number, is \"abc\"",
        "config.yaml:10:5: services[0]: unknown key \"rate_limt_burst\"; did you mean "
        "\"rate_limit_burst\"?",
        "config.yaml:11:5: services[1].name: there is a service \"users\" already, in line 7",
        "config.yaml:12:5: services[1].route_pattern: must be a path such as /users, which takes "
        "all below "
        "it too, or /users/{id}, is \"users\"",
        "config.yaml:13:12: services[1].urls[0]: services are asked by http:// only, not by "
        "https://",
        "config.yaml:14:18: services[1].middleware[0]: unknown middleware \"rate_limits\"; did you "
        "mean \"rate_limit\"?",
        "none",
    };

    reading_begin(&r, "version: 1\n"
                      "prot: 8080\n"
                      "process: {workers: 0}\n"
                      "\n"
                      "\n"
                      "services:\n"
                      "  - name: users\n"
                      "    route_pattern: /users\n"
                      "    rate_limit_rps: abc\n"
                      "    rate_limt_burst: 5\n"
                      "  - name: users\n"
                      "    route_pattern: users\n"
                      "    urls: [https://x]\n"
                      "    middleware: [rate_limits]\n");
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        ck_assert_str_eq(reading_problem(&r, i), expected[i]);
    reading_end(&r);
}
END_TEST

/* One wrong line each; %s of the file is "services: [{name: a, route_pattern: /a, urls: http://h}]" if it has none. */
static const struct {
    const char *yaml, *problem;
} wrong[] = {
    { "", "config.yaml: \"services\" is missing" },
    { "[]", "config.yaml:1:1: must be a map of keys" },
    { "services: 5", "config.yaml:1:1: services: must be a list" },
    { "services: [5]", "config.yaml:1:12: services[0]: must be a map of keys" },
    { "services: []\nport: 99999", "config.yaml:2:1: port: must be a port such as 8080, an address "
                                   "with a port such as 127.0.0.1:8080 or [::1]:8080, "
                                   "or unix:/path, is \"99999\"" },
    { "services: []\nport: localhost:80",
      "config.yaml:2:1: port: must be a port such as 8080, an address with a port such as "
      "127.0.0.1:8080 or [::1]:8080, "
      "or unix:/path, is \"localhost:80\"" },
    { "services: []\nport: ''", "config.yaml:2:1: port: leaves no listener at all" },
    { "services: []\nlisteners: [{name: a, address: ':1'}, {name: a, address: ':2'}]",
      "config.yaml:2:39: listeners[1]: there is a listener \"a\" already" },
    { "services: []\nlisteners: [{name: a, address: ':1'}, {name: b, address: 1}]",
      "config.yaml:2:39: listeners[1]: :1 is the address of listener \"a\"" },
    { "services: []\nlisteners: [{name: a}]",
      "config.yaml:2:13: listeners[0]: \"address\" is missing" },
    { "services: []\ntimeouts: {request: 5}",
      "config.yaml:2:12: timeouts.request: must be a number and ms, s, m, h or d, such as 1500ms "
      "or 30s, is \"5\"" },
    { "services: []\ntimeouts: {client_idle: 0s}",
      "config.yaml:2:12: timeouts.client_idle: must be between 1ms and 365d, is 0s" },
    { "services: []\nlimits: {headers_count: -1}",
      "config.yaml:2:10: limits.headers_count: must be a whole number, is \"-1\"" },
    { "services: []\nlimits: {body_size: 99999999999g}",
      "config.yaml:2:10: limits.body_size: must be a number of bytes, such as 512, 64k, 8m or 1g, "
      "is \"99999999999g\"" },
    { "services: []\nlimits:\n - 5", "config.yaml:2:1: limits: must be a map of keys" },
    { "services: []\nversion: 2", "config.yaml:2:1: version: must be between 1 and 1, is 2" },
    { "services: []\nlogging: {error: stdout}",
      "config.yaml:2:11: logging.error: the error log goes to stderr or file:/path" },
    { "services: []\nport: '::1:80'",
      "config.yaml:2:1: port: must be a port such as 8080, an address with a port such as "
      "127.0.0.1:8080 or [::1]:8080, or unix:/path, is \"::1:80\"" },
    { "services: []\nport: [1]",
      "config.yaml:2:1: port: must be a port such as 8080, an address with a port such as "
      "127.0.0.1:8080 or [::1]:8080, or unix:/path, is a list" },
    { "services: []\nport: "
      "unix:/1234567890123456789012345678901234567890"
      "12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
      "01234567890123456",
      "config.yaml:2:1: port: the path of a Unix socket has at most 107 bytes" },
    { "services: []\nversion:", "config.yaml:2:1: version: must be a whole number, is empty" },
    { "services: []\nlogging: {access: [off, off, off, off, off, off, off, off, off]}",
      "config.yaml:2:11: logging.access: must hold at most 8, holds 9" },
    { "services: []\nmetrics: {names: [s1, s4]}",
      "config.yaml:2:23: metrics.names[1]: must be one of s1, s3, native, is \"s4\"" },
    { "services: []\nhealth: {live: [a]}", "config.yaml:2:10: health.live: must be a path such as "
                                           "/health, or \"\" for none, is a list" },
    { "services: [{route_pattern: /a, urls: http://h, name: "
      "a2345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012"
      "3456789012345678901234567"
      "8901234567890123456789}]",
      "config.yaml:1:12: services[0]: \"name\" has more than 128 bytes" },
    { "services: [{name: a, route_pattern: /a, urls: http://h, timeouts: ['x']}]",
      "config.yaml:1:57: services[0].timeouts: must be a map of keys" },
    { "middleware: {a: b}\nservices: []", "config.yaml:1:1: middleware: must be a list" },
    { "services: []\nlogging: {level: loud}",
      "config.yaml:2:11: logging.level: must be one of debug, info, warn, error, is \"loud\"" },
    { "services: []\nlogging: {access: [{to: syslog}]}",
      "config.yaml:2:21: logging.access[0].to: must be stdout, stderr, off or file:/path, is "
      "\"syslog\"" },
    { "services: []\nlogging: {access: {fields: [ts, tss]}}",
      "config.yaml:2:33: logging.access.fields[1]: must be one of ts, method, path, status, "
      "latency_ms, service, client, "
      "reason, consumer, host, route, upstream, upstream_status, upstream_ms, attempts, bytes_in, "
      "bytes_out, "
      "protocol, worker, is "
      "\"tss\"" },
    { "services: []\nmetrics: {buckets: [1s, 1s]}",
      "config.yaml:2:11: metrics.buckets: each bucket must be larger than the one before" },
    { "services: []\nmetrics: {buckets: []}",
      "config.yaml:2:11: metrics.buckets: must hold at least 1, holds 0" },
    { "services: []\nclient_ip: {trusted_proxies: [10.0.0.1/8]}",
      "config.yaml:2:31: client_ip.trusted_proxies[0]: must be an address or a prefix with nothing "
      "behind it, such as "
      "10.0.0.0/8 or fd00::/8, is \"10.0.0.1/8\"" },
    { "services: []\nhealth: {live: /a/**}", "config.yaml:2:10: health.live: must be a path such "
                                             "as /health, or \"\" for none, is \"/a/**\"" },
    { "services: []\nprocess: {user: [a]}",
      "config.yaml:2:11: process.user: must be text, is a list" },
    { "services: []\nhealth: 5", "config.yaml:2:1: health: must be a map of keys" },
    { "services: [{name: a b, route_pattern: /a, urls: http://h}]",
      "config.yaml:1:13: services[0].name: must be a word without blanks, is \"a b\"" },
    { "services: [{name: a, urls: http://h}]",
      "config.yaml:1:12: services[0]: \"route_pattern\" is missing" },
    { "services: [{name: a, route_pattern: /a, urls: []}]",
      "config.yaml:1:41: services[0].urls: must hold at least 1, holds 0" },
    { "services: [{name: a, route_pattern: /a, urls: http://h/x}]",
      "config.yaml:1:41: services[0].urls: must have no path: the service sees the path that the "
      "client sent" },
    { "services: [{name: a, route_pattern: /a, urls: 'http://h:0'}]",
      "config.yaml:1:41: services[0].urls: must be http://host:port, is \"http://h:0\"" },
    { "services: [{name: a, route_pattern: /a, urls: 'http://u@h'}]",
      "config.yaml:1:41: services[0].urls: must be http://host:port, is \"http://u@h\"" },
    { "services: [{name: a, route_pattern: /a, urls: ftp://h}]",
      "config.yaml:1:41: services[0].urls: must be http://host:port, is \"ftp://h\"" },
    { "services: [{name: a, route_pattern: /a, urls: http://h, methods: [get]}]",
      "config.yaml:1:67: services[0].methods[0]: must be a method in capitals, such as GET, is "
      "\"get\"" },
    { "services: [{name: a, route_pattern: /a, urls: http://h, hosts: ['h:80']}]",
      "config.yaml:1:65: services[0].hosts[0]: must be a host without port, such as "
      "api.example.com or *.example.com, is "
      "\"h:80\"" },
    { "services: [{name: a, route_pattern: /a, urls: http://h, middleware: rate_limit}]",
      "config.yaml:1:57: services[0].middleware: must be a list of names" },
    { "services: [{name: a, route_pattern: /a, urls: http://h, timeouts: {client_header: 1s}}]",
      "config.yaml:1:68: services[0].timeouts: unknown key \"client_header\"" },
};

START_TEST(test_each_wrong_value_is_told_in_a_sentence)
{
    reading_begin(&r, wrong[_i].yaml);
    ck_assert_str_eq(reading_problem(&r, 0), wrong[_i].problem);
    ck_assert_uint_eq(r.problems.errors, 1);
    reading_end(&r);
}
END_TEST

static const struct {
    const char *pattern, *path; /* path NULL: refused */
    bool below;
} patterns[] = {
    { "/users", "/users", true },
    { "/users/", "/users", true },
    { "/", "/", true },
    { "/**", "/", true },
    { "/users/**", "/users", true },
    { "/users/{id}", "/users/{id}", false },
    { "/a/{b}/c/**", "/a/{b}/c", true },
    { "/%7euser", "/~user", true },
    { "/a%20b", "/a%20b", true },
    { "/a b", "/a%20b", true },
    { "/\xc3\xa9", "/%C3%A9", true },
    { "/a!$'()+,;=:@", "/a!$'()+,;=:@", true },
    { "users", NULL, false },
    { "/a/../b", NULL, false },
    { "/a//b", NULL, false },
    { "/a//**", NULL, false },
    { "/*", NULL, false },
    { "/a*", NULL, false },
    { "/**/a", NULL, false },
    { "/a?b", NULL, false },
    { "/a#b", NULL, false },
    { "/{id", NULL, false },
    { "/x{id}", NULL, false },
    { "/{}", NULL, false },
    { "/{1a}", NULL, false },
    { "/{a}/{a}", NULL, false },
    { "/%zz", NULL, false },
    { "/%2f", NULL, false },
    { "/a/%2e%2E/b", NULL, false },
    { "/%2a", NULL, false },
    { "/%7bid%7D", "/%7Bid%7D", true },
    { "/%", NULL, false },
    { "/a\\\\b", NULL, false },
    { "/a%00", NULL, false },
    { "/\\x01", NULL, false },
};

START_TEST(test_a_pattern_is_checked_and_has_one_spelling)
{
    const struct conf_route *route;
    char yaml[256];

    snprintf(yaml, sizeof yaml, "services: [{name: a, urls: http://h, route_pattern: \"%s\"}]",
             patterns[_i].pattern);
    reading_begin(&r, yaml);
    if (patterns[_i].path) {
        reading_is_good(&r);
        route = r.services[0]->routes.items;
        ck_assert_msg(str_equal(route->path, str_from(patterns[_i].path)), "%.*s",
                      STR_ARGS(route->path));
        ck_assert(route->below == patterns[_i].below);
    } else {
        ck_assert_msg(r.problems.errors == 1, "%s is taken", patterns[_i].pattern);
    }
    reading_end(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("settings_problems");
    TCase *t = tcase_create("settings_problems");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_test(t,
                   test_all_problems_of_a_file_are_told_at_once_in_its_order_with_line_and_column);
    tcase_add_loop_test(t, test_each_wrong_value_is_told_in_a_sentence, 0, ARRAY_LEN(wrong));
    tcase_add_loop_test(t, test_a_pattern_is_checked_and_has_one_spelling, 0, ARRAY_LEN(patterns));
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
