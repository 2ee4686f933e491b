/* ratelimit/sliding_log.c within one life of a cell: when its stamps are from. A worker's clock says anything, as if it had
 * been stopped for any time; what was admitted is given back at once, later, or not at all.
 *
 * Any worker may be killed between any two steps: whoever takes no further step is.
 *
 * What must hold: nobody is admitted at a time before that of somebody who was admitted already, and of those who were not
 * given back there are never more than COUNT in a period.
 *
 * -DFORGET: what is given back leaves an empty place. -DEMPTY_BEFORE: who takes its stamp back leaves an empty place.
 * -DYOUNGER: when the stamp is not there any more, a later one is given back instead. Then it does not hold.
 */
#define COUNT   2
#define PLACES  2
#define PERIOD  2
#define TIMES   3
#define WORKERS 2
#define TRIES   3

/* 0: none; else its time and whether it was given back */
#define STAMP(t)      (2 * (t) + 2)
#define IS_BACK(s)    ((s) % 2 == 1)
#define TIME(s)       ((s) / 2 - 1)
#define COUNTS(s, at) ((s) != 0 && !IS_BACK(s) && (TIME(s) > at || at - TIME(s) < PERIOD))

byte stamp[PLACES];
byte changes = 0; /* of the cell's word */

/* for the proof alone: not given back, by their times */
byte admitted[TIMES];

inline check(at)
{
    d_step {
        sum = 0;
        i = 0;
        do
        :: i < TIMES ->
            assert(i <= at || admitted[i] == 0);
            if
            :: i <= at && at - i < PERIOD -> sum = sum + admitted[i]
            :: else
            fi;
            i++
        :: else -> break
        od;
        assert(sum <= COUNT);
        sum = 0;
        i = 0
    }
}

/* What was admitted at `then` does not count any more. */
inline give_back()
{
    place = 0;
    do
    :: place < PLACES ->
        atomic {
            if
#ifdef YOUNGER
            :: stamp[place] != 0 && !IS_BACK(stamp[place]) && stamp[place] >= STAMP(then) ->
#else
            :: stamp[place] == STAMP(then) ->
#endif
                admitted[then]--;
#ifdef FORGET
                stamp[place] = 0;
#else
                stamp[place] = stamp[place] + 1;
#endif
                break
            :: else -> place++
            fi
        }
    :: else -> break /* its period is over, and its place another's */
    od;
    holds = false;
    then = 0;
    place = 0
}

active [WORKERS] proctype worker()
{
    byte tries = 0, at, word, used, place, free, seen, s, then = 0, sum = 0, i = 0;
    bool holds = false;

again:
    at = 0;
    word = 0;
    used = 0;
    free = PLACES;
    seen = 0;
    s = 0;
    if
    :: tries == TRIES -> goto end
    :: else -> tries++
    fi;
    atomic {
        select (at : 0 .. TIMES - 1);
        word = changes;
        place = 0
    };

    /* One access to what is shared in each atomic step. The latest is now: */
    do
    :: atomic {
        s = stamp[place];
        if
        :: s != 0 && TIME(s) > at -> at = TIME(s)
        :: else
        fi;
        s = 0;
        place++;
        if
        :: place == PLACES ->
            place = 0;
            break
        :: else
        fi
    }
    od;
    do
    :: atomic {
        s = stamp[place];
        if
        :: COUNTS(s, at) -> used++
        :: else ->
            free = place;
            seen = s
        fi;
        s = 0;
        place++;
        if
        :: place == PLACES ->
            place = 0;
            break
        :: else
        fi
    }
    od;
    atomic {
        if
        :: changes != word -> goto again
        :: else
        fi;
        if
        :: used >= COUNT -> goto done /* refused */
        :: else
        fi
    };
    atomic {
        if
        :: stamp[free] == seen -> stamp[free] = STAMP(at)
        :: else -> goto again
        fi
    };
    atomic {
        if
        :: changes == word ->
            changes++;
            admitted[at]++;
            check(at)
        :: else -> goto take_back
        fi
    };
    if
    :: holds -> give_back() /* an earlier one */
    :: else
    fi;
    atomic {
        holds = true;
        then = at;
        goto done
    };

take_back:
    atomic {
        if
        :: stamp[free] == STAMP(at) ->
#ifdef EMPTY_BEFORE
            stamp[free] = 0
#else
            stamp[free] = seen
#endif
        :: else
        fi
    };
    goto again;

done:
    atomic {
        at = 0;
        word = 0;
        used = 0;
        free = PLACES;
        seen = 0
    };
    if
    :: holds -> give_back()
    :: skip
    fi;
    goto again;
end:
    if
    :: holds -> give_back()
    :: skip
    fi
}
