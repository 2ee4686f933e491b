/* Request targets and hosts.
 *
 * What is accepted has a normal form that does not change when it is normalised again, and that decodes to
 * what every server comes to that decodes once and resolves dot segments, whether it merges slashes
 * before or after: no spelling is routed as one path and served as another.
 */
#include <stdint.h>
#include <stdlib.h>

#include "gateway/base/arena.h"
#include "gateway/http/octets.h"
#include "gateway/http/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct str decode(struct str s, char *to)
{
    size_t len = 0;

    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == '%') {
            to[len++] = (char)(octet_hex(s.at[i + 1]) << 4 | octet_hex(s.at[i + 2]));
            i += 2;
        } else {
            to[len++] = s.at[i];
        }
    }
    return str_of(to, len);
}

static size_t merge_slashes(char *text, size_t len)
{
    size_t out = 0;

    for (size_t i = 0; i < len; i++)
        if (i == 0 || text[i] != '/' || text[i - 1] != '/')
            text[out++] = text[i];
    return out;
}

static bool is_dots(struct str s)
{
    return str_equal(s, STR(".")) || str_equal(s, STR(".."));
}

/* RFC 3986 5.2.4, with the starts of the segments written so far in `starts`. */
static struct str resolve(struct str path, bool merge_first, char *to, size_t *starts)
{
    size_t depth = 0, len = 0;
    bool slash = false;
    struct str rest = str_from_index(path, 1);

    for (bool more = true; more;) {
        size_t at = str_index(rest, '/');
        struct str s = str_up_to(rest, at);

        more = at < rest.len;
        rest = str_from_index(rest, at + 1);
        slash = more || s.len == 0 || is_dots(s);
        if (str_equal(s, STR("..")) && depth > 0)
            len = starts[--depth];
        if (is_dots(s) || (s.len == 0 && (merge_first || !more)))
            continue;
        starts[depth++] = len;
        to[len++] = '/';
        memcpy(to + len, s.at, s.len);
        len += s.len;
    }
    if (slash)
        to[len++] = '/';
    return str_of(to, merge_slashes(to, len));
}

static void check_path(struct str path, struct arena *arena)
{
    struct str normal, again, decoded, expected;
    const char *why = NULL;
    char *room = arena_take_bytes(arena, path.len + 2);
    size_t *starts = ARENA_ARRAY(arena, size_t, path.len + 2);

    if (!target_normalise(path, arena, &normal, &why)) {
        CHECK(why);
        return;
    }
    CHECK(target_normalise(normal, arena, &again, &why) && str_equal(again, normal));
    for (size_t i = 0; i < normal.len; i++)
        CHECK(octet_is(normal.at[i], OCTET_PATH) || normal.at[i] == '/' || normal.at[i] == '%');
    decoded = decode(path, arena_take_bytes(arena, path.len));
    expected = decode(normal, arena_take_bytes(arena, normal.len));
    CHECK(str_equal(resolve(decoded, false, room, starts), expected));
    CHECK(str_equal(resolve(decoded, true, room, starts), expected));
}

static void check_host(struct str host)
{
    struct str name, port, again, no_port;

    if (!target_split_host(host, &name, &port))
        return;
    CHECK(name.len > 0 && name.at == host.at);
    CHECK(port.len == 0 || octets_are(port, OCTET_DIGIT));
    CHECK(target_split_host(name, &again, &no_port) && str_equal(again, name) && no_port.len == 0);
}

/* The first line of the input is the Host, the rest the target. */
static void check_target(struct str text, enum method m, uint8_t version, struct arena *arena)
{
    struct request req = { .method = m, .version = version, .scheme = STR("http") };
    const char *why = NULL;
    struct str host = str_cut(text, '\n', &req.target);

    fields_init(&req.fields, arena, 0);
    if (host.len)
        fields_add_known(&req.fields, FIELD_HOST, host);
    if (!target_read(&req, arena, &why)) {
        CHECK(why);
        return;
    }
    check_host(req.host);
    if (m == METHOD_CONNECT)
        return;
    CHECK(req.path.at[0] == '/' || str_equal(req.path, STR("*")));
    CHECK(req.target.at[0] == '/' || str_equal(req.target, STR("*")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct arena arena;
    struct str text;

    if (len == 0)
        return 0;
    text = str_of((const char *)data + 1, len - 1);
    arena_init(&arena, NULL);
    switch (data[0] & 3) {
    case 0:
    case 1:
        check_path(text, &arena);
        break;
    case 2:
        check_host(text);
        break;
    default:
        check_target(text, (enum method)((data[0] >> 2) % METHOD_COUNT), data[0] & 128 ? 10 : 11,
                     &arena);
        break;
    }
    arena_free(&arena);
    return 0;
}
