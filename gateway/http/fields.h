/* The header fields of a message, in the order they came. (RFC 9110 section 5)
 *
 * A plain array in the exchange's arena. Names that code asks for are known by number (known.list), and
 * a word of bits says which of them are there, so that "no Connection field" costs one test. A removed
 * field keeps its place with an empty name and is skipped by whoever walks.
 */
#ifndef GATEWAY_HTTP_FIELDS_H
#define GATEWAY_HTTP_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/arena.h"
#include "gateway/base/str.h"

enum known_field {
    FIELD_OTHER = 0,
#define FIELD(name, text, last_but_one, last) FIELD_##name,
#include "gateway/http/known.list"
#undef FIELD
    FIELD_KNOWN_COUNT
};

struct field {
    struct str name, value; /* the value without OWS around it */
    enum known_field known;
    bool ours; /* added here and not read: the peer's Connection cannot name it away */
};

struct fields {
    struct field *at;
    uint32_t count, room;
    bool rare_names;  /* a name with other characters than letters, digits and '-' may be there */
    uint64_t present; /* bit n: a field with known == n may be there; clear: surely not */
    struct arena *arena; /* where growth comes from */
};

/* Empty, with room for `room` (0: taken at the first add). */
void fields_init(struct fields *f, struct arena *arena, uint32_t room);
/* The number of a name, FIELD_OTHER for one that is not in known.list. Case is folded. The name is a token. */
enum known_field field_known(struct str name);
/* As we write it: "X-Forwarded-For". */
struct str field_name(enum known_field known);

static inline bool fields_have(const struct fields *f, enum known_field known)
{
    return (f->present >> known) & 1;
}

/* The first field of that name, or NULL. */
struct field *fields_find(const struct fields *f, enum known_field known);
struct field *fields_find_name(const struct fields *f, struct str name);
/* The value of the first field of that name; STR_NONE (at == NULL) if there is none. */
struct str fields_value(const struct fields *f, enum known_field known);
/* Name and value are borrowed for as long as the fields live.
 * What could not be written is not added (a name that is no token, a value with a line break, a NUL or
 * another control): header injection ends here, whoever made the value. */
void fields_add(struct fields *f, struct str name, struct str value);
void fields_add_known(struct fields *f, enum known_field known, struct str value);
/* The same without looking: for values that are known to be writable (made here of what the parser has read). */
void fields_put_known(struct fields *f, enum known_field known, struct str value);
/* Makes room for one more. */
void fields_grow(struct fields *f);
/* The place of the next field, for the parser, which has checked what it puts there; it adds to count and present. */
static inline struct field *fields_place(struct fields *f)
{
    if (UNLIKELY(f->count == f->room))
        fields_grow(f);
    return &f->at[f->count];
}
/* Replace all fields of that name by one. */
void fields_set_known(struct fields *f, enum known_field known, struct str value);
void fields_remove(struct fields *f, enum known_field known);
void fields_remove_name(struct fields *f, struct str name);

#endif
