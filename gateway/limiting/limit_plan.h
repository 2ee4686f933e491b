/* Limits by plan: `rate: plan`. Who asks has a plan, and the plan says rate, burst and quota.
 *
 * A limit has a tier for each plan: its rate and, if it has one, its quota, which count one after the other. Without plans
 * there is one tier for all. State goes by the name of the plan, so other numbers rescale it, and who changes plans begins
 * afresh under the other one.
 */
#ifndef GATEWAY_LIMITING_LIMIT_PLAN_H
#define GATEWAY_LIMITING_LIMIT_PLAN_H

#include "conf/settings.h"
#include "gateway/exchange/builder.h"
#include "gateway/exchange/exchange.h"

/* Which tier is whose. Const after the build. */
struct limit_plan {
    bool by_plan;
    uint32_t count;        /* of tiers: plans, or one */
    uint32_t default_plan; /* of who has none, from 1; 0: refused */
};

/* name     of the plan of who has none; empty: there is no such
 * returns  false: a problem has been reported */
bool limit_plan_build(struct limit_plan *p, struct builder *b, bool by_plan,
                      struct str name) MUST_USE;
/* The number of the tier; `count`: none, and that is no reason to let it pass. */
static inline uint32_t limit_plan_tier(const struct limit_plan *p, const struct exchange *x)
{
    uint32_t number;

    if (!p->by_plan)
        return 0;
    number = x->who.plan_number ? x->who.plan_number : p->default_plan;
    return number ? number - 1 : p->count;
}
/* What the n-th tier goes by. */
const struct conf_plan *limit_plan_at(const struct builder *b, uint32_t tier);
/* "plan_limit:gold": the name of a tier of the step; with a quota "plan_limit:gold:quota". */
struct str limit_plan_name(struct builder *b, struct str step, uint32_t tier, bool quota);

#endif
