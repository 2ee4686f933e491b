/* ratelimit/sliding_log.c: a stamp is put on a free place, then the cell's word moves on by one change, which fails if
 * anybody has admitted anything since the stamps were counted. All stamps are of one moment and none grows old, which
 * is the hardest case: each looks like every other.
 *
 * Any worker may be killed between any two steps: whoever takes no further step is. The cell may be taken over at any
 * time. A worker gives back what it has taken, or keeps it.
 *
 * What must hold: in a life of the cell no more than COUNT are admitted and not given back.
 *
 * -DNO_SECOND_LOOK: the word is not looked at again after the
 * stamps were counted, so that somebody of an earlier life takes the stamps of this one for free places. Then it does not
 * hold.
 */
#define COUNT   1
#define PLACES  2 /* the limit was 2 before: places above COUNT are heeded and not used */
#define WORKERS 3
#define LIVES   3

byte key = 0, life = 0, changes = 0; /* the pair: key, and the word {life, changes} */
byte stamp[PLACES];                  /* life, 0: none */
byte lives = 0;

/* for the proof alone */
byte admitted = 0;

inline swap_word(k_, l_, c_, new_l, new_c, done)
{
    done = (key == k_ && life == l_ && changes == c_);
    if
    :: done -> life = new_l;
               changes = new_c
    :: else
    fi
}

active [WORKERS] proctype worker()
{
    byte mine = 1 + (_pid & 1); /* two of them share a key */
    byte l, c, place, used, seen, tries = 0;
    bool ok;

find:
    tries++;
    if
    :: tries > 3 -> goto end
    :: else
    fi;
    used = 0;
    seen = 0;
    place = 0;
    l = 0;
    c = 0;
    if
    :: atomic { key == mine -> l = life; c = changes }
    :: atomic { key != mine -> /* take it over, if nothing happens to it meanwhile */
           l = life;
           c = changes
       };
       atomic {
           if
           :: key != mine && life == l && changes == c -> key = mine;
                                                          life = 0;
                                                          changes = 0;
                                                          admitted = 0
           :: else
           fi;
           l = 0;
           c = 0
       };
       goto find
    fi;
    if
    :: l == 0 -> /* a new life: any number that the predecessor did not have */
        if
        :: lives == LIVES -> goto end
        :: else
        fi;
        atomic {
            swap_word(mine, 0, 0, lives + 1, 0, ok);
            if
            :: ok -> lives++
            :: else
            fi;
            ok = false
        };
        goto find
    :: else
    fi;

    seen = stamp[0];
    if
    :: seen == l -> used++
    :: else
    fi;
    if
    :: stamp[1] == l -> used++
    :: else
    fi;
#ifndef NO_SECOND_LOOK
    /* were they counted in the life that we know? */
    if
    :: atomic { key == mine && life == l && changes == c -> skip }
    :: atomic { key != mine || life != l || changes != c -> goto find }
    fi;
#endif
    if
    :: used >= COUNT -> goto end /* refused */
    :: else
    fi;
    atomic {
        ok = (stamp[0] == seen);
        if
        :: ok -> stamp[0] = l
        :: else
        fi
    };
    if
    :: !ok -> goto find
    :: else
    fi;
    atomic {
        swap_word(mine, l, c, l, c + 1, ok);
        if
        :: ok -> admitted++;
                 assert(admitted <= COUNT)
        :: else
        fi
    };
    if
    :: !ok ->
        atomic { /* take it back */
            if
            :: stamp[0] == l -> stamp[0] = 0
            :: else
            fi
        };
        goto find
    :: else
    fi;

    /* admitted; a later limit may refuse it */
    if
    :: goto end
    :: skip
    fi;
    do
    :: place < PLACES ->
        atomic {
            if
            :: stamp[place] == l -> stamp[place] = 0;
                                    if
                                    :: key == mine && life == l -> admitted--
                                    :: else
                                    fi;
                                    break
            :: else
            fi
        };
        place++
    :: else ->
        atomic {
            if
            :: key == mine && life == l -> admitted--
            :: else
            fi
        };
        break
    od;
end:
    skip
}
