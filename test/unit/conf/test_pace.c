/* A service with long lists, read with pauses, is the same as when it is read at once. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/pace.h"
#include "test/unit/conf/reading.h"

#define ROUTES 700
#define KEYS   600
#define HOSTS  300

static const size_t items[] = { 1, 100, 299, 1000, SIZE_MAX };

/* Keys for both steps and both services in one list, routes of the first service in another; `wrong` among its routes. */
static char *text_with(const char *wrong)
{
    const size_t room = 200000;
    char *text = malloc(room);
    size_t at;

    ck_assert_ptr_nonnull(text);
    at = (size_t)snprintf(text, room,
                          "middleware_config:\n  strict: {type: auth_apikey, header: X-Strict}\n"
                          "  auth_apikey:\n    valid_keys:\n");
    for (int i = 0; i < KEYS; i++)
        at += (size_t)snprintf(text + at, room - at, "      - key-%d\n", i);
    for (int n = 0; n < 2; n++) {
        at += (size_t)snprintf(text + at, room - at,
                               "%s  - name: s%d\n    urls: ['http://127.0.0.1:1']\n"
                               "    middleware: [auth_apikey, strict]\n    methods: [GET]\n",
                               n ? "" : "services:\n", n);
        at += (size_t)snprintf(text + at, room - at, "    routes:\n");
        for (int i = 0; i < ROUTES; i++)
            at += (size_t)snprintf(text + at, room - at, "      - {path: /%d/%d%s}\n", n, i,
                                   i % 3 ? "" : ", methods: [PUT, POST]");
        if (n == 0)
            at += (size_t)snprintf(text + at, room - at, "%s", wrong);
        at += (size_t)snprintf(text + at, room - at, "    hosts:\n");
        for (int i = 0; i < HOSTS; i++)
            at += (size_t)snprintf(text + at, room - at, "      - h%d.example.com\n", i);
    }
    return text;
}

static const struct conf_service *read_at(struct conf_file *f, const struct conf_globals *g,
                                          size_t i, struct arena *a, size_t most, unsigned *rounds)
{
    struct conf_pace pace = { 0 };
    const struct conf_service *s;

    do {
        pace.items = most;
        s = conf_read_service_some(f, g, i, a, &pace);
        ++*rounds;
    } while (!s);
    return s;
}

static void same_texts(const struct conf_list *a, const struct conf_list *b)
{
    const struct str *one = a->items, *other = b->items;

    ck_assert_uint_eq(a->count, b->count);
    for (size_t i = 0; i < a->count; i++)
        ck_assert(str_equal(one[i], other[i]));
}

static void same_service(const struct conf_service *a, const struct conf_service *b)
{
    const struct conf_route *one = a->routes.items, *other = b->routes.items;

    ck_assert(str_equal(a->name, b->name));
    ck_assert_uint_eq(a->routes.count, b->routes.count);
    for (size_t i = 0; i < a->routes.count; i++) {
        ck_assert(str_equal(one[i].path, other[i].path));
        same_texts(&one[i].methods, &other[i].methods);
    }
    same_texts(&a->hosts, &b->hosts);
    ck_assert_uint_eq(a->steps.count, b->steps.count);
    for (size_t i = 0; i < a->steps.count; i++) {
        const struct toy_keys *x = a->steps.items[i].settings, *y = b->steps.items[i].settings;

        same_texts(&x->valid_keys, &y->valid_keys);
        ck_assert(str_equal(x->header, y->header));
    }
}

START_TEST(test_a_service_read_at_any_pace_is_the_same)
{
    char *text = text_with("");
    unsigned rounds = 0;
    struct reading r;
    struct arena a;

    arena_init(&a, NULL);
    reading_begin(&r, text);
    reading_is_good(&r);
    ck_assert_uint_eq(r.count, 2);
    for (size_t i = 0; i < r.count; i++)
        same_service(read_at(r.file, r.globals, i, &a, items[_i], &rounds), r.services[i]);
    reading_is_good(&r);
    if (items[_i] == SIZE_MAX)
        ck_assert_uint_eq(rounds, 2);
    else
        ck_assert_uint_ge(rounds, 2 * (ROUTES + KEYS + HOSTS) / items[_i]);
    reading_end(&r);
    arena_free(&a);
    free(text);
}
END_TEST

/* Each once, in whatever round it was met. */
START_TEST(test_problems_in_long_lists_are_the_same_at_any_pace)
{
    char *text = text_with("      - {path: none}\n      - {paht: /x}\n");
    struct conf_problems again;
    unsigned rounds = 0;
    struct reading r;
    struct arena a;

    arena_init(&a, NULL);
    reading_begin(&r, text);
    ck_assert_uint_ge(r.problems.errors, 2);
    again = r.problems;
    conf_problems_init(&r.problems);
    (void)conf_problems_file(&r.problems, STR("config.yaml"));
    for (size_t i = 0; i < r.count; i++)
        (void)read_at(r.file, r.globals, i, &a, items[_i], &rounds);
    ck_assert_uint_eq(r.problems.errors, again.errors);
    for (const struct conf_problem *x = r.problems.first, *y = again.first; x || y;
         x = x->next, y = y->next) {
        ck_assert(x && y);
        ck_assert_uint_eq(x->at.line, y->at.line);
        ck_assert(str_equal(x->text, y->text));
    }
    conf_problems_free(&again);
    reading_end(&r);
    arena_free(&a);
    free(text);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pace");
    TCase *t = tcase_create("pace");
    SRunner *runner = srunner_create(s);
    int failed;

    tcase_set_timeout(t, 30);
    suite_add_tcase(s, t);
    tcase_add_loop_test(t, test_a_service_read_at_any_pace_is_the_same, 0, ARRAY_LEN(items));
    tcase_add_loop_test(t, test_problems_in_long_lists_are_the_same_at_any_pace, 0,
                        ARRAY_LEN(items));
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
