/* Methods and statuses as text. */
#include "gateway/http/message.h"

static const struct str method_texts[METHOD_COUNT] = {
    [METHOD_OTHER] = STR_INIT(""),          [METHOD_GET] = STR_INIT("GET"),
    [METHOD_HEAD] = STR_INIT("HEAD"),       [METHOD_POST] = STR_INIT("POST"),
    [METHOD_PUT] = STR_INIT("PUT"),         [METHOD_DELETE] = STR_INIT("DELETE"),
    [METHOD_CONNECT] = STR_INIT("CONNECT"), [METHOD_OPTIONS] = STR_INIT("OPTIONS"),
    [METHOD_TRACE] = STR_INIT("TRACE"),     [METHOD_PATCH] = STR_INIT("PATCH"),
};

static enum method if_equal(struct str text, enum method m)
{
    return memcmp(text.at, method_texts[m].at, text.len) == 0 ? m : METHOD_OTHER;
}

enum method method_from(struct str text)
{
    switch (text.len) {
    case 3:
        return if_equal(text, text.at[0] == 'G' ? METHOD_GET : METHOD_PUT);
    case 4:
        return if_equal(text, text.at[0] == 'P' ? METHOD_POST : METHOD_HEAD);
    case 5:
        return if_equal(text, text.at[0] == 'P' ? METHOD_PATCH : METHOD_TRACE);
    case 6:
        return if_equal(text, METHOD_DELETE);
    case 7:
        return if_equal(text, text.at[0] == 'C' ? METHOD_CONNECT : METHOD_OPTIONS);
    default:
        return METHOD_OTHER;
    }
}

struct str method_text(enum method m)
{
    CHECK((unsigned)m < METHOD_COUNT);
    return method_texts[m];
}

struct str status_reason(unsigned status)
{
    switch (status) {
#define STATUS(number, text)                                                                       \
    case number:                                                                                   \
        return STR(text);
#include "gateway/http/statuses.list"
#undef STATUS
    default:
        return STR("");
    }
}

bool method_is_safe(enum method m)
{
    return m == METHOD_GET || m == METHOD_HEAD || m == METHOD_OPTIONS || m == METHOD_TRACE;
}

bool method_is_idempotent(enum method m)
{
    return method_is_safe(m) || m == METHOD_PUT || m == METHOD_DELETE;
}
