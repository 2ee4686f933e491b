/* Against a real Redis Cluster: each key goes to who has it, over moves, losses and failovers. */
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/lookup/redis_slots.h"
#include "test/unit/gateway/lookup/redis_stage.h"

#define NODES 3
#define KEYS  200

static struct worker_stage w;
static struct server nodes[NODES];
static struct redis_script add;

static struct server start_node(void)
{
    const char *const options[] = { "--cluster-enabled",
                                    "yes",
                                    "--cluster-node-timeout",
                                    "1000",
                                    "--cluster-require-full-coverage",
                                    "no",
                                    "--repl-diskless-sync-delay",
                                    "0",
                                    NULL };

    return server_start(options);
}

static void start_again(struct server *s)
{
    const char *const options[] = { "--cluster-enabled",
                                    "yes",
                                    "--cluster-node-timeout",
                                    "1000",
                                    "--cluster-require-full-coverage",
                                    "no",
                                    NULL };

    server_start_again(s, options);
}

static const char *id_of(const struct server *s)
{
    static char id[64];

    snprintf(id, sizeof id, "%s", server_ask(s, "CLUSTER MYID"));
    return id;
}

static void tell(const struct server *s, const char *format, ...) PRINTF_LIKE(2, 3);

static void tell(const struct server *s, const char *format, ...)
{
    char command[256];
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    ck_assert_str_eq(server_ask(s, command), "OK");
}

static bool knows(const struct server *s, unsigned count)
{
    char text[64];

    snprintf(text, sizeof text, "cluster_known_nodes:%u\r", count);
    return strstr(server_ask(s, "CLUSTER INFO"), text) != NULL;
}

static bool slots_are_all_seen(const struct server *s)
{
    const char *info = server_ask(s, "CLUSTER INFO");

    return strstr(info, "cluster_state:ok") && strstr(info, "cluster_slots_ok:16384");
}

static void meet(const struct server *a, const struct server *b)
{
    tell(a, "CLUSTER MEET 127.0.0.1 %u", b->port);
}

static void form_cluster(void)
{
    for (unsigned i = 0; i < NODES; i++) {
        char command[64];

        nodes[i] = start_node();
        snprintf(command, sizeof command, "CLUSTER SET-CONFIG-EPOCH %u", i + 1);
        server_ask(&nodes[i], command);
        snprintf(command, sizeof command, "CLUSTER ADDSLOTSRANGE %u %u", i * REDIS_SLOTS / NODES,
                 (i + 1) * REDIS_SLOTS / NODES - 1);
        server_ask(&nodes[i], command);
    }
    for (unsigned i = 1; i < NODES; i++)
        meet(&nodes[0], &nodes[i]);
    for (unsigned i = 0; i < NODES; i++)
        while (!slots_are_all_seen(&nodes[i]))
            usleep(1000);
}

static void begin_at(const struct server *first, size_t count)
{
    static struct str addresses[NODES];
    struct redis_target t;

    for (size_t i = 0; i < count; i++)
        addresses[i] = str_from(first[i].address);
    t = target_of(REDIS_CLUSTER, addresses, count);
    redis_script_init(&add, STR("return {redis.call('INCR', KEYS[1])}"));
    worker_begin(&w, &t);
}

static void begin_worker(void)
{
    begin_at(nodes, NODES);
}

static void begin(void)
{
    form_cluster();
    begin_at(nodes, NODES);
}

static void end(void)
{
    worker_end(&w);
}

static const char *key_of(unsigned i)
{
    static char key[32];

    snprintf(key, sizeof key, "key:%u", i);
    return key;
}

static const struct server *node_of(const char *key)
{
    return &nodes[redis_slot_of(str_from(key)) * NODES / REDIS_SLOTS];
}

static const char *get(const struct server *s, const char *key)
{
    char command[64];

    snprintf(command, sizeof command, "GET %s", key);
    return server_ask(s, command);
}

START_TEST(test_each_key_goes_to_who_has_its_slot)
{
    ask_until_ok(&w, &add, "first");
    for (unsigned i = 0; i < NODES; i++)
        server_ask(&nodes[i], "CONFIG RESETSTAT");
    for (unsigned i = 0; i < KEYS; i++)
        ck_assert_int_eq(ask_one(&w, &add, key_of(i), NULL), REDIS_OK);
    for (unsigned i = 0; i < KEYS; i++)
        ck_assert_str_eq(get(node_of(key_of(i)), key_of(i)),
                         "1"); /* and nowhere else: get may not err */
    for (unsigned i = 0; i < NODES; i++)
        ck_assert_ptr_null(strstr(server_ask(&nodes[i], "INFO errorstats"), "MOVED"));
    ck_assert_uint_eq(w.went_away, 0);
}
END_TEST

START_TEST(test_one_address_is_enough_to_find_all)
{
    worker_end(&w);
    begin_at(&nodes[1], 1);
    ask_until_ok(&w, &add, "first");
    for (unsigned i = 0; i < KEYS; i++)
        ck_assert_int_eq(ask_one(&w, &add, key_of(i), NULL), REDIS_OK);
    ck_assert_uint_eq(w.went_away, 0);
}
END_TEST

/* Slot of `key` from its node to another one, as redis-cli does it, with a look at what happens in between. */
START_TEST(test_a_slot_that_moves_is_followed_in_the_middle_and_after)
{
    const char *key = "key:{moves}a", *young = "key:{moves}b";
    unsigned long slot = redis_slot_of(str_from(key));
    const struct server *from = node_of(key), *to = from == &nodes[0] ? &nodes[1] : &nodes[0];
    char command[128];

    ask_until_ok(&w, &add, key);
    tell(to, "CLUSTER SETSLOT %lu IMPORTING %s", slot, id_of(from));
    tell(from, "CLUSTER SETSLOT %lu MIGRATING %s", slot, id_of(to));
    ck_assert_int_eq(ask_one(&w, &add, key, NULL), REDIS_OK); /* still there */
    snprintf(command, sizeof command, "MIGRATE 127.0.0.1 %u %s 0 5000", to->port, key);
    ck_assert_str_eq(server_ask(from, command), "OK");
    ck_assert_int_eq(ask_one(&w, &add, key, NULL), REDIS_OK); /* ASK */
    ck_assert_int_eq(ask_one(&w, &add, young, NULL), REDIS_OK);
    ck_assert_ptr_nonnull(strstr(server_ask(from, "INFO errorstats"), "errorstat_ASK:count="));
    for (unsigned i = 0; i < NODES; i++)
        tell(&nodes[i], "CLUSTER SETSLOT %lu NODE %s", slot, id_of(to));
    ck_assert_int_eq(ask_one(&w, &add, key, NULL), REDIS_OK); /* MOVED */
    ck_assert_str_eq(get(to, key), "4");
    ck_assert_str_eq(get(to, young), "1");
    server_ask(from, "CONFIG RESETSTAT");
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(ask_one(&w, &add, key, NULL), REDIS_OK);
    ck_assert_ptr_null(strstr(server_ask(from, "INFO errorstats"), "MOVED"));
}
END_TEST

/* Not its master: a server whose last slot has gone becomes a replica. */
static unsigned clients_of(const struct server *s)
{
    unsigned n = 0;

    for (const char *at = server_ask(s, "CLIENT LIST"); (at = strstr(at, "flags=N")); at++)
        n++;
    return n;
}

START_TEST(test_a_server_that_joins_is_found_and_one_that_leaves_is_let_go)
{
    const char *key = "key:{joins}a";
    unsigned long slot = redis_slot_of(str_from(key));
    const struct server *from = node_of(key);
    struct server fourth;

    ask_until_ok(&w, &add, "first");
    fourth = start_node();
    meet(&nodes[0], &fourth);
    for (unsigned i = 0; i < NODES; i++)
        UNTIL(&w, knows(&nodes[i], NODES + 1));
    UNTIL(&w, knows(&fourth, NODES + 1));
    tell(&fourth, "CLUSTER SETSLOT %lu NODE %s", slot, id_of(&fourth));
    for (unsigned i = 0; i < NODES; i++)
        tell(&nodes[i], "CLUSTER SETSLOT %lu NODE %s", slot, id_of(&fourth));
    ask_until_ok(&w, &add,
                 key); /* it says CLUSTERDOWN for a while, like every server that is new */
    ck_assert_str_eq(get(&fourth, key), "1");

    server_ask(&fourth, "FLUSHALL");
    tell(&fourth, "CLUSTER SETSLOT %lu NODE %s", slot, id_of(from));
    for (unsigned i = 0; i < NODES; i++)
        tell(&nodes[i], "CLUSTER SETSLOT %lu NODE %s", slot, id_of(from));
    ask_until_ok(&w, &add, key);
    ck_assert_str_eq(get(from, key), "1");
    UNTIL(&w, clients_of(&fourth) == 1); /* only who asks for it */
    server_kill(&fourth);
    ask_until_ok(&w, &add, key);
    ck_assert_str_eq(get(from, key), "2");
    UNTIL(&w, redis_is_up(w.store) && w.went_away == w.came_back);
}
END_TEST

START_TEST(test_a_server_that_is_away_takes_only_its_own_slots_with_it)
{
    const char *lost = "key:{moves}a";
    struct server *gone = &nodes[node_of(lost) - nodes];
    struct asking a;

    ask_until_ok(&w, &add, lost);
    server_kill(gone);
    UNTIL(&w, w.went_away == 1);
    for (unsigned i = 0; i < KEYS; i++) {
        if (node_of(key_of(i)) != gone) {
            ck_assert_int_eq(ask_one(&w, &add, key_of(i), NULL), REDIS_OK);
            continue;
        }
        asking_init(&a);
        ck_assert(!ask(&w, &a, &add, key_of(i), NULL));
    }
    ck_assert(redis_is_up(w.store));
    start_again(gone);
    ask_until_ok(&w, &add, lost);
    UNTIL(&w, w.came_back == w.went_away);
}
END_TEST

START_TEST(test_the_replica_that_takes_over_is_found)
{
    const char *key = "key:{moves}a";
    struct server *old = &nodes[node_of(key) - nodes], replica;

    ask_until_ok(&w, &add, key);
    replica = start_node();
    meet(&nodes[0], &replica);
    UNTIL(&w, knows(&replica, NODES + 1));
    tell(&replica, "CLUSTER REPLICATE %s", id_of(old));
    UNTIL(&w, strstr(server_ask(old, "INFO replication"), "state=online"));
    UNTIL(&w, slots_are_all_seen(&replica));
    server_kill(old);
    ck_assert_str_eq(server_ask(&replica, "CLUSTER FAILOVER TAKEOVER"), "OK");
    ask_until_ok(&w, &add, key);
    ck_assert_str_eq(get(&replica, key), "2");
    UNTIL(&w, w.went_away == w.came_back);
    for (unsigned i = 0; i < KEYS; i++)
        ck_assert_int_eq(ask_one(&w, &add, key_of(i), NULL), REDIS_OK);
}
END_TEST

START_TEST(test_a_whole_cluster_that_went_away_is_found_again)
{
    ask_until_ok(&w, &add, "first");
    for (unsigned i = 0; i < NODES; i++)
        server_kill(&nodes[i]);
    UNTIL(&w, !redis_is_up(w.store));
    for (unsigned i = 0; i < NODES; i++)
        start_again(&nodes[i]);
    for (unsigned i = 0; i < KEYS; i++)
        ask_until_ok(&w, &add, key_of(i));
    UNTIL(&w, w.went_away == w.came_back);
}
END_TEST

START_TEST(test_the_addresses_of_the_configuration_are_where_it_begins_again)
{
    struct server spare = { .port = free_port() };
    struct str addresses[2];
    struct redis_target t;

    snprintf(spare.address, sizeof spare.address, "127.0.0.1:%u", spare.port);
    addresses[0] = str_from(nodes[0].address);
    addresses[1] = str_from(spare.address); /* where nobody is yet */
    t = target_of(REDIS_CLUSTER, addresses, 2);
    worker_end(&w);
    worker_begin(&w, &t);
    ask_until_ok(&w, &add, "first");
    for (unsigned i = 0; i < NODES; i++)
        server_kill(&nodes[i]);
    UNTIL(&w, !redis_is_up(w.store));
    start_again(&spare);
    server_ask(&spare, "CLUSTER ADDSLOTSRANGE 0 16383");
    for (unsigned i = 0; i < KEYS; i++)
        ask_until_ok(&w, &add, key_of(i));
    ck_assert_str_eq(get(&spare, key_of(0)), "1");
    UNTIL(&w, w.went_away == w.came_back);
}
END_TEST

START_TEST(test_servers_that_are_called_by_name_are_reached_by_their_address)
{
    worker_end(&w);
    for (unsigned i = 0; i < NODES; i++) {
        server_ask(&nodes[i], "CONFIG SET cluster-announce-hostname redis.example");
        server_ask(&nodes[i], "CONFIG SET cluster-preferred-endpoint-type hostname");
    }
    for (unsigned i = 0; i < NODES; i++)
        for (;;) {
            const char *text = server_ask(&nodes[i], "CLUSTER SLOTS"), *at = text;
            unsigned seen = 0;

            while ((at = strstr(at, "redis.example"))) {
                seen++;
                at++;
            }
            if (seen >= NODES)
                break;
            usleep(1000);
        }
    begin_at(nodes, NODES);
    ask_until_ok(&w, &add, "first");
    for (unsigned i = 0; i < KEYS; i++)
        ck_assert_int_eq(ask_one(&w, &add, key_of(i), NULL), REDIS_OK);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("redis_cluster");
    TCase *whole = tcase_create("one cluster, which the last test hurts");
    TCase *hurt = tcase_create("a cluster of their own");

    tcase_add_unchecked_fixture(whole, form_cluster, NULL);
    tcase_add_checked_fixture(whole, begin_worker, end);
    tcase_set_timeout(whole, 60);
    suite_add_tcase(s, whole);
    tcase_add_test(whole, test_each_key_goes_to_who_has_its_slot);
    tcase_add_test(whole, test_one_address_is_enough_to_find_all);
    tcase_add_test(whole, test_a_slot_that_moves_is_followed_in_the_middle_and_after);
    tcase_add_test(whole, test_servers_that_are_called_by_name_are_reached_by_their_address);
    tcase_add_test(whole, test_a_server_that_joins_is_found_and_one_that_leaves_is_let_go);
    tcase_add_test(whole, test_a_server_that_is_away_takes_only_its_own_slots_with_it);
    tcase_add_checked_fixture(hurt, begin, end);
    tcase_set_timeout(hurt, 60);
    suite_add_tcase(s, hurt);
    tcase_add_test(hurt, test_the_replica_that_takes_over_is_found);
    tcase_add_test(hurt, test_a_whole_cluster_that_went_away_is_found_again);
    tcase_add_test(hurt, test_the_addresses_of_the_configuration_are_where_it_begins_again);
    return redis_suite_run(s);
}
