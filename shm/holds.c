/* Take: look, add to mine, sum all, give back when it is too much. */
#include "shm/holds.h"

bool holds_table(struct region *r, struct str name, size_t count, struct holds *out)
{
    out->entries = region_table(r, TABLE_HOLDS, name, count * sizeof(struct holds_shared));
    out->seats = seats_table(r);
    out->count = count;
    return out->entries && out->seats;
}

uint64_t holds_sum(const struct holds *h, size_t entry)
{
    const struct holds_shared *e = &h->entries[entry];
    uint64_t sum = 0;

    CHECK(entry < h->count);
    /* seq_cst: whoever sits down after this look adds after it, and sees us */
    for (uint32_t i = 0, high = seats_high(h->seats); i < high; i++)
        sum += half_see(&e->held[i]);
    return sum;
}

void holds_give(const struct holds *h, uint32_t seat, size_t entry)
{
    shared_half *mine = &h->entries[entry].held[seat];

    CHECK(seat < SEATS_MAX && entry < h->count);
    CHECK(half_see(mine) > 0);
    half_add(mine, UINT32_MAX); /* one less */
}

void holds_add(const struct holds *h, uint32_t seat, size_t entry)
{
    CHECK(seat < SEATS_MAX && entry < h->count);
    half_add(&h->entries[entry].held[seat], 1);
}

bool holds_take(const struct holds *h, uint32_t seat, size_t entry, uint32_t max)
{
    CHECK(seat < SEATS_MAX && entry < h->count);
    /* Not needed to be right, but who is refused anyway must not push out others by a number that it takes back. */
    if (holds_sum(h, entry) >= max)
        return false;
    /* seq_cst: of two that take the last one, at least one sees both */
    half_add(&h->entries[entry].held[seat], 1);
    if (holds_sum(h, entry) <= max)
        return true;
    holds_give(h, seat, entry);
    return false;
}

void holds_retire_seat(struct region *r, uint32_t seat)
{
    struct table_info info;
    size_t i = 0;

    CHECK(seat < SEATS_MAX);
    while (region_next_table(r, &i, &info)) {
        struct holds_shared *entries = info.at;

        if (info.kind != TABLE_HOLDS)
            continue;
        for (size_t e = 0; e < info.size / sizeof *entries; e++)
            if (half_see(&entries[e].held[seat]) != 0) /* do not touch pages that nobody wrote */
                half_set(&entries[e].held[seat], 0);
    }
}
