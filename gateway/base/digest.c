/* SHA-256. */
#include "gateway/base/digest.h"

/* The newer interface of OpenSSL takes memory for each digest, or wants a context kept somewhere. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/sha.h>

struct digest digest_of(struct str s)
{
    struct digest d;
    SHA256_CTX c;

    SHA256_Init(&c);
    SHA256_Update(&c, s.at, s.len);
    SHA256_Final(d.at, &c);
    OPENSSL_cleanse(&c, sizeof c);
    return d;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return CRYPTO_memcmp(a->at, b->at, sizeof a->at) == 0;
}

static int digit(char c)
{
    unsigned char folded = ascii_fold((unsigned char)c);

    if (folded >= '0' && folded <= '9')
        return folded - '0';
    return folded >= 'a' && folded <= 'f' ? folded - 'a' + 10 : -1;
}

bool digest_read(struct str text, struct digest *d)
{
    if (text.len != DIGEST_TEXT_LEN)
        return false;
    for (size_t i = 0; i < sizeof d->at; i++) {
        int high = digit(text.at[2 * i]), low = digit(text.at[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        d->at[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

void digest_write(char *to, const struct digest *d)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < sizeof d->at; i++) {
        to[2 * i] = digits[d->at[i] >> 4];
        to[2 * i + 1] = digits[d->at[i] & 15];
    }
}
