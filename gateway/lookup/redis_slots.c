/* Slots of a Redis Cluster. */
#include "gateway/lookup/redis_slots.h"

/* CRC-16/XMODEM: polynomial x^16 + x^12 + x^5 + 1, from 0, four bits at a time. */
static uint16_t crc16(struct str s)
{
    static const uint16_t table[16] = { 0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5,
                                        0x60c6, 0x70e7, 0x8108, 0x9129, 0xa14a, 0xb16b,
                                        0xc18c, 0xd1ad, 0xe1ce, 0xf1ef };
    uint16_t crc = 0;

    for (size_t i = 0; i < s.len; i++) {
        unsigned byte = (unsigned char)s.at[i];

        crc = (uint16_t)(table[(crc >> 12) ^ (byte >> 4)] ^ (uint16_t)(crc << 4));
        crc = (uint16_t)(table[(crc >> 12) ^ (byte & 15)] ^ (uint16_t)(crc << 4));
    }
    return crc;
}

uint16_t redis_slot_of(struct str key)
{
    size_t open = str_index(key, '{');
    struct str rest = str_from_index(key, open + 1);
    size_t len = str_index(rest, '}');

    if (open < key.len && len > 0 && len < rest.len)
        key = str_up_to(rest, len);
    return crc16(key) % REDIS_SLOTS;
}

bool redis_address_told(struct str host, uint64_t port, const struct redis_address *by,
                        struct redis_address *a)
{
    struct str own = str_from(by->text);

    if (host.len > 0)
        return redis_address_of(host, port, a);
    while (own.len > 0 && own.at[own.len - 1] != ':')
        own.len--;
    if (own.len < 2 || by->at.ss_family == AF_UNIX)
        return false;
    own.len--;
    if (own.at[0] == '[')
        own = str_of(own.at + 1, own.len - 2);
    return redis_address_of(own, port, a);
}

/* From Redis 7 on a server that is told by its name says its address behind: ["ip", "10.0.0.5"]. */
static struct str address_behind(const struct redis_reply *server)
{
    const struct redis_reply *more = redis_reply_item(server, 3, REPLY_ARRAY);

    for (size_t i = 0; more && i + 1 < more->count; i += 2) {
        const struct redis_reply *name = redis_reply_item(more, i, REPLY_TEXT);
        const struct redis_reply *value = redis_reply_item(more, i + 1, REPLY_TEXT);

        if (name && value && str_equal(name->text, STR("ip")))
            return value->text;
    }
    return STR_NONE;
}

enum redis_slots_result redis_slots_read(const struct redis_reply *r, size_t i,
                                         const struct redis_address *asked,
                                         struct redis_slot_range *range, struct str *name)
{
    const struct redis_reply *item = redis_reply_item(r, i, REPLY_ARRAY);
    const struct redis_reply *first = item ? redis_reply_item(item, 0, REPLY_INTEGER) : NULL;
    const struct redis_reply *last = item ? redis_reply_item(item, 1, REPLY_INTEGER) : NULL;
    const struct redis_reply *master = item ? redis_reply_item(item, 2, REPLY_ARRAY) : NULL;
    const struct redis_reply *host = master ? redis_reply_item(master, 0, REPLY_TEXT) : NULL;
    const struct redis_reply *port = master ? redis_reply_item(master, 1, REPLY_INTEGER) : NULL;
    struct str text = host ? host->text : STR_NONE;

    if (!first || !last || !port || first->integer < 0 || last->integer < first->integer ||
        last->integer >= REDIS_SLOTS || port->integer <= 0 || port->integer > UINT16_MAX)
        return SLOTS_BAD;
    range->first = (uint16_t)first->integer;
    range->last = (uint16_t)last->integer;
    if (redis_address_told(text, (uint64_t)port->integer, asked, &range->master))
        return SLOTS_RANGE;
    *name = text;
    text = address_behind(master);
    if (text.len && redis_address_of(text, (uint64_t)port->integer, &range->master))
        return SLOTS_RANGE;
    return SLOTS_NAMED;
}
