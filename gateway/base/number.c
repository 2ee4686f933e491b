/* Text <-> numbers. */
#include "gateway/base/number.h"

#include <string.h>

struct unit {
    char name[4];
    uint64_t worth;
};

/* Largest first: writers take the first that divides. */
static const struct unit SIZES[] = {
    { "t", UINT64_C(1) << 40 },
    { "g", UINT64_C(1) << 30 },
    { "m", UINT64_C(1) << 20 },
    { "k", UINT64_C(1) << 10 },
    { "", 1 },
};

static const struct unit DURATIONS[] = {
    { "d", 86400 * NS_PER_S },
    { "h", 3600 * NS_PER_S },
    { "m", 60 * NS_PER_S },
    { "s", NS_PER_S },
    { "ms", NS_PER_MS },
    { "us", NS_PER_US },
    { "ns", 1 },
};

static const char PAIRS[] = "00010203040506070809101112131415161718192021222324"
                            "25262728293031323334353637383940414243444546474849"
                            "50515253545556575859606162636465666768697071727374"
                            "75767778798081828384858687888990919293949596979899";

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The digits at the start of *text, taken off it. */
static bool take_digits(struct str *text, uint64_t *value)
{
    uint64_t sum = 0;
    size_t i = 0;

    for (; i < text->len && is_digit(text->at[i]); i++)
        if (__builtin_mul_overflow(sum, UINT64_C(10), &sum) ||
            __builtin_add_overflow(sum, (uint64_t)(text->at[i] - '0'), &sum))
            return false;
    *text = str_from_index(*text, i);
    *value = sum;
    return i > 0;
}

bool number_read_u64(struct str text, uint64_t *value)
{
    uint64_t sum = 0;

    if (UNLIKELY(text.len == 0 || text.len > 20))
        return false;
    if (UNLIKELY(text.len == 20)) /* shorter ones cannot overflow */
        return take_digits(&text, value) && text.len == 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)(unsigned char)text.at[i] - '0';

        if (digit > 9)
            return false;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}

bool number_read_i64(struct str text, int64_t *value)
{
    bool minus = text.len && text.at[0] == '-';
    uint64_t size;

    if (!number_read_u64(str_from_index(text, minus), &size) || size > (uint64_t)INT64_MAX + minus)
        return false;
    *value = minus ? (int64_t)(0 - size) : (int64_t)size;
    return true;
}

bool number_read_hex(struct str text, uint64_t *value)
{
    uint64_t sum = 0;

    if (text.len == 0 || text.len > 16)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = ascii_fold((unsigned char)text.at[i]);

        if (c >= '0' && c <= '9')
            sum = sum << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            sum = sum << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *value = sum;
    return true;
}

static const struct unit *unit_named(const struct unit *units, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++)
        if (str_equal_folded(str_from(units[i].name), name))
            return &units[i];
    return NULL;
}

static bool read_with_unit(struct str text, const struct unit *units, size_t count, uint64_t *value)
{
    const struct unit *unit;
    uint64_t number;

    if (!take_digits(&text, &number))
        return false;
    unit = unit_named(units, count, text);
    return unit && !__builtin_mul_overflow(number, unit->worth, value);
}

bool number_read_size(struct str text, uint64_t *bytes)
{
    return read_with_unit(text, SIZES, ARRAY_LEN(SIZES), bytes);
}

bool number_read_duration(struct str text, uint64_t *ns)
{
    if (str_equal(text, STR("0"))) {
        *ns = 0;
        return true;
    }
    return read_with_unit(text, DURATIONS, ARRAY_LEN(DURATIONS), ns);
}

bool number_read_rate(struct str text, struct number_rate *rate)
{
    const struct unit *unit;
    struct str period;

    if (!number_read_u64(str_cut(text, '/', &period), &rate->count) || period.len != 1)
        return false;
    unit = unit_named(DURATIONS, 4, period); /* d, h, m, s */
    if (!unit)
        return false;
    rate->per_ns = unit->worth;
    return true;
}

bool number_read_share(struct str text, uint64_t *ppm)
{
    uint64_t scale = 1000000, whole, sum;

    if (text.len && text.at[text.len - 1] == '%') {
        text.len--;
        scale = 10000;
    }
    if (!take_digits(&text, &whole) || whole > 100000000 / scale)
        return false;
    sum = whole * scale;
    if (text.len == 0) {
        *ppm = sum;
        return true;
    }
    if (text.at[0] != '.' || text.len == 1)
        return false;
    for (size_t i = 1; i < text.len; i++) {
        if (!is_digit(text.at[i]))
            return false;
        scale /= 10; /* what is finer than a millionth is dropped */
        sum += (uint64_t)(text.at[i] - '0') * scale;
    }
    *ppm = sum;
    return true;
}

static size_t write_long(char *to, uint64_t value)
{
    size_t len = 3, i;

    for (uint64_t rest = value; rest >= 1000; rest /= 10)
        len++;
    for (i = len; value >= 100; value /= 100) {
        i -= 2;
        memcpy(to + i, PAIRS + value % 100 * 2, 2);
    }
    if (i == 2)
        memcpy(to, PAIRS + value * 2, 2);
    else
        *to = (char)('0' + value);
    return len;
}

size_t number_write_u64(char *to, uint64_t value)
{
    if (value >= 100)
        return write_long(to, value);
    if (value >= 10) {
        memcpy(to, PAIRS + value * 2, 2);
        return 2;
    }
    *to = (char)('0' + value);
    return 1;
}

size_t number_write_i64(char *to, int64_t value)
{
    if (value >= 0)
        return number_write_u64(to, (uint64_t)value);
    *to = '-';
    return 1 + number_write_u64(to + 1, 0 - (uint64_t)value);
}

static size_t write_with_unit(char *to, uint64_t value, const struct unit *units)
{
    size_t len;

    while (value % units->worth)
        units++;
    len = number_write_u64(to, value / units->worth);
    memcpy(to + len, units->name, strlen(units->name));
    return len + strlen(units->name);
}

size_t number_write_size(char *to, uint64_t bytes)
{
    return write_with_unit(to, bytes, bytes ? SIZES : &SIZES[ARRAY_LEN(SIZES) - 1]);
}

size_t number_write_duration(char *to, uint64_t ns)
{
    return write_with_unit(to, ns, ns ? DURATIONS : &DURATIONS[3]);
}

size_t number_write_rate(char *to, struct number_rate rate)
{
    size_t len = number_write_u64(to, rate.count), i = 0;

    while (DURATIONS[i].worth != rate.per_ns) {
        i++;
        CHECK(i < 4);
    }
    to[len++] = '/';
    to[len++] = DURATIONS[i].name[0];
    return len;
}

size_t number_write_share(char *to, uint64_t ppm)
{
    size_t len = number_write_u64(to, ppm / 10000);
    uint64_t rest = ppm % 10000;

    if (rest) {
        to[len++] = '.';
        for (uint64_t place = 1000; rest; place /= 10) {
            to[len++] = (char)('0' + rest / place);
            rest %= place;
        }
    }
    to[len++] = '%';
    return len;
}
