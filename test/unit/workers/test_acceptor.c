/* Accepting, and not accepting: nothing spins, nothing is lost that the kernel has promised. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/base/log.h"
#include "gateway/base/number.h"
#include "workers/acceptor.h"
#include "workers/worker.h"

static struct worker w;
static int got[256];
static unsigned got_count;
static struct str got_listener;
static bool got_local;
static struct sockaddr_in address;
static int listening;

static void accepted(struct worker *worker, const struct arrival *a)
{
    ck_assert_ptr_eq(worker, &w);
    ck_assert_uint_lt(got_count, ARRAY_LEN(got));
    ck_assert(fcntl(a->fd, F_GETFL) & O_NONBLOCK);
    ck_assert(fcntl(a->fd, F_GETFD) & FD_CLOEXEC);
    ck_assert_int_eq(a->peer->ss_family, AF_INET);
    got[got_count++] = a->fd;
    got_listener = a->listener;
    got_local = a->local;
}

static const struct program program = { .accepted = accepted };

static void begin(void)
{
    socklen_t len = sizeof address;

    log_set_level(LOG_LEVEL_ERROR);
    memset(&w, 0, sizeof w);
    w.magic = WORKER_MAGIC;
    w.program = &program;
    loop_init(&w.loop);
    acceptors_init(&w.acceptors, &w, 1000);
    got_count = 0;
    address =
        (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ck_assert(bind(listening, (struct sockaddr *)&address, len) == 0 &&
              listen(listening, 512) == 0);
    ck_assert(getsockname(listening, (struct sockaddr *)&address, &len) == 0);
    acceptors_add(&w.acceptors, 1, 0, false, fcntl(listening, F_DUPFD_CLOEXEC, 0), STR("here:80"));
}

static void end(void)
{
    acceptors_end(&w.acceptors);
    loop_end(&w.loop);
    close(listening);
    for (unsigned i = 0; i < got_count; i++)
        close(got[i]);
}

static int knock(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

START_TEST(test_what_knocks_is_handed_over_with_the_name_of_its_listener)
{
    knock();
    loop_turn(&w.loop, 0);
    ck_assert_uint_eq(got_count, 1);
    ck_assert(str_equal(got_listener, STR("here:80")) && !got_local);
    ck_assert_uint_eq(w.connections, 1);
}
END_TEST

/* Connections that stand are served between the handfuls. */
START_TEST(test_a_turn_takes_a_bounded_number_and_the_next_the_rest)
{
    for (int i = 0; i < 100; i++)
        knock();
    loop_turn(&w.loop, 0);
    ck_assert_uint_eq(got_count, 64);
    loop_turn(&w.loop, 0);
    ck_assert_uint_eq(got_count, 100);
}
END_TEST

START_TEST(test_at_the_maximum_nothing_is_accepted_until_one_is_let_go)
{
    w.acceptors.max_connections = 2;
    for (int i = 0; i < 4; i++)
        knock();
    loop_turn(&w.loop, 0);
    loop_turn(&w.loop, 0);
    ck_assert_uint_eq(got_count, 2);
    ck_assert(w.acceptors.paused);
    worker_let_go(&w);
    loop_turn(&w.loop, 0);
    ck_assert_uint_eq(got_count, 3);
    ck_assert_uint_eq(w.connections, 2);
}
END_TEST

/* An epoll that reports a socket which cannot be accepted from is the classic spin. */
START_TEST(test_without_descriptors_it_pauses_instead_of_spinning_and_goes_on_when_there_are_some)
{
    struct rlimit before, none;
    unsigned turns = 0;

    knock();
    ck_assert(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = (struct rlimit){ .rlim_cur = 3, .rlim_max = before.rlim_max };
    ck_assert(setrlimit(RLIMIT_NOFILE, &none) == 0);
    loop_turn(&w.loop, 0);
    ck_assert_uint_eq(got_count, 0);
    ck_assert(w.acceptors.paused);
    ck_assert_uint_eq(w.acceptors.pauses, 1);
    ck_assert(setrlimit(RLIMIT_NOFILE, &before) == 0);
    while (got_count == 0) { /* the timer wakes it: nobody tells us of others' descriptors */
        loop_turn(&w.loop, NS_PER_S);
        turns++;
    }
    ck_assert_uint_le(turns, 4);
}
END_TEST

/* The master closes its descriptor first; ours is the last, and what waits would be reset. */
START_TEST(test_the_last_one_empties_the_queue_before_it_closes)
{
    for (int i = 0; i < 100; i++)
        knock();
    acceptors_drop(&w.acceptors, 1, 0, true);
    ck_assert_uint_eq(got_count, 100);
    ck_assert(!acceptors_has(&w.acceptors, 1, 0));
    loop_turn(&w.loop, 0);
    ck_assert(str_equal(got_listener, STR("here:80"))); /* lives on with the connections */
}
END_TEST

START_TEST(test_one_that_stood_in_leaves_the_queue_to_the_other)
{
    knock();
    acceptors_drop(&w.acceptors, 1, 0, false);
    ck_assert_uint_eq(got_count, 0);
    loop_turn(&w.loop, 0);
    ck_assert_uint_eq(got_count, 0);
    acceptors_add(&w.acceptors, 1, 0, false, fcntl(listening, F_DUPFD_CLOEXEC, 0), STR("here:80"));
    loop_turn(&w.loop, 0);
    ck_assert_uint_eq(got_count, 1);
}
END_TEST

START_TEST(test_the_same_socket_given_twice_is_polled_once)
{
    int twice = fcntl(listening, F_DUPFD_CLOEXEC, 0);

    acceptors_add(&w.acceptors, 1, 0, false, twice, STR("here:80"));
    ck_assert_int_eq(fcntl(twice, F_GETFD), -1);
    ck_assert_int_eq(errno, EBADF);
}
END_TEST

START_TEST(test_a_connection_that_was_gone_again_is_no_reason_to_stop)
{
    struct linger reset = { .l_onoff = 1 };
    int gone = knock();

    ck_assert(setsockopt(gone, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
    close(gone);
    knock();
    loop_turn(&w.loop, 0);
    ck_assert_uint_ge(got_count, 1);
    ck_assert(!w.acceptors.paused);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("acceptor");
    TCase *t = tcase_create("acceptor");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, begin, end);
    tcase_set_timeout(t, 20);
    tcase_add_test(t, test_what_knocks_is_handed_over_with_the_name_of_its_listener);
    tcase_add_test(t, test_a_turn_takes_a_bounded_number_and_the_next_the_rest);
    tcase_add_test(t, test_at_the_maximum_nothing_is_accepted_until_one_is_let_go);
    tcase_add_test(
        t, test_without_descriptors_it_pauses_instead_of_spinning_and_goes_on_when_there_are_some);
    tcase_add_test(t, test_the_last_one_empties_the_queue_before_it_closes);
    tcase_add_test(t, test_one_that_stood_in_leaves_the_queue_to_the_other);
    tcase_add_test(t, test_the_same_socket_given_twice_is_polled_once);
    tcase_add_test(t, test_a_connection_that_was_gone_again_is_no_reason_to_stop);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
