/* What each test of shared memory begins with: a small region of its own, and the end of the program. */
#ifndef TEST_UNIT_SHM_FRESH_H
#define TEST_UNIT_SHM_FRESH_H

#include <check.h>
#include <stdlib.h>

#include "gateway/base/number.h"
#include "shm/region.h"

#define SMALL (UINT64_C(512) << 20)

/* For loops: libcheck's own asserts write a line to the runner each time, even when they hold. */
#define MUST(cond)                                                                                 \
    do {                                                                                           \
        if (!(cond))                                                                               \
            ck_abort_msg("%s", #cond);                                                             \
    } while (0)

static inline int run_and_count(Suite *s)
{
    SRunner *runner = srunner_create(s);
    int failed;

    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
