/* Refusals, and the fields that say what is left. */
#include "gateway/limiting/limit_answer.h"

#include <string.h>

#include "gateway/base/number.h"
#include "gateway/exchange/local.h"
#include "gateway/exchange/reply.h"
#include "gateway/exchange/shared.h"

/* ---- at load ---------------------------------------------------------------------------------- */

/* What may not stand in such a string is left out. */
static struct str quote(struct arena *a, struct str name)
{
    char *at = arena_take_bytes(a, name.len + 2);
    size_t len = 0;

    at[len++] = '"';
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] >= ' ' && name.at[i] <= '~' && name.at[i] != '"' && name.at[i] != '\\')
            at[len++] = name.at[i];
    at[len++] = '"';
    return str_of(at, len);
}

static uint64_t seconds_up(uint64_t ns)
{
    return ns / NS_PER_S + (ns % NS_PER_S != 0);
}

void limit_answer_build(struct limit_answer *a, struct builder *b, const struct limiter *l)
{
    const struct str labels[] = { b->service_name, builder_label(b) };

    a->label = str_keep(b->arena, labels[1]);
    /* The master only rehearses; what is refused leaves no series behind. */
    if (b->role == BUILD_WORKER)
        a->series = rows_find(&b->shared->rows, FAMILY_RATE_LIMITED, labels);
    a->jitter_key = l->key;
    a->quoted_name = quote(b->arena, b->step_name);
    a->policy = str_format(b->arena, "%.*s;q=%llu;w=%llu", STR_ARGS(a->quoted_name),
                           (unsigned long long)l->limit.count,
                           (unsigned long long)seconds_up(l->limit.per_ns));
    a->at_once = str_format(b->arena, "%llu", (unsigned long long)l->algorithm->at_once(&l->limit));
}

/* ---- at work ---------------------------------------------------------------------------------- */

static struct str number_text(struct exchange *x, uint64_t n)
{
    char *at = arena_take_bytes(&x->arena, NUMBER_TEXT_MAX);

    return str_of(at, number_write_u64(at, n));
}

/* "name";r=42;t=17 */
static struct str left_text(struct exchange *x, struct str quoted_name, struct str remaining,
                            struct str reset)
{
    char *begin = arena_take_bytes(&x->arena, quoted_name.len + remaining.len + reset.len + 6);
    char *at = begin;

    at = mempcpy(at, quoted_name.at, quoted_name.len);
    at = mempcpy(at, ";r=", 3);
    at = mempcpy(at, remaining.at, remaining.len);
    at = mempcpy(at, ";t=", 3);
    at = mempcpy(at, reset.at, reset.len);
    return str_between(begin, at);
}

/* The names are constants and the values made here of what may stand in a field: nothing to be checked. */
static void add(struct exchange *x, struct str name, struct str value)
{
    fields_put(&x->resp.fields, name, value);
}

/* The older fields are no lists: where they stand already, of another limit or the service's own, they are told of
 * whichever leaves less. */
static bool takes_their_place(struct exchange *x, uint64_t remaining)
{
    static const struct str names[] = { STR_INIT("X-RateLimit-Limit"),
                                        STR_INIT("X-RateLimit-Remaining"),
                                        STR_INIT("X-RateLimit-Reset") };
    const struct field *before = fields_find_name(&x->resp.fields, names[1]);
    uint64_t said;

    if (!before)
        return true;
    if (number_read_u64(before->value, &said) && said <= remaining)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        fields_remove_name(&x->resp.fields, names[i]);
    return true;
}

void limit_answer_say_what_is_left(const struct limit_answer *a, uint64_t headers,
                                   struct exchange *x, uint64_t remaining_n, uint64_t reset_ns)
{
    bool nothing_said = !fields_have(&x->resp.fields, FIELD_OTHER); /* as on most refusals */
    struct str remaining, reset;

    if (!headers)
        return;
    remaining = number_text(x, remaining_n);
    reset = number_text(x, seconds_up(reset_ns));
    if (headers & HEADERS_DRAFT) {
        add(x, STR("RateLimit-Policy"), a->policy);
        add(x, STR("RateLimit"), left_text(x, a->quoted_name, remaining, reset));
    }
    if (headers & HEADERS_X && (nothing_said || takes_their_place(x, remaining_n))) {
        add(x, STR("X-RateLimit-Limit"), a->at_once);
        add(x, STR("X-RateLimit-Remaining"), remaining);
        add(x, STR("X-RateLimit-Reset"), reset);
    }
}

uint64_t limit_answer_with_jitter(const struct limit_answer *a, uint64_t key, uint64_t at_ns,
                                  uint64_t retry_ns)
{
    const uint64_t seed[] = { key, at_ns };
    uint64_t most = (uint64_t)((unsigned __int128)retry_ns * a->jitter_ppm / 1000000);

    return most ? retry_ns + hash_keyed(&a->jitter_key, seed, sizeof seed) % (most + 1) : retry_ns;
}

/* What all refusals have in common: the answer, and that it is counted. */
static enum verdict refuse(const struct limit_answer *a, struct exchange *x, struct frame *f,
                           enum reason reason)
{
    enum verdict v = reply_refuse_by_limit(x, f, a->status, reason, a->body, a->label);

    if (v == REPLIED)
        rows_add(&x->local->shared->rows, x->local->seat, a->series, 1);
    return v;
}

enum verdict limit_answer_refuse(const struct limit_answer *a, struct exchange *x, struct frame *f,
                                 const struct decision *d, uint64_t retry_ns)
{
    enum verdict v = refuse(a, x, f, a->reason);

    if (v != REPLIED)
        return v;
    if (d->retry_ns != RETRY_NEVER)
        reply_retry_after(x, retry_ns);
    limit_answer_say_what_is_left(a, a->headers, x, d->remaining, d->reset_ns);
    return v;
}

enum verdict limit_answer_refuse_away(const struct limit_answer *a, struct exchange *x,
                                      struct frame *f, uint64_t retry_ns)
{
    enum verdict v = refuse(a, x, f, REASON_STORE_AWAY);

    if (v == REPLIED)
        reply_retry_after(x, retry_ns);
    return v;
}

enum verdict limit_answer_refuse_unknown(const struct limit_answer *a, struct exchange *x,
                                         struct frame *f)
{
    return refuse(a, x, f, REASON_RATE_LIMITED);
}
