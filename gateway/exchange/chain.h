/* The onion: the steps of a route, inwards and outwards, with one way to wait. */
#ifndef GATEWAY_EXCHANGE_CHAIN_H
#define GATEWAY_EXCHANGE_CHAIN_H

#include "gateway/exchange/exchange.h"

/* Lay out the frames for x->route. */
void chain_prepare(struct exchange *x);
/* Walk inwards from where we stand: to the handler, to a turn-round, or to a wait. */
void chain_in(struct exchange *x);
/* Walk outwards from the last step entered; ends in exchange_send_head. */
void chain_out(struct exchange *x);
/* Bodies, through those that tap them. Return the bytes taken. */
size_t chain_request_body(struct exchange *x, const struct piece *p);
size_t chain_response_body(struct exchange *x, const struct piece *p);
/* The receiver at the end can take more: first what is held on the way. True: nothing is held any more. */
bool chain_request_room(struct exchange *x);
bool chain_response_room(struct exchange *x);
/* Ask all entered steps before an attempt; tell them after it. */
bool chain_attempt(struct exchange *x, const struct attempt *a);
void chain_attempt_done(struct exchange *x, const struct attempt *a);
/* Nobody is called again by a wait that is pending. */
void chain_cancel_waits(struct exchange *x);
/* Cancel waits and tell every entered step, innermost first. */
void chain_done(struct exchange *x);

#endif
