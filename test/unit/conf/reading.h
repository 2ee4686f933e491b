/* What the tests of conf/ share: a file read whole, against a small catalog with the middlewares of the seed.
 */
#ifndef TEST_UNIT_CONF_READING_H
#define TEST_UNIT_CONF_READING_H

#include <check.h>

#include "conf/settings.h"

/* The tables that the real middlewares have too, as far as these tests need them. */
struct toy_limit {
    struct number_rate rate;
    uint64_t burst;
    int by;
    struct str body;
};
struct toy_trip {
    uint64_t consecutive;
};
struct toy_breaker {
    struct toy_trip trip;
    uint64_t reset_timeout;
};
struct toy_keys {
    struct conf_list valid_keys; /* of struct str */
    struct str header;
    struct conf_list identity_headers;
};

extern const struct conf_catalog toy_catalog;
/* DB_PASSWORD=hunter2, EMPTY=, PORT=9090, file /run/secret holds "from a file"; nothing else. */
extern const struct conf_env_source toy_env;

struct reading {
    struct conf_problems problems;
    struct conf_tree *tree;
    struct conf_file *file;
    struct arena arena;
    const struct conf_globals *globals;
    const struct conf_service **services;
    size_t count;
};

/* Reads everything that there is; problems are kept. */
void reading_begin(struct reading *r, const char *yaml);
void reading_begin_with(struct reading *r, const char *yaml, const struct conf_env_source *env);
void reading_end(struct reading *r);
/* The i-th problem as people see it, or "none". */
const char *reading_problem(struct reading *r, size_t i);
/* Dies with the first problem if there is one. */
void reading_is_good(struct reading *r);
/* The step of that name. */
const struct conf_step *reading_step(const struct conf_steps *steps, const char *name);

#define ck_assert_text(s, literal)                                                                 \
    ck_assert_msg(str_equal(s, STR(literal)), "is \"%.*s\"", STR_ARGS(s))

#endif
