/* A step of rate_limit, and who asks it. */
#include "rate_limit_play.h"

enum verdict ask(struct stage *s, const char *address, const char *verified_key)
{
    struct act a;
    enum verdict v;

    act_begin(&a, s, address);
    if (verified_key)
        a.x.who.api_key = str_from(verified_key);
    v = act_request(&a);
    act_end(&a);
    return v;
}

int passed(struct stage *s, int n, const char *address, const char *verified_key)
{
    int count = 0;

    while (n-- > 0)
        count += ask(s, address, verified_key) == NEXT;
    return count;
}
