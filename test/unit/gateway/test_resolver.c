/* Names are asked for in time, whatever the system does. getaddrinfo() is ours here. */
#include <check.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/number.h"
#include "gateway/resolver.h"

/* "never" has no answer, "dies" takes the asking process with it, of "away" no name server tells, "none" has no address;
 * "n7" has 7 of them. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **to)
{
    static struct sockaddr_in sa[32];
    static struct addrinfo found[32];
    int count = host[0] == 'n' ? (int)strtol(host + 1, NULL, 10) : 0;

    (void)service;
    (void)hints;
    if (strcmp(host, "never") == 0)
        for (;;)
            pause();
    if (strcmp(host, "dies") == 0)
        _exit(1);
    if (strcmp(host, "away") == 0)
        return EAI_AGAIN;
    if (count == 0)
        return EAI_NONAME;
    for (int i = 0; i < count; i++) {
        sa[i] = (struct sockaddr_in){ .sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(0x0a000000u + (unsigned)i) };
        found[i] = (struct addrinfo){ .ai_addr = (struct sockaddr *)&sa[i],
                                      .ai_next = i + 1 < count ? &found[i + 1] : NULL };
    }
    *to = found;
    return 0;
}

void freeaddrinfo(struct addrinfo *a)
{
    (void)a;
}

static struct resolver resolver;
static struct ip ips[20];
static bool told;

static void setup(void)
{
    resolver_init(&resolver, 2 * NS_PER_S);
}

static void teardown(void)
{
    resolver_end(&resolver);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left behind */
}

static size_t ask(const char *host, size_t room)
{
    size_t count;

    told = resolver_ask(&resolver, str_from(host), ips, room, &count);
    ck_assert(told || count == 0);
    return count;
}

START_TEST(test_all_addresses_of_a_name_are_told_as_far_as_there_is_room)
{
    char text[CIDR_TEXT_MAX];

    ck_assert_uint_eq(ask("none", 20), 0);
    ck_assert_uint_eq(ask("n3", 20), 3);
    ck_assert_uint_eq(ip_write(text, &ips[2]), 8);
    ck_assert(memcmp(text, "10.0.0.2", 8) == 0);
    ck_assert_uint_eq(ask("n3", 2), 2);
    ck_assert_uint_eq(ask("n30", 20), 16);
    ck_assert_uint_eq(ask("", 20), 0);
}
END_TEST

START_TEST(test_no_address_and_nobody_who_tells_are_not_the_same)
{
    ck_assert(ask("none", 20) == 0 && told);
    ck_assert(ask("away", 20) == 0 && !told);
    ck_assert(ask("dies", 20) == 0 && !told);
    ck_assert(ask("never", 20) == 0 && !told);
    ck_assert(ask("n1", 20) == 1 && told);
}
END_TEST

START_TEST(test_one_process_is_enough_for_all_names)
{
    pid_t pid;

    ck_assert_int_eq(resolver.pid, 0);
    ck_assert_uint_eq(ask("n1", 20), 1);
    pid = resolver.pid;
    for (int i = 0; i < 1000; i++)
        ck_assert_uint_eq(ask("n1", 20), 1);
    ck_assert_int_eq(resolver.pid, pid);
}
END_TEST

START_TEST(test_a_name_without_an_answer_does_not_use_up_the_patience_of_the_others)
{
    uint64_t begun_ns = clock_now_ns();

    ck_assert_uint_eq(ask("never", 20), 0);
    ck_assert_int_eq(resolver.pid, 0);
    ck_assert_uint_eq(ask("n1", 20), 1);
    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(ask("never", 20), 0);
    ck_assert(clock_now_ns() - begun_ns <
              60 * NS_PER_S); /* 2 s; a hundred names of 10 s are more */
    ck_assert_uint_eq(ask("n1", 20), 0);
}
END_TEST

START_TEST(test_a_process_that_dies_is_replaced)
{
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(ask("dies", 20), 0);
        ck_assert_uint_eq(ask("n2", 20), 2);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resolver");
    TCase *tests = tcase_create("resolver");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_all_addresses_of_a_name_are_told_as_far_as_there_is_room);
    tcase_add_test(tests, test_no_address_and_nobody_who_tells_are_not_the_same);
    tcase_add_test(tests, test_one_process_is_enough_for_all_names);
    tcase_add_test(tests, test_a_name_without_an_answer_does_not_use_up_the_patience_of_the_others);
    tcase_add_test(tests, test_a_process_that_dies_is_replaced);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
