/* The scripts. Numbers in them are doubles: whole ones are exact up to 2^53, and remote_init lets no limit pass that would
 * need more. They are written with %.0f, since Lua's own form keeps 14 digits only.
 */
#include "ratelimit/remote_script.h"

#define CLOCK                                                                                      \
    "local t = redis.call('TIME')\n"                                                               \
    "local now = t[1] * 1000000 + t[2]\n"
#define QUESTION                                                                                   \
    "local want, least, id, every =\n"                                                             \
    "    tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])\n"
#define HELPERS                                                                                    \
    "local floor, ceil, min, max = math.floor, math.ceil, math.min, math.max\n"                    \
    "local function text(n) return string.format('%.0f', n) end\n"

/* State: when, how much is missing from a full bucket, and what a token and a microsecond meant then. Time that goes
 * backwards earns nothing and loses nothing. */
static const char bucket[] = CLOCK QUESTION HELPERS
    "local burst, earn, token = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])\n"
    "local full, gone = burst * token, 0\n"
    "local state = redis.call('GET', KEYS[1])\n"
    "if state then\n"
    "    local at, missing, e, k = string.match(state, '^(%d+) (%d+) (%d+) (%d+)$')\n"
    "    if at then\n"
    "        e, k = tonumber(e), tonumber(k)\n"
    "        gone = max(0, missing - e * max(0, now - at))\n"
    "        if e ~= earn or k ~= token then gone = ceil(gone / k * token) end\n"
    "        gone = min(gone, full)\n"
    "    end\n"
    "end\n"
    "local granted, pace, delay = 0, 0, ceil(gone / earn)\n"
    "if want < 0 then\n"
    "    gone = max(0, gone + want * token)\n"
    "else\n"
    "    local room = floor((full - gone) / token)\n"
    "    if room >= least then granted = min(want, room) end\n"
    "    gone = gone + granted * token\n"
    "    room = room - granted\n"
    "    if granted < want or room < 1 then\n"
    "        local enough = ceil((gone + max(1, least) * token - full) / earn)\n"
    "        pace = max(1, enough, min(every, floor(gone / earn / 2)))\n"
    "    end\n"
    "end\n"
    "local reset = ceil(gone / earn)\n"
    "if gone > 0 then\n"
    "    redis.call('SET', KEYS[1], text(now)..' '..text(gone)..' '..text(earn)..' "
    "'..text(token),\n"
    "               'PX', text(ceil(reset / 1000) + 1000))\n"
    "elseif state then\n"
    "    redis.call('DEL', KEYS[1])\n"
    "end\n"
    "return {granted, pace, 0, floor((full - gone) / token), reset, delay, 0}\n";

/* State: window's number, taken in the one before, in this one, and the period. A clock that went back by no more than a
 * window goes on counting where it was; by more, the state is of no use. What is left of a long window is reckoned in
 * milliseconds, rounded up, so that products stay exact. */
static const char window[] = CLOCK QUESTION HELPERS
    "local count, per, sliding = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7] == '1'\n"
    "local number = floor(now / per)\n"
    "local left = per - (now - number * per)\n"
    "local unit = per >= 60000000 and 1000 or 1\n"
    "local units = per / unit\n"
    "local last, this = 0, 0\n"
    "local state = redis.call('GET', KEYS[1])\n"
    "if state then\n"
    "    local w, l, c, p = string.match(state, '^(%d+) (%d+) (%d+) (%d+)$')\n"
    "    if w then\n"
    "        w, l, c, p = tonumber(w), tonumber(l), tonumber(c), tonumber(p)\n"
    "        local n = floor(now / p)\n"
    "        if w == n + 1 and p == per then\n"
    "            number, left, last, this = w, per, l, c\n"
    "        elseif w == n then\n"
    "            last, this = l, c\n"
    "        elseif w == n - 1 then\n"
    "            last = c\n"
    "        end\n"
    "        if p ~= per then\n"
    "            local old = ceil((p - (now - n * p)) / 1000)\n"
    "            if sliding then this = this + ceil(last * old / (p / 1000)) end\n"
    "            last = 0\n"
    "        end\n"
    "        last, this = min(last, count), min(this, count)\n"
    "    end\n"
    "end\n"
    "local function used()\n"
    "    return sliding and this + floor(last * ceil(left / unit) / units) or this\n"
    "end\n"
    "local granted, pace = 0, 0\n"
    "if want < 0 then\n"
    "    if id == number then this = max(0, this + want)\n"
    "    elseif id == number - 1 then last = max(0, last + want) end\n"
    "else\n"
    "    local room = count - used()\n"
    "    if room >= least then granted = min(want, room) end\n"
    "    this = this + granted\n"
    "    room = room - granted\n"
    "    if granted < want or room < 1 then\n"
    "        least = max(1, least)\n"
    "        if not sliding then\n"
    "            pace = left\n"
    "        else\n"
    "            if this + least <= count then\n"
    "                local most = last > 0 and ceil((count - this - least + 1) * units / last)\n"
    "                pace = most and left - unit * (most - 1) or 1\n"
    "            else\n"
    "                local most = this > 0 and ceil((count - least + 1) * units / this) - 1\n"
    "                pace = left + per - min(per, unit * max(0, most or units))\n"
    "            end\n"
    "            pace = max(1, pace, min(every, floor(per / 20)))\n"
    "        end\n"
    "    end\n"
    "end\n"
    "local reset = 0\n"
    "if this > 0 then\n"
    "    reset = sliding and left + per or left\n"
    "elseif last > 0 and sliding then\n"
    "    reset = left\n"
    "end\n"
    "if reset > 0 then\n"
    "    redis.call('SET', KEYS[1], text(number)..' '..text(last)..' '..text(this)..' "
    "'..text(per),\n"
    "               'PX', text(ceil(reset / 1000) + 1))\n"
    "elseif state then\n"
    "    redis.call('DEL', KEYS[1])\n"
    "end\n"
    "return {granted, pace, left, max(0, count - used()), reset, 0, number}\n";

/* State: a list of when each was taken, the youngest first. */
static const char log_[] = CLOCK QUESTION HELPERS
    "local count, per = tonumber(ARGV[5]), tonumber(ARGV[6])\n"
    "local function stamp(i)\n"
    "    local s = i >= 0 and redis.call('LINDEX', KEYS[1], text(i))\n"
    "    s = s and tonumber(s)\n"
    "    return s and s > now - per and s < now + per and s or nil\n"
    "end\n"
    "local function used()\n"
    "    local low, high = 0, count\n"
    "    while low < high do\n"
    "        local middle = floor((low + high) / 2)\n"
    "        if stamp(middle) then low = middle + 1 else high = middle end\n"
    "    end\n"
    "    return low\n"
    "end\n"
    "local granted, pace = 0, 0\n"
    "if want < 0 then\n"
    "    redis.call('LREM', KEYS[1], text(-want), text(id))\n"
    "elseif want > 0 then\n"
    "    if least < want then want = max(least, min(want, count - used())) end\n"
    "    local oldest = want <= count and stamp(count - want)\n"
    "    if want > count then\n"
    "        pace = per\n"
    "    elseif oldest then\n"
    "        pace = oldest + per - now\n"
    "    else\n"
    "        granted = want\n"
    "        for i = 1, want do redis.call('LPUSH', KEYS[1], text(now)) end\n"
    "        redis.call('LTRIM', KEYS[1], '0', text(count - 1))\n"
    "        redis.call('PEXPIRE', KEYS[1], text(ceil(per / 1000) + 1))\n"
    "    end\n"
    "end\n"
    "local youngest = stamp(0)\n"
    "return {granted, pace, per, count - used(), youngest and youngest + per - now or 0, 0, now}\n";

static const char announce[] =
    CLOCK "local function text(n) return string.format('%.0f', n) end\n"
          "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', text(now - ARGV[2]))\n"
          "redis.call('ZREMRANGEBYSCORE', KEYS[1], text(now + ARGV[2]), '+inf')\n"
          "redis.call('ZADD', KEYS[1], text(now), ARGV[1])\n"
          "redis.call('PEXPIRE', KEYS[1], text(ARGV[2] / 1000))\n"
          "return {redis.call('ZCARD', KEYS[1])}\n";

struct str remote_script(enum remote_family family)
{
    static const struct str scripts[REMOTE_FAMILIES] = {
        [REMOTE_BUCKET] = { bucket, sizeof bucket - 1 },
        [REMOTE_FIXED] = { window, sizeof window - 1 },
        [REMOTE_SLIDING] = { window, sizeof window - 1 },
        [REMOTE_LOG] = { log_, sizeof log_ - 1 },
    };

    CHECK(family < REMOTE_FAMILIES);
    return scripts[family];
}

char remote_letter(enum remote_family family)
{
    static const char letters[REMOTE_FAMILIES] = {
        [REMOTE_BUCKET] = 'b', [REMOTE_FIXED] = 'f', [REMOTE_SLIDING] = 's', [REMOTE_LOG] = 'l'
    };

    CHECK(family < REMOTE_FAMILIES);
    return letters[family];
}

struct str remote_announce_script(void)
{
    return (struct str){ announce, sizeof announce - 1 };
}
