/* What everybody looks at. */
#include "gateway/settings.h"

#include "gateway/base/number.h"

struct engine_settings settings_of_engine(const struct conf_globals *g, struct arena *a)
{
    const struct conf_listener *from = g->listeners.items;
    struct listen_address *to = ARENA_ARRAY(a, struct listen_address, g->listeners.count);
    const struct conf_access *access = g->logging.access.items;
    struct str *logs = ARENA_ARRAY(a, struct str, g->logging.access.count + 1);
    size_t log_count = 0;

    for (size_t i = 0; i < g->listeners.count; i++)
        to[i] = (struct listen_address){ .address = from[i].address,
                                         .backlog = (uint32_t)from[i].backlog };
    for (size_t i = 0; i < g->logging.access.count; i++)
        if (access[i].to.sink == CONF_SINK_FILE)
            logs[log_count++] = access[i].to.path;
    return (struct engine_settings){
        .workers = (uint32_t)g->process.workers,
        .pin = g->process.cpu_affinity == CONF_AFFINITY_NONE ? PIN_NONE : PIN_AUTO,
        .user = g->process.user,
        .group = g->process.group,
        .pid_file = g->process.pid_file,
        .max_connections = (uint32_t)g->process.max_connections,
        .descriptors = g->process.rlimit_nofile,
        .listeners = to,
        .listener_count = g->listeners.count,
        .drain_delay_ns = g->shutdown.drain_delay,
        .grace_ns = g->shutdown.grace,
        .stuck_ns = 30 * NS_PER_S,
        .error_log =
            g->logging.error.to.sink == CONF_SINK_FILE ? g->logging.error.to.path : STR(""),
        .logs = logs,
        .log_count = log_count,
    };
}

struct current settings_of_exchanges(const struct conf_globals *g)
{
    return (struct current){
        .globals = g,
        .clients = { .head = { .first_line = (uint32_t)g->limits.request_line,
                               .field_line = (uint32_t)g->limits.header_size,
                               .total = (uint32_t)g->limits.headers_total,
                               .count = (uint32_t)g->limits.headers_count },
                     .header_ns = g->timeouts.client_header,
                     .idle_ns = g->timeouts.client_idle,
                     .requests_per_connection = g->limits.requests_per_connection,
                     .trusted = g->client_ip.trusted_proxies.items,
                     .trusted_count = g->client_ip.trusted_proxies.count,
                     .address_field = (enum client_address_field)g->client_ip.header,
                     .ipv6_prefix = (unsigned)g->client_ip.ipv6_prefix,
                     .forward = (enum hop_forward)g->client_ip.forward,
                     .send_forwarded = g->client_ip.send_forwarded },
        .errors = (enum errors_format)g->errors.format,
    };
}
