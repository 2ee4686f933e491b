/* ${NAME}, ${NAME:-default} and ${file:/path} in values.
 *
 * They are looked up once, by the master, with the master's rights; workers build from the recorded values.
 * So the look-up is a function that the caller gives: the master's reads the environment and files and
 * writes down what it found, a worker's reads that down again.
 */
#ifndef CONF_ENV_H
#define CONF_ENV_H

#include <stdbool.h>

#include "gateway/base/arena.h"
#include "gateway/base/str.h"

/* Of a file: what is larger is no secret and no key. */
#define CONF_ENV_FILE_MAX ((size_t)1 << 20)
/* Of a value with a ${...}: a small file cannot become a large one. */
#define CONF_ENV_TEXT_MAX ((size_t)4 << 20)

enum conf_env_kind { CONF_ENV_NAME, CONF_ENV_FILE };

struct conf_env_source {
    void *owner;
    /* The value of a name, or the bytes of a file without one newline at the end; in `a`.
     * returns  NULL when found, else why not: "is not set", "cannot be read: ..."; in `a` or for ever */
    const char *(*find)(void *owner, struct arena *a, enum conf_env_kind kind, struct str name,
                        struct str *value);
};

/* The environment of this process and the files that it may read. */
extern const struct conf_env_source conf_env_process;
/* Knows nothing: for defaults, and for tests. */
extern const struct conf_env_source conf_env_none;

/* Put the values in.
 * used     set when there was a ${...}
 * returns  NULL, or the sentence that says what is wrong; in `a` */
const char *conf_env_expand(const struct conf_env_source *env, struct arena *a, struct str text,
                            struct str *out, bool *used);

#endif
