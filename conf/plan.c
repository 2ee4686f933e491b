/* Plans. */
#include "conf/plan.h"

/* none, or a rate. */
static bool read_quota(const struct conf_key *key, const struct conf_node *n, void *field,
                       struct arena *a, struct conf_problems *p)
{
    struct number_rate quota;

    if (n->kind == CONF_SCALAR && str_equal(n->text, STR("none"))) {
        *(struct number_rate *)field = (struct number_rate){ .count = 0 };
        return true;
    }
    if (n->kind != CONF_SCALAR || !number_read_rate(n->text, &quota) || !quota.count)
        return conf_misfit(key, n, p);
    (void)a;
    *(struct number_rate *)field = quota;
    return true;
}

static void print_quota(const struct conf_key *key, const void *field, FILE *to)
{
    if (((const struct number_rate *)field)->count)
        conf_type_rate.print(key, field, to);
    else
        fputs("none", to);
}

#define CONF_FIELD_quota struct number_rate
static const struct conf_type conf_type_quota = {
    "quota",
    "none, or a positive number for a period, such as 1000/h or 10000/d",
    sizeof(struct number_rate),
    read_quota,
    print_quota,
};

static const struct conf_key plan_keys[] = {
    KEY(conf_plan, rate, rate, NULL, "Requests that each of its consumers may make, on average."),
    KEY(conf_plan, burst, uint, "0",
        "Requests at once after a pause. 0: as many as the rate says for its period.",
        .arg = RANGE(0, 1000000000)),
    KEY(conf_plan, quota, quota, "none",
        "Requests in each minute, hour or day (UTC), beside the rate; none: no such bound."),
    KEY(conf_plan, concurrency, uint, "0", "Requests at the same time. 0: any number.",
        .arg = RANGE(0, 1000000)),
    KEY_END,
};
const struct conf_schema conf_plan_schema = { .name = "plan",
                                              .doc = "What somebody may use.",
                                              .size = sizeof(struct conf_plan),
                                              .keys = plan_keys,
                                              .main = "rate" };

static bool read_rate_or_plan(const struct conf_key *key, const struct conf_node *n, void *field,
                              struct arena *a, struct conf_problems *p)
{
    if (n->kind == CONF_SCALAR && str_equal(n->text, STR("plan"))) {
        *(struct number_rate *)field = (struct number_rate){ .count = 0 };
        return true;
    }
    return conf_type_rate.read(key, n, field, a, p);
}

static void print_rate_or_plan(const struct conf_key *key, const void *field, FILE *to)
{
    if (((const struct number_rate *)field)->count)
        conf_type_rate.print(key, field, to);
    else
        fputs("plan", to);
}

const struct conf_type conf_type_rate_or_plan = {
    "rate or plan",
    "plan, or a positive number for a period, such as 200/s, 600/m, 1000/h or 5000/d",
    sizeof(struct number_rate),
    read_rate_or_plan,
    print_rate_or_plan,
};

size_t conf_plan_named(const struct conf_list *plans, struct str name)
{
    const struct conf_plan *all = plans->items;
    size_t i = 0;

    while (i < plans->count && !str_equal(all[i].name, name))
        i++;
    return i;
}
