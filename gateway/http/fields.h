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
#include "gateway/http/octets.h"

enum known_field {
    FIELD_OTHER = 0,
#define FIELD(name, text, last_but_one, last) FIELD_##name,
#include "gateway/http/known.list"
#undef FIELD
    FIELD_KNOWN_COUNT
};

struct field {
    struct str name,
        value; /* the value without OWS around it; of fields in a list changed by fields_change only */
    enum known_field known;
    bool ours; /* added here and not read: the peer's Connection cannot name it away */
};

struct fields {
    struct field *at;
    uint32_t count, room;
    size_t size;       /* of all as lines, at most: as h1_write writes them */
    bool rare_names;   /* a name with other characters than letters, digits and '-' may be there */
    uint64_t present;  /* bit n: a field with known == n may be there; clear: surely not */
    uint64_t repeated; /* bit n: more than one may be */
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

/* May there be more than one? */
static inline bool fields_repeat(const struct fields *f, enum known_field known)
{
    return (f->repeated >> known) & 1;
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
/* The same by name: a token that is not in known.list. */
void fields_put(struct fields *f, struct str name, struct str value);
/* Gives a field of `f` another value, which is writable. */
void fields_change(struct fields *f, struct field *field, struct str value);

/* Makes room for `more`. */
void fields_grow(struct fields *f, uint32_t more);
/* The places of the next fields, for the parser, which has checked what it puts there; it adds to count, size,
 * present and repeated. */
static inline struct field *fields_places(struct fields *f, uint32_t more)
{
    if (UNLIKELY(more > f->room - f->count))
        fields_grow(f, more);
    return f->at + f->count;
}

static inline struct field *fields_place(struct fields *f)
{
    return fields_places(f, 1);
}

/* Known fields added by writing their lines (Name, ": ", the value, CRLF) behind one another into one text, which is
 * later sent in one piece. They count when all are written: fields_lines_end. */
struct field_lines {
    struct fields *fields;
    struct field *next;
    char *begin, *to; /* the text has room for FIELDS_LINE_ROOM and the value for each line */
    uint64_t set;
};

#define FIELDS_LINE_ROOM 26
#define FIELDS_LINE_NAME 24
struct fields_line_name {
    char text[FIELDS_LINE_NAME]; /* "Via: " */
    size_t len;                  /* of the name alone */
};
extern const struct fields_line_name fields_line_names[FIELD_KNOWN_COUNT];

static inline struct field_lines fields_lines_begin(struct fields *f, char *text, uint32_t count)
{
    return (struct field_lines){
        .fields = f, .next = fields_places(f, count), .begin = text, .to = text
    };
}

/* The value is to be written at l->to, which is moved behind it. */
static inline void fields_line_open(struct field_lines *l, enum known_field known)
{
    size_t len = fields_line_names[known].len;

    memcpy(l->to, fields_line_names[known].text, FIELDS_LINE_NAME);
    l->next->name = str_of(l->to, len);
    l->to += len + 2;
    l->next->value.at = l->to;
    l->next->known = known;
    l->next->ours = true;
    l->set |= (uint64_t)1 << known;
}

static inline void fields_line_close(struct field_lines *l)
{
    l->next->value.len = (size_t)(l->to - l->next->value.at);
    memcpy(l->to, "\r\n", 2);
    l->to += 2;
    l->next++;
}

static inline void fields_line_add(struct field_lines *l, enum known_field known, struct str value)
{
    fields_line_open(l, known);
    l->to = octets_put(l->to, value);
    fields_line_close(l);
}

static inline void fields_lines_end(const struct field_lines *l)
{
    struct fields *f = l->fields;

    f->count = (uint32_t)(l->next - f->at);
    f->size += (size_t)(l->to - l->begin);
    f->repeated |= f->present & l->set;
    f->present |= l->set;
}

/* Replace all fields of that name by one. */
void fields_set_known(struct fields *f, enum known_field known, struct str value);
void fields_remove(struct fields *f, enum known_field known);
void fields_remove_name(struct fields *f, struct str name);

#endif
