/* A stage for an exchange: a client, a handler and steps that do what a script says, and a story of what was called.
 */
#ifndef TEST_UNIT_GATEWAY_EXCHANGE_BY_HAND_H
#define TEST_UNIT_GATEWAY_EXCHANGE_BY_HAND_H

#include "gateway/exchange/exchange.h"
#include "gateway/exchange/handler.h"
#include "gateway/exchange/local.h"
#include "gateway/exchange/router.h"

#define STEPS_MAX 4
#define BODY_MAX  ((size_t)1 << 20)

/* What a step does when it is called. */
enum deed { GO_ON, REPLY, SLEEP, AWAIT };

struct script {
    char name; /* in the story: a> in, a< out, a~ called again, a. done */
    enum deed in, out;
    enum verdict then;    /* after a wait                                            */
    bool tap_in, tap_out; /* look at the bodies                                      */
    bool hoard;           /* nothing goes on before the end has come                 */
    size_t cut;           /* bytes of the pieces that go on; 0: as they came         */
    size_t fail_after;    /* give up after so many bytes; 0: never                   */
    size_t kept, seen;    /* bytes hoarded, bytes that came                          */
    unsigned lasts;       /* how often the end came                                  */
    char hoarded[4096];
    struct wait_queue queue; /* of AWAIT */
};

struct sink {
    char *body;
    size_t len, room;
    unsigned lasts;
};

struct stage {
    struct loop loop;
    struct local local;
    uint64_t passed_ns; /* by stage_pass_ms, on top of the clock */
    struct script scripts[STEPS_MAX];
    struct step steps[STEPS_MAX];
    struct route route;
    char story[1024];
    /* the client */
    struct client_stream stream;
    struct sink down; /* what it was sent */
    unsigned heads, earlies, resets, ends, resumes;
    uint16_t status;
    bool head_last;
    /* the handler */
    struct sink up; /* what it was given */
    unsigned starts, cancels, rooms;
    bool answers_at_once;
    bool answers_in_body; /* when the first piece of the request comes */
    /* the snapshot */
    struct router *router;
    struct route unmatched;
    int holds, releases;
    /* the record */
    unsigned reports;
    enum reason reason;
};

void stage_begin(struct stage *s, uint32_t steps);
/* Nothing may run any more. */
void stage_end(struct stage *s);
void stage_turn(struct stage *s);
void stage_pass_ms(struct stage *s, uint64_t ms);
/* A request arrives, with a body to come or without, and goes in as far as it can. */
struct exchange *stage_ask(struct stage *s, bool with_body);
/* The same from the front door: /users takes GET and PUT, what else there is goes to `unmatched`. */
struct exchange *stage_begin_request(struct stage *s, enum method method, const char *path);
/* The handler answers 200; `last`: there is no body. */
void handler_head(struct exchange *x, bool last);

#endif
