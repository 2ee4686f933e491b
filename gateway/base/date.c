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

/* ---- reading ---- */

#define LAST_YEAR 2500 /* what 64 bits of nanoseconds hold, and a round number */

/* `count` digits at the front of *rest. */
static bool take_digits(struct str *rest, size_t count, unsigned *value)
{
    *value = 0;
    if (rest->len < count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (rest->at[i] < '0' || rest->at[i] > '9')
            return false;
        *value = *value * 10 + (unsigned)(rest->at[i] - '0');
    }
    *rest = str_from_index(*rest, count);
    return true;
}

/* One of the characters, in either case. */
static bool take_one(struct str *rest, const char *among)
{
    if (rest->len == 0 || rest->at[0] == 0 ||
        !strchr(among, ascii_fold((unsigned char)rest->at[0])))
        return false;
    *rest = str_from_index(*rest, 1);
    return true;
}

static unsigned days_in(unsigned year, unsigned month)
{
    static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap ? 1U : 0U);
}

/* Days since 1970, the other way round than civil_of. */
static uint64_t days_of(unsigned year, unsigned month, unsigned day)
{
    uint64_t y = year - (month <= 2);
    uint64_t of_era = y % 400, of_year = (153 * (month + (month > 2 ? -3u : 9u)) + 2) / 5 + day - 1;

    return y / 400 * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool read_day(struct str *rest, uint64_t *seconds)
{
    unsigned year, month, day;

    if (!take_digits(rest, 4, &year) || !take_one(rest, "-") || !take_digits(rest, 2, &month) ||
        !take_one(rest, "-") || !take_digits(rest, 2, &day))
        return false;
    if (year < 1970 || year > LAST_YEAR || month < 1 || month > 12 || day < 1 ||
        day > days_in(year, month))
        return false;
    *seconds = days_of(year, month, day) * 86400;
    return true;
}

/* Digits behind the point say less than a nanosecond from the tenth on. */
static bool read_fraction(struct str *rest, uint64_t *ns)
{
    uint64_t unit = NS_PER_S / 10;
    size_t digits = 0;

    for (*ns = 0; digits < rest->len && rest->at[digits] >= '0' && rest->at[digits] <= '9';
         digits++) {
        *ns += unit * (unsigned)(rest->at[digits] - '0');
        unit /= 10;
    }
    *rest = str_from_index(*rest, digits);
    return digits > 0;
}

/* Z, or hours and minutes ahead of UTC or behind. */
static bool read_offset(struct str *rest, int64_t *seconds)
{
    unsigned hours, minutes;
    int sign;

    *seconds = 0;
    if (take_one(rest, "z"))
        return true;
    sign = take_one(rest, "-") ? -1 : 1;
    if ((sign > 0 && !take_one(rest, "+")) || !take_digits(rest, 2, &hours) ||
        !take_one(rest, ":") || !take_digits(rest, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *seconds = sign * (int64_t)(hours * 3600 + minutes * 60);
    return true;
}

bool date_read(struct str text, uint64_t *wall_ns)
{
    unsigned hour, minute, second;
    uint64_t day, ns = 0;
    int64_t offset, at;

    if (!read_day(&text, &day))
        return false;
    if (text.len == 0) {
        *wall_ns = day * NS_PER_S;
        return true;
    }
    if (!take_one(&text, "t ") || !take_digits(&text, 2, &hour) || !take_one(&text, ":") ||
        !take_digits(&text, 2, &minute) || !take_one(&text, ":") || !take_digits(&text, 2, &second))
        return false;
    if (hour > 23 || minute > 59 || second > 60) /* 60: a leap second */
        return false;
    if ((take_one(&text, ".") && !read_fraction(&text, &ns)) || !read_offset(&text, &offset) ||
        text.len > 0)
        return false;
    at = (int64_t)day + hour * 3600 + minute * 60 + second - offset;
    if (at < 0)
        return false;
    *wall_ns = (uint64_t)at * NS_PER_S + ns;
    return true;
}

size_t date_write(char *to, uint64_t wall_ns)
{
    struct date_cache c = { 0 };
    struct str iso = date_iso(&c, wall_ns);
    bool whole_day = wall_ns / NS_PER_S % 86400 == 0;

    memcpy(to, iso.at, 19);
    to[19] = 'Z';
    return whole_day ? 10 : DATE_TEXT_MAX;
}
