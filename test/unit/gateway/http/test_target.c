/* Targets: which are refused, and that what is accepted cannot be spelled past a rule. */
#include <check.h>
#include <stdlib.h>

#include "gateway/http/octets.h"
#include "gateway/http/target.h"

static struct arena arena;
static struct request req;
static const char *why;

static void setup(void)
{
    arena_init(&arena, NULL);
    why = NULL;
}

static void teardown(void)
{
    arena_free(&arena);
}

#define ck_assert_str(a, b)                                                                        \
    do {                                                                                           \
        struct str a_ = (a), b_ = (b);                                                             \
        ck_assert_msg(str_equal(a_, b_), "'%.*s' is not '%.*s'", STR_ARGS(a_), STR_ARGS(b_));      \
    } while (0)

/* --- paths -------------------------------------------------------------------------------------- */

struct path_case {
    struct str path;
    const char *normal; /* NULL: refused */
};

#define PATH(path, normal)                                                                         \
    {                                                                                              \
        STR_INIT(path), normal                                                                     \
    }
#define SAME(path)                                                                                 \
    {                                                                                              \
        STR_INIT(path), path                                                                       \
    }
#define NO(path)                                                                                   \
    {                                                                                              \
        STR_INIT(path), NULL                                                                       \
    }

static const struct path_case path_cases[] = {
    SAME("/"),
    SAME("/a"),
    SAME("/a/"),
    SAME("/a/b/c"),
    SAME("/.well-known/x"),
    SAME("/a/..b"),
    SAME("/a/..."),
    SAME("/a/b.."),
    SAME("/-._~!$&'()*+,;=:@"),
    SAME("/a;v=1/b"),
    SAME("/a%20b"),
    SAME("/caf%C3%A9"),
    SAME("/a%25b"),
    SAME("/100%25"),
    SAME("/.a;b"),
    SAME("/%7B%22%3C%7D"),
    /* one spelling for each octet */
    PATH("/%61%5a%30%2d%2E%5F%7e", "/aZ0-._~"),
    PATH("/a%21%24%26%27%28%29%2a%2b%2c%3b%3d%3a%40", "/a!$&'()*+,;=:@"),
    PATH("/%c3%a9", "/%C3%A9"),
    PATH("/\xc3\xa9", "/%C3%A9"),
    PATH("/%f0%9f%98%80", "/%F0%9F%98%80"),
    PATH("/a b", "/a%20b"),
    PATH("/{\"<>^`|}", "/%7B%22%3C%3E%5E%60%7C%7D"),
    PATH("/a%3fb%23c", "/a%3Fb%23c"),
    PATH("/%5b1%5D", "/%5B1%5D"),
    /* dot segments */
    PATH("/.", "/"),
    PATH("/./", "/"),
    PATH("/a/.", "/a/"),
    PATH("/a/./b", "/a/b"),
    PATH("/a/..", "/"),
    PATH("/a/../", "/"),
    PATH("/a/b/..", "/a/"),
    PATH("/a/b/../c", "/a/c"),
    PATH("/a/b/../../c", "/c"),
    PATH("/a/%2e%2e/c", "/c"),
    PATH("/a/.%2E/c", "/c"),
    PATH("/%2e/c", "/c"),
    PATH("/a/b/%2e%2E", "/a/"),
    PATH("/a;x/../b", "/b"),
    NO("/.."),
    NO("/../a"),
    NO("/a/../.."),
    NO("/a/../../a"),
    NO("/%2e%2e/a"),
    NO("/./.."),
    /* slashes */
    PATH("/a//b", "/a/b"),
    PATH("/a///", "/a/"),
    PATH("/a//", "/a/"),
    PATH("/a//b/../c", "/a/c"),
    PATH("/a/.//b", "/a/b"),
    PATH("/./b", "/b"),
    NO("//"),
    NO("//a"),
    NO("///a"),
    NO("/a//../b"),
    NO("/a//b/../../c"),
    NO("/a/;x/../b"),
    /* what servers disagree about */
    NO(""),
    NO("a"),
    NO("*"),
    NO("/%2f"),
    NO("/a%2Fb"),
    NO("/a%5cb"),
    NO("/a%5C"),
    NO("/a\\b"),
    NO("/..%5ca"),
    NO("/a/..;/b"),
    NO("/a/..;x=1/b"),
    NO("/a/.;/b"),
    NO("/a/..;"),
    NO("/a/..%3b/b"),
    NO("/a/%2e%2e;x/b"),
    NO("/.;"),
    NO("/%252e"),
    NO("/%252f"),
    NO("/%2541"),
    NO("/%25252e"),
    NO("/%25%34%31"),
    NO("/a%2500"),
    NO("/a?b"),
    NO("/a#b"),
    /* broken */
    NO("/%"),
    NO("/%2"),
    NO("/%zz"),
    NO("/%u0041"),
    NO("/%4g"),
    NO("/a%"),
    NO("/%%41"),
    NO("/a\nb"),
    NO("/a\0b"),
    NO("/%00"),
    NO("/%0d%0a"),
    NO("/%1f"),
    NO("/%7f"),
    NO("/\x7f"),
    NO("/%09"),
    NO("/%80"),
    NO("/%ff"),
    NO("/%c0%af"),
    NO("/%c1%81"),
    NO("/%c3"),
    NO("/%c3/%a9"),
    NO("/%c3%28"),
    NO("/%e0%80%af"),
    NO("/%ed%a0%80"),
    NO("/%f0%80%80%80"),
    NO("/%f4%90%80%80"),
    NO("/%f5%80%80%80"),
    NO("/%e2%82"),
    NO("/\xc3"),
};

START_TEST(test_a_path_has_one_normal_form_or_none)
{
    const struct path_case *c = &path_cases[_i];
    struct str out = STR_NONE;
    bool ok = target_normalise(c->path, &arena, &out, &why);

    ck_assert_msg(ok == (c->normal != NULL), "%.*s: %s", STR_ARGS(c->path), ok ? "accepted" : why);
    if (c->normal)
        ck_assert_str(out, str_from(c->normal));
    else
        ck_assert_ptr_nonnull(why);
}
END_TEST

START_TEST(test_a_path_in_normal_form_is_not_copied)
{
    struct str path = STR("/a/.well-known/b;c/"), out;

    ck_assert(target_normalise(path, &arena, &out, &why));
    ck_assert_ptr_eq(out.at, path.at);
}
END_TEST

static uint64_t random_state;

static unsigned random_below(unsigned n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(random_state >> 33) % n;
}

/* A path of pieces that have made servers disagree. */
static struct str random_path(char *to)
{
    static const char *const pieces[] = { "/",   "/",   "/",   "a",       "B",   ".",  "..",  "%2e",
                                          "%2E", "%61", ";",   "%3b",     "%25", "2e", "%2f", "%5c",
                                          "\\",  "%c3", "%a9", " ",       "%20", "!",  "%21", "~",
                                          "%7e", "//",  "%",   "{",       "%7b", "%0", "+",   "%2b",
                                          ":",   "@",   "1",   "\xc3\xa9" };
    size_t len = 1;

    to[0] = '/';
    for (unsigned n = random_below(12); n > 0; n--) {
        const char *piece = pieces[random_below(ARRAY_LEN(pieces))];

        memcpy(to + len, piece, strlen(piece));
        len += strlen(piece);
    }
    return str_of(to, len);
}

/* What a server sees that decodes once. */
static size_t decode(struct str s, char *to)
{
    size_t len = 0;

    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == '%') {
            static const char hex[] = "0123456789abcdef";

            to[len++] = (char)((strchr(hex, s.at[i + 1] | 0x20) - hex) << 4 |
                               (strchr(hex, s.at[i + 2] | 0x20) - hex));
            i += 2;
        } else {
            to[len++] = s.at[i];
        }
    }
    return len;
}

static size_t merge(char *text, size_t len)
{
    size_t out = 0;

    for (size_t i = 0; i < len; i++)
        if (i == 0 || text[i] != '/' || text[i - 1] != '/')
            text[out++] = text[i];
    return out;
}

/* A server's way to a file: dot segments resolved, then slashes merged (`merge_first`: the other way round). */
static struct str resolve(struct str path, bool merge_first, char *to)
{
    size_t starts[64], depth = 0, len = 0;
    bool slash = false;
    struct str rest = str_from_index(path, 1);

    for (bool more = true; more;) {
        size_t at = str_index(rest, '/');
        struct str s = str_up_to(rest, at);

        more = at < rest.len;
        rest = str_from_index(rest, at + 1);
        slash = more || s.len == 0 || str_equal(s, STR(".")) || str_equal(s, STR(".."));
        if (str_equal(s, STR("..")) && depth > 0)
            len = starts[--depth];
        if (str_equal(s, STR(".")) || str_equal(s, STR("..")) ||
            (s.len == 0 && (merge_first || !more)))
            continue;
        starts[depth++] = len;
        to[len++] = '/';
        memcpy(to + len, s.at, s.len);
        len += s.len;
    }
    if (slash)
        to[len++] = '/';
    return str_of(to, merge(to, len));
}

/* For random spellings: normalising again changes nothing, no octet is left coded that need not be, and however
 * a server decodes and resolves the path as sent, it comes to what our normal form decodes to. */
START_TEST(test_no_server_resolves_an_accepted_path_to_another)
{
    char path[256], decoded[256], normal_decoded[256], resolved[256];
    unsigned accepted = 0;

    random_state = (uint64_t)_i + 1;
    for (int round = 0; round < 20000; round++) {
        struct str p = random_path(path), normal, again;

        if (!target_normalise(p, &arena, &normal, &why))
            continue;
        accepted++;
        ck_assert_msg(target_normalise(normal, &arena, &again, &why) && str_equal(again, normal),
                      "%.*s", STR_ARGS(normal));
        struct str d = str_of(decoded, decode(p, decoded));
        struct str n = str_of(normal_decoded, decode(normal, normal_decoded));

        ck_assert_str(resolve(d, false, resolved), n);
        ck_assert_str(resolve(d, true, resolved), n);
        if (round % 256 == 0) {
            teardown();
            setup();
        }
    }
    ck_assert_uint_gt(accepted, 1000);
}
END_TEST

/* --- targets ------------------------------------------------------------------------------------ */

static bool read_target(enum method m, uint8_t version, const char *target, const char *host)
{
    req = (struct request){
        .method = m, .version = version, .target = str_from(target), .scheme = STR("http")
    };
    fields_init(&req.fields, &arena, 0);
    if (host)
        fields_add_known(&req.fields, FIELD_HOST, str_from(host));
    return target_read(&req, &arena, &why);
}

static bool get(const char *target, const char *host)
{
    return read_target(METHOD_GET, 11, target, host);
}

START_TEST(test_the_origin_form_is_a_path_and_a_query)
{
    ck_assert(get("/a/%62?x=%2F?y&/../", "Shop.test:80"));
    ck_assert_str(req.path, STR("/a/b"));
    ck_assert_str(req.query, STR("x=%2F?y&/../"));
    ck_assert_str(req.host, STR("Shop.test:80"));
    ck_assert_str(req.target, STR("/a/%62?x=%2F?y&/../"));
    ck_assert_str(req.scheme, STR("http"));
    ck_assert(get("/", "a"));
    ck_assert_ptr_null(req.query.at);
    ck_assert(get("/?", "a"));
    ck_assert_ptr_nonnull(req.query.at);
    ck_assert_uint_eq(req.query.len, 0);
}
END_TEST

START_TEST(test_a_service_is_asked_for_the_path_of_an_absolute_target)
{
    ck_assert(get("HTTP://Shop.test:80/a%62?q", "shop.TEST:80"));
    ck_assert_str(req.host, STR("Shop.test:80"));
    ck_assert_str(req.path, STR("/ab"));
    ck_assert_str(req.query, STR("q"));
    ck_assert_str(req.target, STR("/a%62?q"));
    ck_assert(get("https://a", "a"));
    ck_assert_str(req.scheme, STR("https"));
    ck_assert_str(req.target, STR("/"));
    ck_assert(get("http://a?q=/x", "a"));
    ck_assert_str(req.target, STR("/?q=/x"));
    ck_assert_str(req.path, STR("/"));
    ck_assert_str(req.query, STR("q=/x"));
    ck_assert(read_target(METHOD_OPTIONS, 11, "http://a", "a"));
    ck_assert_str(req.target, STR("*"));
    ck_assert_str(req.path, STR("*"));
    ck_assert(read_target(METHOD_GET, 10, "http://a/b", NULL));
    ck_assert_str(req.host, STR("a"));
}
END_TEST

START_TEST(test_asterisk_and_authority_have_their_methods)
{
    ck_assert(read_target(METHOD_OPTIONS, 11, "*", "a"));
    ck_assert_str(req.path, STR("*"));
    ck_assert(read_target(METHOD_CONNECT, 11, "a:443", "a:443"));
    ck_assert_str(req.host, STR("a:443"));
    ck_assert_uint_eq(req.path.len, 0);
    ck_assert(read_target(METHOD_CONNECT, 10, "a:443", NULL));
    ck_assert(!read_target(METHOD_CONNECT, 11, "a:443", "b:443"));
    ck_assert(!read_target(METHOD_CONNECT, 11, "a", "a"));
    ck_assert(!read_target(METHOD_CONNECT, 11, "/", "a"));
    ck_assert(!get("*", "a"));
    ck_assert(!get("a:443", "a"));
}
END_TEST

START_TEST(test_targets_of_two_meanings_are_refused)
{
    static const char *const bad[] = {
        "",           "a",           "http:/a",       "http:a",     "ftp://a/", "http://",
        "http:///a",  "http://u@a/", "http://u:p@a/", "http://b/",  "/a#b",     "//a/b",
        "http://a#b", "http://a\\b", "http://a:x/",   "/a?b#c",     "/../a",    "http://a/..",
        "?q",         "http://a//b", "https:///",     "javascript:"
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!get(bad[i], "a"), "%s", bad[i]);
}
END_TEST

START_TEST(test_a_path_that_was_left_by_dots_is_told_as_well)
{
    ck_assert(get("/admin/a/%2e%2e/./../x?../q", "a"));
    ck_assert(str_equal(req.path, STR("/x")));
    ck_assert(str_equal(req.unresolved, STR("/admin/a/../../x")));
    ck_assert(get("http://a/%61/..", "a"));
    ck_assert(str_equal(req.unresolved, STR("/a/..")));
    ck_assert(get("/a//b/../c", "a"));
    ck_assert(str_equal(req.unresolved, STR("/a/b/../c")));
    ck_assert(get("/./a%41", "a"));
    ck_assert_uint_eq(req.unresolved.len, 0);
    ck_assert(get("/a", "a"));
    ck_assert_uint_eq(req.unresolved.len, 0);
    ck_assert(read_target(METHOD_OPTIONS, 11, "*", "a"));
    ck_assert_uint_eq(req.unresolved.len, 0);
}
END_TEST

START_TEST(test_http_1_1_has_exactly_one_host)
{
    ck_assert(!get("/", NULL));
    ck_assert_str_eq(why, "no Host");
    ck_assert(read_target(METHOD_GET, 10, "/", NULL));
    ck_assert_uint_eq(req.host.len, 0);
    ck_assert(!get("/", ""));
    ck_assert(!get("/", "a b"));
    ck_assert(!read_target(METHOD_GET, 10, "/", "a b"));
    ck_assert(get("/", "a"));
    fields_add_known(&req.fields, FIELD_HOST, STR("a"));
    ck_assert(!target_read(&req, &arena, &why));
    ck_assert_str_eq(why, "two Hosts");
    req.fields.at[0].name.len = 0;
    ck_assert(target_read(&req, &arena, &why));
}
END_TEST

static void normalise_with(int odd)
{
    static const char pattern[] = "/ab.c/de_f-g/hij/~kl!m/n";

    for (size_t len = 1; len < 60; len += len < 20 ? 1 : 5)
        for (size_t at = 1; at < len; at++) {
            char *text = malloc(len);
            struct str path = str_of(text, len), out = STR_NONE;
            bool normal = octet_is((char)odd, OCTET_PATH) || odd == '/', read;

            for (size_t i = 0; i < len; i++)
                text[i] = pattern[i % (sizeof pattern - 1)];
            text[at] = (char)odd;
            for (size_t i = 1; i < len; i++)
                normal = normal && !(text[i - 1] == '/' && (text[i] == '/' || text[i] == '.'));
            read = target_normalise(path, &arena, &out, &why);
            if (normal && !(read && out.at == path.at && out.len == len))
                ck_abort_msg("not normal: %.*s", STR_ARGS(path));
            if (read && out.at == path.at && !normal)
                for (size_t i = 1; i < len; i++) /* dots that are no dot segment */
                    if (text[i - 1] == '/' && text[i] == '/')
                        ck_abort_msg("normal: %.*s", STR_ARGS(path));
            free(text);
        }
}

/* Nothing is to be done about a path of pchars whose segments are neither empty nor begin with a dot; and what is found
 * plain at a glance is what octet by octet has the same normal form. */
START_TEST(test_paths_of_every_length_have_the_form_that_their_octets_say)
{
    for (int odd = _i; odd < 256; odd += 16)
        normalise_with(odd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("target");
    TCase *tests = tcase_create("target");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, test_a_path_has_one_normal_form_or_none, 0, ARRAY_LEN(path_cases));
    tcase_add_test(tests, test_a_path_in_normal_form_is_not_copied);
    tcase_add_loop_test(tests, test_no_server_resolves_an_accepted_path_to_another, 0, 10);
    tcase_add_test(tests, test_the_origin_form_is_a_path_and_a_query);
    tcase_add_test(tests, test_a_service_is_asked_for_the_path_of_an_absolute_target);
    tcase_add_test(tests, test_asterisk_and_authority_have_their_methods);
    tcase_add_test(tests, test_targets_of_two_meanings_are_refused);
    tcase_add_test(tests, test_a_path_that_was_left_by_dots_is_told_as_well);
    tcase_add_test(tests, test_http_1_1_has_exactly_one_host);
    tcase_add_loop_test(tests, test_paths_of_every_length_have_the_form_that_their_octets_say, 0,
                        16);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
