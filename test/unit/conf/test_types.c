/* The types of values: reading, and printing what reads back as the same. */
#include <stdlib.h>

#include "conf/places.h"
#include "conf/read.h"
#include "test/unit/conf/reading.h"

struct named {
    struct str name;
    uint64_t number;
};

struct all {
    struct str text, word;
    uint64_t uint, size, duration, seconds, share, some_of;
    bool boolean;
    struct number_rate rate, per_second, rate_or_plan, by_plan;
    int one_of;
    struct cidr prefix;
    struct conf_list list_of, pairs, map_of;
    struct conf_url url;
    struct str listen, host, method, own_path;
    struct conf_log_to log_to, silent;
    struct conf_route exact_path, path_below;
};

#define NAMED NAMES("one", "two", "three")

static const struct conf_key named_keys[] = {
    KEY(named, number, uint, "7", ""),
    KEY_END,
};
static const struct conf_schema named_schema = { .name = "named",
                                                 .size = sizeof(struct named),
                                                 .keys = named_keys };

static const struct conf_key keys[] = {
    KEY(all, text, text, "some: text, with \"quotes\" and ${no} name", ""),
    KEY(all, word, word, "word", ""),
    KEY(all, uint, uint, "5", "", .arg = RANGE(1, UINT64_MAX)),
    KEY(all, size, size, "3k", ""),
    KEY(all, duration, duration, "90s", ""),
    KEY(all, seconds, seconds, "5", ""),
    KEY(all, share, share, "12.5%", ""),
    KEY(all, boolean, boolean, "on", ""),
    KEY(all, rate, rate, "600/m", ""),
    KEY(all, per_second, per_second, "7", ""),
    KEY(all, rate_or_plan, rate_or_plan, "7/m", ""),
    KEY(all, by_plan, rate_or_plan, "plan", ""),
    KEY(all, one_of, one_of, "two", "", .arg = NAMED),
    KEY(all, some_of, some_of, "[one, three]", "", .arg = NAMED),
    KEY(all, prefix, prefix, "10.0.0.0/8", ""),
    KEY(all, list_of, list_of, "[a, 'b, c', \"\"]", "", .arg = ELEMENT(text)),
    KEY(all, pairs, pairs, "{a: b, 'c: d': \"e\\n\"}", ""),
    KEY(all, map_of, map_of, "{a: {number: 5}, b-c: {}}", "",
        .arg = ENTRIES(&named_schema, named, .at_most = 2)),
    KEY(all, url, url, "http://[::1]:8080", ""),
    KEY(all, listen, listen, "8080", ""),
    KEY(all, host, host, "*.Example.com", ""),
    KEY(all, method, method, "GET", ""),
    KEY(all, own_path, own_path, "/x", ""),
    KEY(all, silent, log_to, "off", ""),
    KEY(all, log_to, log_to, "file:/tmp/a b", ""),
    KEY(all, exact_path, exact_path, "/a/**", ""),
    KEY(all, path_below, path_below, "/", ""),
    KEY_END,
};
static const struct conf_schema schema = { .name = "all",
                                           .size = sizeof(struct all),
                                           .keys = keys };

static struct arena arena;
static struct conf_problems problems;

static void make(void)
{
    arena_init(&arena, NULL);
    conf_problems_init(&problems);
}

static void drop(void)
{
    arena_free(&arena);
    conf_problems_free(&problems);
}

static struct str printed(const struct conf_key *key, const struct all *all)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    struct str kept;

    key->type->print(key, (const char *)all + key->offset, to);
    fclose(to);
    kept = str_keep(&arena, str_of(text, len));
    free(text);
    return kept;
}

START_TEST(test_what_is_printed_reads_back_as_the_same)
{
    struct all *was = ARENA_NEW(&arena, struct all), *is = ARENA_NEW(&arena, struct all);
    const struct conf_key *key = &keys[_i];
    struct conf_tree *tree;
    struct str text;

    conf_read_defaults(&schema, was, &arena);
    text = printed(key, was);
    ck_assert_uint_gt(text.len, 0);
    tree = conf_tree_read(STR("printed"), text, &conf_env_none, &problems);
    ck_assert_msg(conf_tree_root(tree) &&
                      conf_read_key(key, conf_tree_root(tree), is, &arena, &problems),
                  "%s: %.*s", key->name, STR_ARGS(text));
    ck_assert_msg(str_equal(printed(key, is), text), "%s: %.*s", key->name, STR_ARGS(text));
    conf_tree_free(tree);
}
END_TEST

START_TEST(test_values_are_what_they_say)
{
    struct all *all = ARENA_NEW(&arena, struct all);
    const struct conf_pair *pair;
    const struct named *named;

    conf_read_defaults(&schema, all, &arena);
    ck_assert_text(all->text, "some: text, with \"quotes\" and ${no} name");
    ck_assert_uint_eq(all->size, 3072);
    ck_assert_uint_eq(all->duration, 90 * NS_PER_S);
    ck_assert_uint_eq(all->seconds, 5 * NS_PER_S);
    ck_assert_uint_eq(all->share, 125000);
    ck_assert(all->boolean);
    ck_assert_uint_eq(all->rate.count, 600);
    ck_assert_uint_eq(all->rate.per_ns, 60 * NS_PER_S);
    ck_assert_uint_eq(all->per_second.count, 7);
    ck_assert_uint_eq(all->per_second.per_ns, NS_PER_S);
    ck_assert_uint_eq(all->rate_or_plan.count, 7);
    ck_assert_uint_eq(all->by_plan.count, 0);
    ck_assert_int_eq(all->one_of, 1);
    ck_assert_uint_eq(all->some_of, 5);
    ck_assert_uint_eq(all->prefix.bits, 104);
    ck_assert_uint_eq(all->list_of.count, 3);
    ck_assert_text(((const struct str *)all->list_of.items)[1], "b, c");
    pair = all->pairs.items;
    ck_assert_text(pair[1].name, "c: d");
    ck_assert_text(pair[1].value, "e\n");
    ck_assert_uint_eq(all->map_of.count, 2);
    named = all->map_of.items;
    ck_assert_text(named[0].name, "a");
    ck_assert_uint_eq(named[0].number, 5);
    ck_assert_text(named[1].name, "b-c");
    ck_assert_uint_eq(named[1].number, 7);
    ck_assert_text(all->listen, ":8080");
    ck_assert_text(all->host, "*.example.com");
    ck_assert_int_eq(all->log_to.sink, CONF_SINK_FILE);
    ck_assert_text(all->log_to.path, "/tmp/a b");
    ck_assert(all->exact_path.below);
}
END_TEST

static const struct conf_key bad_keys[] = {
    KEY(all, uint, uint, "0", "", .arg = RANGE(1, 2)),
    KEY_END,
};
static const struct conf_schema bad = { .name = "bad",
                                        .size = sizeof(struct all),
                                        .keys = bad_keys };

START_TEST(test_a_default_that_its_own_reader_refuses_ends_the_process)
{
    conf_read_defaults(&bad, ARENA_NEW(&arena, struct all), &arena);
}
END_TEST

/* A list in the place of a scalar, and nothing in the place of a value, are problems of every type that needs one. */
START_TEST(test_no_type_takes_a_map_of_lists_or_dies_of_it)
{
    struct all *all = ARENA_NEW(&arena, struct all);
    struct conf_tree *tree = conf_tree_read(STR("f"), STR("{a: [[b]]}"), &conf_env_none, &problems);

    ck_assert(!conf_read_key(&keys[_i], conf_tree_root(tree), all, &arena, &problems));
    ck_assert_uint_ge(problems.errors, 1);
    conf_tree_free(tree);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("types");
    TCase *t = tcase_create("types");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_checked_fixture(t, make, drop);
    tcase_add_loop_test(t, test_what_is_printed_reads_back_as_the_same, 0, ARRAY_LEN(keys) - 1);
    tcase_add_test(t, test_values_are_what_they_say);
    tcase_add_exit_test(t, test_a_default_that_its_own_reader_refuses_ends_the_process, 1);
    tcase_add_loop_test(t, test_no_type_takes_a_map_of_lists_or_dies_of_it, 0, ARRAY_LEN(keys) - 1);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
