/* Cells that all limits share, or a table of its own. */
#include "gateway/limiting/limit_state.h"

#include "conf/settings.h"
#include "gateway/exchange/shared.h"

enum when_full limit_state_when_full(const struct builder *b)
{
    static const enum when_full all[] = { [CONF_ON_FULL_EVICT] = FULL_EVICT,
                                          [CONF_ON_FULL_ALLOW] = FULL_ALLOW,
                                          [CONF_ON_FULL_DENY] = FULL_DENY };

    return all[b->globals->shared_memory.limits.on_full];
}

struct str limit_state_name(const struct builder *b, const struct limit_key *key)
{
    if (b->whole_gateway)
        return str_format(b->arena, "/%.*s", STR_ARGS(b->step_name));
    if (key->for_all_services)
        return str_format(b->arena, "*/%.*s", STR_ARGS(b->step_name));
    return str_format(b->arena, "%.*s/%.*s", STR_ARGS(b->service_name), STR_ARGS(b->step_name));
}

/* Another size is another table. */
static bool make_log(struct limit_log *log, struct builder *b, struct str name, uint64_t keys)
{
    struct str table = str_format(b->arena, "log/%.*s", STR_ARGS(name));
    struct cells before;
    bool was = b->role == BUILD_MASTER && cells_table_look(b->region, table, &before);

    if (!limit_log_table(b->region, table, keys, log))
        return false;
    if (was && cells_capacity(&before) != cells_capacity(&log->cells))
        builder_warning(b, "the log of the limit %.*s changes its size: its state starts afresh",
                        STR_ARGS(name));
    return true;
}

const char *limit_state_limiter(struct limiter *l, struct builder *b, struct str name,
                                const struct algorithm *a, const struct limit *limit,
                                uint64_t log_keys, uint64_t cost)
{
    const struct region_header *h = region_header(b->region);
    enum when_full when_full = limit_state_when_full(b);
    const char *why = limit_check(limit);
    struct limit_log log;

    if (!why)
        why = a->cannot(limit);
    if (why)
        return why; /* cppcheck-suppress returnDanglingLifetime ; a constant text */
    if (cost > a->at_once(limit))
        return "the cost of a request is more than can ever be taken";
    if (!a->keeps_log)
        return limiter_init(l, h, &b->shared->limits, name, a, limit, when_full);
    if (!make_log(&log, b, name, log_keys))
        return "there is no room in the shared memory for the log of so many clients";
    return limiter_init_log(l, h, &log, name, a, limit, when_full);
}
