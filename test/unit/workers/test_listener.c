/* The master's listening sockets. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "gateway/base/log.h"
#include "workers/listener.h"

static struct listeners all;
static char dir[64];

static void begin(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    listeners_init(&all);
    snprintf(dir, sizeof dir, "/tmp/sluice-listen-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void end(void)
{
    listeners_end(&all, false);
    ck_assert_int_eq(rmdir(dir), 0); /* no file is left */
}

static struct listen_address at(const char *text)
{
    return (struct listen_address){ .address = str_from(text) };
}

static struct listener *first(void)
{
    return CONTAINER(list_first(&all.list), struct listener, node);
}

static unsigned port_of(int fd)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;

    ck_assert(getsockname(fd, (struct sockaddr *)&sa, &len) == 0);
    return ntohs(sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&sa)->sin6_port
                                          : ((struct sockaddr_in *)&sa)->sin_port);
}

static bool answers(unsigned port)
{
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = connect(fd, (struct sockaddr *)&in, sizeof in) == 0;

    close(fd);
    return ok;
}

/* ---- addresses ---- */

static const struct {
    const char *text;
    int family;
    unsigned port;
    const char *host;
} good[] = {
    { "8080", AF_INET6, 8080, "::" },           { ":8080", AF_INET6, 8080, "::" },
    { "*:8080", AF_INET6, 8080, "::" },         { "0.0.0.0:80", AF_INET, 80, "0.0.0.0" },
    { "127.0.0.1:0", AF_INET, 0, "127.0.0.1" }, { "[::1]:65535", AF_INET6, 65535, "::1" },
    { "[::]:443", AF_INET6, 443, "::" },        { "localhost:1", AF_INET, 1, "127.0.0.1" },
};

START_TEST(test_an_address_is_a_port_or_an_ip_and_a_port)
{
    struct sockaddr_storage sa;
    char host[INET6_ADDRSTRLEN];
    socklen_t len;
    const void *ip;

    ck_assert_ptr_null(listen_address_read(str_from(good[_i].text), &sa, &len));
    ck_assert_int_eq(sa.ss_family, good[_i].family);
    ip = sa.ss_family == AF_INET6 ? (const void *)&((struct sockaddr_in6 *)&sa)->sin6_addr
                                  : (const void *)&((struct sockaddr_in *)&sa)->sin_addr;
    ck_assert_str_eq(inet_ntop(sa.ss_family, ip, host, sizeof host), good[_i].host);
    ck_assert_uint_eq(ntohs(((struct sockaddr_in *)&sa)->sin_port), good[_i].port);
}
END_TEST

static const char *const bad[] = {
    "",
    ":",
    "x",
    "65536",
    "-1",
    ":80x",
    "::1:80",
    "1.2.3:x",
    "example.com:80",
    "256.0.0.1:80",
    "[::1:80",
    "unix:",
    " 80",
    "127.0.0.1",
    "[]:80",
    "unix:/a/path/that/is/longer/than/what/fits/into/the/address/of/a/unix/socket/since/that/has/"
    "only/one/hundred/and/seven/bytes",
};

START_TEST(test_what_is_no_address_is_refused_with_a_reason)
{
    struct sockaddr_storage sa;
    socklen_t len;

    ck_assert_msg(listen_address_read(str_from(bad[_i]), &sa, &len), "%s", bad[_i]);
}
END_TEST

/* ---- sockets ---- */

START_TEST(test_there_is_a_socket_for_each_slot_on_one_port)
{
    struct listen_address a = at("127.0.0.1:0");

    ck_assert(listeners_bind(&all, &a, 1, 3));
    ck_assert_uint_eq(first()->count, 3);
    ck_assert_uint_ne(port_of(first()->fds[0]), 0);
    ck_assert_uint_eq(port_of(first()->fds[0]), port_of(first()->fds[1]));
    ck_assert_uint_eq(port_of(first()->fds[0]), port_of(first()->fds[2]));
}
END_TEST

START_TEST(test_nothing_answers_before_it_listens)
{
    struct listen_address a = at("127.0.0.1:0");
    unsigned port;

    ck_assert(listeners_bind(&all, &a, 1, 2));
    port = port_of(first()->fds[0]);
    ck_assert(!answers(port));
    ck_assert(listeners_listen(&all, &a, 1));
    ck_assert(answers(port));
}
END_TEST

START_TEST(test_accepted_sockets_have_no_delay)
{
    struct listen_address a = at("127.0.0.1:0");
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd, on = 0;

    ck_assert(listeners_bind(&all, &a, 1, 1) && listeners_listen(&all, &a, 1));
    ck_assert(getsockname(first()->fds[0], (struct sockaddr *)&sa, &len) == 0);
    ck_assert(connect(client, (struct sockaddr *)&sa, len) == 0);
    fd = accept(first()->fds[0], NULL, NULL);
    len = sizeof on;
    ck_assert(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len) == 0 && on != 0);
    close(fd);
    close(client);
}
END_TEST

START_TEST(test_accepted_sockets_let_the_answer_acknowledge_the_request)
{
    struct listen_address a = at("127.0.0.1:0");
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd, at_once = 1;

    ck_assert(listeners_bind(&all, &a, 1, 1) && listeners_listen(&all, &a, 1));
    a.backlog += 7; /* a longer queue is another listen(2) */
    ck_assert(listeners_bind(&all, &a, 1, 1) && listeners_listen(&all, &a, 1));
    ck_assert(getsockname(first()->fds[0], (struct sockaddr *)&sa, &len) == 0);
    ck_assert(connect(client, (struct sockaddr *)&sa, len) == 0);
    fd = accept(first()->fds[0], NULL, NULL);
    len = sizeof at_once;
    ck_assert(getsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &at_once, &len) == 0);
    ck_assert_int_eq(at_once, 0);
    close(fd);
    close(client);
}
END_TEST

START_TEST(test_all_addresses_means_ipv4_too)
{
    struct listen_address a = at("0");

    ck_assert(listeners_bind(&all, &a, 1, 1) && listeners_listen(&all, &a, 1));
    ck_assert(answers(port_of(first()->fds[0])));
}
END_TEST

/* What has listened goes on, what was new is closed, and what was not wanted is wanted again. */
START_TEST(test_undo_leaves_everything_as_it_was)
{
    struct listen_address old = at("127.0.0.1:0"), next[2];
    char taken[32];
    unsigned port;

    ck_assert(listeners_bind(&all, &old, 1, 1) && listeners_listen(&all, &old, 1));
    port = port_of(first()->fds[0]);
    snprintf(taken, sizeof taken, "127.0.0.1:%u", port); /* the same under another name: in use */
    next[0] = at("127.0.0.2:0");
    next[1] = at(taken);
    ck_assert(!listeners_bind(&all, next, 2, 4));
    ck_assert_ptr_eq(first()->node.next, &all.list.head);
    ck_assert_uint_eq(first()->count, 1);
    ck_assert(first()->wanted && answers(port));
    ck_assert(listeners_bind(&all, &old, 1, 4));
    ck_assert_uint_eq(first()->count, 4);
    listeners_undo(&all);
    ck_assert_uint_eq(first()->count, 1);
    ck_assert(answers(port));
}
END_TEST

START_TEST(test_what_is_not_named_any_more_is_not_wanted_and_sockets_are_only_added)
{
    struct listen_address a[2] = { at("127.0.0.1:0"), at("127.0.0.2:0") };
    uint32_t id;

    ck_assert(listeners_bind(&all, a, 2, 3) && listeners_listen(&all, a, 2));
    id = first()->id;
    ck_assert(listeners_bind(&all, a, 1, 1) && listeners_listen(&all, a, 1));
    ck_assert(first()->wanted && first()->id == id);
    ck_assert_uint_eq(first()->count, 3);
    ck_assert(!CONTAINER(first()->node.next, struct listener, node)->wanted);
}
END_TEST

START_TEST(test_an_address_listed_twice_is_refused)
{
    struct listen_address a[2] = { at("127.0.0.1:0"), at("127.0.0.1:0") };

    ck_assert(!listeners_bind(&all, a, 2, 1));
    ck_assert(list_is_empty(&all.list));
}
END_TEST

/* SO_REUSEPORT would let a second gateway of the same user in beside us, to take half of the connections. */
START_TEST(test_another_gateway_on_our_port_is_refused)
{
    struct listen_address a = at("127.0.0.1:0"), same;
    struct listeners other;
    char text[32];

    ck_assert(listeners_bind(&all, &a, 1, 2) && listeners_listen(&all, &a, 1));
    snprintf(text, sizeof text, "127.0.0.1:%u", port_of(first()->fds[0]));
    same = at(text);
    listeners_init(&other);
    ck_assert(!listeners_bind(&other, &same, 1, 2));
    listeners_end(&other, false);
}
END_TEST

/* ---- Unix sockets ---- */

static char unix_path[128];

static struct listen_address unix_at(void)
{
    snprintf(unix_path, sizeof unix_path, "unix:%s/s", dir);
    return at(unix_path);
}

START_TEST(test_a_unix_socket_is_one_for_all_slots_with_the_asked_mode)
{
    struct listen_address a = unix_at();
    struct stat st;

    a.unix_mode = 0600;
    ck_assert(listeners_bind(&all, &a, 1, 4));
    ck_assert_uint_eq(first()->count, 1);
    ck_assert(stat(unix_path + 5, &st) == 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(test_a_file_left_by_a_crash_is_replaced)
{
    struct listen_address a = unix_at();

    ck_assert(listeners_bind(&all, &a, 1, 1) && listeners_listen(&all, &a, 1));
    listeners_end(&all, true); /* the file stays, as after a crash */
    ck_assert_int_eq(access(unix_path + 5, F_OK), 0);
    ck_assert(listeners_bind(&all, &a, 1, 1));
}
END_TEST

START_TEST(test_a_unix_socket_that_somebody_listens_on_is_not_taken)
{
    struct listen_address a = unix_at();
    struct listeners other;

    ck_assert(listeners_bind(&all, &a, 1, 1) && listeners_listen(&all, &a, 1));
    listeners_init(&other);
    ck_assert(!listeners_bind(&other, &a, 1, 1));
    ck_assert_int_eq(access(unix_path + 5, F_OK), 0);
}
END_TEST

START_TEST(test_a_file_that_is_no_socket_is_never_removed)
{
    struct listen_address a = unix_at();
    FILE *f = fopen(unix_path + 5, "w");

    ck_assert_ptr_nonnull(f);
    fclose(f);
    ck_assert(!listeners_bind(&all, &a, 1, 1));
    ck_assert_int_eq(unlink(unix_path + 5), 0);
}
END_TEST

START_TEST(test_a_file_that_another_has_put_in_our_place_stays)
{
    struct listen_address a = unix_at();
    FILE *f;

    ck_assert(listeners_bind(&all, &a, 1, 1) && listeners_listen(&all, &a, 1));
    ck_assert_int_eq(unlink(unix_path + 5), 0);
    f = fopen(unix_path + 5, "w");
    ck_assert_ptr_nonnull(f);
    fclose(f);
    listener_close(first());
    ck_assert_int_eq(unlink(unix_path + 5), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("listener");
    TCase *t = tcase_create("listener");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, begin, end);
    tcase_add_loop_test(t, test_an_address_is_a_port_or_an_ip_and_a_port, 0, ARRAY_LEN(good));
    tcase_add_loop_test(t, test_what_is_no_address_is_refused_with_a_reason, 0, ARRAY_LEN(bad));
    tcase_add_test(t, test_there_is_a_socket_for_each_slot_on_one_port);
    tcase_add_test(t, test_nothing_answers_before_it_listens);
    tcase_add_test(t, test_accepted_sockets_have_no_delay);
    tcase_add_test(t, test_accepted_sockets_let_the_answer_acknowledge_the_request);
    tcase_add_test(t, test_all_addresses_means_ipv4_too);
    tcase_add_test(t, test_undo_leaves_everything_as_it_was);
    tcase_add_test(t, test_what_is_not_named_any_more_is_not_wanted_and_sockets_are_only_added);
    tcase_add_test(t, test_an_address_listed_twice_is_refused);
    tcase_add_test(t, test_another_gateway_on_our_port_is_refused);
    tcase_add_test(t, test_a_unix_socket_is_one_for_all_slots_with_the_asked_mode);
    tcase_add_test(t, test_a_file_left_by_a_crash_is_replaced);
    tcase_add_test(t, test_a_unix_socket_that_somebody_listens_on_is_not_taken);
    tcase_add_test(t, test_a_file_that_is_no_socket_is_never_removed);
    tcase_add_test(t, test_a_file_that_another_has_put_in_our_place_stays);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
