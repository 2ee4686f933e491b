/* Plans: what somebody may use, by name: `plans.NAME`. Consumers have one, limits go by it. */
#ifndef CONF_PLAN_H
#define CONF_PLAN_H

#include "conf/schema.h"

struct conf_plan {
    struct str name;
    struct number_rate rate;
    uint64_t burst;           /* 0: as many as the rate says for its period */
    struct number_rate quota; /* count 0: none */
    uint64_t concurrency;     /* 0: any number */
};

/* Of a struct conf_plan. */
extern const struct conf_schema conf_plan_schema;

/* A rate, or "plan" for that of whoever asks, which is a count of 0. */
#define CONF_FIELD_rate_or_plan struct number_rate
extern const struct conf_type conf_type_rate_or_plan;

/* The number of the plan of that name in a list of struct conf_plan, or its count. */
size_t conf_plan_named(const struct conf_list *plans, struct str name);

#endif
