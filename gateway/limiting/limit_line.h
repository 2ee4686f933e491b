/* Who waits for a place of a concurrency limit, in this worker: a line for each key, first come, first served.
 *
 * Lines of several workers are one line by what shm/places knows: since when the first of each waits. Whoever gives a
 * place back gives it to the one who has waited longest: to its own first at once, or it calls that worker. Who gets
 * a place has it from that moment, before it is woken, so nobody takes it in between and none is ever woken
 * for nothing. A line looks by itself now and then: a call that was lost with its caller costs that much time.
 */
#ifndef GATEWAY_LIMITING_LIMIT_LINE_H
#define GATEWAY_LIMITING_LIMIT_LINE_H

#include "gateway/exchange/exchange.h"
#include "ratelimit/gradient.h"
#include "shm/places.h"

/* How many at once: a number, or one that moves. */
struct limit_most {
    uint64_t max;
    struct gradient gradient;       /* if it moves: between which */
    struct gradient_words *measure; /* shared; NULL: it does not */
};

struct limit_lines; /* of one worker */
struct limit_line;

/* Of one exchange; in its frame's state. */
struct limit_wait {
    struct link_node node;
    struct wait_queue woken; /* of one */
    struct limit_line *line; /* NULL: it does not wait, or not any more */
    struct frame *frame;
    uint64_t since_ns;
    /* The configuration has changed: what the newest says; false: nothing. */
    bool (*renew)(const struct frame *f, struct limit_most *most);
};

uint64_t limit_most_now(const struct limit_most *m);

/* Wait for a place of `key`, as one of at most `most_waiting` in all processes. PLACES_GOT: frame and renew of `w` were
 * filled by the caller, who now parks on w->woken and then calls limit_line_serve. */
enum places_result limit_line_join(struct local *l, const struct places *p, uint64_t key,
                                   const struct limit_most *most, uint64_t most_waiting,
                                   struct limit_wait *w) MUST_USE;
/* It has waited, and does not want to any more. */
void limit_line_leave(struct local *l, struct limit_wait *w);
/* There may be places of `key` now: for whoever has waited longest, here or elsewhere. */
void limit_line_serve(struct local *l, const struct places *p, uint64_t key,
                      const struct limit_most *most);

/* The worker's bell was rung. */
void limit_lines_called(struct local *l);
/* The worker ends; nobody waits any more. */
void limit_lines_end(struct local *l);

#endif
