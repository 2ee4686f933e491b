/* Endpoints, their health and the turn. */
#include <stdio.h>
#include <string.h>

#include "shm/roster.h"
#include "test/unit/shm/fresh.h"

static struct region *region;
static struct roster roster;

static void make(void)
{
    region = region_new(SMALL);
    region_begin(region);
    ck_assert(roster_table(region, STR("users"), &roster));
    region_commit(region);
}

static void drop(void)
{
    region_close(region);
}

static struct roster_endpoint endpoint(const char *address, uint32_t weight)
{
    struct roster_endpoint e = { .weight = weight };

    memset(e.address, 'x', sizeof e.address); /* what lies behind the end must not matter */
    memcpy(e.address, address, strlen(address) + 1);
    return e;
}

START_TEST(test_a_list_is_read_once_and_again_when_it_changed)
{
    struct roster_endpoint e[2] = { endpoint("10.0.0.1:80", 1), endpoint("[::1]:8080", 3) };
    struct roster_list list = { 0 };

    ck_assert(!roster_read(&roster, &list));
    ck_assert(roster_publish(&roster, e, 2));
    ck_assert(roster_read(&roster, &list));
    ck_assert_uint_eq(list.count, 2);
    ck_assert_str_eq(list.endpoints[1].address, "[::1]:8080");
    ck_assert_uint_eq(list.endpoints[1].weight, 3);
    ck_assert(!roster_read(&roster, &list));
    memset(e[0].address + 12, 'y', 20);
    ck_assert(!roster_publish(&roster, e, 2)); /* the same */
    ck_assert(!roster_read(&roster, &list));
    e[1].weight = 4;
    ck_assert(roster_publish(&roster, e, 2));
    ck_assert(roster_read(&roster, &list));
    ck_assert(roster_publish(&roster, e, 0));
    ck_assert(roster_read(&roster, &list));
    ck_assert_uint_eq(list.count, 0);
}
END_TEST

START_TEST(test_more_endpoints_than_fit_are_left_out)
{
    struct roster_endpoint e[ROSTER_MAX + 5];
    struct roster_list list = { 0 };
    char address[32];

    for (uint32_t i = 0; i < ARRAY_LEN(e); i++) {
        snprintf(address, sizeof address, "10.0.0.%u:80", i);
        e[i] = endpoint(address, 1);
    }
    ck_assert(roster_publish(&roster, e, ARRAY_LEN(e)));
    ck_assert(roster_read(&roster, &list));
    ck_assert_uint_eq(list.count, ROSTER_MAX);
}
END_TEST

START_TEST(test_health_is_found_by_address_and_stays)
{
    struct roster_health *a = roster_health_of(&roster, STR("10.0.0.1:80"));
    struct roster_health *b = roster_health_of(&roster, STR("10.0.0.2:80"));
    struct roster again;

    ck_assert_ptr_ne(a, b);
    word_put(&a->latency_ns, 55);
    region_begin(region);
    ck_assert(roster_table(region, STR("users"), &again));
    region_commit(region);
    ck_assert_uint_eq(word_peek(&roster_health_of(&again, STR("10.0.0.1:80"))->latency_ns), 55);
    ck_assert_uint_eq(word_peek(&b->latency_ns), 0);
}
END_TEST

START_TEST(test_too_many_addresses_do_without_health)
{
    char address[32];
    uint32_t without = 0;

    for (uint32_t i = 0; i < 2 * ROSTER_MAX + 10; i++) {
        int len = snprintf(address, sizeof address, "10.0.0.%u:80", i);

        without += roster_health_of(&roster, str_of(address, (size_t)len)) == NULL;
    }
    ck_assert_uint_eq(without, 10);
    ck_assert_ptr_nonnull(roster_health_of(&roster, STR("10.0.0.0:80")));
}
END_TEST

START_TEST(test_turns_count_up)
{
    ck_assert_uint_eq(roster_turn(&roster), 0);
    ck_assert_uint_eq(roster_turn(&roster), 1);
    ck_assert_uint_eq(roster_turn(&roster), 2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("roster");
    TCase *t = tcase_create("roster");

    tcase_add_checked_fixture(t, make, drop);
    tcase_add_test(t, test_a_list_is_read_once_and_again_when_it_changed);
    tcase_add_test(t, test_more_endpoints_than_fit_are_left_out);
    tcase_add_test(t, test_health_is_found_by_address_and_stays);
    tcase_add_test(t, test_too_many_addresses_do_without_health);
    tcase_add_test(t, test_turns_count_up);
    suite_add_tcase(s, t);
    return run_and_count(s);
}
