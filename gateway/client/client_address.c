/* Who the client is, as an address. */
#include "gateway/client/client_address.h"

#include "gateway/client/session.h"
#include "gateway/exchange/exchange.h"

static void set(struct exchange *x, const struct ip *ip)
{
    char *text = arena_take_bytes(&x->arena, CIDR_TEXT_MAX);

    x->who.address = *ip;
    x->who.address_text = str_of(text, ip_write(text, ip));
}

void client_address_set(struct exchange *x, const struct session *s)
{
    if (s->local_peer)
        x->who.address_text = STR("unix");
    else
        set(x, &s->peer);
    x->who.peer_text = s->local_peer ? STR("unknown") : x->who.address_text; /* RFC 7239 6.2 */
    x->who.peer_is_ipv6 = !s->local_peer && !ip_is_v4(&s->peer);
}

/* 192.0.2.1, 192.0.2.1:80, [2001:db8::1]:80, "[2001:db8::1]:80" */
static bool read_hop(struct str text, struct ip *ip)
{
    size_t end;

    if (text.len >= 2 && text.at[0] == '"' && text.at[text.len - 1] == '"')
        text = str_of(text.at + 1, text.len - 2);
    if (ip_read(text, ip))
        return true;
    if (text.len && text.at[0] == '[')
        return (end = str_index(text, ']')) < text.len && ip_read(str_up_to(text, end + 1), ip);
    return ip_read(str_up_to(text, str_index(text, ':')), ip);
}

/* The address in a member of Forwarded: for=…;proto=… (RFC 7239 section 4) */
static struct str for_of(struct str member)
{
    while (member.len) {
        struct str pair = str_trim(str_cut(member, ';', &member)), value;
        struct str name = str_cut(pair, '=', &value);

        if (str_equal_folded(name, STR("for")))
            return value;
    }
    return STR_NONE;
}

/* The last member of a list, and the list without it. */
static bool last_member(struct str *list, struct str *member)
{
    while (list->len) {
        size_t comma = list->len;

        while (comma > 0 && list->at[comma - 1] != ',')
            comma--;
        *member = str_trim(str_from_index(*list, comma));
        *list = str_up_to(*list, comma ? comma - 1 : 0);
        if (member->len)
            return true;
    }
    return false;
}

static bool trusts(const struct client_rules *rules, const struct ip *ip)
{
    return cidr_any_holds(rules->trusted, rules->trusted_count, ip);
}

/* Walk one field's list from the right. False: the client was found, or the words could not be read. */
static bool walk(struct exchange *x, const struct client_rules *rules, struct str list)
{
    struct str member;

    while (last_member(&list, &member)) {
        struct ip ip;

        if (!read_hop(rules->address_field == CLIENT_FORWARDED ? for_of(member) : member, &ip))
            return false;
        set(x, &ip);
        if (!trusts(rules, &ip))
            return false;
    }
    return true;
}

void client_address_look_through(struct exchange *x, const struct session *s)
{
    static const enum known_field field_of[] = { [CLIENT_XFF] = FIELD_X_FORWARDED_FOR,
                                                 [CLIENT_FORWARDED] = FIELD_FORWARDED,
                                                 [CLIENT_REAL_IP] = FIELD_X_REAL_IP };
    const struct client_rules *rules = &s->local->current.clients;
    enum known_field field = field_of[rules->address_field];

    if (LIKELY(rules->trusted_count == 0) || !fields_have(&x->req.fields, field))
        return;
    if (!s->local_peer && !trusts(rules, &s->peer))
        return;
    for (uint32_t i = x->req.fields.count; i-- > 0;) /* several lines are one list (RFC 9110 5.3) */
        if (x->req.fields.at[i].known == field && !walk(x, rules, x->req.fields.at[i].value))
            return;
}
