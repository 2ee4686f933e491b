/* Answers made here. */
#include "gateway/exchange/reply.h"

#include "gateway/base/number.h"
#include "gateway/exchange/local.h"
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

enum verdict reply_refuse(struct exchange *x, struct frame *f, unsigned status, enum reason reason,
                          const char *why)
{
    if (!frame_acts(f)) {
        x->record.shadow = reason;
        return NEXT;
    }
    reply_problem(x, status, reason, why);
    return REPLIED;
}
