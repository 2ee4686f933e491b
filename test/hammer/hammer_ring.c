/* Writers, each with a ring of its own, and one reader of all; all of them are killed. Records come whole and in order;
 * none is lost but those dropped and counted and the one a killed writer was about to commit; what a killed reader had not
 * marked as done is read again.
 */
#include "shm/ring.h"
#include "test/hammer/hammer.h"

#define WRITERS 3
#define READER  WRITERS

struct work {
    struct hammer h; /* first */
    struct ring *rings;
    shared_word *read; /* by writer: the number of the last record that was done with */
    shared_word *records, *gaps, *calls;
};

/* A record: its number, then bytes that follow from it. */
static uint32_t fill(unsigned char *to, uint64_t number)
{
    uint32_t len = 8 + (uint32_t)(number * 2654435761U % 2000);

    memcpy(to, &number, 8);
    memset(to + 8, (int)(number * 31 & 0xff), len - 8);
    return len;
}

static void write_records(struct work *w, unsigned actor, struct random *random)
{
    struct ring *ring = &w->rings[actor];

    while (!hammer_ends(&w->h)) {
        uint64_t number = word_peek(&ring->written) + 1;
        unsigned char *to = ring_reserve(ring, 2048);

        if (!to) {
            hammer_nap(50000); /* the reader is behind */
            continue;
        }
        if (ring_commit(ring, fill(to, number)))
            word_add(w->calls, 1);
        if (random_below(random, 1000) == 0)
            hammer_nap(100000);
    }
}

static void read_ring(struct work *w, unsigned writer)
{
    struct ring *ring = &w->rings[writer];
    uint64_t at = ring_begin(ring), last = word_peek(&w->read[writer]);
    struct str record;

    while (ring_next(ring, &at, &record)) {
        unsigned char want[4096];
        uint64_t number;

        HAMMER_CHECK(record.len >= 8, "a record of %zu bytes", record.len);
        memcpy(&number, record.at, 8);
        HAMMER_CHECK(record.len == fill(want, number) && memcmp(record.at, want, record.len) == 0,
                     "record %llu is torn", (unsigned long long)number);
        /* read again what a killed reader had read but not done with: never more than that */
        if (number <= last)
            HAMMER_CHECK(number + 1000000 > last, "record %llu again", (unsigned long long)number);
        else {
            word_add(w->gaps, number - last - 1);
            word_add(w->records, 1);
            word_put(&w->read[writer], last = number);
        }
        if (number % 16 == 0)
            ring_done(ring, at);
    }
    ring_done(ring, at);
}

static void act(struct hammer *h, unsigned actor, struct random *random)
{
    struct work *w = (struct work *)h;

    if (actor != READER) {
        write_records(w, actor, random);
        return;
    }
    while (!hammer_ends(h))
        for (unsigned i = 0; i < WRITERS; i++)
            read_ring(w, i);
}

int main(int argc, char **argv)
{
    struct work w = { .h = hammer_begin(argc, argv) };
    uint64_t dropped = 0, written = 0;

    w.rings = rings_table(w.h.region);
    w.read = region_words(w.h.region, STR("read"), WRITERS);
    w.records = region_words(w.h.region, STR("records"), 3);
    w.gaps = w.records + 1;
    w.calls = w.records + 2;
    w.h.actors = WRITERS + 1;
    w.h.act = act;
    hammer_run(&w.h);
    for (unsigned i = 0; i < WRITERS; i++) {
        read_ring(&w, i); /* what is left */
        dropped += word_peek(&w.rings[i].dropped);
        written += word_peek(&w.rings[i].written);
        HAMMER_CHECK(word_peek(&w.rings[i].broken) == 0, "ring %u is broken", i);
        HAMMER_CHECK(ring_waiting(&w.rings[i]) == 0, "something waits in ring %u", i);
    }
    /* numbers are skipped only where a writer was killed between counting a record and publishing it; a reader that was
     * killed may have counted one gap or record more than it noted */
    HAMMER_CHECK(word_peek(w.gaps) <= 2 * w.h.kills, "%llu gaps, %llu kills",
                 (unsigned long long)word_peek(w.gaps), (unsigned long long)w.h.kills);
    HAMMER_CHECK(word_peek(w.records) <= written + w.h.kills &&
                     word_peek(w.records) + 2 * w.h.kills >= written,
                 "%llu records of %llu", (unsigned long long)word_peek(w.records),
                 (unsigned long long)written);
    printf("ring: %llu records, %llu gaps, %llu dropped, %llu calls, %llu kills\n",
           (unsigned long long)word_peek(w.records), (unsigned long long)word_peek(w.gaps),
           (unsigned long long)dropped, (unsigned long long)word_peek(w.calls),
           (unsigned long long)w.h.kills);
    return hammer_end(&w.h);
}
