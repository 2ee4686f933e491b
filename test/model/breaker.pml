/* shm/breaker.c, from open on: who may be the probe. Each worker has a seat; a probe is a lease, given by one swap of
 * the state word {state, deadline, seat}, told by a swap that expects the lease, given up at its deadline or when the
 * master has seen its holder die. Times pass in any way; a worker reads its clock once and acts on it later.
 *
 * What must hold: while a lease is good (not past its deadline, its holder alive), nobody else is the probe; an outcome
 * counts only if its lease still stands. (A lease whose deadline has passed keeps nobody out: the word alone says so.)
 *
 * -DTELL_BLINDLY: an outcome is told without looking whether the lease still stands. Then it does not hold.
 */
#define WORKERS 3
#define LEASE   1
#define END     2

mtype = { OPEN, HALF_OPEN, CLOSED };

/* the word */
mtype state = OPEN;
byte deadline = 0; /* open: until when. Half open: of the probe */
byte seat = 0;     /* of the probe, plus one; 0: none */

byte now = 0;
bool dead[WORKERS];
byte told = 0; /* outcomes that counted since it was opened last */

/* for the proof alone: leases that were given and not told */
bool holds[WORKERS];
byte until[WORKERS];

active proctype clock()
{
    do
    :: now < END -> now++
    :: now == END -> break
    od
}

/* The master: a worker that died gives back what it held. */
active proctype master()
{
    byte i = 0, s;

    do
    :: i < WORKERS && dead[i] ->
        s = seat;
        if
        :: s == i + 1 ->
            atomic {
                if
                :: state == HALF_OPEN && seat == i + 1 -> seat = 0;
                                                          deadline = 0
                :: else
                fi
            }
        :: else
        fi;
        i++
    :: i < WORKERS && !dead[i] -> i++ /* it lives, or its death has not been seen yet */
    :: i == WORKERS -> break
    od
}

#define is_probe(j) (j != me && holds[j] && !dead[j] && until[j] > now)

inline nobody_else_is_probe()
{
    assert(!is_probe(0) && !is_probe(1) && !is_probe(2))
}

active [WORKERS] proctype worker()
{
    byte me = _pid - 2, clock_, lease, seen_deadline, seen_seat;
    mtype seen;

    clock_ = now;
    do
    :: atomic { seen = state; seen_deadline = deadline; seen_seat = seat }; /* one word */
       if
       :: seen == CLOSED -> break
       :: seen == OPEN && seen_deadline > clock_ -> clock_ = now; /* refused; asks again later */
            if
            :: now == END -> break
            :: now < END
            fi
       :: seen == HALF_OPEN && seen_seat != 0 && seen_deadline > clock_ -> clock_ = now;
            if
            :: now == END -> break
            :: now < END
            fi
       :: else ->
            lease = clock_ + LEASE;
            atomic {
                if
                :: state == seen && deadline == seen_deadline && seat == seen_seat ->
                    if
                    :: lease > now -> nobody_else_is_probe()
                    :: else
                    fi;
                    state = HALF_OPEN;
                    deadline = lease;
                    seat = me + 1;
                    holds[me] = true;
                    until[me] = lease;
                    clock_ = 0;
                    seen = 0;
                    seen_deadline = 0;
                    seen_seat = 0;
                    goto probe
                :: else
                fi
            }
       fi
    od;
    goto end;

probe:
    /* it asks the service, and may be killed meanwhile */
    if
    :: atomic { dead[me] = true; goto end }
    :: skip
    fi;
    atomic {
#ifdef TELL_BLINDLY
        if
        :: true ->
#else
        if
        :: state == HALF_OPEN && deadline == lease && seat == me + 1 ->
#endif
            /* it counts: it must be the only one whose outcome says anything */
            assert(state == HALF_OPEN && seat == me + 1);
            nobody_else_is_probe();
            told++;
            assert(told == 1);
            if
            :: state = CLOSED
            :: state = OPEN;
               deadline = now + 1;
               told = 0
            fi;
            seat = 0
        :: else
        fi;
        holds[me] = false;
        until[me] = 0;
        lease = 0
    }
end:
    skip
}
