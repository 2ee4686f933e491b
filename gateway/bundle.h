/* The exact bytes that one configuration is built from.
 *
 * The master reads config.yaml, every ${…} and every name to be resolved once, with its own rights, and
 * writes down what it found; workers build from that, so all processes build the same, whatever has changed
 * on disk or in DNS meanwhile. Sealed into a memfd, it is handed to whoever adopts it.
 */
#ifndef GATEWAY_BUNDLE_H
#define GATEWAY_BUNDLE_H

#include <stdbool.h>

#include "conf/env.h"
#include "gateway/base/cidr.h"
#include "gateway/base/str.h"

enum bundle_kind {
    BUNDLE_CONFIG,   /* name: the path; value: the file's bytes */
    BUNDLE_ENV,      /* name: of a variable */
    BUNDLE_ENV_FILE, /* name: of a file in ${file:…} */
    BUNDLE_ADDRESSES /* name: of a host; value: struct ip after struct ip */
};

struct bundle;

/* Master: an empty one, to be filled. */
struct bundle *bundle_new(void);
/* Worker: what a master sealed. NULL: not a bundle (it has been logged). The descriptor stays the caller's. */
struct bundle *bundle_open(int fd) MUST_USE;
void bundle_free(struct bundle *b);

/* Master: what to fall back on for names that cannot be looked up now; it must live as long as `b`. NULL: nothing. */
void bundle_remember(struct bundle *b, const struct bundle *former);
/* Master: the addresses of a name, asked of the system once. If nobody tells, neither them nor that there are none:
 * those in what was remembered. */
struct str bundle_resolve(struct bundle *b, struct str host);
/* A copy of all addresses, and of nothing else, to be remembered. */
struct bundle *bundle_addresses(const struct bundle *b);

/* Write down; the text is copied. Twice the same name: the first stays. */
void bundle_put(struct bundle *b, enum bundle_kind kind, struct str name, struct str value);
/* Look up; the text lives as long as the bundle. */
bool bundle_get(const struct bundle *b, enum bundle_kind kind, struct str name, struct str *value);
/* The first of a kind. */
bool bundle_first(const struct bundle *b, enum bundle_kind kind, struct str *name,
                  struct str *value);
/* A memfd of all of it that nobody can change any more; -1 with errno. */
int bundle_seal(const struct bundle *b);
/* A hash of all of it: equal means that nothing has changed. */
uint64_t bundle_hash(const struct bundle *b);

/* Where ${…} is found: the master's writes down what it finds, a worker's reads it. */
struct conf_env_source bundle_env(struct bundle *b, bool is_master);

#endif
