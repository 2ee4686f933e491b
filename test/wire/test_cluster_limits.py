"""Limits that several gateways keep together in one Redis."""
import os
import signal
import time

import pytest

from stage.gateway import wait_until
from stage.ports import free_port
from stage.service import text
from stage.together import Flood, config, statuses, together

FALLBACK = "gateway_limit_fallback_total"
PER_DAY = {"token_bucket": {"rate": "24/d", "burst": 300}, "gcra": {"rate": "24/d", "burst": 300},
           "leaky_bucket": {"rate": "24/d", "burst": 300}, "fixed_window": {"rate": "300/d"},
           "sliding_window": {"rate": "300/d"}}
ERROR = 10                      # ratelimit/README.md: shares not spent are at most one part in ten, or one for each gateway


# ---- one limit ----

def test_two_gateways_keep_one_limit(stage):
    a, b = together(stage, stage.redis(), count=2)
    got = [gw.get("/").status for _ in range(10) for gw in (a, b)]
    assert got == [200] * 10 + [429] * 10
    assert int(a.last.headers["Retry-After"]) > 3000


@pytest.mark.parametrize("algorithm", PER_DAY)
def test_three_gateways_under_load_are_granted_what_the_limit_says(stage, algorithm):
    """All that is granted is spent, since each of them has more to do than its share."""
    gateways = together(stage, stage.redis(), count=3, algorithm=algorithm, **{"burst": None, **PER_DAY[algorithm]})
    with Flood(gateways) as flood:
        flood.until(lambda: all(s.count(429) >= 50 for s in flood.statuses))
    assert flood.count(200) in (300, 301)                 # one may have been earned on the way
    assert flood.count(200) + flood.count(429) == flood.answered()


@pytest.mark.parametrize("algorithm", ["token_bucket", "fixed_window"])
def test_all_load_on_one_gateway_gets_all_but_what_others_hold(stage, algorithm):
    gateways = together(stage, stage.redis(), count=3, algorithm=algorithm, **{"burst": None, **PER_DAY[algorithm]})
    with Flood(gateways[1:]) as others:
        others.more(60)
    with Flood(gateways[:1]) as flood:
        flood.more_of(429, 50, 0)
    total = others.count(200) + flood.count(200)
    assert 300 - 300 // ERROR <= total <= 301


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_gateway_alone_gets_all_of_it(stage, workers):
    gw = together(stage, stage.redis(), workers=workers, burst=1000)
    with Flood([gw], clients=8) as flood:
        flood.more_of(429, 50, 0)
    assert 1000 <= flood.count(200) <= 1001


def test_what_is_earned_is_bounded_by_the_clock(stage):
    """Over a time that the test measures: never more than burst, rate and the shares allow; and they do get most of it."""
    gateways = together(stage, stage.redis(), count=3, rate="200/s", burst=40)
    begun = time.monotonic()
    with Flood(gateways) as flood:
        flood.until(lambda: flood.count(200) >= 400)
    took = time.monotonic() - begun
    assert flood.count(200) <= 40 + 200 * took + 40 // ERROR + 3
    assert set().union(*flood.statuses) <= {200, 429}


def test_what_gateways_held_over_a_pause_comes_on_top_and_is_little(stage):
    redis = stage.redis()
    gateways = together(stage, redis, count=3, rate="200/s", burst=100)
    with Flood(gateways) as flood:
        flood.until(lambda: all(s.count(429) >= 5 for s in flood.statuses) and flood.count(200) > 150)
    for gw in gateways:
        gw.get("/")                                       # a share of which all but one is held
    wait_until(lambda: not redis.ask("KEYS", "gw:{u/*"))  # all of it may be taken again
    begun = time.monotonic()
    with Flood(gateways) as flood:
        flood.until(lambda: all(s.count(429) >= 5 for s in flood.statuses))
    took = time.monotonic() - begun
    assert flood.count(200) <= 100 + 100 // ERROR + 3 + 200 * took


def test_answers_say_what_is_left_of_the_whole(stage):
    a, b = together(stage, stage.redis(), count=2, burst=4, headers_when="always")
    left = [gw.get("/").headers["X-RateLimit-Remaining"] for gw in (a, b, a, b, a)]
    assert left == ["3", "2", "1", "0", "0"]
    assert a.last.headers["RateLimit"].startswith('"rate_limit";r=0;t=14')
    assert a.last.headers["RateLimit-Policy"] == '"rate_limit";q=24;w=86400'


def test_shares_are_spent_without_asking(stage):
    redis = stage.redis()
    gw = together(stage, redis, rate="1000/s", burst=100000)
    before = redis.calls("evalsha")
    with Flood([gw], clients=8) as flood:
        flood.more(2000)
    assert flood.count(200) == flood.answered()
    assert redis.calls("evalsha") - before < flood.answered() / 10


def test_a_flood_of_refusals_costs_the_store_next_to_nothing(stage):
    redis = stage.redis()
    gw = together(stage, redis, burst=5)
    with Flood([gw], clients=8) as flood:
        flood.more_of(429, 10, 0)
        before = redis.calls("evalsha")
        flood.more_of(429, 2000, 0)
        asked = redis.calls("evalsha") - before
    assert flood.count(200) == 5
    assert asked < 20                                     # the announcements of who lives


def test_each_client_has_its_own_limit_on_all_gateways(stage):
    a, b = together(stage, stage.redis(), count=2, burst=3, key="ip")
    assert [gw.get("/", source=source).status for source in ("127.0.0.1", "127.0.0.2") for gw in (a, b, a, b)] == \
        [200, 200, 200, 429] * 2


@pytest.mark.parametrize("key", ["header:X-Key", "query:k", "cookie:k"])
def test_long_keys_are_the_same_everywhere_and_nowhere_in_plain(stage, key):
    redis = stage.redis()
    a, b = together(stage, redis, count=2, burst=2, key=key)
    secret = "s" * 100
    headers = {"X-Key": secret, "Cookie": f"k={secret}"}
    assert [gw.get("/?k=" + secret, headers).status for gw in (a, b, a)] == [200, 200, 429]
    keys = redis.ask("KEYS", "*")
    assert keys and not any(secret in k for k in keys)
    assert all(k.startswith("gw:{") and (k == "gw:{gateways}" or k.startswith("gw:{u/rate_limit:")) for k in keys)
    assert all(redis.ask("PTTL", k) > 0 for k in keys)


# ---- exactly ----

@pytest.mark.parametrize("algorithm,limit", [*PER_DAY.items(), ("sliding_log", {"rate": "60/d"})])
def test_sync_0_asks_for_each_request_and_is_exact(stage, algorithm, limit):
    redis = stage.redis()
    gateways = together(stage, redis, count=2, algorithm=algorithm, sync=0, **{"burst": None, **limit})
    most = int(limit.get("burst") or limit["rate"].split("/")[0])
    with Flood(gateways) as flood:
        flood.until(lambda: all(s.count(429) >= 20 for s in flood.statuses))
    assert flood.count(200) in (most, most + 1)
    assert redis.calls("evalsha") >= flood.answered()


def test_with_sync_0_a_queue_is_one_for_all_gateways(stage):
    """Two a second, evenly spaced, whichever gateway they come through."""
    service = stage.service()
    gateways = together(stage, stage.redis(), service, count=2, algorithm="leaky_bucket", rate="2/s", burst=None, delay="2s",
                        sync=0)
    clients = [gw.client() for gw in gateways for _ in range(4)]
    for c in clients:
        c.ask()
    got = sorted(c.answer().status for c in clients)
    assert got.count(200) in (5, 6) and got.count(429) == 8 - got.count(200)


@pytest.mark.parametrize("limit", [{"algorithm": "sliding_log", "rate": "60/m", "burst": None},
                                   {"algorithm": "leaky_bucket", "delay": "1s", "burst": None}])
def test_what_cannot_be_shared_is_refused_at_load(stage, limit):
    gw = together(stage, free_port(), sync=0, **limit)
    with open(gw.config_path) as file:
        text = file.read().replace('"sync": 0', '"sync": "100ms"')
    bad = gw.config_path + ".bad"
    with open(bad, "w") as file:
        file.write(text)
    done = stage.sluice("check", bad)
    assert done.returncode != 0
    assert 'needs \\"sync: 0\\"' in done.stderr + done.stdout or 'needs "sync: 0"' in done.stderr + done.stdout


# ---- whose ----

def test_a_limit_of_all_gateways_sees_requests_that_nobody_takes(stage):
    redis = stage.redis()
    service = stage.service()
    made = []
    for _ in range(2):
        again = config(redis.port, rate="24/d", burst=5, key="global")
        again["middleware_config"]["all_of_it"] = {"type": "rate_limit", **again["middleware_config"].pop("rate_limit")}
        again.pop("service")
        made.append(stage.gateway(services=[stage.route(service, path="/u")], middleware=["all_of_it"], **again))
    a, b = made
    got = [gw.get(path).status for gw, path in ((a, "/u"), (b, "/nobody"), (a, "/nobody"), (b, "/u"), (a, "/u"), (b, "/u"), (a, "/nobody"))]
    assert got == [200, 404, 404, 200, 200, 429, 429]
    assert any(key.startswith("gw:{/all_of_it:") for key in redis.ask("KEYS", "*"))


def test_a_gateway_is_counted_in_each_of_its_stores(stage):
    one, other = stage.redis(), stage.redis()
    again = config(one.port, middleware=["rate_limit", "inner"], rate="1000/s", burst=1000,
                   extra={"inner": {"type": "rate_limit", "store": "redis:other"}})
    again["stores"]["redis"]["other"] = {"urls": [f"127.0.0.1:{other.port}"]}
    gw = stage.proxy(stage.service(), **again)
    wait_until(lambda: gw.get("/").status == 200 and all(store.ask("ZCARD", "gw:{gateways}") == 1 for store in (one, other)))


def test_limits_of_other_names_and_prefixes_are_others(stage):
    redis = stage.redis()
    a, b = together(stage, redis, burst=2), together(stage, redis, burst=2, store={"key_prefix": "other:"})
    assert [gw.get("/").status for gw in (a, a, a, b, b, b)] == [200, 200, 429] * 2


# ---- as within a gateway ----

@pytest.mark.parametrize("sync", ["200ms", 0])
def test_what_a_later_limit_refuses_is_given_back(stage, sync):
    redis = stage.redis()
    gw = together(stage, redis, middleware=("rate_limit", "inner"), burst=6, sync=sync,
                  extra={"inner": {"type": "rate_limit", "rate": "24/d", "burst": 1, "key": "ip"}})
    assert gw.get("/").status == 200
    assert statuses(gw, 10) == [429] * 10                 # by the inner one: nobody pays for it
    assert [gw.get("/", source=f"127.0.0.{i}").status for i in range(2, 7)] == [200] * 5
    assert gw.get("/", source="127.0.0.9").status == 429


@pytest.mark.parametrize("sync", ["200ms", 0])
def test_the_service_says_what_it_has_cost(stage, sync):
    service = stage.service()
    redis = stage.redis()
    gw = together(stage, redis, service, burst=5, sync=sync, cost_header="X-Cost", workers=1)
    for cost in ("4", "0", "1"):                          # 4 of 5; nothing, after all; the last one
        service.answers(text("ok", headers=[("X-Cost", cost)]))
        asked = redis.calls("evalsha")
        assert gw.get("/").status == 200
        assert "X-Cost" not in gw.last.headers
        if sync == 0 or cost == "4":                      # the store has to be told
            wait_until(lambda: redis.calls("evalsha") >= asked + (2 if sync == 0 and cost != "1" else 1))
    assert gw.get("/").status == 429


@pytest.mark.parametrize("cost, admitted", [("7", 3), ("1000", 1)])
@pytest.mark.parametrize("algorithm", ["token_bucket", "fixed_window", "sliding_window", "sliding_log"])
def test_a_cost_of_more_than_is_left_takes_what_is_left(stage, algorithm, cost, admitted):
    redis = stage.redis()
    gw = together(stage, redis, stage.service(text("ok", headers=[("X-Cost", cost)])), algorithm=algorithm, rate="20/d" if "_w" in algorithm or "_l" in algorithm else "24/d",
                  burst=20, sync=0, cost_header="X-Cost", cost=2, workers=1)
    for status in [200] * admitted + [429] * 3:
        asked = redis.calls("evalsha") + redis.calls("eval")
        assert gw.get("/").status == status
        wait_until(lambda: redis.calls("evalsha") + redis.calls("eval") >= asked + (2 if status == 200 else 1))


@pytest.mark.parametrize("sync", ["200ms", 0])
def test_a_key_that_a_later_step_takes_away_is_still_whose_it_was(stage, sync):
    """What is settled afterwards is settled with whoever was counted, whatever the request looks like by then."""
    redis = stage.redis()
    service = stage.service(answers=text("ok", headers=[("X-Cost", "3")]))
    gw = together(stage, redis, service, middleware=("rate_limit", "auth_apikey", "inner"), burst=8, sync=sync, workers=1,
                  key="header:X-API-KEY", key_missing="refuse", cost_header="X-Cost",
                  extra={"auth_apikey": {"valid_keys": ["abc"], "strip": True},
                         "inner": {"type": "rate_limit", "rate": "24/d", "burst": 2, "key": "service", "scope": "node", "cost_header": ""}})
    worker = gw.workers()
    got = statuses(gw, 6, {"X-API-KEY": "abc"})
    assert got == [200] * 2 + [429] * 4                   # by the inner one: given back
    assert gw.workers() == worker
    assert [key for key in redis.ask("KEYS", "*") if key.startswith("gw:{u/rate_limit:")] != []

    def taken():
        held = [redis.ask("GET", key) for key in redis.ask("KEYS", "gw:{u/rate_limit:*")]
        return [int(state.split()[1]) / int(state.split()[3]) for state in held]
    wait_until(lambda: len(taken()) == 1 and 5 <= taken()[0] <= 7, explain=taken)      # six, and one may be held


def test_in_shadow_nobody_is_refused(stage):
    gw = together(stage, stage.redis(), burst=2, mode="shadow")
    assert statuses(gw, 6) == [200] * 6
    gw.wait_metric(lambda m: m.get("gateway_shadow_refusals_total", service="u") == 4)


def test_a_quota_of_a_plan_is_one_for_all_gateways(stage):
    service = stage.service()
    redis = stage.redis()
    made = []
    for _ in range(2):
        again = config(redis.port, middleware=["auth_apikey", "rate_limit"], rate="plan", burst=None, key="consumer")
        entry = stage.route(service, path="/", **again.pop("service"))
        made.append(stage.gateway(services=[entry], plans={"gold": {"rate": "24/d", "burst": 20, "quota": "5/d"}},
                                  consumers=[{"name": "acme", "plan": "gold", "keys": [{"id": "one", "key": "k" * 40}]}], **again))
    a, b = made
    headers = {"X-API-KEY": "k" * 40}
    assert [gw.get("/", headers).status for gw in (a, b) * 4] == [200] * 5 + [429] * 3
    # the refused ones did not use the rate: 15 are left of it
    assert sum("quota" in key for key in redis.ask("KEYS", "*")) == 1
    rate = next(k for k in redis.ask("KEYS", "*") if k.startswith("gw:{u/rate_limit:gold:") and "quota" not in k)
    _, missing, _, token = map(int, redis.ask("GET", rate).split())
    assert missing / token <= 5 + 2 * 2                   # and what is held


# ---- reload ----

def test_a_reload_that_changes_the_rate_keeps_what_was_taken(stage):
    redis = stage.redis()
    gw = together(stage, redis, burst=10)
    assert statuses(gw, 8) == [200] * 8
    again = config(redis.port, burst=12)
    again["services"] = [stage.route(gw.service, path="/", **again.pop("service"))]
    gw.reload(**again)
    assert statuses(gw, 8) == [200] * 4 + [429] * 4


def test_a_reload_that_raises_the_rate_lets_in_who_was_refused_for_long(stage):
    redis = stage.redis()
    gw = together(stage, redis, algorithm="fixed_window", rate="5/d", burst=None)
    assert statuses(gw, 7) == [200] * 5 + [429] * 2
    again = config(redis.port, algorithm="fixed_window", rate="8/d", burst=None)
    again["services"] = [stage.route(gw.service, path="/", **again.pop("service"))]
    gw.reload(**again)
    assert statuses(gw, 5) == [200] * 3 + [429] * 2


def test_a_reload_that_names_another_store_begins_there(stage):
    one, other = stage.redis(), stage.redis()
    gw = together(stage, one, burst=3)
    assert statuses(gw, 4) == [200] * 3 + [429]
    again = config(one.port, burst=3, store={})
    again["stores"]["redis"]["other"] = {"urls": [f"127.0.0.1:{other.port}"], "timeout": "2s"}
    again["middleware_config"]["rate_limit"]["store"] = "redis:other"
    again["services"] = [stage.route(gw.service, path="/", **again.pop("service"))]
    gw.reload(**again)
    assert statuses(gw, 4) == [200] * 3 + [429]
    assert len(other.ask("KEYS", "gw:{u/*")) == 1


def test_reloads_that_change_rate_store_and_scope_under_load_answer_nothing_else(stage):
    one, other = stage.redis(), stage.redis()
    gw = together(stage, one, rate="1000/s", burst=1000, key="ip")
    with Flood([gw], clients=6) as flood:
        for limit in ({"rate": "500/s"}, {"scope": "node"}, {"port": other.port}, {"algorithm": "fixed_window", "burst": None},
                      {"sync": 0}, {"algorithm": "sliding_window", "burst": None, "port": one.port}, {"rate": "50/s", "burst": 10}):
            limit = {"rate": "1000/s", "burst": 1000, "key": "ip", **limit}
            again = config(limit.pop("port", one.port), **limit)
            again["services"] = [stage.route(gw.service, path="/", **again.pop("service"))]
            gw.reload(**again)
            flood.more(150)
    assert set(flood.statuses[0]) <= {200, 429}
    assert not gw.metrics().get(FALLBACK, service="u")


def test_a_killed_worker_loses_at_most_what_it_had_just_been_granted(stage):
    redis = stage.redis()
    gw = together(stage, redis, burst=400, workers=2)
    gw.may_crash = True
    with Flood([gw], clients=1) as flood:
        flood.more(40)
    for pid in gw.workers():
        os.kill(pid, signal.SIGKILL)
    gw.wait_workers(2, without=())
    with Flood([gw], clients=4) as rest:
        rest.more_of(429, 20, 0)
    total = flood.count(200) + rest.count(200)
    assert 400 - 2 * (400 // ERROR) <= total <= 401
