/* The header fields of a message.
 *
 * Finding the number of a name: its length and its last two letters make its place in a table, which was made at
 * compile time. There stands the only known name that it can be.
 */
#include "gateway/http/fields.h"

#include "gateway/http/octets.h"

#define FIRST_ROOM 24 /* of ten fields that came and five that we add, nobody grows */
#define PLACES     512

_Static_assert(FIELD_KNOWN_COUNT <= 64, "fields.present is one word");

/* Two known names with one place do not compile ("initialized field overwritten"): then try other factors. */
#define PLACE(len, last_but_one, last)                                                             \
    (((unsigned)(len) + 32u * ((unsigned)(last_but_one) | 0x20u) +                                 \
      16u * ((unsigned)(last) | 0x20u)) %                                                          \
     PLACES)

static const struct str names[FIELD_KNOWN_COUNT] = {
#define FIELD(number, text, last_but_one, last) [FIELD_##number] = STR_INIT(text),
#include "gateway/http/known.list"
#undef FIELD
};

const struct fields_line_name fields_line_names[FIELD_KNOWN_COUNT] = {
#define FIELD(number, text, last_but_one, last) [FIELD_##number] = { text ": ", sizeof(text) - 1 },
#include "gateway/http/known.list"
#undef FIELD
};

#define FIELD(number, text, last_but_one, last)                                                    \
    _Static_assert(sizeof(text) >= 3 && sizeof(text) + 1 <= FIELDS_LINE_NAME, "length of " text);
#include "gateway/http/known.list"
#undef FIELD

static const uint8_t places[PLACES] = {
#define FIELD(number, text, last_but_one, last)                                                    \
    [PLACE(sizeof(text) - 1, last_but_one, last)] = FIELD_##number,
#include "gateway/http/known.list"
#undef FIELD
};

static uint64_t eight(const char *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof word);
    return word;
}

static uint32_t four(const char *p)
{
    uint32_t word;

    memcpy(&word, p, sizeof word);
    return word;
}

/* Of tokens of the same length, the first of which is known: there bit 5 is all in which letters of the same name may
 * differ, and nothing else that a token may have differs in it alone (names in known.list have letters, digits and
 * '-' only). The words overlap. */
static inline bool tokens_equal(const char *a, const char *b, size_t len)
{
    uint64_t differ;

    if (len >= 8) {
        differ = (eight(a) ^ eight(b)) | (eight(a + len - 8) ^ eight(b + len - 8));
        if (len > 16)
            differ |= eight(a + 8) ^ eight(b + 8);
    } else if (len >= 4) {
        differ = (four(a) ^ four(b)) | (four(a + len - 4) ^ four(b + len - 4));
    } else {
        differ = (uint64_t)((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[len - 1] ^ b[len - 1]));
    }
    return (differ & ~UINT64_C(0x2020202020202020)) == 0;
}

enum known_field field_known(struct str name)
{
    const char *end = name.at + name.len;
    unsigned i;

    if (UNLIKELY(name.len < 2)) /* no known name is as short, and here begins the reading of two */
        return FIELD_OTHER;
    i = places[PLACE(name.len, (unsigned char)end[-2], (unsigned char)end[-1])];
    if (names[i].len == name.len && tokens_equal(names[i].at, name.at, name.len))
        return (enum known_field)i;
    return FIELD_OTHER;
}

struct str field_name(enum known_field known)
{
    CHECK((unsigned)known < FIELD_KNOWN_COUNT);
    return names[known];
}

/* Not zeroed: every place is written before it counts. */
static struct field *take_places(struct arena *arena, uint32_t room)
{
    return arena_take_slow(arena, sizeof(struct field) * room, _Alignof(struct field));
}

void fields_init(struct fields *f, struct arena *arena, uint32_t room)
{
    *f = (struct fields){ .arena = arena, .room = room };
    if (room)
        f->at = take_places(arena, room);
}

void fields_grow(struct fields *f, uint32_t more)
{
    uint32_t room = f->room ? f->room * 2 : FIRST_ROOM;
    struct field *at;

    while (room - f->count < more)
        room *= 2;
    at = take_places(f->arena, room);
    if (f->count)
        memcpy(at, f->at, sizeof(struct field) * f->count);
    f->at = at;
    f->room = room;
}

struct field *fields_find(const struct fields *f, enum known_field known)
{
    if (!fields_have(f, known))
        return NULL;
    for (uint32_t i = 0; i < f->count; i++)
        if (f->at[i].known == known && f->at[i].name.len)
            return &f->at[i];
    return NULL;
}

struct field *fields_find_name(const struct fields *f, struct str name)
{
    enum known_field known = field_known(name);

    if (known != FIELD_OTHER)
        return fields_find(f, known);
    if (name.len == 0)
        return NULL;
    for (uint32_t i = 0; i < f->count; i++)
        if (f->at[i].known == FIELD_OTHER && str_equal_folded(f->at[i].name, name))
            return &f->at[i];
    return NULL;
}

struct str fields_value(const struct fields *f, enum known_field known)
{
    const struct field *found = fields_find(f, known);

    return found ? found->value : STR_NONE;
}

static bool is_value(struct str value)
{
    const char *end = value.at + value.len;

    return value.len == 0 || octets_find_control(value.at, end) == end;
}

/* The field that was made in the place behind the last is one of them. */
static void count_in(struct fields *f, enum known_field known, size_t size)
{
    uint64_t bit = (uint64_t)1 << known;

    f->count++;
    f->size += size;
    f->repeated |= f->present & bit;
    f->present |= bit;
}

static void append(struct fields *f, struct str name, struct str value, enum known_field known)
{
    *fields_place(f) = (struct field){ .name = name, .value = value, .known = known, .ours = true };
    count_in(f, known, name.len + value.len + 4);
}

void fields_add(struct fields *f, struct str name, struct str value)
{
    if (!octets_are(name, OCTET_TOKEN) || !is_value(value))
        return;
    f->rare_names = true; /* perhaps */
    append(f, name, value, field_known(name));
}

void fields_add_known(struct fields *f, enum known_field known, struct str value)
{
    CHECK(known != FIELD_OTHER);
    if (is_value(value))
        append(f, field_name(known), value, known);
}

void fields_put_known(struct fields *f, enum known_field known, struct str value)
{
    append(f, names[known], value, known);
}

void fields_put(struct fields *f, struct str name, struct str value)
{
    append(f, name, value, FIELD_OTHER);
}

void fields_change(struct fields *f, struct field *field, struct str value)
{
    field->value = value;
    f->size += value.len;
}

void fields_set_known(struct fields *f, enum known_field known, struct str value)
{
    struct field *found = fields_find(f, known);

    if (!found || !is_value(value)) {
        fields_remove(f, known);
        fields_add_known(f, known, value);
        return;
    }
    fields_change(f, found, value);
    found->ours = true;
    if (!fields_repeat(f, known))
        return;
    for (struct field *other = found + 1; other < f->at + f->count; other++)
        if (other->known == known)
            other->name.len = 0;
    f->repeated &= ~((uint64_t)1 << known);
}

void fields_remove(struct fields *f, enum known_field known)
{
    CHECK(known != FIELD_OTHER);
    if (!fields_have(f, known))
        return;
    for (uint32_t i = 0; i < f->count; i++)
        if (f->at[i].known == known)
            f->at[i].name.len = 0;
    f->present &= ~((uint64_t)1 << known);
    f->repeated &= ~((uint64_t)1 << known);
}

void fields_remove_name(struct fields *f, struct str name)
{
    enum known_field known = field_known(name);

    if (known != FIELD_OTHER) {
        fields_remove(f, known);
        return;
    }
    for (uint32_t i = 0; i < f->count; i++)
        if (f->at[i].known == FIELD_OTHER && str_equal_folded(f->at[i].name, name))
            f->at[i].name.len = 0;
}
