/* The page for Prometheus: whole, in order, and made only as far as the client takes it. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "by_hand.h"
#include "gateway/base/clock.h"
#include "gateway/exchange/chain.h"
#include "gateway/handlers/gauges.h"
#include "gateway/handlers/metrics_page.h"
#include "shm/breaker.h"

static const char *page(struct stage *s, size_t room)
{
    s->client.room = room;
    chain_in(stage_ask(s, &metrics_page_handler, NULL, METHOD_GET));
    stage_turn(s, room);
    ck_assert(s->client.ended && s->client.last);
    s->client.body[s->client.len] = '\0';
    return s->client.body;
}

static void count(struct stage *s, enum family f, const char *a, const char *b, const char *c,
                  uint64_t n)
{
    struct str labels[] = { str_from(a), str_from(b), str_from(c) };

    rows_add(&s->local.shared->rows, 0, rows_find(&s->local.shared->rows, f, labels), n);
}

START_TEST(test_the_seven_families_of_the_seeds_are_there_before_the_first_request)
{
    static const char *const expected[] = {
        "\n# TYPE gateway_request_duration_seconds histogram\n",
        "\n# TYPE http_request_counter counter\n",
        "\n# TYPE http_request_timer histogram\n",
        "\n# TYPE gateway_rate_limited_total counter\n",
        "\n# TYPE gateway_proxy_canceled_total counter\n",
        "\n# TYPE gateway_circuit_breaker_state gauge\n",
        "\n# TYPE gateway_requests_total counter\n",
    };
    struct stage s;
    const char *text;

    stage_begin(&s);
    text = page(&s, 0);
    ck_assert_uint_eq(s.client.status, 200);
    ck_assert_str_eq(s.client.content_type, "text/plain; version=0.0.4; charset=utf-8");
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        ck_assert_msg(strstr(text, expected[i]) != NULL, "no %s", expected[i]);
    stage_end(&s);
}
END_TEST

START_TEST(test_what_was_counted_is_shown_with_its_labels)
{
    struct stage s;
    const char *text;

    stage_begin(&s);
    ck_assert_uint_eq(seats_claim(s.local.shared->seats, 100, SEAT_WORKER, 0, 1, 1), 0);
    count(&s, FAMILY_REQUESTS, "users", "GET", "200", 41);
    count(&s, FAMILY_REQUESTS, "users", "GET", "200", 1);
    count(&s, FAMILY_S3_COUNTER, "POST", "404", "a\"b", 3);
    text = page(&s, 0);
    ck_assert_ptr_nonnull(strstr(
        text, "\ngateway_requests_total{service=\"users\",method=\"GET\",status=\"200\"} 42\n"));
    ck_assert_ptr_nonnull(strstr(
        text, "\nhttp_request_counter{method=\"POST\",status=\"404\",service=\"a\\\"b\"} 3\n"));
    stage_end(&s);
}
END_TEST

/* Lines that begin so. */
static size_t lines_of(const char *text, const char *begin)
{
    size_t n = 0, len = strlen(begin);

    for (const char *at = text; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        n += strncmp(at, begin, len) == 0;
        if (!*at)
            break;
    }
    return n;
}

/* Ten thousand series, taken in sips of any size, are the same page. */
START_TEST(test_a_slow_client_gets_the_same_page)
{
    static const size_t sips[] = { 0, 1000, 4099, 50000 };
    struct stage s;
    size_t lines;
    char name[16];

    stage_begin(&s);
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "%d", i);
        count(&s, FAMILY_REQUESTS, "users", "GET", name, 1);
    }
    lines = lines_of(page(&s, sips[_i]), "gateway_requests_total{");
    ck_assert_uint_eq(lines, 10000);
    ck_assert_int_eq(s.client.body[s.client.len - 1], '\n');
    stage_end(&s);
}
END_TEST

/* So that nobody waits while a large page is made. */
START_TEST(test_a_large_page_is_made_in_pieces_over_many_turns)
{
    struct stage s;
    char name[16];
    size_t made;

    stage_begin(&s);
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "%d", i);
        count(&s, FAMILY_REQUESTS, "users", "GET", name, 1);
    }
    chain_in(stage_ask(&s, &metrics_page_handler, NULL, METHOD_GET));
    made = s.client.len;
    ck_assert_uint_gt(made, 0);
    ck_assert_uint_le(made, 64 * 1024);
    loop_turn(&s.worker.loop, 0);
    ck_assert_uint_le(s.client.len, 2 * made + 64 * 1024);
    ck_assert(!s.client.last);
    stage_turn(&s, 0);
    ck_assert(s.client.last);
    stage_end(&s);
}
END_TEST

START_TEST(test_a_client_that_leaves_ends_the_making)
{
    struct stage s;
    struct exchange *x;

    stage_begin(&s);
    for (int i = 0; i < 5000; i++) {
        char name[16];

        snprintf(name, sizeof name, "%d", i);
        count(&s, FAMILY_REQUESTS, "users", "GET", name, 1);
    }
    s.client.room = 100;
    x = stage_ask(&s, &metrics_page_handler, NULL, METHOD_GET);
    chain_in(x);
    exchange_client_gone(x, REASON_CLIENT_GONE);
    stage_turn(&s, 0);
    ck_assert_uint_le(s.client.len, 64 * 1024);
    ck_assert_uint_eq(s.local.running, 0);
    stage_end(&s);
}
END_TEST

START_TEST(test_head_has_no_body)
{
    struct stage s;

    stage_begin(&s);
    chain_in(stage_ask(&s, &metrics_page_handler, NULL, METHOD_HEAD));
    stage_turn(&s, 0);
    ck_assert_uint_eq(s.client.status, 200);
    ck_assert_uint_eq(s.client.len, 0);
    stage_end(&s);
}
END_TEST

START_TEST(test_only_the_wanted_names_are_shown)
{
    struct stage s;
    const char *text;

    stage_begin(&s);
    s.globals.metrics.names = CONF_METRICS_S3;
    text = page(&s, 0);
    ck_assert_ptr_nonnull(strstr(text, "# TYPE http_request_counter counter\n"));
    ck_assert_ptr_nonnull(strstr(text, "# TYPE gateway_circuit_breaker_state gauge\n"));
    ck_assert_ptr_null(strstr(text, "gateway_requests_total"));
    ck_assert_ptr_null(strstr(text, "gateway_shm"));
    stage_end(&s);
}
END_TEST

static struct breaker *breaker_of(struct stage *s, const char *name)
{
    struct breaker *b =
        region_table(s->local.region, TABLE_BREAKER, str_from(name), sizeof(struct breaker));

    ck_assert_ptr_nonnull(b);
    return b;
}

static const struct breaker_params at_once = { .consecutive = 1, .open_ns = 1000000000 };

START_TEST(test_breakers_are_shown_with_their_state)
{
    struct stage s;
    struct breaker *open, *half;
    struct breaker_pass pass;
    const char *text;

    stage_begin(&s);
    breaker_of(&s, "breaker/closed/circuit_breaker");
    open = breaker_of(&s, "breaker/with/slash/circuit_breaker");
    half = breaker_of(&s, "breaker/half/mine");
    pass = breaker_allows(open, &at_once, 0, 1000000);
    breaker_tell(open, &at_once, &pass, OUTCOME_FAILED, 0, 1000000);
    pass = breaker_allows(half, &at_once, 0, 1000000);
    breaker_tell(half, &at_once, &pass, OUTCOME_FAILED, 0, 1000000);
    pass = breaker_allows(half, &at_once, 0, 2000000000);
    ck_assert_int_eq(pass.verdict, BREAKER_PROBE);
    region_commit(s.local.region);
    text = page(&s, 0);
    ck_assert_ptr_nonnull(strstr(text, "\ngateway_circuit_breaker_state{service=\"closed\"} 0\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "\ngateway_circuit_breaker_state{service=\"with/slash\"} 1\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "\ngateway_circuit_breaker_state{service=\"half\",breaker=\"mine\"} 2\n"));
    ck_assert_ptr_nonnull(strstr(text,
                                 "\ngateway_circuit_breaker_transitions_total{service=\"half\","
                                 "breaker=\"mine\",to=\"half_open\"} 1\n"));
    stage_end(&s);
}
END_TEST

START_TEST(test_seats_tell_who_lives)
{
    struct stage s;
    struct seats_shared *seats;
    const char *text;

    stage_begin(&s);
    seats = s.local.shared->seats;
    ck_assert_uint_eq(seats_claim(seats, 100, SEAT_WORKER, 7, 1, clock_now_ns()), 0);
    ck_assert_uint_eq(seats_claim(seats, 101, SEAT_WORKER, 8, 1, 1), 1);
    ck_assert_uint_eq(seats_claim(seats, 102, SEAT_CARETAKER, 0, 1, clock_now_ns()), 2);
    seats_beat(seats, 0, clock_now_ns());
    seats_beat(seats, 1, 1);
    seats_beat(seats, 2, clock_now_ns());
    word_put(&s.local.shared->in_hand[0 * SEAT_WORDS + SEAT_CONNECTIONS], 5);
    text = page(&s, 0);
    ck_assert_ptr_nonnull(
        strstr(text, "\ngateway_seat_up{seat=\"0\",role=\"worker\",slot=\"7\"} 1\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "\ngateway_seat_up{seat=\"1\",role=\"worker\",slot=\"8\"} 0\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "\ngateway_seat_up{seat=\"2\",role=\"caretaker\",slot=\"0\"} 1\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "\ngateway_connections{seat=\"0\",role=\"worker\",slot=\"7\"} 5\n"));
    stage_end(&s);
}
END_TEST

/* Each family once, its samples behind it, every line a sample or a comment. */
START_TEST(test_every_family_has_one_title_and_stands_together)
{
    struct stage s;
    char *text, *save = NULL, family[128] = "", seen[200][128];
    size_t families = 0;

    stage_begin(&s);
    count(&s, FAMILY_REQUESTS, "users", "GET", "200", 1);
    text = strdup(page(&s, 0));
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (sscanf(line, "# TYPE %127s", family) == 1) {
            for (size_t i = 0; i < families; i++)
                ck_assert_str_ne(seen[i], family);
            ck_assert_uint_lt(families, ARRAY_LEN(seen));
            snprintf(seen[families++], sizeof seen[0], "%s", family);
        } else if (line[0] != '#') {
            ck_assert_msg(strncmp(line, family, strlen(family)) == 0, "%s under %s", line, family);
        } else {
            ck_assert_msg(strncmp(line, "# HELP ", 7) == 0, "%s", line);
        }
    }
    for (size_t i = 0; gauges_at(i); i++)
        families--;
    ck_assert_uint_eq(families, FAMILY_COUNT);
    free(text);
    stage_end(&s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("metrics_page");
    TCase *c = tcase_create("metrics_page");
    SRunner *r;
    int failed;

    tcase_add_test(c, test_the_seven_families_of_the_seeds_are_there_before_the_first_request);
    tcase_add_test(c, test_what_was_counted_is_shown_with_its_labels);
    tcase_add_loop_test(c, test_a_slow_client_gets_the_same_page, 0, 4);
    tcase_add_test(c, test_a_large_page_is_made_in_pieces_over_many_turns);
    tcase_add_test(c, test_a_client_that_leaves_ends_the_making);
    tcase_add_test(c, test_head_has_no_body);
    tcase_add_test(c, test_only_the_wanted_names_are_shown);
    tcase_add_test(c, test_breakers_are_shown_with_their_state);
    tcase_add_test(c, test_seats_tell_who_lives);
    tcase_add_test(c, test_every_family_has_one_title_and_stands_together);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
