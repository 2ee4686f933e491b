/* Eight actors tell how long a service took that serves twenty at once, each its own share of those that the limit lets
 * in, in a time of their own that runs a hundred times faster; some are killed in the middle. The limit never leaves its
 * bounds, it is measured again and again, and it is near what the service can do at the end.
 */
#include "ratelimit/gradient.h"
#include "test/hammer/hammer.h"

#define ACTORS  8
#define WIDTH   20
#define BASE_NS (10 * NS_PER_MS)
#define FASTER  100

struct work {
    struct hammer h; /* first */
    struct gradient g;
    struct gradient_words *words;
    uint64_t begun_ns;
    shared_word *told, *low, *high, *measured; /* by actor */
};

static uint64_t time_of_play(const struct work *w)
{
    return NS_PER_S + (clock_now_ns() - w->begun_ns) * FASTER;
}

static void look_at_limit(struct work *w, unsigned actor, bool *was_measuring)
{
    uint64_t limit = gradient_limit(&w->g, w->words);
    bool measuring = gradient_look(w->words).measuring;

    HAMMER_CHECK(limit >= w->g.min && limit <= w->g.max, "the limit is %llu",
                 (unsigned long long)limit);
    if (*was_measuring && !measuring)
        word_add_own(&w->measured[actor], 1);
    *was_measuring = measuring;
    if (!measuring)
        word_add_own(limit > 3 * WIDTH ? &w->high[actor] : &w->low[actor], 1);
}

static void act(struct hammer *h, unsigned actor, struct random *random)
{
    struct work *w = (struct work *)h;
    bool was_measuring = gradient_look(w->words).measuring;

    while (!hammer_ends(h)) {
        uint64_t begun_ns = time_of_play(w), in_flight = gradient_limit(&w->g, w->words), wait_ns;
        uint64_t latency_ns = BASE_NS * (in_flight > WIDTH ? in_flight : WIDTH) / WIDTH;
        struct gradient_answer a;

        latency_ns += random_below(random, BASE_NS / 4);
        wait_ns = latency_ns / FASTER;
        hammer_nap(wait_ns);
        a = (struct gradient_answer){ .begun_ns = begun_ns,
                                      .now_ns = time_of_play(w),
                                      .latency_ns = latency_ns,
                                      .in_flight = in_flight };
        gradient_tell(&w->g, w->words, &a);
        word_add_own(&w->told[actor], 1);
        look_at_limit(w, actor, &was_measuring);
    }
}

static uint64_t all(const shared_word *of_actors)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < ACTORS; i++)
        sum += word_peek(&of_actors[i]);
    return sum;
}

int main(int argc, char **argv)
{
    struct work w = { .h = hammer_begin(argc, argv),
                      .g = { .min = 3,
                             .max = 1000,
                             .measure_ns = 20 * NS_PER_S,
                             .window_ns = 100 * NS_PER_MS,
                             .headroom_ppm = 250000 } };

    w.begun_ns = clock_now_ns();
    w.words = region_table(w.h.region, TABLE_GRADIENT, STR("gradient"), sizeof *w.words);
    w.told = region_words(w.h.region, STR("told"), HAMMER_ACTORS_MAX);
    w.low = region_words(w.h.region, STR("low"), HAMMER_ACTORS_MAX);
    w.high = region_words(w.h.region, STR("high"), HAMMER_ACTORS_MAX);
    w.measured = region_words(w.h.region, STR("measured"), HAMMER_ACTORS_MAX);
    w.h.actors = ACTORS;
    w.h.act = act;
    hammer_run(&w.h);
    HAMMER_CHECK(all(w.told) > 1000, "only %llu told", (unsigned long long)all(w.told));
    HAMMER_CHECK(all(w.measured) > ACTORS, "only %llu times was it seen to be measured",
                 (unsigned long long)all(w.measured));
    /* it begins at the top, and comes down for good */
    HAMMER_CHECK(all(w.low) > all(w.high), "above %u for %llu of %llu looks", 3 * WIDTH,
                 (unsigned long long)all(w.high), (unsigned long long)(all(w.low) + all(w.high)));
    printf("gradient: %llu told, measured %llu times (as seen by all), the limit is %llu; %llu "
           "kills\n",
           (unsigned long long)all(w.told), (unsigned long long)all(w.measured),
           (unsigned long long)gradient_look(w.words).limit, (unsigned long long)w.h.kills);
    return hammer_end(&w.h);
}
