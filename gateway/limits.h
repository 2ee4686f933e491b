/* `sluice limits`: whom the limits of the running gateway refuse and take, by name, and what is left to each, or how many it
 * has at once. */
#ifndef GATEWAY_LIMITS_H
#define GATEWAY_LIMITS_H

#include <stdbool.h>
#include <stdio.h>

#include "gateway/base/str.h"
#include "shm/top.h"

#define LIMITS_TOP_MAX 1000

struct limits_wish {
    enum top_kind by; /* what they are ranked by */
    size_t top;       /* of each limit */
    struct str limit; /* only this one; empty: all */
    bool json;
};

/* What is seen in the memory behind `fd`, which is the callee's from now on. False: it is not to be read, or there is no such
 * limit; it has been said why. */
bool limits_show(int fd, const struct limits_wish *wish, FILE *out) MUST_USE;

#endif
