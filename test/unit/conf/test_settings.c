/* What config.yaml says, as structs. */
#include <stdlib.h>

#include "test/unit/conf/reading.h"

static struct reading r;

/* The example of the seed, to the letter. */
#define SEED                                                                                       \
    "port: \":8080\"\n"                                                                            \
    "\n"                                                                                           \
    "# API Key authentication configuration\n"                                                     \
    "middleware_config:\n"                                                                         \
    "  auth_apikey:\n"                                                                             \
    "    valid_keys:\n"                                                                            \
    "      - \"abc-123\"\n"                                                                        \
    "      - \"dwe-569\"\n"                                                                        \
    "\n"                                                                                           \
    "# Service definitions\n"                                                                      \
    "services:\n"                                                                                  \
    "  - name: users\n"                                                                            \
    "    route_pattern: \"/users\"\n"                                                              \
    "    urls:\n"                                                                                  \
    "      - \"http://localhost:8081\"\n"                                                          \
    "      - \"http://localhost:8083\"\n"                                                          \
    "    middleware:\n"                                                                            \
    "      - \"auth_apikey\"\n"                                                                    \
    "      - \"rate_limit\"\n"                                                                     \
    "      - \"circuit_breaker\"\n"                                                                \
    "      - \"metrics\"\n"                                                                        \
    "    \n"
#define SEED_LIMITS                                                                                \
    "    # Rate limiting configuration\n"                                                          \
    "    rate_limit_rps: 200        # Requests per second\n"                                       \
    "    rate_limit_burst: 400      # Burst capacity\n"                                            \
    "    \n"                                                                                       \
    "    # Circuit breaker configuration\n"                                                        \
    "    cb_failure_threshold: 6              # Failures before opening circuit\n"                 \
    "    cb_reset_timeout_seconds: 15         # Timeout before attempting recovery\n"

START_TEST(test_the_example_of_the_seed_loads_as_it_is)
{
    const struct conf_service *s;
    const struct conf_url *urls;
    const struct conf_route *route;
    const struct toy_limit *limit;
    const struct toy_breaker *breaker;
    const struct toy_keys *keys;

    reading_begin(&r, SEED SEED_LIMITS);
    ck_assert_uint_eq(r.problems.errors + r.problems.warnings, 0);
    ck_assert_uint_eq(r.globals->listeners.count, 1);
    ck_assert_text(((const struct conf_listener *)r.globals->listeners.items)->address, ":8080");
    ck_assert_uint_eq(r.count, 1);
    s = r.services[0];
    ck_assert_text(s->name, "users");
    ck_assert_uint_eq(s->routes.count, 1);
    route = s->routes.items;
    ck_assert_text(route->path, "/users");
    ck_assert(route->below);
    ck_assert_uint_eq(s->urls.count, 2);
    urls = s->urls.items;
    ck_assert_text(urls[1].host, "localhost");
    ck_assert_text(urls[1].authority, "localhost:8083");
    ck_assert_uint_eq(urls[1].port, 8083);
    ck_assert(!urls[1].is_ip);
    ck_assert_uint_eq(s->steps.count, 4);
    ck_assert_text(s->steps.items[0].name, "auth_apikey");
    ck_assert_text(s->steps.items[3].name, "metrics");
    keys = s->steps.items[0].settings;
    ck_assert_uint_eq(keys->valid_keys.count, 2);
    ck_assert_text(((const struct str *)keys->valid_keys.items)[1], "dwe-569");
    ck_assert_text(keys->header, "X-API-KEY");
    limit = s->steps.items[1].settings;
    ck_assert_uint_eq(limit->rate.count, 200);
    ck_assert_uint_eq(limit->rate.per_ns, NS_PER_S);
    ck_assert_uint_eq(limit->burst, 400);
    breaker = s->steps.items[2].settings;
    ck_assert_uint_eq(breaker->trip.consecutive, 6);
    ck_assert_uint_eq(breaker->reset_timeout, 15 * NS_PER_S);
    reading_end(&r);
}
END_TEST

START_TEST(test_without_limit_keys_the_limits_of_the_seed_are_the_defaults)
{
    const struct toy_limit *limit;
    const struct toy_breaker *breaker;

    reading_begin(&r, SEED);
    reading_is_good(&r);
    limit = r.services[0]->steps.items[1].settings;
    breaker = r.services[0]->steps.items[2].settings;
    ck_assert_uint_eq(limit->rate.count, 100);
    ck_assert_uint_eq(limit->burst, 200);
    ck_assert_uint_eq(breaker->trip.consecutive, 5);
    ck_assert_uint_eq(breaker->reset_timeout, 10 * NS_PER_S);
    reading_end(&r);
}
END_TEST

START_TEST(test_every_default_is_what_the_example_promises)
{
    const struct conf_globals *g;
    const struct conf_access *access;

    reading_begin(&r, "services: []");
    reading_is_good(&r);
    g = r.globals;
    ck_assert_uint_eq(g->version, 1);
    ck_assert_uint_eq(g->process.workers, 0);
    ck_assert_uint_eq(g->process.max_connections, 16384);
    ck_assert_uint_eq(g->shutdown.drain_delay, 0);
    ck_assert_uint_eq(g->shutdown.grace, 30 * NS_PER_S);
    ck_assert_uint_eq(g->client_ip.trusted_proxies.count, 0);
    ck_assert_int_eq(g->client_ip.header, CONF_HEADER_X_FORWARDED_FOR);
    ck_assert_uint_eq(g->client_ip.ipv6_prefix, 64);
    ck_assert_int_eq(g->client_ip.forward, CONF_FORWARD_APPEND);
    ck_assert(g->client_ip.send_forwarded);
    ck_assert_uint_eq(g->limits.request_line, 8192);
    ck_assert_uint_eq(g->limits.headers_total, 32768);
    ck_assert_uint_eq(g->limits.headers_count, 100);
    ck_assert_uint_eq(g->limits.body_size, 8 << 20);
    ck_assert_uint_eq(g->timeouts.client_header, 10 * NS_PER_S);
    ck_assert_uint_eq(g->timeouts.client_idle, 75 * NS_PER_S);
    ck_assert_uint_eq(g->timeouts.request, 60 * NS_PER_S);
    ck_assert_uint_eq(g->timeouts.upstream_connect, 2 * NS_PER_S);
    ck_assert_uint_eq(g->timeouts.upstream_header, 30 * NS_PER_S);
    ck_assert_uint_eq(g->timeouts.upstream_keepalive, 90 * NS_PER_S);
    ck_assert_uint_eq(g->upstream_pool.max_idle, 20000);
    ck_assert_uint_eq(g->upstream_pool.max_per_host, 5000);
    ck_assert_uint_eq(g->shared_memory.limits.size, 64 << 20);
    ck_assert_int_eq(g->logging.level, 1);
    ck_assert_int_eq(g->logging.error.to.sink, CONF_SINK_STDERR);
    ck_assert_uint_eq(g->logging.access.count, 1);
    access = g->logging.access.items;
    ck_assert_int_eq(access->to.sink, CONF_SINK_STDOUT);
    ck_assert(access->fields >> CONF_ACCESS_LATENCY_MS & 1);
    ck_assert_text(g->metrics.path, "/metrics");
    ck_assert_uint_eq(g->metrics.names, CONF_METRICS_S1 | CONF_METRICS_S3 | CONF_METRICS_NATIVE);
    ck_assert_uint_eq(g->metrics.buckets.count, 13);
    ck_assert_uint_eq(((const uint64_t *)g->metrics.buckets.items)[12], 10 * NS_PER_S);
    ck_assert_text(g->health.live, "/health");
    ck_assert_text(g->health.ready, "/ready");
    ck_assert_uint_eq(g->unmatched.status, 404);
    ck_assert_text(g->unmatched.body, "Not Found");
    ck_assert_uint_eq(g->steps.count, 0);
    reading_end(&r);
}
END_TEST

START_TEST(test_values_that_are_given_take_the_place_of_the_defaults)
{
    const struct conf_listener *listeners;
    const struct conf_access *access;
    const struct cidr *net;

    reading_begin(
        &r, "version: 1\n"
            "port: 127.0.0.1:8443\n"
            "listeners: [{name: v6, address: '[::1]:0', backlog: 7}]\n"
            "process: {workers: 3, cpu_affinity: none, user: www-data, pid_file: /run/x.pid}\n"
            "shutdown: {drain_delay: 500ms, grace: 1m}\n"
            "client_ip: {trusted_proxies: 10.0.0.0/8, header: Forwarded, forward: drop}\n"
            "limits: {body_size: 1g}\n"
            "timeouts: {request: 0}\n"
            "logging: {level: debug, error: file:/tmp/e, access: [off, {to: stderr, fields: [ts, "
            "path]}, {to: file:/x, fields: all}]}\n"
            "metrics: {path: '', names: s3, buckets: [1ms, 1s]}\n"
            "unmatched: {status: 410, body: Gone}\n"
            "services: []\n");
    reading_is_good(&r);
    ck_assert_uint_eq(r.globals->listeners.count, 2);
    listeners = r.globals->listeners.items;
    ck_assert_text(listeners[0].address, "127.0.0.1:8443");
    ck_assert_text(listeners[1].address, "[::1]:0");
    ck_assert_uint_eq(listeners[1].backlog, 7);
    ck_assert_uint_eq(r.globals->process.workers, 3);
    ck_assert_int_eq(r.globals->process.cpu_affinity, CONF_AFFINITY_NONE);
    ck_assert_uint_eq(r.globals->shutdown.drain_delay, 500 * NS_PER_MS);
    ck_assert_uint_eq(r.globals->client_ip.trusted_proxies.count, 1);
    net = r.globals->client_ip.trusted_proxies.items;
    ck_assert_uint_eq(net->bits, 104);
    ck_assert_uint_eq(r.globals->limits.body_size, UINT64_C(1) << 30);
    ck_assert_uint_eq(r.globals->limits.headers_count, 100);
    ck_assert_uint_eq(r.globals->timeouts.request, 0);
    ck_assert_int_eq(r.globals->logging.error.to.sink, CONF_SINK_FILE);
    ck_assert_text(r.globals->logging.error.to.path, "/tmp/e");
    ck_assert_uint_eq(r.globals->logging.access.count, 2);
    access = r.globals->logging.access.items;
    ck_assert_uint_eq(access[1].fields, (1U << CONF_ACCESS_FIELDS) - 1);
    ck_assert_uint_eq(access->fields, 1U << CONF_ACCESS_TS | 1U << CONF_ACCESS_PATH);
    ck_assert_text(r.globals->metrics.path, "");
    ck_assert_uint_eq(r.globals->metrics.names, CONF_METRICS_S3);
    ck_assert_uint_eq(r.globals->unmatched.status, 410);
    reading_end(&r);
}
END_TEST

START_TEST(test_a_service_inherits_limits_and_times_and_may_say_otherwise)
{
    reading_begin(&r, "limits: {body_size: 1m}\n"
                      "timeouts: {request: 7s, upstream_connect: 1s}\n"
                      "services:\n"
                      "  - {name: a, route_pattern: /a, urls: http://h:1}\n"
                      "  - {name: b, route_pattern: /b, urls: http://h:1, limits: {body_size: 2m}, "
                      "timeouts: {request: 9s}}\n");
    reading_is_good(&r);
    ck_assert_uint_eq(r.services[0]->limits.body_size, 1 << 20);
    ck_assert_uint_eq(r.services[0]->timeouts.request, 7 * NS_PER_S);
    ck_assert_uint_eq(r.services[1]->limits.body_size, 2 << 20);
    ck_assert_uint_eq(r.services[1]->timeouts.request, 9 * NS_PER_S);
    ck_assert_uint_eq(r.services[1]->timeouts.upstream_connect, NS_PER_S);
    reading_end(&r);
}
END_TEST

START_TEST(test_routes_stand_behind_the_pattern_and_have_the_methods_of_the_service_or_their_own)
{
    const struct conf_route *routes;

    reading_begin(&r, "services:\n"
                      "  - name: a\n"
                      "    route_pattern: /\n"
                      "    methods: [GET, HEAD]\n"
                      "    hosts: [API.example.com., '*.example.org', '[::1]']\n"
                      "    urls: ['http://[::1]:80/', 'http://10.1.2.3']\n"
                      "    routes: [{path: '/x/{id}', methods: POST}, '/y/**', /z]\n");
    reading_is_good(&r);
    routes = r.services[0]->routes.items;
    ck_assert_uint_eq(r.services[0]->routes.count, 4);
    ck_assert_text(routes[0].path, "/");
    ck_assert(routes[0].below);
    ck_assert_uint_eq(routes[0].methods.count, 2);
    ck_assert_text(routes[1].path, "/x/{id}");
    ck_assert(!routes[1].below);
    ck_assert_uint_eq(routes[1].methods.count, 1);
    ck_assert_text(((const struct str *)routes[1].methods.items)[0], "POST");
    ck_assert_text(routes[2].path, "/y");
    ck_assert(routes[2].below);
    ck_assert_text(routes[3].path, "/z");
    ck_assert(!routes[3].below);
    ck_assert_uint_eq(routes[3].methods.count, 2);
    ck_assert_text(((const struct str *)r.services[0]->hosts.items)[0], "api.example.com");
    ck_assert_text(((const struct conf_url *)r.services[0]->urls.items)[0].authority, "[::1]:80");
    ck_assert_text(((const struct conf_url *)r.services[0]->urls.items)[1].authority,
                   "10.1.2.3:80");
    ck_assert(((const struct conf_url *)r.services[0]->urls.items)[1].is_ip);
    reading_end(&r);
}
END_TEST

START_TEST(test_gateway_port_overrides_the_port)
{
    static const struct {
        const char *value, *address;
    } cases[] = {
        { "9090", ":9090" }, { "127.0.0.1:7", "127.0.0.1:7" }, { "", ":1" }, { "http", NULL }
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        setenv("GATEWAY_PORT", cases[i].value, 1);
        reading_begin_with(&r, "port: 1\nservices: []", &conf_env_process);
        unsetenv("GATEWAY_PORT");
        if (cases[i].address)
            ck_assert(str_equal(((const struct conf_listener *)r.globals->listeners.items)->address,
                                str_from(cases[i].address)));
        else
            ck_assert_str_eq(
                reading_problem(&r, 0),
                "config.yaml: environment variable GATEWAY_PORT must be a port such as 8080, an "
                "address "
                "with a port such as 127.0.0.1:8080 or [::1]:8080, or unix:/path, is \"http\"");
        reading_end(&r);
    }
}
END_TEST

START_TEST(test_listeners_without_port_leave_out_the_default_one)
{
    const struct conf_listener *listener;

    reading_begin(&r, "listeners: [{name: a, address: 'unix:/run/x.sock'}]\nservices: []");
    reading_is_good(&r);
    ck_assert_uint_eq(r.globals->listeners.count, 1);
    listener = r.globals->listeners.items;
    ck_assert_text(listener->address, "unix:/run/x.sock");
    ck_assert_text(r.globals->port, "");
    reading_end(&r);
}
END_TEST

START_TEST(test_what_belongs_to_the_start_keeps_its_running_value_in_a_reload)
{
    struct reading running;

    reading_begin(
        &running,
        "process: {user: www-data, workers: 2}\nshared_memory: {limits: 8m}\nservices: []");
    reading_begin(
        &r, "process: {user: nobody, workers: 3}\nshared_memory: {limits: 16m}\nservices: []");
    reading_is_good(&r);
    conf_keep_at_start(running.globals, (struct conf_globals *)(uintptr_t)r.globals, &r.arena,
                       &r.problems);
    reading_end(&running);
    ck_assert_text(r.globals->process.user, "www-data");
    ck_assert_uint_eq(r.globals->process.workers, 3);
    ck_assert_uint_eq(r.globals->shared_memory.limits.size, 8 << 20);
    ck_assert_uint_eq(r.problems.errors, 0);
    ck_assert_uint_eq(r.problems.warnings, 3); /* and that there are no services */
    ck_assert_str_eq(reading_problem(&r, 0),
                     "config.yaml: warning: process.user takes effect at the next upgrade or "
                     "start; until then it is www-data");
    reading_end(&r);
}
END_TEST

/* The hash of service 0 of a file. */
static uint64_t hash_of(const char *yaml)
{
    uint64_t sum;

    reading_begin(&r, yaml);
    reading_is_good(&r);
    sum = conf_service_hash(r.file, 0);
    reading_end(&r);
    return sum;
}

#define ONE                                                                                        \
    "services: [{name: a, route_pattern: /a, urls: http://h, middleware: [rate_limit, slow]}]\n"
#define TWO                                                                                        \
    "middleware_config: {rate_limit: {burst: 5}, slow: {type: rate_limit}, other: {type: "         \
    "metrics}}\n"

START_TEST(test_the_hash_of_a_service_changes_with_what_it_looks_at_and_with_nothing_else)
{
    static const struct {
        const char *yaml;
        bool same;
    } cases[] = {
        { ONE TWO, true },
        { "# moved\n\n" TWO ONE, true },
        { "port: 1\nlogging: {level: debug}\n" ONE TWO, true },
        { "middleware_config: {rate_limit: {burst: 5}, slow: {type: rate_limit}, other: {type: "
          "rate_limit}}\n" ONE,
          true },
        { "services: [{name: a, route_pattern: /a, urls: http://h, middleware: [rate_limit, "
          "slow]}, {name: b, "
          "route_pattern: /b, urls: http://h}]\n" TWO,
          true },
        { "services: [{name: a, route_pattern: /a, urls: '${EMPTY:-http://h}', middleware: "
          "[rate_limit, slow]}]\n" TWO,
          true },
        { "middleware_config: {rate_limit: {burst: 6}, slow: {type: rate_limit}, other: {type: "
          "metrics}}\n" ONE,
          false },
        { "middleware_config: {rate_limit: {burst: 5}, slow: {type: metrics}, other: {type: "
          "metrics}}\n" ONE,
          false },
        { "timeouts: {request: 3s}\n" ONE TWO, false },
        { "middleware: [metrics]\n" ONE TWO, false },
        { "services: [{name: a, route_pattern: /a, urls: http://g, middleware: [rate_limit, "
          "slow]}]\n" TWO,
          false },
        { "services: [{name: a, route_pattern: /a, urls: http://h, middleware: [slow, "
          "rate_limit]}]\n" TWO,
          false },
    };
    uint64_t sum = hash_of(ONE TWO);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        ck_assert_msg((hash_of(cases[i].yaml) == sum) == cases[i].same, "case %zu", i);
}
END_TEST

START_TEST(test_a_service_outlives_the_tree_and_the_globals_that_it_was_read_with)
{
    const struct conf_service *s;
    const struct conf_globals *g;
    struct arena own, globals;
    struct conf_file *f;

    reading_begin(&r, SEED SEED_LIMITS);
    arena_init(&own, NULL);
    arena_init(&globals, NULL);
    g = conf_read_globals(r.file, &globals);
    s = conf_read_service(r.file, g, 0, &own);
    arena_free(&globals);
    f = r.file;
    r.file = NULL;
    conf_close(f);
    conf_tree_free(r.tree);
    r.tree = NULL;
    ck_assert_text(s->name, "users");
    ck_assert_text(((const struct conf_url *)s->urls.items)[0].authority, "localhost:8081");
    ck_assert_text(((const struct conf_route *)s->routes.items)->path, "/users");
    ck_assert_text(s->steps.items[2].name, "circuit_breaker");
    ck_assert_text(((const struct toy_keys *)s->steps.items[0].settings)->header, "X-API-KEY");
    ck_assert_uint_eq(s->timeouts.request, 60 * NS_PER_S);
    arena_free(&own);
    reading_end(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("settings");
    TCase *t = tcase_create("settings");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_test(t, test_the_example_of_the_seed_loads_as_it_is);
    tcase_add_test(t, test_without_limit_keys_the_limits_of_the_seed_are_the_defaults);
    tcase_add_test(t, test_every_default_is_what_the_example_promises);
    tcase_add_test(t, test_values_that_are_given_take_the_place_of_the_defaults);
    tcase_add_test(t, test_a_service_inherits_limits_and_times_and_may_say_otherwise);
    tcase_add_test(
        t, test_routes_stand_behind_the_pattern_and_have_the_methods_of_the_service_or_their_own);
    tcase_add_test(t, test_gateway_port_overrides_the_port);
    tcase_add_test(t, test_listeners_without_port_leave_out_the_default_one);
    tcase_add_test(t, test_what_belongs_to_the_start_keeps_its_running_value_in_a_reload);
    tcase_add_test(t,
                   test_the_hash_of_a_service_changes_with_what_it_looks_at_and_with_nothing_else);
    tcase_add_test(t, test_a_service_outlives_the_tree_and_the_globals_that_it_was_read_with);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
