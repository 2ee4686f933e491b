/* shm/cells.c: finding a key's cell, taking one over, settling when two newcomers of one key took two, changing a
 * word. Every access to shared memory is a step of its own; a pair of 16 bytes is read in three and swapped in one.
 *
 * Any worker may be killed between any two steps: whoever takes no further step is. Any cell may be taken over at any
 * time, as when it is idle or evicted; that is more than the code does.
 *
 * What must hold: a word is only ever changed by its own key, and every change of a life of a cell is in its word: none
 * is lost, none lands in the word of a successor. In each cell `owner` and `changes` are for the proof alone.
 *
 * -DTWO_STEPS: the swap of a pair as two swaps of 8 bytes, word first. Then it does not hold.
 */
#define CELLS   2
#define WORKERS 3
#define LIMIT   2

typedef cell_t {
    byte key;
    byte word;
    byte owner;
    byte changes
};
cell_t cell[CELLS];

inline pair_read(i, k, w)
{
    do
    :: k = cell[i].key;
       w = cell[i].word;
       if
       :: cell[i].key == k -> break
       :: else
       fi
    od
}

inline forget(i)
{
    cell[i].owner = 0;
    cell[i].changes = 0
}

/* Give the cell (key, word) as seen to `next`, with word 0. */
inline hand_over(i, k, w, next, ok)
{
#ifdef TWO_STEPS
    atomic {
        ok = (cell[i].word == w);
        if
        :: ok -> cell[i].word = 0;
                 forget(i)
        :: else
        fi
    }
    if
    :: ok ->
        atomic {
            ok = (cell[i].key == k);
            if
            :: ok -> cell[i].key = next
            :: else
            fi
        }
    :: else
    fi
#else
    atomic {
        ok = (cell[i].key == k && cell[i].word == w);
        if
        :: ok -> cell[i].key = next;
                 cell[i].word = 0;
                 forget(i)
        :: else
        fi
    }
#endif
}

/* One more in the word as seen. */
inline count(i, k, w, ok)
{
    atomic {
#ifdef TWO_STEPS
        ok = (cell[i].word == w);
#else
        ok = (cell[i].key == k && cell[i].word == w);
#endif
        if
        :: ok ->
            assert(cell[i].key == k);
            assert(w == 0 || cell[i].owner == k);
            assert(cell[i].changes == w);
            cell[i].word = w + 1;
            cell[i].owner = k;
            cell[i].changes++
        :: else
        fi
    }
}

active [WORKERS] proctype worker()
{
    byte mine = 1 + (_pid & 1); /* two of them share a key */
    byte left = (_pid == 0 -> 2 : 1), at, other, k, w, word;
    bool ok;

find:
    at = 0;
    do
    :: at < CELLS ->
        pair_read(at, k, w);
        if
        :: k == mine -> word = w;
                        goto take
        :: else -> at++
        fi
    :: else -> break
    od;

    /* a newcomer: any cell may be the victim */
    if
    :: at = 0
    :: at = 1
    fi;
    pair_read(at, k, w);
    hand_over(at, k, w, mine, ok);
    if
    :: !ok -> goto find
    :: else -> word = 0
    fi;

    /* settle */
    other = 1 - at;
    pair_read(other, k, w);
    if
    :: k == mine && w == 0 ->
        hand_over(other, k, w, 0, ok)
    :: k == mine && w != 0 ->
        hand_over(at, mine, 0, 0, ok);
        if
        :: ok || other < at -> at = other;
                               word = w
        :: else
        fi
    :: else
    fi;

take:
    other = 0;
    k = 0;
    w = 0;
    do
    :: word >= LIMIT -> break
    :: else ->
        count(at, mine, word, ok);
        if
        :: ok -> break
        :: else
        fi;
        pair_read(at, k, w);
        if
        :: k != mine -> goto find
        :: else -> word = w
        fi
    od;
    left--;
    k = 0;
    w = 0;
    word = 0;
    if
    :: left > 0 -> goto find
    :: else
    fi
}
