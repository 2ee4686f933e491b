/* conf/config.yaml, the example that people begin with: as it is, and with all that is commented out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/reference.h"
#include "test/unit/conf/reading.h"

#define EXAMPLE "conf/config.yaml" /* tests run in the root */

static struct reading r;

/* Has whatever is asked for. */
static const char *find(void *owner, struct arena *a, enum conf_env_kind kind, struct str name,
                        struct str *value)
{
    (void)owner, (void)a, (void)name;
    *value = STR("found");
    return kind == CONF_ENV_NAME ? "is not set" : NULL;
}

static const struct conf_env_source generous = { .find = find };

/* "key:", "key: value" or "- item" behind blanks: what is commented is a setting and no sentence. */
static bool is_setting(const char *line)
{
    line += strspn(line, " ");
    if (line[0] == '-' && line[1] == ' ')
        return true;
    return strspn(line, "abcdefghijklmnopqrstuvwxyz_0123456789") &&
           strncmp(line + strspn(line, "abcdefghijklmnopqrstuvwxyz_0123456789"), ":", 1) == 0;
}

/* The file; uncommented: with the settings behind "# ", and without the sentences. The caller frees it. */
static char *example(bool uncommented)
{
    FILE *from = fopen(EXAMPLE, "re"), *to;
    char line[256], *text = NULL;
    size_t len = 0;

    ck_assert_msg(from != NULL, "no %s: run the tests in the root of the tree", EXAMPLE);
    to = open_memstream(&text, &len);
    while (fgets(line, sizeof line, from)) {
        if (!uncommented || line[0] != '#')
            fputs(line, to);
        else if (line[1] == ' ' && is_setting(line + 2))
            fputs(line + 2, to);
    }
    fclose(from);
    fclose(to);
    return text;
}

static char *printed_globals(void)
{
    char *text = NULL, *services;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);

    conf_print(r.file, to);
    fclose(to);
    services = strstr(text, "\nservices:");
    ck_assert_ptr_nonnull(services);
    *services = '\0';
    return text;
}

START_TEST(test_the_example_is_good_and_has_the_limits_of_the_seed)
{
    char *yaml = example(false);
    const struct toy_limit *limit;

    reading_begin_with(&r, yaml, &generous);
    reading_is_good(&r);
    ck_assert_uint_eq(r.problems.warnings, 0);
    limit = reading_step(&r.services[0]->steps, "rate_limit")->settings;
    ck_assert_uint_eq(limit->burst, 400);
    reading_end(&r);
    free(yaml);
}
END_TEST

START_TEST(test_what_is_commented_out_in_the_example_is_good_too)
{
    char *yaml = example(true);

    reading_begin_with(&r, yaml, &generous);
    reading_is_good(&r);
    ck_assert_uint_eq(r.count, 2);
    ck_assert_uint_eq(r.globals->listeners.count, 3);
    ck_assert_uint_eq(r.globals->stores.redis.count, 1);
    ck_assert_uint_eq(conf_consumer_count(r.file), 2);
    for (size_t i = 0; i < 2; i++)
        conf_check_consumer(r.file, r.globals, i, conf_read_consumer(r.file, i, &r.arena));
    reading_is_good(&r);
    reading_end(&r);
    free(yaml);
}
END_TEST

/* Without what stands between two keys. */
static void cut(char *text, const char *from, const char *to)
{
    char *begin = strstr(text, from), *end = strstr(text, to);

    ck_assert(begin && end && begin < end);
    memmove(begin, end, strlen(end) + 1);
}

START_TEST(test_the_defaults_shown_in_the_example_are_the_defaults)
{
    char *yaml = example(true), *shown, *listeners, *defaults;

    reading_begin_with(&r, yaml, &generous);
    reading_is_good(&r);
    shown = printed_globals();
    reading_end(&r);
    reading_begin(&r, "services: []");
    defaults = printed_globals();
    reading_end(&r);
    /* The listeners, the stores, the plans and the variants are examples of a use. */
    cut(shown, "\nstores:", "\nshared_memory:");
    cut(defaults, "\nstores:", "\nshared_memory:");
    cut(shown, "\nplans:", "\nmiddleware_config:");
    cut(defaults, "\nplans:", "\nmiddleware:");
    listeners = strstr(shown, "\nprocess:");
    ck_assert_ptr_nonnull(listeners);
    *strstr(shown, "\nmiddleware_config:") = '\0';
    *strstr(defaults, "\nmiddleware:") = '\0';
    ck_assert_str_eq(listeners, strstr(defaults, "\nprocess:"));
    free(defaults);
    free(shown);
    free(yaml);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("example");
    TCase *t = tcase_create("example");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_test(t, test_the_example_is_good_and_has_the_limits_of_the_seed);
    tcase_add_test(t, test_what_is_commented_out_in_the_example_is_good_too);
    tcase_add_test(t, test_the_defaults_shown_in_the_example_are_the_defaults);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
