/* Any bytes as config.yaml: no crash, no more cost than the size allows, the same in slices as at once; and what loads,
 * prints as something that loads and prints as the same.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/reference.h"

struct toy {
    struct number_rate rate;
    uint64_t burst, share;
    struct conf_list words, pairs;
    int one;
};

static const struct conf_key keys[] = {
    KEY(toy, rate, rate, "100/s", "", .flat = "rate_limit_rps", .flat_type = &conf_type_per_second),
    KEY(toy, burst, uint, "200", "", .flat = "rate_limit_burst", .arg = RANGE(1, 1000000)),
    KEY(toy, share, share, "5%", ""),
    KEY(toy, words, list_of, "[]", "", .arg = ELEMENT(word)),
    KEY(toy, pairs, pairs, "{}", ""),
    KEY(toy, one, one_of, "a", "", .arg = NAMES("a", "b")),
    KEY_END,
};
static const struct conf_schema limit = {
    .name = "rate_limit", .size = sizeof(struct toy), .keys = keys, .main = "rate"
};

static const struct conf_schema *middleware_at(size_t i)
{
    return i ? NULL : &limit;
}

static const struct conf_schema *find_middleware(struct str name)
{
    return str_equal(name, STR("rate_limit")) ? &limit : NULL;
}

static const struct conf_catalog catalog = { .find_middleware = find_middleware,
                                             .middleware_at = middleware_at };

/* A is a value, everything else is not set. */
static const char *find(void *owner, struct arena *a, enum conf_env_kind kind, struct str name,
                        struct str *value)
{
    (void)owner, (void)a, (void)kind;
    *value = STR("1");
    return str_equal(name, STR("A")) ? NULL : "is not set";
}

static const struct conf_env_source env = { .find = find };

struct outcome {
    uint64_t hash;
    size_t errors, warnings;
    char *printed; /* NULL: it has errors */
};

static void read_services(struct conf_file *f, struct conf_problems *p)
{
    struct arena arena;
    const struct conf_globals *g;

    arena_init(&arena, NULL);
    g = conf_read_globals(f, &arena);
    for (size_t i = 0; i < conf_consumer_count(f); i++) {
        conf_read_consumer(f, i, &arena);
        (void)conf_consumer_hash(f, i);
    }
    for (size_t i = 0; i < conf_service_count(f); i++) {
        conf_read_service(f, g, i, &arena);
        (void)conf_service_hash(f, i);
    }
    conf_check_services(f);
    for (const struct conf_problem *one = p->first; one; one = one->next)
        (void)conf_problem_text(p, one, &arena);
    arena_free(&arena);
}

static struct outcome outcome_of(struct str yaml, bool slices)
{
    struct outcome o = { .hash = 0 };
    struct conf_problems p;
    struct conf_tree *tree;
    struct conf_file *f;
    size_t len = 0;
    FILE *to;

    conf_problems_init(&p);
    tree = conf_tree_begin(STR("f"), yaml, &env, &p);
    while (!conf_tree_more(tree, slices ? 0 : UINT64_MAX))
        ;
    o.hash = conf_node_hash(conf_tree_root(tree));
    f = conf_open(conf_tree_root(tree), &catalog, &env, &p);
    read_services(f, &p);
    o.errors = p.errors;
    o.warnings = p.warnings;
    if (!p.errors && conf_tree_root(tree)) {
        to = open_memstream(&o.printed, &len);
        conf_print(f, to);
        fclose(to);
    }
    conf_close(f);
    conf_tree_free(tree);
    conf_problems_free(&p);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct str yaml = str_of((const char *)data, len);
    struct outcome whole = outcome_of(yaml, false), sliced = outcome_of(yaml, true), again;

    CHECK(whole.hash == sliced.hash && whole.errors == sliced.errors &&
          whole.warnings == sliced.warnings);
    CHECK(!whole.printed == !sliced.printed);
    if (whole.printed && !strstr(whole.printed, "***")) {
        again = outcome_of(str_from(whole.printed), false);
        CHECK(again.printed && strcmp(again.printed, whole.printed) == 0);
        free(again.printed);
    }
    free(whole.printed);
    free(sliced.printed);
    return 0;
}
