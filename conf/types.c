/* The types of values: how each is read, printed and described. */
#include "conf/read.h"
#include "conf/schema.h"
#include "gateway/base/json.h"

/* ---- what all share ---- */

#define SHOWN_MAX 60

bool conf_misfit(const struct conf_key *key, const struct conf_node *n, struct conf_problems *p)
{
    char shown[SHOWN_MAX];
    size_t len = n->text.len < SHOWN_MAX ? n->text.len : SHOWN_MAX;

    if (n->kind != CONF_SCALAR)
        return conf_problem(p, n, "must be %s, is a %s", key->type->grammar,
                            n->kind == CONF_LIST ? "list" : "map");
    if (conf_node_is_empty(n))
        return conf_problem(p, n, "must be %s, is empty", key->type->grammar);
    if (n->from_env || (key->flags & CONF_SECRET))
        return conf_problem(p, n, "must be %s", key->type->grammar);
    for (size_t i = 0; i < len; i++)
        shown[i] =
            (unsigned char)n->text.at[i] < 0x20 || n->text.at[i] == 0x7f ? '?' : n->text.at[i];
    return conf_problem(p, n, "must be %s, is \"%.*s%s\"", key->type->grammar, (int)len, shown,
                        len < n->text.len ? "..." : "");
}

bool conf_in_range(const struct conf_key *key, const struct conf_node *n, uint64_t value,
                   size_t (*write)(char *to, uint64_t value), struct conf_problems *p)
{
    const struct conf_range *r = key->arg;
    char from[NUMBER_TEXT_MAX], to[NUMBER_TEXT_MAX], is[NUMBER_TEXT_MAX];

    if (!r || (value >= r->from && value <= r->to))
        return true;
    if (r->to == UINT64_MAX)
        return conf_problem(p, n, "must be at least %.*s, is %.*s", (int)write(from, r->from), from,
                            (int)write(is, value), is);
    return conf_problem(p, n, "must be between %.*s and %.*s, is %.*s", (int)write(from, r->from),
                        from, (int)write(to, r->to), to, (int)write(is, value), is);
}

/* No character that means something in YAML, and not a word that does. */
static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = ascii_fold((unsigned char)s.at[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '/' ||
              (c == '-' && i > 0) || (c == '.' && i > 0)))
            return false;
    }
    return s.len > 0 && !str_equal_folded(s, STR("null"));
}

void conf_print_text(struct str s, FILE *to)
{
    struct json_writer w;

    if (is_plain(s)) {
        fprintf(to, "%.*s", STR_ARGS(s));
        return;
    }
    json_growing(&w);
    json_string(&w, s); /* YAML's double quotes know all of JSON's escapes */
    for (size_t i = 0; i < w.len; i++)
        if (w.at[i] == '$' && i + 1 < w.len && w.at[i + 1] == '{')
            fputs("$$", to);
        else
            fputc(w.at[i], to);
    json_free(&w);
}

static void print_written(FILE *to, const char *text, size_t len)
{
    fwrite(text, 1, len, to);
}

/* ---- text ---- */

static bool read_text(const struct conf_key *key, const struct conf_node *n, void *field,
                      struct arena *a, struct conf_problems *p)
{
    struct str *text = field;

    if (n->kind != CONF_SCALAR)
        return conf_misfit(key, n, p);
    *text = conf_node_is_empty(n) ? STR_NONE : str_keep(a, n->text);
    return true;
}

static bool read_word(const struct conf_key *key, const struct conf_node *n, void *field,
                      struct arena *a, struct conf_problems *p)
{
    if (n->kind != CONF_SCALAR || n->text.len == 0 || conf_node_is_empty(n))
        return conf_misfit(key, n, p);
    for (size_t i = 0; i < n->text.len; i++)
        if ((unsigned char)n->text.at[i] <= 0x20 || n->text.at[i] == 0x7f)
            return conf_misfit(key, n, p);
    return read_text(key, n, field, a, p);
}

static void print_text(const struct conf_key *key, const void *field, FILE *to)
{
    (void)key;
    conf_print_text(*(const struct str *)field, to);
}

const struct conf_type conf_type_text = { "text", "text", sizeof(struct str), read_text,
                                          print_text };
const struct conf_type conf_type_word = { "word", "a word without blanks", sizeof(struct str),
                                          read_word, print_text };

/* ---- numbers ---- */

typedef bool (*reader_fn)(struct str text, uint64_t *value);
typedef size_t (*writer_fn)(char *to, uint64_t value);

static bool read_number(const struct conf_key *key, const struct conf_node *n, void *field,
                        reader_fn reader, writer_fn writer, struct conf_problems *p)
{
    uint64_t value;

    if (n->kind != CONF_SCALAR || !reader(n->text, &value))
        return conf_misfit(key, n, p);
    if (!conf_in_range(key, n, value, writer, p))
        return false;
    *(uint64_t *)field = value;
    return true;
}

static void print_number(const void *field, writer_fn writer, FILE *to)
{
    char text[NUMBER_TEXT_MAX];
    size_t len = writer(text, *(const uint64_t *)field);

    print_written(to, text, len);
}

static bool read_uint(const struct conf_key *key, const struct conf_node *n, void *field,
                      struct arena *a, struct conf_problems *p)
{
    (void)a;
    return read_number(key, n, field, number_read_u64, number_write_u64, p);
}

static void print_uint(const struct conf_key *key, const void *field, FILE *to)
{
    (void)key;
    print_number(field, number_write_u64, to);
}

static bool read_size(const struct conf_key *key, const struct conf_node *n, void *field,
                      struct arena *a, struct conf_problems *p)
{
    (void)a;
    return read_number(key, n, field, number_read_size, number_write_size, p);
}

static void print_size(const struct conf_key *key, const void *field, FILE *to)
{
    (void)key;
    print_number(field, number_write_size, to);
}

static bool read_duration(const struct conf_key *key, const struct conf_node *n, void *field,
                          struct arena *a, struct conf_problems *p)
{
    (void)a;
    return read_number(key, n, field, number_read_duration, number_write_duration, p);
}

static bool bare_seconds(struct str text, uint64_t *ns)
{
    uint64_t seconds;

    if (number_read_u64(text, &seconds))
        return !__builtin_mul_overflow(seconds, NS_PER_S, ns);
    return number_read_duration(text, ns);
}

static bool read_seconds(const struct conf_key *key, const struct conf_node *n, void *field,
                         struct arena *a, struct conf_problems *p)
{
    (void)a;
    return read_number(key, n, field, bare_seconds, number_write_duration, p);
}

static void print_duration(const struct conf_key *key, const void *field, FILE *to)
{
    (void)key;
    print_number(field, number_write_duration, to);
}

static bool read_share(const struct conf_key *key, const struct conf_node *n, void *field,
                       struct arena *a, struct conf_problems *p)
{
    (void)a;
    return read_number(key, n, field, number_read_share, number_write_share, p);
}

static void print_share(const struct conf_key *key, const void *field, FILE *to)
{
    (void)key;
    print_number(field, number_write_share, to);
}

static bool read_rate(const struct conf_key *key, const struct conf_node *n, void *field,
                      struct arena *a, struct conf_problems *p)
{
    struct number_rate rate = { .per_ns = NS_PER_S };

    (void)a;
    if (n->kind != CONF_SCALAR ||
        !(number_read_u64(n->text, &rate.count) || number_read_rate(n->text, &rate)) || !rate.count)
        return conf_misfit(key, n, p);
    *(struct number_rate *)field = rate;
    return true;
}

static void print_rate(const struct conf_key *key, const void *field, FILE *to)
{
    const struct number_rate *rate = field;
    char text[NUMBER_TEXT_MAX];
    size_t len;

    (void)key;
    if (!rate->per_ns) /* a required key that nobody gave */
        return;
    len = number_write_rate(text, *rate);
    print_written(to, text, len);
}

static bool read_boolean(const struct conf_key *key, const struct conf_node *n, void *field,
                         struct arena *a, struct conf_problems *p)
{
    static const char *const words[] = { "false", "true", "no", "yes", "off", "on" };

    (void)a;
    for (size_t i = 0; n->kind == CONF_SCALAR && i < ARRAY_LEN(words); i++)
        if (str_equal_folded(n->text, str_from(words[i]))) {
            *(bool *)field = i % 2;
            return true;
        }
    return conf_misfit(key, n, p);
}

static void print_boolean(const struct conf_key *key, const void *field, FILE *to)
{
    (void)key;
    fputs(*(const bool *)field ? "true" : "false", to);
}

const struct conf_type conf_type_uint = { "number", "a whole number", sizeof(uint64_t), read_uint,
                                          print_uint };
const struct conf_type conf_type_size = {
    "size",     "a number of bytes, such as 512, 64k, 8m or 1g", sizeof(uint64_t), read_size,
    print_size,
};
const struct conf_type conf_type_duration = {
    "duration",       "a number and ms, s, m, h or d, such as 1500ms or 30s",
    sizeof(uint64_t), read_duration,
    print_duration,
};
const struct conf_type conf_type_seconds = {
    "seconds", "a number of seconds", sizeof(uint64_t), read_seconds, print_duration,
};
const struct conf_type conf_type_share = { "share", "a share such as 50% or 0.5", sizeof(uint64_t),
                                           read_share, print_share };
const struct conf_type conf_type_rate = {
    "rate",
    "a positive number for a period, such as 200/s, 600/m, 1000/h or 5000/d",
    sizeof(struct number_rate),
    read_rate,
    print_rate,
};
const struct conf_type conf_type_per_second = { "number a second", "a positive number",
                                                sizeof(struct number_rate), read_rate, print_rate };
const struct conf_type conf_type_boolean = { "true or false", "true or false", sizeof(bool),
                                             read_boolean, print_boolean };

/* ---- names ---- */

static struct str joined_names(const char *const *names, struct arena *a)
{
    struct str all = STR_NONE;

    for (size_t i = 0; names[i]; i++)
        all = str_format(a, "%.*s%s%s", STR_ARGS(all), i ? ", " : "", names[i]);
    return all;
}

/* The index of a name, or -1 and reported. */
static int name_index(const struct conf_key *key, const char *const *names,
                      const struct conf_node *n, struct conf_problems *p)
{
    struct conf_type named = *key->type;
    struct conf_key like = *key;
    char grammar[512];

    for (int i = 0; n->kind == CONF_SCALAR && names[i]; i++)
        if (str_equal(n->text, str_from(names[i])))
            return i;
    snprintf(grammar, sizeof grammar, "one of %.*s", STR_ARGS(joined_names(names, &p->arena)));
    named.grammar = grammar;
    like.type = &named;
    conf_misfit(&like, n, p);
    return -1;
}

static bool read_one_of(const struct conf_key *key, const struct conf_node *n, void *field,
                        struct arena *a, struct conf_problems *p)
{
    int i = name_index(key, key->arg, n, p);

    (void)a;
    if (i >= 0)
        *(int *)field = i;
    return i >= 0;
}

static void print_one_of(const struct conf_key *key, const void *field, FILE *to)
{
    const char *const *names = key->arg;

    fputs(names[*(const int *)field], to);
}

static bool read_some_of(const struct conf_key *key, const struct conf_node *n, void *field,
                         struct arena *a, struct conf_problems *p)
{
    uint64_t bits = 0;
    bool good = true;
    int i;

    (void)a;
    if (n->kind != CONF_LIST) {
        i = name_index(key, key->arg, n, p);
        if (i >= 0)
            *(uint64_t *)field = UINT64_C(1) << i;
        return i >= 0;
    }
    CONF_EACH (n, child) {
        i = child->broken ? -1 : name_index(key, key->arg, child, p);
        good = good && i >= 0;
        bits |= i >= 0 ? UINT64_C(1) << i : 0;
    }
    if (good)
        *(uint64_t *)field = bits;
    return good;
}

static void print_some_of(const struct conf_key *key, const void *field, FILE *to)
{
    const char *const *names = key->arg;
    uint64_t bits = *(const uint64_t *)field;
    const char *between = "";

    fputc('[', to);
    for (size_t i = 0; names[i]; i++)
        if (bits >> i & 1) {
            fprintf(to, "%s%s", between, names[i]);
            between = ", ";
        }
    fputc(']', to);
}

const struct conf_type conf_type_one_of = { "one of", "one of the names", sizeof(int), read_one_of,
                                            print_one_of };
const struct conf_type conf_type_some_of = { "list of names", "a list of names", sizeof(uint64_t),
                                             read_some_of, print_some_of };

/* ---- addresses ---- */

static bool read_prefix(const struct conf_key *key, const struct conf_node *n, void *field,
                        struct arena *a, struct conf_problems *p)
{
    struct cidr net;

    (void)a;
    if (n->kind != CONF_SCALAR || !cidr_read(n->text, &net))
        return conf_misfit(key, n, p);
    *(struct cidr *)field = net;
    return true;
}

static void print_prefix(const struct conf_key *key, const void *field, FILE *to)
{
    char text[CIDR_TEXT_MAX];

    (void)key;
    conf_print_text(str_of(text, cidr_write(text, field)), to);
}

const struct conf_type conf_type_prefix = {
    "prefix",
    "an address or a prefix with nothing behind it, such as 10.0.0.0/8 or fd00::/8",
    sizeof(struct cidr),
    read_prefix,
    print_prefix,
};
