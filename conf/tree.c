/* YAML events -> nodes. */
#include "conf/tree.h"

#include <stdlib.h>
#include <yaml.h>

#include "gateway/base/clock.h"
#include "gateway/base/hash.h"

#define NAMES_FROM      16 /* maps of more children get a table of names */
#define EVENTS_PER_LOOK 16 /* at the clock */

struct conf_tree {
    struct arena arena;
    struct conf_problems *problems;
    const struct conf_env_source *env;
    struct str bytes;
    uint16_t file;
    yaml_parser_t parser;
    struct conf_node *root;
    struct conf_node *open[CONF_DEPTH_MAX]; /* the lists and maps that we are in */
    size_t depth;
    struct str key; /* read, its value is still to come */
    struct conf_place key_at;
    bool has_key, key_broken;
    struct map anchors;
    size_t nodes, copies, text;
    bool done, failed;
};

static struct conf_place place_of(const struct conf_tree *t, yaml_mark_t m)
{
    return (struct conf_place){ .line = m.line < UINT32_MAX ? (uint32_t)m.line + 1 : UINT32_MAX,
                                .column =
                                    m.column < UINT16_MAX ? (uint16_t)(m.column + 1) : UINT16_MAX,
                                .file = t->file };
}

/* The end of building: what follows cannot be trusted. */
static void give_up(struct conf_tree *t, struct conf_place at, const char *what)
{
    conf_problem_at(t->problems, CONF_ERROR, at, STR_NONE, "%s", what);
    t->failed = t->done = true;
}

static struct conf_node *node_new(struct conf_tree *t, enum conf_kind kind, struct conf_place at)
{
    struct conf_node *n = ARENA_NEW(&t->arena, struct conf_node);

    n->kind = kind;
    n->at = n->key_at = at;
    if (++t->nodes > CONF_TREE_NODES_MAX && !t->failed)
        give_up(t, at, "more than two million values");
    return n;
}

/* ---- linking into what is above ---- */

static void add_name(struct conf_tree *t, struct conf_node *map, struct conf_node *child)
{
    if (map->names) {
        map_set(map->names, child->key, child);
        return;
    }
    if (map->count <= NAMES_FROM)
        return;
    map->names = ARENA_NEW(&t->arena, struct map);
    map_init(map->names, &t->arena);
    for (struct conf_node *c = map->first; c; c = c->next)
        map_set(map->names, c->key, c);
}

static void append(struct conf_tree *t, struct conf_node *parent, struct conf_node *child)
{
    child->parent = parent;
    child->index = parent->count++;
    child->next = NULL;
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    if (parent->kind == CONF_MAP)
        add_name(t, parent, child);
}

static bool is_merge(const struct conf_node *n)
{
    return str_equal(n->key, STR("<<"));
}

/* ---- hashes: of a child when it is complete, and at once into that of its parent ---- */

static void add_to_parent(struct conf_node *parent, const struct conf_node *n)
{
    struct hash_key sum = { parent->hash, n->hash };

    parent->hash = hash_str(&sum, n->key);
}

static void hash_again(struct conf_node *n)
{
    n->hash = 0;
    CONF_EACH (n, child)
        add_to_parent(n, child);
}

/* One that was given twice is not linked, and says nothing. */
static void add_if_linked(const struct conf_node *n)
{
    struct conf_node *parent = (struct conf_node *)(uintptr_t)n->parent;

    if (parent && parent->last == n)
        add_to_parent(parent, n);
}

static void complete(struct conf_node *n)
{
    struct hash_key sum = { n->hash, (uint64_t)n->count << 4 | (uint64_t)n->kind << 1 |
                                         conf_node_is_empty(n) };

    n->hash = hash_str(&sum, n->text);
    add_if_linked(n);
}

static void attach(struct conf_tree *t, struct conf_node *n)
{
    struct conf_node *parent = t->depth ? t->open[t->depth - 1] : NULL;
    const struct conf_node *first;

    if (!parent) {
        t->root = n;
        return;
    }
    n->parent = parent;
    if (parent->kind == CONF_LIST) {
        append(t, parent, n);
        return;
    }
    n->key = t->key;
    n->key_at = t->key_at;
    t->has_key = false;
    if (t->key_broken)
        return;
    first = is_merge(n) ? NULL : conf_node_get(parent, n->key);
    if (first) {
        conf_problem_at(t->problems, CONF_ERROR, n->key_at, conf_node_path(n, &t->arena),
                        "given twice, first in line %u", first->key_at.line);
        return; /* not linked: the first one counts */
    }
    append(t, parent, n);
}

/* ---- merge keys: entries of other maps that this one does not have itself ---- */

static void merge_one(struct conf_tree *t, struct conf_node *map, struct conf_node *from)
{
    struct conf_node *next;

    if (from->kind != CONF_MAP) {
        conf_problem(t->problems, from, "<< must be a map or a list of maps");
        return;
    }
    for (struct conf_node *c = from->first; c; c = next) {
        next = c->next;
        if (!conf_node_get(map, c->key))
            append(t, map, c);
    }
    from->first = from->last = NULL;
    from->count = 0;
}

static bool has_merges(const struct conf_node *map)
{
    CONF_EACH (map, child)
        if (is_merge(child))
            return true;
    return false;
}

/* Own entries first, since they win; what is to be merged is returned as a chain. */
static struct conf_node *take_merges_out(struct conf_tree *t, struct conf_node *map)
{
    struct conf_node *next, *merges = NULL, **tail = &merges, *all = map->first;

    map->first = map->last = NULL;
    map->count = 0;
    map->names = NULL;
    for (struct conf_node *c = all; c; c = next) {
        next = c->next;
        if (!is_merge(c)) {
            append(t, map, c);
            continue;
        }
        c->next = NULL;
        *tail = c;
        tail = &c->next;
    }
    return merges;
}

static void close_map(struct conf_tree *t, struct conf_node *map)
{
    struct conf_node *merges = has_merges(map) ? take_merges_out(t, map) : NULL;

    for (struct conf_node *m = merges; m; m = m->next) {
        if (m->kind != CONF_LIST)
            merge_one(t, map, m);
        else
            for (struct conf_node *from = m->first; from; from = from->next)
                merge_one(t, map, from);
    }
    if (merges)
        hash_again(map);
}

/* ---- aliases: copies ---- */

static struct conf_node *copy_one(struct conf_tree *t, const struct conf_node *from)
{
    struct conf_node *n = node_new(t, from->kind, from->at);

    n->key = from->key;
    n->key_at = from->key_at;
    n->text = from->text;
    n->quoted = from->quoted;
    n->broken = from->broken;
    n->from_env = from->from_env;
    n->hash = from->hash;
    t->text += from->text.len;
    t->copies++;
    return n;
}

#define TOO_MUCH "aliases make too much of too little"

static struct conf_node *copy_all(struct conf_tree *t, const struct conf_node *top,
                                  struct conf_place at)
{
    const struct conf_node *origin[CONF_DEPTH_MAX]; /* the way down to where we are ... */
    struct conf_node *copy[CONF_DEPTH_MAX];         /* ... and its copy */
    size_t level = 0, before = t->copies;

    origin[0] = top;
    copy[0] = copy_one(t, top);
    if (t->text > CONF_TREE_TEXT_MAX || t->copies > CONF_TREE_COPIES_MAX)
        give_up(t, at, TOO_MUCH);
    for (const struct conf_node *n = conf_node_walk(top, top); n && !t->failed;
         n = conf_node_walk(n, top)) {
        while (origin[level] != n->parent)
            level--;
        if (t->depth + level + 1 >= CONF_DEPTH_MAX) {
            give_up(t, at, "nested too deeply by aliases");
            break;
        }
        if (t->copies - before >= CONF_TREE_ALIAS_MAX || t->copies >= CONF_TREE_COPIES_MAX ||
            t->text > CONF_TREE_TEXT_MAX) {
            give_up(t, at, TOO_MUCH);
            break;
        }
        origin[level + 1] = n;
        copy[level + 1] = copy_one(t, n);
        append(t, copy[level], copy[level + 1]);
        level++;
    }
    return copy[0];
}

static bool is_open(const struct conf_tree *t, const struct conf_node *n)
{
    for (size_t i = 0; i < t->depth; i++)
        if (t->open[i] == n)
            return true;
    return false;
}

static void remember_anchor(struct conf_tree *t, const yaml_char_t *anchor, struct conf_node *n)
{
    if (anchor)
        map_set(&t->anchors, str_keep(&t->arena, str_from((const char *)anchor)), n);
}

/* ---- events ---- */

static bool wants_key(const struct conf_tree *t)
{
    return t->depth && t->open[t->depth - 1]->kind == CONF_MAP && !t->has_key;
}

static void on_alias(struct conf_tree *t, const yaml_event_t *e, struct conf_place at)
{
    struct conf_node *n = map_get(&t->anchors, str_from((const char *)e->data.alias.anchor));

    if (wants_key(t))
        give_up(t, at, "an alias cannot be a key");
    else if (!n)
        give_up(t, at, "an alias to an anchor that was not set before");
    else if (is_open(t, n))
        give_up(t, at, "an alias to what it stands in");
    else {
        n = copy_all(t, n, at);
        attach(t, n);
        add_if_linked(n);
    }
}

static bool has_nul(struct str s)
{
    return str_index(s, '\0') < s.len;
}

static void take_key(struct conf_tree *t, struct str text, struct conf_place at)
{
    t->key = str_keep(&t->arena, text);
    t->key_at = at;
    t->has_key = true;
    t->key_broken = has_nul(text);
    if (t->key_broken)
        conf_problem_at(t->problems, CONF_ERROR, at, STR_NONE, "a key holds a NUL character");
}

/* Put the ${...} in; n hangs in the tree already, so that a problem has a path. */
static void take_value(struct conf_tree *t, struct conf_node *n, struct str text)
{
    const char *wrong = NULL;

    if (str_index(text, '$') < text.len)
        wrong = conf_env_expand(t->env, &t->arena, text, &n->text, &n->from_env);
    else
        n->text = str_keep(&t->arena, text);
    if (!wrong && has_nul(n->text))
        wrong = "holds a NUL character";
    if (wrong) {
        conf_problem(t->problems, n, "%s", wrong);
        n->broken = true;
        n->text = STR_NONE;
    }
    t->text += n->text.len;
    if (t->text > CONF_TREE_TEXT_MAX)
        give_up(t, n->at, "more than 64 MiB of values");
}

static void on_scalar(struct conf_tree *t, const yaml_event_t *e, struct conf_place at)
{
    struct str text = str_of((const char *)e->data.scalar.value, e->data.scalar.length);
    struct str tag = str_from((const char *)e->data.scalar.tag);
    struct conf_node *n;

    if (wants_key(t)) {
        take_key(t, text, at);
        return;
    }
    n = node_new(t, CONF_SCALAR, at);
    n->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE || tag.len;
    attach(t, n);
    remember_anchor(t, e->data.scalar.anchor, n);
    if (tag.len && !str_equal(tag, STR("!")) && !str_equal(tag, STR("tag:yaml.org,2002:str"))) {
        conf_problem(t->problems, n, "tags such as %.*s are not used here", STR_ARGS(tag));
        n->broken = true;
    }
    take_value(t, n, text);
    complete(n);
}

static void on_open(struct conf_tree *t, enum conf_kind kind, const yaml_char_t *tag,
                    const yaml_char_t *anchor, struct conf_place at)
{
    struct conf_node *n;

    if (wants_key(t)) {
        give_up(t, at, "a key must be plain text");
        return;
    }
    if (t->depth == CONF_DEPTH_MAX) {
        give_up(t, at, "nested too deeply");
        return;
    }
    n = node_new(t, kind, at);
    attach(t, n);
    remember_anchor(t, anchor, n);
    if (tag)
        conf_problem(t->problems, n, "tags such as %s are not used here", (const char *)tag);
    t->open[t->depth++] = n;
}

static void on_close(struct conf_tree *t)
{
    struct conf_node *n = t->open[--t->depth];

    if (n->kind == CONF_MAP)
        close_map(t, n);
    complete(n);
}

static void on_event(struct conf_tree *t, const yaml_event_t *e)
{
    struct conf_place at = place_of(t, e->start_mark);

    switch (e->type) {
    case YAML_SCALAR_EVENT:
        on_scalar(t, e, at);
        break;
    case YAML_ALIAS_EVENT:
        on_alias(t, e, at);
        break;
    case YAML_SEQUENCE_START_EVENT:
        on_open(t, CONF_LIST, e->data.sequence_start.tag, e->data.sequence_start.anchor, at);
        break;
    case YAML_MAPPING_START_EVENT:
        on_open(t, CONF_MAP, e->data.mapping_start.tag, e->data.mapping_start.anchor, at);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        on_close(t);
        break;
    case YAML_DOCUMENT_START_EVENT:
        if (t->root)
            give_up(t, at, "a second document begins here; a file holds one");
        break;
    case YAML_STREAM_END_EVENT:
        t->done = true;
        break;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    }
}

/* ---- what libyaml cannot read ---- */

static struct conf_place place_of_offset(const struct conf_tree *t, size_t offset)
{
    yaml_mark_t m = { 0 };

    for (size_t i = 0; i < offset && i < t->bytes.len; i++) {
        m.column++;
        if (t->bytes.at[i] == '\n') {
            m.line++;
            m.column = 0;
        }
    }
    return place_of(t, m);
}

static void syntax_problem(struct conf_tree *t)
{
    const yaml_parser_t *y = &t->parser;
    struct conf_place at = y->error == YAML_READER_ERROR ? place_of_offset(t, y->problem_offset)
                                                         : place_of(t, y->problem_mark);
    const char *problem = y->problem ? y->problem : "cannot be read";
    struct str text;

    if (y->error == YAML_MEMORY_ERROR)
        die("out of memory while reading YAML");
    if (y->context && y->error != YAML_READER_ERROR)
        text = str_format(&t->arena, "not YAML: %s, %s that began in line %zu", problem, y->context,
                          y->context_mark.line + 1);
    else
        text = str_format(&t->arena, "not YAML: %s", problem);
    give_up(t, at, str_keep_z(&t->arena, text));
}

/* ---- building ---- */

struct conf_tree *conf_tree_begin(struct str file, struct str bytes,
                                  const struct conf_env_source *env, struct conf_problems *p)
{
    struct conf_tree *t = calloc(1, sizeof *t);

    if (!t || !yaml_parser_initialize(&t->parser))
        die("out of memory for reading YAML");
    arena_init(&t->arena, NULL);
    map_init(&t->anchors, &t->arena);
    t->problems = p;
    t->env = env;
    t->bytes = bytes;
    t->file = conf_problems_file(p, file);
    if (bytes.len > CONF_TREE_BYTES_MAX)
        give_up(t, (struct conf_place){ .file = t->file }, "the file is larger than 16 MiB");
    yaml_parser_set_input_string(&t->parser, (const unsigned char *)bytes.at, bytes.len);
    return t;
}

bool conf_tree_more(struct conf_tree *t, uint64_t until_ns)
{
    yaml_event_t event;

    for (unsigned i = 1; !t->done; i++) {
        if (!yaml_parser_parse(&t->parser, &event)) {
            syntax_problem(t);
            break;
        }
        on_event(t, &event);
        yaml_event_delete(&event);
        if (i % EVENTS_PER_LOOK == 0 && clock_now_ns() >= until_ns)
            break;
    }
    if (t->done && !t->failed && !t->root)
        t->root = node_new(t, CONF_MAP, (struct conf_place){ .file = t->file });
    return t->done;
}

const struct conf_node *conf_tree_root(const struct conf_tree *t)
{
    return t->done && !t->failed ? t->root : NULL;
}

void conf_tree_leave(struct conf_tree *t, struct arena_bin *bin)
{
    if (!t)
        return;
    yaml_parser_delete(&t->parser);
    arena_leave(&t->arena, bin);
    free(t);
}

void conf_tree_free(struct conf_tree *t)
{
    conf_tree_leave(t, NULL);
}

struct conf_tree *conf_tree_read(struct str file, struct str bytes,
                                 const struct conf_env_source *env, struct conf_problems *p)
{
    struct conf_tree *t = conf_tree_begin(file, bytes, env, p);

    while (!conf_tree_more(t, UINT64_MAX))
        ;
    return t;
}
