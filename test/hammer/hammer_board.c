/* One writer, killed again and again, and readers that copy out. Every copy is one record, whole, and never older than the
 * one before.
 */
#include "shm/board.h"
#include "test/hammer/hammer.h"

#define WORDS 200
#define MAX   (WORDS * sizeof(uint64_t))

struct work {
    struct hammer h; /* first */
    struct board *board;
    shared_word *read, *kept;
};

/* A record is its number, as often as follows from it. */
static size_t words_of(uint64_t number)
{
    return 1 + number * 7919 % WORDS;
}

static void write_records(struct work *w, struct random *random)
{
    uint64_t record[WORDS];
    uint64_t number = board_sequence(w->board);

    while (!hammer_ends(&w->h)) {
        number++;
        for (size_t i = 0; i < words_of(number); i++)
            record[i] = number;
        board_publish(w->board, MAX, record, words_of(number) * sizeof *record);
        if (random_below(random, 50) == 0)
            hammer_nap(1000);
    }
}

static void act(struct hammer *h, unsigned actor, struct random *random)
{
    struct work *w = (struct work *)h;
    uint64_t record[WORDS], last = 0, sequence;
    size_t len;

    if (actor == 0) {
        write_records(w, random);
        return;
    }
    while (!hammer_ends(h)) {
        if (!board_read(w->board, MAX, record, &len, &sequence)) {
            word_add_own(&w->kept[actor], 1);
            continue;
        }
        HAMMER_CHECK(sequence >= last, "older than before");
        last = sequence;
        HAMMER_CHECK(len == words_of(sequence) * sizeof *record, "%zu bytes of record %llu", len,
                     (unsigned long long)sequence);
        for (size_t i = 0; i < words_of(sequence); i++)
            HAMMER_CHECK(record[i] == sequence, "record %llu holds %llu at %zu",
                         (unsigned long long)sequence, (unsigned long long)record[i], i);
        word_add_own(&w->read[actor], 1);
    }
}

int main(int argc, char **argv)
{
    struct work w = { .h = hammer_begin(argc, argv) };
    uint64_t read = 0, kept = 0;

    w.board = board_table(w.h.region, STR("board"), MAX);
    w.read = region_words(w.h.region, STR("read"), HAMMER_ACTORS_MAX);
    w.kept = region_words(w.h.region, STR("kept"), HAMMER_ACTORS_MAX);
    w.h.actors = 4;
    w.h.act = act;
    hammer_run(&w.h);
    for (unsigned i = 0; i < HAMMER_ACTORS_MAX; i++) {
        read += word_peek(&w.read[i]);
        kept += word_peek(&w.kept[i]);
    }
    HAMMER_CHECK(read > 1000, "only %llu were read", (unsigned long long)read);
    printf("board: %llu written, %llu read, %llu times kept the old, %llu kills\n",
           (unsigned long long)board_sequence(w.board), (unsigned long long)read,
           (unsigned long long)kept, (unsigned long long)w.h.kills);
    return hammer_end(&w.h);
}
