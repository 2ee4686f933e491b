/* What a Redis may say.
 *
 * However the bytes are cut, the same replies come of them, up to where they are bad; and whatever is asked of a reply (numbers,
 * slots of a cluster, an error's meaning and redirection) is read or refused.
 */
#include <stdint.h>
#include <stdlib.h>

#include "gateway/lookup/redis_error.h"
#include "gateway/lookup/redis_reply.h"
#include "gateway/lookup/redis_slots.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void ask_error(struct str error)
{
    struct redis_address by, a;
    struct str host;
    uint64_t slot, port;

    CHECK(redis_address_read(STR("127.0.0.1:6379"), &by));
    (void)redis_trouble_is_servers(redis_trouble_of(error));
    if (redis_redirection(error, &slot, &host, &port) && redis_address_told(host, port, &by, &a))
        CHECK(a.len > 0 && redis_address_read(str_from(a.text), &by) &&
              redis_address_equal(&a, &by));
}

static void ask_slots(const struct redis_reply *r)
{
    struct redis_slot_range range;
    struct redis_address by;
    struct str name = STR_NONE;

    CHECK(redis_address_read(STR("[::1]:6379"), &by));
    for (size_t i = 0; i < r->count + 1; i++)
        switch (redis_slots_read(r, i, &by, &range, &name)) {
        case SLOTS_RANGE:
            CHECK(i < r->count && range.first <= range.last && range.last < REDIS_SLOTS);
            CHECK(range.master.len > 0);
            break;
        case SLOTS_NAMED:
        case SLOTS_BAD:
            CHECK(name.len == 0 || name.at);
            break;
        }
}

/* A sum over all that a reply says. */
static uint64_t sum_of(const struct redis_reply *r)
{
    uint64_t sum = (uint64_t)r->type * 31 + (uint64_t)r->integer;

    for (size_t i = 0; i < r->text.len; i++)
        sum = sum * 33 + (unsigned char)r->text.at[i];
    for (size_t i = 0; i < r->count; i++)
        sum = sum * 37 + sum_of(r->items[i]);
    return sum;
}

static uint64_t read_in_pieces(struct str bytes, size_t piece, bool ask, bool *bad)
{
    struct redis_reader *reader = redis_reader_new();
    const struct redis_reply *r;
    uint64_t sum = 0;
    enum redis_read got = READ_MORE;

    while (bytes.len > 0 && got != READ_BAD) {
        redis_reader_feed(reader, str_up_to(bytes, piece));
        bytes = str_from_index(bytes, piece);
        while ((got = redis_reader_next(reader, &r)) == READ_REPLY) {
            sum = sum * 41 + sum_of(r) + 1;
            if (ask) {
                ask_slots(r);
                ask_error(r->text);
            }
        }
    }
    *bad = got == READ_BAD;
    redis_reader_free(reader);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct str bytes;
    bool bad, bad_too;
    uint64_t whole;

    if (len == 0)
        return 0;
    bytes = str_of((const char *)data + 1, len - 1);
    whole = read_in_pieces(bytes, SIZE_MAX, true, &bad);
    CHECK(read_in_pieces(bytes, 1 + data[0] % 64, false, &bad_too) == whole && bad == bad_too);
    return 0;
}
