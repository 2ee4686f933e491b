/* What an error of Redis means for us. */
#include "gateway/lookup/redis_error.h"

#include "gateway/base/number.h"

static const struct {
    struct str word;
    enum redis_trouble trouble;
} words[] = {
    { STR_INIT("NOSCRIPT"), TROUBLE_NOSCRIPT },
    { STR_INIT("MOVED"), TROUBLE_MOVED },
    { STR_INIT("ASK"), TROUBLE_ASK },
    { STR_INIT("READONLY"), TROUBLE_NOT_MASTER },
    { STR_INIT("MASTERDOWN"), TROUBLE_NOT_MASTER },
    { STR_INIT("CLUSTERDOWN"), TROUBLE_CLUSTER },
    { STR_INIT("TRYAGAIN"), TROUBLE_CLUSTER },
    { STR_INIT("NOAUTH"), TROUBLE_DENIED },
    { STR_INIT("WRONGPASS"), TROUBLE_DENIED },
    { STR_INIT("NOPERM"), TROUBLE_DENIED },
    { STR_INIT("LOADING"), TROUBLE_UNABLE },
    { STR_INIT("OOM"), TROUBLE_UNABLE },
    { STR_INIT("BUSY"), TROUBLE_UNABLE },
    { STR_INIT("MISCONF"), TROUBLE_UNABLE },
    { STR_INIT("NOREPLICAS"), TROUBLE_UNABLE },
    { STR_INIT("UNBLOCKED"), TROUBLE_UNABLE },
};

static bool known(struct str word, enum redis_trouble *t)
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_equal(word, words[i].word)) {
            *t = words[i].trouble;
            return true;
        }
    return false;
}

enum redis_trouble redis_trouble_of(struct str error)
{
    struct str rest;
    enum redis_trouble t;

    if (known(str_cut(error, ' ', &rest), &t))
        return t;
    /* Before Redis 7 what a script met stands in the middle: "ERR Error running script …: @user_script:1: -OOM command …". */
    while (rest.len > 0) {
        struct str word = str_cut(rest, ' ', &rest);

        if (word.len > 1 && word.at[0] == '-' && known(str_from_index(word, 1), &t))
            return t;
    }
    return TROUBLE_QUESTION;
}

bool redis_trouble_is_servers(enum redis_trouble t)
{
    switch (t) {
    case TROUBLE_NOT_MASTER:
    case TROUBLE_CLUSTER:
    case TROUBLE_DENIED:
    case TROUBLE_UNABLE:
        return true;
    case TROUBLE_QUESTION:
    case TROUBLE_NOSCRIPT:
    case TROUBLE_MOVED:
    case TROUBLE_ASK:
        return false;
    }
    UNREACHABLE();
}

bool redis_redirection(struct str error, uint64_t *slot, struct str *host, uint64_t *port)
{
    struct str rest, where, port_text;

    str_cut(error, ' ', &rest);
    if (!number_read_u64(str_cut(rest, ' ', &rest), slot))
        return false;
    where = str_cut(rest, ' ', &rest);
    *host = where;
    /* The last colon: an IPv6 address stands without brackets here. */
    while (host->len > 0 && host->at[host->len - 1] != ':')
        host->len--;
    if (host->len == 0)
        return false;
    port_text = str_from_index(where, host->len);
    host->len--;
    return number_read_u64(port_text, port);
}
