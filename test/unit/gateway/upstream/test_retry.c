/* What may be tried again is what cannot have been done twice by it. */
#include <check.h>
#include <stdlib.h>

#include "gateway/upstream/retry.h"

static const enum method idempotent[] = { METHOD_GET,    METHOD_HEAD,    METHOD_PUT,
                                          METHOD_DELETE, METHOD_OPTIONS, METHOD_TRACE };
static const enum method others[] = { METHOD_POST, METHOD_PATCH, METHOD_CONNECT, METHOD_OTHER };

static bool may(enum sent sent, enum reason reason, enum method method, bool body_begun)
{
    struct attempt a = { .sent = sent, .reason = reason };
    struct request req = { .method = method };

    return retry_allowed(&a, &req, body_begun);
}

START_TEST(test_what_never_left_us_is_tried_again_whatever_it_is)
{
    for (int m = METHOD_OTHER; m < METHOD_COUNT; m++) {
        ck_assert(may(SENT_NOTHING, REASON_UPSTREAM_CONNECT_FAILED, (enum method)m, false));
        ck_assert(may(SENT_NOTHING, REASON_UPSTREAM_CONNECT_TIMEOUT, (enum method)m, false));
    }
}
END_TEST

START_TEST(test_a_gateway_that_is_full_does_not_ask_itself_again)
{
    ck_assert(!may(SENT_NOTHING, REASON_OVERLOADED, METHOD_GET, false));
}
END_TEST

/* The race of keep-alive, and a fresh link that is reset. */
START_TEST(test_an_idempotent_request_that_got_no_byte_back_is_tried_again)
{
    for (size_t i = 0; i < ARRAY_LEN(idempotent); i++) {
        ck_assert(may(SENT_ON_REUSED_NO_BYTE, REASON_UPSTREAM_RESET, idempotent[i], false));
        ck_assert(may(SENT_PART, REASON_UPSTREAM_RESET, idempotent[i], false));
    }
}
END_TEST

START_TEST(test_a_request_that_may_have_been_done_is_not_done_again)
{
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        ck_assert(!may(SENT_ON_REUSED_NO_BYTE, REASON_UPSTREAM_RESET, others[i], false));
        ck_assert(!may(SENT_PART, REASON_UPSTREAM_RESET, others[i], false));
    }
}
END_TEST

START_TEST(test_a_body_that_was_given_away_cannot_be_sent_again)
{
    ck_assert(!may(SENT_ON_REUSED_NO_BYTE, REASON_UPSTREAM_RESET, METHOD_PUT, true));
    ck_assert(!may(SENT_PART, REASON_UPSTREAM_RESET, METHOD_PUT, true));
}
END_TEST

/* A service that is slow or talks nonsense would be asked twice for nothing. */
START_TEST(test_a_time_out_or_a_bad_answer_is_final)
{
    static const enum reason reasons[] = { REASON_UPSTREAM_TIMEOUT, REASON_UPSTREAM_BAD_RESPONSE,
                                           REASON_UPSTREAM_TRUNCATED };

    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        for (int sent = SENT_ON_REUSED_NO_BYTE; sent <= SENT_ANSWERED; sent++)
            ck_assert(!may((enum sent)sent, reasons[i], METHOD_GET, false));
}
END_TEST

START_TEST(test_after_the_first_byte_of_an_answer_nothing_is_tried_again)
{
    for (int m = METHOD_OTHER; m < METHOD_COUNT; m++)
        for (int r = 0; r <= REASON_COUNT - 1; r++)
            ck_assert(!may(SENT_ANSWERED, (enum reason)r, (enum method)m, false));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("retry");
    TCase *t = tcase_create("retry");
    SRunner *runner;
    int failed;

    tcase_add_test(t, test_what_never_left_us_is_tried_again_whatever_it_is);
    tcase_add_test(t, test_a_gateway_that_is_full_does_not_ask_itself_again);
    tcase_add_test(t, test_an_idempotent_request_that_got_no_byte_back_is_tried_again);
    tcase_add_test(t, test_a_request_that_may_have_been_done_is_not_done_again);
    tcase_add_test(t, test_a_body_that_was_given_away_cannot_be_sent_again);
    tcase_add_test(t, test_a_time_out_or_a_bad_answer_is_final);
    tcase_add_test(t, test_after_the_first_byte_of_an_answer_nothing_is_tried_again);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
