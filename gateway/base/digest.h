/* SHA-256 (FIPS 180-4): what a secret is kept as where it need only be recognised.
 *
 * A key with enough chance in it (ours have 32 letters of 62) needs no slow hash: nobody can try them all.
 */
#ifndef GATEWAY_BASE_DIGEST_H
#define GATEWAY_BASE_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/check.h"
#include "gateway/base/str.h"

#define DIGEST_TEXT_LEN 64

struct digest {
    uint8_t at[32];
};

/* Takes no memory and keeps no state: allowed where requests wait. */
struct digest digest_of(struct str s);
/* Takes the same time wherever the first difference is. */
bool digest_equal(const struct digest *a, const struct digest *b);
/* DIGEST_TEXT_LEN hexadecimal digits, of either case. */
bool digest_read(struct str text, struct digest *d) MUST_USE;
/* DIGEST_TEXT_LEN small digits, no NUL. */
void digest_write(char *to, const struct digest *d);

#endif
