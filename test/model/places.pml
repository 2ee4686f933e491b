/* shm/places.c and gateway/middleware/limit_line.c: workers that want one of MAX places of a key. Each has one word {taken,
 * waiting}, which nobody else writes; to take is to change one's own word, look at all, and change it back if that is too
 * much. Who gives a place back looks, and calls one of those who wait; a call is a bit and a ring. A worker may be killed
 * between any two steps; the master then clears its word and calls all.
 *
 * What must hold: never are more than MAX inside; and nobody sleeps for ever while there is a place, without any timer
 * (spin finds a worker that waits at the end as an invalid end state). Whose turn it is, and whether one that was called
 * is believed to be on its way, is left open: any choice must do.
 *
 * -DNO_SECOND_LOOK: who took does not look again. -DNO_LOOK_IN_LINE: who has begun to wait does not look once more.
 * -DGIVE_SILENTLY: who gives back calls nobody. -DBURY_SILENTLY: the master calls nobody. Then it does not hold.
 */
#ifndef N
#define N 2
#endif
#ifndef MAX
#define MAX 1
#endif

byte taken[N], waiting[N]; /* of each worker; together one word */
bool called[N], rung[N];

/* for the proof alone */
byte inside = 0;
bool is_inside[N];
bool doomed[N]; /* takes no further step */

/* Word after word, while others change theirs. */
inline look()
{
    t = 0; w = 0; promised = 0; next = N; i = 0;
    do
    :: i < N ->
        atomic { mine_w = waiting[i]; t = t + taken[i]; w = w + mine_w };
        if
        :: mine_w == 0
        :: mine_w > 0 && i == me ->
            if
            :: next = i
            :: next != N
            fi
        :: mine_w > 0 && i != me ->
            if
            :: called[i] -> promised++ /* it is coming */
            :: called[i] -> if :: next == N -> next = i :: next != N fi /* or it is late */
            :: !called[i] ->
                if
                :: next = i
                :: next != N
                fi
            fi
        fi;
        i++
    :: i == N -> break
    od;
    mine_w = 0; i = 0
}

/* Sums alone. */
inline look_again()
{
    t = 0; i = 0;
    do
    :: i < N -> t = t + taken[i]; i++
    :: i == N -> break
    od;
    i = 0
}

inline enter()
{
    atomic { inside++; is_inside[me] = true; assert(inside <= MAX) }
}

inline forget()
{
    t = 0; w = 0; promised = 0; next = 0
}

/* There may be a place: for one of those who wait. `got`: it was for us. */
inline serve()
{
    got = false;
    do
    :: true ->
        look();
        if
        :: next == N || t + promised >= MAX -> break
        :: else ->
            if
            :: next == me ->
                /* one step from waiting to taken */
                atomic { waiting[me]--; taken[me]++ };
                look_again();
                if
                :: t <= MAX -> enter(); got = true; break
                :: t > MAX -> atomic { waiting[me]++; taken[me]-- }
                fi
            :: next != me ->
                if
                :: called[next] -> rung[next] = true; break /* it does not come, and nobody else is there */
                :: !called[next] -> called[next] = true; rung[next] = true
                fi
            fi
        fi
    od;
    forget()
}

active [N] proctype worker()
{
    byte me = _pid, t, w, promised, next, i, mine_w;
    bool got;

    {
        /* a newcomer: only if enough are left for those who wait */
        do
        :: true ->
            look();
            if
            :: t + w >= MAX -> forget(); break
            :: t + w < MAX ->
                taken[me]++;
#ifndef NO_SECOND_LOOK
                look_again();
#else
                t = 0;
#endif
                if
                :: t <= MAX -> forget(); enter(); got = true; break
                :: t > MAX -> taken[me]--
                fi
            fi
        od;
        if
        :: got
        :: !got ->
            waiting[me]++;
#ifndef NO_LOOK_IN_LINE
            serve();
#endif
            do
            :: got -> break
            :: !got ->
                atomic { rung[me] -> rung[me] = false };
                called[me] = false;
                serve()
            od
        fi;
        /* it has its place, for as long as it likes */
        atomic { inside--; is_inside[me] = false };
        taken[me]--;
        got = false;
#ifndef GIVE_SILENTLY
        serve()
#endif
    } unless {
        atomic { doomed[me] -> doomed[me] = false; forget(); i = 0; mine_w = 0; got = false;
                 if :: is_inside[me] -> inside--; is_inside[me] = false :: else fi };
        /* the master, when it has seen it die */
        atomic { taken[me] = 0; waiting[me] = 0; called[me] = false; rung[me] = false };
#ifndef BURY_SILENTLY
        do
        :: i < N ->
            if :: i != me -> called[i] = true; rung[i] = true :: i == me fi;
            i++
        :: i == N -> break
        od
#endif
    }
}

/* Who kills one of them at any time, or nobody. */
active proctype killer()
{
    if
    :: doomed[0] = true
    :: doomed[1] = true
    :: skip
    fi
}
