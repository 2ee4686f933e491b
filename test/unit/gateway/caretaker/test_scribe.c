/* What workers put into their rings stands in the logs, once, in order. */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/number.h"
#include "gateway/caretaker/scribe.h"
#include "gateway/exchange/record.h"

#define NOW NS_PER_S

/* A region with two workers, and a table of what "files" are. */
struct stage {
    struct region *region;
    struct shared *shared;
    struct scribe scribe;
    struct {
        const char *path;
        int fd;
    } files[4];
};

static int descriptor(void *owner, struct str path)
{
    const struct stage *s = owner;

    for (size_t i = 0; i < ARRAY_LEN(s->files); i++)
        if (s->files[i].path && str_equal(str_from(s->files[i].path), path))
            return s->files[i].fd;
    return -1;
}

static int new_file(void)
{
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_APPEND, 0600);

    ck_assert_int_ge(fd, 0);
    return fd;
}

static void begin(struct stage *s)
{
    static const uint64_t buckets[] = { 1000000 };
    struct conf_globals g = {
        .metrics = { .max_series = 100, .buckets = { (void *)(uintptr_t)buckets, 1 } },
        .shared_memory = { .limits = { .size = 1 << 20 }, .metrics = { .size = 1 << 20 } }
    };
    struct seats_shared *seats;

    *s = (struct stage){ .region = region_new(0) };
    region_begin(s->region);
    seats = seats_table(s->region);
    ck_assert_ptr_nonnull(seats);
    s->shared = shared_open(s->region, &g);
    ck_assert_ptr_nonnull(s->shared);
    region_commit(s->region);
    ck_assert_uint_eq(seats_claim(seats, 100, SEAT_WORKER, 0, 1, 1), 0);
    ck_assert_uint_eq(seats_claim(seats, 101, SEAT_WORKER, 1, 1, 1), 1);
    scribe_init(&s->scribe, s->shared, descriptor, s);
}

static void end(struct stage *s)
{
    scribe_end(&s->scribe, NOW);
    for (size_t i = 0; i < ARRAY_LEN(s->files); i++)
        if (s->files[i].path)
            close(s->files[i].fd);
    shared_close(s->shared);
    region_close(s->region);
}

static void configure(struct stage *s, size_t count, const char *const *paths)
{
    struct conf_access access[SCRIBE_LOGS_MAX];
    struct conf_logging logging = { .access = { access, count } };

    for (size_t i = 0; i < count; i++)
        access[i] = (struct conf_access){ .to = { CONF_SINK_FILE, str_from(paths[i]) },
                                          .fields = UINT64_C(1) << CONF_ACCESS_PATH };
    scribe_configure(&s->scribe, &logging, NOW);
}

/* A worker ends a request. False: its ring is full. */
static bool put(struct stage *s, uint32_t seat, const char *path)
{
    struct record_line line = { .texts[RECORD_PATH] = str_from(path) };
    char bytes[RECORD_BYTES_MAX];
    bool half;

    return ring_put(&s->shared->rings[seat], bytes, (uint32_t)record_encode(bytes, &line), &half);
}

static const char *written(int fd)
{
    static char text[1 << 20];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);

    ck_assert_int_ge(n, 0);
    text[n] = '\0';
    return text;
}

static const char *const one_path[] = { "/one" };
static const char *const both_paths[] = { "/one", "/two" };

START_TEST(test_records_of_all_workers_are_written)
{
    struct stage s;

    begin(&s);
    s.files[0].path = "/one";
    s.files[0].fd = new_file();
    configure(&s, 1, one_path);
    ck_assert_int_eq(scribe_drain(&s.scribe, NOW), SCRIBE_IDLE);
    ck_assert(put(&s, 0, "/a") && put(&s, 0, "/b") && put(&s, 1, "/c"));
    ck_assert_uint_gt(scribe_unfinished(&s.scribe), 0);
    ck_assert_int_eq(scribe_drain(&s.scribe, NOW), SCRIBE_BUSY);
    ck_assert_str_eq(written(s.files[0].fd),
                     "{\"path\":\"/a\"}\n{\"path\":\"/b\"}\n{\"path\":\"/c\"}\n");
    ck_assert_uint_eq(scribe_unfinished(&s.scribe), 0);
    ck_assert_int_eq(scribe_drain(&s.scribe, NOW), SCRIBE_IDLE);
    ck_assert_uint_eq(word_peek(&s.shared->logs[LOG_LINES]), 3);
    end(&s);
}
END_TEST

static void put_ended(struct stage *s, uint32_t seat, const char *path, uint64_t wall_ns,
                      uint64_t latency_ns)
{
    struct record_line line = { .numbers = { .wall_ns = wall_ns, .latency_ns = latency_ns },
                                .texts[RECORD_PATH] = str_from(path) };
    char bytes[RECORD_BYTES_MAX];
    bool half;

    ck_assert(
        ring_put(&s->shared->rings[seat], bytes, (uint32_t)record_encode(bytes, &line), &half));
}

START_TEST(test_lines_stand_in_the_order_in_which_requests_ended)
{
    struct stage s;

    begin(&s);
    s.files[0].path = "/one";
    s.files[0].fd = new_file();
    configure(&s, 1, one_path);
    put_ended(&s, 0, "/2", 1, 19); /* began first, ended second */
    put_ended(&s, 0, "/4", 30, 10);
    put_ended(&s, 1, "/1", 5, 5);
    put_ended(&s, 1, "/3", 25, 5);
    put_ended(&s, 1, "/5", 45, 5);
    scribe_drain(&s.scribe, NOW);
    ck_assert_str_eq(written(s.files[0].fd),
                     "{\"path\":\"/1\"}\n{\"path\":\"/2\"}\n{\"path\":\"/3\"}\n"
                     "{\"path\":\"/4\"}\n{\"path\":\"/5\"}\n");
    end(&s);
}
END_TEST

/* What no writer of ours wrote is passed over, and what follows is not lost. */
START_TEST(test_records_of_another_layout_are_passed_over)
{
    struct stage s;
    bool half;

    begin(&s);
    s.files[0].path = "/one";
    s.files[0].fd = new_file();
    configure(&s, 1, one_path);
    ck_assert(ring_put(&s.shared->rings[0], "not a record", 12, &half));
    ck_assert(put(&s, 0, "/a"));
    ck_assert(ring_put(&s.shared->rings[0], "nor is this", 11, &half));
    scribe_drain(&s.scribe, NOW);
    ck_assert_str_eq(written(s.files[0].fd), "{\"path\":\"/a\"}\n");
    ck_assert_uint_eq(scribe_unfinished(&s.scribe), 0);
    end(&s);
}
END_TEST

START_TEST(test_a_broken_ring_is_read_again_from_its_end)
{
    struct stage s;
    struct ring *ring;
    static const uint32_t nonsense = 3 << 20;

    begin(&s);
    s.files[0].path = "/one";
    s.files[0].fd = new_file();
    configure(&s, 1, one_path);
    ring = &s.shared->rings[0];
    ck_assert(put(&s, 0, "/lost"));
    memcpy(ring->bytes, &nonsense, sizeof nonsense);
    scribe_drain(&s.scribe, NOW);
    ck_assert_uint_eq(word_peek(&ring->broken), 1);
    ck_assert_uint_eq(ring_waiting(ring), 0);
    ck_assert(put(&s, 0, "/a"));
    scribe_drain(&s.scribe, NOW);
    ck_assert_str_eq(written(s.files[0].fd), "{\"path\":\"/a\"}\n");
    end(&s);
}
END_TEST

START_TEST(test_a_successor_goes_on_where_the_ring_stands)
{
    struct stage s;

    begin(&s);
    s.files[0].path = "/one";
    s.files[0].fd = new_file();
    configure(&s, 1, one_path);
    ck_assert(put(&s, 0, "/a"));
    scribe_drain(&s.scribe, NOW);
    scribe_end(&s.scribe, NOW);
    ck_assert(put(&s, 0, "/b"));
    scribe_init(&s.scribe, s.shared, descriptor, &s);
    configure(&s, 1, one_path);
    scribe_drain(&s.scribe, NOW);
    ck_assert_str_eq(written(s.files[0].fd), "{\"path\":\"/a\"}\n{\"path\":\"/b\"}\n");
    ck_assert_uint_eq(word_peek(&s.shared->logs[LOG_LINES]), 2);
    end(&s);
}
END_TEST

START_TEST(test_a_log_that_takes_nothing_does_not_stop_the_others)
{
    struct stage s;
    char path[200];
    size_t lines = 0;

    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    begin(&s);
    s.files[0].path = "/one";
    s.files[0].fd = new_file();
    s.files[1].path = "/two";
    s.files[1].fd = open("/dev/full", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    configure(&s, 2, both_paths);
    for (int i = 0; i < 2000; i++) {
        ck_assert(put(&s, 0, path));
        if (i % 100 == 0)
            scribe_drain(&s.scribe, NOW);
    }
    ck_assert_int_eq(scribe_drain(&s.scribe, NOW), SCRIBE_BUSY);
    for (const char *at = written(s.files[0].fd); *at; at++)
        lines += *at == '\n';
    ck_assert_uint_eq(lines, 2000);
    ck_assert_uint_gt(word_peek(&s.shared->logs[LOG_DROPPED]), 1000);
    ck_assert_uint_eq(word_peek(&s.shared->logs[LOG_FAILURES]), 1);
    ck_assert_uint_eq(word_peek(&s.shared->logs[LOG_STUCK]), 1);
    ck_assert_uint_eq(scribe_unfinished(&s.scribe), 0);
    end(&s);
}
END_TEST

/* A reader that is a little behind: nothing is lost, the records wait in their ring. */
START_TEST(test_a_slow_log_holds_the_scribe_back_and_loses_nothing)
{
    struct stage s;
    char path[200], text[4096];
    size_t lines = 0;
    uint64_t now = NOW;
    int fds[2];

    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    begin(&s);
    s.files[0].path = "/one";
    s.files[0].fd = fds[1];
    configure(&s, 1, one_path);
    for (int i = 0; i < 2000; i++)
        ck_assert(put(&s, 0, path));
    ck_assert_int_eq(scribe_drain(&s.scribe, now), SCRIBE_MORE);
    while (lines < 2000) {
        ssize_t n = read(fds[0], text, sizeof text);

        for (ssize_t i = 0; i < n; i++)
            lines += text[i] == '\n';
        if (n > 0)
            continue;
        now = scribe_due(&s.scribe);
        ck_assert_uint_le(now, NOW + 100 * NS_PER_S);
        scribe_drain(&s.scribe, now);
    }
    ck_assert_uint_eq(word_peek(&s.shared->logs[LOG_DROPPED]), 0);
    ck_assert_uint_eq(scribe_unfinished(&s.scribe), 0);
    close(fds[0]);
    end(&s);
}
END_TEST

START_TEST(test_a_reload_may_add_and_take_away_logs)
{
    struct stage s;

    begin(&s);
    s.files[0].path = "/one";
    s.files[0].fd = new_file();
    s.files[1].path = "/two";
    s.files[1].fd = new_file();
    configure(&s, 1, one_path);
    ck_assert(put(&s, 0, "/a"));
    scribe_drain(&s.scribe, NOW);
    configure(&s, 2, both_paths);
    ck_assert(put(&s, 0, "/b"));
    scribe_drain(&s.scribe, NOW);
    configure(&s, 1, both_paths + 1);
    ck_assert(put(&s, 0, "/c"));
    scribe_drain(&s.scribe, NOW);
    configure(&s, 0, NULL);
    ck_assert(put(&s, 0, "/d"));
    scribe_drain(&s.scribe, NOW);
    ck_assert_str_eq(written(s.files[0].fd), "{\"path\":\"/a\"}\n{\"path\":\"/b\"}\n");
    ck_assert_str_eq(written(s.files[1].fd), "{\"path\":\"/b\"}\n{\"path\":\"/c\"}\n");
    ck_assert_uint_eq(scribe_unfinished(&s.scribe), 0);
    end(&s);
}
END_TEST

START_TEST(test_reopened_files_are_written_from_then_on)
{
    struct stage s;
    int old = new_file();

    begin(&s);
    s.files[0].path = "/one";
    s.files[0].fd = old;
    configure(&s, 1, one_path);
    ck_assert(put(&s, 0, "/a"));
    scribe_drain(&s.scribe, NOW);
    s.files[0].fd = new_file();
    scribe_reopen(&s.scribe, NOW);
    ck_assert(put(&s, 0, "/b"));
    scribe_drain(&s.scribe, NOW);
    ck_assert_str_eq(written(old), "{\"path\":\"/a\"}\n");
    ck_assert_str_eq(written(s.files[0].fd), "{\"path\":\"/b\"}\n");
    close(old);
    end(&s);
}
END_TEST

/* The master opens a log and sends it; the configuration may be here first. */
START_TEST(test_lines_wait_for_a_descriptor_that_is_on_its_way)
{
    struct stage s;

    begin(&s);
    configure(&s, 1, one_path);
    ck_assert(put(&s, 0, "/a"));
    scribe_drain(&s.scribe, NOW);
    s.files[0].path = "/one";
    s.files[0].fd = new_file();
    scribe_reopen(&s.scribe, NOW);
    ck_assert_str_eq(written(s.files[0].fd), "{\"path\":\"/a\"}\n");
    end(&s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("scribe");
    TCase *c = tcase_create("scribe");
    SRunner *r;
    int failed;

    tcase_add_test(c, test_records_of_all_workers_are_written);
    tcase_add_test(c, test_lines_stand_in_the_order_in_which_requests_ended);
    tcase_add_test(c, test_records_of_another_layout_are_passed_over);
    tcase_add_test(c, test_a_broken_ring_is_read_again_from_its_end);
    tcase_add_test(c, test_a_successor_goes_on_where_the_ring_stands);
    tcase_add_test(c, test_a_log_that_takes_nothing_does_not_stop_the_others);
    tcase_add_test(c, test_a_slow_log_holds_the_scribe_back_and_loses_nothing);
    tcase_add_test(c, test_a_reload_may_add_and_take_away_logs);
    tcase_add_test(c, test_reopened_files_are_written_from_then_on);
    tcase_add_test(c, test_lines_wait_for_a_descriptor_that_is_on_its_way);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
