/* THE table: what may be written in a block, of what type, with which default, and where it goes.
 *
 *     static const struct conf_key keys[] = {
 *         KEY(rate_limit_settings, rate,  rate, "100/s", "Requests each client may make, on average.",
 *             .flat = "rate_limit_rps"),
 *         KEY(rate_limit_settings, burst, uint, "200",   "Requests a client may make at once after a pause.",
 *             .flat = "rate_limit_burst", .arg = RANGE(1, 1000000)),
 *         KEY(rate_limit_settings, by,    one_of, "ip",  "What is counted.", .arg = by_names),
 *         KEY_END,
 *     };
 *
 * From it come the loader (conf/read.h), the reference, `sluice check` and `sluice print`. Defaults are text
 * and go through the same reader as the file. The tables are const and have no other code than `check`.
 *
 * What a reader leaves in a settings struct lives in the arena that it was given and points nowhere else:
 * the tree may end before the settings do.
 */
#ifndef CONF_SCHEMA_H
#define CONF_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "conf/problems.h"
#include "conf/tree.h"
#include "gateway/base/arena.h"
#include "gateway/base/cidr.h"
#include "gateway/base/number.h"
#include "gateway/base/str.h"

struct conf_key;

enum conf_flag {
    CONF_SECRET = 1,    /* never printed */
    CONF_AT_START = 2,  /* a reload may not change it */
    CONF_INHERITED = 4, /* in the reference: the default is what the gateway says */
};

struct conf_type {
    const char *name;    /* "duration" */
    const char *grammar; /* fits after "must be": "a number and ms, s, m, h or d, such as 30s" */
    size_t size;         /* of the field; 0: said by key->arg (blocks) */
    /* Fill the field from a node; on a problem report it and return false, the field stays. Text goes to `a`. */
    bool (*read)(const struct conf_key *key, const struct conf_node *n, void *field,
                 struct arena *a, struct conf_problems *p);
    /* As flow YAML on one line, so that it reads back as the same; secrets are the caller's care. */
    void (*print)(const struct conf_key *key, const void *field, FILE *to);
};

struct conf_key {
    const char *name; /* as in YAML; NULL ends a table */
    const struct conf_type *type;
    size_t offset; /* of the field in the settings struct */
    /* The default as text (flow YAML for lists and maps: "[GET, HEAD]", "{}"); NULL: required. Blocks have none, their
     * keys do. */
    const char *init;
    const char *doc; /* one or two sentences, unit included */
    const void *arg; /* RANGE, NAMES, ELEMENT, ENTRIES or the struct conf_schema of a block */
    /* A short spelling allowed in a service ("rate_limit_rps"), and how that is read if not like the long one. */
    const char *flat;
    const struct conf_type *flat_type;
    unsigned flags;
};

struct conf_schema {
    const char *name; /* as in config.yaml: "rate_limit" */
    const char *doc;
    size_t size;                 /* of the settings struct; 0: no settings */
    const struct conf_key *keys; /* ended by KEY_END, at most 64; NULL: none */
    const char *main; /* the key that a scalar in the place of the block fills, or NULL */
    /* What one key cannot see. `at`: the block in the file, or what stands for it. May be NULL. */
    void (*check)(const void *settings, const struct conf_node *at, struct conf_problems *p);
};

/* ---- the types, by the last word of their name, and the C type of the field ---- */

struct conf_list {
    void *items; /* of the element's C type */
    size_t count;
};

struct conf_pair {
    struct str name, value;
};

/*   text      any text
 *   word      not empty, no blanks or control characters
 *   uint      arg: RANGE or NULL
 *   boolean   true false yes no on off
 *   size      bytes: 64k 8m 1g; arg: RANGE or NULL
 *   duration  ns: 500ms 10s 5m 1h 7d; arg: RANGE in ns or NULL
 *   seconds   ns: a bare number is seconds, else as duration
 *   rate      200/s 600/m; a bare number is for a second; the count is not 0
 *   per_second a number_rate too: a bare number above 0, or as rate; made for short spellings (..._rps)
 *   share     millionths: 50% or 0.5; arg: RANGE in ppm or NULL
 *   one_of    index into arg = NAMES("a", "b")
 *   some_of   a list of names of arg = NAMES(...): bit i is name i
 *   prefix    10.0.0.0/8 or an address
 *   list_of   arg = ELEMENT(...); one value alone is a list of one
 *   pairs     a map of text to text; its items are struct conf_pair
 *   map_of    arg = ENTRIES(...): a map of names to blocks; its items are the blocks' structs, each with its `name`
 *   block     a nested struct; arg: its struct conf_schema
 */
#define CONF_FIELD_text       struct str
#define CONF_FIELD_word       struct str
#define CONF_FIELD_uint       uint64_t
#define CONF_FIELD_boolean    bool
#define CONF_FIELD_size       uint64_t
#define CONF_FIELD_duration   uint64_t
#define CONF_FIELD_seconds    uint64_t
#define CONF_FIELD_rate       struct number_rate
#define CONF_FIELD_per_second struct number_rate
#define CONF_FIELD_share      uint64_t
#define CONF_FIELD_one_of     int
#define CONF_FIELD_some_of    uint64_t
#define CONF_FIELD_prefix     struct cidr
#define CONF_FIELD_list_of    struct conf_list
#define CONF_FIELD_pairs      struct conf_list
#define CONF_FIELD_map_of     struct conf_list
#define CONF_FIELD_block      char

extern const struct conf_type conf_type_text, conf_type_word, conf_type_uint, conf_type_boolean,
    conf_type_size, conf_type_duration, conf_type_seconds, conf_type_rate, conf_type_per_second,
    conf_type_share, conf_type_one_of, conf_type_some_of, conf_type_prefix, conf_type_list_of,
    conf_type_pairs, conf_type_map_of, conf_type_block;

struct conf_range {
    uint64_t from, to;
};

/* What a list holds: a type, its argument, the size of an item, and how many there may be. */
struct conf_element {
    const struct conf_type *type;
    const void *arg;
    size_t size;
    size_t at_least, at_most; /* at_most 0: any number */
    size_t name_at;           /* with ENTRIES: of the struct str that gets the name */
};

/* May this be the name of a plan, a store, a variant of a middleware? State goes by such names, put together with "/" and ":", so
 * these are not in them: no two are spelled alike. */
bool conf_is_name(struct str s);
#define CONF_NAME_RULE  "a name has 1 to 64 letters, digits, \"-\", \"_\" and \".\""

#define RANGE(from, to) (&(const struct conf_range){ (from), (to) })
#define NAMES(...)      ((const char *const[]){ __VA_ARGS__, NULL })
/* ELEMENT(word), ELEMENT(prefix, .at_most = 64), ELEMENT(one_of, .arg = NAMES("a", "b")) */
#define ELEMENT(kind, ...)                                                                         \
    (&(const struct conf_element){                                                                 \
        .type = &conf_type_##kind, .size = sizeof(CONF_FIELD_##kind), __VA_ARGS__ })
/* A list of blocks: ELEMENT_BLOCK(&listener_schema) */
#define ELEMENT_BLOCK(schema, bytes, ...)                                                          \
    (&(const struct conf_element){                                                                 \
        .type = &conf_type_block, .arg = (schema), .size = (bytes), __VA_ARGS__ })
/* A map of names to blocks: ENTRIES(&plan_schema, conf_plan), where struct conf_plan has a member struct str name. */
#define ENTRIES(schema, tag, ...)                                                                  \
    (&(const struct conf_element){ .type = &conf_type_block,                                       \
                                   .arg = (schema),                                                \
                                   .size = sizeof(struct tag),                                     \
                                   .name_at =                                                      \
                                       offsetof(struct tag, name) + CONF_FITS(tag, name, text),    \
                                   __VA_ARGS__ })

/* 0, or an error at compile time when the field is not of the size that the type writes. */
#define CONF_FITS(tag, member, kind)                                                               \
    (0 * sizeof(char[sizeof(((struct tag *)0)->member) == sizeof(CONF_FIELD_##kind) ? 1 : -1]))

#define KEY(tag, member, kind, initially, text, ...)                                               \
    {                                                                                              \
        .name = #member, .type = &conf_type_##kind,                                                \
        .offset = offsetof(struct tag, member) + CONF_FITS(tag, member, kind),                     \
        .init = (initially), .doc = (text), __VA_ARGS__                                            \
    }
/* A block inside: KEY_BLOCK(settings, trip, &trip_schema, "What opens it."). NULL: as the schema says. */
#define KEY_BLOCK(tag, member, schema, text, ...)                                                  \
    {                                                                                              \
        .name = #member, .type = &conf_type_block, .offset = offsetof(struct tag, member),         \
        .arg = (schema), .doc = (text), __VA_ARGS__                                                \
    }
#define KEY_END                                                                                    \
    {                                                                                              \
        .name = NULL                                                                               \
    }

/* ---- the middlewares, which conf/ does not know ---- */

/* Filled in by gateway/catalog.c. `mode:` and, in middleware_config, `type:` belong to no table: conf/ reads them. */
struct conf_catalog {
    /* NULL: there is none of that name. */
    const struct conf_schema *(*find_middleware)(struct str name);
    /* NULL: past the last one. */
    const struct conf_schema *(*middleware_at)(size_t i);
};

/* The conf_problem of a value of the wrong form: must be <grammar>, is "abc". Shows no secret. Returns false. */
bool conf_misfit(const struct conf_key *key, const struct conf_node *n, struct conf_problems *p);
/* False, and reported, if key->arg is a range and `value` is outside; `write` is its writer in base/number.h. */
bool conf_in_range(const struct conf_key *key, const struct conf_node *n, uint64_t value,
                   size_t (*write)(char *to, uint64_t value), struct conf_problems *p);
/* A word as it is, anything else in double quotes: what conf_type.print uses for text. */
void conf_print_text(struct str s, FILE *to);
/* The value of a CONF_SECRET: hidden, if there is one. */
void conf_print_secret(const struct conf_key *key, const void *field, FILE *to);

#endif
