/* Writing JSON. */
#include "gateway/base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/base/number.h"

void json_fixed(struct json_writer *w, char *memory, size_t size)
{
    *w = (struct json_writer){ .at = memory, .capacity = size };
}

void json_growing(struct json_writer *w)
{
    *w = (struct json_writer){ .grows = true };
}

void json_clear(struct json_writer *w)
{
    *w = (struct json_writer){ .at = w->at, .capacity = w->capacity, .grows = w->grows };
}

void json_free(struct json_writer *w)
{
    if (w->grows)
        free(w->at);
    *w = (struct json_writer){ .grows = w->grows };
}

static bool make_room(struct json_writer *w, size_t len)
{
    size_t wanted;

    if (LIKELY(len <= w->capacity - w->len))
        return !w->full;
    if (!w->grows) {
        w->full = true;
        return false;
    }
    CHECK(len < SIZE_MAX / 4);
    wanted = (w->len + len) * 2;
    w->capacity = wanted < 256 ? 256 : wanted;
    w->at = realloc(w->at, w->capacity);
    if (!w->at)
        die("out of memory for %zu bytes of JSON", w->capacity);
    return true;
}

void json_raw(struct json_writer *w, struct str bytes)
{
    if (bytes.len == 0 || !make_room(w, bytes.len) || w->full)
        return;
    memcpy(w->at + w->len, bytes.at, bytes.len);
    w->len += bytes.len;
}

static void put(struct json_writer *w, const char *bytes, size_t len)
{
    json_raw(w, str_of(bytes, len));
}

static void before_value(struct json_writer *w)
{
    if (w->after_value)
        put(w, ",", 1);
    w->after_value = true;
}

static void open_level(struct json_writer *w, bool array)
{
    before_value(w);
    CHECK(w->depth < JSON_DEPTH_MAX);
    w->arrays = (w->arrays & ~(UINT64_C(1) << w->depth)) | (uint64_t)array << w->depth;
    w->depth++;
    put(w, array ? "[" : "{", 1);
    w->after_value = false;
}

void json_object(struct json_writer *w)
{
    open_level(w, false);
}

void json_array(struct json_writer *w)
{
    open_level(w, true);
}

void json_end(struct json_writer *w)
{
    CHECK(w->depth > 0);
    w->depth--;
    put(w, w->arrays >> w->depth & 1 ? "]" : "}", 1);
    w->after_value = true;
}

/* Length of the well-formed UTF-8 sequence at `at` (Unicode 3.9, table 3-7), or 0. */
static size_t utf8_len(const unsigned char *at, size_t left)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t len;

    if (at[0] >= 0xc2 && at[0] <= 0xdf)
        len = 2;
    else if (at[0] >= 0xe0 && at[0] <= 0xef)
        len = 3;
    else if (at[0] >= 0xf0 && at[0] <= 0xf4)
        len = 4;
    else
        return 0;
    if (at[0] == 0xe0)
        low = 0xa0; /* shorter forms exist */
    else if (at[0] == 0xed)
        high = 0x9f; /* surrogates */
    else if (at[0] == 0xf0)
        low = 0x90;
    else if (at[0] == 0xf4)
        high = 0x8f; /* above U+10FFFF */
    if (left < len || at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if (at[i] < 0x80 || at[i] > 0xbf)
            return 0;
    return len;
}

static void put_escaped(struct json_writer *w, unsigned char c)
{
    static const char HEX[] = "0123456789abcdef";
    static const char SHORT[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    char escape[6] = { '\\', 'u', '0', '0', HEX[c >> 4], HEX[c & 15] };

    for (size_t i = 0; i + 1 < sizeof SHORT; i += 2)
        if (c == (unsigned char)SHORT[i]) {
            escape[1] = SHORT[i + 1];
            put(w, escape, 2);
            return;
        }
    put(w, escape, 6);
}

static void put_quoted(struct json_writer *w, struct str s)
{
    const unsigned char *at = (const unsigned char *)s.at;
    size_t from = 0, i = 0;

    put(w, "\"", 1);
    while (i < s.len) {
        unsigned char c = at[i];
        size_t len = c < 0x80 ? 1 : utf8_len(at + i, s.len - i);

        if (len && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            i += len;
            continue;
        }
        put(w, s.at + from, i - from);
        if (len)
            put_escaped(w, c);
        else
            put(w, "\xef\xbf\xbd", 3);
        from = ++i;
    }
    if (i > from)
        put(w, s.at + from, i - from);
    put(w, "\"", 1);
}

void json_key(struct json_writer *w, struct str key)
{
    before_value(w);
    put_quoted(w, key);
    put(w, ":", 1);
    w->after_value = false;
}

void json_string(struct json_writer *w, struct str s)
{
    before_value(w);
    put_quoted(w, s);
}

void json_u64(struct json_writer *w, uint64_t value)
{
    char text[NUMBER_TEXT_MAX];

    before_value(w);
    put(w, text, number_write_u64(text, value));
}

void json_i64(struct json_writer *w, int64_t value)
{
    char text[NUMBER_TEXT_MAX];

    before_value(w);
    put(w, text, number_write_i64(text, value));
}

void json_ms(struct json_writer *w, uint64_t ns)
{
    char text[NUMBER_TEXT_MAX + 4];
    uint64_t us = ns / NS_PER_US;
    size_t len = number_write_u64(text, us / 1000);

    text[len++] = '.';
    text[len++] = (char)('0' + us % 1000 / 100);
    text[len++] = (char)('0' + us % 100 / 10);
    text[len++] = (char)('0' + us % 10);
    before_value(w);
    put(w, text, len);
}

void json_double(struct json_writer *w, double value)
{
    char text[40];
    int len = isfinite(value) ? snprintf(text, sizeof text, "%.15g", value)
                              : snprintf(text, sizeof text, "null");

    before_value(w);
    put(w, text, (size_t)len);
}

void json_bool(struct json_writer *w, bool value)
{
    before_value(w);
    json_raw(w, value ? STR("true") : STR("false"));
}

void json_null(struct json_writer *w)
{
    before_value(w);
    json_raw(w, STR("null"));
}
