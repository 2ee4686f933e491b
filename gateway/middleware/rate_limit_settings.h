/* What rate_limit can be told. */
#ifndef GATEWAY_MIDDLEWARE_RATE_LIMIT_SETTINGS_H
#define GATEWAY_MIDDLEWARE_RATE_LIMIT_SETTINGS_H

#include "conf/schema.h"
#include "gateway/base/number.h"
#include "gateway/limiting/limit_ban.h"
#include "gateway/limiting/limit_cluster.h"
#include "gateway/limiting/limit_exempt.h"

struct rate_limit_settings {
    struct number_rate rate;
    struct str plan_default;
    uint64_t burst;
    int algorithm;
    uint64_t delay, tolerance, log_keys;
    struct conf_list key;
    int key_missing;
    uint64_t cost;
    struct str cost_header;
    struct limit_exempt_settings exempt;
    struct limit_ban_settings ban;
    int scope;
    struct str store;
    struct limit_sync_settings sync;
    int on_store_failure;
    uint64_t status;
    struct str body, quota_body;
    uint64_t retry_jitter;
    uint64_t headers;
    int headers_when;
};

extern const struct conf_key rate_limit_keys[];
/* Across fields. */
void rate_limit_check(const void *settings, const struct conf_node *at, struct conf_problems *p);

#endif
