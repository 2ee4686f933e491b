/* Keys of limits out of cookies, headers and queries.
 *
 * Whatever a client sends there is a key, the same each time, and other than what other sources give. A cookie or a
 * parameter that is put in front, of the name that is asked for, decides the key: what follows it does not matter. And what
 * it is called for people speaks to no terminal.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/settings.h"
#include "gateway/exchange/exchange.h"
#include "gateway/limiting/limit_key.h"
#include "ratelimit/token_bucket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct limiter limiter = { .key = { 1, 2 } };

/* For a terminal, in exactly so much room. */
static void say(const struct limit_key *key, struct exchange *x, size_t room)
{
    char *text = malloc(room + !room);
    size_t len;

    if (!text)
        abort();
    len = limit_key_text(key, &limiter, x, text, room);
    CHECK(len <= room);
    for (size_t i = 0; i < len; i++)
        CHECK((text[i] >= ' ' && text[i] <= '~') || text[i] == '\xe2' || text[i] == '\x80' ||
              text[i] == '\xa6');
    free(text);
}

static uint64_t key_of(const struct limit_key *key, struct str cookie, struct str query)
{
    struct exchange x = { 0 };
    uint64_t out = 0;

    arena_init(&x.arena, NULL);
    fields_init(&x.req.fields, &x.arena, 2);
    x.req.query = query;
    if (cookie.len)
        *fields_place(&x.req.fields) =
            (struct field){ .name = STR("Cookie"), .value = cookie, .known = FIELD_OTHER };
    x.req.fields.count += cookie.len > 0;
    x.req.fields.present |= UINT64_C(1) << FIELD_OTHER;
    CHECK(limit_key_of(key, &limiter, &x, &out) == KEY_FOUND);
    for (size_t room = 0; room <= 64; room += 7)
        say(key, &x, room);
    arena_free(&x.arena);
    return out;
}

/* `prefix` and then the input, in memory of its exact size. */
static struct str with_prefix(const char *prefix, const uint8_t *data, size_t len)
{
    size_t before = strlen(prefix);
    char *text = malloc(before + len + 1);

    if (!text)
        abort();
    memcpy(text, prefix, before);
    if (len)
        memcpy(text + before, data, len);
    return str_of(text, before + len);
}

static void drop(struct str s)
{
    free((void *)(uintptr_t)s.at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const names[] = { "cookie:k", "query:k" };
    struct conf_globals globals = { .client_ip.ipv6_prefix = 64 };
    struct conf_problems problems;
    struct arena arena;
    struct builder b = { .globals = &globals, .arena = &arena, .problems = &problems };

    conf_problems_init(&problems);
    arena_init(&arena, NULL);
    for (int query = 0; query < 2; query++) {
        struct str text = str_from(names[query]);
        struct conf_list list = { &text, 1 };
        struct str plain = with_prefix("", data, len);
        struct str led = with_prefix(query ? "k=v&" : "k=v; ", data, len);
        struct str led_alone = with_prefix("k=v", data, 0);
        struct limit_key key;

        CHECK(limit_key_build(&key, &b, &list, MISSING_IP));
#define KEY_OF(s) (query ? key_of(&key, STR_NONE, (s)) : key_of(&key, (s), STR_NONE))
        CHECK(KEY_OF(plain) == KEY_OF(plain));
        CHECK(KEY_OF(led) == KEY_OF(led_alone));
        CHECK(KEY_OF(led) != KEY_OF(STR_NONE));
        drop(plain);
        drop(led);
        drop(led_alone);
    }
    arena_free(&arena);
    conf_problems_free(&problems);
    return 0;
}
