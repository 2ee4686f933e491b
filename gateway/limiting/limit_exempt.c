/* Whom a limit does not count. */
#include "gateway/limiting/limit_exempt.h"

static const struct conf_key keys[] = {
    KEY(limit_exempt_settings, ips, list_of, "[]", "Addresses and prefixes of clients.",
        .arg = ELEMENT(prefix, .at_most = 4096)),
    KEY(limit_exempt_settings, consumers, list_of, "[]",
        "Consumers and users that a step before has identified.",
        .arg = ELEMENT(word, .at_most = 4096)),
    KEY_END,
};

const struct conf_schema limit_exempt_schema = { .name = "exempt",
                                                 .doc = "Whose requests are not counted.",
                                                 .size = sizeof(struct limit_exempt_settings),
                                                 .keys = keys,
                                                 .main = "ips" };

struct limit_exempt limit_exempt_build(struct builder *b, const struct limit_exempt_settings *s)
{
    const struct str *names = s->consumers.items;
    struct cidr *ips = ARENA_ARRAY(b->arena, struct cidr, s->ips.count + 1);
    struct str *kept = ARENA_ARRAY(b->arena, struct str, s->consumers.count + 1);

    if (s->ips.count)
        memcpy(ips, s->ips.items, s->ips.count * sizeof *ips);
    for (size_t i = 0; i < s->consumers.count; i++)
        kept[i] = str_keep(b->arena, names[i]);
    return (struct limit_exempt){ ips, s->ips.count, kept, s->consumers.count };
}

bool limit_exempt_is(const struct limit_exempt *e, const struct exchange *x)
{
    if (e->ip_count && cidr_any_holds(e->ips, e->ip_count, &x->who.address))
        return true;
    for (size_t i = 0; i < e->name_count; i++)
        if (str_equal(e->names[i], x->who.consumer) || str_equal(e->names[i], x->who.user))
            return true;
    return false;
}
