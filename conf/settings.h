/* What config.yaml says, as structs: all but the settings inside of middlewares.
 *
 * Reading goes in steps, so that a living worker can build between two turns of its loop:
 *
 *     t = conf_tree_begin(...); conf_tree_more(...) until done
 *     f = conf_open(conf_tree_root(t), &catalog, env, &problems);       NULL when the tree is
 *     globals = conf_read_globals(f, arena);
 *     for i < conf_consumer_count(f):  consumer = conf_read_consumer(f, i, arena);
 *     for i < conf_service_count(f):   service = conf_read_service(f, globals, i, arena of its own);
 *     conf_check_services(f);          what no service alone can see: names given twice
 *     conf_close(f); conf_tree_free(t);
 *
 * Each struct lives in the arena that its reader was given and points nowhere else (but to const tables), so a
 * part may outlive the reading, its globals and its neighbours. Readers always return a struct; it is good
 * only if problems.errors is 0.
 */
#ifndef CONF_SETTINGS_H
#define CONF_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/consumer.h"
#include "conf/plan.h"
#include "conf/schema.h"
#include "conf/store.h"

/* ---- middlewares in use ---- */

enum conf_mode { CONF_MODE_ENFORCE, CONF_MODE_SHADOW, CONF_MODE_OFF };

struct conf_step {
    struct str name;                /* as in `middleware:`; a variant has a name of its own */
    const struct conf_schema *type; /* of the middleware behind the name */
    const void *settings; /* type->size bytes: defaults, then middleware_config, then here */
    enum conf_mode mode;
    struct conf_place at; /* of its item in `middleware:` */
};

struct conf_steps {
    struct conf_step *items;
    size_t count;
};

/* ---- blocks that a service may override ---- */

struct conf_limits {
    uint64_t request_line;            /* bytes; 414 */
    uint64_t header_size;             /* bytes of one header; 431 */
    uint64_t headers_total;           /* bytes of all; 431 */
    uint64_t headers_count;           /* 431 */
    uint64_t body_size;               /* bytes; 413 */
    uint64_t requests_per_connection; /* then Connection: close; 0: any number */
};

struct conf_timeouts { /* all ns */
    uint64_t client_header, client_body, client_idle, client_write;
    uint64_t request; /* all of it, every attempt included; 0: no end */
    uint64_t upstream_connect, upstream_header, upstream_idle_read, upstream_keepalive;
};

/* ---- the whole gateway ---- */

struct conf_listener {
    struct str name; /* "default" for `port:` */
    /* ":8080", "10.0.0.1:80", "[::1]:80", "unix:/run/x.sock": always in one spelling, so that the same place is the same
     * text */
    struct str address;
    uint64_t backlog;
};

struct conf_process {
    uint64_t workers;                 /* 0: auto */
    int cpu_affinity;                 /* enum conf_affinity */
    uint64_t max_connections;         /* of each worker */
    struct str user, group, pid_file; /* empty: none */
    uint64_t rlimit_nofile;           /* 0: what max_connections needs */
};
enum conf_affinity { CONF_AFFINITY_AUTO, CONF_AFFINITY_NONE };

struct conf_shutdown {
    uint64_t drain_delay, grace; /* ns */
};

struct conf_client_ip {
    struct conf_list trusted_proxies; /* of struct cidr */
    int header;                       /* enum conf_client_header */
    uint64_t ipv6_prefix;             /* bits */
    int forward;                      /* enum conf_forward */
    bool send_forwarded;
};
enum conf_client_header {
    CONF_HEADER_X_FORWARDED_FOR,
    CONF_HEADER_FORWARDED,
    CONF_HEADER_X_REAL_IP
};
enum conf_forward { CONF_FORWARD_APPEND, CONF_FORWARD_REPLACE, CONF_FORWARD_DROP };

struct conf_pool {                   /* connections to services */
    uint64_t max_idle, max_per_host; /* of the whole gateway, to be divided by the workers */
    uint64_t max_pending;            /* calls waiting for one, each worker and host */
};

struct conf_shm_limits {
    uint64_t size; /* bytes */
    int on_full;   /* enum conf_on_full */
};
struct conf_shm_metrics {
    uint64_t size;
};
struct conf_shared_memory {
    struct conf_shm_limits limits;
    struct conf_shm_metrics metrics;
};
enum conf_on_full { CONF_ON_FULL_EVICT, CONF_ON_FULL_ALLOW, CONF_ON_FULL_DENY };

/* Where a log goes. */
enum conf_sink { CONF_SINK_OFF, CONF_SINK_STDOUT, CONF_SINK_STDERR, CONF_SINK_FILE };
struct conf_log_to {
    enum conf_sink sink;
    struct str path; /* of CONF_SINK_FILE */
};
enum conf_log_format { CONF_LOG_JSON, CONF_LOG_TEXT };

/* The fields of an access log line, in the order in which they are written; struct conf_access.fields has bit i. */
enum conf_access_field {
    CONF_ACCESS_TS,
    CONF_ACCESS_METHOD,
    CONF_ACCESS_PATH,
    CONF_ACCESS_STATUS,
    CONF_ACCESS_LATENCY_MS,
    CONF_ACCESS_SERVICE,
    CONF_ACCESS_CLIENT,
    CONF_ACCESS_REASON,
    CONF_ACCESS_CONSUMER, /* left out where there is none */
    CONF_ACCESS_HOST,
    CONF_ACCESS_ROUTE,
    CONF_ACCESS_UPSTREAM,
    CONF_ACCESS_UPSTREAM_STATUS,
    CONF_ACCESS_UPSTREAM_MS,
    CONF_ACCESS_ATTEMPTS,
    CONF_ACCESS_BYTES_IN,
    CONF_ACCESS_BYTES_OUT,
    CONF_ACCESS_PROTOCOL,
    CONF_ACCESS_WORKER,
    CONF_ACCESS_FIELDS
};
extern const char *const conf_access_names[CONF_ACCESS_FIELDS + 1]; /* ended by NULL */

struct conf_access {
    struct conf_log_to to;
    int format;      /* enum conf_log_format; JSON only for now */
    uint64_t fields; /* bits of enum conf_access_field */
};
struct conf_error_log {
    struct conf_log_to to;
    int format; /* enum conf_log_format */
};
struct conf_logging {
    int level; /* enum log_level of gateway/base/log.h */
    struct conf_error_log error;
    struct conf_list access; /* of struct conf_access; those that are off are left out */
};

enum conf_metric_names { CONF_METRICS_S1 = 1, CONF_METRICS_S3 = 2, CONF_METRICS_NATIVE = 4 };
#define CONF_BUCKETS_MAX 32
struct conf_metrics {
    struct str path; /* empty: none */
    bool on_public_listener;
    uint64_t names;           /* bits of enum conf_metric_names */
    struct conf_list buckets; /* of uint64_t ns, ascending */
    uint64_t max_series;
};

struct conf_health {
    struct str live, ready; /* paths; empty: none */
};

enum conf_errors_format { CONF_ERRORS_AUTO, CONF_ERRORS_TEXT, CONF_ERRORS_PROBLEM };
struct conf_errors {
    int format; /* enum conf_errors_format */
};

struct conf_unmatched {
    uint64_t status;
    struct str body;
};

struct conf_globals {
    uint64_t version;
    struct str port; /* as listener.address; empty: none, since listeners are named */
    struct conf_list more_listeners; /* of struct conf_listener: those of `listeners:` */
    struct conf_list listeners;      /* of struct conf_listener, `port:` first; never empty */
    struct conf_process process;
    struct conf_shutdown shutdown;
    struct conf_client_ip client_ip;
    struct conf_limits limits;
    struct conf_timeouts timeouts;
    struct conf_pool upstream_pool;
    struct conf_stores stores;
    struct conf_shared_memory shared_memory;
    struct conf_logging logging;
    struct conf_metrics metrics;
    struct conf_health health;
    struct conf_errors errors;
    struct conf_unmatched unmatched;
    struct conf_list plans;  /* of struct conf_plan */
    struct conf_steps steps; /* `middleware:` of the whole gateway, for every request */
};

/* ---- one service ---- */

struct conf_url {    /* http://host[:port][/] */
    struct str text; /* as written */
    struct str host; /* without brackets, lower case */
    uint16_t port;
    bool is_ip;
    struct ip ip;         /* if is_ip; else `host` is a name to resolve */
    struct str authority; /* host:port, with brackets if need be: one spelling */
};

/* A path pattern, checked: begins with /, whole segments, {name} takes one segment, `below` (written / ** at the end)
 * takes the path itself and everything under it. */
struct conf_route {
    struct str path; /* without the / **; "/" for all */
    bool below;
    struct conf_list methods; /* of struct str; none: all */
    struct conf_place at;
};

struct conf_service {
    struct str name, description;
    struct conf_list urls;     /* of struct conf_url; at least one */
    struct conf_list hosts;    /* of struct str, lower case: a name or *.name; none: all */
    struct conf_list routes;   /* of struct conf_route: route_pattern first, then `routes:` */
    uint64_t priority;         /* of two routes that fit equally well the higher is taken */
    struct conf_limits limits; /* the gateway's where the service says nothing */
    struct conf_timeouts timeouts;
    struct conf_steps steps;
    struct conf_place at;
};

/* ---- reading ---- */

struct conf_file;
struct conf_pace;

/* All are borrowed until conf_close. root NULL (the tree has problems): an empty file, nothing more is reported. */
struct conf_file *conf_open(const struct conf_node *root, const struct conf_catalog *catalog,
                            const struct conf_env_source *env, struct conf_problems *p);
void conf_close(struct conf_file *f);

/* Everything but the services. GATEWAY_PORT in `env` overrides `port:`. Reports unknown keys, and middleware_config as
 * a whole, used or not. */
const struct conf_globals *conf_read_globals(struct conf_file *f, struct arena *a);
size_t conf_service_count(const struct conf_file *f);
/* Cheapest in order: i, then i + 1. */
const struct conf_service *conf_read_service(struct conf_file *f, const struct conf_globals *g,
                                             size_t i, struct arena *a);
/* The same at a pace: NULL: it is not finished; once more, with the same arena and more items. */
const struct conf_service *conf_read_service_some(struct conf_file *f, const struct conf_globals *g,
                                                  size_t i, struct arena *a,
                                                  struct conf_pace *pace);
/* Names of services that were given twice; the names of listeners are read with the globals. Looks at all at once: for
 * the master. A worker builds from bytes that have been checked. */
void conf_check_services(struct conf_file *f);
/* A hash of all that conf_read_service(i) looks at: the service itself, what it inherits (limits, timeouts, the steps of
 * the whole gateway, client_ip, errors, metrics, upstream_pool) and the entries of middleware_config that it names. Equal
 * before and after a reload: the part may be shared. Files that settings name are not in it. */
uint64_t conf_service_hash(struct conf_file *f, size_t i);

/* What CONF_AT_START forbids to change in a living process: keep the running value in `next`, say so as a warning.
 * Text that is kept is copied to `a`, the arena of `next`. */
void conf_keep_at_start(const struct conf_globals *running, struct conf_globals *next,
                        struct arena *a, struct conf_problems *p);

#endif
