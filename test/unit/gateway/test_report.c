/* The end of an exchange is counted once, wherever it should be, and told to the caretaker. */
#include <check.h>
#include <stdlib.h>

#include "conf/settings.h"
#include "gateway/base/clock.h"
#include "gateway/base/number.h"
#include "gateway/exchange/service.h"
#include "gateway/exchange/shared.h"
#include "gateway/report.h"

struct stage {
    struct region *region;
    struct conf_globals globals;
    struct conf_access access;
    struct loop loop; /* only its clock */
    struct local local;
    struct route route;
};

static void begin(struct stage *s)
{
    static const uint64_t buckets[] = { 1000000, 1000000000 };
    struct shared *master;

    *s = (struct stage){ .region = region_new(0), .loop = { .now_ns = clock_now_ns() } };
    s->globals.metrics.buckets = (struct conf_list){ (void *)(uintptr_t)buckets, 2 };
    s->globals.metrics.max_series = 1000;
    s->globals.shared_memory.metrics.size = 32 << 20;
    s->globals.shared_memory.limits.size = 1 << 20;
    s->globals.logging.access = (struct conf_list){ &s->access, 1 };
    region_begin(s->region);
    ck_assert_ptr_nonnull(seats_table(s->region));
    master = shared_open(s->region, &s->globals);
    region_commit(s->region);
    shared_close(master);
    s->local = (struct local){ .loop = &s->loop, .region = s->region, .seat = 2 };
    s->local.current.globals = &s->globals;
    report_attach(&s->local);
    s->route = (struct route){ .service_name = STR("users"), .service_id = 7 };
}

static void end(struct stage *s)
{
    reporter_end(&s->local);
    region_close(s->region);
}

/* A request that went well, for tests to spoil. */
static struct exchange exchange(struct stage *s)
{
    struct exchange x = { .local = &s->local, .route = &s->route, .pattern = STR("/users") };

    x.req.method = METHOD_GET;
    x.req.method_text = STR("GET");
    x.req.target = STR("/users/7?api_key=secret");
    x.req.host = STR("example.com");
    x.req.version = 11;
    x.who.address_text = STR("192.0.2.1");
    x.who.api_key = STR("secret");
    x.resp.status = 200;
    x.record = (struct record){ .begun_ns = s->loop.now_ns - 2 * NS_PER_MS,
                                .end_ns = s->loop.now_ns,
                                .bytes_in = 10,
                                .bytes_out = 100 };
    return x;
}

static uint64_t total(const struct stage *s, enum family f)
{
    struct rows_series series;
    uint64_t sum = 0;
    size_t i = 0;

    while (rows_next(&s->local.shared->rows, (uint32_t)f, SEATS_MAX, &i, &series))
        sum += series.total;
    return sum;
}

static uint64_t of(const struct stage *s, enum family f, const char *a, const char *b,
                   const char *c)
{
    struct str labels[] = { str_from(a), str_from(b), str_from(c) };

    return rows_sum(&s->local.shared->rows, SEATS_MAX,
                    rows_find(&s->local.shared->rows, f, labels));
}

START_TEST(test_requests_are_counted_by_service_method_and_status)
{
    struct stage s;
    struct exchange x;

    begin(&s);
    x = exchange(&s);
    for (int i = 0; i < 5; i++)
        reporter_take(&x);
    x.resp.status = 404;
    reporter_take(&x);
    x.req.method = METHOD_OTHER;
    x.req.method_text = STR("BREW");
    reporter_take(&x);
    ck_assert_uint_eq(of(&s, FAMILY_REQUESTS, "users", "GET", "200"), 5);
    ck_assert_uint_eq(of(&s, FAMILY_REQUESTS, "users", "GET", "404"), 1);
    ck_assert_uint_eq(of(&s, FAMILY_REQUESTS, "users", "OTHER", "404"), 1);
    ck_assert_uint_eq(total(&s, FAMILY_DURATION), 7);
    ck_assert_uint_eq(total(&s, FAMILY_BYTES_IN), 70);
    ck_assert_uint_eq(total(&s, FAMILY_BYTES_OUT), 700);
    ck_assert_uint_eq(total(&s, FAMILY_REASONS), 0);
    end(&s);
}
END_TEST

/* Services share places of the cache; each exchange is counted for its own all the same. */
START_TEST(test_a_thousand_services_do_not_mix)
{
    struct stage s;
    struct exchange x;
    char name[16];

    begin(&s);
    for (int round = 0; round < 2; round++)
        for (uint64_t i = 0; i < 500; i++) {
            s.route.service_name = str_of(name, number_write_u64(name, i));
            s.route.service_id = i * UINT64_C(0x100000000);
            x = exchange(&s);
            reporter_take(&x);
            word_put(&s.local.shared->rings[2].tail, word_peek(&s.local.shared->rings[2].head));
        }
    for (uint64_t i = 0; i < 500; i++) {
        name[number_write_u64(name, i)] = '\0';
        ck_assert_uint_eq(of(&s, FAMILY_REQUESTS, name, "GET", "200"), 2);
    }
    end(&s);
}
END_TEST

START_TEST(test_s3s_families_are_for_services_that_ask_for_them)
{
    struct stage s;
    struct exchange x;

    begin(&s);
    x = exchange(&s);
    reporter_take(&x);
    s.route.counts_for_s3 = true;
    reporter_take(&x);
    reporter_take(&x);
    ck_assert_uint_eq(of(&s, FAMILY_S3_COUNTER, "GET", "200", "users"), 2);
    ck_assert_uint_eq(total(&s, FAMILY_S3_TIMER), 2);
    ck_assert_uint_eq(total(&s, FAMILY_REQUESTS), 3);
    end(&s);
}
END_TEST

START_TEST(test_attempts_are_counted_by_how_they_ended)
{
    static const struct service service;
    struct stage s;
    struct exchange x;

    begin(&s);
    s.route.service = &service;
    x = exchange(&s);
    reporter_take(&x); /* asked nobody */
    x.record.attempts = 1;
    x.record.upstream_status = 200;
    reporter_take(&x);
    x.record.upstream_status = 503;
    reporter_take(&x);
    x.record.upstream_status = 0;
    reporter_take(&x);
    x.record.attempts = 4;
    x.record.upstream_status = 200;
    reporter_take(&x);
    ck_assert_uint_eq(of(&s, FAMILY_ATTEMPTS, "users", "ok", NULL), 2);
    ck_assert_uint_eq(of(&s, FAMILY_ATTEMPTS, "users", "error", NULL), 1);
    ck_assert_uint_eq(of(&s, FAMILY_ATTEMPTS, "users", "failed", NULL), 4);
    ck_assert_uint_eq(total(&s, FAMILY_RETRIES), 3);
    end(&s);
}
END_TEST

START_TEST(test_what_went_wrong_is_counted_by_its_reason)
{
    static const struct service service;
    struct stage s;
    struct exchange x;

    begin(&s);
    s.route.service = &service;
    x = exchange(&s);
    x.reason = REASON_AUTH_FAILED;
    x.resp.status = 401;
    reporter_take(&x);
    x.reason = REASON_CLIENT_GONE;
    x.resp.status = 0;
    reporter_take(&x);
    ck_assert_uint_eq(of(&s, FAMILY_REASONS, "users", "auth_failed", NULL), 1);
    ck_assert_uint_eq(of(&s, FAMILY_REASONS, "users", "client_gone", NULL), 1);
    ck_assert_uint_eq(total(&s, FAMILY_AUTH_FAILURES), 1);
    ck_assert_uint_eq(total(&s, FAMILY_CANCELED), 1);
    ck_assert_uint_eq(of(&s, FAMILY_REQUESTS, "users", "GET", "499"), 1);
    end(&s);
}
END_TEST

START_TEST(test_the_record_says_what_happened_and_no_secret)
{
    struct stage s;
    struct exchange x;
    struct record_line line;
    struct ring *ring;
    struct str bytes;
    uint64_t at;

    begin(&s);
    x = exchange(&s);
    x.record.attempts = 1;
    x.record.sent_ns = s.loop.now_ns - NS_PER_MS;
    x.record.answered_ns = s.loop.now_ns - NS_PER_MS / 2;
    x.record.upstream_status = 200;
    x.record.endpoint = STR("10.0.0.1:80");
    x.who.consumer = STR("mobile-app");
    reporter_take(&x);
    ring = &s.local.shared->rings[2];
    at = ring_begin(ring);
    ck_assert(ring_next(ring, &at, &bytes));
    ck_assert_ptr_null(memmem(bytes.at, bytes.len, "secret", 6));
    ck_assert(record_decode(bytes, &line));
    ck_assert_uint_eq(line.numbers.latency_ns, 2 * NS_PER_MS);
    ck_assert_uint_eq(line.numbers.upstream_ns, NS_PER_MS / 2);
    ck_assert_uint_eq(line.numbers.status, 200);
    ck_assert(str_equal(line.texts[RECORD_PATH], STR("/users/7")));
    ck_assert(str_equal(line.texts[RECORD_SERVICE], STR("users")));
    ck_assert(str_equal(line.texts[RECORD_ROUTE], STR("/users")));
    ck_assert(str_equal(line.texts[RECORD_CLIENT], STR("192.0.2.1")));
    ck_assert(str_equal(line.texts[RECORD_ENDPOINT], STR("10.0.0.1:80")));
    ck_assert(str_equal(line.texts[RECORD_CONSUMER], STR("mobile-app")));
    ck_assert(!ring_next(ring, &at, &bytes));
    end(&s);
}
END_TEST

START_TEST(test_without_an_access_log_nothing_is_told)
{
    struct stage s;
    struct exchange x;

    begin(&s);
    s.globals.logging.access.count = 0;
    x = exchange(&s);
    reporter_take(&x);
    ck_assert_uint_eq(ring_waiting(&s.local.shared->rings[2]), 0);
    ck_assert_uint_eq(total(&s, FAMILY_REQUESTS), 1);
    end(&s);
}
END_TEST

START_TEST(test_a_full_ring_drops_and_counts)
{
    struct stage s;
    struct exchange x;

    begin(&s);
    x = exchange(&s);
    for (int i = 0; i < 20000; i++)
        reporter_take(&x);
    ck_assert_uint_eq(total(&s, FAMILY_REQUESTS), 20000);
    ck_assert_uint_gt(word_peek(&s.local.shared->rings[2].dropped), 1000);
    end(&s);
}
END_TEST

START_TEST(test_what_is_in_hand_is_said_under_the_seat)
{
    struct stage s;

    begin(&s);
    s.local.session_count = 3;
    s.local.running = 2;
    report_in_hand(&s.local);
    ck_assert_uint_eq(word_peek(&s.local.shared->in_hand[2 * SEAT_WORDS + SEAT_CONNECTIONS]), 3);
    ck_assert_uint_eq(word_peek(&s.local.shared->in_hand[2 * SEAT_WORDS + SEAT_EXCHANGES]), 2);
    end(&s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("report");
    TCase *c = tcase_create("report");
    SRunner *r;
    int failed;

    tcase_add_test(c, test_requests_are_counted_by_service_method_and_status);
    tcase_add_test(c, test_a_thousand_services_do_not_mix);
    tcase_add_test(c, test_s3s_families_are_for_services_that_ask_for_them);
    tcase_add_test(c, test_attempts_are_counted_by_how_they_ended);
    tcase_add_test(c, test_what_went_wrong_is_counted_by_its_reason);
    tcase_add_test(c, test_the_record_says_what_happened_and_no_secret);
    tcase_add_test(c, test_without_an_access_log_nothing_is_told);
    tcase_add_test(c, test_a_full_ring_drops_and_counts);
    tcase_add_test(c, test_what_is_in_hand_is_said_under_the_seat);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
