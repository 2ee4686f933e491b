/* Dates as text. */
#include "gateway/base/date.h"

#include <string.h>

#include "gateway/base/number.h"

struct civil {
    unsigned year, month, day, weekday; /* month and day from 1, weekday 0 is Sunday */
    unsigned hour, minute, second;
};

/* Years are counted from 1 March, so that the leap day is the last of a year and the lengths of the months
 * before it follow one line: (153 m + 2) / 5. 400 years have 146097 days. */
static struct civil civil_of(uint64_t seconds)
{
    uint64_t days = seconds / 86400, rest = seconds % 86400;
    uint64_t z = days + 719468; /* since 0000-03-01 */
    uint64_t era = z / 146097, of_era = z % 146097;
    uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    uint64_t month = (5 * of_year + 2) / 153;
    struct civil c = {
        .day = (unsigned)(of_year - (153 * month + 2) / 5 + 1),
        .month = (unsigned)(month < 10 ? month + 3 : month - 9),
        .weekday = (unsigned)((days + 4) % 7), /* 1970 began on a Thursday */
        .hour = (unsigned)(rest / 3600),
        .minute = (unsigned)(rest / 60 % 60),
        .second = (unsigned)(rest % 60),
    };

    c.year = (unsigned)(year + era * 400 + (c.month <= 2));
    return c;
}

static void put_digits(char *to, unsigned value, size_t count)
{
    while (count-- > 0) {
        to[count] = (char)('0' + value % 10);
        value /= 10;
    }
}

struct str date_http(struct date_cache *c, uint64_t wall_ns)
{
    static const char DAYS[] = "SunMonTueWedThuFriSat";
    static const char MONTHS[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    uint64_t s = wall_ns / NS_PER_S;

    if (c->http_s != s + 1) {
        struct civil t = civil_of(s);

        memcpy(c->http, "day, 00 mon 0000 00:00:00 GMT", DATE_HTTP_LEN);
        memcpy(c->http, DAYS + (size_t)3 * t.weekday, 3);
        put_digits(c->http + 5, t.day, 2);
        memcpy(c->http + 8, MONTHS + (size_t)3 * (t.month - 1), 3);
        put_digits(c->http + 12, t.year, 4);
        put_digits(c->http + 17, t.hour, 2);
        put_digits(c->http + 20, t.minute, 2);
        put_digits(c->http + 23, t.second, 2);
        c->http_s = s + 1;
    }
    return str_of(c->http, DATE_HTTP_LEN);
}

struct str date_iso(struct date_cache *c, uint64_t wall_ns)
{
    uint64_t s = wall_ns / NS_PER_S;

    if (c->iso_s != s + 1) {
        struct civil t = civil_of(s);

        memcpy(c->iso, "0000-00-00T00:00:00.000Z", DATE_ISO_LEN);
        put_digits(c->iso, t.year, 4);
        put_digits(c->iso + 5, t.month, 2);
        put_digits(c->iso + 8, t.day, 2);
        put_digits(c->iso + 11, t.hour, 2);
        put_digits(c->iso + 14, t.minute, 2);
        put_digits(c->iso + 17, t.second, 2);
        c->iso_s = s + 1;
    }
    put_digits(c->iso + 20, (unsigned)(wall_ns % NS_PER_S / NS_PER_MS), 3);
    return str_of(c->iso, DATE_ISO_LEN);
}
