/* Who the client is, as an address: the peer, or whom trusted proxies say they speak for.
 *
 * A header is believed only if the peer is trusted; then the list is walked from the right, trusted hops
 * are skipped, and the first that is not trusted is the client. What cannot be read ends the walk at the
 * last address that could be.
 */
#ifndef GATEWAY_CLIENT_CLIENT_ADDRESS_H
#define GATEWAY_CLIENT_CLIENT_ADDRESS_H

struct exchange;
struct session;

/* x->who says the peer. */
void client_address_set(struct exchange *x, const struct session *s);
/* The head is known: look through the proxies that we trust. */
void client_address_look_through(struct exchange *x, const struct session *s);

#endif
