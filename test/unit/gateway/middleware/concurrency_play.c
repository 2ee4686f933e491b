/* The step concurrency in two workers. */
#include "concurrency_play.h"

#include <check.h>
#include <poll.h>

#include "gateway/base/number.h"
#include "gateway/exchange/handler.h"
#include "gateway/limiting/limit_line.h"

static void started(struct exchange *x)
{
    x->handler_runs = true; /* and nothing more: it is there until it ends */
}

static const struct handler handler = { .name = "by hand", .start = started };

void play_begin(struct play *p, const char *yaml)
{
    stage_begin(&p->s);
    p->bells = bells_new();
    p->seats = seats_table(p->s.region);
    p->now_ns = p->s.loop.now_ns + 3600 * NS_PER_S;
    for (int i = 0; i < 2; i++) {
        loop_init(&p->loops[i]);
        p->workers[i] = p->s.local;
        p->workers[i].loop = &p->loops[i];
        p->workers[i].bells = p->bells;
        p->workers[i].seat = seats_claim(p->seats, 100 + i, SEAT_WORKER, (uint32_t)i, 1, 1);
    }
    ck_assert(stage_step(&p->s, &concurrency_middleware, "u", yaml));
    ck_assert(holds_table(p->s.region, STR("concurrency/u/concurrency"), 2, &p->now));
}

void play_end(struct play *p)
{
    ck_assert_uint_eq(holds_sum(&p->now, 0), 0);
    ck_assert_uint_eq(holds_sum(&p->now, 1), 0);
    for (int i = 0; i < 2; i++) {
        loop_turn(&p->loops[i], 0);
        limit_lines_end(&p->workers[i]);
        ck_assert_uint_eq(p->loops[i].timers.count, 0);
        loop_end(&p->loops[i]);
    }
    bells_free(p->bells);
    stage_end(&p->s);
}

enum verdict come(struct play *p, struct act *a, int worker)
{
    act_begin(a, &p->s, "192.0.2.1");
    a->x.local = &p->workers[worker];
    a->route.handler = &handler;
    p->loops[worker].now_ns = ++p->now_ns;
    return act_request(a);
}

void leave(struct act *a)
{
    waiter_cancel(&a->frame.waiter);
    act_end(a);
}

bool is_served(const struct act *a)
{
    return a->x.handler_runs;
}

void turn(struct play *p, int worker)
{
    loop_turn(&p->loops[worker], 0);
    p->loops[worker].now_ns = p->now_ns;
}

bool hear(struct play *p, int worker)
{
    uint32_t seat = p->workers[worker].seat;
    struct pollfd f = { .fd = bells_fd(p->bells, seat), .events = POLLIN };

    if (poll(&f, 1, 0) != 1)
        return false;
    bells_hush(p->bells, seat);
    limit_lines_called(&p->workers[worker]);
    turn(p, worker);
    return true;
}

void pass_ms(struct play *p, int worker, uint64_t ms)
{
    p->now_ns += ms * NS_PER_MS;
    p->loops[worker].now_ns = p->now_ns;
    timers_run(&p->loops[worker].timers, p->now_ns);
    turn(p, worker);
}

uint64_t running(const struct play *p)
{
    return holds_sum(&p->now, 0);
}

uint64_t waiting(const struct play *p)
{
    return holds_sum(&p->now, 1);
}
