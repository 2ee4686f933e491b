/* What changes when a message passes through us. */
#include <check.h>

#include "gateway/http/h1_head.h"
#include "gateway/http/h1_write.h"
#include "gateway/http/hop.h"

static struct arena arena;
static struct request req;
static struct response resp;
static struct hop_client client;

static void setup(void)
{
    arena_init(&arena, NULL);
    req = (struct request){ .version = 11,
                            .scheme = STR("http"),
                            .host = STR("shop.test:8080"),
                            .method_text = STR("GET"),
                            .target = STR("/") };
    resp = (struct response){ .version = 11, .status = 200 };
    client = (struct hop_client){ .address = STR("192.0.2.7"),
                                  .port = STR("8080"),
                                  .via = STR("sluice") };
    fields_init(&req.fields, &arena, 0);
    fields_init(&resp.fields, &arena, 0);
}

static void teardown(void)
{
    arena_free(&arena);
}

#define ck_assert_str(a, b)                                                                        \
    do {                                                                                           \
        struct str a_ = (a), b_ = (b);                                                             \
        ck_assert_msg(str_equal(a_, b_), "'%.*s' is not '%.*s'", STR_ARGS(a_), STR_ARGS(b_));      \
    } while (0)

/* As if the client had sent it. */
static void say(const char *name, const char *value)
{
    fields_add(&req.fields, str_from(name), str_from(value));
    req.fields.at[req.fields.count - 1].ours = false;
}

static struct str heard(const char *name)
{
    const struct field *f = fields_find_name(&req.fields, str_from(name));

    return f ? f->value : STR("(none)");
}

static unsigned count_of(const struct fields *f, enum known_field known)
{
    unsigned count = 0;

    for (uint32_t i = 0; i < f->count; i++)
        count += f->at[i].known == known && f->at[i].name.len;
    return count;
}

static void hop(void)
{
    hop_request(&req, &client, &arena);
}

#define ck_assert_heard(name, value) ck_assert_str(heard(name), STR(value))
#define ck_assert_gone(name)         ck_assert_heard(name, "(none)")

/* --- removing ----------------------------------------------------------------------------------- */

START_TEST(test_what_belongs_to_one_hop_stays_here)
{
    static const char *const gone[] = {
        "Connection", "Keep-Alive",        "Proxy-Connection", "Upgrade",
        "TE",         "Transfer-Encoding", "HTTP2-Settings",   "Proxy-Authorization"
    };

    for (size_t i = 0; i < ARRAY_LEN(gone); i++)
        say(gone[i], "x");
    say("X-Public", "1");
    hop();
    for (size_t i = 0; i < ARRAY_LEN(gone); i++)
        ck_assert_str(heard(gone[i]), STR("(none)"));
    ck_assert_heard("X-Public", "1");
}
END_TEST

START_TEST(test_connection_names_fields_away)
{
    say("X-A", "1");
    say("Connection", "x-a, Keep-Alive,, ,x b,\"q\"");
    say("x-a", "2");
    say("X-B", "3");
    say("Connection", "close,X-C");
    say("X-C", "4");
    say("X-D", "5");
    hop();
    ck_assert_gone("X-A");
    ck_assert_gone("X-C");
    ck_assert_gone("Connection");
    ck_assert_heard("X-B", "3");
    ck_assert_heard("X-D", "5");
}
END_TEST

/* Otherwise a client could drop a key after it was checked, or its own address. */
START_TEST(test_connection_cannot_name_away_what_policy_depends_on)
{
    say("Connection",
        "host, content-length, content-type, authorization, X-API-Key, cookie, x-request-id, via, "
        "x-forwarded-for, x-forwarded-proto, x-forwarded-host, x-real-ip, forwarded");
    say("Host", "shop.test:8080");
    say("Content-Length", "5");
    say("Content-Type", "a/b");
    say("Authorization", "Bearer x");
    say("X-API-Key", "k");
    say("Cookie", "a=b");
    say("X-Request-ID", "r");
    say("Via", "1.0 first");
    say("X-Forwarded-For", "198.51.100.1");
    hop();
    ck_assert_heard("Host", "shop.test:8080");
    ck_assert_heard("Content-Length", "5");
    ck_assert_heard("Content-Type", "a/b");
    ck_assert_heard("Authorization", "Bearer x");
    ck_assert_heard("X-API-Key", "k");
    ck_assert_heard("Cookie", "a=b");
    ck_assert_heard("X-Request-ID", "r");
    ck_assert_heard("X-Forwarded-For", "198.51.100.1, 192.0.2.7");
    ck_assert_heard("X-Real-IP", "192.0.2.7");
    ck_assert_uint_eq(count_of(&req.fields, FIELD_VIA), 2);
}
END_TEST

/* Whatever a client writes into Connection, what we know of it arrives. */
START_TEST(test_connection_cannot_name_away_what_a_step_has_added)
{
    say("Connection", "X-User, X-Plan, traceparent");
    say("X-User", "forged");
    fields_add(&req.fields, STR("X-User"), STR("alice"));
    fields_add(&req.fields, STR("X-Plan"), STR("gold"));
    say("traceparent", "theirs");
    fields_set_known(&req.fields, FIELD_TRACEPARENT, STR("ours"));
    hop();
    ck_assert_heard("X-User", "alice");
    ck_assert_heard("X-Plan", "gold");
    ck_assert_heard("traceparent", "ours");
}
END_TEST

START_TEST(test_te_trailers_is_passed_on_and_said_in_connection)
{
    say("TE", "gzip;q=0.5, Trailers");
    say("Connection", "TE");
    hop();
    ck_assert_heard("TE", "trailers");
    ck_assert_str(hop_connection(&req.fields, false), STR("TE"));
    ck_assert_str(hop_connection(&req.fields, true), STR("close, TE"));
    fields_remove(&req.fields, FIELD_TE);
    ck_assert_str(hop_connection(&req.fields, false), STR(""));
    ck_assert_str(hop_connection(&req.fields, true), STR("close"));
}
END_TEST

START_TEST(test_trailers_hidden_in_another_word_are_not_accepted)
{
    say("TE", "trailersx, xtrailers, gzip");
    hop();
    ck_assert_gone("TE");
}
END_TEST

/* X_Forwarded_For is HTTP_X_FORWARDED_FOR to CGI and WSGI, as X-Forwarded-For is. */
START_TEST(test_underscores_do_not_disguise_a_field)
{
    say("X_Forwarded_For", "1");
    say("x-forwarded_proto", "https");
    say("Transfer_Encoding", "chunked");
    say("Content_Length", "5");
    say("X_API_KEY", "k");
    say("X_Own", "stays");
    say("a_name_that_is_much_longer_than_any_that_we_know", "stays");
    hop();
    ck_assert_gone("X_Forwarded_For");
    ck_assert_gone("x-forwarded_proto");
    ck_assert_gone("Transfer_Encoding");
    ck_assert_gone("Content_Length");
    ck_assert_gone("X_API_KEY");
    ck_assert_heard("X_Own", "stays");
    ck_assert_heard("a_name_that_is_much_longer_than_any_that_we_know", "stays");
}
END_TEST

/* The parser notes that there are such names, wherever they stand. */
START_TEST(test_underscores_are_seen_in_every_line_of_a_head)
{
    static const char *const heads[] = {
        "GET / HTTP/1.1\r\nX_Forwarded_For: 1\r\nHost: a-long-enough-host.test\r\nA: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nX_Forwarded_For: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nA_Name_That_Is_Long: b\r\nX-Forwarded_For:\r\n\r\n",
    };
    const char *why;

    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        fields_init(&req.fields, &arena, 0);
        ck_assert_int_eq(h1_request_parse(str_from(heads[i]), NULL, &req, &why), HEAD_DONE);
        hop();
        ck_assert_gone("X_Forwarded_For");
        ck_assert_gone("X-Forwarded_For");
        ck_assert_heard("X-Forwarded-For", "192.0.2.7");
    }
}
END_TEST

/* --- adding ------------------------------------------------------------------------------------- */

START_TEST(test_a_service_hears_who_asked_for_what)
{
    client.send_forwarded = true;
    hop();
    ck_assert_heard("Via", "1.1 sluice");
    ck_assert_heard("X-Forwarded-For", "192.0.2.7");
    ck_assert_heard("X-Real-IP", "192.0.2.7");
    ck_assert_heard("X-Forwarded-Proto", "http");
    ck_assert_heard("X-Forwarded-Host", "shop.test:8080");
    ck_assert_heard("X-Forwarded-Port", "8080");
    ck_assert_heard("Forwarded", "for=192.0.2.7;host=\"shop.test:8080\";proto=http");
}
END_TEST

START_TEST(test_an_ipv6_client_is_quoted_in_forwarded_only)
{
    client.send_forwarded = true;
    client.address = STR("2001:db8::1");
    client.is_ipv6 = true;
    req.host = STR("shop.test");
    hop();
    ck_assert_heard("X-Forwarded-For", "2001:db8::1");
    ck_assert_heard("Forwarded", "for=\"[2001:db8::1]\";host=shop.test;proto=http");
}
END_TEST

START_TEST(test_a_client_without_host_or_port_leaves_them_out)
{
    client.send_forwarded = true;
    client.port = STR_NONE;
    req.host = STR_NONE;
    req.version = 10;
    hop();
    ck_assert_gone("X-Forwarded-Host");
    ck_assert_gone("X-Forwarded-Port");
    ck_assert_heard("Via", "1.0 sluice");
    ck_assert_heard("Forwarded", "for=192.0.2.7;proto=http");
}
END_TEST

static void say_forwarded(void)
{
    say("X-Forwarded-For", "198.51.100.1");
    say("X-Forwarded-For", "198.51.100.2, 198.51.100.3");
    say("X-Forwarded-For", "");
    say("Forwarded", "for=198.51.100.1");
    say("X-Forwarded-Proto", "https");
    say("X-Forwarded-Host", "evil.test");
    say("X-Forwarded-Port", "1");
    say("X-Real-IP", "10.0.0.1");
}

START_TEST(test_append_keeps_the_chain_and_our_word_is_last)
{
    client.send_forwarded = true;
    say_forwarded();
    hop();
    ck_assert_heard("X-Forwarded-For", "198.51.100.1, 198.51.100.2, 198.51.100.3, 192.0.2.7");
    ck_assert_uint_eq(count_of(&req.fields, FIELD_X_FORWARDED_FOR), 1);
    ck_assert_uint_eq(count_of(&req.fields, FIELD_FORWARDED), 2);
    ck_assert_heard("X-Forwarded-Proto", "http");
    ck_assert_heard("X-Forwarded-Host", "shop.test:8080");
    ck_assert_heard("X-Forwarded-Port", "8080");
    ck_assert_heard("X-Real-IP", "192.0.2.7");
}
END_TEST

/* What we do not append to would look as if it were ours. */
START_TEST(test_append_without_forwarded_drops_the_clients_forwarded)
{
    say_forwarded();
    hop();
    ck_assert_gone("Forwarded");
}
END_TEST

START_TEST(test_replace_believes_nothing_of_the_client)
{
    client.forward = HOP_REPLACE;
    client.send_forwarded = true;
    say_forwarded();
    hop();
    ck_assert_heard("X-Forwarded-For", "192.0.2.7");
    ck_assert_heard("X-Real-IP", "192.0.2.7");
    ck_assert_uint_eq(count_of(&req.fields, FIELD_FORWARDED), 1);
    ck_assert_uint_eq(count_of(&req.fields, FIELD_X_FORWARDED_FOR), 1);
    ck_assert_uint_eq(count_of(&req.fields, FIELD_X_FORWARDED_PROTO), 1);
}
END_TEST

START_TEST(test_drop_says_nothing_about_the_client)
{
    client.forward = HOP_DROP;
    client.send_forwarded = true;
    say_forwarded();
    hop();
    for (enum known_field k = FIELD_FORWARDED; k <= FIELD_X_REAL_IP; k++)
        ck_assert_uint_eq(count_of(&req.fields, k), 0);
    ck_assert_heard("Via", "1.1 sluice");
}
END_TEST

/* The client's session may be gone when the service is asked. */
START_TEST(test_nothing_points_to_the_clients_memory)
{
    char address[] = "192.0.2.7", port[] = "8080";

    client.address = str_from(address);
    client.port = str_from(port);
    hop();
    memset(address, 'x', sizeof address);
    memset(port, 'x', sizeof port);
    ck_assert_heard("X-Forwarded-For", "192.0.2.7");
    ck_assert_heard("X-Real-IP", "192.0.2.7");
    ck_assert_heard("X-Forwarded-Port", "8080");
}
END_TEST

START_TEST(test_an_answer_loses_its_hop_and_gains_via)
{
    struct fields *f = &resp.fields;

    fields_add(f, STR("Connection"), STR("X-Secret, content-length"));
    fields_add(f, STR("X-Secret"), STR("1"));
    fields_add(f, STR("Keep-Alive"), STR("timeout=5"));
    fields_add(f, STR("Transfer-Encoding"), STR("chunked"));
    fields_add(f, STR("Proxy-Authenticate"), STR("Basic"));
    fields_add(f, STR("Upgrade"), STR("h2c"));
    fields_add(f, STR("Server"), STR("x"));
    fields_add(f, STR("Set-Cookie"), STR("a=b"));
    for (uint32_t i = 0; i < f->count; i++)
        f->at[i].ours = false;
    resp.version = 10;
    hop_response(&resp, STR("sluice"), &arena);
    ck_assert_ptr_null(fields_find_name(f, STR("X-Secret")));
    for (enum known_field k = FIELD_CONNECTION; k <= FIELD_PROXY_AUTHENTICATE; k++)
        ck_assert_ptr_null(fields_find(f, k));
    ck_assert_ptr_null(fields_find(f, FIELD_TRANSFER_ENCODING));
    ck_assert_ptr_null(fields_find(f, FIELD_UPGRADE));
    ck_assert_str(fields_value(f, FIELD_SERVER), STR("x"));
    ck_assert_str(fields_value(f, FIELD_SET_COOKIE), STR("a=b"));
    ck_assert_str(fields_value(f, FIELD_VIA), STR("1.0 sluice"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hop");
    TCase *tests = tcase_create("hop");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_what_belongs_to_one_hop_stays_here);
    tcase_add_test(tests, test_connection_names_fields_away);
    tcase_add_test(tests, test_connection_cannot_name_away_what_policy_depends_on);
    tcase_add_test(tests, test_connection_cannot_name_away_what_a_step_has_added);
    tcase_add_test(tests, test_te_trailers_is_passed_on_and_said_in_connection);
    tcase_add_test(tests, test_trailers_hidden_in_another_word_are_not_accepted);
    tcase_add_test(tests, test_underscores_do_not_disguise_a_field);
    tcase_add_test(tests, test_underscores_are_seen_in_every_line_of_a_head);
    tcase_add_test(tests, test_a_service_hears_who_asked_for_what);
    tcase_add_test(tests, test_an_ipv6_client_is_quoted_in_forwarded_only);
    tcase_add_test(tests, test_a_client_without_host_or_port_leaves_them_out);
    tcase_add_test(tests, test_append_keeps_the_chain_and_our_word_is_last);
    tcase_add_test(tests, test_append_without_forwarded_drops_the_clients_forwarded);
    tcase_add_test(tests, test_replace_believes_nothing_of_the_client);
    tcase_add_test(tests, test_drop_says_nothing_about_the_client);
    tcase_add_test(tests, test_nothing_points_to_the_clients_memory);
    tcase_add_test(tests, test_an_answer_loses_its_hop_and_gains_via);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
