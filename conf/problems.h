/* What is wrong with a configuration: all of it at once, each with its place.
 *
 *     config.yaml:27:5: services[0].rate_limit_rps: must be a positive number, is "abc"
 *
 * Whoever finds a problem reports it and goes on; whoever asked for the reading looks at `errors` at the
 * end. Kept in the order of the file; the same sentence about the same place is kept once (the defaults of a
 * middleware are read for each service that uses it). Bounded: what comes after the first
 * CONF_PROBLEMS_MAX is counted only.
 */
#ifndef CONF_PROBLEMS_H
#define CONF_PROBLEMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/arena.h"
#include "gateway/base/str.h"

#define CONF_PROBLEMS_MAX 200
#define CONF_FILES_MAX    64

struct conf_node;
struct conf_pace;

enum conf_severity { CONF_ERROR, CONF_WARNING };

/* Where something stands in the files. 0 in `line`: nowhere (a default, a whole file). */
struct conf_place {
    uint32_t line;   /* from 1 */
    uint16_t column; /* from 1, in characters; 65535: there or later */
    uint16_t file;   /* number by conf_problems_file */
};

struct conf_problem {
    struct conf_problem *next;
    enum conf_severity severity;
    struct conf_place at;
    struct str path; /* services[0].rate_limit_rps; may be empty */
    struct str text; /* the sentence */
};

struct conf_problems {
    struct arena arena;
    struct conf_problem *first;
    size_t errors, warnings; /* all, the dropped ones too */
    size_t kept;
    struct str files[CONF_FILES_MAX];
    size_t file_count;
    struct conf_pace *pace; /* of whoever reads and reports here (conf/pace.h); NULL: at one go */
};

void conf_problems_init(struct conf_problems *p);
void conf_problems_free(struct conf_problems *p);
/* The number of a file for places; the name as people know it ("config.yaml"), copied. */
uint16_t conf_problems_file(struct conf_problems *p, struct str name);

/* Report; always false, so that readers can `return conf_problem(...)`. The place is that of the key, or of
 * the item of a list. `at` may be NULL: the whole file. */
bool conf_problem(struct conf_problems *p, const struct conf_node *at, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Worth telling, but the configuration is used. */
void conf_warning(struct conf_problems *p, const struct conf_node *at, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* The same for who has a place and no node any more: a step's prepare, long after the reading. */
bool conf_problem_at(struct conf_problems *p, enum conf_severity severity, struct conf_place at,
                     struct str path, const char *format, ...) PRINTF_LIKE(5, 6);

/* The line for people, without a newline: file:line:column: path: sentence. */
struct str conf_problem_text(const struct conf_problems *p, const struct conf_problem *one,
                             struct arena *a);

#endif
