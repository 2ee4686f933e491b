/* Properties of algorithms. */
#include "properties.h"

struct limit limit_for(const struct algorithm *a, const char *text)
{
    struct limit l;
    const char *why = limit_read(str_from(text), &l);

    ck_assert_msg(why == NULL, "%s: %s", text, why);
    why = a->cannot(&l);
    ck_assert_msg(why == NULL, "%s: %s", text, why);
    return l;
}

uint64_t allowed_of(const struct algorithm *a, uint64_t *word, const struct limit *l, uint64_t now,
                    uint64_t tries)
{
    uint64_t allowed = 0;
    struct decision d;

    while (tries-- > 0) {
        *word = a->step(*word, l, now, 1, &d);
        allowed += d.allowed;
    }
    return allowed;
}

/* A moment a little later: mostly within the time of a few requests, now and then beyond a period. */
static uint64_t later(struct random *random, const struct limit *l, uint64_t now)
{
    uint64_t one = l->per_ns / l->count + 1;

    if (random_below(random, 40) == 0)
        return now + random_below(random, 3 * l->per_ns);
    return now + random_below(random, 3 * one);
}

static int32_t some_cost(struct random *random, const struct algorithm *a, const struct limit *l)
{
    uint64_t most = a->at_once(l) < INT32_MAX ? a->at_once(l) : INT32_MAX;

    return random_below(random, 5) ? 1 : 1 + (int32_t)random_below(random, most);
}

void property_look_tells_what_a_taking_would_decide(const struct algorithm *a,
                                                    const struct limit *l, uint64_t seed)
{
    uint64_t word = 0, now = TODAY;
    struct random random;

    random_seed_with(&random, seed);
    for (int i = 0; i < 20000; i++) {
        struct decision look, take, more;

        now = later(&random, l, now);
        MUST(a->step(word, l, now, 0, &look) == word);
        a->step(word, l, now, 1, &take);
        MUST(look.allowed == take.allowed);
        MUST(look.allowed == (look.remaining > 0));
        MUST(look.retry_ns == take.retry_ns);
        MUST(look.allowed == (look.retry_ns == 0));
        if (look.remaining > 0 && look.remaining < INT32_MAX) {
            a->step(word, l, now, (int32_t)look.remaining, &more);
            MUST(more.allowed && more.remaining == 0);
        }
        if (look.remaining < INT32_MAX) {
            MUST(a->step(word, l, now, (int32_t)look.remaining + 1, &more) == word);
            MUST(!more.allowed);
        }
        word = a->step(word, l, now, some_cost(&random, a, l), &take);
    }
}

void property_retry_is_the_first_moment(const struct algorithm *a, const struct limit *l,
                                        uint64_t seed, uint64_t late_ns)
{
    uint64_t word = 0, now = TODAY, refused = 0;
    struct random random;

    random_seed_with(&random, seed);
    for (int i = 0; i < 5000; i++) {
        int32_t cost = some_cost(&random, a, l);
        struct decision d, then;

        now += random_below(&random, l->per_ns / l->count + 1);
        word = a->step(word, l, now, cost, &d);
        if (d.allowed) {
            MUST(d.retry_ns == 0);
            continue;
        }
        refused++;
        MUST(d.retry_ns > 0 && d.retry_ns != RETRY_NEVER);
        if (d.retry_ns > late_ns) {
            a->step(word, l, now + d.retry_ns - 1 - late_ns, cost, &then);
            MUST(!then.allowed);
        }
        a->step(word, l, now + d.retry_ns, cost, &then);
        MUST(then.allowed);
        if (random_below(&random, 3) == 0)
            now += d.retry_ns;
    }
    MUST(refused > 10);
}

void property_idle_means_none(const struct algorithm *a, const struct limit *l, uint64_t seed)
{
    uint64_t word = 0, now = TODAY;
    struct random random;

    random_seed_with(&random, seed);
    for (int i = 0; i < 3000; i++) {
        struct decision d, left, fresh;
        uint64_t then;

        now = later(&random, l, now);
        word = a->step(word, l, now, some_cost(&random, a, l), &d);
        then = now + a->idle_ns(l) + random_below(&random, DAYS(100));
        a->step(word, l, then, 1, &left);
        a->step(0, l, then, 1, &fresh);
        MUST(left.allowed && fresh.allowed);
        MUST(left.remaining == fresh.remaining);
        MUST(left.reset_ns == fresh.reset_ns);
        MUST(left.delay_ns == 0);
        /* reset_ns says the same, and sooner */
        a->step(word, l, now, 0, &d);
        MUST(d.reset_ns <= a->idle_ns(l));
        a->step(word, l, now + d.reset_ns, 0, &left);
        MUST(left.remaining == a->at_once(l));
    }
}

void property_any_word_is_bounded(const struct algorithm *a, const struct limit *l, uint64_t seed)
{
    struct random random;

    random_seed_with(&random, seed);
    for (int i = 0; i < 20000; i++) {
        uint64_t garbage = random_u64(&random) >> random_below(&random, 64), word = garbage;
        uint64_t tries = a->at_once(l) < 100 ? a->at_once(l) + 1 : 100;
        uint64_t then = TODAY + a->idle_ns(l) + DAYS(1);
        struct decision d;

        if (random_below(&random, 2))
            word = ~word;
        MUST(allowed_of(a, &word, l, TODAY, tries) <= a->at_once(l));
        word = a->step(garbage, l, TODAY, -3, &d);
        MUST(d.remaining <= a->at_once(l));
        a->rescale(garbage, l, l, TODAY);
        /* whatever was taken now is forgotten then */
        word = a->step(garbage, l, TODAY, 1, &d);
        if (d.allowed) {
            a->step(word, l, then, 0, &d);
            MUST(d.remaining == a->at_once(l));
        }
    }
    for (int bit = 40; bit < 64; bit++) { /* the far future */
        uint64_t word = UINT64_C(1) << bit | TODAY;
        struct decision d;

        a->step(word, l, TODAY, 0, &d);
        MUST(d.retry_ns == RETRY_NEVER || d.retry_ns <= a->idle_ns(l) + 601 * NS_PER_S + l->per_ns);
    }
}

void property_given_back_is_as_never_taken(const struct algorithm *a, const struct limit *l,
                                           uint64_t seed)
{
    uint64_t word = 0, now = TODAY;
    struct random random;

    random_seed_with(&random, seed);
    for (int i = 0; i < 20000; i++) {
        int32_t cost = some_cost(&random, a, l);
        struct decision before, taken, after;
        uint64_t with;

        now = later(&random, l, now);
        a->step(word, l, now, 0, &before);
        with = a->step(word, l, now, cost, &taken);
        if (taken.allowed) {
            MUST(taken.at_ns == now);
            a->step(a->step(with, l, taken.at_ns, -cost, &after), l, now, 0, &after);
            MUST(after.allowed == before.allowed);
            MUST(after.remaining == before.remaining);
            MUST(after.reset_ns == before.reset_ns);
        }
        /* more than was taken is not given */
        a->step(with, l, now, INT32_MIN, &after);
        MUST(after.allowed && after.remaining <= a->at_once(l));
        word = with;
    }
}

void property_rescale_keeps_what_was_used(const struct algorithm *a, const struct limit *was,
                                          const struct limit *is, uint64_t seed)
{
    uint64_t now = TODAY;
    struct random random;

    random_seed_with(&random, seed);
    for (int i = 0; i < 500; i++) {
        uint64_t used = random_below(&random, a->at_once(was) + 1), word = 0, next, left;
        struct decision d;

        now += random_below(&random, DAYS(1));
        word = a->step(0, was, now, (int32_t)(used < INT32_MAX ? used : INT32_MAX), &d);
        /* what the cells remember of the old limit is its packed form */
        struct limit packed = limit_unpack(limit_pack(was));

        next = a->rescale(word, &packed, is, now);
        a->step(next, is, now, 0, &d);
        left = a->at_once(is) > used ? a->at_once(is) - used : 0;
        MUST(d.remaining <= left);
        MUST(d.remaining + 1 >= left);
        /* the same limit again changes nothing that can be seen */
        packed = limit_unpack(limit_pack(is));
        a->step(a->rescale(next, &packed, is, now), is, now, 0, &d);
        MUST(d.remaining <= left && d.remaining + 1 >= left);
        MUST(a->rescale(0, was, is, now) == 0);
        a->step(a->rescale(word, was, is, now + 400 * DAYS(1)), is, now + 400 * DAYS(1), 0, &d);
        MUST(d.remaining == a->at_once(is));
    }
}

void property_too_much_is_never_allowed(const struct algorithm *a, const struct limit *l)
{
    struct decision d;

    MUST(a->at_once(l) < INT32_MAX);
    MUST(a->step(0, l, TODAY, (int32_t)a->at_once(l) + 1, &d) == 0);
    MUST(!d.allowed && d.retry_ns == RETRY_NEVER);
    a->step(0, l, TODAY, INT32_MAX, &d);
    MUST(!d.allowed && d.retry_ns == RETRY_NEVER);
    a->step(0, l, TODAY, (int32_t)a->at_once(l), &d);
    MUST(d.allowed && d.remaining == 0);
}
