/* What changes when a message passes through us. */
#include "gateway/http/hop.h"

#include "gateway/http/octets.h"

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

static char *put(char *to, struct str s)
{
    if (s.len)
        memcpy(to, s.at, s.len);
    return to + s.len;
}

/* "1.1 sluice": what was spoken on the hop the message came by, and who we are. (9110 7.6.3) */
static void add_via(struct fields *f, uint8_t version, struct str via, struct arena *arena)
{
    char *text = arena_take_bytes(arena, via.len + 4);

    text[0] = (char)('0' + version / 10);
    text[1] = '.';
    text[2] = (char)('0' + version % 10);
    text[3] = ' ';
    put(text + 4, via);
    fields_put_known(f, FIELD_VIA, str_of(text, via.len + 4));
}

static size_t size_of_all(const struct fields *f, enum known_field known)
{
    size_t size = 0;

    for (uint32_t i = 0; i < f->count; i++)
        if (f->at[i].known == known && f->at[i].name.len)
            size += f->at[i].value.len + 2;
    return size;
}

/* All values of that name in their order, and `last` behind them, as one list. */
static struct str append_to_all(const struct fields *f, enum known_field known, struct str last,
                                struct arena *arena)
{
    char *text = arena_take_bytes(arena, size_of_all(f, known) + last.len), *p = text;

    for (uint32_t i = 0; i < f->count; i++)
        if (f->at[i].known == known && f->at[i].name.len && f->at[i].value.len) {
            p = put(p, f->at[i].value);
            p = put(p, STR(", "));
        }
    p = put(p, last);
    return str_between(text, p);
}

static bool needs_quotes(struct str host)
{
    return !octets_are(host, OCTET_TOKEN); /* a port or an IPv6 address has colons */
}

static char *put_quoted(char *to, struct str value, bool quotes)
{
    if (quotes)
        *to++ = '"';
    to = put(to, value);
    if (quotes)
        *to++ = '"';
    return to;
}

/* for="[2001:db8::1]";host="example.com:8080";proto=http (RFC 7239 section 4) */
static struct str forwarded_element(const struct request *req, const struct hop_client *client,
                                    struct arena *arena)
{
    size_t size = sizeof "for=\"[]\";host=\"\";proto=" + client->address.len + req->host.len +
                  req->scheme.len;
    char *text = arena_take_bytes(arena, size), *p = text;

    p = put(p, client->is_ipv6 ? STR("for=\"[") : STR("for="));
    p = put(p, client->address);
    p = put(p, client->is_ipv6 ? STR("]\"") : STR(""));
    if (req->host.len) {
        p = put(p, STR(";host="));
        p = put_quoted(p, req->host, needs_quotes(req->host));
    }
    p = put(p, STR(";proto="));
    p = put(p, req->scheme);
    return str_between(text, p);
}

static void add_forwarded(struct request *req, const struct hop_client *client, struct arena *arena)
{
    struct fields *f = &req->fields;
    bool keep = client->forward == HOP_APPEND && client->send_forwarded;

    if (!keep)
        fields_remove(f, FIELD_FORWARDED);
    if (client->send_forwarded)
        fields_put_known(f, FIELD_FORWARDED, forwarded_element(req, client, arena));
}

static void add_about_client(struct request *req, const struct hop_client *client,
                             struct arena *arena)
{
    struct fields *f = &req->fields;
    /* The client's session may end before its exchange does. */
    struct str address = str_keep(arena, client->address);
    struct str chain = address;

    if (client->forward == HOP_APPEND && fields_have(f, FIELD_X_FORWARDED_FOR))
        chain = append_to_all(f, FIELD_X_FORWARDED_FOR, address, arena);
    remove_set(f, about_client & ~BIT(FORWARDED));
    fields_put_known(f, FIELD_X_FORWARDED_FOR, chain);
    fields_put_known(f, FIELD_X_REAL_IP, address);
    fields_put_known(f, FIELD_X_FORWARDED_PROTO, req->scheme);
    if (req->host.len)
        fields_put_known(f, FIELD_X_FORWARDED_HOST, req->host);
    if (client->port.len)
        fields_put_known(f, FIELD_X_FORWARDED_PORT, str_keep(arena, client->port));
    add_forwarded(req, client, arena);
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
    add_via(f, req->version, client->via, arena);
    if (client->forward == HOP_DROP)
        remove_set(f, about_client);
    else
        add_about_client(req, client, arena);
}

void hop_response(struct response *resp, struct str via, struct arena *arena)
{
    remove_one_hop(&resp->fields);
    add_via(&resp->fields, resp->version, via, arena);
}

struct str hop_connection(const struct fields *fields, bool close)
{
    if (fields_have(fields, FIELD_TE))
        return close ? STR("close, TE") : STR("TE");
    return close ? STR("close") : STR("");
}
