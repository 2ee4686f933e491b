/* The whole gateway: its tables, and reading them. */
#include "conf/settings.h"

#include "conf/file.h"
#include "conf/places.h"

#define MS(n)     ((uint64_t)(n)*NS_PER_MS)
#define DAYS(n)   ((uint64_t)(n)*86400 * NS_PER_S)
#define KIB(n)    ((uint64_t)(n) << 10)
#define MIB(n)    ((uint64_t)(n) << 20)
#define SOME_TIME RANGE(MS(1), DAYS(365))
#define ANY_TIME  RANGE(0, DAYS(365))

/* ---- processes ---- */

static bool read_workers(const struct conf_key *key, const struct conf_node *n, void *field,
                         struct arena *a, struct conf_problems *p)
{
    static const struct conf_range range = { 1, 1024 };
    struct conf_key number = *key;

    if (n->kind == CONF_SCALAR && str_equal(n->text, STR("auto"))) {
        *(uint64_t *)field = 0;
        return true;
    }
    number.arg = &range;
    return conf_type_uint.read(&number, n, field, a, p);
}

static void print_workers(const struct conf_key *key, const void *field, FILE *to)
{
    if (*(const uint64_t *)field)
        conf_type_uint.print(key, field, to);
    else
        fputs("auto", to);
}

#define CONF_FIELD_workers uint64_t
static const struct conf_type conf_type_workers = { "number or auto", "auto or a whole number",
                                                    sizeof(uint64_t), read_workers, print_workers };

static const struct conf_key process_keys[] = {
    KEY(conf_process, workers, workers, "auto",
        "Worker processes. auto: as many as the CPUs that cgroup and affinity mask leave us."),
    KEY(conf_process, cpu_affinity, one_of, "auto",
        "auto: each worker on a CPU of its own, where we have them to ourselves. none: as the "
        "kernel "
        "likes.",
        .arg = NAMES("auto", "none"), .flags = CONF_AT_START),
    KEY(conf_process, max_connections, uint, "16384", "Connections of clients, in each worker.",
        .arg = RANGE(1, 1 << 20)),
    KEY(conf_process, user, text, "",
        "User that workers become after the sockets are open; empty: stay.",
        .flags = CONF_AT_START),
    KEY(conf_process, group, text, "", "Group that workers become; empty: the user's.",
        .flags = CONF_AT_START),
    KEY(conf_process, pid_file, text, "", "File with the master's process id; empty: none.",
        .flags = CONF_AT_START),
    KEY(conf_process, rlimit_nofile, uint, "0",
        "Open files allowed to each process. 0: what max_connections needs.",
        .arg = RANGE(0, UINT64_C(1) << 30), .flags = CONF_AT_START),
    KEY_END,
};
static const struct conf_schema process_schema = { .name = "process",
                                                   .doc = "Processes.",
                                                   .size = sizeof(struct conf_process),
                                                   .keys = process_keys };

static const struct conf_key shutdown_keys[] = {
    KEY(conf_shutdown, drain_delay, duration, "0s",
        "After the signal to stop, time in which the ready page says no and connections are still "
        "accepted.",
        .arg = ANY_TIME),
    KEY(conf_shutdown, grace, duration, "30s",
        "Time for what is in flight; what then still runs is cut.", .arg = SOME_TIME),
    KEY_END,
};
static const struct conf_schema shutdown_schema = {
    .name = "shutdown",
    .doc = "SIGTERM, SIGINT, SIGQUIT; a second one means now.",
    .size = sizeof(struct conf_shutdown),
    .keys = shutdown_keys
};

/* ---- listeners and clients ---- */

static const struct conf_key listener_keys[] = {
    KEY(conf_listener, name, word, NULL, "Its name; \"default\" is that of `port`."),
    KEY(conf_listener, address, listen, NULL,
        "Where to listen: \"0.0.0.0:8080\", \"[::]:8080\", \":8080\" (all addresses of both "
        "families), \"unix:/run/gw.sock\"."),
    KEY(conf_listener, backlog, uint, "4096", "Connections that may wait to be accepted.",
        .arg = RANGE(1, 65535)),
    KEY_END,
};
static const struct conf_schema listener_schema = { .name = "listener",
                                                    .doc = "A place where clients connect.",
                                                    .size = sizeof(struct conf_listener),
                                                    .keys = listener_keys,
                                                    .main = "address" };

static const struct conf_key client_ip_keys[] = {
    KEY(conf_client_ip, trusted_proxies, list_of, "[]",
        "Peers whose word about the client's address is believed. None: the peer is the client.",
        .arg = ELEMENT(prefix)),
    KEY(conf_client_ip, header, one_of, "X-Forwarded-For", "Where a trusted proxy says it.",
        .arg = NAMES("X-Forwarded-For", "Forwarded", "X-Real-IP")),
    KEY(conf_client_ip, ipv6_prefix, uint, "64",
        "Bits of an IPv6 address that count as one client, for limits and lists.",
        .arg = RANGE(1, 128)),
    KEY(conf_client_ip, forward, one_of, "append",
        "What services hear about the way of a request: the client's word with our own appended, "
        "our own only, or nothing.",
        .arg = NAMES("append", "replace", "drop")),
    KEY(conf_client_ip, send_forwarded, boolean, "true",
        "Send Forwarded (RFC 7239) beside X-Forwarded-*."),
    KEY_END,
};
static const struct conf_schema client_ip_schema = { .name = "client_ip",
                                                     .doc = "Who the client is.",
                                                     .size = sizeof(struct conf_client_ip),
                                                     .keys = client_ip_keys };

/* ---- limits and times ---- */

static const struct conf_key limits_keys[] = {
    /* A head lies whole in one buffer of a connection, on the way in and on the way out. */
    KEY(conf_limits, request_line, size, "8k", "Method, target and version; 414. At most 32k.",
        .arg = RANGE(64, KIB(32))),
    KEY(conf_limits, header_size, size, "8k", "One header, name and value; 431. At most 64k.",
        .arg = RANGE(64, KIB(64))),
    KEY(conf_limits, headers_total, size, "32k", "All headers; 431. At most 128k.",
        .arg = RANGE(64, KIB(128))),
    KEY(conf_limits, headers_count, uint, "100", "Number of headers; 431.", .arg = RANGE(1, 1000)),
    KEY(conf_limits, body_size, size, "8m",
        "A request's body; 413, before the body is read where its length is declared."),
    KEY(conf_limits, requests_per_connection, uint, "0",
        "Requests on one connection, then it is closed. 0: any number."),
    KEY_END,
};
static const struct conf_schema limits_schema = { .name = "limits",
                                                  .doc = "What a client may send.",
                                                  .size = sizeof(struct conf_limits),
                                                  .keys = limits_keys };

#define REQUEST_KEY                                                                                \
    KEY(conf_timeouts, request, duration, "60s",                                                   \
        "A whole request, all attempts included; 504, or 408 while the client owes its body. 0: "  \
        "no end.",                                                                                 \
        .arg = ANY_TIME)
#define CLIENT_BODY_KEY                                                                            \
    KEY(conf_timeouts, client_body, duration, "30s",                                               \
        "Between two reads of a request's body; 408.", .arg = SOME_TIME)
#define CLIENT_WRITE_KEY                                                                           \
    KEY(conf_timeouts, client_write, duration, "30s", "No progress while an answer is sent.",      \
        .arg = SOME_TIME)
#define UPSTREAM_KEYS                                                                              \
    KEY(conf_timeouts, upstream_connect, duration, "2s",                                           \
        "Until a connection to a service stands; 504.", .arg = SOME_TIME),                         \
        KEY(conf_timeouts, upstream_header, duration, "30s",                                       \
            "Until the head of a service's answer is there; 504.", .arg = SOME_TIME),              \
        KEY(conf_timeouts, upstream_idle_read, duration, "60s",                                    \
            "Between two reads of an answer's body.", .arg = SOME_TIME),                           \
        KEY(conf_timeouts, upstream_keepalive, duration, "90s",                                    \
            "How long an idle connection to a service is kept. 0: not at all.", .arg = ANY_TIME)

static const struct conf_key timeouts_keys[] = {
    KEY(conf_timeouts, client_header, duration, "10s", "The whole head of a request; 408.",
        .arg = SOME_TIME),
    CLIENT_BODY_KEY,
    KEY(conf_timeouts, client_idle, duration, "75s", "Between two requests on a connection.",
        .arg = SOME_TIME),
    CLIENT_WRITE_KEY,
    REQUEST_KEY,
    UPSTREAM_KEYS,
    KEY_END,
};
static const struct conf_schema timeouts_schema = { .name = "timeouts",
                                                    .doc = "How long things may take.",
                                                    .size = sizeof(struct conf_timeouts),
                                                    .keys = timeouts_keys };

static const struct conf_key pool_keys[] = {
    KEY(conf_pool, max_idle, uint, "20000",
        "Idle connections to services, of the whole gateway; divided by the workers."),
    KEY(conf_pool, max_per_host, uint, "5000", "Idle connections to one endpoint, likewise."),
    KEY(conf_pool, max_pending, uint, "1024",
        "Requests of a worker that may wait for a connection to one endpoint; more get 503.",
        .arg = RANGE(1, 1000000)),
    KEY_END,
};
static const struct conf_schema pool_schema = { .name = "upstream_pool",
                                                .doc = "Connections to services.",
                                                .size = sizeof(struct conf_pool),
                                                .keys = pool_keys };

static const struct conf_key shm_limits_keys[] = {
    KEY(conf_shm_limits, size, size, "64m",
        "Memory for the state of limits, shared by all workers.", .arg = RANGE(MIB(1), MIB(65536)),
        .flags = CONF_AT_START),
    KEY(conf_shm_limits, on_full, one_of, "evict",
        "When no room is left for one more client: forget the one that would be forgotten soonest, "
        "let the request pass, or refuse it.",
        .arg = NAMES("evict", "allow", "deny")),
    KEY_END,
};
static const struct conf_schema shm_limits_schema = { .name = "limits",
                                                      .doc = "State of limits.",
                                                      .size = sizeof(struct conf_shm_limits),
                                                      .keys = shm_limits_keys,
                                                      .main = "size" };
static const struct conf_key shm_metrics_keys[] = {
    KEY(conf_shm_metrics, size, size, "32m", "Memory for counters, shared by all workers.",
        .arg = RANGE(MIB(1), MIB(65536)), .flags = CONF_AT_START),
    KEY_END,
};
static const struct conf_schema shm_metrics_schema = { .name = "metrics",
                                                       .doc = "Counters.",
                                                       .size = sizeof(struct conf_shm_metrics),
                                                       .keys = shm_metrics_keys,
                                                       .main = "size" };
static const struct conf_key shared_memory_keys[] = {
    KEY_BLOCK(conf_shared_memory, limits, &shm_limits_schema, NULL),
    KEY_BLOCK(conf_shared_memory, metrics, &shm_metrics_schema, NULL),
    KEY_END,
};
static const struct conf_schema shared_memory_schema = {
    .name = "shared_memory",
    .doc = "What workers share. Used as needed; the sizes are bounds.",
    .size = sizeof(struct conf_shared_memory),
    .keys = shared_memory_keys
};

/* ---- observing ---- */

const char *const conf_access_names[CONF_ACCESS_FIELDS + 1] = {
    "ts",
    "method",
    "path",
    "status",
    "latency_ms",
    "service",
    "client",
    "reason",
    "consumer",
    "host",
    "route",
    "upstream",
    "upstream_status",
    "upstream_ms",
    "attempts",
    "bytes_in",
    "bytes_out",
    "protocol",
    "worker",
    NULL,
};

/* default and all, or some_of the names. */
static bool read_access_fields(const struct conf_key *key, const struct conf_node *n, void *field,
                               struct arena *a, struct conf_problems *p)
{
    const uint64_t all = (UINT64_C(1) << CONF_ACCESS_FIELDS) - 1;

    if (n->kind == CONF_SCALAR && str_equal(n->text, STR("all")))
        *(uint64_t *)field = all;
    else if (n->kind == CONF_SCALAR && str_equal(n->text, STR("default")))
        *(uint64_t *)field =
            all & ~(UINT64_C(1) << CONF_ACCESS_PROTOCOL | UINT64_C(1) << CONF_ACCESS_WORKER);
    else
        return conf_type_some_of.read(key, n, field, a, p);
    return true;
}

static void print_access_fields(const struct conf_key *key, const void *field, FILE *to)
{
    conf_type_some_of.print(key, field, to);
}

#define CONF_FIELD_access_fields uint64_t
static const struct conf_type conf_type_access_fields = { "list of names",
                                                          "default, all or a list of names",
                                                          sizeof(uint64_t), read_access_fields,
                                                          print_access_fields };

static const struct conf_key access_keys[] = {
    KEY(conf_access, to, log_to, "stdout", "stdout, stderr, file:/path or off."),
    KEY(conf_access, format, one_of, "json", "One JSON object a line.", .arg = NAMES("json")),
    KEY(conf_access, fields, access_fields, "default",
        "What a line holds: default (all but protocol and worker), all, or a list of names.",
        .arg = conf_access_names),
    KEY_END,
};
static const struct conf_schema access_schema = { .name = "access",
                                                  .doc = "An access log: a line for each request.",
                                                  .size = sizeof(struct conf_access),
                                                  .keys = access_keys,
                                                  .main = "to" };
static void check_error_log(const void *settings, const struct conf_node *at,
                            struct conf_problems *p)
{
    const struct conf_error_log *log = settings;

    if (log->to.sink == CONF_SINK_OFF || log->to.sink == CONF_SINK_STDOUT)
        conf_problem(p, at, "the error log goes to stderr or file:/path");
}

static const struct conf_key error_log_keys[] = {
    KEY(conf_error_log, to, log_to, "stderr", "stderr or file:/path."),
    KEY(conf_error_log, format, one_of, "json", "A JSON object a line, or text for people.",
        .arg = NAMES("json", "text")),
    KEY_END,
};
static const struct conf_schema error_log_schema = { .name = "error",
                                                     .doc = "The error log: a line for each event.",
                                                     .size = sizeof(struct conf_error_log),
                                                     .keys = error_log_keys,
                                                     .check = check_error_log,
                                                     .main = "to" };
static const struct conf_key logging_keys[] = {
    KEY(conf_logging, level, one_of, "info", "What is worth a line of the error log.",
        .arg = NAMES("debug", "info", "warn", "error")),
    KEY_BLOCK(conf_logging, error, &error_log_schema, NULL),
    KEY(conf_logging, access, list_of, "[stdout]", "Access logs: a line for each request, in each.",
        .arg = ELEMENT_BLOCK(&access_schema, sizeof(struct conf_access), .at_most = 8)),
    KEY_END,
};
static const struct conf_schema logging_schema = { .name = "logging",
                                                   .doc = "Logs. SIGUSR1 opens their files anew.",
                                                   .size = sizeof(struct conf_logging),
                                                   .keys = logging_keys };

static void check_metrics(const void *settings, const struct conf_node *at, struct conf_problems *p)
{
    const struct conf_metrics *m = settings;
    const uint64_t *bound = m->buckets.items;

    for (size_t i = 0; i < m->buckets.count; i++)
        if (bound[i] == 0 || (i && bound[i] <= bound[i - 1])) {
            const struct conf_node *n = conf_node_get(at, STR("buckets"));

            conf_problem(p, n ? n : at, "each bucket must be larger than the one before");
            return;
        }
}

static const struct conf_key metrics_keys[] = {
    KEY(conf_metrics, path, own_path, "/metrics", "Path of the page for Prometheus; \"\": none."),
    KEY(conf_metrics, on_public_listener, boolean, "true", "Serve the page where clients connect."),
    KEY(conf_metrics, names, some_of, "[s1, s3, native]", "Families of names to show.",
        .arg = NAMES("s1", "s3", "native")),
    KEY(conf_metrics, buckets, list_of,
        "[1ms, 2ms, 5ms, 10ms, 25ms, 50ms, 100ms, 250ms, 500ms, 1s, 2500ms, 5s, 10s]",
        "Upper bounds of the histogram of times.",
        .arg = ELEMENT(duration, .at_least = 1, .at_most = CONF_BUCKETS_MAX),
        .flags = CONF_AT_START),
    KEY(conf_metrics, max_series, uint, "20000", "More label values fold into \"__other__\".",
        .arg = RANGE(100, 1000000), .flags = CONF_AT_START),
    KEY_END,
};
static const struct conf_schema metrics_schema = { .name = "metrics",
                                                   .doc = "Counters for Prometheus.",
                                                   .size = sizeof(struct conf_metrics),
                                                   .keys = metrics_keys,
                                                   .check = check_metrics };

static const struct conf_key health_keys[] = {
    KEY(conf_health, live, own_path, "/health", "200 while a worker turns; \"\": none."),
    KEY(conf_health, ready, own_path, "/ready",
        "200 while clients are welcome, 503 while the gateway drains; \"\": none."),
    KEY_END,
};
static const struct conf_schema health_schema = { .name = "health",
                                                  .doc = "Pages for whoever watches the gateway.",
                                                  .size = sizeof(struct conf_health),
                                                  .keys = health_keys };

static const struct conf_key errors_keys[] = {
    KEY(conf_errors, format, one_of, "auto",
        "Answers made here: application/problem+json (RFC 9457) to who accepts it and text to "
        "others, or always the one.",
        .arg = NAMES("auto", "text", "problem")),
    KEY_END,
};
static const struct conf_schema errors_schema = { .name = "errors",
                                                  .doc = "Answers that the gateway itself makes.",
                                                  .size = sizeof(struct conf_errors),
                                                  .keys = errors_keys,
                                                  .main = "format" };

static const struct conf_key unmatched_keys[] = {
    KEY(conf_unmatched, status, uint, "404", "Status.", .arg = RANGE(200, 599)),
    KEY(conf_unmatched, body, text, "Not Found", "Body, as text."),
    KEY_END,
};
static const struct conf_schema unmatched_schema = {
    .name = "unmatched",
    .doc = "The answer to a path that no service claims.",
    .size = sizeof(struct conf_unmatched),
    .keys = unmatched_keys
};

/* ---- all ---- */

static const struct conf_key globals_keys[] = {
    KEY(conf_globals, version, uint, "1", "Layout version of the file.", .arg = RANGE(1, 1)),
    KEY(conf_globals, port, listen, ":8080",
        "Short for one plain listener named \"default\": \":8080\", 8080 or \"127.0.0.1:8080\". "
        "The environment variable "
        "GATEWAY_PORT overrides it. Where `listeners` is given and this is not, there is no such "
        "listener."),
    { .name = "listeners",
      .type = &conf_type_list_of,
      .offset = offsetof(struct conf_globals, more_listeners),
      .init = "[]",
      .doc = "More places where clients connect.",
      .arg = ELEMENT_BLOCK(&listener_schema, sizeof(struct conf_listener), .at_most = 256) },
    KEY_BLOCK(conf_globals, process, &process_schema, NULL),
    KEY_BLOCK(conf_globals, shutdown, &shutdown_schema, NULL),
    KEY_BLOCK(conf_globals, client_ip, &client_ip_schema, NULL),
    KEY_BLOCK(conf_globals, limits, &limits_schema, NULL),
    KEY_BLOCK(conf_globals, timeouts, &timeouts_schema, NULL),
    KEY_BLOCK(conf_globals, upstream_pool, &pool_schema, NULL),
    KEY_BLOCK(conf_globals, stores, &conf_stores_schema, NULL),
    KEY_BLOCK(conf_globals, shared_memory, &shared_memory_schema, NULL),
    KEY_BLOCK(conf_globals, logging, &logging_schema, NULL),
    KEY_BLOCK(conf_globals, metrics, &metrics_schema, NULL),
    KEY_BLOCK(conf_globals, health, &health_schema, NULL),
    KEY_BLOCK(conf_globals, errors, &errors_schema, NULL),
    KEY_BLOCK(conf_globals, unmatched, &unmatched_schema, NULL),
    KEY(conf_globals, plans, map_of, "{}", "What somebody may use, by a name.",
        .arg = ENTRIES(&conf_plan_schema, conf_plan, .at_most = 1024)),
    KEY_END,
};
const struct conf_schema conf_globals_schema = { .name = "config.yaml",
                                                 .doc = "The whole gateway.",
                                                 .size = sizeof(struct conf_globals),
                                                 .keys = globals_keys };
