/* Topics and eventfds. */
#include "shm/bell.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct bells {
    int fds[SEATS_MAX];
};

struct bells *bells_new(void)
{
    struct bells *b = malloc(sizeof *b);

    if (!b)
        die("no memory for bells");
    for (uint32_t i = 0; i < SEATS_MAX; i++) {
        b->fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (b->fds[i] < 0)
            die("cannot make an eventfd");
    }
    return b;
}

void bells_free(struct bells *b)
{
    for (uint32_t i = 0; i < SEATS_MAX; i++)
        close(b->fds[i]);
    free(b);
}

int bells_fd(const struct bells *b, uint32_t seat)
{
    CHECK(seat < SEATS_MAX);
    return b->fds[seat];
}

void bells_hush(const struct bells *b, uint32_t seat)
{
    eventfd_t count;

    /* nothing to read means somebody else's spurious wake: the truth is looked at anyway */
    (void)eventfd_read(bells_fd(b, seat), &count);
}

void bells_ring_seat(const struct bells *b, uint32_t seat)
{
    /* a full counter is rung already */
    (void)eventfd_write(bells_fd(b, seat), 1);
}

struct bell_topic *bell_table(struct region *r, struct str name)
{
    return region_table(r, TABLE_TOPIC, name, sizeof(struct bell_topic));
}

void bell_want(struct bell_topic *t, uint32_t seat)
{
    CHECK(seat < SEATS_MAX);
    /* seq_cst: before the caller looks at the truth once more */
    word_set_bits(&t->want[seat / 64], UINT64_C(1) << seat % 64);
}

void bell_want_no_more(struct bell_topic *t, uint32_t seat)
{
    CHECK(seat < SEATS_MAX);
    word_clear_bits(&t->want[seat / 64], UINT64_C(1) << seat % 64);
}

void bell_ring(const struct bells *b, struct bell_topic *t)
{
    for (uint32_t w = 0; w < BELL_WORDS; w++) {
        /* A locked instruction even when nobody waits: a plain look could pass before the truth is published. */
        uint64_t want = word_take_all(&t->want[w]);

        for (; want; want &= want - 1)
            bells_ring_seat(b, w * 64 + (uint32_t)__builtin_ctzll(want));
    }
}
