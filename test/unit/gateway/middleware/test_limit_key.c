/* What of a request is one key, spelled however it may be. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "by_hand.h"
#include "gateway/limiting/limit_key.h"
#include "ratelimit/token_bucket.h"

static struct stage s;
static struct limiter limiter;

static void make(void)
{
    struct limit limit = { 1, NS_PER_S, 1 };

    stage_begin(&s);
    ck_assert_ptr_null(limiter_init(&limiter, region_header(s.region), &s.local.shared->limits,
                                    STR("l"), &token_bucket, &limit, FULL_EVICT));
}

static void drop(void)
{
    stage_end(&s);
}

static bool build(struct limit_key *key, const char *text, enum key_missing missing)
{
    struct str texts[] = { str_from(text) };
    struct conf_list list = { texts, 1 };

    return limit_key_build(key, &s.builder, &list, missing);
}

/* The key of a request from 192.0.2.1 with such a cookie field and query. */
static enum key_result ask(const struct limit_key *key, const char *cookie, const char *query,
                           uint64_t *out)
{
    /* act_begin wants a step: any will do */
    static const struct middleware none = { .state_size = 0 };
    enum key_result result;
    struct act a;

    s.step = (struct step){ .type = &none };
    act_begin(&a, &s, "192.0.2.1");
    if (cookie)
        act_header(&a, "cookie", cookie);
    a.x.req.query = str_from(query);
    result = limit_key_of(key, &limiter, &a.x, out);
    act_end(&a);
    return result;
}

static const struct {
    const char *cookie, *query;
    bool found;
} fields[] = {
    { "k=v", "k=v", true },
    { "a=b; k=v", "a=b&k=v", true },
    { " k=v ; a=b", "k=v&a", true },
    { "a;;k=v;", "&&k=v&", true },
    { "k=v; k=w", "k=v&k=w", true },
    { "K=v", "K=v", false },
    { "kk=v", "kk=v", false },
    { "a=k=v", "a=k=v", false },
    { "k", "k", false },
    { "k=", "k=", false },
    { "", "", false },
    { ";=;", "=&=", false },
    { "=k", "=k", false },
};

START_TEST(test_a_cookie_and_a_parameter_are_found_among_others)
{
    struct limit_key cookie, query;
    uint64_t want_cookie, want_query, got;

    ck_assert(build(&cookie, "cookie:k", MISSING_SKIP));
    ck_assert(build(&query, "query:k", MISSING_SKIP));
    ck_assert_int_eq(ask(&cookie, "k=v", NULL, &want_cookie), KEY_FOUND);
    ck_assert_int_eq(ask(&query, NULL, "k=v", &want_query), KEY_FOUND);
    ck_assert_uint_ne(want_cookie, want_query);
    if (!fields[_i].found) {
        ck_assert_int_eq(ask(&cookie, fields[_i].cookie, NULL, &got), KEY_SKIP);
        ck_assert_int_eq(ask(&query, NULL, fields[_i].query, &got), KEY_SKIP);
        return;
    }
    ck_assert_int_eq(ask(&cookie, fields[_i].cookie, NULL, &got), KEY_FOUND);
    ck_assert_uint_eq(got, want_cookie);
    ck_assert_int_eq(ask(&query, NULL, fields[_i].query, &got), KEY_FOUND);
    ck_assert_uint_eq(got, want_query);
}
END_TEST

static const char *const spellings[][2] = {
    { "k=a b", "k=a+b" },       { "k=a b", "k=a%20b" },   { "k=%C3%A4", "k=%c3%a4" },
    { "k=a&b=c", "%6b=%61&b" }, { "k=100%", "k=100%25" }, { "k=%zz", "k=%25zz" },
    { "k=%4", "k=%254" },       { "k=%", "k=%25" },       { "k=a=b", "k=a%3Db" },
};

START_TEST(test_a_parameter_has_one_key_however_it_is_spelled)
{
    struct limit_key key;
    uint64_t one, other;

    ck_assert(build(&key, "query:k", MISSING_REFUSE));
    ck_assert_int_eq(ask(&key, NULL, spellings[_i][0], &one), KEY_FOUND);
    ck_assert_int_eq(ask(&key, NULL, spellings[_i][1], &other), KEY_FOUND);
    ck_assert_uint_eq(one, other);
    ck_assert_int_eq(ask(&key, NULL, "j=1", &other), KEY_REFUSE);
}
END_TEST

/* A value that looks like a hash, an address or another source is none. */
START_TEST(test_values_of_every_length_have_keys_of_their_own)
{
    struct limit_key key;
    uint64_t got[200];
    char query[256] = "k=";

    ck_assert(build(&key, "query:k", MISSING_IP));
    ck_assert_int_eq(ask(&key, NULL, "", &got[0]), KEY_FOUND);
    for (size_t i = 1; i < ARRAY_LEN(got); i++) {
        query[1 + i] = 'x';
        query[2 + i] = 0;
        ck_assert_int_eq(ask(&key, NULL, query, &got[i]), KEY_FOUND);
        for (size_t n = 0; n < i; n++)
            if (got[n] == got[i])
                ck_abort_msg("%zu and %zu", n, i);
    }
}
END_TEST

START_TEST(test_only_a_key_of_all_services_is_one_for_all)
{
    struct limit_key key;

    ck_assert(build(&key, "auto", MISSING_IP));
    ck_assert(!key.for_all_services);
    ck_assert(build(&key, "user|global", MISSING_IP));
    ck_assert(key.for_all_services);
    ck_assert(!build(&key, "ip|ip|ip|ip|ip|ip|ip|ip|ip", MISSING_IP));
    ck_assert(!build(&key, "auto|auto|auto", MISSING_IP));
    ck_assert_uint_eq(s.problems.errors, 2);
}
END_TEST

/* ---- for people ---- */

/* What the key of a request is called, in so much room. */
static const char *called(const char *key_text, size_t room)
{
    static const struct middleware none = { .state_size = 0 };
    static char text[256];
    struct limit_key key;
    struct act a;

    ck_assert(build(&key, key_text, MISSING_IP));
    s.step = (struct step){ .type = &none };
    act_begin(&a, &s, "2001:db8:1:2:3:4:5:6");
    act_header(&a, "cookie", "sid=0123456789");
    act_header(&a, "x-tenant", "abcdefghijklmnopqrstuvwxyz0123456789");
    act_header(&a, "x-one", "1");
    a.x.req.query = STR("q=a%20b%1b%5c%c3%a4xxxxxxxx");
    a.x.who.user = STR("j\x1b[2Jane");
    a.x.who.consumer = STR("acme");
    a.x.who.api_key = STR("abc-123");
    a.x.pattern = STR("/users/{id}");
    text[limit_key_text(&key, &limiter, &a.x, text, room)] = '\0';
    act_end(&a);
    return text;
}

static const struct {
    const char *key, *begins;
    bool has_hash;
} labels[] = {
    { "ip", "2001:db8:1:2::/64", false },
    { "consumer", "consumer:acme", false },
    { "auto", "consumer:acme", false },
    { "user", "user:j\\x1b[2Jane", false },
    { "api_key", "api_key:abc\u2026#", true },
    { "cookie:sid", "cookie:sid=0123\u2026#", true },
    { "header:x-tenant", "header:x-tenant=abcdefghijkl\u2026#", true },
    { "header:x-one", "header:x-one=\u2026#", true }, /* never more than half of it */
    { "query:q", "query:q=a\\x20b\\x1b\\x5c\\xc3\\xa4\u2026#", true },
    { "route", "route:/users/{id}", false },
    { "service", "service:", false },
    { "global", "global", false },
    { "header:not-there", "2001:db8:1:2::/64", false },
    { "header:not-there|user", "user:j\\x1b[2Jane", false },
};

START_TEST(test_people_see_who_it_is_and_no_secret)
{
    const char *text = called(labels[_i].key, 200);
    size_t len = strlen(labels[_i].begins);

    ck_assert_msg(strncmp(text, labels[_i].begins, len) == 0, "%s", text);
    ck_assert_uint_eq(strlen(text), len + (labels[_i].has_hash ? 8 : 0));
}
END_TEST

START_TEST(test_what_does_not_fit_ends_with_an_ellipsis_and_nothing_is_cut_in_half)
{
    char whole[256];

    snprintf(whole, sizeof whole, "%s", called("user", 200));
    for (size_t room = 0; room < 40; room++) {
        const char *text = called("user", room);
        size_t len = strlen(text);

        ck_assert_uint_le(len, room);
        if (strcmp(text, whole) == 0)
            continue;
        if (room >= 3)
            ck_assert_msg(strcmp(text + len - 3, "\u2026") == 0, "%s", text);
        ck_assert(len < 3 || strncmp(text, whole, len - 3) == 0);
        /* an escape is there or not */
        ck_assert(strchr(text, '\\') == NULL || strstr(text, "\\x1b") != NULL);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("limit_key");
    TCase *c = tcase_create("limit_key");
    SRunner *r;
    int failed;

    tcase_add_checked_fixture(c, make, drop);
    tcase_add_loop_test(c, test_a_cookie_and_a_parameter_are_found_among_others, 0,
                        (int)ARRAY_LEN(fields));
    tcase_add_loop_test(c, test_a_parameter_has_one_key_however_it_is_spelled, 0,
                        (int)ARRAY_LEN(spellings));
    tcase_add_test(c, test_values_of_every_length_have_keys_of_their_own);
    tcase_add_test(c, test_only_a_key_of_all_services_is_one_for_all);
    tcase_add_loop_test(c, test_people_see_who_it_is_and_no_secret, 0, (int)ARRAY_LEN(labels));
    tcase_add_test(c, test_what_does_not_fit_ends_with_an_ellipsis_and_nothing_is_cut_in_half);
    suite_add_tcase(suite, c);
    r = srunner_create(suite);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
