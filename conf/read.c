/* A tree, a table, a struct. */
#include "conf/read.h"

#include <errno.h>

/* ---- nearest names ---- */

#define NAME_MAX_LEN 63

/* Edits (one letter more, less or other, or two neighbours swapped) that make one name of the other. */
static size_t distance(struct str a, struct str b)
{
    size_t rows[3][NAME_MAX_LEN + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2], *spare;

    for (size_t j = 0; j <= b.len; j++)
        above[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t best = above[j - 1] + (a.at[i - 1] != b.at[j - 1]);

            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a.at[i - 1] == b.at[j - 2] && a.at[i - 2] == b.at[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[b.len];
}

const char *conf_nearest(struct str name, const char *(*offer)(const void *from, size_t i),
                         const void *from)
{
    size_t least = name.len / 4 + 1;
    const char *best = NULL, *candidate;

    if (name.len == 0 || name.len > NAME_MAX_LEN)
        return NULL;
    for (size_t i = 0; (candidate = offer(from, i)); i++) {
        size_t away =
            strlen(candidate) > NAME_MAX_LEN ? SIZE_MAX : distance(name, str_from(candidate));

        if (away <= least && !(best && away == least)) {
            least = away;
            best = candidate;
        }
    }
    return best;
}

/* What a block may hold: the keys of its table, then those that somebody else reads. */
struct allowed {
    const struct conf_key *keys; /* NULL: none */
    const char *const *also;     /* NULL: none */
};

static const char *offer_allowed(const void *from, size_t i)
{
    const struct allowed *allowed = from;
    size_t keys = 0;

    for (; allowed->keys && allowed->keys[keys].name; keys++)
        if (keys == i)
            return allowed->keys[i].name;
    for (size_t j = 0; allowed->also && allowed->also[j]; j++)
        if (keys + j == i)
            return allowed->also[j];
    return NULL;
}

static bool report_unknown(const struct conf_node *n, const struct allowed *allowed,
                           struct conf_problems *p)
{
    struct str path = n->parent ? conf_node_path(n->parent, &p->arena) : STR_NONE;
    const char *hint = conf_nearest(n->key, offer_allowed, allowed);
    int len = n->key.len > NAME_MAX_LEN ? NAME_MAX_LEN : (int)n->key.len;

    if (hint)
        return conf_problem_at(p, CONF_ERROR, n->key_at, path,
                               "unknown key \"%.*s\"; did you mean \"%s\"?", len, n->key.at, hint);
    return conf_problem_at(p, CONF_ERROR, n->key_at, path, "unknown key \"%.*s\"", len, n->key.at);
}

/* ---- defaults ---- */

static void refused_default(const struct conf_schema *s, const struct conf_key *key,
                            const struct conf_problems *p)
{
    struct str why = p->first ? p->first->text : STR("unknown");

    errno = 0; /* no call failed */
    die("the default of %s.%s, %s: %.*s", s->name, key->name, key->init, STR_ARGS(why));
}

/* Lists and maps are flow YAML; everything else is one scalar, and worth no parser. p: empty, and stays so. */
static void read_default(const struct conf_schema *s, const struct conf_key *key, void *settings,
                         struct arena *a, struct conf_problems *p)
{
    struct conf_node scalar = { .kind = CONF_SCALAR, .quoted = true, .text = str_from(key->init) };
    struct conf_tree *tree = NULL;
    const struct conf_node *n = &scalar;

    if (str_equal(scalar.text, STR("[]")) || str_equal(scalar.text, STR("{}"))) {
        scalar.kind = scalar.text.at[0] == '[' ? CONF_LIST : CONF_MAP;
        scalar.text = STR_NONE;
    } else if (key->init[0] == '[' || (key->init[0] == '{' && (key->type == &conf_type_pairs ||
                                                               key->type == &conf_type_map_of))) {
        tree = conf_tree_read(STR("default"), scalar.text, &conf_env_none, p);
        n = conf_tree_root(tree);
    }
    if (!n || !conf_read_key(key, n, settings, a, p))
        refused_default(s, key, p);
    conf_tree_free(tree);
}

void conf_read_defaults(const struct conf_schema *s, void *settings, struct arena *a)
{
    struct conf_problems p; /* large: one for all keys */

    conf_problems_init(&p);
    for (const struct conf_key *key = s->keys; key && key->name; key++) {
        if (key->type == &conf_type_block)
            conf_read_defaults(key->arg, (char *)settings + key->offset, a);
        else if (key->init)
            read_default(s, key, settings, a, &p);
    }
    conf_problems_free(&p);
}

/* ---- layers ---- */

bool conf_read_key(const struct conf_key *key, const struct conf_node *n, void *settings,
                   struct arena *a, struct conf_problems *p)
{
    return !n->broken && key->type->read(key, n, (char *)settings + key->offset, a, p);
}

static const struct conf_key *find_key(const struct conf_schema *s, struct str name)
{
    for (const struct conf_key *key = s->keys; key && key->name; key++)
        if (str_equal(str_from(key->name), name))
            return key;
    return NULL;
}

static bool is_among(const char *const *names, struct str name)
{
    for (; names && *names; names++)
        if (str_equal(str_from(*names), name))
            return true;
    return false;
}

static bool read_one(const struct conf_schema *s, const struct conf_key *key,
                     const struct conf_node *n, void *settings, struct conf_given *given,
                     struct arena *a, struct conf_problems *p)
{
    CHECK(key - s->keys < 64);
    given->bits |= UINT64_C(1) << (key - s->keys);
    return conf_read_key(key, n, settings, a, p);
}

bool conf_read_layer(const struct conf_schema *s, const struct conf_node *block, void *settings,
                     struct conf_given *given, const char *const *also, struct arena *a,
                     struct conf_problems *p)
{
    const struct conf_key *key = s->main ? find_key(s, str_from(s->main)) : NULL;
    bool good = true;

    if (!block || conf_node_is_empty(block))
        return true;
    if (block->broken)
        return false;
    if (block->kind != CONF_MAP && key)
        return read_one(s, key, block, settings, given, a, p);
    if (block->kind != CONF_MAP) {
        given->bits = UINT64_MAX; /* what is missing in it is not worth a word */
        return conf_problem(p, block, "must be a map of keys");
    }
    CONF_EACH (block, child) {
        key = find_key(s, child->key);
        if (key)
            good &= read_one(s, key, child, settings, given, a, p);
        else if (!is_among(also, child->key))
            good &= report_unknown(child, &(struct allowed){ s->keys, also }, p);
    }
    return good;
}

static bool report_missing(const struct conf_schema *s, struct str above,
                           const struct conf_node *at, const struct conf_given *given,
                           struct conf_problems *p)
{
    bool good = true;

    for (const struct conf_key *key = s->keys; key && key->name; key++) {
        const char *dot = above.len ? "." : "";

        if (given->bits >> (key - s->keys) & 1)
            continue;
        if (key->type == &conf_type_block)
            good &= report_missing(
                key->arg, str_format(&p->arena, "%.*s%s%s", STR_ARGS(above), dot, key->name), at,
                &(struct conf_given){ 0 }, p);
        else if (!key->init)
            good = conf_problem(p, at, "\"%.*s%s%s\" is missing", STR_ARGS(above), dot, key->name);
    }
    return good;
}

bool conf_read_finish(const struct conf_schema *s, const struct conf_node *at, const void *settings,
                      const struct conf_given *given, bool good, struct conf_problems *p)
{
    size_t before = p->errors;

    good &= report_missing(s, STR_NONE, at, given, p);
    if (good && s->check)
        s->check(settings, at, p);
    return good && p->errors == before;
}

bool conf_read_block(const struct conf_schema *s, const struct conf_node *block, void *settings,
                     struct arena *a, struct conf_problems *p)
{
    struct conf_given given = { 0 };
    bool good;

    conf_read_defaults(s, settings, a);
    good = conf_read_layer(s, block, settings, &given, NULL, a, p);
    return conf_read_finish(s, block, settings, &given, good, p);
}
