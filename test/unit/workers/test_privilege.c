/* Descriptors that are kept back for what the master sends. */
#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "workers/control.h"
#include "workers/privilege.h"

#define HARD 200

static uint64_t soft(void)
{
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    return limit.rlim_cur;
}

/* Each test runs in a process of its own (libcheck forks), so what it does to its limits ends with it. */
static void limit_to(rlim_t cur, rlim_t max)
{
    struct rlimit limit = { .rlim_cur = cur, .rlim_max = max };

    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static int use_all_up(void)
{
    int fd, n = 0;

    while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        n++;
    return n;
}

START_TEST(test_some_are_kept_back_below_the_hard_limit)
{
    limit_to(HARD, HARD);
    descriptors_keep_back();
    ck_assert_uint_lt(soft(), HARD);
    ck_assert_uint_ge(soft(), HARD / 2);
}
END_TEST

START_TEST(test_where_the_hard_limit_is_higher_nothing_needs_to_be_kept_back)
{
    limit_to(HARD / 2, HARD);
    descriptors_keep_back();
    ck_assert_uint_eq(soft(), HARD / 2);
}
END_TEST

START_TEST(test_what_was_lent_is_returned)
{
    uint64_t was;

    limit_to(HARD / 2, HARD);
    was = descriptors_lend();
    ck_assert_uint_eq(was, HARD / 2);
    ck_assert_uint_eq(soft(), HARD);
    descriptors_return(was);
    ck_assert_uint_eq(soft(), HARD / 2);
}
END_TEST

static int received = -2;

static void on_message(struct control *c, const struct control_message *m, int fd)
{
    (void)c;
    (void)m;
    received = fd;
}

static void on_closed(struct control *c)
{
    (void)c;
}

/* A worker full of clients was once sent the listening socket of a neighbour that had died, got the order without the
 * socket, and died of it. */
START_TEST(test_a_process_without_descriptors_is_given_one)
{
    struct control here, there;
    struct control_message m = { .kind = CONTROL_LISTENER };
    int ends[2], sent;

    ck_assert(control_pair(ends));
    control_init(&here, ends[0], on_message, on_closed);
    control_init(&there, ends[1], on_message, on_closed);
    sent = open("/dev/null", O_RDONLY | O_CLOEXEC);
    limit_to(HARD, HARD);
    descriptors_keep_back();
    ck_assert_int_gt(use_all_up(), 0);
    ck_assert(control_send(&there, &m, sent));
    control_read(&here);
    ck_assert_int_ge(received, 0);
    ck_assert_int_eq(use_all_up(), 0);
    descriptors_lend(); /* what looks for leaks at the end needs some */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("privilege");
    TCase *t = tcase_create("descriptors");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_test(t, test_some_are_kept_back_below_the_hard_limit);
    tcase_add_test(t, test_where_the_hard_limit_is_higher_nothing_needs_to_be_kept_back);
    tcase_add_test(t, test_what_was_lent_is_returned);
    tcase_add_test(t, test_a_process_without_descriptors_is_given_one);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
