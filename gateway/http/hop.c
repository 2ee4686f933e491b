/* What changes when a message passes through us. */
#include "gateway/http/hop.h"

#include "gateway/http/octets.h"

#define LINES_MOST 7 /* that we add */
#define BIT(field) ((uint64_t)1 << FIELD_##field)

/* Belongs to one hop, whether Connection names it or not. */
static const uint64_t one_hop = BIT(CONNECTION) | BIT(KEEP_ALIVE) | BIT(PROXY_CONNECTION) |
                                BIT(TE) | BIT(UPGRADE) | BIT(HTTP2_SETTINGS) |
                                BIT(TRANSFER_ENCODING) | BIT(PROXY_AUTHORIZATION) |
                                BIT(PROXY_AUTHENTICATE);

/* What we say about a client, and only we. */
static const uint64_t about_client = BIT(FORWARDED) | BIT(X_FORWARDED_FOR) |
                                     BIT(X_FORWARDED_PROTO) | BIT(X_FORWARDED_HOST) |
                                     BIT(X_FORWARDED_PORT) | BIT(X_REAL_IP);

/* Connection cannot name these away: framing, routing, policy and trust depend on them. */
static const uint64_t kept =
    BIT(HOST) | BIT(CONTENT_LENGTH) | BIT(CONTENT_TYPE) | BIT(EXPECT) | BIT(VIA) | BIT(FORWARDED) |
    BIT(X_FORWARDED_FOR) | BIT(X_FORWARDED_PROTO) | BIT(X_FORWARDED_HOST) | BIT(X_FORWARDED_PORT) |
    BIT(X_REAL_IP) | BIT(X_API_KEY) | BIT(X_REQUEST_ID) | BIT(AUTHORIZATION) | BIT(COOKIE) |
    BIT(SET_COOKIE) | BIT(DATE) | BIT(LOCATION);

static bool is_in(uint64_t set, enum known_field known)
{
    return set >> known & 1;
}

/* --- removing ---------------------------------------------------------------------------------- */

static void remove_set(struct fields *f, uint64_t set)
{
    if (!(f->present & set))
        return;
    for (uint32_t i = 0; i < f->count; i++)
        if (is_in(set, f->at[i].known))
            f->at[i].name.len = 0;
    f->present &= ~set;
    f->repeated &= ~set;
}

/* All that the peer has sent by that name; what a step of ours has added or set stays. */
static void remove_theirs(struct fields *f, struct str name)
{
    enum known_field known = field_known(name);

    if (is_in(kept | one_hop, known))
        return;
    for (uint32_t i = 0; i < f->count; i++)
        if (!f->at[i].ours && f->at[i].known == known && str_equal_folded(f->at[i].name, name))
            f->at[i].name.len = 0;
}

/* Every field that a Connection field names. */
static void remove_named(struct fields *f)
{
    for (uint32_t i = 0; i < f->count; i++) {
        struct str list = f->at[i].value;

        if (f->at[i].known != FIELD_CONNECTION || f->at[i].name.len == 0)
            continue;
        if (str_equal(list, STR("keep-alive")) || str_equal(list, STR("close")))
            continue; /* as nearly all write it: names nothing else */
        while (list.len) {
            struct str name = str_trim(str_cut(list, ',', &list));

            if (octets_are(name, OCTET_TOKEN))
                remove_theirs(f, name);
        }
    }
}

/* Does one of the TE fields say "trailers"? (It is never given a weight.) */
static bool accepts_trailers(const struct fields *f)
{
    for (uint32_t i = 0; i < f->count; i++) {
        struct str list = f->at[i].value;

        if (f->at[i].known != FIELD_TE || f->at[i].name.len == 0)
            continue;
        while (list.len)
            if (str_equal_folded(str_trim(str_cut(list, ',', &list)), STR("trailers")))
                return true;
    }
    return false;
}

static void remove_one_hop(struct fields *f)
{
    if (fields_have(f, FIELD_CONNECTION))
        remove_named(f);
    remove_set(f, one_hop);
}

/* Is `name`, with '-' for '_', the name of a field that a service trusts us to have written? To CGI and
 * its heirs both spellings are one variable. */
static bool is_disguised(struct str name)
{
    char dashed[32];

    if (name.len > sizeof dashed || !memchr(name.at, '_', name.len))
        return false;
    for (size_t i = 0; i < name.len; i++)
        dashed[i] = name.at[i] == '_' ? '-' : name.at[i];
    return is_in(about_client | one_hop | kept, field_known(str_of(dashed, name.len)));
}

static void remove_disguised(struct fields *f)
{
    if (LIKELY(!f->rare_names))
        return;
    for (uint32_t i = 0; i < f->count; i++)
        if (f->at[i].known == FIELD_OTHER && f->at[i].name.len && is_disguised(f->at[i].name))
            f->at[i].name.len = 0;
}

/* --- adding ------------------------------------------------------------------------------------ */

/* "1.1 sluice": what was spoken on the hop the message came by, and who we are. (9110 7.6.3)
 * Inlined always, so that the lines live in registers. */
__attribute__((always_inline)) static inline void write_via(struct field_lines *l, uint8_t version,
                                                            struct str via)
{
    fields_line_open(l, FIELD_VIA);
    *l->to++ = (char)('0' + version / 10);
    *l->to++ = '.';
    *l->to++ = (char)('0' + version % 10);
    *l->to++ = ' ';
    l->to = octets_put(l->to, via);
    fields_line_close(l);
}

static size_t size_of_all(const struct fields *f, enum known_field known)
{
    size_t size = 0;

    for (uint32_t i = 0; i < f->count; i++)
        if (f->at[i].known == known && f->at[i].name.len)
            size += f->at[i].value.len + 2;
    return size;
}

/* All values of that name in their order, as a list to which another is to be added. */
static char *put_all(char *to, const struct fields *f, enum known_field known)
{
    for (uint32_t i = 0; i < f->count; i++)
        if (f->at[i].known == known && f->at[i].name.len && f->at[i].value.len) {
            to = octets_put(to, f->at[i].value);
            to = octets_put(to, STR(", "));
        }
    return to;
}

/* Of a host (target.h) all octets but the colons of a port or an IPv6 address may stand in a token. */
static bool needs_quotes(struct str host)
{
    return memchr(host.at, ':', host.len) != NULL;
}

static char *put_quoted(char *to, struct str value, bool quotes)
{
    if (quotes)
        *to++ = '"';
    to = octets_put(to, value);
    if (quotes)
        *to++ = '"';
    return to;
}

#define FORWARDED_MOST "for=\"[]\";host=\"\";proto="

/* for="[2001:db8::1]";host="example.com:8080";proto=http (RFC 7239 section 4) */
static void write_forwarded(struct field_lines *l, const struct request *req,
                            const struct hop_client *client)
{
    char *to;

    fields_line_open(l, FIELD_FORWARDED);
    to = octets_put(l->to, client->is_ipv6 ? STR("for=\"[") : STR("for="));
    to = octets_put(to, client->address);
    if (client->is_ipv6)
        to = octets_put(to, STR("]\""));
    if (req->host.len) {
        to = octets_put(to, STR(";host="));
        to = put_quoted(to, req->host, needs_quotes(req->host));
    }
    to = octets_put(to, STR(";proto="));
    l->to = octets_put(to, req->scheme);
    fields_line_close(l);
}

/* The chain goes on with this client, or begins with it; what was said about it before goes. */
static void write_about_client(struct field_lines *l, const struct request *req,
                               const struct hop_client *client, bool goes_on)
{
    bool keeps = client->forward == HOP_APPEND && client->send_forwarded;

    fields_line_open(l, FIELD_X_FORWARDED_FOR);
    if (UNLIKELY(goes_on))
        l->to = put_all(l->to, l->fields, FIELD_X_FORWARDED_FOR);
    l->to = octets_put(l->to, client->address);
    fields_line_close(l);
    remove_set(l->fields, keeps ? about_client & ~BIT(FORWARDED) : about_client);
    fields_line_add(l, FIELD_X_REAL_IP, client->address);
    fields_line_add(l, FIELD_X_FORWARDED_PROTO, req->scheme);
    if (req->host.len)
        fields_line_add(l, FIELD_X_FORWARDED_HOST, req->host);
    if (client->port.len)
        fields_line_add(l, FIELD_X_FORWARDED_PORT, client->port);
    if (client->send_forwarded)
        write_forwarded(l, req, client);
}

/* What we add is one text in the arena: the client's session may end before its exchange does. */
static void add_lines(struct request *req, const struct hop_client *client, struct arena *arena)
{
    struct fields *f = &req->fields;
    bool goes_on = client->forward == HOP_APPEND && fields_have(f, FIELD_X_FORWARDED_FOR);
    size_t size = LINES_MOST * FIELDS_LINE_ROOM + client->via.len + 4 + 3 * client->address.len +
                  2 * req->scheme.len + 2 * req->host.len + client->port.len +
                  sizeof FORWARDED_MOST;
    struct field_lines lines;

    if (UNLIKELY(goes_on))
        size += size_of_all(f, FIELD_X_FORWARDED_FOR);
    lines = fields_lines_begin(f, arena_take_bytes(arena, size), LINES_MOST);
    write_via(&lines, req->version, client->via);
    if (client->forward == HOP_DROP)
        remove_set(f, about_client);
    else
        write_about_client(&lines, req, client, goes_on);
    fields_lines_end(&lines);
}

/* --- both ways --------------------------------------------------------------------------------- */

void hop_request(struct request *req, const struct hop_client *client, struct arena *arena)
{
    struct fields *f = &req->fields;
    bool trailers = fields_have(f, FIELD_TE) && accepts_trailers(f);

    remove_one_hop(f);
    remove_disguised(f);
    if (trailers)
        fields_put_known(f, FIELD_TE, STR("trailers"));
    add_lines(req, client, arena);
}

void hop_response(struct response *resp, struct str via, struct arena *arena)
{
    struct field_lines lines;

    remove_one_hop(&resp->fields);
    lines = fields_lines_begin(&resp->fields,
                               arena_take_bytes(arena, FIELDS_LINE_ROOM + 4 + via.len), 1);
    write_via(&lines, resp->version, via);
    fields_lines_end(&lines);
}

struct str hop_connection(const struct fields *fields, bool close)
{
    if (fields_have(fields, FIELD_TE))
        return close ? STR("close, TE") : STR("TE");
    return close ? STR("close") : STR("");
}
