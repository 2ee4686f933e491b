/* Values that name a place. */
#include "conf/places.h"

#include "gateway/base/cidr.h"

static bool read_port(struct str text, uint16_t least, uint16_t *port)
{
    uint64_t value;

    if (text.len > 5 || !number_read_u64(text, &value) || value > UINT16_MAX || value < least)
        return false;
    *port = (uint16_t)value;
    return true;
}

/* "host:port" cut at the last colon outside of brackets; *port is empty if there is none. */
static struct str cut_port(struct str text, struct str *port)
{
    size_t i = text.len;

    while (i > 0 && text.at[i - 1] != ':' && text.at[i - 1] != ']')
        i--;
    if (i == 0 || text.at[i - 1] == ']') {
        *port = STR_NONE;
        return text;
    }
    *port = str_from_index(text, i);
    return str_up_to(text, i - 1);
}

static struct str lower(struct str s, struct arena *a)
{
    char *to = arena_take_bytes(a, s.len);

    for (size_t i = 0; i < s.len; i++)
        to[i] = (char)ascii_fold((unsigned char)s.at[i]);
    return str_of(to, s.len);
}

/* Labels of letters, digits, - and _ (RFC 1123 2.1, and what people do). */
static bool is_host_name(struct str s)
{
    size_t label = 0;

    if (s.len == 0 || s.len > 253)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = ascii_fold((unsigned char)s.at[i]);

        if (c == '.' && label == 0)
            return false;
        label = c == '.' ? 0 : label + 1;
        if (label > 63 ||
            !(c == '.' || c == '-' || c == '_' || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')))
            return false;
    }
    return label > 0;
}

/* ---- where to listen ---- */

static bool read_listen(const struct conf_key *key, const struct conf_node *n, void *field,
                        struct arena *a, struct conf_problems *p)
{
    struct str *listen = field, port_text, host;
    char text[CIDR_TEXT_MAX];
    struct ip ip;
    uint16_t port;

    if (n->kind != CONF_SCALAR)
        return conf_misfit(key, n, p);
    if (n->text.len == 0 && n->quoted && key->init) {
        *listen = STR_NONE; /* a place that may be left out */
        return true;
    }
    if (str_starts(n->text, STR("unix:/"))) {
        if (n->text.len - 5 > 107) /* sun_path and its NUL */
            return conf_problem(p, n, "the path of a Unix socket has at most 107 bytes");
        *listen = str_keep(a, n->text);
        return true;
    }
    if (read_port(n->text, 0, &port)) {
        *listen = str_format(a, ":%u", port);
        return true;
    }
    host = cut_port(n->text, &port_text);
    if (!read_port(port_text, 0, &port) || (host.len && !ip_read(host, &ip)))
        return conf_misfit(key, n, p);
    if (host.len == 0)
        *listen = str_format(a, ":%u", port);
    else if (str_index(host, ':') == host.len)
        *listen = str_format(a, "%.*s:%u", (int)ip_write(text, &ip), text, port);
    else if (host.at[0] != '[')
        return conf_misfit(key, n, p); /* ::1:80 could be read in two ways */
    else
        *listen = str_format(a, "[%.*s]:%u", (int)ip_write(text, &ip), text, port);
    return true;
}

static void print_str(const struct conf_key *key, const void *field, FILE *to)
{
    (void)key;
    conf_print_text(*(const struct str *)field, to);
}

const struct conf_type conf_type_listen = {
    "address",
    "a port such as 8080, an address with a port such as 127.0.0.1:8080 or [::1]:8080, or "
    "unix:/path",
    sizeof(struct str),
    read_listen,
    print_str,
};

/* ---- services ---- */

bool conf_read_host(struct str text, uint16_t default_port, struct conf_host *to, struct arena *a)
{
    struct str port, host = cut_port(text, &port);
    char ip[CIDR_TEXT_MAX];

    *to = (struct conf_host){ .port = default_port };
    if (host.len < text.len && !read_port(port, 1, &to->port))
        return false;
    to->is_ip = ip_read(host, &to->ip);
    if (!to->is_ip && !is_host_name(host))
        return false;
    to->host = to->is_ip ? str_keep(a, str_of(ip, ip_write(ip, &to->ip))) : lower(host, a);
    return true;
}

static bool read_url(const struct conf_key *key, const struct conf_node *n, void *field,
                     struct arena *a, struct conf_problems *p)
{
    struct conf_host at;
    struct conf_url url;
    struct str rest;

    if (n->kind != CONF_SCALAR)
        return conf_misfit(key, n, p);
    if (str_starts(n->text, STR("https://")))
        return conf_problem(p, n, "services are asked by http:// only, not by https://");
    if (!str_starts(n->text, STR("http://")))
        return conf_misfit(key, n, p);
    rest = str_from_index(n->text, 7);
    if (rest.len && rest.at[rest.len - 1] == '/')
        rest.len--;
    if (str_index(rest, '/') < rest.len || str_index(rest, '?') < rest.len)
        return conf_problem(p, n,
                            "must have no path: the service sees the path that the client sent");
    if (!conf_read_host(rest, 80, &at, a))
        return conf_misfit(key, n, p);
    url = (struct conf_url){ .text = str_keep(a, n->text),
                             .host = at.host,
                             .port = at.port,
                             .is_ip = at.is_ip,
                             .ip = at.ip };
    url.authority = str_format(a, at.is_ip && !ip_is_v4(&at.ip) ? "[%.*s]:%u" : "%.*s:%u",
                               STR_ARGS(url.host), url.port);
    *(struct conf_url *)field = url;
    return true;
}

static void print_url(const struct conf_key *key, const void *field, FILE *to)
{
    const struct conf_url *url = field;

    (void)key;
    conf_print_text(url->text, to);
}

const struct conf_type conf_type_url = { "URL", "http://host:port", sizeof(struct conf_url),
                                         read_url, print_url };

static bool read_host(const struct conf_key *key, const struct conf_node *n, void *field,
                      struct arena *a, struct conf_problems *p)
{
    struct str host = n->text;
    struct ip ip;

    if (n->kind != CONF_SCALAR)
        return conf_misfit(key, n, p);
    if (host.len > 1 && host.at[host.len - 1] == '.')
        host.len--;
    if (!is_host_name(str_starts(host, STR("*.")) ? str_from_index(host, 2) : host) &&
        !(host.len && host.at[0] == '[' && ip_read(host, &ip)))
        return conf_misfit(key, n, p);
    *(struct str *)field = lower(host, a);
    return true;
}

const struct conf_type conf_type_host = {
    "host", "a host without port, such as api.example.com or *.example.com", sizeof(struct str),
    read_host, print_str
};

static bool read_method(const struct conf_key *key, const struct conf_node *n, void *field,
                        struct arena *a, struct conf_problems *p)
{
    if (n->kind != CONF_SCALAR || n->text.len == 0 || n->text.len > 32)
        return conf_misfit(key, n, p);
    for (size_t i = 0; i < n->text.len; i++)
        if (!((n->text.at[i] >= 'A' && n->text.at[i] <= 'Z') || n->text.at[i] == '-'))
            return conf_misfit(key, n, p);
    *(struct str *)field = str_keep(a, n->text);
    return true;
}

const struct conf_type conf_type_method = { "method", "a method in capitals, such as GET",
                                            sizeof(struct str), read_method, print_str };

/* ---- paths ---- */

static bool stands_in_a_segment(unsigned char c)
{
    unsigned char folded = ascii_fold(c);

    return (folded >= 'a' && folded <= 'z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~!$&'()*+,;=:@", c));
}

/* One octet of a path at its start, decoded; returns how many characters it took, or 0. */
static size_t one_octet(struct str path, unsigned char *octet)
{
    uint64_t code;

    if (path.at[0] != '%') {
        *octet = (unsigned char)path.at[0];
        return 1;
    }
    if (path.len < 3 || !number_read_hex(str_of(path.at + 1, 2), &code))
        return 0;
    *octet = (unsigned char)code;
    return code == '/' || code == '\\' || code == '%' ? 0 : 3;
}

/* Each octet in the one spelling that requests are compared in: as itself, or coded with capitals. */
static const char *one_spelling(struct str path, struct arena *a, struct str *out)
{
    char *to = arena_take_bytes(a, path.len * 3);
    size_t len = 0;

    for (size_t i = 0; i < path.len;) {
        unsigned char c = 0;
        size_t taken =
            path.at[i] == '{' || path.at[i] == '}' ? 1 : one_octet(str_from_index(path, i), &c);

        if (taken == 0)
            return "holds a percent coding that no request can have";
        if (taken == 1 && (path.at[i] == '?' || path.at[i] == '#' || path.at[i] == '\\'))
            return "must be a path only: no ?, # or \\";
        if ((c && c < 0x20) || c == 0x7f || (taken == 3 && c == 0))
            return "holds a control character";
        if (c == 0 || c == '/' || stands_in_a_segment(c))
            to[len++] = c ? (char)c : path.at[i];
        else
            len += (size_t)snprintf(to + len, 4, "%%%02X", c);
        i += taken;
    }
    *out = str_of(to, len);
    return NULL;
}

static bool is_parameter(struct str segment)
{
    struct str name = str_of(segment.at + 1, segment.len - 2);

    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = ascii_fold((unsigned char)name.at[i]);

        if (!((c >= 'a' && c <= 'z') || c == '_' || (c >= '0' && c <= '9' && i > 0)))
            return false;
    }
    return segment.at[segment.len - 1] == '}' && name.len > 0;
}

/* True if the parameter stands in the segments before, too. */
static bool is_used(struct str before, struct str parameter)
{
    struct str rest = before, segment;

    while (rest.len) {
        segment = str_cut(rest, '/', &rest);
        if (str_equal(segment, parameter))
            return true;
    }
    return false;
}

static const char *check_segments(struct str path, bool *has_parameters)
{
    struct str rest = str_from_index(path, 1), segment;

    while (rest.len) {
        segment = str_cut(rest, '/', &rest);
        if (segment.len == 0)
            return "has an empty segment";
        if (str_equal(segment, STR(".")) || str_equal(segment, STR("..")))
            return "has a dot segment, which no request has any more when it is compared";
        if (str_index(segment, '*') < segment.len)
            return "may have a * only as /** at its end; {name} takes one segment";
        if (str_index(segment, '{') == segment.len && str_index(segment, '}') == segment.len)
            continue;
        if (segment.len < 3 || segment.at[0] != '{' || !is_parameter(segment))
            return "may have { and } only around a name that is a whole segment: /users/{id}";
        if (is_used(str_between(path.at, segment.at), segment))
            return "names a parameter twice";
        *has_parameters = true;
    }
    return NULL;
}

static bool read_path(const struct conf_key *key, const struct conf_node *n, bool plain_is_below,
                      struct conf_route *route, struct arena *a, struct conf_problems *p)
{
    struct str path = n->text;
    bool below = false, has_parameters = false;
    const char *wrong;

    if (plain_is_below && n->kind == CONF_SCALAR && n->quoted && path.len == 0) {
        *route = (struct conf_route){ .below = false }; /* none, the default */
        return true;
    }
    if (n->kind != CONF_SCALAR || path.len == 0 || path.at[0] != '/')
        return conf_misfit(key, n, p);
    if (str_ends(path, STR("/**"))) {
        below = true;
        path.len -= 3;
    }
    if (below && str_ends(path, STR("/")))
        return conf_problem(p, n, "has an empty segment");
    wrong = one_spelling(path.len ? path : STR("/"), a, &path);
    if (!wrong) /* after that: "/%2e%2e" is a dot segment too */
        wrong = check_segments(path, &has_parameters);
    if (wrong)
        return conf_problem(p, n, "%s", wrong);
    if (plain_is_below && !has_parameters && !below) {
        below = true;
        if (path.len > 1 && path.at[path.len - 1] == '/')
            path.len--;
    }
    route->path = path;
    route->below = below;
    route->at = n->at;
    return true;
}

static bool read_exact_path(const struct conf_key *key, const struct conf_node *n, void *field,
                            struct arena *a, struct conf_problems *p)
{
    return read_path(key, n, false, field, a, p);
}

static bool read_path_below(const struct conf_key *key, const struct conf_node *n, void *field,
                            struct arena *a, struct conf_problems *p)
{
    return read_path(key, n, true, field, a, p);
}

static void print_path(const struct conf_key *key, const void *field, FILE *to)
{
    const struct conf_route *route = field;
    struct arena a;

    (void)key;
    arena_init(&a, NULL);
    if (!route->below)
        conf_print_text(route->path, to);
    else if (str_equal(route->path, STR("/")))
        conf_print_text(STR("/**"), to);
    else
        conf_print_text(str_format(&a, "%.*s/**", STR_ARGS(route->path)), to);
    arena_free(&a);
}

const struct conf_type conf_type_exact_path = {
    "path",
    "a path such as /users, /users/{id} or /users/**",
    sizeof(struct conf_route),
    read_exact_path,
    print_path,
};
const struct conf_type conf_type_path_below = {
    "path",
    "a path such as /users, which takes all below it too, or /users/{id}",
    sizeof(struct conf_route),
    read_path_below,
    print_path,
};

static bool read_own_path(const struct conf_key *key, const struct conf_node *n, void *field,
                          struct arena *a, struct conf_problems *p)
{
    struct conf_route route = { .below = false };

    if (n->kind == CONF_SCALAR && n->text.len == 0) {
        *(struct str *)field = STR_NONE;
        return true;
    }
    if (!read_path(key, n, false, &route, a, p))
        return false;
    if (route.below || str_index(route.path, '{') < route.path.len)
        return conf_misfit(key, n, p);
    *(struct str *)field = route.path;
    return true;
}

const struct conf_type conf_type_own_path = { "path", "a path such as /health, or \"\" for none",
                                              sizeof(struct str), read_own_path, print_str };

/* ---- logs ---- */

static bool read_log_to(const struct conf_key *key, const struct conf_node *n, void *field,
                        struct arena *a, struct conf_problems *p)
{
    static const char *const words[] = { "off", "stdout", "stderr" }; /* as enum conf_sink */
    struct conf_log_to to = { .sink = CONF_SINK_FILE };

    if (n->kind != CONF_SCALAR)
        return conf_misfit(key, n, p);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_equal(n->text, str_from(words[i])))
            to.sink = (enum conf_sink)i;
    if (to.sink == CONF_SINK_FILE) {
        if (!str_starts(n->text, STR("file:/")))
            return conf_misfit(key, n, p);
        to.path = str_keep(a, str_from_index(n->text, 5));
    }
    *(struct conf_log_to *)field = to;
    return true;
}

static void print_log_to(const struct conf_key *key, const void *field, FILE *to)
{
    const struct conf_log_to *log = field;
    struct arena a;

    (void)key;
    arena_init(&a, NULL);
    switch (log->sink) {
    case CONF_SINK_OFF:
        fputs("off", to);
        break;
    case CONF_SINK_STDOUT:
        fputs("stdout", to);
        break;
    case CONF_SINK_STDERR:
        fputs("stderr", to);
        break;
    case CONF_SINK_FILE:
        conf_print_text(str_format(&a, "file:%.*s", STR_ARGS(log->path)), to);
        break;
    }
    arena_free(&a);
}

const struct conf_type conf_type_log_to = { "log", "stdout, stderr, off or file:/path",
                                            sizeof(struct conf_log_to), read_log_to, print_log_to };
