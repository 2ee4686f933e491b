/* Writing heads and chunks of HTTP/1.1. (RFC 9112 sections 3, 4, 7)
 *
 * Into plain memory of a known size; the caller asks for the size first. No formatting functions on
 * this path.
 */
#ifndef GATEWAY_HTTP_H1_WRITE_H
#define GATEWAY_HTTP_H1_WRITE_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/base/str.h"
#include "gateway/http/message.h"

#define H1_CHUNK_HEAD_MAX 18 /* 16 hex digits and CRLF */

/* Bytes that h1_write_request/response will write at most. A `connection` value of up to
 * H1_CONNECTION_MAX bytes is counted in. */
#define H1_CONNECTION_MAX 48
size_t h1_request_size(const struct request *req);
size_t h1_response_size(const struct response *resp);

/* Method, target, fields (in order, removed ones skipped) and the empty line. The body's framing fields
 * (Content-Length, Transfer-Encoding) are written here from req->body and content_length; such fields in
 * req->fields are skipped, as is Connection: hop_connection (hop.h) makes `connection` ("": none written).
 * Without a Host field (HTTP/1.0), req->host is said, empty if it is.
 * returns  bytes written */
size_t h1_write_request(char *to, const struct request *req, struct str connection);
/* The same for an answer. To HEAD and with 304 the length is still said (resp->body BODY_LENGTH); that no body
 * follows is the caller's affair. BODY_NONE says no length: right for 1xx, 204, 304 and HEAD only. */
size_t h1_write_response(char *to, const struct response *resp, struct str connection);
/* "1a\r\n" */
size_t h1_write_chunk_head(char *to, uint64_t len);
/* "0\r\n", trailers (may be NULL), "\r\n"; the size first. */
size_t h1_last_chunk_size(const struct fields *trailers);
size_t h1_write_last_chunk(char *to, const struct fields *trailers);

#endif
