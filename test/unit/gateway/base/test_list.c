/* Links that live in the members. */
#include <check.h>
#include <string.h>

#include "gateway/base/list.h"

struct member {
    char name;
    struct link_node node;
};

static struct list list;
static struct member a = { .name = 'a' }, b = { .name = 'b' }, c = { .name = 'c' };

static void make(void)
{
    list_init(&list);
    link_init(&a.node);
    link_init(&b.node);
    link_init(&c.node);
}

static void check_is(struct list *l, const char *names)
{
    char all[8] = "";
    size_t len = 0;

    LIST_EACH (l, n)
        all[len++] = CONTAINER(n, struct member, node)->name;
    ck_assert_str_eq(all, names);
    ck_assert(list_is_empty(l) == (len == 0));
}

START_TEST(test_members_stand_in_the_order_of_pushing)
{
    check_is(&list, "");
    ck_assert_ptr_null(list_first(&list));
    ck_assert_ptr_null(list_last(&list));
    ck_assert_ptr_null(list_pop_front(&list));
    list_push_back(&list, &b.node);
    list_push_back(&list, &c.node);
    list_push_front(&list, &a.node);
    check_is(&list, "abc");
    ck_assert_ptr_eq(list_first(&list), &a.node);
    ck_assert_ptr_eq(list_last(&list), &c.node);
    ck_assert_ptr_eq(list_pop_front(&list), &a.node);
    check_is(&list, "bc");
}
END_TEST

START_TEST(test_removal_may_be_repeated_and_a_link_knows_if_it_is_on_a_list)
{
    list_push_back(&list, &a.node);
    list_push_back(&list, &b.node);
    list_push_back(&list, &c.node);
    ck_assert(link_is_on_list(&b.node));
    link_remove(&b.node);
    ck_assert(!link_is_on_list(&b.node));
    link_remove(&b.node);
    check_is(&list, "ac");
    link_remove(&a.node);
    link_remove(&c.node);
    check_is(&list, "");
}
END_TEST

START_TEST(test_the_member_at_hand_may_be_removed_in_a_loop)
{
    list_push_back(&list, &a.node);
    list_push_back(&list, &b.node);
    list_push_back(&list, &c.node);
    LIST_EACH (&list, n)
        if (n != &b.node)
            link_remove(n);
    check_is(&list, "b");
}
END_TEST

START_TEST(test_a_whole_list_moves_in_one_step)
{
    struct list to;

    list_move(&to, &list);
    check_is(&to, "");
    list_push_back(&list, &a.node);
    list_push_back(&list, &b.node);
    list_move(&to, &list);
    check_is(&list, "");
    check_is(&to, "ab");
    link_remove(&a.node);
    check_is(&to, "b");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("list");
    TCase *t = tcase_create("list");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_checked_fixture(t, make, NULL);
    tcase_add_test(t, test_members_stand_in_the_order_of_pushing);
    tcase_add_test(t, test_removal_may_be_repeated_and_a_link_knows_if_it_is_on_a_list);
    tcase_add_test(t, test_the_member_at_hand_may_be_removed_in_a_loop);
    tcase_add_test(t, test_a_whole_list_moves_in_one_step);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
