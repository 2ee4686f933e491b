/* Links are found again, bounded, handed on, and gone when they are of no use; calls hear of it once. */
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/base/number.h"
#include "gateway/exchange/local.h"
#include "gateway/upstream/call.h"
#include "gateway/upstream/links.h"

#define CALLS     8
#define TURNS_MAX 100000
#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

struct asked {
    struct call call;
    unsigned heads, fails, lasts;
    char body[64];
    size_t len;
};

static struct loop l;
static struct local local;
static struct arena arena;
static struct request req;
static struct endpoint endpoint;
static struct asked asked[CALLS];
static struct upstream_timeouts timeouts;
static int listener;
static int services[CALLS]; /* the service's ends, in the order of their coming */
static int service_count;

static struct asked *asked_of(struct call *c)
{
    return CONTAINER(c, struct asked, call);
}

static void on_room(struct call *c)
{
    (void)c;
}

static void on_early(struct call *c, const struct response *r)
{
    (void)c;
    (void)r;
}

static void on_head(struct call *c, bool last)
{
    asked_of(c)->heads++;
    asked_of(c)->lasts += last;
}

static size_t on_body(struct call *c, const struct piece *p)
{
    struct asked *a = asked_of(c);

    ck_assert_uint_le(a->len + p->data.len, sizeof a->body);
    if (p->data.len)
        memcpy(a->body + a->len, p->data.at, p->data.len);
    a->len += p->data.len;
    a->lasts += p->last;
    return p->data.len;
}

static void on_failed(struct call *c)
{
    asked_of(c)->fails++;
}

static const struct call_owner owner = {
    .room = on_room, .early = on_early, .head = on_head, .body = on_body, .failed = on_failed
};

static int listen_at(struct endpoint_address *at)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&at->at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    *v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    at->len = sizeof *v4;
    ck_assert_int_eq(bind(fd, (struct sockaddr *)v4, at->len), 0);
    ck_assert_int_eq(listen(fd, 16), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)v4, &at->len), 0);
    return fd;
}

static void begin(uint32_t max_idle, uint32_t max_per_host, uint32_t max_pending)
{
    struct link_limits limits = { max_idle, max_per_host, max_pending };

    loop_init(&l);
    arena_init(&arena, NULL);
    local = (struct local){ .loop = &l };
    conn_pool_init(&local.conns);
    local.links = links_new(&local);
    links_limit(local.links, &limits);
    req = (struct request){ .method = METHOD_GET,
                            .method_text = STR("GET"),
                            .target = STR("/"),
                            .host = STR("service"),
                            .version = 11 };
    fields_init(&req.fields, &arena, 0);
    endpoint = (struct endpoint){ .authority = STR("service"), .id = 7, .address_count = 1 };
    listener = listen_at(&endpoint.addresses[0]);
    service_count = 0;
    timeouts = (struct upstream_timeouts){ .connect_ns = 2 * NS_PER_S,
                                           .header_ns = 30 * NS_PER_S,
                                           .idle_read_ns = 60 * NS_PER_S,
                                           .keepalive_ns = 90 * NS_PER_S };
}

static struct target *target(void)
{
    return links_target(local.links, 7);
}

static void turn(void)
{
    loop_turn(&l, 0);
}

static void finish(void)
{
    for (int i = 0; i < CALLS; i++)
        if (asked[i].call.links)
            call_cancel(&asked[i].call);
    turn();
    ck_assert_uint_eq(target()->open, target()->idle_count);
    ck_assert_uint_eq(target()->line_count, 0);
    links_end(local.links);
    turn();
    ck_assert_uint_eq(local.upstream_links.used, 0);
    ck_assert_uint_eq(local.conns.used, 0);
    ck_assert_uint_eq(l.timers.count, 0);
    pool_end(&local.upstream_links);
    pool_end(&local.conns);
    loop_end(&l);
    arena_free(&arena);
    for (int i = 0; i < service_count; i++)
        if (services[i] >= 0)
            close(services[i]);
    if (listener >= 0)
        close(listener);
}

static void ask(int i)
{
    asked[i] = (struct asked){ 0 };
    call_init(&asked[i].call, local.links, &arena, &req, &timeouts, &owner, NULL);
    asked[i].call.attempt.endpoint = &endpoint;
    call_start(&asked[i].call);
}

/* Turn until the service has a request on a connection, a new one or one it knows; which. */
static int service_hears(void)
{
    char text[4096];

    for (int n = 0; n < TURNS_MAX; n++) {
        int fd = listener < 0 ? -1 : accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0)
            services[service_count++] = fd;
        for (int i = 0; i < service_count; i++)
            if (services[i] >= 0 && recv(services[i], text, sizeof text, 0) > 0)
                return i;
        turn();
    }
    ck_abort_msg("no request came");
}

static void service_says(int i, const char *text)
{
    ck_assert_int_eq(send(services[i], text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void service_leaves(int i)
{
    close(services[i]);
    services[i] = -1;
}

static void turn_until(const unsigned *what)
{
    for (int n = 0; *what == 0; n++) {
        ck_assert_int_lt(n, TURNS_MAX);
        turn();
    }
}

/* Ask and be answered; the service's connection that it took. */
static int one_round(int i)
{
    int at;

    ask(i);
    at = service_hears();
    service_says(at, OK_ANSWER);
    turn_until(&asked[i].lasts);
    ck_assert_mem_eq(asked[i].body, "ok", 2);
    call_cancel(&asked[i].call); /* as an owner does at its end */
    return at;
}

START_TEST(test_a_link_is_used_again)
{
    begin(10, 10, 10);
    ck_assert_int_eq(one_round(0), 0);
    ck_assert_int_eq(one_round(1), 0);
    ck_assert_uint_eq(local.links->dialled, 1);
    ck_assert_uint_eq(local.links->reused, 1);
    ck_assert_uint_eq(target()->idle_count, 1);
    finish();
}
END_TEST

START_TEST(test_the_warmest_link_is_taken_first)
{
    int first, second;

    begin(10, 10, 10);
    ask(0);
    first = service_hears();
    ask(1);
    second = service_hears();
    service_says(second, OK_ANSWER);
    turn_until(&asked[1].lasts);
    service_says(first, OK_ANSWER);
    turn_until(&asked[0].lasts);
    ck_assert_uint_eq(target()->idle_count, 2);
    ck_assert_int_eq(one_round(2), first);
    ck_assert_int_eq(one_round(3), first);
    finish();
}
END_TEST

START_TEST(test_who_finds_no_place_waits_in_line_and_is_served_in_turn)
{
    begin(10, 1, 10);
    ask(0);
    ask(1);
    ask(2);
    ck_assert_uint_eq(target()->line_count, 2);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(service_hears(), 0);
        ck_assert_uint_eq(asked[i].heads, 0);
        service_says(0, OK_ANSWER);
        turn_until(&asked[i].lasts);
    }
    ck_assert_uint_eq(local.links->dialled, 1);
    finish();
}
END_TEST

START_TEST(test_a_line_that_is_full_takes_nobody)
{
    begin(10, 1, 1);
    ask(0);
    ask(1);
    ask(2);
    ck_assert_uint_eq(asked[2].fails, 0); /* never from inside call_start */
    turn();
    ck_assert_uint_eq(asked[2].fails, 1);
    ck_assert_int_eq(asked[2].call.attempt.reason, REASON_OVERLOADED);
    ck_assert_uint_eq(asked[1].fails, 0);
    finish();
}
END_TEST

START_TEST(test_nobody_stands_in_line_for_ever)
{
    begin(10, 1, 5);
    ask(0);
    service_hears();
    ask(1);
    timers_run(&l.timers, l.now_ns + 3 * NS_PER_S);
    ck_assert_uint_eq(asked[1].fails, 1);
    ck_assert_int_eq(asked[1].call.attempt.reason, REASON_OVERLOADED);
    ck_assert_int_eq(asked[1].call.attempt.sent, SENT_NOTHING);
    ck_assert_uint_eq(asked[0].fails, 0);
    ck_assert_uint_eq(target()->line_count, 0);
    finish();
}
END_TEST

/* The one in front gives up in the middle of its request: its link cannot be used, its place can. */
START_TEST(test_a_place_that_gets_free_goes_to_the_next_in_line)
{
    begin(10, 1, 5);
    ask(0);
    service_hears();
    ask(1);
    call_cancel(&asked[0].call);
    ck_assert_int_eq(service_hears(), 1);
    service_says(1, OK_ANSWER);
    turn_until(&asked[1].lasts);
    ck_assert_uint_eq(asked[0].fails + asked[0].heads, 0);
    ck_assert_uint_eq(local.links->dialled, 2);
    finish();
}
END_TEST

/* The service is gone: all in line hear so, not only the first, and nobody waits out its time. */
START_TEST(test_all_in_line_hear_of_a_service_that_is_gone)
{
    begin(10, 1, 5);
    ask(0);
    service_hears();
    ask(1);
    ask(2);
    ask(3);
    close(listener);
    listener = -1;
    service_leaves(0);
    for (int i = 1; i < 4; i++) {
        turn_until(&asked[i].fails);
        ck_assert_int_eq(asked[i].call.attempt.reason, REASON_UPSTREAM_CONNECT_FAILED);
    }
    ck_assert_int_eq(asked[0].call.attempt.reason, REASON_UPSTREAM_RESET);
    ck_assert_uint_eq(target()->open, 0);
    finish();
}
END_TEST

START_TEST(test_an_idle_link_that_its_service_closes_is_gone_at_once)
{
    begin(10, 10, 10);
    service_leaves(one_round(0));
    for (int n = 0; target()->open; n++) {
        ck_assert_int_lt(n, TURNS_MAX);
        turn();
    }
    ck_assert_uint_eq(local.links->idle, 0);
    one_round(1);
    ck_assert_uint_eq(local.links->dialled, 2);
    finish();
}
END_TEST

START_TEST(test_an_idle_link_that_speaks_out_of_turn_is_closed)
{
    begin(10, 10, 10);
    service_says(one_round(0), OK_ANSWER);
    for (int n = 0; target()->open; n++) {
        ck_assert_int_lt(n, TURNS_MAX);
        turn();
    }
    finish();
}
END_TEST

START_TEST(test_an_answer_with_more_behind_it_is_the_last_of_its_link)
{
    begin(10, 10, 10);
    ask(0);
    service_says(service_hears(), OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    turn_until(&asked[0].lasts);
    turn();
    ck_assert_uint_eq(asked[0].len, 2);
    ck_assert_uint_eq(target()->open, 0);
    finish();
}
END_TEST

START_TEST(test_an_idle_link_is_kept_no_longer_than_said)
{
    begin(10, 10, 10);
    one_round(0);
    timers_run(&l.timers, l.now_ns + 89 * NS_PER_S);
    ck_assert_uint_eq(target()->idle_count, 1);
    timers_run(&l.timers, l.now_ns + 91 * NS_PER_S);
    ck_assert_uint_eq(target()->open, 0);
    finish();
}
END_TEST

START_TEST(test_a_time_of_nothing_keeps_no_link)
{
    begin(10, 10, 10);
    timeouts.keepalive_ns = 0;
    one_round(0);
    ck_assert_uint_eq(target()->open, 0);
    finish();
}
END_TEST

START_TEST(test_no_more_than_so_many_are_kept_idle)
{
    int at[3];

    begin(2, 10, 10);
    for (int i = 0; i < 3; i++) {
        ask(i);
        at[i] = service_hears();
    }
    for (int i = 0; i < 3; i++) {
        service_says(at[i], OK_ANSWER);
        turn_until(&asked[i].lasts);
    }
    turn();
    ck_assert_uint_eq(local.links->idle, 2);
    ck_assert_uint_eq(local.links->open, 2);
    finish();
}
END_TEST

START_TEST(test_nothing_is_kept_while_draining)
{
    begin(10, 10, 10);
    local.draining = true;
    one_round(0);
    turn();
    ck_assert_uint_eq(target()->open, 0);
    finish();
}
END_TEST

START_TEST(test_a_refused_connection_is_told_and_nothing_was_sent)
{
    begin(10, 10, 10);
    close(listener);
    listener = -1;
    ask(0);
    turn_until(&asked[0].fails);
    ck_assert_int_eq(asked[0].call.attempt.reason, REASON_UPSTREAM_CONNECT_FAILED);
    ck_assert_int_eq(asked[0].call.attempt.sent, SENT_NOTHING);
    ck_assert_uint_eq(local.links->open, 0);
    finish();
}
END_TEST

START_TEST(test_a_connection_that_does_not_stand_in_time_is_told)
{
    begin(10, 10, 10);
    ask(0);
    timers_run(&l.timers, l.now_ns + 3 * NS_PER_S); /* before the loop has looked */
    ck_assert_uint_eq(asked[0].fails, 1);
    ck_assert_int_eq(asked[0].call.attempt.reason, REASON_UPSTREAM_CONNECT_TIMEOUT);
    ck_assert_int_eq(asked[0].call.attempt.sent, SENT_NOTHING);
    finish();
}
END_TEST

START_TEST(test_all_addresses_of_a_name_are_tried_and_the_good_one_is_remembered)
{
    int bad;

    begin(0, 10, 10);
    endpoint.addresses[2] = endpoint.addresses[0];
    endpoint.address_count = 3;
    for (int i = 0; i < 2; i++) { /* two that refuse before the one that listens */
        bad = listen_at(&endpoint.addresses[i]);
        close(bad);
    }
    one_round(0);
    ck_assert_uint_eq(target()->good_address, 2);
    local.links->dialled = 0;
    one_round(1);
    ck_assert_uint_eq(local.links->dialled, 1);
    finish();
}
END_TEST

START_TEST(test_a_service_that_says_nothing_is_given_up)
{
    begin(10, 10, 10);
    ask(0);
    service_hears();
    timers_run(&l.timers, l.now_ns + 31 * NS_PER_S);
    ck_assert_uint_eq(asked[0].fails, 1);
    ck_assert_int_eq(asked[0].call.attempt.reason, REASON_UPSTREAM_TIMEOUT);
    ck_assert_uint_eq(target()->open, 0);
    finish();
}
END_TEST

START_TEST(test_a_reset_says_how_far_it_had_come)
{
    static const struct {
        bool reused;
        const char *said;
        enum sent sent;
    } cases[] = { { false, "", SENT_PART },
                  { true, "", SENT_ON_REUSED_NO_BYTE },
                  { false, "HTTP/1.1 2", SENT_ANSWERED },
                  { true, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal", SENT_ANSWERED } };
    int at;

    begin(10, 10, 10);
    if (cases[_i].reused)
        one_round(1);
    ask(0);
    at = service_hears();
    service_says(at, cases[_i].said);
    service_leaves(at);
    turn_until(&asked[0].fails);
    ck_assert_int_eq(asked[0].call.attempt.sent, cases[_i].sent);
    ck_assert_uint_eq(target()->open, 0);
    finish();
}
END_TEST

/* Cancelled while it dials, while it is sent, and when half of the answer has come. */
START_TEST(test_a_cancelled_call_hears_nothing_more)
{
    begin(10, 10, 10);
    ask(0);
    if (_i > 0)
        service_hears();
    if (_i > 1) {
        service_says(0, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal");
        turn_until(&asked[0].heads);
    }
    asked[0].heads = 0;
    call_cancel(&asked[0].call);
    call_cancel(&asked[0].call); /* always allowed */
    ck_assert_uint_eq(target()->open, 0);
    for (int n = 0; n < 5; n++)
        turn();
    ck_assert_uint_eq(asked[0].heads + asked[0].fails + asked[0].lasts, 0);
    finish();
}
END_TEST

START_TEST(test_targets_are_found_by_value_however_many_there_are)
{
    enum { COUNT = 2000 };
    static struct target *known[COUNT];

    begin(10, 10, 10);
    for (uint64_t i = 0; i < COUNT; i++)
        known[i] = links_target(local.links, i * 0x9e3779b97f4a7c15u);
    for (uint64_t i = 0; i < COUNT; i++) {
        ck_assert_ptr_eq(links_target(local.links, i * 0x9e3779b97f4a7c15u), known[i]);
        ck_assert_uint_eq(known[i]->id, i * 0x9e3779b97f4a7c15u);
    }
    ck_assert_uint_eq(local.links->targets, COUNT);
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("links");
    TCase *t = tcase_create("links");
    SRunner *runner;
    int failed;

    tcase_add_test(t, test_a_link_is_used_again);
    tcase_add_test(t, test_the_warmest_link_is_taken_first);
    tcase_add_test(t, test_who_finds_no_place_waits_in_line_and_is_served_in_turn);
    tcase_add_test(t, test_a_line_that_is_full_takes_nobody);
    tcase_add_test(t, test_nobody_stands_in_line_for_ever);
    tcase_add_test(t, test_a_place_that_gets_free_goes_to_the_next_in_line);
    tcase_add_test(t, test_all_in_line_hear_of_a_service_that_is_gone);
    tcase_add_test(t, test_an_idle_link_that_its_service_closes_is_gone_at_once);
    tcase_add_test(t, test_an_idle_link_that_speaks_out_of_turn_is_closed);
    tcase_add_test(t, test_an_answer_with_more_behind_it_is_the_last_of_its_link);
    tcase_add_test(t, test_an_idle_link_is_kept_no_longer_than_said);
    tcase_add_test(t, test_a_time_of_nothing_keeps_no_link);
    tcase_add_test(t, test_no_more_than_so_many_are_kept_idle);
    tcase_add_test(t, test_nothing_is_kept_while_draining);
    tcase_add_test(t, test_a_refused_connection_is_told_and_nothing_was_sent);
    tcase_add_test(t, test_a_connection_that_does_not_stand_in_time_is_told);
    tcase_add_test(t, test_all_addresses_of_a_name_are_tried_and_the_good_one_is_remembered);
    tcase_add_test(t, test_a_service_that_says_nothing_is_given_up);
    tcase_add_loop_test(t, test_a_reset_says_how_far_it_had_come, 0, 4);
    tcase_add_loop_test(t, test_a_cancelled_call_hears_nothing_more, 0, 3);
    tcase_add_test(t, test_targets_are_found_by_value_however_many_there_are);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
