/* Who is on top, by name. */
#include <math.h>
#include <stdio.h>

#include "shm/top.h"
#include "test/unit/shm/fresh.h"

#define SEAT  3
#define LIMIT 77
#define NOW   (1000 * 86400 * NS_PER_S)

static struct region *region;
static struct top top;

static void make(void)
{
    region = region_new(SMALL);
    region_begin(region);
    ck_assert(top_table(region, &top));
    region_commit(region);
    random_seed_with(&top.random, 1);
}

static void drop(void)
{
    region_close(region);
}

static void note(uint32_t seat, uint64_t limit, uint64_t key, uint32_t n, uint64_t now)
{
    char name[32];
    int len = snprintf(name, sizeof name, "client %u", (unsigned)key);

    if (!top_count(&top, seat, TOP_TAKEN, limit, key, n, now))
        top_enter(&top, seat, TOP_TAKEN, limit, key, n, now, str_of(name, (size_t)len));
}

static bool find(uint64_t limit, uint64_t key, uint64_t now, struct top_entry *out)
{
    size_t i = 0;

    while (top_next(&top, SEATS_MAX, TOP_TAKEN, now, &i, out))
        if (out->limit == limit && out->key == key)
            return true;
    return false;
}

static size_t count(void)
{
    struct top_entry e;
    size_t i = 0, n = 0;

    while (top_next(&top, SEATS_MAX, TOP_TAKEN, NOW, &i, &e))
        n++;
    return n;
}

START_TEST(test_nobody_is_there_at_first)
{
    struct top_entry e;
    size_t i = 0;

    ck_assert(!top_next(&top, SEATS_MAX, TOP_REFUSED, NOW, &i, &e));
    ck_assert(!top_count(&top, SEAT, TOP_TAKEN, LIMIT, 1, 1, NOW));
    ck_assert_uint_eq(count(), 0);
}
END_TEST

START_TEST(test_who_was_noted_is_found_by_name_with_all_that_it_had)
{
    struct top_entry e;

    note(SEAT, LIMIT, 42, 2, NOW);
    note(SEAT, LIMIT, 42, 3, NOW + NS_PER_S);
    ck_assert(find(LIMIT, 42, NOW + NS_PER_S, &e));
    ck_assert(str_equal(e.text, STR("client 42")));
    ck_assert_uint_eq(e.total, 5);
    ck_assert(e.per_s > 0);
    ck_assert(!find(LIMIT + 1, 42, NOW, &e));
    /* of another kind, seat or limit it is somebody else */
    ck_assert(!top_count(&top, SEAT, TOP_REFUSED, LIMIT, 42, 1, NOW));
    ck_assert(!top_count(&top, SEAT + 1, TOP_TAKEN, LIMIT, 42, 1, NOW));
    ck_assert_uint_eq(count(), 1);
}
END_TEST

START_TEST(test_a_name_is_cut_where_its_room_ends)
{
    char name[100];
    struct top_entry e;

    memset(name, 'x', sizeof name);
    top_enter(&top, SEAT, TOP_TAKEN, LIMIT, 1, 1, NOW, str_of(name, sizeof name));
    ck_assert(find(LIMIT, 1, NOW, &e));
    ck_assert_uint_eq(e.text.len, TOP_TEXT);
    top_enter(&top, SEAT, TOP_TAKEN, LIMIT, 2, 1, NOW, STR(""));
    ck_assert(find(LIMIT, 2, NOW, &e));
    ck_assert_uint_eq(e.text.len, 0);
}
END_TEST

START_TEST(test_key_zero_is_a_key_like_any_other)
{
    note(SEAT, LIMIT, 0, 1, NOW);
    ck_assert(top_count(&top, SEAT, TOP_TAKEN, LIMIT, 0, 1, NOW));
    ck_assert_uint_eq(count(), 1);
}
END_TEST

/* However fast it comes, and whenever one looks. */
START_TEST(test_a_steady_stream_shows_its_rate)
{
    const uint64_t per_s[] = { 1, 10, 1000, 20000 };
    uint64_t now = NOW + (uint64_t)_i * 3600 * NS_PER_S, rate = per_s[_i % 4];
    struct top_entry e;

    for (uint64_t n = 0; n < 100 * rate; n++)
        note(SEAT, LIMIT, 1, 1, now += NS_PER_S / rate);
    ck_assert(find(LIMIT, 1, now, &e));
    ck_assert_double_ge(e.per_s, 0.9 * (double)rate);
    ck_assert_double_le(e.per_s, 1.1 * (double)rate + 0.1);
    ck_assert_uint_eq(e.total, 100 * rate);
}
END_TEST

START_TEST(test_what_was_long_ago_counts_half_every_eight_seconds)
{
    double before;
    struct top_entry e;

    note(SEAT, LIMIT, 1, 1000, NOW);
    ck_assert(find(LIMIT, 1, NOW, &e));
    before = e.per_s;
    for (int i = 1; i <= 20; i++) {
        ck_assert(find(LIMIT, 1, NOW + (uint64_t)i * 8 * NS_PER_S, &e));
        ck_assert_double_eq_tol(e.per_s, before / exp2(i), before / 1e6);
    }
    ck_assert_uint_eq(e.total, 1000);
    ck_assert(find(LIMIT, 1, NOW + 365 * 86400 * NS_PER_S, &e));
    ck_assert_double_eq_tol(e.per_s, 0, 1e-9);
}
END_TEST

START_TEST(test_who_comes_today_takes_the_place_of_who_was_heavy_yesterday)
{
    struct top_entry e;

    for (uint64_t key = 1; key <= TOP_PLACES; key++)
        note(SEAT, LIMIT, key, 1000000, NOW);
    for (uint64_t key = 1001; key <= 1000 + TOP_PLACES; key++)
        note(SEAT, LIMIT, key, 1, NOW + 86400 * NS_PER_S);
    for (uint64_t key = 1001; key <= 1000 + TOP_PLACES; key++)
        ck_assert(find(LIMIT, key, NOW + 86400 * NS_PER_S, &e));
}
END_TEST

/* The promise of the sketch: whoever has more than the sum divided by the places is there, and nobody is said to have had
 * more than it had. Against counting all of them. */
START_TEST(test_the_heavy_ones_are_there_and_nobody_is_said_to_have_had_more_than_it_had)
{
    enum { CLIENTS = 5000, EVENTS = 100000 };
    static uint32_t true_count[CLIENTS];
    struct random random;
    struct top_entry e;
    size_t i = 0;

    memset(true_count, 0, sizeof true_count);
    random_seed_with(&random, (uint64_t)_i + 1);
    for (int n = 0; n < EVENTS; n++) {
        /* some of them come much more often than others: 1/x */
        uint64_t key =
            (uint64_t)exp(log(CLIENTS) * (double)random_below(&random, 1 << 20) / (1 << 20)) - 1;

        true_count[key]++;
        note(SEAT, LIMIT, key + 1, 1, NOW);
    }
    for (uint64_t key = 0; key < CLIENTS; key++)
        if (true_count[key] > EVENTS / TOP_PLACES)
            MUST(find(LIMIT, key + 1, NOW, &e));
    while (top_next(&top, SEATS_MAX, TOP_TAKEN, NOW, &i, &e)) {
        MUST(e.total <= true_count[e.key - 1]);
        /* what it is worth is at least its own: no more than what it had */
        MUST(e.per_s * 8.0 / log(2) <= true_count[e.key - 1] + 1e-3);
    }
}
END_TEST

START_TEST(test_a_busy_limit_leaves_a_quiet_one_its_places)
{
    struct top_entry e;

    note(SEAT, LIMIT + 1, 5, 1, NOW);
    for (uint64_t key = 1; key < 10000; key++)
        note(SEAT, LIMIT, key, 10, NOW);
    ck_assert(find(LIMIT + 1, 5, NOW, &e));
}
END_TEST

/* Whoever sat here before was killed while it wrote a name: its place is not shown, and the next one writes it. */
START_TEST(test_a_place_that_was_left_in_the_middle_heals)
{
    struct top_set *set = &top.seats[SEAT].sets[TOP_TAKEN][LIMIT % TOP_SETS];
    struct top_entry e;

    note(SEAT, LIMIT, 9, 1, NOW);
    word_put(&set->place[0].sequence, word_peek(&set->place[0].sequence) + 1);
    word_put(&set->place[0].text[0], 0);
    ck_assert(!find(LIMIT, 9, NOW, &e));
    ck_assert(!top_count(&top, SEAT, TOP_TAKEN, LIMIT, 9, 1, NOW));
    note(SEAT, LIMIT, 9, 1, NOW);
    ck_assert(find(LIMIT, 9, NOW, &e));
    ck_assert(str_equal(e.text, STR("client 9")));
    ck_assert_uint_eq(count(), 1);
}
END_TEST

/* ---- which events are noted ---- */

static uint64_t events_of(int count, uint64_t now, uint64_t step, uint64_t *noted)
{
    uint64_t sum = 0;

    for (int i = 0; i < count; i++, now += step) {
        uint32_t n = top_turn(&top, TOP_REFUSED, now);

        sum += n;
        *noted += n > 0;
    }
    return sum;
}

START_TEST(test_few_events_are_all_noted)
{
    uint64_t noted = 0;

    /* 200 a second */
    ck_assert_uint_eq(events_of(10000, NOW, 5 * NS_PER_MS, &noted), 10000);
    ck_assert_uint_eq(noted, 10000);
}
END_TEST

START_TEST(test_of_many_events_few_are_noted_and_they_stand_for_all)
{
    uint64_t noted = 0, sum = events_of(1000000, NOW, 1000, &noted); /* all in one second */

    ck_assert_uint_ge(sum, 1000000 - 2 * TOP_GAP);
    ck_assert_uint_le(sum, 1000000);
    ck_assert_uint_ge(noted, 1000000 / TOP_GAP * 9 / 10);
    ck_assert_uint_le(noted, 1000000 / TOP_GAP * 11 / 10 + TOP_EXACT);
    /* in the next second each counts again */
    noted = 0;
    events_of(10, NOW + 2 * NS_PER_S, 0, &noted);
    ck_assert_uint_eq(noted, 10);
    /* and the other kind has not been busy */
    ck_assert_uint_eq(top_turn(&top, TOP_TAKEN, NOW), 1);
}
END_TEST

/* In a fixed order of 32 clients each has its share. */
START_TEST(test_clients_who_come_in_turns_are_all_met)
{
    uint64_t met[TOP_GAP] = { 0 };

    for (int i = 0; i < 320000; i++)
        met[i % TOP_GAP] += top_turn(&top, TOP_REFUSED, NOW);
    for (int i = 0; i < TOP_GAP; i++) {
        ck_assert_uint_ge(met[i], 7000);
        ck_assert_uint_le(met[i], 13000);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("top");
    TCase *t = tcase_create("top");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, make, drop);
    tcase_add_test(t, test_nobody_is_there_at_first);
    tcase_add_test(t, test_who_was_noted_is_found_by_name_with_all_that_it_had);
    tcase_add_test(t, test_a_name_is_cut_where_its_room_ends);
    tcase_add_test(t, test_key_zero_is_a_key_like_any_other);
    tcase_add_loop_test(t, test_a_steady_stream_shows_its_rate, 0, 8);
    tcase_add_test(t, test_what_was_long_ago_counts_half_every_eight_seconds);
    tcase_add_test(t, test_who_comes_today_takes_the_place_of_who_was_heavy_yesterday);
    tcase_add_loop_test(
        t, test_the_heavy_ones_are_there_and_nobody_is_said_to_have_had_more_than_it_had, 0, 5);
    tcase_add_test(t, test_a_busy_limit_leaves_a_quiet_one_its_places);
    tcase_add_test(t, test_a_place_that_was_left_in_the_middle_heals);
    tcase_add_test(t, test_few_events_are_all_noted);
    tcase_add_test(t, test_of_many_events_few_are_noted_and_they_stand_for_all);
    tcase_add_test(t, test_clients_who_come_in_turns_are_all_met);
    suite_add_tcase(s, t);
    return run_and_count(s);
}
