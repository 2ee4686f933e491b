/* How busy this worker is. */
#include "gateway/exchange/pressure.h"

#include "gateway/base/number.h"

#define SMOOTH_NS    (100 * NS_PER_MS)
#define LOOK_NS      (100 * NS_PER_MS)
#define FORGET_NS    (10 * NS_PER_S) /* nobody has asked for so long: it is not measured any more */
#define PPM          1000000
/* What queues grows by itself while too much is let in, so a share that only moved on would swing: it follows how far off
 * the measure is (LEAN), and moves on by so much of that each tenth of a second (GAIN). */
#define LEAN_PPM     120000
#define GAIN_PPM     25000
#define MOST_OFF_PPM (4 * PPM)

/* The share of `ns` in itself and the smoothing time: how much a new value counts that stood for so long. */
static uint64_t towards(uint64_t old, uint64_t new, uint64_t ns)
{
    unsigned __int128 weighted =
        (unsigned __int128)old * SMOOTH_NS + (unsigned __int128)new *(ns ? ns : 1);

    return (uint64_t)(weighted / (SMOOTH_NS + (ns ? ns : 1)));
}

static void forget(struct pressure *l)
{
    struct random random = l->random;

    *l = (struct pressure){ .random = random };
}

void pressure_turned(struct pressure *l, uint64_t woken_ns, uint64_t now_ns, uint64_t left)
{
    uint64_t turn_ns = now_ns > woken_ns ? now_ns - woken_ns : 0;
    uint64_t before = l->full_turns < l->left ? l->full_turns : l->left;
    uint64_t passed_ns = l->ended_ns && now_ns > l->ended_ns ? now_ns - l->ended_ns : turn_ns;

    if (now_ns > l->asked_ns + FORGET_NS) {
        forget(l);
        return;
    }
    /* What is taken now may have been left by the turns before: as many as were full. */
    l->delay_ns = towards(l->delay_ns, turn_ns * (1 + before), passed_ns);
    l->full_turns = left ? l->full_turns + 1 : 0;
    l->left = left;
    l->ended_ns = now_ns;
}

bool pressure_is_due(const struct pressure *l, uint64_t now_ns)
{
    return now_ns >= l->looked_ns + LOOK_NS;
}

/* By how much the measure is above what is allowed, in ppm of that: 0 is just right. */
static int64_t off(uint64_t measure, uint64_t allowed)
{
    unsigned __int128 ratio = (unsigned __int128)measure * PPM / allowed;

    return (int64_t)(ratio > MOST_OFF_PPM + PPM ? MOST_OFF_PPM + PPM : ratio) - PPM;
}

static int64_t off_rule(const struct pressure *l, const struct pressure_rule *r)
{
    int64_t delay = r->delay_ns ? off(l->delay_ns, r->delay_ns) : -PPM;
    int64_t cpu = r->cpu_ppm ? off(l->cpu_ppm, r->cpu_ppm) : -PPM;

    return delay > cpu ? delay : cpu;
}

static uint64_t shifted(uint64_t shed_ppm, int64_t by_ppm)
{
    int64_t next = (int64_t)shed_ppm + by_ppm;

    return next < 0 ? 0 : next > PRESSURE_MOST_SHED ? PRESSURE_MOST_SHED : (uint64_t)next;
}

void pressure_look(struct pressure *l, uint64_t now_ns, uint64_t cpu_used_ns)
{
    uint64_t passed_ns = now_ns - l->looked_ns;
    uint64_t used_ns = cpu_used_ns > l->cpu_used_ns ? cpu_used_ns - l->cpu_used_ns : 0;
    bool first = l->looked_ns == 0;

    l->looked_ns = now_ns;
    l->cpu_used_ns = cpu_used_ns;
    if (first || passed_ns == 0)
        return;
    l->cpu_ppm =
        towards(l->cpu_ppm, (uint64_t)((unsigned __int128)used_ns * PPM / passed_ns), passed_ns);
    for (size_t i = 0; i < PRESSURE_RULES; i++) {
        int64_t by = off_rule(l, &l->rules[i].rule);
        /* after a pause: it may fall as far as that was long, but not rise for want of looks */
        int64_t looks = by < 0 ? (int64_t)(passed_ns / LOOK_NS < 20 ? passed_ns / LOOK_NS : 20) : 1;

        if (l->rules[i].asked_ns == 0)
            continue;
        l->rules[i].level_ppm = shifted(l->rules[i].level_ppm, by * looks * GAIN_PPM / PPM);
        l->rules[i].shed_ppm = shifted(l->rules[i].level_ppm, by * LEAN_PPM / PPM);
    }
}

uint64_t pressure_share(struct pressure *l, const struct pressure_rule *rule, uint64_t now_ns)
{
    size_t at = 0;

    if (l->asked_ns == 0)
        random_seed(&l->random);
    l->asked_ns = now_ns;
    for (size_t i = 0; i < PRESSURE_RULES; i++) {
        if (l->rules[i].asked_ns && l->rules[i].rule.delay_ns == rule->delay_ns &&
            l->rules[i].rule.cpu_ppm == rule->cpu_ppm) {
            l->rules[i].asked_ns = now_ns;
            return l->rules[i].shed_ppm;
        }
        if (l->rules[i].asked_ns < l->rules[at].asked_ns)
            at = i;
    }
    /* a new one, in the place of the one asked for least lately */
    l->rules[at].rule = *rule;
    l->rules[at].asked_ns = now_ns;
    l->rules[at].level_ppm = l->rules[at].shed_ppm = 0;
    return 0;
}

bool pressure_sheds(struct pressure *l, uint64_t share_ppm)
{
    return share_ppm && random_below(&l->random, PPM) < share_ppm;
}

uint64_t pressure_shed_most(const struct pressure *l)
{
    uint64_t most = 0;

    for (size_t i = 0; i < PRESSURE_RULES; i++)
        if (l->rules[i].shed_ppm > most)
            most = l->rules[i].shed_ppm;
    return most;
}
