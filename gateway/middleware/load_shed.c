/* load_shed: when this worker has more to do than it can, a share of the requests is turned away at once, so that the
 * others are served in time. The share grows and shrinks (gateway/exchange/pressure.h); it is each worker's own, since a
 * worker is one core and the others may be idle.
 */
#include "gateway/exchange/builder.h"
#include "gateway/exchange/exchange.h"
#include "gateway/exchange/local.h"
#include "gateway/exchange/reply.h"
#include "gateway/exchange/shared.h"

extern const struct middleware load_shed_middleware;

struct load_shed_settings {
    uint64_t queue_delay_above, cpu_above;
    struct conf_list keep_priority;
    uint64_t status, retry_after;
    struct str body;
};

static const struct conf_key keys[] = {
    KEY(load_shed_settings, queue_delay_above, duration, "50ms",
        "Requests are shed while they wait longer than this before the worker comes to them, "
        "smoothed over a tenth of a second. 0: that does not matter.",
        .arg = RANGE(0, 60 * NS_PER_S)),
    KEY(load_shed_settings, cpu_above, share, "0",
        "… or while the worker uses more than this share of its core. 0: that does not matter.",
        .arg = RANGE(0, 1000000)),
    KEY(load_shed_settings, keep_priority, list_of, "[]",
        "Services, and consumers, their plans and users that a step before has identified, whose "
        "requests are never shed. The gateway's own pages (health, metrics) never are.",
        .arg = ELEMENT(word, .at_most = 4096)),
    KEY(load_shed_settings, status, uint, "503", "Status of a refusal.", .arg = RANGE(400, 599)),
    KEY(load_shed_settings, body, text, "Service Unavailable", "Text of a refusal."),
    KEY(load_shed_settings, retry_after, duration, "1s", "Retry-After of a refusal. 0: none.",
        .arg = RANGE(0, 86400 * NS_PER_S)),
    KEY_END,
};

static void check(const void *settings, const struct conf_node *at, struct conf_problems *p)
{
    const struct load_shed_settings *s = settings;

    if (!s->queue_delay_above && !s->cpu_above)
        conf_problem(p, at, "\"queue_delay_above\" and \"cpu_above\" are both 0: nothing is shed");
}

/* Everything that a request needs; settings may be gone with an older snapshot. */
struct load_shed {
    struct pressure_rule rule;
    const struct str *kept;
    size_t kept_count;
    bool service_is_kept;
    unsigned status;
    const char *body;
    uint64_t retry_ns;
    uint32_t series; /* gateway_load_shed_total of this service */
};

static const void *prepare(struct builder *b, const void *settings)
{
    const struct load_shed_settings *s = settings;
    const struct str *names = s->keep_priority.items;
    struct str *kept = ARENA_ARRAY(b->arena, struct str, s->keep_priority.count + 1);
    struct load_shed *step = ARENA_NEW(b->arena, struct load_shed);

    *step = (struct load_shed){ .rule = { s->queue_delay_above, s->cpu_above },
                                .kept = kept,
                                .kept_count = s->keep_priority.count,
                                .status = (unsigned)s->status,
                                .body = str_keep_z(b->arena, s->body),
                                .retry_ns = s->retry_after };
    for (size_t i = 0; i < s->keep_priority.count; i++) {
        kept[i] = str_keep(b->arena, names[i]);
        step->service_is_kept |= str_equal(kept[i], b->service_name);
    }
    /* The master only rehearses; what is refused leaves no series behind. */
    if (b->role == BUILD_WORKER)
        step->series = rows_find(&b->shared->rows, FAMILY_LOAD_SHED, &b->service_name);
    return step;
}

static bool is_kept(const struct load_shed *step, const struct exchange *x)
{
    if (step->service_is_kept)
        return true;
    for (size_t i = 0; i < step->kept_count; i++)
        if (str_equal(step->kept[i], x->who.consumer) || str_equal(step->kept[i], x->who.plan) ||
            str_equal(step->kept[i], x->who.user))
            return true;
    return false;
}

static enum verdict on_request(struct exchange *x, struct frame *f)
{
    const struct load_shed *step = f->step->prepared;
    struct pressure *p = &x->local->pressure;
    enum verdict v;

    if (!pressure_sheds(p, pressure_share(p, &step->rule, exchange_now_ns(x))) || is_kept(step, x))
        return NEXT;
    v = reply_refuse(x, f, step->status, REASON_LOAD_SHED, step->body);
    if (v != REPLIED)
        return v;
    if (step->retry_ns)
        reply_retry_after(x, step->retry_ns);
    rows_add(&x->local->shared->rows, x->local->seat, step->series, 1);
    return v;
}

const struct middleware load_shed_middleware = {
    .settings = { .name = "load_shed",
                  .doc = "Turn a share of the requests away while this worker has more to do than "
                         "it can.",
                  .size = sizeof(struct load_shed_settings),
                  .keys = keys,
                  .main = "queue_delay_above",
                  .check = check },
    .prepare = prepare,
    .on_request = on_request,
};
