/* Addresses and prefixes. */
#include <check.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "gateway/base/cidr.h"

static struct ip ip_of(const char *text)
{
    struct ip ip;

    ck_assert_msg(ip_read(str_from(text), &ip), "%s", text);
    return ip;
}

static struct cidr cidr_of(const char *text)
{
    struct cidr net;

    ck_assert_msg(cidr_read(str_from(text), &net), "%s", text);
    return net;
}

START_TEST(test_an_address_has_one_spelling)
{
    static const struct {
        const char *text, *written;
    } cases[] = {
        { "10.0.0.1", "10.0.0.1" },
        { "255.255.255.255", "255.255.255.255" },
        { "::ffff:10.0.0.1", "10.0.0.1" },
        { "::1", "::1" },
        { "[::1]", "::1" },
        { "2001:DB8:0:0:0:0:0:1", "2001:db8::1" },
        { "::", "::" },
        { "fe80:0:0:1::", "fe80:0:0:1::" },
    };
    char text[CIDR_TEXT_MAX];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ip ip = ip_of(cases[i].text);
        size_t len = ip_write(text, &ip);

        ck_assert_msg(str_equal(str_of(text, len), str_from(cases[i].written)), "%.*s", (int)len,
                      text);
    }
}
END_TEST

START_TEST(test_what_is_no_address_is_refused)
{
    static const char *const bad[] = {
        "",
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
        "1.2.3.4 ",
        " 1.2.3.4",
        "01.2.3.4",
        "[1.2.3.4]",
        "[::1",
        "::1]",
        ":::",
        "fe80::1%lo",
        "localhost",
        "1.2.3.4:80",
        "[]",
        "11111:2::",
        "1:2:3:4:5:6:7:8:9",
    };
    struct ip ip;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!ip_read(str_from(bad[i]), &ip), "%s", bad[i]);
    ck_assert(!ip_read(STR("1.2.3.4\0"), &ip));
}
END_TEST

static const struct {
    const char *net, *ip;
    bool holds;
} members[] = {
    { "10.0.0.0/8", "10.255.255.255", true },
    { "10.0.0.0/8", "11.0.0.0", false },
    { "10.0.0.0/8", "::ffff:10.1.2.3", true },
    { "10.0.0.0/8", "a00::", false },
    { "0.0.0.0/0", "1.2.3.4", true },
    { "0.0.0.0/0", "::1", false },
    { "::/0", "1.2.3.4", false },
    { "::/0", "::1", true },
    { "192.168.1.128/25", "192.168.1.127", false },
    { "192.168.1.128/25", "192.168.1.128", true },
    { "1.2.3.4", "1.2.3.4", true },
    { "1.2.3.4", "1.2.3.5", false },
    { "1.2.3.4/32", "1.2.3.4", true },
    { "2001:db8::/33", "2001:db8:7fff::1", true },
    { "2001:db8::/33", "2001:db8:8000::1", false },
    { "::1/128", "::1", true },
};

START_TEST(test_a_prefix_holds_what_shares_its_bits_and_family)
{
    struct cidr net = cidr_of(members[_i].net);
    struct ip ip = ip_of(members[_i].ip);

    ck_assert(cidr_holds(&net, &ip) == members[_i].holds);
    ck_assert(cidr_any_holds(&net, 1, &ip) == members[_i].holds);
    ck_assert(!cidr_any_holds(&net, 0, &ip));
}
END_TEST

START_TEST(test_a_prefix_reads_back_as_written)
{
    static const char *const texts[] = { "10.0.0.0/8",    "0.0.0.0/0",  "::/0",
                                         "2001:db8::/32", "1.2.3.4/32", "::1/128" };
    char text[CIDR_TEXT_MAX];

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct cidr net = cidr_of(texts[i]);
        size_t len = cidr_write(text, &net);

        ck_assert_msg(str_equal(str_of(text, len), str_from(texts[i])), "%.*s", (int)len, text);
    }
}
END_TEST

START_TEST(test_a_prefix_with_something_behind_it_is_refused)
{
    static const char *const bad[] = { "10.0.0.1/8",   "10.0.0.0/33",  "10.0.0.0/", "10.0.0.0/-1",
                                       "10.0.0.0/8/8", "::1/64",       "::/129",    "/8",
                                       "10.0.0.0/08x", "10.0.0.0/0008" };
    struct cidr net;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!cidr_read(str_from(bad[i]), &net), "%s", bad[i]);
}
END_TEST

START_TEST(test_ipv6_clients_count_by_their_prefix_and_ipv4_by_address)
{
    struct ip a = ip_of("2001:db8:1:2:3::4"), b = ip_of("2001:db8:1:2:ffff::"),
              c = ip_of("2001:db8:1:3::"), four = ip_of("1.2.3.4"), ga = ip_group(&a, 64),
              gb = ip_group(&b, 64), gc = ip_group(&c, 64), gfour = ip_group(&four, 64);

    ck_assert(ip_equal(&ga, &gb));
    ck_assert(!ip_equal(&ga, &gc));
    ck_assert(ip_equal(&four, &gfour));
    ga = ip_group(&a, 128);
    ck_assert(ip_equal(&a, &ga));
}
END_TEST

START_TEST(test_an_address_out_of_a_socket_is_the_same_whichever_family_carries_it)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x01020304) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    struct ip a, b = ip_of("1.2.3.4");

    ck_assert(ip_of_sockaddr((const struct sockaddr *)&v4, &a));
    ck_assert(ip_equal(&a, &b));
    memcpy(&v6.sin6_addr, b.at, 16);
    ck_assert(ip_of_sockaddr((const struct sockaddr *)&v6, &a));
    ck_assert(ip_equal(&a, &b));
    ck_assert(ip_is_v4(&a));
    ck_assert(!ip_of_sockaddr((const struct sockaddr *)&un, &a));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cidr");
    TCase *t = tcase_create("cidr");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_test(t, test_an_address_has_one_spelling);
    tcase_add_test(t, test_what_is_no_address_is_refused);
    tcase_add_loop_test(t, test_a_prefix_holds_what_shares_its_bits_and_family, 0,
                        ARRAY_LEN(members));
    tcase_add_test(t, test_a_prefix_reads_back_as_written);
    tcase_add_test(t, test_a_prefix_with_something_behind_it_is_refused);
    tcase_add_test(t, test_ipv6_clients_count_by_their_prefix_and_ipv4_by_address);
    tcase_add_test(t, test_an_address_out_of_a_socket_is_the_same_whichever_family_carries_it);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
