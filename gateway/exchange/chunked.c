/* Sending a body in the chunked coding. */
#include "gateway/exchange/chunked.h"

#include "gateway/http/h1_write.h"

size_t chunked_send(struct conn *c, uint32_t *chunk_left, const struct piece *p)
{
    size_t taken = 0;

    while (taken < p->data.len) {
        struct str rest = str_from_index(p->data, taken);
        size_t n;

        if (*chunk_left == 0) {
            char *to = conn_reserve(c, H1_CHUNK_HEAD_MAX);

            *chunk_left = (uint32_t)(rest.len < UINT32_MAX ? rest.len : UINT32_MAX);
            conn_commit(c, h1_write_chunk_head(to, *chunk_left));
        }
        n = conn_write(c, str_up_to(rest, *chunk_left));
        taken += n;
        *chunk_left -= (uint32_t)n;
        if (*chunk_left > 0)
            return taken;
        memcpy(conn_reserve(c, 2), "\r\n", 2);
        conn_commit(c, 2);
    }
    if (p->last) {
        char *to = conn_reserve(c, h1_last_chunk_size(p->trailers));

        conn_commit(c, h1_write_last_chunk(to, p->trailers));
    }
    return taken;
}
