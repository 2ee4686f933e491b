/* The error log. */
#include "gateway/base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/date.h"
#include "gateway/base/json.h"

/* A pipe that polls as writable takes this much at once without blocking (PIPE_BUF). */
#define LINE_MAX_BYTES 4096

/* file-scope state: every layer logs; the header says why this is the exception. */
static struct {
    enum log_level level;
    enum log_format format;
    int fd;
    char role[32];
    uint64_t dropped;
    struct date_cache dates;
} sink = { .level = LOG_LEVEL_INFO, .fd = STDERR_FILENO, .role = "sluice" };

static const struct str LEVELS[] = { STR_INIT("debug"), STR_INIT("info"), STR_INIT("warn"),
                                     STR_INIT("error") };

void log_set_level(enum log_level level)
{
    sink.level = level;
}

void log_set_format(enum log_format format)
{
    sink.format = format;
}

void log_set_fd(int fd)
{
    sink.fd = fd;
}

void log_set_role(const char *role)
{
    snprintf(sink.role, sizeof sink.role, "%s", role);
}

bool log_wants(enum log_level level)
{
    return level >= sink.level;
}

uint64_t log_dropped(void)
{
    return sink.dropped;
}

static void put_json(struct json_writer *w, struct str when, enum log_level level,
                     struct str message)
{
    json_object(w);
    json_key(w, STR("ts"));
    json_string(w, when);
    json_key(w, STR("level"));
    json_string(w, LEVELS[level]);
    json_key(w, STR("role"));
    json_string(w, str_from(sink.role));
    json_key(w, STR("pid"));
    json_i64(w, getpid());
    json_key(w, STR("message"));
    json_string(w, message);
    json_end(w);
}

static void put_text(struct json_writer *w, struct str when, enum log_level level,
                     struct str message)
{
    char begin[128];
    int len = snprintf(begin, sizeof begin, "%.*s %.*s %s[%d]: ", STR_ARGS(when),
                       STR_ARGS(LEVELS[level]), sink.role, (int)getpid());

    json_raw(w, str_of(begin, (size_t)len));
    for (size_t i = 0; i < message.len; i++) {
        unsigned char c = (unsigned char)message.at[i];
        char escape[8];

        if (c >= 0x20 && c != 0x7f) {
            json_raw(w, str_of(message.at + i, 1));
        } else {
            snprintf(escape, sizeof escape, "\\x%02x", c);
            json_raw(w, str_of(escape, 4));
        }
    }
}

/* Six bytes for each of a control character could pass the end of a line: the message is halved until it fits. */
static struct str line_of(char *line, size_t size, enum log_level level, struct str message)
{
    struct str when = date_iso(&sink.dates, clock_wall_ns());
    struct json_writer w;

    for (;; message.len /= 2) {
        json_fixed(&w, line, size - 1);
        if (sink.format == LOG_FORMAT_JSON)
            put_json(&w, when, level, message);
        else
            put_text(&w, when, level, message);
        if (!w.full)
            break;
    }
    line[w.len] = '\n';
    return str_of(line, w.len + 1);
}

static bool can_take_a_line(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };

    return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

void log_line(enum log_level level, const char *format, ...)
{
    char message[LOG_MESSAGE_MAX], line[LINE_MAX_BYTES];
    int saved = errno, len;
    struct str text;
    va_list args;

    if (!log_wants(level))
        return;
    va_start(args, format);
    errno = saved; /* %m */
    len = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (len < 0)
        len = 0;
    text = str_of(message, (size_t)len < sizeof message ? (size_t)len : sizeof message - 1);
    text = line_of(line, sizeof line, level, text);
    if (!can_take_a_line(sink.fd) || write(sink.fd, text.at, text.len) != (ssize_t)text.len)
        sink.dropped++;
    errno = saved;
}
