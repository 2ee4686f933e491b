/* Consumers: who may ask, by which keys, under which plan: the list `consumers`.
 *
 * There may be very many, so they are read one at a time, like services. A key is known by the SHA-256 of its text;
 * one that the file says in plain is digested while it is read, and only that is kept.
 */
#ifndef CONF_CONSUMER_H
#define CONF_CONSUMER_H

#include <stddef.h>
#include <stdint.h>

#include "conf/schema.h"
#include "gateway/base/arena.h"
#include "gateway/base/digest.h"

struct conf_file;
struct conf_globals;

struct conf_secret_digest {
    bool said;
    struct digest digest;
};

struct conf_consumer_key {
    struct str id, prefix; /* for people; may be empty */
    struct conf_secret_digest sha256, key;
    uint64_t expires; /* wall clock in ns; 0: never */
};

struct conf_consumer {
    struct str name;
    struct str plan;            /* empty: none */
    struct conf_list groups;    /* of struct str */
    struct conf_list keys;      /* of struct conf_consumer_key */
    struct conf_list allow_ips; /* of struct cidr; none: from anywhere */
    struct conf_list services;  /* of struct str; none: all */
    struct conf_place at;
};

/* Of a struct conf_consumer. */
extern const struct conf_schema conf_consumer_schema;

/* The digest that a key is known by. */
const struct digest *conf_consumer_digest(const struct conf_consumer_key *k);

size_t conf_consumer_count(const struct conf_file *f);
/* Cheapest in order: i, then i + 1. */
const struct conf_consumer *conf_read_consumer(struct conf_file *f, size_t i, struct arena *a);
/* What it alone cannot see: names and keys that an earlier one has, plans and services that there are not. In order, each
 * once; c stays where it is until conf_close. For the master: a worker builds from bytes that have been checked. */
void conf_check_consumer(struct conf_file *f, const struct conf_globals *g, size_t i,
                         const struct conf_consumer *c);
/* How many keys it has, at most. */
size_t conf_consumer_keys(struct conf_file *f, size_t i);
/* A hash of what it says. */
uint64_t conf_consumer_hash(struct conf_file *f, size_t i);

#endif
