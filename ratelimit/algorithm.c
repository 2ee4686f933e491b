/* The algorithms there are, from the one list. */
#include "ratelimit/algorithm.h"

#include "gateway/base/number.h"

#define ALGORITHM(name) extern const struct algorithm name;
#include "ratelimit/all.list"
#undef ALGORITHM

static const struct algorithm *const algorithms[] = {
#define ALGORITHM(name) &name,
#include "ratelimit/all.list"
#undef ALGORITHM
};

const struct algorithm *algorithm_at(size_t i)
{
    return i < ARRAY_LEN(algorithms) ? algorithms[i] : NULL;
}

const struct algorithm *algorithm_find(struct str name)
{
    const struct algorithm *a;

    for (size_t i = 0; (a = algorithm_at(i)) != NULL; i++)
        if (str_equal(name, str_from(a->name)))
            return a;
    return NULL;
}

size_t algorithm_index(const struct algorithm *a)
{
    size_t i = 0;

    while (algorithm_at(i) != a)
        i++;
    return i;
}

bool algorithm_has_burst(const struct algorithm *a)
{
    const struct limit limit = { .count = 1, .per_ns = NS_PER_S, .burst = 2 };

    return a->at_once(&limit) == limit.burst;
}
