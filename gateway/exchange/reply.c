/* Answers made here. */
#include "gateway/exchange/reply.h"

#include "gateway/base/number.h"
#include "gateway/exchange/local.h"
#include "gateway/exchange/route.h"
#include "gateway/exchange/shared.h"
#include "gateway/http/problem.h"

void reply_text(struct exchange *x, unsigned status, enum reason reason, struct str content_type,
                struct str body)
{
    x->reason = reason;
    x->made_here = true;
    x->own_body = body;
    x->resp = (struct response){ .status = (uint16_t)status,
                                 .body = BODY_LENGTH,
                                 .content_length = body.len,
                                 .version = 11,
                                 .keep_alive = true };
    fields_init(&x->resp.fields, &x->arena, 4);
    if (content_type.len)
        fields_add_known(&x->resp.fields, FIELD_CONTENT_TYPE, content_type);
}

static bool is_told_in_json(const struct exchange *x)
{
    switch (x->local->current.errors) {
    case ERRORS_TEXT:
        return false;
    case ERRORS_PROBLEM:
        return true;
    case ERRORS_AUTO:
        break;
    }
    return fields_have(&x->req.fields, FIELD_ACCEPT) &&
           problem_wants_json(fields_value(&x->req.fields, FIELD_ACCEPT));
}

void reply_problem(struct exchange *x, unsigned status, enum reason reason, const char *why)
{
    struct problem p = { .status = status, .detail = str_from(why), .reason = reason_text(reason) };
    bool json = is_told_in_json(x);

    reply_text(x, status, reason,
               json ? STR("application/problem+json") : STR("text/plain; charset=utf-8"),
               problem_body(&p, json, &x->arena));
}

void reply_retry_after(struct exchange *x, uint64_t retry_ns)
{
    char *text = arena_take_bytes(&x->arena, NUMBER_TEXT_MAX);
    uint64_t s = retry_ns / NS_PER_S + (retry_ns % NS_PER_S != 0);

    fields_add_known(&x->resp.fields, FIELD_RETRY_AFTER,
                     str_of(text, number_write_u64(text, s ? s : 1)));
}

/* Here and not with the record: where several steps are in shadow, each is judged by what it would have done. */
void reply_shadow(struct exchange *x, enum reason reason, struct str limit)
{
    const struct rows *rows = &x->local->shared->rows;
    const struct str labels[] = { x->route->service_name, reason_text(reason), limit };

    x->record.shadow = reason;
    rows_add(rows, x->local->seat, rows_find(rows, FAMILY_SHADOW, labels), 1);
}

enum verdict reply_refuse_by_limit(struct exchange *x, struct frame *f, unsigned status,
                                   enum reason reason, const char *why, struct str limit)
{
    if (!frame_acts(f)) {
        reply_shadow(x, reason, limit);
        return NEXT;
    }
    reply_problem(x, status, reason, why);
    return REPLIED;
}

enum verdict reply_refuse(struct exchange *x, struct frame *f, unsigned status, enum reason reason,
                          const char *why)
{
    return reply_refuse_by_limit(x, f, status, reason, why, STR_NONE);
}
