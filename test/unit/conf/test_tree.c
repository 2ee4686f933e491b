/* YAML as a tree of nodes that know their place; hostile files. */
#include <stdio.h>
#include <stdlib.h>

#include "gateway/base/clock.h"
#include "test/unit/conf/reading.h"

static struct conf_problems problems;
static struct conf_tree *tree;
static struct arena arena;

static const struct conf_node *tree_of_bytes(struct str yaml)
{
    conf_problems_init(&problems);
    arena_init(&arena, NULL);
    tree = conf_tree_read(STR("f"), yaml, &toy_env, &problems);
    return conf_tree_root(tree);
}

static const struct conf_node *tree_of(const char *yaml)
{
    return tree_of_bytes(str_from(yaml));
}

static void drop(void)
{
    conf_tree_free(tree);
    conf_problems_free(&problems);
    arena_free(&arena);
}

static const char *first_problem(void)
{
    if (!problems.first)
        return "none";
    return str_keep_z(&arena, conf_problem_text(&problems, problems.first, &arena));
}

/* The tree as one line: maps {k: v}, lists [v], scalars as they are. */
static void write_node(FILE *to, const struct conf_node *n)
{
    const char *between = "";

    if (n->kind == CONF_SCALAR) {
        fprintf(to, "%.*s", STR_ARGS(n->text));
        return;
    }
    fputc(n->kind == CONF_MAP ? '{' : '[', to);
    CONF_EACH (n, child) {
        fputs(between, to);
        if (n->kind == CONF_MAP)
            fprintf(to, "%.*s: ", STR_ARGS(child->key));
        write_node(to, child);
        between = ", ";
    }
    fputc(n->kind == CONF_MAP ? '}' : ']', to);
}

static void check_is(const struct conf_node *n, const char *expected)
{
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);

    ck_assert_msg(n != NULL, "%s", first_problem());
    write_node(to, n);
    fclose(to);
    ck_assert_str_eq(text, expected);
    free(text);
}

static const struct {
    const char *yaml, *tree;
} good[] = {
    { "", "{}" },
    { "# nothing", "{}" },
    { "a: 1\nb: [x, {c: d}]\n", "{a: 1, b: [x, {c: d}]}" },
    { "---\na: 1\n...\n", "{a: 1}" },
    { "\xef\xbb\xbf"
      "a: 1\n",
      "{a: 1}" },
    { "a: &x {b: 1, c: [2]}\nd: *x\n", "{a: {b: 1, c: [2]}, d: {b: 1, c: [2]}}" },
    { "a: &x 5\nb: [*x, *x]\n", "{a: 5, b: [5, 5]}" },
    { "a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\n", "{a: {b: 1, c: 2}, d: {c: 3, b: 1}}" },
    { "d: {c: 3, <<: [{c: 4, e: 5}, {e: 6, f: 7}]}\n", "{d: {c: 3, e: 5, f: 7}}" },
    { "a: &x {b: 1}\nc: &y {<<: *x, d: 2}\ne: {<<: *y}\n",
      "{a: {b: 1}, c: {d: 2, b: 1}, e: {d: 2, b: 1}}" },
    { "a: &x 1\nb: &x 2\nc: *x\n", "{a: 1, b: 2, c: 2}" },
    { "a: ${DB_PASSWORD}\n", "{a: hunter2}" },
    { "a: x${PORT}y${PORT}\n", "{a: x9090y9090}" },
    { "a: ${NO:-fall back}\nb: ${EMPTY:-e}\nc: ${EMPTY}\nd: ${NO:-}\n",
      "{a: fall back, b: e, c: , d: }" },
    { "a: '${file:/run/secret}'\n", "{a: from a file}" },
    { "a: $${NO}\nb: $5\nc: 5$\nd: $$\n", "{a: ${NO}, b: $5, c: 5$, d: $$}" },
    { "a: !!str 5\nb: ! x\n", "{a: 5, b: x}" },
};

START_TEST(test_what_is_written_becomes_a_tree)
{
    check_is(tree_of(good[_i].yaml), good[_i].tree);
    ck_assert_uint_eq(problems.errors, 0);
    drop();
}
END_TEST

static const struct {
    const char *yaml, *problem;
    bool has_root;
} bad[] = {
    { "a: 1\na: 2\n", "f:2:1: a: given twice, first in line 1", true },
    { "x: {b: 1, c: 2, b: [3]}\n", "f:1:17: x.b: given twice, first in line 1", true },
    { "a: ${NO}\n", "f:1:1: a: environment variable NO is not set", true },
    { "a: [1, '${file:/nowhere}']\n", "f:1:8: a[1]: file /nowhere cannot be opened", true },
    { "a: ${file:nowhere}\n", "f:1:1: a: ${file:...} needs an absolute path", true },
    { "a: '${NO'\n", "f:1:1: a: has ${ without }", true },
    { "a: '${a b}'\n",
      "f:1:1: a: must be ${NAME}, ${NAME:-default} or ${file:/path}; $${ stands for a plain ${",
      true },
    { "a: \"x\\0y\"\n", "f:1:1: a: holds a NUL character", true },
    { "\"a\\0\": x\n", "f:1:1: a key holds a NUL character", true },
    { "a: !!int 5\n", "f:1:1: a: tags such as tag:yaml.org,2002:int are not used here", true },
    { "a: !x {}\n", "f:1:1: a: tags such as !x are not used here", true },
    { "a: {<<: 5}\n", "f:1:5: a.\"<<\": << must be a map or a list of maps", true },
    { "a: b: c\n", "f:1:5: not YAML: mapping values are not allowed in this context", false },
    { "a: [1, 2\nb: 3\n",
      "f:2:2: not YAML: did not find expected ',' or ']', while parsing a flow sequence that began "
      "in line 1",
      false },
    { "a:\n\t- 1\n",
      "f:2:1: not YAML: found character that cannot start any token, while scanning for the next "
      "token "
      "that began in line 2",
      false },
    { "ok: 1\nb: \xff\n", "f:2:4: not YAML: invalid leading UTF-8 octet", false },
    { "a: *x\n", "f:1:4: an alias to an anchor that was not set before", false },
    { "a: &x [*x]\n", "f:1:8: an alias to what it stands in", false },
    { "? [a]\n: b\n", "f:1:3: a key must be plain text", false },
    { "a: &x 1\n*x : b\n", "f:2:1: an alias cannot be a key", false },
    { "a: 1\n---\nb: 2\n", "f:2:1: a second document begins here; a file holds one", false },
};

START_TEST(test_what_is_wrong_with_the_form_is_told_with_its_place)
{
    const struct conf_node *root = tree_of(bad[_i].yaml);

    ck_assert_str_eq(first_problem(), bad[_i].problem);
    ck_assert_uint_eq(problems.errors, 1);
    ck_assert((root != NULL) == bad[_i].has_root);
    drop();
}
END_TEST

START_TEST(test_every_node_knows_its_line_column_and_path)
{
    const struct conf_node *root = tree_of("a:\n  - b: 1\n    \"c d\":  x\n  - [2]\n"), *n;

    n = conf_node_get(conf_node_at(conf_node_get(root, STR("a")), 0), STR("c d"));
    ck_assert_uint_eq(n->key_at.line, 3);
    ck_assert_uint_eq(n->key_at.column, 5);
    ck_assert_uint_eq(n->at.column, 13);
    ck_assert_text(conf_node_path(n, &arena), "a[0].\"c d\"");
    n = conf_node_at(conf_node_at(conf_node_get(root, STR("a")), 1), 0);
    ck_assert_text(conf_node_path(n, &arena), "a[1][0]");
    ck_assert_uint_eq(n->at.line, 4);
    drop();
}
END_TEST

START_TEST(test_only_unquoted_nothing_is_empty)
{
    const struct conf_node *root = tree_of("a:\nb: ~\nc: null\nd: ''\ne: 'null'\nf: ${EMPTY}\n");
    const char *expected = "eee...";

    CONF_EACH (root, child)
        ck_assert_int_eq(conf_node_is_empty(child), expected[child->index] == 'e');
    drop();
}
END_TEST

START_TEST(test_a_value_out_of_the_environment_is_marked_also_through_an_alias)
{
    const struct conf_node *root = tree_of("a: &x ${DB_PASSWORD}\nb: [*x]\nc: hunter2\n");

    ck_assert(conf_node_get(root, STR("a"))->from_env);
    ck_assert(conf_node_at(conf_node_get(root, STR("b")), 0)->from_env);
    ck_assert(!conf_node_get(root, STR("c"))->from_env);
    drop();
}
END_TEST

START_TEST(test_a_map_of_many_keys_finds_each_and_sees_the_one_given_twice)
{
    struct str yaml = STR_NONE;
    const struct conf_node *root;
    struct arena a;

    arena_init(&a, NULL);
    for (unsigned i = 0; i < 300; i++)
        yaml = str_format(&a, "%.*sk%u: %u\n", STR_ARGS(yaml), i == 299 ? 7 : i, i);
    root = tree_of_bytes(yaml);
    ck_assert_uint_eq(root->count, 299);
    for (unsigned i = 0; i < 299; i++) {
        char key[8];

        snprintf(key, sizeof key, "k%u", i);
        ck_assert_uint_eq(conf_node_get(root, str_from(key))->key_at.line, i + 1);
    }
    ck_assert_str_eq(first_problem(), "f:300:1: k7: given twice, first in line 8");
    arena_free(&a);
    drop();
}
END_TEST

START_TEST(test_slices_give_the_same_tree_as_one_reading)
{
    static const char yaml[] =
        "a: &x [1, 2, {b: '${PORT}'}]\nc: {<<: {d: e}, f: *x}\nservices: [a, b, c, d, e, f, g, h]\n"
        "more: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]\n";
    uint64_t whole = conf_node_hash(tree_of(yaml));
    unsigned slices = 1;

    drop();
    conf_problems_init(&problems);
    arena_init(&arena, NULL);
    tree = conf_tree_begin(STR("f"), str_from(yaml), &toy_env, &problems);
    ck_assert_ptr_null(conf_tree_root(tree));
    while (!conf_tree_more(tree, 0))
        slices++;
    ck_assert_uint_gt(slices, 2);
    ck_assert_uint_eq(conf_node_hash(conf_tree_root(tree)), whole);
    drop();
}
END_TEST

START_TEST(test_a_tree_may_end_in_the_middle_of_building)
{
    conf_problems_init(&problems);
    arena_init(&arena, NULL);
    tree = conf_tree_begin(STR("f"), STR("[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19]"),
                           &toy_env, &problems);
    ck_assert(!conf_tree_more(tree, 0));
    drop();
}
END_TEST

START_TEST(test_a_hash_tells_apart_what_reads_differently_and_nothing_else)
{
    static const struct {
        const char *a, *b;
        bool same;
    } pairs[] = {
        { "a: 1", "\n\na:     '1' # same", true },
        { "a: {b: c}", "a:\n  b: c\n", true },
        { "a: ${PORT}", "a: 9090", true },
        { "x: &y {b: c}\na: *y", "x: {b: c}\na: {b: c}", true },
        { "x: &y {b: c}\na: {<<: *y, d: e}", "x: {b: c}\na: {d: e, b: c}", true },
        { "x: &y {b: c}\na: {b: f, <<: [*y]}", "x: {b: c}\na: {b: f}", true },
        { "x: &y {b: c}\na: {<<: *y}", "x: {b: c}\na: {b: d}", false },
        { "a: {b: {c: [d, {e: f}]}}", "a: {b: {c: [d, {e: g}]}}", false },
        { "a: {b: {c: 1}, d: 2}", "a: {b: {c: 1, d: 2}}", false },
        { "a: 1", "a: 2", false },
        { "a: 1", "b: 1", false },
        { "a: [1, 2]", "a: [2, 1]", false },
        { "a: [[1], 2]", "a: [[1, 2]]", false },
        { "a: [1, [2]]", "a: [[1], 2]", false },
        { "a: []", "a: {}", false },
        { "a: ''", "a:", false },
        { "a: {b: c}", "a: [b, c]", false },
    };
    uint64_t a, b;

    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        a = conf_node_hash(tree_of(pairs[i].a));
        drop();
        b = conf_node_hash(tree_of(pairs[i].b));
        drop();
        ck_assert_msg((a == b) == pairs[i].same, "%s against %s", pairs[i].a, pairs[i].b);
    }
}
END_TEST

/* ---- hostile files ---- */

START_TEST(test_a_billion_laughs_end_in_a_problem_soon)
{
    uint64_t begun = clock_now_ns();

    ck_assert_ptr_null(tree_of("a: &a [x,x,x,x,x,x,x,x,x,x]\n"
                               "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
                               "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
                               "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
                               "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n"
                               "f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"));
    ck_assert_str_eq(first_problem(), "f:5:8: aliases make too much of too little");
    ck_assert_uint_lt(clock_now_ns() - begun, 2 * NS_PER_S);
    drop();
}
END_TEST

START_TEST(test_a_small_file_cannot_become_a_large_one_through_its_environment)
{
    struct str yaml = STR("a: &a \""), many = STR_NONE;
    struct arena a;

    arena_init(&a, NULL);
    for (unsigned i = 0; i < 16; i++)
        many = str_format(&a, "%.*s%.*s%s", STR_ARGS(many), STR_ARGS(many), "${PORT}");
    yaml = str_format(&a, "%.*s%.*s\"\n", STR_ARGS(yaml), STR_ARGS(many));
    ck_assert_ptr_nonnull(tree_of_bytes(yaml)); /* 65535 times four bytes are few */
    ck_assert_uint_eq(conf_node_get(conf_tree_root(tree), STR("a"))->text.len, 65535 * 4);
    drop();
    /* The same by aliases: each one counts what it shows. */
    for (unsigned i = 0; i < 300; i++)
        yaml = str_format(&a, "%.*sa%u: *a\n", STR_ARGS(yaml), i);
    ck_assert_ptr_null(tree_of_bytes(yaml));
    ck_assert_msg(strstr(first_problem(), "aliases make too much of too little") ||
                      strstr(first_problem(), "64 MiB"),
                  "%s", first_problem());
    drop();
    arena_free(&a);
}
END_TEST

START_TEST(test_nesting_ends_at_its_limit)
{
    char yaml[80] = "";

    memset(yaml, '[', 32);
    memset(yaml + 32, ']', 32);
    ck_assert_ptr_nonnull(tree_of(yaml));
    drop();
    memset(yaml, '[', 33);
    memset(yaml + 33, ']', 33);
    ck_assert_ptr_null(tree_of(yaml));
    ck_assert_str_eq(first_problem(), "f:1:33: nested too deeply");
    drop();
    ck_assert_ptr_null(tree_of(
        "a: &a [[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]\nb: [[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]\n"));
    ck_assert_str_eq(first_problem(), "f:2:21: nested too deeply by aliases");
    drop();
}
END_TEST

START_TEST(test_a_file_that_is_too_large_is_not_looked_at)
{
    char *yaml = calloc(1, CONF_TREE_BYTES_MAX + 1);

    ck_assert_ptr_null(tree_of_bytes(str_of(yaml, CONF_TREE_BYTES_MAX + 1)));
    ck_assert_str_eq(first_problem(), "f: the file is larger than 16 MiB");
    drop();
    free(yaml);
}
END_TEST

START_TEST(test_problems_are_bounded_and_the_rest_counted)
{
    struct str yaml = STR_NONE;
    struct arena a;

    arena_init(&a, NULL);
    for (unsigned i = 0; i < 500; i++)
        yaml = str_format(&a, "%.*sa: 1\n", STR_ARGS(yaml));
    ck_assert_ptr_nonnull(tree_of_bytes(yaml));
    ck_assert_uint_eq(problems.errors, 499);
    ck_assert_uint_eq(problems.kept, CONF_PROBLEMS_MAX);
    drop();
    arena_free(&a);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tree");
    TCase *t = tcase_create("tree");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_set_timeout(t, 30);
    tcase_add_loop_test(t, test_what_is_written_becomes_a_tree, 0, ARRAY_LEN(good));
    tcase_add_loop_test(t, test_what_is_wrong_with_the_form_is_told_with_its_place, 0,
                        ARRAY_LEN(bad));
    tcase_add_test(t, test_every_node_knows_its_line_column_and_path);
    tcase_add_test(t, test_only_unquoted_nothing_is_empty);
    tcase_add_test(t, test_a_value_out_of_the_environment_is_marked_also_through_an_alias);
    tcase_add_test(t, test_a_map_of_many_keys_finds_each_and_sees_the_one_given_twice);
    tcase_add_test(t, test_slices_give_the_same_tree_as_one_reading);
    tcase_add_test(t, test_a_tree_may_end_in_the_middle_of_building);
    tcase_add_test(t, test_a_hash_tells_apart_what_reads_differently_and_nothing_else);
    tcase_add_test(t, test_a_billion_laughs_end_in_a_problem_soon);
    tcase_add_test(t, test_a_small_file_cannot_become_a_large_one_through_its_environment);
    tcase_add_test(t, test_nesting_ends_at_its_limit);
    tcase_add_test(t, test_a_file_that_is_too_large_is_not_looked_at);
    tcase_add_test(t, test_problems_are_bounded_and_the_rest_counted);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
