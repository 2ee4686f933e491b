/* Random numbers. */
#include "gateway/base/random.h"

#include <errno.h>
#include <sys/random.h>

#include "gateway/base/check.h"

static inline uint64_t turn(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

void random_seed(struct random *r)
{
    random_secret(r->s, sizeof r->s);
    r->s[0] |= 1; /* the all-zero state would stay zero for ever */
}

/* splitmix64 spreads a small seed over the whole state. */
void random_seed_with(struct random *r, uint64_t seed)
{
    for (size_t i = 0; i < ARRAY_LEN(r->s); i++) {
        uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);

        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        r->s[i] = z ^ z >> 31;
    }
}

uint64_t random_u64(struct random *r)
{
    uint64_t *s = r->s;
    uint64_t result = turn(s[0] + s[3], 23) + s[0];
    uint64_t shifted = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = turn(s[3], 45);
    return result;
}

__extension__ typedef unsigned __int128 wide;

/* The high half of a product is even but for a sliver at the low end, which is drawn again (Lemire 2018). */
uint64_t random_below(struct random *r, uint64_t below)
{
    uint64_t sliver;
    wide product;

    CHECK(below > 0);
    sliver = (0 - below) % below;
    do {
        product = (wide)random_u64(r) * below;
    } while ((uint64_t)product < sliver);
    return (uint64_t)(product >> 64);
}

void random_secret(void *to, size_t len)
{
    char *at = to;

    while (len) {
        ssize_t got = getrandom(at, len, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            die("the system gives no random bytes");
        at += got;
        len -= (size_t)got;
    }
}
