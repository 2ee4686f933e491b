/* shm/cells.c: newcomers of one key who do not see one another take two cells. Which victim each of them chooses is free, as
 * with clocks that differ; the cells' other owners have been idle for long, and nobody is evicted.
 *
 * Any worker may be killed between any two steps: whoever takes no further step is. A pair is read in one step (cells.pml has
 * its parts) and swapped in one.
 *
 * What must hold: a key has one word. Whoever begins one, there is no other; so of all workers together no more than LIMIT
 * are admitted.
 *
 * -DONLY_CREATORS: who finds a cell with nothing in it takes it as it is; only who made it looks for others. -DNO_LIVES: a
 * cell that was given up and begun again is the same as before to who has looked at it then. Then it does not hold.
 */
#define CELLS   2
#define WORKERS 3
#define LIMIT   2
#define ROUNDS  3 /* of looking, for each of them; fewer than there are lives */
#define NONE    CELLS
#define KEY     1
#ifdef NO_LIVES
#define NEXT(l) (l)
#else
#define NEXT(l) ((l) + 1)
#endif
#define OTHER   2 /* somebody who has been idle for long */

typedef cell_t {
    byte key;
    byte life; /* a few bits beside the key: how often it was begun */
    byte word
};
cell_t cell[CELLS];
byte admitted = 0; /* for the proof alone */

/* Give a cell up that holds nothing yet; whether that was so does not matter to the caller. */
inline vacate(i, l)
{
    atomic {
        if
        :: cell[i].key == KEY && cell[i].life == l && cell[i].word == 0 -> cell[i].key = 0
        :: else
        fi
    }
}

active [WORKERS] proctype worker()
{
    byte rounds = 0, at, i, key, life, word, other;

find:
    atomic {
        rounds++;
        at = NONE;
        life = 0;
        word = 0;
        i = 0;
        if
        :: rounds > ROUNDS -> goto end
        :: else
        fi
    };
    do
    :: atomic {
        i < CELLS ->
            if
            :: cell[i].key == KEY && at == NONE ->
                at = i;
                life = cell[i].life;
                word = cell[i].word
            :: else
            fi;
            i++
    }
    :: i == CELLS -> break
    od;
    atomic {
        i = 0;
        if
        :: at != NONE && word > 0 -> goto take
#ifdef ONLY_CREATORS
        :: at != NONE && word == 0 -> goto take
#else
        :: at != NONE && word == 0 -> goto settle
#endif
        :: else
        fi
    };

    /* a newcomer: one of the cells is chosen, and taken later if nothing has happened to it */
    if
    :: at = 0
    :: at = 1
    fi;
    atomic {
        key = cell[at].key;
        life = cell[at].life;
        if
        :: key == KEY ->
            key = 0;
            goto find
        :: else
        fi
    };
    atomic {
        if
        :: cell[at].key == key && cell[at].life == life ->
            life = NEXT(life);
            cell[at].key = KEY;
            cell[at].life = life;
            cell[at].word = 0;
            key = 0
        :: else ->
            key = 0;
            goto find
        fi
    };

settle:
    i = 1 - at;
    atomic {
        if
        :: cell[i].key != KEY -> goto take
        :: cell[i].key == KEY && cell[i].word == 0 && i > at -> other = cell[i].life
        :: else -> goto give_up
        fi
    };
    atomic { /* a higher one with nothing in it goes */
        if
        :: cell[i].key == KEY && cell[i].life == other && cell[i].word == 0 ->
            cell[i].key = 0;
            other = 0;
            goto take
        :: else ->
            other = 0;
            goto give_up
        fi
    };

give_up:
    vacate(at, life);
    goto find;

take:
    i = 0;
    if
    :: word >= LIMIT -> goto done
    :: else
    fi;
    atomic {
        if
        :: cell[at].key == KEY && cell[at].life == life && cell[at].word == word ->
            assert(word > 0 || cell[1 - at].key != KEY || cell[1 - at].word == 0);
            cell[at].word = word + 1;
            admitted++;
            assert(admitted <= LIMIT)
        :: cell[at].key == KEY && cell[at].life == life && cell[at].word != word && cell[at].word != 0 ->
            word = cell[at].word;
            goto take
        :: else -> goto find
        fi
    };

done:
    goto find;
end:
    skip
}
