/* The error log: one line an event, one write(2) a line, so that lines of many processes never mix.
 *
 *     {"ts":"2026-01-02T03:04:05.678Z","level":"warn","role":"worker 0","pid":4711,"message":"…"}
 *     2026-01-02T03:04:05.678Z warn worker 0[4711]: …
 *
 * Errors are logged where they are handled, once, with what was being attempted and for whom. Whatever the
 * message holds, a line stays a line: control characters are escaped, length is bounded.
 *
 * This is the one file-scope state of the program besides the descriptor of workers/signals.c: every layer
 * logs, and a sink as an argument of every function would say nothing. A descriptor that cannot take a line
 * now (a full disk, a full pipe) loses it; the loss is counted, nobody waits. SIGPIPE is ignored by main.
 */
#ifndef GATEWAY_BASE_LOG_H
#define GATEWAY_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/check.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Longer messages are cut. */
#define LOG_MESSAGE_MAX 2048

void log_line(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

/* At first: standard error, text, LOG_LEVEL_INFO, role "sluice". */
void log_set_level(enum log_level level);
void log_set_format(enum log_format format);
/* Borrowed; the caller closes what it opened after setting another one. */
void log_set_fd(int fd);
/* "master", "worker 0", "caretaker": copied, cut at 31 bytes. */
void log_set_role(const char *role);
bool log_wants(enum log_level level);
/* Lines of this process that could not be written. */
uint64_t log_dropped(void);

#endif
