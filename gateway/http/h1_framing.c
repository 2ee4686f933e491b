/* Where a message ends, and whether its connection does. */
#include "gateway/http/h1_framing.h"

#include "gateway/base/number.h"
#include "gateway/http/octets.h"

#define CONNECTION_MAX 64 /* options of Connection: each is looked for among all fields (hop.c) */

/* --- the body ---------------------------------------------------------------------------------- */

/* 1*DIGIT in one spelling only: no sign, no list ("5, 5"), no leading zero (octal to some). */
static bool read_length(struct str value, uint64_t *length)
{
    if (value.len > 1 && value.at[0] == '0')
        return false;
    return number_read_u64(value, length) && *length <= INT64_MAX;
}

/* A Transfer-Encoding that is not just "chunked": is it a list we could serve if we knew the codings,
 * or is it one that two readers would end at different places? */
static enum head_result refuse_codings(struct str value, const char **why)
{
    bool chunked = false;

    *why = "malformed transfer coding";
    do {
        struct str coding = str_trim(str_cut(value, ',', &value));

        if (!octets_are(coding, OCTET_TOKEN))
            return HEAD_BAD;
        if (chunked) {
            *why = "chunked is not the last coding";
            return HEAD_BAD;
        }
        chunked = str_equal_folded(coding, STR("chunked"));
    } while (value.len);
    *why = "unknown transfer coding";
    return HEAD_NOT_IMPLEMENTED;
}

static enum head_result read_codings(const struct fields *f, uint8_t version, const char **why)
{
    struct str codings = fields_value(f, FIELD_TRANSFER_ENCODING);

    if (fields_repeat(f, FIELD_TRANSFER_ENCODING)) {
        *why = "two transfer codings";
        return HEAD_BAD;
    }
    if (version < 11) {
        *why = "transfer coding in HTTP/1.0";
        return HEAD_BAD;
    }
    if (fields_have(f, FIELD_CONTENT_LENGTH)) {
        /* 9112 6.3: both lengths present is an attack, not a choice */
        *why = "both Content-Length and Transfer-Encoding";
        return HEAD_BAD;
    }
    if (str_equal_folded(codings, STR("chunked")))
        return HEAD_DONE;
    if (codings.len && codings.at[codings.len - 1] == ',') {
        *why = "malformed transfer coding";
        return HEAD_BAD;
    }
    return refuse_codings(codings, why);
}

static enum head_result read_single_length(const struct fields *f, uint64_t *length,
                                           const char **why)
{
    *why = "two lengths";
    if (fields_repeat(f, FIELD_CONTENT_LENGTH))
        return HEAD_BAD;
    *why = "malformed length";
    return read_length(fields_value(f, FIELD_CONTENT_LENGTH), length) ? HEAD_DONE : HEAD_BAD;
}

enum head_result h1_framing_read(const struct fields *f, uint8_t version, enum body_kind *body,
                                 uint64_t *length, const char **why)
{
    *body = BODY_NONE;
    *length = 0;
    if (UNLIKELY(fields_have(f, FIELD_TRANSFER_ENCODING))) {
        *body = BODY_CHUNKED;
        return read_codings(f, version, why);
    }
    if (!fields_have(f, FIELD_CONTENT_LENGTH))
        return HEAD_DONE;
    *body = BODY_LENGTH;
    return read_single_length(f, length, why);
}

/* --- the connection ---------------------------------------------------------------------------- */

/* What all Connection fields of a message say together. */
struct connection {
    bool close, keep;
    unsigned options;
};

static bool read_connection_list(struct str value, struct connection *c)
{
    if (str_equal(value, STR("keep-alive")) || str_equal(value, STR("close"))) {
        *(value.len == 5 ? &c->close : &c->keep) = true; /* as nearly all write it */
        return ++c->options <= CONNECTION_MAX;
    }
    do {
        struct str option = str_trim(str_cut(value, ',', &value));

        if (option.len == 0)
            continue;
        if (++c->options > CONNECTION_MAX || !octets_are(option, OCTET_TOKEN))
            return false;
        c->close = c->close || str_equal_folded(option, STR("close"));
        c->keep = c->keep || str_equal_folded(option, STR("keep-alive"));
    } while (value.len);
    return true;
}

bool h1_framing_ask_connection(const struct fields *f, uint8_t version, bool *keep_alive,
                               const char **why)
{
    struct connection c = { 0 };

    for (uint32_t i = 0; i < f->count; i++)
        if (f->at[i].known == FIELD_CONNECTION && !read_connection_list(f->at[i].value, &c)) {
            *why = "malformed Connection";
            return false;
        }
    *keep_alive = !c.close && (version >= 11 || c.keep);
    return true;
}
