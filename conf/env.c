/* ${...} in values. */
#include "conf/env.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static const char *find_name(struct str name, struct arena *a, struct str *value)
{
    const char *z = getenv(str_keep_z(a, name));

    if (!z)
        return "is not set";
    *value = str_keep(a, str_from(z));
    return NULL;
}

static const char *why(struct arena *a, const char *what, int error)
{
    return str_format(a, "%s: %s%c", what, strerror(error), '\0').at;
}

/* Reads what a regular file or a pipe (a mounted secret may be either) has, to its end. */
static const char *read_all(int fd, struct arena *a, struct str *value)
{
    char *to = malloc(CONF_ENV_FILE_MAX + 1);
    const char *wrong = NULL;
    size_t len = 0;

    if (!to)
        die("out of memory for a file in ${file:}");
    while (len <= CONF_ENV_FILE_MAX) {
        ssize_t got = read(fd, to + len, CONF_ENV_FILE_MAX + 1 - len);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            wrong = why(a, "cannot be read", errno);
        if (got <= 0)
            break;
        len += (size_t)got;
    }
    if (!wrong && len > CONF_ENV_FILE_MAX)
        wrong = "is larger than 1 MiB";
    if (len && to[len - 1] == '\n')
        len--;
    if (!wrong)
        *value = str_keep(a, str_of(to, len));
    free(to);
    return wrong;
}

static const char *find_file(struct str path, struct arena *a, struct str *value)
{
    int fd = open(str_keep_z(a, path), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const char *wrong;

    if (fd < 0)
        return why(a, "cannot be opened", errno);
    wrong = read_all(fd, a, value);
    close(fd);
    return wrong;
}

static const char *find_in_process(void *owner, struct arena *a, enum conf_env_kind kind,
                                   struct str name, struct str *value)
{
    (void)owner;
    return kind == CONF_ENV_NAME ? find_name(name, a, value) : find_file(name, a, value);
}

static const char *find_nothing(void *owner, struct arena *a, enum conf_env_kind kind,
                                struct str name, struct str *value)
{
    (void)owner, (void)a, (void)kind, (void)name, (void)value;
    return "is not set";
}

const struct conf_env_source conf_env_process = { .find = find_in_process };
const struct conf_env_source conf_env_none = { .find = find_nothing };

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = ascii_fold((unsigned char)s.at[i]);

        if (!(c == '_' || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9' && i > 0)))
            return false;
    }
    return s.len > 0;
}

/* Text growing in an arena piece by piece. */
struct joined {
    struct arena *arena;
    char *at;
    size_t len, capacity;
    bool full;
};

static void join(struct joined *j, struct str piece)
{
    if (piece.len > CONF_ENV_TEXT_MAX - j->len) {
        j->full = true;
        return;
    }
    if (piece.len > j->capacity - j->len) {
        size_t wanted = (j->len + piece.len) * 2;
        char *larger = arena_take_bytes(j->arena, wanted);

        if (j->len)
            memcpy(larger, j->at, j->len);
        j->at = larger;
        j->capacity = wanted;
    }
    if (piece.len)
        memcpy(j->at + j->len, piece.at, piece.len);
    j->len += piece.len;
}

/* What stands between ${ and }. */
static const char *find_one(const struct conf_env_source *env, struct arena *a, struct str what,
                            struct str *value)
{
    enum conf_env_kind kind = CONF_ENV_NAME;
    struct str name = what, fallback = STR_NONE;
    bool has_fallback = false;
    const char *wrong;

    if (str_starts(what, STR("file:"))) {
        kind = CONF_ENV_FILE;
        name = str_from_index(what, 5);
        if (name.len == 0 || name.at[0] != '/')
            return "${file:...} needs an absolute path";
    } else {
        name = str_cut(what, ':', &fallback);
        has_fallback = name.len < what.len;
        if (!is_name(name) || (has_fallback && !str_starts(fallback, STR("-"))))
            return "must be ${NAME}, ${NAME:-default} or ${file:/path}; $${ stands for a plain ${";
        fallback = str_from_index(fallback, 1);
    }
    *value = STR_NONE;
    wrong = env->find(env->owner, a, kind, name, value);
    if (has_fallback && (wrong || value->len == 0)) { /* as the shell's :- */
        *value = fallback;
        return NULL;
    }
    if (!wrong)
        return NULL;
    return str_format(a, "%s%.*s %s%c", kind == CONF_ENV_FILE ? "file " : "environment variable ",
                      STR_ARGS(name), wrong, '\0')
        .at;
}

const char *conf_env_expand(const struct conf_env_source *env, struct arena *a, struct str text,
                            struct str *out, bool *used)
{
    struct joined j = { .arena = a };
    struct str value, rest;
    const char *wrong;

    for (;;) {
        size_t dollar = str_index(text, '$');

        join(&j, str_up_to(text, dollar));
        if (j.full)
            return "holds more than 4 MiB";
        text = str_from_index(text, dollar);
        if (text.len == 0)
            break;
        if (str_starts(text, STR("$${"))) {
            join(&j, STR("${"));
            text = str_from_index(text, 3);
            continue;
        }
        if (!str_starts(text, STR("${"))) {
            join(&j, STR("$"));
            text = str_from_index(text, 1);
            continue;
        }
        if (str_index(text, '}') == text.len)
            return "has ${ without }";
        wrong = find_one(env, a, str_cut(str_from_index(text, 2), '}', &rest), &value);
        if (wrong)
            return wrong;
        join(&j, value);
        text = rest;
        *used = true;
    }
    *out = str_of(j.at, j.len);
    return NULL;
}
