/* One recv at a time: the head into a buffer, what is left of the body into nowhere. */
#include "test/bench/answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void answer_begin(struct answer *a)
{
    a->form = ANSWER_HEAD;
    a->status = 0;
    a->closes = false;
    a->chunk = CHUNK_SIZE;
    a->left = a->body = a->filled = 0;
}

/* The value of a field in the head, which is text here; NULL without it. */
static const char *field(const char *head, const char *name)
{
    const char *at = strcasestr(head, name);

    return at == NULL ? NULL : at + strlen(name) + strspn(at + strlen(name), " ");
}

/* What is left in the buffer behind `end` becomes all that is in it. */
static void drop_until(struct answer *a, const char *end)
{
    size_t used = (size_t)(end - a->bytes);

    a->filled -= used;
    memmove(a->bytes, end, a->filled);
}

static enum answer_result take_known(struct answer *a, size_t n)
{
    if (n > a->left)
        return ANSWER_BAD; /* more than was asked for */
    a->left -= n;
    a->body += n;
    return a->left == 0 ? ANSWER_DONE : ANSWER_MORE;
}

static enum answer_result take_chunks(struct answer *a)
{
    for (;;) {
        char *line_end;

        if (a->chunk == CHUNK_DATA) {
            size_t n = a->filled < a->left ? a->filled : a->left;

            a->left -= n;
            a->body += n;
            drop_until(a, a->bytes + n);
            if (a->left > 0)
                return ANSWER_MORE;
            a->chunk = CHUNK_SIZE;
        }
        /* the empty line behind a chunk's data, its size, or a trailer */
        line_end = memmem(a->bytes, a->filled, "\r\n", 2);
        if (line_end == NULL)
            return a->filled < ANSWER_HEAD_MOST ? ANSWER_MORE : ANSWER_BAD;
        if (a->chunk == CHUNK_END) {
            bool last = line_end == a->bytes;

            drop_until(a, line_end + 2);
            if (last)
                return a->filled == 0 ? ANSWER_DONE : ANSWER_BAD;
            continue;
        }
        if (line_end != a->bytes) {
            a->left = strtoul(a->bytes, NULL, 16);
            a->chunk = a->left > 0 ? CHUNK_DATA : CHUNK_END;
        }
        drop_until(a, line_end + 2);
    }
}

static enum answer_result take_head(struct answer *a)
{
    char *end = memmem(a->bytes, a->filled, "\r\n\r\n", 4);
    const char *value;

    if (end == NULL)
        return a->filled < ANSWER_HEAD_MOST ? ANSWER_MORE : ANSWER_BAD;
    end[3] = '\0';
    if (strncmp(a->bytes, "HTTP/1.", 7) != 0)
        return ANSWER_BAD;
    a->status = (int)strtol(a->bytes + 9, NULL, 10);
    value = field(a->bytes, "\r\nconnection:");
    a->closes = a->bytes[7] == '0' || (value != NULL && strncasecmp(value, "close", 5) == 0);

    value = field(a->bytes, "\r\ncontent-length:");
    if (value != NULL) {
        a->form = ANSWER_LENGTH;
        a->left = strtoul(value, NULL, 10);
        return take_known(a, a->filled - (size_t)(end + 4 - a->bytes));
    }
    value = field(a->bytes, "\r\ntransfer-encoding:");
    a->form = value != NULL && strncasecmp(value, "chunked", 7) == 0 ? ANSWER_CHUNKED
                                                                     : ANSWER_UNTIL_CLOSE;
    drop_until(a, end + 4);
    if (a->form == ANSWER_CHUNKED)
        return take_chunks(a);
    a->closes = true;
    a->body = a->filled;
    return ANSWER_MORE;
}

/* The rest of a body whose bytes need not be seen: until `most` bytes or the end of the connection. */
static enum answer_result discard(struct answer *a, int fd, size_t most)
{
    ssize_t n = recv(fd, NULL, most, MSG_TRUNC);

    if (n < 0)
        return errno == EAGAIN ? ANSWER_MORE : ANSWER_GONE;
    if (a->form == ANSWER_LENGTH)
        return n == 0 ? ANSWER_GONE : take_known(a, (size_t)n);
    a->body += (size_t)n;
    return n == 0 ? ANSWER_DONE : ANSWER_MORE;
}

enum answer_result answer_read(struct answer *a, int fd)
{
    ssize_t n;

    if (a->form == ANSWER_LENGTH)
        return discard(a, fd, a->left);
    if (a->form == ANSWER_UNTIL_CLOSE)
        return discard(a, fd, (size_t)1 << 20);

    n = recv(fd, a->bytes + a->filled, ANSWER_HEAD_MOST - a->filled, 0);
    if (n < 0)
        return errno == EAGAIN ? ANSWER_MORE : ANSWER_GONE;
    if (n == 0)
        return ANSWER_GONE;
    a->filled += (size_t)n;
    return a->form == ANSWER_HEAD ? take_head(a) : take_chunks(a);
}
