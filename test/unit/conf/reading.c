/* A file read whole. */
#include "test/unit/conf/reading.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const by_names[] = { "ip", "key", "global", NULL };

static const struct conf_key limit_keys[] = {
    KEY(toy_limit, rate, rate_or_plan, "100/s", "Requests each client may make, on average.",
        .flat = "rate_limit_rps", .flat_type = &conf_type_per_second),
    KEY(toy_limit, burst, uint, "200", "Requests a client may make at once after a pause.",
        .flat = "rate_limit_burst", .arg = RANGE(1, 1000000)),
    KEY(toy_limit, by, one_of, "ip", "What is counted.", .arg = by_names),
    KEY(toy_limit, body, text, "Too Many Requests", "What the client is told."),
    KEY_END,
};

static const struct conf_key trip_keys[] = {
    KEY(toy_trip, consecutive, uint, "5", "Failures in a row.", .flat = "cb_failure_threshold",
        .arg = RANGE(1, 1000)),
    KEY_END,
};
static const struct conf_schema trip_schema = { .name = "trip",
                                                .size = sizeof(struct toy_trip),
                                                .keys = trip_keys };
static const struct conf_key breaker_keys[] = {
    KEY_BLOCK(toy_breaker, trip, &trip_schema, "What opens it."),
    KEY(toy_breaker, reset_timeout, duration, "10s", "Until a probe.",
        .flat = "cb_reset_timeout_seconds", .flat_type = &conf_type_seconds,
        .arg = RANGE(NS_PER_MS, 3600 * NS_PER_S)),
    KEY_END,
};

static const struct conf_key key_keys[] = {
    KEY(toy_keys, valid_keys, list_of, NULL, "Keys that are let in.",
        .arg = ELEMENT(word, .at_least = 1), .flags = CONF_SECRET),
    KEY(toy_keys, header, word, "X-API-KEY", "Header that holds the key."),
    KEY(toy_keys, identity_headers, pairs, "{}", "What services are told."),
    KEY_END,
};

/* What the example names and nobody here looks at. */
struct toy_crowd {
    uint64_t max, min, queue, queue_timeout, queue_delay_above, cpu_above;
    int adaptive;
    struct conf_list keep_priority;
};
static const struct conf_key crowd_keys[] = {
    KEY(toy_crowd, max, uint, "1", "At once."),
    KEY(toy_crowd, min, uint, "1", "At least."),
    KEY(toy_crowd, queue, uint, "0", "May wait."),
    KEY(toy_crowd, queue_timeout, duration, "1s", "So long."),
    KEY(toy_crowd, adaptive, one_of, "off", "Moves.", .arg = NAMES("off", "gradient")),
    KEY_END,
};
static const struct conf_key shed_keys[] = {
    KEY(toy_crowd, queue_delay_above, duration, "50ms", "Too late."),
    KEY(toy_crowd, cpu_above, share, "0", "Too much."),
    KEY(toy_crowd, keep_priority, list_of, "[]", "Never.", .arg = ELEMENT(word)),
    KEY_END,
};

static const struct conf_schema types[] = {
    { .name = "auth_apikey",
      .doc = "Keys.",
      .size = sizeof(struct toy_keys),
      .keys = key_keys,
      .main = "valid_keys" },
    { .name = "rate_limit",
      .doc = "Limits.",
      .size = sizeof(struct toy_limit),
      .keys = limit_keys,
      .main = "rate" },
    { .name = "circuit_breaker",
      .doc = "Breaks.",
      .size = sizeof(struct toy_breaker),
      .keys = breaker_keys },
    { .name = "metrics", .doc = "Counts." },
    { .name = "concurrency",
      .doc = "At once.",
      .size = sizeof(struct toy_crowd),
      .keys = crowd_keys },
    { .name = "load_shed", .doc = "Sheds.", .size = sizeof(struct toy_crowd), .keys = shed_keys },
};

static const struct conf_schema *middleware_at(size_t i)
{
    return i < ARRAY_LEN(types) ? &types[i] : NULL;
}

static const struct conf_schema *find_middleware(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (str_equal(str_from(types[i].name), name))
            return &types[i];
    return NULL;
}

const struct conf_catalog toy_catalog = { .find_middleware = find_middleware,
                                          .middleware_at = middleware_at };

static const char *find(void *owner, struct arena *a, enum conf_env_kind kind, struct str name,
                        struct str *value)
{
    static const struct {
        enum conf_env_kind kind;
        const char *name, *value;
    } known[] = {
        { CONF_ENV_NAME, "DB_PASSWORD", "hunter2" },
        { CONF_ENV_NAME, "EMPTY", "" },
        { CONF_ENV_NAME, "PORT", "9090" },
        { CONF_ENV_FILE, "/run/secret", "from a file" },
    };

    (void)owner;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (known[i].kind == kind && str_equal(name, str_from(known[i].name))) {
            *value = str_keep(a, str_from(known[i].value));
            return NULL;
        }
    return kind == CONF_ENV_NAME ? "is not set" : "cannot be opened";
}

const struct conf_env_source toy_env = { .find = find };

void reading_begin_with(struct reading *r, const char *yaml, const struct conf_env_source *env)
{
    *r = (struct reading){ .tree = NULL };
    conf_problems_init(&r->problems);
    arena_init(&r->arena, NULL);
    r->tree = conf_tree_read(STR("config.yaml"), str_from(yaml), env, &r->problems);
    r->file = conf_open(conf_tree_root(r->tree), &toy_catalog, env, &r->problems);
    r->globals = conf_read_globals(r->file, &r->arena);
    r->count = conf_service_count(r->file);
    r->services = ARENA_ARRAY(&r->arena, const struct conf_service *, r->count + 1);
    for (size_t i = 0; i < r->count; i++)
        r->services[i] = conf_read_service(r->file, r->globals, i, &r->arena);
    conf_check_services(r->file);
}

void reading_begin(struct reading *r, const char *yaml)
{
    reading_begin_with(r, yaml, &toy_env);
}

void reading_end(struct reading *r)
{
    conf_close(r->file);
    conf_tree_free(r->tree);
    arena_free(&r->arena);
    conf_problems_free(&r->problems);
}

const char *reading_problem(struct reading *r, size_t i)
{
    const struct conf_problem *one = r->problems.first;

    while (one && i-- > 0)
        one = one->next;
    return one ? str_keep_z(&r->arena, conf_problem_text(&r->problems, one, &r->arena)) : "none";
}

void reading_is_good(struct reading *r)
{
    ck_assert_msg(r->problems.errors == 0, "%s", reading_problem(r, 0));
}

const struct conf_step *reading_step(const struct conf_steps *steps, const char *name)
{
    for (size_t i = 0; i < steps->count; i++)
        if (str_equal(steps->items[i].name, str_from(name)))
            return &steps->items[i];
    ck_abort_msg("there is no step %s", name);
    return NULL;
}
