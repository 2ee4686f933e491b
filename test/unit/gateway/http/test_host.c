/* The hosts of targets and of Host fields: a name and a port, or refused. */
#include <check.h>
#include <stdlib.h>

#include "gateway/http/octets.h"
#include "gateway/http/target.h"

#define ck_assert_str(a, b)                                                                        \
    do {                                                                                           \
        struct str a_ = (a), b_ = (b);                                                             \
        ck_assert_msg(str_equal(a_, b_), "'%.*s' is not '%.*s'", STR_ARGS(a_), STR_ARGS(b_));      \
    } while (0)

struct host_case {
    struct str host;
    const char *name, *port; /* NULL: malformed */
};

static const struct host_case host_cases[] = {
    { STR_INIT("a"), "a", "" },
    { STR_INIT("Example.COM"), "Example.COM", "" },
    { STR_INIT("a.b:80"), "a.b", "80" },
    { STR_INIT("a."), "a", "" },
    { STR_INIT("a.b.:8080"), "a.b", "8080" },
    { STR_INIT("a:"), "a", "" },
    { STR_INIT("192.0.2.1:65535"), "192.0.2.1", "65535" },
    { STR_INIT("[::1]"), "[::1]", "" },
    { STR_INIT("[2001:db8::1]:443"), "[2001:db8::1]", "443" },
    { STR_INIT("[::ffff:192.0.2.1]:"), "[::ffff:192.0.2.1]", "" },
    { STR_INIT("_dmarc.a-b~c"), "_dmarc.a-b~c", "" },
    { STR_INIT(""), NULL, NULL },
    { STR_INIT("."), NULL, NULL },
    { STR_INIT("a..b"), NULL, NULL },
    { STR_INIT(".a"), NULL, NULL },
    { STR_INIT("a.."), NULL, NULL },
    { STR_INIT(":80"), NULL, NULL },
    { STR_INIT("a:b"), NULL, NULL },
    { STR_INIT("a:1:2"), NULL, NULL },
    { STR_INIT("a:65536"), NULL, NULL },
    { STR_INIT("a:000080"), NULL, NULL },
    { STR_INIT("a:-1"), NULL, NULL },
    { STR_INIT("a b"), NULL, NULL },
    { STR_INIT("a,b"), NULL, NULL },
    { STR_INIT("a, b"), NULL, NULL },
    { STR_INIT("u@a"), NULL, NULL },
    { STR_INIT("a/b"), NULL, NULL },
    { STR_INIT("a?b"), NULL, NULL },
    { STR_INIT("a#b"), NULL, NULL },
    { STR_INIT("a\\b"), NULL, NULL },
    { STR_INIT("a%2eb"), NULL, NULL },
    { STR_INIT("a\0b"), NULL, NULL },
    { STR_INIT("\xc3\xa9"), NULL, NULL },
    { STR_INIT("["), NULL, NULL },
    { STR_INIT("[]"), NULL, NULL },
    { STR_INIT("[::1"), NULL, NULL },
    { STR_INIT("[::1]a"), NULL, NULL },
    { STR_INIT("[::1]:x"), NULL, NULL },
    { STR_INIT("[::1%25eth0]"), NULL, NULL },
    { STR_INIT("[::1\0]"), NULL, NULL },
    { STR_INIT("[1.2.3.4]"), NULL, NULL },
    { STR_INIT("[v1.a]"), NULL, NULL },
    { STR_INIT("[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa]"), NULL, NULL },
    { STR_INIT("::1"), NULL, NULL },
};

START_TEST(test_a_host_is_a_name_and_a_port)
{
    const struct host_case *c = &host_cases[_i];
    struct str name, port;

    ck_assert_int_eq(target_split_host(c->host, &name, &port), c->name != NULL);
    if (c->name) {
        ck_assert_str(name, str_from(c->name));
        ck_assert_str(port, str_from(c->port));
    }
}
END_TEST

/* What a host is, octet by octet. */
static bool split_slowly(struct str host, size_t *name, size_t *port)
{
    size_t n = 0, digits, value = 0;

    while (n < host.len && octet_is(host.at[n], OCTET_HOST)) {
        if (host.at[n] == '.' && (n == 0 || host.at[n - 1] == '.'))
            return false;
        n++;
    }
    *name = n && host.at[n - 1] == '.' ? n - 1 : n;
    *port = host.len;
    if (n == 0 || n == host.len)
        return n > 0;
    if (host.at[n] != ':')
        return false;
    *port = n + 1;
    for (digits = n + 1; digits < host.len; digits++) {
        if (!octet_is(host.at[digits], OCTET_DIGIT))
            return false;
        value = value * 10 + octet_hex(host.at[digits]);
    }
    return digits - n - 1 <= 5 && value <= 65535;
}

static void split_with(int odd)
{
    static const struct str patterns[] = { STR_INIT("abc.de-f~g_h."),
                                           STR_INIT("www.example.com:8080"), STR_INIT("a"),
                                           STR_INIT("127.0.0.1:65535") };

    for (size_t len = 1; len < 50; len += len < 20 ? 1 : 5)
        for (size_t at = 0; at < len; at++) {
            struct str pattern = patterns[(len + at) % ARRAY_LEN(patterns)];
            char *text = malloc(len);
            struct str host = str_of(text, len), name, port;
            size_t name_len = 0, port_at = 0;
            bool expected;

            for (size_t i = 0; i < len; i++)
                text[i] = pattern.at[i % pattern.len];
            text[at] = (char)odd;
            if (text[0] != '[') {
                expected = split_slowly(host, &name_len, &port_at);
                if (target_split_host(host, &name, &port) != expected)
                    ck_abort_msg("%.*s", STR_ARGS(host));
                if (expected && (name.len != name_len || port.len != len - port_at))
                    ck_abort_msg("%.*s is cut elsewhere", STR_ARGS(host));
            }
            free(text);
        }
}

/* Hosts of all lengths with one odd octet at each place: looking at many at once finds what looking at one does. */
START_TEST(test_a_host_is_split_the_same_at_every_length)
{
    for (int odd = _i; odd < 256; odd += 16)
        split_with(odd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("host");
    TCase *tests = tcase_create("host");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(tests, test_a_host_is_a_name_and_a_port, 0, ARRAY_LEN(host_cases));
    tcase_add_loop_test(tests, test_a_host_is_split_the_same_at_every_length, 0, 16);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
