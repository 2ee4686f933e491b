/* Methods and statuses as text. */
#include "gateway/http/message.h"

static const struct str method_texts[METHOD_COUNT] = {
    [METHOD_OTHER] = STR_INIT(""),          [METHOD_GET] = STR_INIT("GET"),
    [METHOD_HEAD] = STR_INIT("HEAD"),       [METHOD_POST] = STR_INIT("POST"),
    [METHOD_PUT] = STR_INIT("PUT"),         [METHOD_DELETE] = STR_INIT("DELETE"),
    [METHOD_CONNECT] = STR_INIT("CONNECT"), [METHOD_OPTIONS] = STR_INIT("OPTIONS"),
    [METHOD_TRACE] = STR_INIT("TRACE"),     [METHOD_PATCH] = STR_INIT("PATCH"),
};

enum method method_from(struct str text)
{
    switch (text.len) {
#define METHOD(name)                                                                               \
    if (memcmp(text.at, #name, sizeof #name - 1) == 0)                                             \
    return METHOD_##name
    case 3:
        METHOD(GET);
        METHOD(PUT);
        break;
    case 4:
        METHOD(POST);
        METHOD(HEAD);
        break;
    case 5:
        METHOD(PATCH);
        METHOD(TRACE);
        break;
    case 6:
        METHOD(DELETE);
        break;
    case 7:
        METHOD(OPTIONS);
        METHOD(CONNECT);
        break;
#undef METHOD
    default:
        break;
    }
    return METHOD_OTHER;
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
