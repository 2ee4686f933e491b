/* ${...}: what the process itself finds. */
#include <check.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/env.h"

#define ck_assert_text(s, literal)                                                                 \
    ck_assert_msg(str_equal(s, STR(literal)), "is \"%.*s\"", STR_ARGS(s))

static struct arena arena;
static char path[] = "/tmp/test_env_XXXXXX";

static void make(void)
{
    arena_init(&arena, NULL);
}

static void drop(void)
{
    arena_free(&arena);
}

/* What ${file:...} of a file with these bytes gives: the text or the problem. */
static struct str expanded_file(const char *bytes, size_t len, const char **wrong)
{
    struct str out = STR_NONE, text;
    bool used = false;
    int fd;

    memcpy(path + sizeof path - 7, "XXXXXX", 6);
    fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
    close(fd);
    text = str_format(&arena, "<${file:%s}>", path);
    *wrong = conf_env_expand(&conf_env_process, &arena, text, &out, &used);
    unlink(path);
    ck_assert(*wrong || used);
    return out;
}

START_TEST(test_of_a_file_one_newline_at_the_end_is_cut)
{
    const char *wrong;

    ck_assert_text(expanded_file("secret\n", 7, &wrong), "<secret>");
    ck_assert_text(expanded_file("secret\n\n", 8, &wrong), "<secret\n>");
    ck_assert_text(expanded_file("", 0, &wrong), "<>");
    ck_assert_ptr_null(wrong);
}
END_TEST

START_TEST(test_a_large_file_is_refused)
{
    char *bytes = calloc(1, CONF_ENV_FILE_MAX + 1);
    const char *wrong;

    memset(bytes, 'x', CONF_ENV_FILE_MAX + 1);
    ck_assert_uint_eq(expanded_file(bytes, CONF_ENV_FILE_MAX, &wrong).len, CONF_ENV_FILE_MAX + 2);
    expanded_file(bytes, CONF_ENV_FILE_MAX + 1, &wrong);
    ck_assert_ptr_nonnull(wrong);
    ck_assert_ptr_nonnull(strstr(wrong, "is larger than 1 MiB"));
    free(bytes);
}
END_TEST

START_TEST(test_a_file_that_is_not_there_says_why)
{
    struct str out;
    bool used = false;

    ck_assert_str_eq(
        conf_env_expand(&conf_env_process, &arena, STR("${file:/no/such}"), &out, &used),
        "file /no/such cannot be opened: No such file or directory");
    ck_assert_str_eq(conf_env_expand(&conf_env_process, &arena, STR("${file:/}"), &out, &used),
                     "file / cannot be read: Is a directory");
}
END_TEST

START_TEST(test_a_value_cannot_grow_without_end)
{
    struct str text = STR_NONE, out;
    bool used = false;
    char *large = malloc(100001);

    memset(large, 'x', 100000);
    large[100000] = '\0';
    setenv("SLUICE_TEST_NAME", large, 1);
    for (unsigned i = 0; i < 41; i++)
        text = str_format(&arena, "%.*s${SLUICE_TEST_NAME}", STR_ARGS(text));
    ck_assert_ptr_null(conf_env_expand(&conf_env_process, &arena, text, &out, &used));
    ck_assert_uint_eq(out.len, 4100000);
    text = str_format(&arena, "%.*s${SLUICE_TEST_NAME}", STR_ARGS(text));
    ck_assert_str_eq(conf_env_expand(&conf_env_process, &arena, text, &out, &used),
                     "holds more than 4 MiB");
    unsetenv("SLUICE_TEST_NAME");
    free(large);
}
END_TEST

START_TEST(test_names_come_from_the_environment)
{
    struct str out;
    bool used = false;

    setenv("SLUICE_TEST_NAME", "value", 1);
    ck_assert_ptr_null(
        conf_env_expand(&conf_env_process, &arena, STR("a${SLUICE_TEST_NAME}b"), &out, &used));
    ck_assert_text(out, "avalueb");
    ck_assert(used);
    unsetenv("SLUICE_TEST_NAME");
    ck_assert_str_eq(
        conf_env_expand(&conf_env_process, &arena, STR("a${SLUICE_TEST_NAME}b"), &out, &used),
        "environment variable SLUICE_TEST_NAME is not set");
    used = false;
    ck_assert_ptr_null(conf_env_expand(&conf_env_process, &arena, STR("$1 $${x}"), &out, &used));
    ck_assert_text(out, "$1 ${x}");
    ck_assert(!used);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("env");
    TCase *t = tcase_create("env");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_checked_fixture(t, make, drop);
    tcase_add_test(t, test_of_a_file_one_newline_at_the_end_is_cut);
    tcase_add_test(t, test_a_large_file_is_refused);
    tcase_add_test(t, test_a_file_that_is_not_there_says_why);
    tcase_add_test(t, test_a_value_cannot_grow_without_end);
    tcase_add_test(t, test_names_come_from_the_environment);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
