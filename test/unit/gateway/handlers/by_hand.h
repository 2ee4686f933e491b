/* A stage for a handler: a client that takes what it is given, as slowly as the test wants.
 */
#ifndef TEST_UNIT_GATEWAY_HANDLERS_BY_HAND_H
#define TEST_UNIT_GATEWAY_HANDLERS_BY_HAND_H

#include "conf/settings.h"
#include "gateway/exchange/exchange.h"
#include "gateway/exchange/handler.h"
#include "gateway/exchange/local.h"
#include "gateway/exchange/shared.h"
#include "workers/worker.h"

struct client {
    struct client_stream stream;
    uint16_t status; /* of the head it was sent; 0: none yet */
    char content_type[64], allow[64], cache_control[32];
    char *body;
    size_t len, room; /* taken, and may be taken */
    size_t calls;
    bool last, ended;
};

struct stage {
    struct worker worker;
    struct conf_globals globals;
    struct local local;
    struct route route;
    struct client client;
};

void stage_begin(struct stage *s);
void stage_end(struct stage *s);
/* Ask for the handler's page. The exchange lives until the loop has turned. */
struct exchange *stage_ask(struct stage *s, const struct handler *handler, const void *prepared,
                           enum method method);
/* Turn until nothing happens any more; `room` more bytes are taken each turn. */
void stage_turn(struct stage *s, size_t room);

#endif
