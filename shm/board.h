/* A board: one record with one writer (the caretaker or the master) that everybody may copy out.
 *
 * There are two copies and a sequence; the writer fills the copy that nobody reads and then publishes the
 * next sequence, so one that dies in mid-write has changed nothing. A reader copies out and accepts only if
 * the sequence is still the same, else it tries again a few times and then keeps what it has. No pointer
 * into a board ever leaves it.
 */
#ifndef SHM_BOARD_H
#define SHM_BOARD_H

#include "shm/region.h"

struct board {
    _Alignas(CACHE_LINE)
        shared_word sequence; /* of the last record; 0: never written; odd: the second copy */
    shared_word len[2];
    _Alignas(CACHE_LINE) shared_word words[]; /* both copies, one after the other */
};

/* Bytes of a board for records of at most `max` bytes, for whoever lays one inside a table of its own. */
size_t board_size(size_t max);
/* A table with one board: made within a load, found otherwise. NULL as region_table. */
struct board *board_table(struct region *r, struct str name, size_t max) MUST_USE;

/* The only writer: replace the record. `max` as the board was made; len is at most that. */
void board_publish(struct board *b, size_t max, const void *record, size_t len);
/* Copy the record out. `record` has room for `max` bytes, as the board was made.
 * sequence  what was read; compare with board_sequence to see whether there is news
 * returns   false: nothing was ever written, or the writer was faster than us again and again: keep what you have */
bool board_read(const struct board *b, size_t max, void *record, size_t *len,
                uint64_t *sequence) MUST_USE;
uint64_t board_sequence(const struct board *b);

#endif
