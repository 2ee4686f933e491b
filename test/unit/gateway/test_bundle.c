/* What the master writes down is what a worker reads, and nothing else is taken for it. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gateway/bundle.h"

/* In the place of the system's: "here" has an address, "gone" has none, and of "away" nobody tells. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **to)
{
    static struct sockaddr_in sa = { .sin_family = AF_INET };
    static struct addrinfo found = { .ai_addr = (struct sockaddr *)&sa };

    (void)service;
    (void)hints;
    if (strcmp(host, "away") == 0)
        return EAI_AGAIN;
    if (strcmp(host, "here") != 0)
        return EAI_NONAME;
    *to = &found;
    return 0;
}

void freeaddrinfo(struct addrinfo *a)
{
    (void)a;
}

static struct str value_of(const struct bundle *b, enum bundle_kind kind, const char *name)
{
    struct str value = STR("nothing");

    return bundle_get(b, kind, str_from(name), &value) ? value : STR("nothing");
}

static int file_of(struct str bytes)
{
    int fd = memfd_create("test", MFD_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes.at, bytes.len), (ssize_t)bytes.len);
    return fd;
}

/* A bundle with something of each kind, as bytes. */
static struct str a_bundle(char *room, size_t size)
{
    struct bundle *b = bundle_new();
    ssize_t n;
    int fd;

    bundle_put(b, BUNDLE_CONFIG, STR("/etc/config.yaml"), STR("port: 80"));
    bundle_put(b, BUNDLE_ENV, STR("SECRET"), STR("s3cret"));
    bundle_put(b, BUNDLE_ADDRESSES, STR("a.example"), STR_NONE);
    fd = bundle_seal(b);
    ck_assert_int_ge(fd, 0);
    n = pread(fd, room, size, 0);
    ck_assert_int_gt(n, 0);
    close(fd);
    bundle_free(b);
    return str_of(room, (size_t)n);
}

START_TEST(test_what_is_put_is_got_by_kind_and_name)
{
    struct bundle *b = bundle_new();
    struct str name, value;

    ck_assert(!bundle_first(b, BUNDLE_CONFIG, &name, &value));
    bundle_put(b, BUNDLE_ENV, STR("A"), STR("of the environment"));
    bundle_put(b, BUNDLE_ENV_FILE, STR("A"), STR("of a file"));
    bundle_put(b, BUNDLE_ENV, STR(""), STR("no name"));
    bundle_put(b, BUNDLE_ENV, STR("A"), STR("the first stays"));
    ck_assert(str_equal(value_of(b, BUNDLE_ENV, "A"), STR("of the environment")));
    ck_assert(str_equal(value_of(b, BUNDLE_ENV_FILE, "A"), STR("of a file")));
    ck_assert(str_equal(value_of(b, BUNDLE_ENV, ""), STR("no name")));
    ck_assert(str_equal(value_of(b, BUNDLE_ADDRESSES, "A"), STR("nothing")));
    ck_assert(bundle_first(b, BUNDLE_ENV_FILE, &name, &value));
    ck_assert(str_equal(value, STR("of a file")));
    bundle_free(b);
}
END_TEST

START_TEST(test_a_sealed_bundle_reads_the_same_elsewhere_and_nobody_changes_it)
{
    struct bundle *b = bundle_new(), *copy;
    char text[300];
    int fd;

    for (int i = 0; i < 300; i++) { /* lengths of all paddings */
        memset(text, 'a' + i % 26, sizeof text);
        bundle_put(b, BUNDLE_ENV_FILE, str_of(text, (size_t)i), str_of(text, (size_t)(299 - i)));
    }
    fd = bundle_seal(b);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_lt(write(fd, "x", 1), 0);
    ck_assert_int_lt(ftruncate(fd, 10), 0);
    copy = bundle_open(fd);
    ck_assert_ptr_nonnull(copy);
    ck_assert_uint_eq(bundle_hash(copy), bundle_hash(b));
    for (int i = 0; i < 300; i++) {
        struct str value;

        memset(text, 'a' + i % 26, sizeof text);
        ck_assert(bundle_get(copy, BUNDLE_ENV_FILE, str_of(text, (size_t)i), &value));
        ck_assert_uint_eq(value.len, (size_t)(299 - i));
        ck_assert(value.len == 0 || value.at[0] == 'a' + i % 26);
    }
    bundle_free(copy);
    bundle_free(b);
    close(fd);
}
END_TEST

START_TEST(test_equal_content_has_equal_hashes_and_other_content_another)
{
    struct bundle *a = bundle_new(), *b = bundle_new();

    bundle_put(a, BUNDLE_ENV, STR("A"), STR("1"));
    bundle_put(b, BUNDLE_ENV, STR("A"), STR("1"));
    ck_assert_uint_eq(bundle_hash(a), bundle_hash(b));
    bundle_put(b, BUNDLE_ENV, STR("B"), STR_NONE);
    ck_assert_uint_ne(bundle_hash(a), bundle_hash(b));
    bundle_free(a);
    bundle_free(b);
}
END_TEST

START_TEST(test_what_is_no_bundle_is_refused)
{
    static const char zeros[4096];
    static const struct str bad[] = {
        STR_INIT(""), STR_INIT("x"), STR_INIT("port: 8080\n"), { zeros, sizeof zeros }
    };
    int fd = file_of(bad[_i]);

    ck_assert_ptr_null(bundle_open(fd));
    ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC); /* still the caller's */
    close(fd);
    ck_assert_ptr_null(bundle_open(-1));
}
END_TEST

/* Cut anywhere: what is whole is found, the rest is not, and nothing beyond the end is looked at (asan says). */
START_TEST(test_a_bundle_that_was_cut_off_is_never_read_beyond_its_end)
{
    char room[1024];
    struct str whole = a_bundle(room, sizeof room);

    for (size_t len = 1; len < whole.len; len++) {
        int fd = file_of(str_up_to(whole, len));
        struct bundle *b = bundle_open(fd);

        if (b) {
            struct str env = value_of(b, BUNDLE_ENV, "SECRET");

            ck_assert(str_equal(value_of(b, BUNDLE_CONFIG, "/etc/config.yaml"), STR("port: 80")));
            ck_assert(str_equal(env, STR("s3cret")) || str_equal(env, STR("nothing")));
            bundle_free(b);
        }
        close(fd);
    }
}
END_TEST

/* Every byte turned round, every length made huge. */
START_TEST(test_hostile_bytes_are_never_followed)
{
    char room[1024];
    struct str whole = a_bundle(room, sizeof room);

    for (size_t i = 0; i < whole.len; i++)
        for (int bit = 0; bit < 9; bit++) {
            char before = room[i];
            struct bundle *b;
            struct str name, value;
            int fd;

            room[i] = (char)(bit < 8 ? before ^ 1 << bit : -1);
            fd = file_of(whole);
            b = bundle_open(fd);
            if (b) {
                for (int kind = BUNDLE_CONFIG; kind <= BUNDLE_ADDRESSES; kind++)
                    if (bundle_first(b, (enum bundle_kind)kind, &name, &value)) {
                        ck_assert_uint_le(name.len, whole.len);
                        ck_assert_uint_le(value.len, whole.len);
                        ck_assert(str_equal(name, name) && str_equal(value, value));
                    }
                value_of(b, BUNDLE_ENV, "no such name");
                bundle_free(b);
            }
            close(fd);
            room[i] = before;
        }
}
END_TEST

START_TEST(test_the_master_notes_what_it_finds_and_a_worker_finds_only_that)
{
    struct bundle *b = bundle_new(), *copy;
    struct conf_env_source master = bundle_env(b, true), worker;
    struct arena a;
    struct str value;
    int fd;

    arena_init(&a, NULL);
    ck_assert_int_eq(setenv("BUNDLE_TEST", "then", 1), 0);
    ck_assert_ptr_null(master.find(master.owner, &a, CONF_ENV_NAME, STR("BUNDLE_TEST"), &value));
    ck_assert(str_equal(value, STR("then")));
    ck_assert_ptr_nonnull(
        master.find(master.owner, &a, CONF_ENV_NAME, STR("BUNDLE_TEST_NONE"), &value));
    fd = bundle_seal(b);
    copy = bundle_open(fd);
    worker = bundle_env(copy, false);
    ck_assert_int_eq(setenv("BUNDLE_TEST", "now", 1), 0);
    ck_assert_int_eq(setenv("BUNDLE_TEST_NONE", "now", 1), 0);
    ck_assert_ptr_null(worker.find(worker.owner, &a, CONF_ENV_NAME, STR("BUNDLE_TEST"), &value));
    ck_assert(str_equal(value, STR("then")));
    ck_assert_ptr_nonnull(
        worker.find(worker.owner, &a, CONF_ENV_NAME, STR("BUNDLE_TEST_NONE"), &value));
    close(fd);
    bundle_free(copy);
    bundle_free(b);
    arena_free(&a);
}
END_TEST

START_TEST(test_a_name_of_which_nobody_tells_keeps_what_it_had)
{
    struct bundle *was = bundle_new(), *former, *b = bundle_new();

    bundle_put(was, BUNDLE_CONFIG, STR("config.yaml"), STR("port: 80"));
    bundle_put(was, BUNDLE_ADDRESSES, STR("away"), STR("0123456789abcdef"));
    bundle_put(was, BUNDLE_ADDRESSES, STR("here"), STR("fedcba9876543210"));
    bundle_put(was, BUNDLE_ADDRESSES, STR("gone"), STR("0f1e2d3c4b5a6978"));
    former = bundle_addresses(was);
    bundle_free(was);
    ck_assert(str_equal(value_of(former, BUNDLE_CONFIG, "config.yaml"), STR("nothing")));
    bundle_remember(b, former);
    ck_assert(str_equal(bundle_resolve(b, STR("away")), STR("0123456789abcdef")));
    ck_assert(str_equal(value_of(b, BUNDLE_ADDRESSES, "away"), STR("0123456789abcdef")));
    ck_assert_uint_eq(bundle_resolve(b, STR("gone")).len, 0); /* somebody did tell */
    ck_assert_uint_eq(bundle_resolve(b, STR("other")).len, 0);
    ck_assert_uint_gt(bundle_resolve(b, STR("here")).len, 0);
    ck_assert(!str_equal(bundle_resolve(b, STR("here")), STR("fedcba9876543210")));
    bundle_free(b);
    bundle_free(former);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bundle");
    TCase *t = tcase_create("bundle");
    SRunner *runner;
    int failed;

    tcase_add_test(t, test_what_is_put_is_got_by_kind_and_name);
    tcase_add_test(t, test_a_sealed_bundle_reads_the_same_elsewhere_and_nobody_changes_it);
    tcase_add_test(t, test_equal_content_has_equal_hashes_and_other_content_another);
    tcase_add_loop_test(t, test_what_is_no_bundle_is_refused, 0, 4);
    tcase_add_test(t, test_a_bundle_that_was_cut_off_is_never_read_beyond_its_end);
    tcase_add_test(t, test_hostile_bytes_are_never_followed);
    tcase_add_test(t, test_the_master_notes_what_it_finds_and_a_worker_finds_only_that);
    tcase_add_test(t, test_a_name_of_which_nobody_tells_keeps_what_it_had);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
