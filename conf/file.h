/* A reading in progress: what the files of settings.h share among themselves.
 */
#ifndef CONF_FILE_H
#define CONF_FILE_H

#include "conf/read.h"
#include "conf/settings.h"
#include "gateway/base/map.h"

/* A key of a middleware that a service may spell short. */
struct conf_flat {
    const struct conf_schema *type; /* of the middleware */
    struct conf_key key;            /* reads the short spelling into the settings of `type` */
    const char *way[4];             /* the long spelling, outermost block first; ended by NULL */
};

/* A list whose items are asked for one after the other. */
struct conf_walk {
    const struct conf_node *list; /* NULL: there is none */
    const struct conf_node *at;   /* the item asked for last, its number in `number` */
    size_t number;
};

struct conf_file {
    struct arena arena; /* of the reading itself */
    const struct conf_node *root;
    const struct conf_catalog *catalog;
    const struct conf_env_source *env;
    struct conf_problems *problems;
    const struct conf_node *config; /* middleware_config, or NULL */
    struct conf_walk services, consumers;
    /* Who is called so, or has that key, among the consumers read so far; what services are called. Not begun: no arena. */
    struct map consumer_names, consumer_digests, service_names;
    struct map flats; /* short spelling -> struct conf_flat */
    const char *
        *service_also; /* "middleware", short spellings, names of middlewares; ended by NULL */
    uint64_t inherited;
    bool inherited_known;
};

extern const struct conf_schema conf_globals_schema, conf_service_schema;

/* What conf_service_schema fills; conf_service is made of it. */
struct conf_service_block {
    struct conf_service s;
    struct conf_route pattern;
    struct conf_list routes;
    struct conf_list methods;
};

/* The i-th item, or NULL; cheapest in order. */
const struct conf_node *conf_walk_to(struct conf_walk *w, size_t i);
void conf_read_service_block(struct conf_file *f, const struct conf_globals *g,
                             const struct conf_node *n, struct conf_service_block *block,
                             struct arena *a);

/* `middleware:` of the gateway (service NULL) or of a service, whose short spellings it takes in. */
void conf_read_steps(struct conf_file *f, const struct conf_node *list,
                     const struct conf_node *service, struct conf_steps *steps, struct arena *a);
/* Each entry of middleware_config by itself: unknown names, unknown keys, wrong values. */
void conf_check_middleware_config(struct conf_file *f);
/* The type behind a name, or NULL. *variant: its entry in middleware_config if it is not named as its type. */
const struct conf_schema *conf_find_type(const struct conf_file *f, struct str name,
                                         const struct conf_node **variant);
/* What a service (or NULL) says to the step of this name beside its list, or NULL. */
const struct conf_node *conf_service_block_of(const struct conf_node *service, struct str name);
/* A hash of the entries of middleware_config that a list of steps looks at. */
uint64_t conf_steps_hash(const struct conf_file *f, const struct conf_node *list);
/* The name of an item of `middleware:`, and what it says by itself (NULL: nothing). False: it is no item. */
bool conf_step_item(const struct conf_node *item, struct str *name, const struct conf_node **own);

#endif
