/* Telling of changes, and noting who was there. */
#include "gateway/limiting/limit_top.h"

struct str limit_top_describe(struct arena *a, const struct algorithm *algorithm,
                              const struct limit *limit)
{
    char text[LIMIT_TEXT_MAX];
    struct str rate = str_of(text, limit_write(text, limit));

    if (!algorithm_has_burst(algorithm))
        rate = str_up_to(rate, str_index(rate, ' '));
    return str_format(a, "%s %.*s", algorithm->name, STR_ARGS(rate));
}

static struct str describe(const struct builder *b, const struct algorithm *a,
                           const struct limit *limit, bool in_store)
{
    return str_format(b->arena, "%.*s%s", STR_ARGS(limit_top_describe(b->arena, a, limit)),
                      in_store ? " in a store" : "");
}

/* Loads are counted, those that failed as well. */
static uint64_t load_of(const struct builder *b)
{
    return word_peek(&region_header(b->region)->reloads) + 1;
}

/* A limit that all services share is read with each of them. */
static void compare(struct limit_top *t, struct builder *b, struct str name)
{
    uint64_t other = word_peek(&t->words[LIMIT_READ_AS]);
    const struct algorithm *a;
    struct limit limit;

    if (word_peek(&t->words[LIMIT_READ]) == load_of(b) && other != t->meaning &&
        limiter_read_meaning(other, &a, &limit))
        builder_warning(b,
                        "the limit %.*s, which services share, is %.*s in another place: each "
                        "request is judged by the numbers of its own, and all count together",
                        STR_ARGS(name), STR_ARGS(limit_top_describe(b->arena, a, &limit)));
    word_put(&t->words[LIMIT_READ], load_of(b));
    word_put(&t->words[LIMIT_READ_AS], t->meaning);
}

/* Once a load, though a limit of the whole gateway is built with each service. */
static void say_change(struct limit_top *t, struct builder *b, struct str name)
{
    uint64_t was = word_peek(&t->words[LIMIT_MEANING]);
    uint64_t was_in_store = word_peek(&t->words[LIMIT_IN_STORE]);
    uint64_t load = load_of(b);
    const struct algorithm *before, *now;
    struct limit old, new;

    if (was == 0 || (was == t->meaning && was_in_store == t->in_store) ||
        word_peek(&t->words[LIMIT_NOTED]) == load)
        return;
    word_put(&t->words[LIMIT_NOTED], load);
    if (!limiter_read_meaning(was, &before, &old) || !limiter_read_meaning(t->meaning, &now, &new))
        return; /* of another binary */
    builder_warning(b, "the limit %.*s changes from %.*s to %.*s: %s", STR_ARGS(name),
                    STR_ARGS(describe(b, before, &old, was_in_store)),
                    STR_ARGS(describe(b, now, &new, t->in_store)),
                    before == now && was_in_store == t->in_store
                        ? "what its clients have used still counts"
                        : "its state starts afresh");
}

/* Plain words: whoever reads one of them while another changes shows an old limit for a moment. */
static void say_what_it_is(const struct limit_top *t)
{
    word_put(&t->words[LIMIT_ID], t->id);
    word_put(&t->words[LIMIT_MEANING], t->meaning);
    word_put(&t->words[LIMIT_IN_STORE], t->in_store);
    word_put(&t->words[LIMIT_PLACES], t->places);
}

static const char *find_words(struct limit_top *t, struct builder *b, struct str name)
{
    t->words = region_table(b->region, TABLE_LIMIT, name, LIMIT_WORDS * sizeof *t->words);
    return t->words ? NULL : "there is no room in the shared memory for its name";
}

const char *limit_top_build(struct limit_top *t, struct builder *b, struct str name,
                            const struct limiter *l, bool in_store)
{
    const char *why;

    *t = (struct limit_top){ .id = limiter_id(l),
                             .meaning = limiter_meaning(l),
                             .in_store = in_store };
    why = find_words(t, b, name);
    if (why)
        return why;
    if (b->role == BUILD_MASTER) {
        compare(t, b, name);
        say_change(t, b, name);
    } else {
        say_what_it_is(t);
    }
    return NULL;
}

uint64_t limit_places_pack(const struct limit_places *p)
{
    return p->min << 32 | p->queue << 16 | p->max;
}

bool limit_places_read(uint64_t word, struct limit_places *p)
{
    *p = (struct limit_places){ .max = word & 0xffff,
                                .queue = word >> 16 & 0xffff,
                                .min = word >> 32 };
    return p->max > 0;
}

const char *limit_top_build_places(struct limit_top *t, struct builder *b, struct str name,
                                   uint64_t id, const struct limit_places *places)
{
    const char *why;

    *t = (struct limit_top){ .id = id, .places = limit_places_pack(places) };
    why = find_words(t, b, name);
    if (!why && b->role == BUILD_WORKER)
        say_what_it_is(t);
    return why;
}

void limit_top_note(const struct limit_top *t, struct exchange *x, enum top_kind kind,
                    const struct limit_key *who, const struct limiter *l, uint64_t key, uint32_t n,
                    uint64_t now_ns)
{
    struct top *top = &x->local->shared->top;
    uint32_t seat = x->local->seat;
    char text[TOP_TEXT];

    /* a reload that was taken back may have left other words */
    if (UNLIKELY(word_peek(&t->words[LIMIT_MEANING]) != t->meaning ||
                 word_peek(&t->words[LIMIT_PLACES]) != t->places))
        say_what_it_is(t);
    if (!top_count(top, seat, kind, t->id, key, n, now_ns))
        top_enter(top, seat, kind, t->id, key, n, now_ns,
                  str_of(text, limit_key_text(who, l, x, text, sizeof text)));
}
