/* A stage for one step: an exchange that nobody sent, a region that nobody shares, a clock that the test moves.
 */
#ifndef TEST_UNIT_GATEWAY_MIDDLEWARE_BY_HAND_H
#define TEST_UNIT_GATEWAY_MIDDLEWARE_BY_HAND_H

#include "conf/settings.h"
#include "gateway/exchange/builder.h"
#include "gateway/exchange/exchange.h"
#include "gateway/exchange/local.h"
#include "gateway/exchange/shared.h"

struct stage {
    struct region *region;
    struct conf_globals globals;
    struct conf_problems problems;
    struct arena arena;
    struct loop loop; /* only its clock */
    struct local local;
    struct builder builder;
    struct step step;
};

/* One exchange at one step. */
struct act {
    struct exchange x;
    struct route route;
    struct frame frame;
};

void stage_begin(struct stage *s);
void stage_end(struct stage *s);
/* Read `yaml` as the step's block and prepare it for this service; false: problems. */
bool stage_step(struct stage *s, const struct middleware *type, const char *service,
                const char *yaml);
void stage_pass_time(struct stage *s, uint64_t ns);

/* A request to the service, from an address, without headers. */
void act_begin(struct act *a, struct stage *s, const char *address);
void act_end(struct act *a);
void act_header(struct act *a, const char *name, const char *value);
enum verdict act_request(struct act *a);
void act_response(struct act *a);
/* The value of a header of the answer; "" if it is not there. */
const char *act_answer(struct act *a, const char *name);

/* The counter of a family, summed over its series. */
uint64_t counted(const struct stage *s, enum family f);

#endif
