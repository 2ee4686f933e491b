/* The list of header fields. */
#include <check.h>
#include <stdio.h>

#include "gateway/http/fields.h"

static struct arena arena;
static struct fields fields;

static void setup(void)
{
    arena_init(&arena, NULL);
    fields_init(&fields, &arena, 0);
}

static void teardown(void)
{
    arena_free(&arena);
}

#define ck_assert_str(a, b)                                                                        \
    do {                                                                                           \
        struct str a_ = (a), b_ = (b);                                                             \
        ck_assert_msg(str_equal(a_, b_), "'%.*s' is not '%.*s'", STR_ARGS(a_), STR_ARGS(b_));      \
    } while (0)

static struct str cased(struct str name, bool upper)
{
    char *text = arena_take_bytes(&arena, name.len);

    for (size_t i = 0; i < name.len; i++) {
        text[i] = (char)ascii_fold((unsigned char)name.at[i]);
        if (upper && text[i] >= 'a' && text[i] <= 'z')
            text[i] = (char)(text[i] - 32);
    }
    return str_of(text, name.len);
}

/* A name added to known.list is found without anything else being done. */
START_TEST(test_every_known_name_is_found_in_any_case)
{
    enum known_field known = (enum known_field)_i;

    ck_assert_int_eq(field_known(field_name(known)), known);
    ck_assert_int_eq(field_known(cased(field_name(known), true)), known);
    ck_assert_int_eq(field_known(cased(field_name(known), false)), known);
}
END_TEST

START_TEST(test_a_name_that_differs_in_one_letter_is_another)
{
    struct str name = field_name((enum known_field)_i);
    char text[64];

    for (size_t i = 0; i < name.len; i++) {
        memcpy(text, name.at, name.len);
        text[i] = text[i] == 'q' ? 'z' : 'q';
        ck_assert_int_eq(field_known(str_of(text, name.len)), FIELD_OTHER);
        text[i] = '_';
        ck_assert_int_eq(field_known(str_of(text, name.len)), FIELD_OTHER);
    }
    memcpy(text, name.at, name.len);
    text[name.len] = 'x';
    ck_assert_int_ne(field_known(str_of(text, name.len + 1)), _i);
    ck_assert_int_ne(field_known(str_of(text, name.len - 1)), _i);
}
END_TEST

START_TEST(test_no_name_is_known_by_nothing)
{
    ck_assert_int_eq(field_known(STR("")), FIELD_OTHER);
    ck_assert_int_eq(field_known(STR("X-Made-Up")), FIELD_OTHER);
}
END_TEST

START_TEST(test_fields_keep_their_order_and_grow_without_end)
{
    for (uintptr_t i = 0; i < 1000; i++)
        fields_add(&fields, STR("X-Many"), str_format(&arena, "%zu", (size_t)i));
    ck_assert_uint_eq(fields.count, 1000);
    for (uint32_t i = 0; i < 1000; i++)
        ck_assert_str(fields.at[i].value, str_format(&arena, "%u", i));
}
END_TEST

START_TEST(test_names_are_found_in_any_case_and_the_first_counts)
{
    fields_add(&fields, STR("hOST"), STR("a"));
    fields_add(&fields, STR("Host"), STR("b"));
    fields_add(&fields, STR("X-Own"), STR("c"));
    fields_add(&fields, STR("x-own"), STR("d"));
    ck_assert(fields_have(&fields, FIELD_HOST));
    ck_assert_str(fields_value(&fields, FIELD_HOST), STR("a"));
    ck_assert_str(fields_find_name(&fields, STR("HOST"))->value, STR("a"));
    ck_assert_str(fields_find_name(&fields, STR("X-OWN"))->value, STR("c"));
    ck_assert_ptr_null(fields_find_name(&fields, STR("X-Ow")));
    ck_assert_ptr_null(fields_find_name(&fields, STR("")));
    ck_assert_ptr_null(fields_find(&fields, FIELD_VIA));
    ck_assert_ptr_null(fields_value(&fields, FIELD_VIA).at);
}
END_TEST

START_TEST(test_removed_fields_are_found_no_more)
{
    fields_add_known(&fields, FIELD_VIA, STR("1"));
    fields_add(&fields, STR("X-Own"), STR("2"));
    fields_add(&fields, STR("via"), STR("3"));
    fields_add(&fields, STR("x-own"), STR("4"));
    fields_remove(&fields, FIELD_VIA);
    fields_remove(&fields, FIELD_DATE);
    ck_assert(!fields_have(&fields, FIELD_VIA));
    ck_assert_ptr_null(fields_find(&fields, FIELD_VIA));
    fields_remove_name(&fields, STR("X-OWN"));
    ck_assert_ptr_null(fields_find_name(&fields, STR("X-Own")));
    for (uint32_t i = 0; i < fields.count; i++)
        ck_assert_uint_eq(fields.at[i].name.len, 0);
    fields_add_known(&fields, FIELD_VIA, STR("5"));
    ck_assert_str(fields_value(&fields, FIELD_VIA), STR("5"));
    fields_remove_name(&fields, STR("VIA"));
    ck_assert_ptr_null(fields_find(&fields, FIELD_VIA));
}
END_TEST

START_TEST(test_setting_leaves_exactly_one)
{
    fields_add(&fields, STR("server"), STR("a"));
    fields_add(&fields, STR("X-Own"), STR("b"));
    fields_add(&fields, STR("Server"), STR("c"));
    fields_set_known(&fields, FIELD_SERVER, STR("d"));
    ck_assert_str(fields_value(&fields, FIELD_SERVER), STR("d"));
    ck_assert_uint_eq(fields.at[2].name.len, 0);
    ck_assert_uint_ne(fields.at[1].name.len, 0);
    fields_set_known(&fields, FIELD_DATE, STR("now"));
    ck_assert_str(fields_value(&fields, FIELD_DATE), STR("now"));
}
END_TEST

/* Whatever somebody decoded out of a token or a body: no second line, no second head. */
START_TEST(test_what_could_not_be_written_is_not_added)
{
    static const struct str values[] = { STR_INIT("a\r\nX: y"), STR_INIT("a\n"), STR_INIT("a\r"),
                                         STR_INIT("a\0b"), STR_INIT("\x7f") };
    static const struct str names[] = { STR_INIT(""), STR_INIT("a b"), STR_INIT("a:"),
                                        STR_INIT("a\r\n"), STR_INIT("\xe9") };

    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        fields_add(&fields, STR("X-Own"), values[i]);
        fields_add_known(&fields, FIELD_LOCATION, values[i]);
        fields_set_known(&fields, FIELD_DATE, values[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        fields_add(&fields, names[i], STR("v"));
    ck_assert_uint_eq(fields.count, 0);
    fields_set_known(&fields, FIELD_DATE, STR("now"));
    fields_set_known(&fields, FIELD_DATE, STR("no\nw"));
    ck_assert_ptr_null(fields_find(&fields, FIELD_DATE));
    fields_add(&fields, STR("X-Own"), STR("tab\tand \xe9 pass"));
    ck_assert_uint_eq(fields.count, 2);
}
END_TEST

/* `repeated` may say too much and never too little; `size` has room for every line. */
static void is_accounted(void)
{
    uint64_t once = 0, twice = 0;
    size_t size = 0;

    for (uint32_t i = 0; i < fields.count; i++) {
        uint64_t bit = (uint64_t)1 << fields.at[i].known;

        if (fields.at[i].name.len == 0)
            continue;
        twice |= once & bit;
        once |= bit;
        size += fields.at[i].name.len + fields.at[i].value.len + 4;
    }
    ck_assert_uint_eq(once & ~fields.present, 0);
    ck_assert_uint_eq(twice & ~fields.repeated, 0);
    ck_assert_uint_ge(fields.size, size);
}

START_TEST(test_whatever_is_done_to_fields_is_accounted_for)
{
    static const char value[] = "a value of some length";
    uint64_t random = (uint64_t)_i + 1;

    for (int i = 0; i < 60; i++) {
        enum known_field known = (enum known_field)(1 + (random >> 33) % 3);
        struct str v = str_of(value, (random >> 40) % sizeof value);
        struct field_lines lines;

        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        switch ((random >> 50) % 8) {
        case 0:
            fields_add(&fields, field_name(known), v);
            break;
        case 1:
            fields_add_known(&fields, known, v);
            break;
        case 2:
            fields_put(&fields, STR("X-Other"), v);
            break;
        case 3:
            fields_set_known(&fields, known, v);
            ck_assert(!fields_repeat(&fields, known));
            break;
        case 4:
            fields_remove(&fields, known);
            ck_assert(!fields_repeat(&fields, known));
            break;
        case 5:
            fields_remove_name(&fields, field_name(known));
            break;
        case 6:
            if (fields_find(&fields, known))
                fields_change(&fields, fields_find(&fields, known), v);
            break;
        default:
            lines = fields_lines_begin(
                &fields, arena_take_bytes(&arena, 2 * (FIELDS_LINE_ROOM + sizeof value)), 2);
            fields_line_add(&lines, known, v);
            fields_line_add(&lines, FIELD_VIA, v);
            fields_lines_end(&lines);
            break;
        }
        is_accounted();
    }
}
END_TEST

START_TEST(test_every_known_field_can_be_written_as_a_line)
{
    enum known_field known = (enum known_field)_i;
    char *text = arena_take_bytes(&arena, FIELDS_LINE_ROOM + 5), expected[64];
    struct field_lines lines = fields_lines_begin(&fields, text, 1);

    fields_line_add(&lines, known, STR("value"));
    fields_lines_end(&lines);
    ck_assert_int_eq(
        snprintf(expected, sizeof expected, "%.*s: value\r\n", STR_ARGS(field_name(known))),
        lines.to - text);
    ck_assert_mem_eq(text, expected, (size_t)(lines.to - text));
    ck_assert_ptr_eq(fields_value(&fields, known).at, lines.to - 7);
    ck_assert_uint_eq(fields_value(&fields, known).len, 5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fields");
    TCase *tests = tcase_create("fields");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, test_every_known_name_is_found_in_any_case, 1, FIELD_KNOWN_COUNT);
    tcase_add_loop_test(tests, test_a_name_that_differs_in_one_letter_is_another, 1,
                        FIELD_KNOWN_COUNT);
    tcase_add_test(tests, test_no_name_is_known_by_nothing);
    tcase_add_test(tests, test_fields_keep_their_order_and_grow_without_end);
    tcase_add_test(tests, test_names_are_found_in_any_case_and_the_first_counts);
    tcase_add_test(tests, test_removed_fields_are_found_no_more);
    tcase_add_test(tests, test_setting_leaves_exactly_one);
    tcase_add_test(tests, test_what_could_not_be_written_is_not_added);
    tcase_add_loop_test(tests, test_whatever_is_done_to_fields_is_accounted_for, 0, 50);
    tcase_add_loop_test(tests, test_every_known_field_can_be_written_as_a_line, 1,
                        FIELD_KNOWN_COUNT);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
