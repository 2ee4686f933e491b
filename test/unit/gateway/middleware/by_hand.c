/* A stage for one step. */
#include "by_hand.h"

#include <check.h>
#include <stdlib.h>

#include "conf/read.h"
#include "gateway/base/clock.h"

void stage_begin(struct stage *s)
{
    static const uint64_t buckets[] = { 1000000, 1000000000 };

    *s = (struct stage){ 0 };
    s->region = region_new(0);
    s->globals.metrics.buckets = (struct conf_list){ (void *)(uintptr_t)buckets, 2 };
    s->globals.metrics.max_series = 1000;
    s->globals.shared_memory.metrics.size = 32 << 20;
    s->globals.shared_memory.limits.size = 1 << 20;
    s->globals.client_ip.ipv6_prefix = 64;
    conf_problems_init(&s->problems);
    arena_init(&s->arena, NULL);
    region_begin(s->region);
    ck_assert_ptr_nonnull(seats_table(s->region));
    s->local = (struct local){ .loop = &s->loop, .region = s->region };
    s->local.shared = shared_open(s->region, &s->globals);
    s->local.current.globals = &s->globals;
    s->loop.now_ns = clock_now_ns();
    s->builder = (struct builder){ .role = BUILD_WORKER,
                                   .arena = &s->arena,
                                   .region = s->region,
                                   .problems = &s->problems,
                                   .globals = &s->globals,
                                   .shared = s->local.shared };
}

void stage_end(struct stage *s)
{
    shared_close(s->local.shared);
    arena_free(&s->arena);
    conf_problems_free(&s->problems);
    region_close(s->region);
}

bool stage_step(struct stage *s, const struct middleware *type, const char *service,
                const char *yaml)
{
    struct conf_tree *tree =
        conf_tree_read(STR("test.yaml"), str_from(yaml), &conf_env_none, &s->problems);
    void *settings = arena_take(&s->arena, type->settings.size + 1);

    s->builder.service_name = str_keep(&s->arena, str_from(service));
    s->builder.step_name = str_from(type->settings.name);
    conf_read_block(&type->settings, conf_tree_root(tree), settings, &s->arena, &s->problems);
    conf_tree_free(tree);
    s->step = (struct step){ .type = type, .settings = settings, .mode = CONF_MODE_ENFORCE };
    if (s->problems.errors == 0)
        s->step.prepared = type->prepare(&s->builder, settings);
    while (s->step.prepared && type->prepare_more &&
           !type->prepare_more(&s->builder, settings, (void *)(uintptr_t)s->step.prepared, 0))
        ;
    return s->problems.errors == 0;
}

void stage_pass_time(struct stage *s, uint64_t ns)
{
    s->loop.now_ns += ns;
}

void act_begin(struct act *a, struct stage *s, const char *address)
{
    *a = (struct act){ 0 };
    a->route.service_name = s->builder.service_name;
    a->x.local = &s->local;
    a->x.route = &a->route;
    a->x.phase = PHASE_IN;
    arena_init(&a->x.arena, NULL);
    fields_init(&a->x.req.fields, &a->x.arena, 0);
    ck_assert(ip_read(str_from(address), &a->x.who.address));
    a->frame = (struct frame){ .step = &s->step,
                               .x = &a->x,
                               .state = calloc(1, s->step.type->state_size + 1) };
    a->x.frames = &a->frame;
}

void act_end(struct act *a)
{
    if (a->frame.step->type->on_done)
        a->frame.step->type->on_done(&a->x, &a->frame);
    free(a->frame.state);
    arena_free(&a->x.arena);
}

void act_header(struct act *a, const char *name, const char *value)
{
    fields_add(&a->x.req.fields, str_from(name), str_from(value));
}

enum verdict act_request(struct act *a)
{
    return a->frame.step->type->on_request(&a->x, &a->frame);
}

void act_response(struct act *a)
{
    ck_assert_int_eq(a->frame.step->type->on_response(&a->x, &a->frame), NEXT);
}

const char *act_answer(struct act *a, const char *name)
{
    const struct field *f =
        a->x.resp.fields.at ? fields_find_name(&a->x.resp.fields, str_from(name)) : NULL;

    return f ? str_keep_z(&a->x.arena, f->value) : "";
}

uint64_t counted(const struct stage *s, enum family f)
{
    struct rows_series series;
    uint64_t sum = 0;
    size_t i = 0;

    while (rows_next(&s->local.shared->rows, (uint32_t)f, SEATS_MAX, &i, &series))
        sum += series.total;
    return sum;
}
