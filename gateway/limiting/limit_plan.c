/* Limits by plan. */
#include "gateway/limiting/limit_plan.h"

#include "conf/read.h"

static const char *offer_plan(const void *from, size_t i)
{
    const struct builder *b = from;
    const struct conf_plan *all = b->globals->plans.items;

    return i < b->globals->plans.count ? str_keep_z(b->arena, all[i].name) : NULL;
}

bool limit_plan_build(struct limit_plan *p, struct builder *b, bool by_plan, struct str name)
{
    const struct conf_list *plans = &b->globals->plans;
    size_t number = conf_plan_named(plans, name);
    const char *hint;

    *p = (struct limit_plan){ .count = 1 };
    if (!by_plan)
        return true;
    if (plans->count == 0)
        return builder_problem(b, "there are no plans to go by");
    if (name.len && number == plans->count) {
        hint = conf_nearest(name, offer_plan, b);
        return builder_problem(b, "plan_default: there is no plan \"%.*s\"%s%s%s", STR_ARGS(name),
                               hint ? "; did you mean \"" : "", hint ? hint : "",
                               hint ? "\"?" : "");
    }
    if (!b->identified)
        builder_warning(b,
                        "it goes by the plan of who asks, and no step before it says who that is");
    *p = (struct limit_plan){ .by_plan = true,
                              .count = (uint32_t)plans->count,
                              .default_plan = name.len ? (uint32_t)number + 1 : 0 };
    return true;
}

const struct conf_plan *limit_plan_at(const struct builder *b, uint32_t tier)
{
    return &((const struct conf_plan *)b->globals->plans.items)[tier];
}

struct str limit_plan_name(struct builder *b, struct str step, uint32_t tier, bool quota)
{
    return str_format(b->arena, "%.*s:%.*s%s", STR_ARGS(step),
                      STR_ARGS(limit_plan_at(b, tier)->name), quota ? ":quota" : "");
}
