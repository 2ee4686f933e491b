/* The lines of a head, found all at once: where they are, when nothing is said, and that every way says the same. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/http/h1_lines.h"
#include "gateway/http/octets.h"

/* What is to be found, octet by octet. */
static bool find_slowly(struct str text, struct h1_lines *lines)
{
    size_t at = 0;

    lines->count = 0;
    for (;;) {
        size_t rare = at, stop;

        while (rare < text.len && octet_is(text.at[rare], OCTET_COMMON))
            rare++;
        stop = (size_t)(octets_find_control_plain(text.at + rare, text.at + text.len) - text.at);
        if (text.len - stop < 2 || text.at[stop] != '\r' || text.at[stop + 1] != '\n')
            return false;
        if (stop == at) {
            lines->len = (uint32_t)stop + 2;
            return lines->count > 0;
        }
        if (rare == at || lines->count == H1_LINES_MAX)
            return false;
        lines->rare[lines->count] = (uint32_t)rare;
        lines->stop[lines->count++] = (uint32_t)stop;
        at = stop + 2;
    }
}

static bool is_same(const struct h1_lines *a, const struct h1_lines *b)
{
    return a->len == b->len && a->count == b->count &&
           memcmp(a->rare, b->rare, sizeof *a->rare * a->count) == 0 &&
           memcmp(a->stop, b->stop, sizeof *a->stop * a->count) == 0;
}

typedef bool way(struct str text, struct h1_lines *lines);

static way *const ways[] = { h1_lines_find, h1_lines_find_sse2, h1_lines_find_plain };

/* All ways find what is there; with many lines they may all give up. Behind the text nothing may be read. */
static bool ways_agree(struct str text)
{
    struct h1_lines expected, found;
    bool is_there = find_slowly(text, &expected);
    bool gave_up = false;
    char *copy = malloc(text.len ? text.len : 1);

    memcpy(copy, text.at, text.len);
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        bool r = ways[i](str_of(copy, text.len), &found);

        if (i == 0)
            gave_up = is_there && !r && expected.count > H1_LINES_MANY;
        if (r != (is_there && !gave_up) || (r && !is_same(&found, &expected)))
            ck_abort_msg("way %zu finds something else in %zu octets", i, text.len);
    }
    free(copy);
    return is_there && !gave_up;
}

static void agree_with(int odd)
{
    static const char head[] =
        "GET /a HTTP/1.1\r\nHost: example.com\r\nX-Long-Name-Of-Field:\ty\r\n"
        "a:b\r\nAccept: text/html, */*;q=0.8\r\nB: \r\n\r\n";
    char text[sizeof head + 70];

    for (size_t behind = 0; behind < 70; behind += odd % 8 ? 23 : 3) {
        struct str whole = str_of(text, sizeof head - 1 + behind);

        memcpy(text, head, sizeof head - 1);
        memset(text + sizeof head - 1, "x\r\n\0"[behind % 4], behind);
        ck_assert(ways_agree(whole));
        for (size_t at = 0; at < sizeof head - 1; at++) {
            char was = text[at];

            text[at] = (char)odd;
            (void)ways_agree(whole);
            text[at] = was;
        }
        for (size_t len = 0; behind == 0 && len < whole.len; len++)
            if (ways_agree(str_up_to(whole, len)))
                ck_abort_msg("a head ends after %zu octets", len);
    }
}

/* Any octet, at any place of a head that ends at any place of a block. */
START_TEST(test_whatever_stands_where_all_ways_agree)
{
    for (int odd = _i; odd < 256; odd += 16)
        agree_with(odd);
}
END_TEST

static uint64_t next(uint64_t *random)
{
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *random >> 33;
}

/* Heads of all shapes: names and values of any length, so that they meet the edges of blocks in every way. */
START_TEST(test_lines_of_any_length_are_found)
{
    uint64_t random = (uint64_t)_i + 1;
    char text[8192];
    unsigned found = 0;

    for (int round = 0; round < 200; round++) {
        size_t len = 0, lines = 1 + next(&random) % 12;

        for (size_t i = 0; i < lines; i++) {
            size_t name = 1 + next(&random) % 70, value = next(&random) % 130;

            memset(text + len, 'n', name);
            len += name;
            text[len++] = ":: _"[next(&random) % 4];
            memset(text + len, "v: \xe9"[next(&random) % 4], value);
            len += value;
            memcpy(text + len, "\r\n", 2);
            len += 2;
        }
        memcpy(text + len, "\r\nbody\r\n\r", 9);
        found += ways_agree(str_of(text, len + 2 + next(&random) % 8));
        text[next(&random) % len] = "\r\n:n\0 "[next(&random) % 6];
        (void)ways_agree(str_of(text, len + 2));
    }
    ck_assert_uint_eq(found, 200);
}
END_TEST

/* The shortest lines there are, as many as can be in a block, and more of them than there is room for. */
START_TEST(test_too_many_lines_are_not_found_rather_than_some)
{
    char text[1024];

    for (int count = 0; count < 200; count++) {
        size_t len = 0;

        for (int i = 0; i < count; i++)
            len += (size_t)snprintf(text + len, sizeof text - len, "%.*s\r\n", 1 + i % 2, "ab");
        len += (size_t)snprintf(text + len, sizeof text - len, "\r\n");
        if (ways_agree(str_of(text, len)))
            ck_assert_int_gt(count, 0);
        else
            ck_assert(count == 0 || count > H1_LINES_MANY);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("h1_lines");
    TCase *tests = tcase_create("h1_lines");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, test_whatever_stands_where_all_ways_agree, 0, 16);
    tcase_add_loop_test(tests, test_lines_of_any_length_are_found, 0, 16);
    tcase_add_test(tests, test_too_many_lines_are_not_found_rather_than_some);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
