/* The exact bytes that one configuration is built from.
 *
 * A row of entries {kind, length of name, length of value, name, value}; few, so they are looked for one
 * after the other.
 */
#include "gateway/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/base/hash.h"
#include "gateway/base/log.h"
#include "gateway/base/number.h"
#include "gateway/resolver.h"

#define BUNDLE_MAGIC 0x6275646cu
#define PATIENCE     (30 * NS_PER_S) /* with all names of a configuration, at the start */
#define FORMER_HELPS (5 * NS_PER_S)  /* … where what they stood for before is known     */

struct entry {
    uint32_t magic, kind;
    uint64_t name_len, value_len;
};

struct bundle {
    char *bytes;
    size_t len, room;
    bool mapped;
    struct resolver resolver;
    const struct bundle *former;
};

struct bundle *bundle_new(void)
{
    struct bundle *b = calloc(1, sizeof *b);

    if (!b)
        die("out of memory for a bundle");
    resolver_init(&b->resolver, PATIENCE);
    return b;
}

static size_t padded(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

/* The entry at *at, and *at moves behind it. False: the end, or not an entry. */
static bool next_entry(const struct bundle *b, size_t *at, struct entry *e, struct str *name,
                       struct str *value)
{
    size_t left = b->len - *at;

    if (left < sizeof *e)
        return false;
    memcpy(e, b->bytes + *at, sizeof *e);
    left -= sizeof *e;
    if (e->magic != BUNDLE_MAGIC || e->name_len > left || e->value_len > left - e->name_len)
        return false;
    *name = str_of(b->bytes + *at + sizeof *e, e->name_len);
    *value = str_of(name->at + name->len, e->value_len);
    *at += sizeof *e + padded(e->name_len + e->value_len);
    if (*at > b->len)
        *at = b->len;
    return true;
}

struct bundle *bundle_open(int fd)
{
    struct bundle *b = bundle_new();
    struct stat st;
    struct str name, value;
    struct entry e;
    size_t at = 0;
    void *map;

    if (fstat(fd, &st) < 0 || st.st_size <= 0) {
        log_line(LOG_LEVEL_ERROR, "cannot read the configuration handed over: it is empty");
        goto free_bundle;
    }
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) {
        log_line(LOG_LEVEL_ERROR, "cannot map the configuration handed over: %s", strerror(errno));
        goto free_bundle;
    }
    b->bytes = map;
    b->len = (size_t)st.st_size;
    b->mapped = true;
    if (next_entry(b, &at, &e, &name, &value))
        return b;
    log_line(LOG_LEVEL_ERROR, "the configuration handed over is not a bundle");
    bundle_free(b);
    return NULL;

free_bundle:
    free(b);
    return NULL;
}

void bundle_free(struct bundle *b)
{
    if (!b)
        return;
    resolver_end(&b->resolver);
    if (b->mapped)
        munmap(b->bytes, b->len);
    else
        free(b->bytes);
    free(b);
}

void bundle_put(struct bundle *b, enum bundle_kind kind, struct str name, struct str value)
{
    struct entry e = { BUNDLE_MAGIC, kind, name.len, value.len };
    size_t size = sizeof e + padded(name.len + value.len);
    struct str there;
    char *to;

    CHECK(!b->mapped);
    if (bundle_get(b, kind, name, &there))
        return;
    if (b->len + size > b->room) {
        b->room = (b->len + size) * 2;
        b->bytes = realloc(b->bytes, b->room);
        if (!b->bytes)
            die("out of memory for a bundle of %zu bytes", b->room);
    }
    to = b->bytes + b->len;
    memset(to, 0, size);
    memcpy(to, &e, sizeof e);
    if (name.len)
        memcpy(to + sizeof e, name.at, name.len);
    if (value.len)
        memcpy(to + sizeof e + name.len, value.at, value.len);
    b->len += size;
}

bool bundle_get(const struct bundle *b, enum bundle_kind kind, struct str name, struct str *value)
{
    struct str known;
    struct entry e;

    for (size_t at = 0; next_entry(b, &at, &e, &known, value);)
        if (e.kind == (uint32_t)kind && str_equal(known, name))
            return true;
    return false;
}

bool bundle_first(const struct bundle *b, enum bundle_kind kind, struct str *name,
                  struct str *value)
{
    struct entry e;

    for (size_t at = 0; next_entry(b, &at, &e, name, value);)
        if (e.kind == (uint32_t)kind)
            return true;
    return false;
}

int bundle_seal(const struct bundle *b)
{
    int fd = memfd_create("sluice-bundle", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    size_t written = 0;

    if (fd < 0)
        return -1;
    while (written < b->len) {
        ssize_t n = write(fd, b->bytes + written, b->len - written);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            goto close_fd;
        written += (size_t)n;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        return fd;

close_fd:;
    int error = errno;

    close(fd);
    errno = error;
    return -1;
}

uint64_t bundle_hash(const struct bundle *b)
{
    static const struct hash_key key = { 0x736c756963650001u, 0x62756e646c650001u };

    return hash_keyed(&key, b->bytes, b->len);
}

/* ---- names ------------------------------------------------------------------------------------ */

void bundle_remember(struct bundle *b, const struct bundle *former)
{
    b->former = former;
    if (former)
        b->resolver.patience_ns = FORMER_HELPS;
}

struct str bundle_resolve(struct bundle *b, struct str host)
{
    struct ip ips[RESOLVER_ADDRESSES];
    struct str known;
    size_t count;

    if (bundle_get(b, BUNDLE_ADDRESSES, host, &known))
        return known;
    if (!resolver_ask(&b->resolver, host, ips, RESOLVER_ADDRESSES, &count) && b->former &&
        bundle_get(b->former, BUNDLE_ADDRESSES, host, &known) && known.len > 0)
        log_line(LOG_LEVEL_WARN,
                 "the name %.*s cannot be looked up now: it keeps the addresses that it had",
                 STR_ARGS(host));
    else
        known = str_of((const char *)ips, count * sizeof *ips);
    bundle_put(b, BUNDLE_ADDRESSES, host, known);
    return bundle_get(b, BUNDLE_ADDRESSES, host, &known) ? known : STR_NONE;
}

struct bundle *bundle_addresses(const struct bundle *b)
{
    struct bundle *copy = bundle_new();
    struct str name, value;
    struct entry e;

    for (size_t at = 0; next_entry(b, &at, &e, &name, &value);)
        if (e.kind == BUNDLE_ADDRESSES)
            bundle_put(copy, BUNDLE_ADDRESSES, name, value);
    return copy;
}

/* ---- ${…} ------------------------------------------------------------------------------------- */

static enum bundle_kind bundle_kind_of(enum conf_env_kind kind)
{
    return kind == CONF_ENV_FILE ? BUNDLE_ENV_FILE : BUNDLE_ENV;
}

static const char *find_and_note(void *owner, struct arena *a, enum conf_env_kind kind,
                                 struct str name, struct str *value)
{
    struct bundle *b = owner;
    const char *why;

    if (bundle_get(b, bundle_kind_of(kind), name, value)) {
        *value = str_keep(a, *value);
        return NULL;
    }
    why = conf_env_process.find(conf_env_process.owner, a, kind, name, value);
    if (!why)
        bundle_put(b, bundle_kind_of(kind), name, *value);
    return why;
}

static const char *find_noted(void *owner, struct arena *a, enum conf_env_kind kind,
                              struct str name, struct str *value)
{
    if (!bundle_get(owner, bundle_kind_of(kind), name, value))
        return "is not set";
    *value = str_keep(a, *value);
    return NULL;
}

struct conf_env_source bundle_env(struct bundle *b, bool is_master)
{
    return (struct conf_env_source){ .owner = b, .find = is_master ? find_and_note : find_noted };
}
