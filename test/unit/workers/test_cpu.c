/* Which CPUs are ours. */
#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "workers/cpu.h"

static char dir[64];

static void make_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/sluice-cpu-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static void remove_dir(void)
{
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Write a file below the directory, making what is above it. */
static void put(const char *name, const char *text)
{
    char path[256];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    for (char *c = path + strlen(dir) + 1; (c = strchr(c, '/')); c++) {
        *c = '\0';
        mkdir(path, 0755);
        *c = '/';
    }
    f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static uint32_t quota(const char *cgroup)
{
    char path[128];

    put("cgroup", cgroup);
    snprintf(path, sizeof path, "%s/cgroup", dir);
    return cpus_quota(path, dir);
}

START_TEST(test_without_a_quota_there_is_none)
{
    put("a/cpu.max", "max 100000\n");
    ck_assert_uint_eq(quota("0::/a\n"), 0);
    ck_assert_uint_eq(quota("0::/\n"), 0);
    ck_assert_uint_eq(cpus_quota("/nowhere", "/nowhere"), 0);
}
END_TEST

START_TEST(test_a_quota_of_one_and_a_half_cpus_counts_as_two)
{
    put("a/cpu.max", "150000 100000\n");
    ck_assert_uint_eq(quota("0::/a\n"), 2);
    put("a/cpu.max", "10000 100000\n");
    ck_assert_uint_eq(quota("0::/a\n"), 1);
}
END_TEST

START_TEST(test_the_tightest_group_above_counts)
{
    put("cpu.max", "900000 100000\n");
    put("a/cpu.max", "200000 100000\n");
    put("a/b/cpu.max", "400000 100000\n");
    put("a/b/c/cpu.max", "max 100000\n");
    ck_assert_uint_eq(quota("0::/a/b/c\n"), 2);
}
END_TEST

START_TEST(test_version_1_has_two_files_and_several_names)
{
    put("cpu/a/cpu.cfs_quota_us", "300000\n");
    put("cpu/a/cpu.cfs_period_us", "100000\n");
    ck_assert_uint_eq(quota("9:memory:/x\n4:cpu,cpuacct:/a\n"), 3);
    ck_assert_uint_eq(quota("4:cpuacct:/a\n"), 0);
    put("cpu,cpuacct/b/cpu.cfs_quota_us", "100000\n");
    put("cpu,cpuacct/b/cpu.cfs_period_us", "100000\n");
    ck_assert_uint_eq(quota("4:cpu,cpuacct:/b\n"), 1);
    put("cpu/a/cpu.cfs_quota_us", "-1\n");
    ck_assert_uint_eq(quota("4:cpu:/a\n"), 0);
}
END_TEST

/* In a container the path is often the host's and not to be seen; the root of the mount is our own group. */
START_TEST(test_a_path_that_is_not_here_leads_up_to_the_mount)
{
    put("cpu.max", "250000 100000\n");
    ck_assert_uint_eq(quota("0::/docker/0123456789\n"), 3);
}
END_TEST

START_TEST(test_nonsense_is_no_quota)
{
    put("a/cpu.max", "lots of it\n");
    put("b/cpu.max", "1000 0\n");
    put("c/cpu.max", "\n");
    ck_assert_uint_eq(quota("0::/a\n"), 0);
    ck_assert_uint_eq(quota("0::/b\n"), 0);
    ck_assert_uint_eq(quota("0::/c\n"), 0);
    ck_assert_uint_eq(quota("nonsense\n:::\n\n"), 0);
}
END_TEST

START_TEST(test_workers_are_as_many_as_cpus_but_never_more_than_the_quota_and_at_least_one)
{
    struct cpus c = { .count = 8 };

    ck_assert_uint_eq(cpus_workers(&c), 8);
    c.quota = 2;
    ck_assert_uint_eq(cpus_workers(&c), 2);
    c.quota = 16;
    ck_assert_uint_eq(cpus_workers(&c), 8);
    c = (struct cpus){ 0 };
    ck_assert_uint_eq(cpus_workers(&c), 1);
}
END_TEST

START_TEST(test_the_nth_cpu_is_counted_around)
{
    cpu_set_t set, one;

    CPU_ZERO(&set);
    ck_assert(!cpus_nth(&set, 0, &one));
    CPU_SET(3, &set);
    CPU_SET(5, &set);
    ck_assert(cpus_nth(&set, 0, &one) && CPU_COUNT(&one) == 1 && CPU_ISSET(3, &one));
    ck_assert(cpus_nth(&set, 1, &one) && CPU_ISSET(5, &one));
    ck_assert(cpus_nth(&set, 2, &one) && CPU_ISSET(3, &one));
}
END_TEST

START_TEST(test_this_machine_has_a_cpu)
{
    struct cpus c;

    cpus_look(&c);
    ck_assert_uint_ge(c.count, 1);
    ck_assert_uint_ge(cpus_workers(&c), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu");
    TCase *t = tcase_create("cpu");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, make_dir, remove_dir);
    tcase_add_test(t, test_without_a_quota_there_is_none);
    tcase_add_test(t, test_a_quota_of_one_and_a_half_cpus_counts_as_two);
    tcase_add_test(t, test_the_tightest_group_above_counts);
    tcase_add_test(t, test_version_1_has_two_files_and_several_names);
    tcase_add_test(t, test_a_path_that_is_not_here_leads_up_to_the_mount);
    tcase_add_test(t, test_nonsense_is_no_quota);
    tcase_add_test(t,
                   test_workers_are_as_many_as_cpus_but_never_more_than_the_quota_and_at_least_one);
    tcase_add_test(t, test_the_nth_cpu_is_counted_around);
    tcase_add_test(t, test_this_machine_has_a_cpu);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}
