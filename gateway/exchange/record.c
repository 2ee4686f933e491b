/* Records as bytes. */
#include "gateway/exchange/record.h"

#include <string.h>

#define LAYOUT 2 /* raise it when the meaning of a byte changes */

static size_t max_of(size_t text)
{
    return text == RECORD_PATH ? RECORD_PATH_MAX : RECORD_TEXT_MAX;
}

size_t record_size(const struct record_line *line)
{
    size_t size = sizeof line->numbers;

    for (size_t i = 0; i < RECORD_TEXTS; i++)
        size += line->texts[i].len < max_of(i) ? line->texts[i].len : max_of(i);
    return size;
}

size_t record_encode(void *to, const struct record_line *line)
{
    struct record_numbers n = line->numbers;
    char *at = (char *)to + sizeof n;

    n.layout = LAYOUT;
    for (size_t i = 0; i < RECORD_TEXTS; i++) {
        struct str s = str_up_to(line->texts[i], max_of(i));

        n.lens[i] = (uint16_t)s.len;
        if (s.len)
            memcpy(at, s.at, s.len);
        at += s.len;
    }
    memcpy(to, &n, sizeof n);
    return (size_t)(at - (char *)to);
}

bool record_decode(struct str bytes, struct record_line *line)
{
    struct record_numbers *n = &line->numbers;
    const char *at = bytes.at + sizeof *n;
    size_t texts = 0;

    if (bytes.len < sizeof *n)
        return false;
    memcpy(n, bytes.at, sizeof *n);
    for (size_t i = 0; i < RECORD_TEXTS; i++)
        texts += n->lens[i];
    if (n->layout != LAYOUT || n->reason >= REASON_COUNT || n->shadow >= REASON_COUNT ||
        texts != bytes.len - sizeof *n)
        return false;
    for (size_t i = 0; i < RECORD_TEXTS; i++) {
        line->texts[i] = str_of(at, n->lens[i]);
        at += n->lens[i];
    }
    return true;
}
