/* A log that is slow, full or broken holds nobody up and spins nowhere. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/caretaker/sink.h"

#define NOW NS_PER_S

static void add(struct sink *s, const char *line)
{
    char *to = sink_room(s, strlen(line));

    ck_assert_ptr_nonnull(to);
    memcpy(to, line, strlen(line));
    sink_add(s, strlen(line));
}

static size_t read_all(int fd, char *to, size_t size)
{
    size_t len = 0;
    ssize_t n;

    while (len < size && (n = read(fd, to + len, size - len)) > 0)
        len += (size_t)n;
    return len;
}

/* A file without a name. */
static int new_file(void)
{
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_APPEND, 0600);

    ck_assert_int_ge(fd, 0);
    return fd;
}

static void pipe_of(int fds[2], int flags)
{
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    ck_assert_int_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    if (flags)
        ck_assert_int_eq(fcntl(fds[1], F_SETFL, flags), 0);
}

/* Fill the pipe from the other side of the sink. */
static void fill(int fd)
{
    static const char junk[4096];
    int flags = fcntl(fd, F_GETFL);

    ck_assert_int_eq(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
    while (write(fd, junk, sizeof junk) > 0)
        continue;
    ck_assert_int_eq(fcntl(fd, F_SETFL, flags), 0);
}

START_TEST(test_lines_reach_a_file_in_one_write)
{
    struct sink s;
    char text[64];
    int fd = new_file();

    sink_init(&s);
    sink_open(&s, fd);
    ck_assert_int_eq(s.way, SINK_PLAIN);
    add(&s, "one\n");
    add(&s, "two\n");
    ck_assert_int_eq(lseek(fd, 0, SEEK_END), 0);
    sink_flush(&s, NOW);
    ck_assert_int_eq(pread(fd, text, sizeof text, 0), 8);
    ck_assert_mem_eq(text, "one\ntwo\n", 8);
    ck_assert_uint_eq(s.lines, 2);
    ck_assert_uint_eq(sink_due(&s), UINT64_MAX);
    sink_end(&s, NOW);
    close(fd);
}
END_TEST

/* Blocking pipes (a standard output that others share) and non-blocking ones (a log opened by the master). */
START_TEST(test_a_full_pipe_is_tried_again_and_loses_nothing)
{
    struct sink s;
    int fds[2];
    char text[256 * 1024];
    size_t len;

    pipe_of(fds, _i ? O_NONBLOCK : 0);
    sink_init(&s);
    sink_open(&s, fds[1]);
    ck_assert_int_eq(s.way, _i ? SINK_PLAIN : SINK_CAREFUL);
    ck_assert_int_eq(fcntl(fds[1], F_GETFL) & O_NONBLOCK, _i ? O_NONBLOCK : 0);
    fill(fds[1]);
    add(&s, "one\n");
    sink_flush(&s, NOW);
    ck_assert_uint_eq(sink_waiting(&s), 4);
    ck_assert_uint_gt(sink_due(&s), NOW);
    ck_assert_int_eq(s.error, 0);
    len = read_all(fds[0], text, sizeof text);
    ck_assert_uint_gt(len, 0);
    sink_flush(&s, NOW); /* too early: not even tried */
    ck_assert_uint_eq(sink_waiting(&s), 4);
    sink_flush(&s, sink_due(&s));
    ck_assert_uint_eq(sink_waiting(&s), 0);
    ck_assert_uint_eq(read_all(fds[0], text, sizeof text), 4);
    ck_assert_mem_eq(text, "one\n", 4);
    sink_end(&s, NOW);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

/* Others write to the same pipe: a line must arrive in one piece if it can. */
START_TEST(test_a_shared_pipe_is_given_whole_lines)
{
    struct sink s;
    int fds[2];
    char line[1001], text[8192];
    ssize_t n;

    memset(line, 'x', 999);
    line[999] = '\n';
    line[1000] = '\0';
    pipe_of(fds, 0);
    ck_assert_int_eq(fcntl(fds[1], F_SETPIPE_SZ, 4096), 4096);
    sink_init(&s);
    sink_open(&s, fds[1]);
    for (int i = 0; i < 10; i++)
        add(&s, line);
    sink_flush(&s, NOW);
    for (int got = 0; got < 10;) {
        n = read(fds[0], text, sizeof text);
        ck_assert_int_gt(n, 0);
        ck_assert_int_eq(n % 1000, 0);
        got += (int)(n / 1000);
        if (sink_waiting(&s))
            sink_flush(&s, sink_due(&s));
    }
    ck_assert_uint_eq(sink_waiting(&s), 0);
    sink_end(&s, NOW);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

START_TEST(test_pauses_grow_and_a_reader_that_never_reads_makes_it_stuck)
{
    struct sink s;
    int fds[2];
    uint64_t now = NOW, tries = 0;

    pipe_of(fds, O_NONBLOCK);
    fill(fds[1]);
    sink_init(&s);
    sink_open(&s, fds[1]);
    add(&s, "one\n");
    for (sink_flush(&s, now); !s.stuck; sink_flush(&s, now)) {
        ck_assert_uint_gt(sink_due(&s), now);
        now = sink_due(&s);
        tries++;
    }
    ck_assert_uint_le(now - NOW, 2 * SINK_PATIENCE_NS);
    ck_assert_uint_le(tries, 20);
    ck_assert_uint_eq(sink_waiting(&s), 0);
    sink_end(&s, now);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

START_TEST(test_a_full_disk_is_stuck_at_once_and_asked_once_a_second)
{
    struct sink s;
    int full = open("/dev/full", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    int fd = new_file();

    sink_init(&s);
    sink_open(&s, full);
    add(&s, "one\n");
    for (uint64_t t = 0; t < 3 * NS_PER_S; t += NS_PER_MS)
        sink_flush(&s, NOW + t);
    ck_assert(s.stuck);
    ck_assert_int_eq(s.error, ENOSPC);
    ck_assert_uint_eq(s.failures, 3);
    /* room was made */
    sink_open(&s, fd);
    ck_assert(!s.stuck);
    sink_flush(&s, NOW);
    ck_assert_int_eq(lseek(fd, 0, SEEK_END), 4);
    sink_end(&s, NOW);
    close(full);
    close(fd);
}
END_TEST

START_TEST(test_a_buffer_that_is_full_has_no_room)
{
    struct sink s;
    char line[1001];

    memset(line, 'x', 999);
    line[999] = '\n';
    line[1000] = '\0';
    sink_init(&s);
    sink_open(&s, -1);
    for (size_t i = 0; i < SINK_BYTES / 1000; i++)
        add(&s, line);
    ck_assert_ptr_null(sink_room(&s, 1000));
    sink_drop(&s);
    sink_flush(&s, NOW);
    ck_assert_ptr_null(sink_room(&s, 1000));
    ck_assert_uint_eq(s.dropped, 1);
    sink_end(&s, NOW);
}
END_TEST

/* Rotation in the middle of a line: the new file must not begin with the rest of it. */
START_TEST(test_a_torn_line_does_not_go_on_in_another_file)
{
    struct sink s;
    int fds[2], fd = new_file();
    char line[3001], text[64];

    memset(line, 'x', 2999);
    line[2999] = '\n';
    line[3000] = '\0';
    pipe_of(fds, O_NONBLOCK);
    ck_assert_int_eq(fcntl(fds[1], F_SETPIPE_SZ, 4096), 4096);
    sink_init(&s);
    sink_open(&s, fds[1]);
    add(&s, line);
    add(&s, line);
    add(&s, line);
    add(&s, "last\n");
    sink_flush(&s, NOW); /* more than PIPE_BUF: a part is taken */
    ck_assert(s.torn);
    sink_open(&s, fd);
    sink_flush(&s, NOW);
    ck_assert_int_eq(pread(fd, text, 5, lseek(fd, 0, SEEK_END) - 5), 5);
    ck_assert_mem_eq(text, "last\n", 5);
    ck_assert_int_eq(lseek(fd, 0, SEEK_END) % 3000, 5);
    ck_assert_uint_eq(s.lines, 3);
    ck_assert_uint_eq(s.dropped, 1);
    sink_end(&s, NOW);
    close(fds[0]);
    close(fds[1]);
    close(fd);
}
END_TEST

START_TEST(test_a_socket_is_not_made_non_blocking_and_does_not_block)
{
    struct sink s;
    int fds[2];
    char line[1001];

    memset(line, 'x', 999);
    line[999] = '\n';
    line[1000] = '\0';
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    sink_init(&s);
    sink_open(&s, fds[1]);
    for (int n = 0; n < 10000 && sink_room(&s, 1000); n++) {
        add(&s, line);
        sink_flush(&s, NOW);
    }
    ck_assert_ptr_null(sink_room(&s, 1000)); /* the peer does not read, and we are still here */
    ck_assert_int_eq(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
    close(fds[0]);
    sink_flush(&s, sink_due(&s)); /* EPIPE, no signal */
    ck_assert(s.stuck);
    sink_end(&s, NOW);
    close(fds[1]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sink");
    TCase *c = tcase_create("sink");
    SRunner *r;
    int failed;

    tcase_add_test(c, test_lines_reach_a_file_in_one_write);
    tcase_add_loop_test(c, test_a_full_pipe_is_tried_again_and_loses_nothing, 0, 2);
    tcase_add_test(c, test_a_shared_pipe_is_given_whole_lines);
    tcase_add_test(c, test_pauses_grow_and_a_reader_that_never_reads_makes_it_stuck);
    tcase_add_test(c, test_a_full_disk_is_stuck_at_once_and_asked_once_a_second);
    tcase_add_test(c, test_a_buffer_that_is_full_has_no_room);
    tcase_add_test(c, test_a_torn_line_does_not_go_on_in_another_file);
    tcase_add_test(c, test_a_socket_is_not_made_non_blocking_and_does_not_block);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
