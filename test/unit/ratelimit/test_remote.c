/* What a node does with its share of a limit, and that many nodes together never get more than the limit says. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/number.h"
#include "ratelimit/fixed_window.h"
#include "ratelimit/leaky_bucket.h"
#include "ratelimit/remote.h"
#include "ratelimit/sliding_log.h"
#include "ratelimit/sliding_window.h"
#include "ratelimit/token_bucket.h"

/* For loops: libcheck's own asserts write a line to the runner each time, even when they hold. */
#define MUST(cond)                                                                                 \
    do {                                                                                           \
        if (!(cond))                                                                               \
            ck_abort_msg("%s", #cond);                                                             \
    } while (0)

#define T0    (1000 * NS_PER_S)
#define EVERY (200 * NS_PER_MS)

static struct remote remote_of(const struct algorithm *a, uint64_t count, uint64_t per_ns,
                               uint64_t burst)
{
    struct limit l = { count, per_ns, burst };
    struct remote r;

    ck_assert_ptr_null(remote_init(&r, a, &l, false, EVERY));
    return r;
}

static struct remote_answer granted(uint64_t n)
{
    return (struct remote_answer){ .granted = n };
}

static struct remote_answer nothing_for(uint64_t ns)
{
    return (struct remote_answer){ .paced = true, .pace_ns = ns };
}

static enum remote_verdict take(uint64_t *word, const struct remote *r, uint64_t now_ns,
                                uint64_t cost)
{
    struct remote_taking t;

    *word = remote_take(*word, r, now_ns, cost, &t);
    return t.verdict;
}

START_TEST(test_who_has_nothing_asks)
{
    struct remote r = remote_of(&token_bucket, 100, NS_PER_S, 200);
    uint64_t word = 0;

    ck_assert_int_eq(take(&word, &r, T0, 1), REMOTE_ASK);
    ck_assert_uint_eq(word, 0);
}
END_TEST

START_TEST(test_what_was_granted_is_spent_and_not_one_more)
{
    struct remote r = remote_of(&token_bucket, 100, NS_PER_S, 200);
    struct remote_answer a = granted(5);
    uint64_t word = remote_grant(0, &r, T0, T0, &a);

    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(take(&word, &r, T0, 1), REMOTE_TAKEN);
    ck_assert_int_eq(take(&word, &r, T0, 1), REMOTE_ASK);
    a = granted(7);
    word = remote_grant(word, &r, T0, T0, &a);
    ck_assert_int_eq(take(&word, &r, T0, 8), REMOTE_ASK);
    ck_assert_int_eq(take(&word, &r, T0, 7), REMOTE_TAKEN);
}
END_TEST

START_TEST(test_a_second_grant_adds_to_the_first)
{
    struct remote r = remote_of(&token_bucket, 100, NS_PER_S, 200);
    struct remote_answer a = granted(5);
    uint64_t word = remote_grant(remote_grant(0, &r, T0, T0, &a), &r, T0, T0, &a);

    ck_assert_int_eq(take(&word, &r, T0, 10), REMOTE_TAKEN);
    ck_assert_int_eq(take(&word, &r, T0, 1), REMOTE_ASK);
}
END_TEST

static const uint64_t long_waits[] = { NS_PER_MS, 50 * NS_PER_MS, 3600 * NS_PER_S, 86400 * NS_PER_S,
                                       11 * 86400 * NS_PER_S };

START_TEST(test_when_there_is_nothing_left_nobody_asks_before_the_time)
{
    struct remote r = remote_of(&token_bucket, 100, 86400 * NS_PER_S, 200);
    struct remote_answer a = nothing_for(long_waits[_i]);
    uint64_t word = remote_grant(0, &r, T0, T0, &a);
    struct remote_taking t;

    remote_take(word, &r, T0 + long_waits[_i] / 2, 1, &t);
    ck_assert_int_eq(t.verdict, REMOTE_REFUSED);
    ck_assert_uint_ge(t.retry_ns, long_waits[_i] / 2);
    ck_assert_uint_le(t.retry_ns, long_waits[_i] / 2 + 2 * NS_PER_MS);
    ck_assert_int_eq(take(&word, &r, T0 + long_waits[_i] + NS_PER_MS, 1), REMOTE_ASK);
}
END_TEST

START_TEST(test_a_share_of_a_window_ends_with_it)
{
    struct remote r = remote_of(&fixed_window, 100, NS_PER_S, 1);
    struct remote_answer a = { .granted = 5, .lasts_ns = 300 * NS_PER_MS };
    uint64_t word = remote_grant(0, &r, T0, T0 + 20 * NS_PER_MS, &a), kept = word;

    ck_assert_int_eq(take(&word, &r, T0 + 299 * NS_PER_MS, 5), REMOTE_TAKEN);
    ck_assert_int_eq(take(&kept, &r, T0 + 300 * NS_PER_MS, 1), REMOTE_ASK);
}
END_TEST

START_TEST(test_what_was_not_used_can_be_used_by_another)
{
    struct remote r = remote_of(&token_bucket, 100, NS_PER_S, 200);
    struct remote_answer a = granted(2);
    uint64_t word = remote_grant(0, &r, T0, T0, &a);

    ck_assert_int_eq(take(&word, &r, T0, 2), REMOTE_TAKEN);
    word = remote_give_back(word, &r, T0 + NS_PER_S, 2, T0);
    ck_assert_int_eq(take(&word, &r, T0 + NS_PER_S, 2), REMOTE_TAKEN);
    /* and never more than could ever be taken at once */
    word = remote_give_back(word, &r, T0 + NS_PER_S, 100000, T0);
    ck_assert_int_eq(take(&word, &r, T0 + NS_PER_S, 201), REMOTE_ASK);
    ck_assert_int_eq(take(&word, &r, T0 + NS_PER_S, 200), REMOTE_TAKEN);
    ck_assert_uint_eq(remote_give_back(0, &r, T0, 5, T0), 0);
}
END_TEST

START_TEST(test_what_was_taken_in_an_earlier_window_does_not_come_back_in_this)
{
    struct remote r = remote_of(_i ? &sliding_window : &fixed_window, 100, NS_PER_S, 1);
    struct remote_answer a = { .granted = 5, .lasts_ns = 500 * NS_PER_MS };
    uint64_t word = remote_grant(0, &r, T0, T0, &a), later;

    ck_assert_int_eq(take(&word, &r, T0, 5), REMOTE_TAKEN);
    later = remote_give_back(word, &r, T0 + 100 * NS_PER_MS, 2, T0);
    ck_assert_int_eq(take(&later, &r, T0 + 100 * NS_PER_MS, 2), REMOTE_TAKEN);
    a = (struct remote_answer){ .granted = 1, .lasts_ns = NS_PER_S };
    word = remote_grant(word, &r, T0 + 500 * NS_PER_MS, T0 + 500 * NS_PER_MS, &a);
    word = remote_give_back(word, &r, T0 + 600 * NS_PER_MS, 2, T0 + 400 * NS_PER_MS);
    ck_assert_int_eq(take(&word, &r, T0 + 600 * NS_PER_MS, 2), REMOTE_ASK);
}
END_TEST

START_TEST(test_a_changed_limit_keeps_what_is_held_and_forgets_that_there_was_nothing)
{
    struct remote r = remote_of(&token_bucket, 100, NS_PER_S, 10);
    struct limit was = { 5, NS_PER_S, 400 };
    struct remote_answer a = granted(300);
    uint64_t word = remote_grant(0, &r, T0, T0, &a);

    word = remote_rescale(word, &r, &was);
    ck_assert_int_eq(take(&word, &r, T0, 11), REMOTE_ASK);
    ck_assert_int_eq(take(&word, &r, T0, 10), REMOTE_TAKEN);
    a = nothing_for(3600 * NS_PER_S);
    word = remote_rescale(remote_grant(0, &r, T0, T0, &a), &r, &was);
    ck_assert_int_eq(take(&word, &r, T0, 1), REMOTE_ASK);
}
END_TEST

/* The worst that one gateway may hold of a limit that so many keep. */
START_TEST(test_a_share_is_never_asked_for_beyond_its_part_of_the_error)
{
    struct remote r = remote_of(&token_bucket, 1000, NS_PER_S, 300);

    for (uint64_t gateways = 1; gateways < 40; gateways++)
        for (uint64_t size = 0; size < 400; size += 7)
            for (uint64_t spent = 0; spent <= size; spent += 3) {
                struct remote_answer a = granted(size);
                struct remote_note note = { .granted_ns = T0 };
                uint64_t word = remote_grant(0, &r, T0, T0, &a), want;

                take(&word, &r, T0, spent);
                want = remote_want(word, &r, &note, T0 + 10 * NS_PER_MS, gateways, 0);
                MUST(want == 0 || want + size - spent <= 300 / (10 * gateways));
                /* but who waits is always asked for */
                MUST(remote_want(word, &r, &note, T0, gateways, 500) == 500);
            }
}
END_TEST

/* A share follows what is spent, and is meant to last for `every`. */
START_TEST(test_shares_grow_and_shrink_with_what_is_spent)
{
    struct remote r = remote_of(&token_bucket, 100000, NS_PER_S, 100000);
    struct remote_note note = { 0 };
    uint64_t word = 0, want = 1, now = T0;

    for (int i = 0; i < 12; i++) { /* 5 in a ms */
        struct remote_answer a = granted(want);

        word = remote_grant(word, &r, now, now, &a);
        note.granted_ns = now;
        take(&word, &r, now, want);
        now += want * NS_PER_MS / 5;
        want = remote_want(word, &r, &note, now, 1, 1);
    }
    ck_assert_uint_ge(want, 900);
    ck_assert_uint_le(want, 1100);
    for (int i = 0; i < 12; i++) { /* one in 100 ms */
        struct remote_answer a = granted(want);

        word = remote_grant(0, &r, now, now, &a);
        note.granted_ns = now;
        take(&word, &r, now, want);
        now += want * 100 * NS_PER_MS;
        want = remote_want(word, &r, &note, now, 1, 1);
    }
    ck_assert_uint_le(want, 3);
}
END_TEST

START_TEST(test_a_note_reads_back)
{
    struct remote_note n = { .granted_ns = T0 - 700 * NS_PER_MS,
                             .asked_until_ns = T0 + 50 * NS_PER_MS,
                             .left = 12345 };
    struct remote_note m = remote_note_unpack(remote_note_pack(&n), T0);

    ck_assert_uint_eq(m.granted_ns, n.granted_ns);
    ck_assert_uint_eq(m.asked_until_ns, n.asked_until_ns);
    ck_assert_uint_eq(m.left, n.left);
    /* whatever lies there, it is only about now */
    for (int i = 0; i < 100000; i++) {
        m = remote_note_unpack((uint64_t)random() << 33 ^ (uint64_t)random() << 11, T0);
        MUST(m.granted_ns <= T0);
    }
}
END_TEST

static const int64_t lies[][7] = {
    { -1, 0, 0, 0, 0, 0, 0 },        { 6, 0, 0, 0, 0, 0, 0 },  { 1, -1, 0, 0, 0, 0, 0 },
    { 1, 0, INT64_MAX, 0, 0, 0, 0 }, { 1, 0, 0, -7, 0, 0, 0 }, { 1, 0, 0, 0, INT64_MIN, 0, 0 },
    { 1, 0, 0, 0, 0, 0, -1 },
};

START_TEST(test_a_lie_is_not_believed)
{
    static const int64_t truth[7] = { 5, 10, 20, 30, 40, 50, 60 };
    struct remote_answer a;

    ck_assert(!remote_answer_read(&a, lies[_i], 7, 5));
    ck_assert(!remote_answer_read(&a, truth, 6, 5));
    ck_assert(remote_answer_read(&a, truth, 7, 5));
    ck_assert_uint_eq(a.pace_ns, 10000);
}
END_TEST

/* A word that nobody wrote is some word: it may hold anything, and leads to nothing undefined. */
START_TEST(test_any_word_can_be_read)
{
    struct remote r = remote_of(_i ? &sliding_window : &token_bucket, 100, NS_PER_S, 200);

    for (int i = 0; i < 200000; i++) {
        uint64_t word = (uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^ (uint64_t)random();
        struct remote_answer a = nothing_for((uint64_t)random());
        struct remote_note note = remote_note_unpack(word, T0);
        struct remote_taking t;

        remote_take(word, &r, T0, 1 + (uint64_t)random() % 5, &t);
        MUST(t.balance <= REMOTE_TOKENS_MAX);
        MUST(remote_want(word, &r, &note, T0, 3, 0) <= 6);
        remote_take(remote_give_back(word, &r, T0, 3, T0), &r, T0, 1, &t);
        remote_take(remote_grant(word, &r, T0, T0, &a), &r, T0, 1, &t);
    }
}
END_TEST

/* ---- many nodes -------------------------------------------------------------------------------- */

/* What Redis does, written once more and slowly: exact, on its own clock, with every grant remembered. */
struct store {
    const struct remote *r;
    unsigned __int128 level; /* of a bucket: tokens times period that are missing */
    uint64_t at_us;
    uint64_t window, this, last;
};

static struct remote_answer ask_store(struct store *s, uint64_t now_us, uint64_t want)
{
    const struct limit *l = &s->r->limit;
    uint64_t per_us = l->per_ns / 1000, room;
    struct remote_answer a = { 0 };

    if (s->r->family == REMOTE_BUCKET) {
        unsigned __int128 full = (unsigned __int128)l->burst * per_us;
        unsigned __int128 earned = (unsigned __int128)(now_us - s->at_us) * l->count;

        s->level = s->level > earned ? s->level - earned : 0;
        s->at_us = now_us;
        room = (uint64_t)((full - s->level) / per_us);
        a.granted = want < room ? want : room;
        s->level += (unsigned __int128)a.granted * per_us;
        a.paced = a.granted < want;
        a.pace_ns = a.paced ? 1000 * (per_us / l->count + 1) : 0;
        return a;
    }
    if (now_us / per_us != s->window) {
        s->window = now_us / per_us;
        s->this = 0;
    }
    room = l->count - s->this;
    a.granted = want < room ? want : room;
    s->this += a.granted;
    a.lasts_ns = (per_us - now_us % per_us) * 1000;
    a.paced = a.granted < want;
    a.pace_ns = a.paced ? a.lasts_ns : 0;
    return a;
}

#define NODES   5
#define WORKERS 2
#define SKEW    (50 * NS_PER_MS)

struct question {
    bool there;
    uint64_t arrives_ns, returns_ns, asked_ns, needed;
    bool lost, lost_after;
    struct remote_answer answer;
    bool answered;
    int worker;
};

struct node {
    uint64_t word, outage_ns;
    int64_t skew[WORKERS];
    struct question q[4];
    uint64_t held; /* granted and not spent, as a ledger */
};

static uint64_t any(uint64_t n)
{
    return (uint64_t)random() % n;
}

/* Nodes with several workers whose clocks differ by up to 100 ms, questions that take their time, get lost on the way there or
 * back, and nodes that die: what is admitted was granted, and what is granted is what the limit says. */
static void many_nodes(const struct algorithm *algorithm, uint64_t count, uint64_t per_ns,
                       uint64_t burst)
{
    struct remote r = remote_of(algorithm, count, per_ns, burst);
    struct store store = { .r = &r, .at_us = T0 / 1000 };
    struct node nodes[NODES] = { 0 };
    uint64_t begun = T0, now = T0, granted_all = 0, admitted = 0, asked = 0, window_granted = 0;
    uint64_t window = 0, most_held = 0;

    for (int n = 0; n < NODES; n++)
        for (int w = 0; w < WORKERS; w++)
            nodes[n].skew[w] = (int64_t)any(2 * SKEW) - (int64_t)SKEW;
    for (int step = 0; step < 60000; step++) {
        struct node *n = &nodes[any(NODES)];
        int w = (int)any(WORKERS);
        uint64_t clock, held = 0;
        struct remote_taking t;
        uint64_t cost = 1 + any(3);

        now += any(2 * NS_PER_MS);
        clock = now + (uint64_t)n->skew[w];
        for (int i = 0; i < NODES; i++)
            for (size_t k = 0; k < 4; k++) {
                struct node *m = &nodes[i];
                struct question *q = &m->q[k];

                if (!q->there)
                    continue;
                if (!q->answered && now >= q->arrives_ns) {
                    uint64_t at_us = q->arrives_ns / 1000;

                    q->answered = true;
                    if (!q->lost) {
                        if (store.at_us > at_us)
                            at_us = store.at_us;
                        q->answer = ask_store(&store, at_us, q->needed);
                        if (at_us / (per_ns / 1000) != window) {
                            window = at_us / (per_ns / 1000);
                            window_granted = 0;
                        }
                        store.at_us = at_us;
                        granted_all += q->answer.granted;
                        window_granted += q->answer.granted;
                        if (r.family == REMOTE_BUCKET)
                            MUST((unsigned __int128)granted_all * per_ns <=
                                 (unsigned __int128)burst * per_ns +
                                     (unsigned __int128)(at_us * 1000 - begun) * count);
                        else
                            MUST(window_granted <= count);
                    }
                }
                if (now < q->returns_ns)
                    continue;
                q->there = false;
                if (q->lost || q->lost_after)
                    continue;
                m->word = remote_grant(m->word, &r, q->asked_ns, now + (uint64_t)m->skew[q->worker],
                                       &q->answer);
                m->held += q->answer.granted;
            }
        if (any(3000) == 0) { /* it dies, and another one takes its place */
            memset(n->q, 0, sizeof n->q);
            n->word = 0;
            n->held = 0;
            continue;
        }
        n->word = remote_take(n->word, &r, clock, cost, &t);
        if (t.verdict == REMOTE_TAKEN) {
            MUST(n->held >= cost);
            n->held -= cost;
            admitted += cost;
            if (any(20) == 0) {
                uint64_t before = n->word;

                n->word = remote_give_back(n->word, &r, clock, cost, clock);
                if (n->word != before) {
                    n->held += cost;
                    admitted -= cost;
                }
            }
        }
        if (t.verdict == REMOTE_ASK || (t.verdict == REMOTE_TAKEN && t.low))
            for (size_t k = 0; k < 4; k++) {
                struct question *q = &n->q[k];
                struct remote_note note = { .granted_ns = clock - 100 * NS_PER_MS };

                if (q->there)
                    continue;
                *q = (struct question){ .there = true,
                                        .asked_ns = clock,
                                        .arrives_ns = now + any(5 * NS_PER_MS),
                                        .lost = any(50) == 0,
                                        .lost_after = any(50) == 0,
                                        .worker = w };
                q->needed = remote_want(n->word, &r, &note, clock, NODES,
                                        t.verdict == REMOTE_ASK ? cost : 0);
                q->returns_ns = q->arrives_ns + any(5 * NS_PER_MS);
                q->there = q->needed > 0;
                asked += q->there;
                break;
            }
        for (int i = 0; i < NODES; i++)
            held += nodes[i].held;
        most_held = held > most_held ? held : most_held;
        MUST(admitted <= granted_all);
    }
    /* there was far more to do than is allowed: most of it has been given out */
    MUST((unsigned __int128)granted_all * per_ns * 100 >=
         (unsigned __int128)(now - begun) * count * 80);
    MUST(admitted * 100 >= granted_all * 75);
    MUST(asked > 0 && asked < 60000);
}

static const struct {
    const struct algorithm *algorithm;
    uint64_t count, per_ns, burst;
} limits[] = {
    { &token_bucket, 100, NS_PER_S, 200 },     { &token_bucket, 300, NS_PER_S, 20 },
    { &token_bucket, 3000, 60 * NS_PER_S, 7 }, { &leaky_bucket, 7, NS_PER_S, 100 },
    { &fixed_window, 100, NS_PER_S, 1 },       { &fixed_window, 500, 60 * NS_PER_S, 1 },
};

START_TEST(test_many_nodes_admit_what_they_were_granted_and_no_more)
{
    srandom(1 + (unsigned)_i);
    for (int i = 0; i < 5; i++)
        many_nodes(limits[_i].algorithm, limits[_i].count, limits[_i].per_ns, limits[_i].burst);
}
END_TEST

/* ---- what cannot be --------------------------------------------------------------------------- */

START_TEST(test_what_cannot_be_shared_is_said_when_it_is_made)
{
    struct limit l = { 10, NS_PER_S, 10 }, odd = { 999983, 86400 * NS_PER_S, 999983 };
    struct remote r;

    ck_assert_ptr_nonnull(remote_init(&r, &sliding_log, &l, false, EVERY));
    ck_assert_ptr_null(remote_init(&r, &sliding_log, &l, false, 0));
    ck_assert_ptr_nonnull(remote_init(&r, &leaky_bucket, &l, true, EVERY));
    ck_assert_ptr_null(remote_init(&r, &leaky_bucket, &l, true, 0));
    ck_assert_ptr_nonnull(remote_init(&r, &token_bucket, &odd, false, EVERY));
    ck_assert_ptr_null(remote_init(&r, &sliding_window, &odd, false, EVERY));
    odd.count = 100000000;
    ck_assert_ptr_nonnull(remote_init(&r, &sliding_window, &odd, false, EVERY));
    ck_assert_ptr_null(remote_init(&r, &fixed_window, &odd, false, EVERY));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("remote");
    TCase *t = tcase_create("share");
    SRunner *runner;
    int failed;

    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_who_has_nothing_asks);
    tcase_add_test(t, test_what_was_granted_is_spent_and_not_one_more);
    tcase_add_test(t, test_a_second_grant_adds_to_the_first);
    tcase_add_loop_test(t, test_when_there_is_nothing_left_nobody_asks_before_the_time, 0,
                        ARRAY_LEN(long_waits));
    tcase_add_test(t, test_a_share_of_a_window_ends_with_it);
    tcase_add_test(t, test_what_was_not_used_can_be_used_by_another);
    tcase_add_loop_test(t, test_what_was_taken_in_an_earlier_window_does_not_come_back_in_this, 0,
                        2);
    tcase_add_test(t, test_a_changed_limit_keeps_what_is_held_and_forgets_that_there_was_nothing);
    tcase_add_test(t, test_a_share_is_never_asked_for_beyond_its_part_of_the_error);
    tcase_add_test(t, test_shares_grow_and_shrink_with_what_is_spent);
    tcase_add_test(t, test_a_note_reads_back);
    tcase_add_loop_test(t, test_a_lie_is_not_believed, 0, ARRAY_LEN(lies));
    tcase_add_loop_test(t, test_any_word_can_be_read, 0, 2);
    tcase_add_loop_test(t, test_many_nodes_admit_what_they_were_granted_and_no_more, 0,
                        ARRAY_LEN(limits));
    tcase_add_test(t, test_what_cannot_be_shared_is_said_when_it_is_made);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
