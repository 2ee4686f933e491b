/* Claiming, keeping and retiring seats. A seat's owner word is the truth; the others are its holder's. */
#include "shm/seats.h"

#define STATE(owner) ((enum seat_state)((owner)&0xff))
#define ROLE(owner)  ((enum seat_role)((owner) >> 8 & 0xff))
#define SLOT(owner)  ((uint32_t)((owner) >> 16 & 0xffff))
#define PID(owner)   ((int)((owner) >> 32))
#define STATE_MASK   UINT64_C(0xff)

static uint64_t owner_of(int pid, uint32_t slot, enum seat_role role, enum seat_state state)
{
    return (uint64_t)(uint32_t)pid << 32 | (uint64_t)(slot & 0xffff) << 16 | (uint64_t)role << 8 |
           (uint64_t)state;
}

struct seats_shared *seats_table(struct region *r)
{
    return region_table(r, TABLE_SEATS, STR("seats"), sizeof(struct seats_shared));
}

uint32_t seats_claim(struct seats_shared *s, int pid, enum seat_role role, uint32_t slot,
                     uint64_t oldest, uint64_t now_ns)
{
    for (uint32_t i = 0; i < SEATS_MAX; i++) {
        struct seat *seat = &s->seat[i];
        uint64_t seen = word_peek(&seat->owner);

        if (STATE(seen) != SEAT_FREE)
            continue;
        /* before the claim: nobody holds a seat that a sum over all seats would miss */
        word_raise(&s->high, i + 1);
        if (!word_swap(&seat->owner, &seen, owner_of(pid, slot, role, SEAT_ENTERED)))
            continue;
        word_put(&seat->oldest_generation, oldest);
        word_put(&seat->heartbeat_ns, now_ns);
        word_put(&seat->since_ns, now_ns);
        word_put(&seat->holders, word_peek(&seat->holders) + 1);
        /* release: who sees it alive sees what it holds */
        word_publish(&seat->owner, owner_of(pid, slot, role, SEAT_ALIVE));
        return i;
    }
    return SEAT_NONE;
}

void seats_beat(struct seats_shared *s, uint32_t seat, uint64_t now_ns)
{
    CHECK(seat < SEATS_MAX);
    word_put(&s->seat[seat].heartbeat_ns, now_ns);
}

void seats_hold_since(struct seats_shared *s, uint32_t seat, uint64_t oldest)
{
    CHECK(seat < SEATS_MAX);
    /* release: our last touch of an older table comes before this */
    word_publish(&s->seat[seat].oldest_generation, oldest);
}

uint32_t seats_retire(struct seats_shared *s, int pid)
{
    for (uint32_t i = 0; i < seats_high(s); i++) {
        uint64_t seen = word_read(&s->seat[i].owner);

        if (PID(seen) != pid || STATE(seen) == SEAT_FREE)
            continue;
        /* already retired: by a master that was killed before it could free it */
        if (STATE(seen) == SEAT_RETIRED ||
            word_swap(&s->seat[i].owner, &seen, (seen & ~STATE_MASK) | SEAT_RETIRED))
            return i;
    }
    return SEAT_NONE;
}

void seats_free(struct seats_shared *s, uint32_t seat)
{
    CHECK(seat < SEATS_MAX);
    CHECK(STATE(word_peek(&s->seat[seat].owner)) == SEAT_RETIRED);
    /* release: what its last holder held has been given back */
    word_publish(&s->seat[seat].owner, 0);
}

struct seat_view seats_view(const struct seats_shared *s, uint32_t seat)
{
    const struct seat *at = &s->seat[seat];
    uint64_t owner;

    CHECK(seat < SEATS_MAX);
    owner = word_read(&at->owner);
    return (struct seat_view){ .pid = PID(owner),
                               .slot = SLOT(owner),
                               .role = ROLE(owner),
                               .state = STATE(owner),
                               .heartbeat_ns = word_peek(&at->heartbeat_ns),
                               .oldest_generation = word_read(&at->oldest_generation),
                               .since_ns = word_peek(&at->since_ns),
                               .holders = word_peek(&at->holders) };
}

uint32_t seats_find(const struct seats_shared *s, enum seat_role role, uint32_t from)
{
    for (uint32_t i = from; i < seats_high(s); i++) {
        uint64_t owner = word_read(&s->seat[i].owner);

        if (STATE(owner) == SEAT_ALIVE && ROLE(owner) == role)
            return i;
    }
    return SEAT_NONE;
}

uint64_t seats_oldest_generation(const struct seats_shared *s)
{
    uint64_t oldest = UINT64_MAX;

    for (uint32_t i = 0; i < seats_high(s); i++) {
        struct seat_view v = seats_view(s, i);

        if (v.state == SEAT_ENTERED)
            return 0;
        if (v.state == SEAT_ALIVE && v.oldest_generation < oldest)
            oldest = v.oldest_generation;
    }
    return oldest;
}
