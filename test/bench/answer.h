/* Reading answers of HTTP/1.1, as far as a load generator must: where one ends, its status, and
 * whether the connection goes on. It is not a judge of form; test/wire is.
 */
#ifndef TEST_BENCH_ANSWER_H
#define TEST_BENCH_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "gateway/base/check.h"

enum { ANSWER_HEAD_MOST = 16384 };

enum answer_result {
    ANSWER_MORE, /* wait for more bytes */
    ANSWER_DONE, /* complete; status and closes are valid */
    ANSWER_GONE, /* the connection ended before the answer did */
    ANSWER_BAD,  /* not an answer */
};

struct answer {
    enum { ANSWER_HEAD, ANSWER_LENGTH, ANSWER_CHUNKED, ANSWER_UNTIL_CLOSE } form;
    int status;
    bool closes; /* the server said that it will close */
    size_t left; /* of a body whose length is known, or of the chunk being read */
    size_t body; /* bytes of body read so far */
    enum { CHUNK_SIZE, CHUNK_DATA, CHUNK_END } chunk;
    size_t filled;
    char bytes[ANSWER_HEAD_MOST];
};

/* Before each answer. */
void answer_begin(struct answer *a);

/* Read once from fd. Bodies of known length are thrown away in the kernel. */
enum answer_result answer_read(struct answer *a, int fd) MUST_USE;

#endif
