/* The scripts, run by a real redis-server, against exact arithmetic written once more. The clock is the test's: in the texts,
 * TIME is replaced by two arguments, and nothing else.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/base/number.h"
#include "ratelimit/fixed_window.h"
#include "ratelimit/remote_script.h"
#include "ratelimit/sliding_log.h"
#include "ratelimit/sliding_window.h"
#include "ratelimit/token_bucket.h"

#define MUST(cond)                                                                                 \
    do {                                                                                           \
        if (!(cond))                                                                               \
            ck_abort_msg("%s", #cond);                                                             \
    } while (0)

#define US     UINT64_C(1000000) /* in a second */
#define BEGIN  UINT64_C(1795000000000000)
#define PARTS  24
#define PLAIN  "redis.call('TIME')"
#define OURS   "{ARGV[8], ARGV[9]}"
#define SCRIPT 8192

/* ---- a redis-server on a socket of its own ---------------------------------------------------- */

static char directory[] = "/tmp/sluice-XXXXXX";
static char socket_path[64];
static pid_t server;
static FILE *redis;

static void connect_redis(void)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(a.sun_path, socket_path, strlen(socket_path) + 1);
    while (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        ck_assert_msg(waitpid(server, NULL, WNOHANG) == 0, "redis-server ended");
        usleep(5000); /* it has no other way to say that it listens */
    }
    redis = fdopen(fd, "r+");
    ck_assert_ptr_nonnull(redis);
}

static void start(void)
{
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(socket_path, sizeof socket_path, "%s/redis", directory);
    server = fork();
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)!freopen("/dev/null", "w", stdout);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket_path, "--save",
               "", "--dir", directory, (char *)NULL);
        _exit(127);
    }
    connect_redis();
}

static void stop(void)
{
    fclose(redis);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    unlink(socket_path);
    rmdir(directory);
}

static void say(const char *const *words, size_t count)
{
    fprintf(redis, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++)
        fprintf(redis, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
}

static int64_t number(char kind)
{
    char line[512];

    ck_assert_ptr_nonnull(fgets(line, sizeof line, redis));
    ck_assert_msg(line[0] == kind, "redis said %s", line);
    return strtoll(line + 1, NULL, 10);
}

/* ---- a question at a moment ------------------------------------------------------------------- */

static void with_our_clock(char *to, struct str script)
{
    char text[SCRIPT];
    char *at;

    ck_assert_uint_lt(script.len, sizeof text);
    memcpy(text, script.at, script.len);
    text[script.len] = 0;
    at = strstr(text, PLAIN);
    ck_assert_ptr_nonnull(at);
    ck_assert_ptr_null(strstr(at + 1, PLAIN));
    snprintf(to, SCRIPT, "%.*s" OURS "%s", (int)(at - text), text, at + strlen(PLAIN));
}

static struct remote_answer ask(const struct remote *r, const char *key, uint64_t now_us,
                                int64_t want, uint64_t least, int64_t id)
{
    struct remote_question q;
    struct remote_answer a;
    char script[SCRIPT], texts[9][24];
    const char *words[4 + 9] = { "EVAL", script, "1", key };
    const char *persist[] = { "PERSIST", key };
    int64_t numbers[7];

    with_our_clock(script, remote_script(r->family));
    remote_ask(&q, r, want, least, id);
    for (size_t i = 0; i < 7; i++)
        snprintf(texts[i], sizeof texts[i], "%.*s", i < q.count ? (int)q.args[i].len : 1,
                 i < q.count ? q.args[i].at : "0");
    snprintf(texts[7], sizeof texts[7], "%llu", (unsigned long long)(now_us / US));
    snprintf(texts[8], sizeof texts[8], "%llu", (unsigned long long)(now_us % US));
    for (size_t i = 0; i < 9; i++)
        words[4 + i] = texts[i];
    say(words, 4 + 9);
    say(persist, 2); /* our clock may stand still longer than theirs */
    fflush(redis);
    MUST(number('*') == 7);
    for (size_t i = 0; i < 7; i++)
        numbers[i] = number(':');
    number(':');
    MUST(remote_answer_read(&a, numbers, 7, want > 0 ? (uint64_t)want : 0));
    return a;
}

static struct remote remote_of(const struct algorithm *a, uint64_t count, uint64_t per_ns,
                               uint64_t burst)
{
    struct limit l = { count, per_ns, burst };
    struct remote r;

    ck_assert_ptr_null(remote_init(&r, a, &l, false, a == &sliding_log ? 0 : 200 * NS_PER_MS));
    return r;
}

static uint64_t any(uint64_t n)
{
    return (uint64_t)random() % n;
}

static uint64_t up_to(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static const struct {
    uint64_t count, per_s, burst;
} limits[] = {
    { 100, 1, 200 }, { 7, 1, 1 }, { 1000000, 1, 50 }, { 5, 60, 5 }, { 9999, 86400, 300 },
};

/* ---- the bucket -------------------------------------------------------------------------------- */

/* Missing tokens times the period: exact. */
START_TEST(test_a_bucket_grants_what_exact_arithmetic_does)
{
    struct remote r =
        remote_of(&token_bucket, limits[_i].count, limits[_i].per_s * NS_PER_S, limits[_i].burst);
    uint64_t per_us = limits[_i].per_s * US, burst = limits[_i].burst, now = BEGIN, all = 0;
    unsigned __int128 full = (unsigned __int128)burst * per_us, level = 0;

    srandom(7);
    for (int i = 0; i < 1500; i++) {
        uint64_t earned_us = any(3) ? any(3 * per_us / limits[_i].count + 2) : 0;
        uint64_t want = 1 + any(burst + 2), least = 1 + any(want), room, granted;
        unsigned __int128 earned = (unsigned __int128)earned_us * limits[_i].count;
        struct remote_answer a;

        now += earned_us;
        level = level > earned ? level - earned : 0;
        if (any(6) == 0) {
            uint64_t given = 1 + any(3);

            ask(&r, "b", now, -(int64_t)given, 1, 0);
            level = level > (unsigned __int128)given * per_us
                        ? level - (unsigned __int128)given * per_us
                        : 0;
            continue;
        }
        room = (uint64_t)((full - level) / per_us);
        granted = room >= least ? up_to(want, room) : 0;
        a = ask(&r, "b", now, (int64_t)want, least, 0);
        MUST(a.granted == granted);
        MUST(a.delay_ns / 1000 == (uint64_t)((level + limits[_i].count - 1) / limits[_i].count));
        level += (unsigned __int128)granted * per_us;
        all += granted;
        MUST(a.left == room - granted);
        MUST(a.paced == (granted < want || room == granted));
        MUST(a.reset_ns / 1000 == (uint64_t)((level + limits[_i].count - 1) / limits[_i].count));
        if (a.paced && granted == 0 && least <= burst && any(2)) {
            /* when it says, and not long before, there is enough */
            uint64_t later = a.pace_ns / 1000;

            now += later;
            earned = (unsigned __int128)later * limits[_i].count;
            level = level > earned ? level - earned : 0;
            MUST((full - level) / per_us >= least);
        }
    }
    ck_assert_uint_gt(all, 0);
}
END_TEST

START_TEST(test_a_changed_rate_rescales_what_was_taken)
{
    struct remote slow = remote_of(&token_bucket, 10, 86400 * NS_PER_S, 10);
    struct remote fast = remote_of(&token_bucket, 1000, NS_PER_S, 20);

    ck_assert_uint_eq(ask(&slow, "r", BEGIN, 8, 1, 0).granted, 8);
    ck_assert_uint_eq(ask(&fast, "r", BEGIN, 100, 1, 0).granted, 12);
    /* back again: all of the smaller bucket is missing, and no more */
    ck_assert_uint_eq(ask(&slow, "r", BEGIN, 1, 1, 0).granted, 0);
    ck_assert_uint_le(ask(&slow, "r", BEGIN, 1, 1, 0).reset_ns, 86400 * NS_PER_S);
}
END_TEST

START_TEST(test_a_clock_that_goes_back_locks_nobody_out)
{
    struct remote bucket = remote_of(&token_bucket, 10, NS_PER_S, 10);
    struct remote window = remote_of(_i ? &sliding_window : &fixed_window, 10, NS_PER_S, 1);

    ck_assert_uint_eq(ask(&bucket, "c", BEGIN + 3600 * US, 10, 1, 0).granted, 10);
    ck_assert_uint_eq(ask(&bucket, "c", BEGIN, 1, 1, 0).granted, 0);
    ck_assert_uint_eq(ask(&bucket, "c", BEGIN + US, 10, 1, 0).granted, 10);
    ck_assert_uint_eq(ask(&window, _i ? "d" : "e", BEGIN + 3600 * US, 10, 1, 0).granted, 10);
    ck_assert_uint_eq(ask(&window, _i ? "d" : "e", BEGIN, 10, 1, 0).granted, 10);
    /* by a little, it goes on counting where it was */
    ck_assert_uint_eq(ask(&window, _i ? "g" : "f", BEGIN + 10 * US, 10, 1, 0).granted, 10);
    ck_assert_uint_eq(ask(&window, _i ? "g" : "f", BEGIN + 10 * US - 1, 1, 1, 0).granted, 0);
}
END_TEST

/* ---- windows ----------------------------------------------------------------------------------- */

static void windows(bool sliding, uint64_t count, uint64_t per_us, const char *key)
{
    struct remote r = remote_of(sliding ? &sliding_window : &fixed_window, count, per_us * 1000, 1);
    uint64_t now = BEGIN, window = 0, this = 0, last = 0, taken_window = 0, all = 0;
    uint64_t unit = per_us < 60 * US ? 1 : 1000; /* of what is left of a window */

    srandom(11);
    for (int i = 0; i < 1500; i++) {
        uint64_t want = 1 + any(count + 2), least = 1 + any(want), room, granted, left, used;
        struct remote_answer a;

        now += any(3) ? any(per_us / (any(4) + 1)) : 0;
        if (any(100) == 0)
            now += 2 * per_us;
        if (now / per_us != window) {
            last = now / per_us == window + 1 ? this : 0;
            this = 0;
            window = now / per_us;
        }
        left = per_us - now % per_us;
        if (any(6) == 0 && taken_window) {
            ask(&r, key, now, -1, 1, (int64_t)taken_window);
            if (taken_window == window)
                this -= this > 0;
            else if (taken_window + 1 == window)
                last -= last > 0;
            continue;
        }
        used = this + (sliding ? (uint64_t)((unsigned __int128)last * ((left + unit - 1) / unit) /
                                            (per_us / unit))
                               : 0);
        room = used < count ? count - used : 0;
        granted = room >= least ? up_to(want, room) : 0;
        a = ask(&r, key, now, (int64_t)want, least, 0);
        MUST(a.granted == granted);
        MUST(a.lasts_ns == left * 1000);
        MUST((uint64_t)a.id == window);
        this += granted;
        all += granted;
        taken_window = granted ? window : taken_window;
        MUST(this <= count);
        MUST(a.left == room - granted);
        if (a.paced && granted == 0 && least <= count && any(2)) {
            uint64_t then = now + a.pace_ns / 1000;

            MUST(ask(&r, key, then, 0, 1, 0).left >= least);
            now = then;
            if (now / per_us != window) {
                last = now / per_us == window + 1 ? this : 0;
                this = 0;
                window = now / per_us;
            }
        }
    }
    ck_assert_uint_gt(all, count);
}

START_TEST(test_windows_grant_what_exact_arithmetic_does)
{
    char key[16];

    snprintf(key, sizeof key, "w%d", _i);
    windows(_i % 2, limits[_i / 2].count, limits[_i / 2].per_s * US, key);
}
END_TEST

START_TEST(test_a_changed_period_keeps_what_was_used)
{
    struct remote minute = remote_of(&fixed_window, 10, 60 * NS_PER_S, 1);
    struct remote hour = remote_of(&fixed_window, 15, 3600 * NS_PER_S, 1);

    ck_assert_uint_eq(ask(&minute, "p", BEGIN, 8, 1, 0).granted, 8);
    ck_assert_uint_eq(ask(&hour, "p", BEGIN, 100, 1, 0).granted, 7);
    ck_assert_uint_eq(ask(&minute, "p", BEGIN, 1, 1, 0).granted, 0);
    /* and is not locked out for longer than its own window */
    ck_assert_uint_eq(ask(&minute, "p", BEGIN + 60 * US, 1, 1, 0).granted, 1);
}
END_TEST

/* ---- the log ----------------------------------------------------------------------------------- */

START_TEST(test_a_log_grants_what_a_list_of_all_stamps_does)
{
    struct remote r = remote_of(&sliding_log, 20, NS_PER_S, 1);
    static uint64_t stamps[10000];
    size_t n = 0;
    uint64_t now = BEGIN;

    srandom(13);
    for (int i = 0; i < 1500; i++) {
        uint64_t want = any(50) ? 1 + any(4) : 1 + any(1000), used = 0;
        uint64_t least = any(2) ? want : 1 + any(want);
        struct remote_answer a;

        now += any(120000);
        if (any(10) == 0 && n > 0) {
            size_t k = n - 1 - any(up_to(n, 5));

            ask(&r, "l", now, -1, 1, (int64_t)stamps[k]);
            memmove(&stamps[k], &stamps[k + 1], (n - k - 1) * sizeof stamps[0]);
            n--;
            continue;
        }
        for (size_t k = 0; k < n; k++)
            used += stamps[k] > now - US;
        a = ask(&r, "l", now, (int64_t)want, least, 0);
        MUST(a.granted == (used + least <= 20 ? up_to(want, 20 - used) : 0));
        for (uint64_t k = 0; k < a.granted; k++)
            stamps[n++] = now;
        MUST(a.left == 20 - used - a.granted);
        if (a.granted)
            MUST((uint64_t)a.id == now);
        else if (least <= 20)
            MUST(ask(&r, "l", now + a.pace_ns / 1000, 0, 0, 0).left >= least);
    }
    ck_assert_uint_gt(n, 100);
}
END_TEST

/* ---- keys --------------------------------------------------------------------------------------- */

static int64_t ttl_after(const struct remote *r, const char *key, int64_t want)
{
    struct remote_question q;
    const char *words[4 + REMOTE_ARGS] = { "EVAL", NULL, "1", key };
    const char *ttl[] = { "PTTL", key };
    char script[SCRIPT], texts[REMOTE_ARGS][24];
    struct str text = remote_script(r->family);

    snprintf(script, sizeof script, "%.*s", (int)text.len, text.at);
    words[1] = script;
    remote_ask(&q, r, want, 1, 0);
    for (size_t i = 0; i < q.count; i++) {
        snprintf(texts[i], sizeof texts[i], "%.*s", (int)q.args[i].len, q.args[i].at);
        words[4 + i] = texts[i];
    }
    say(words, 4 + q.count);
    say(ttl, 2);
    fflush(redis);
    for (int64_t n = number('*'); n > 0; n--)
        number(':');
    return number(':');
}

/* With Redis' own clock. */
START_TEST(test_keys_expire_when_they_mean_nothing_and_go_when_all_is_given_back)
{
    struct remote bucket = remote_of(&token_bucket, 10, NS_PER_S, 10);
    struct remote fixed = remote_of(&fixed_window, 10, 60 * NS_PER_S, 10);
    struct remote sliding = remote_of(&sliding_window, 10, 60 * NS_PER_S, 10);
    int64_t ms = ttl_after(&bucket, "t1", 10);

    ck_assert_int_gt(ms, 1000);
    ck_assert_int_le(ms, 2100);
    ck_assert_int_eq(ttl_after(&bucket, "t1", -100), -2);
    ms = ttl_after(&fixed, "t2", 10);
    ck_assert_int_gt(ms, 0);
    ck_assert_int_le(ms, 60002);
    ms = ttl_after(&sliding, "t3", 10);
    ck_assert_int_gt(ms, 59000);
    ck_assert_int_le(ms, 120002);
    /* who looks leaves nothing behind */
    ck_assert_int_eq(ttl_after(&bucket, "t4", 0), -2);
}
END_TEST

static int64_t announce(const char *name, uint64_t now_us)
{
    char script[SCRIPT], s[24], us[24];
    const char *words[] = { "EVAL", script, "1", "gateways", name, "15000000", "",
                            "",     "",     "",  "",         s,    us };

    with_our_clock(script, remote_announce_script());
    snprintf(s, sizeof s, "%llu", (unsigned long long)(now_us / US));
    snprintf(us, sizeof us, "%llu", (unsigned long long)(now_us % US));
    say(words, ARRAY_LEN(words));
    fflush(redis);
    ck_assert_int_eq(number('*'), 1);
    return number(':');
}

static const char *const garbage[] = {
    "",
    "x",
    "1 2 3",
    "1 2 3 4 5",
    "-1 2 3 4",
    "1795000000000000 nan 1 1",
    "9 9 9 9",
    "99999999999999999999 99999999999999999999 99999999999999999999 99999999999999999999",
    "1795000000000000 99999999999999999999 1 10000",
};

/* Whatever stands there: nobody is granted more than the limit, or refused for longer than it takes to earn it all. */
START_TEST(test_what_nobody_wrote_locks_nobody_out)
{
    struct remote limits_[] = { remote_of(&token_bucket, 100, NS_PER_S, 50),
                                remote_of(&fixed_window, 50, NS_PER_S, 1),
                                remote_of(&sliding_window, 50, NS_PER_S, 1) };

    for (size_t i = 0; i < ARRAY_LEN(limits_); i++) {
        const char *set[] = { "SET", "garbage", garbage[_i] };
        char line[16];
        struct remote_answer a;

        say(set, 3);
        fflush(redis);
        ck_assert_ptr_nonnull(fgets(line, sizeof line, redis));
        a = ask(&limits_[i], "garbage", BEGIN, 100, 1, 0);
        ck_assert_uint_le(a.granted, 50);
        ck_assert_uint_le(a.pace_ns, 2 * NS_PER_S);
        a = ask(&limits_[i], "garbage", BEGIN + 2 * US, 100, 1, 0);
        ck_assert_uint_ge(a.granted, 1);
        ck_assert_uint_le(a.granted, 50);
    }
}
END_TEST

START_TEST(test_gateways_are_counted_until_they_are_silent_for_long)
{
    ck_assert_int_eq(announce("a", BEGIN), 1);
    ck_assert_int_eq(announce("b", BEGIN + US), 2);
    ck_assert_int_eq(announce("a", BEGIN + 10 * US), 2);
    ck_assert_int_eq(announce("a", BEGIN + 17 * US), 1);
    /* a clock that went back by an hour does not keep the dead alive */
    ck_assert_int_eq(announce("b", BEGIN - 3600 * US), 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("remote_script");
    TCase *t = tcase_create("redis");
    SRunner *runner;
    int failed;

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, start, stop);
    tcase_add_loop_test(t, test_a_bucket_grants_what_exact_arithmetic_does, 0, ARRAY_LEN(limits));
    tcase_add_test(t, test_a_changed_rate_rescales_what_was_taken);
    tcase_add_loop_test(t, test_a_clock_that_goes_back_locks_nobody_out, 0, 2);
    tcase_add_loop_test(t, test_windows_grant_what_exact_arithmetic_does, 0,
                        2 * (int)ARRAY_LEN(limits));
    tcase_add_test(t, test_a_changed_period_keeps_what_was_used);
    tcase_add_test(t, test_a_log_grants_what_a_list_of_all_stamps_does);
    tcase_add_test(t, test_keys_expire_when_they_mean_nothing_and_go_when_all_is_given_back);
    tcase_add_loop_test(t, test_what_nobody_wrote_locks_nobody_out, 0, ARRAY_LEN(garbage));
    tcase_add_test(t, test_gateways_are_counted_until_they_are_silent_for_long);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
