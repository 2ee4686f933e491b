/* A program for the engine that answers lines. What a line says decides what it does, so that a test can drive
 * a worker from outside:
 *
 *     who     "<pid> <slot> <generation> <greeting>"      ready   "yes", or "no" when it is to stop soon
 *     hang    never returns to the loop                    crash   dies at once
 *     fds     what descriptors lead to, on one line        cpus    how many it may run on
 *     other   the same line
 *
 * A line that has begun and not ended is unfinished business; a drain waits for it.
 *
 * The configuration is a file of lines: "workers 2", "listen 127.0.0.1:80", "greeting hello", and those that
 * make things go wrong, see echo_program.c.
 */
#ifndef TEST_UNIT_WORKERS_ECHO_PROGRAM_H
#define TEST_UNIT_WORKERS_ECHO_PROGRAM_H

#include "workers/program.h"

extern const struct program echo_program;

#endif
