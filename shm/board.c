/* Two copies and a sequence. Everything is an atomic word, each stored with release and read with acquire: a
 * reader that saw one word of a newer record cannot miss the newer sequence afterwards.
 */
#include "shm/board.h"

#include <string.h>

#define TRIES 16

static size_t words_for(size_t bytes)
{
    return (bytes + 7) / 8;
}

size_t board_size(size_t max)
{
    return sizeof(struct board) + 2 * words_for(max) * sizeof(shared_word);
}

struct board *board_table(struct region *r, struct str name, size_t max)
{
    return region_table(r, TABLE_BOARD, name, board_size(max));
}

void board_publish(struct board *b, size_t max, const void *record, size_t len)
{
    uint64_t next = word_peek(&b->sequence) + 1;
    shared_word *to = &b->words[(next & 1) * words_for(max)];
    const char *from = record;

    CHECK(len <= max);
    word_publish(&b->len[next & 1], len);
    for (size_t left = len; left > 0;) {
        uint64_t word = 0;
        size_t n = left < 8 ? left : 8;

        memcpy(&word, from, n);
        /* release: who reads this word of the coming record also sees that the one before was published */
        word_publish(to++, word);
        from += n;
        left -= n;
    }
    word_publish(&b->sequence, next); /* release: the copy written above must be visible first */
}

static size_t copy_out(const struct board *b, size_t max, uint64_t sequence, char *to)
{
    const shared_word *from = &b->words[(sequence & 1) * words_for(max)];
    /* acquire, here and below: the sequence is looked at again after these */
    uint64_t len = word_read(&b->len[sequence & 1]);

    if (len > max)
        return 0; /* torn; the second look will say so */
    for (size_t at = 0; at < len; at += 8) {
        uint64_t word = word_read(from++);

        memcpy(to + at, &word, len - at < 8 ? len - at : 8);
    }
    return len;
}

bool board_read(const struct board *b, size_t max, void *record, size_t *len, uint64_t *sequence)
{
    for (int i = 0; i < TRIES; i++) {
        uint64_t seen = word_read(&b->sequence);
        size_t n;

        if (seen == 0)
            return false;
        n = copy_out(b, max, seen, record);
        if (word_peek(&b->sequence) != seen) /* ordered by the acquire reads of the copy */
            continue;
        *len = n;
        *sequence = seen;
        return true;
    }
    return false;
}

uint64_t board_sequence(const struct board *b)
{
    return word_read(&b->sequence);
}
