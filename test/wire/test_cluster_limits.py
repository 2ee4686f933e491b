"""Limits that several gateways keep together in one Redis, and what becomes of them when it is away."""
import socket
import threading
import time

import pytest

from stage import names
from stage.gateway import wait_until
from stage.ports import free_port
from stage.service import text

FALLBACK = "gateway_limit_fallback_total"
PER_DAY = {"token_bucket": {"rate": "24/d", "burst": 300}, "gcra": {"rate": "24/d", "burst": 300},
           "leaky_bucket": {"rate": "24/d", "burst": 300}, "fixed_window": {"rate": "300/d"},
           "sliding_window": {"rate": "300/d"}}
ERROR = 10                      # ratelimit/README.md: shares not spent are at most one part in ten, or one for each gateway


def together(stage, redis, service=None, workers=2, count=1, store=None, middleware=("rate_limit",), extra=None, **limit):
    """Gateways whose limit "rate_limit" of the service "u" lies in one store."""
    service = service or stage.service()
    port = redis if isinstance(redis, int) else redis.port
    made = []
    for _ in range(count):
        gw = stage.proxy(service, **config(port, workers, store, middleware, extra, **limit))
        gw.service = service
        made.append(gw)
    return made if count > 1 else made[0]


def config(port, workers=2, store=None, middleware=("rate_limit",), extra=None, **limit):
    limit = {"scope": "cluster", "store": "redis:main", "rate": "24/d", "burst": 10, "key": "service", **limit}
    at = {"urls": [f"127.0.0.1:{port}"], "timeout": "2s", "connect_timeout": "2s", **(store or {})}
    return dict(workers=workers, service={"middleware": list(middleware), "name": "u"}, stores={"redis": {"main": at}},
                middleware_config={"rate_limit": {k: v for k, v in limit.items() if v is not None}, **(extra or {})})


def statuses(gw, count, *args, **more):
    return [gw.get("/", *args, **more).status for _ in range(count)]


class Flood:
    """Requests from all sides at once. statuses[i] are those of gateways[i]."""

    def __init__(self, gateways, clients=4, headers=()):
        self.gateways, self.headers = gateways, headers
        self.statuses = [[] for _ in gateways]
        self.errors, self.longest = [], 0.0
        self.ending = threading.Event()
        self.changed = threading.Condition()
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True)
                        for i in range(len(gateways)) for _ in range(clients)]

    def _run(self, i):
        try:
            with self.gateways[i].client() as c:
                while not self.ending.is_set():
                    begun = time.monotonic()
                    status = c.get("/", self.headers).status
                    took = time.monotonic() - begun
                    with self.changed:
                        self.statuses[i].append(status)
                        self.longest = max(self.longest, took)
                        self.changed.notify_all()
        except Exception as error:
            self.errors.append(f"{type(error).__name__}: {error}")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join(20)
        assert not self.errors, self.errors

    def count(self, status):
        return sum(s.count(status) for s in self.statuses)

    def answered(self):
        return sum(len(s) for s in self.statuses)

    def until(self, ready, seconds=30):
        with self.changed:
            assert self.changed.wait_for(lambda: ready() or self.errors, seconds), [len(s) for s in self.statuses]
        assert not self.errors, self.errors

    def more(self, count):
        goal = self.answered() + count
        self.until(lambda: self.answered() >= goal)

    def more_of(self, status, count, which):
        goal = self.statuses[which].count(status) + count
        self.until(lambda: self.statuses[which].count(status) >= goal)


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


def test_a_gateway_alone_gets_all_of_it(stage):
    gw = together(stage, stage.redis(), burst=1000)
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
    """Ten a second, evenly spaced, whichever gateway they come through."""
    service = stage.service()
    gateways = together(stage, stage.redis(), service, count=2, algorithm="leaky_bucket", rate="10/s", burst=None, delay="450ms",
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


def test_in_shadow_nobody_is_refused(stage):
    gw = together(stage, stage.redis(), burst=2, mode="shadow")
    assert statuses(gw, 6) == [200] * 6
    gw.wait_metric(lambda m: m.get("gateway_shadow_refusals_total", service="u") == 4)


# ---- without the store ----

@pytest.mark.parametrize("policy,admitted", [("local", 10), ("allow", 30), ("deny", 0), ("local_share", 10)])
def test_a_store_that_was_never_there_leaves_it_to_the_policy(stage, policy, admitted):
    gw = together(stage, free_port(), on_store_failure=policy)
    got = statuses(gw, 30)
    assert got == [200] * admitted + [429] * (30 - admitted)
    gw.wait_metric(lambda m: (m.get(FALLBACK, service="u", limit="rate_limit") or 0) == 30)
    if policy == "deny":
        assert {line["reason"] for line in gw.wait_records(30) if line["service"] == "u"} == {"store_away"}


def test_each_of_three_gateways_has_a_third_while_the_store_is_away(stage):
    redis = stage.redis()
    gateways = together(stage, redis, count=3, burst=90, key="header:X-Key")

    def scores():
        for gw in gateways:
            gw.get("/", {"X-Key": str(time.monotonic())})
        listed = redis.ask("ZRANGE", "gw:{gateways}", "0", "-1", "WITHSCORES")
        return dict(zip(listed[::2], listed[1::2]))

    first = wait_until(lambda: (lambda found: found if len(found) == 3 else None)(scores()))
    # each has heard of the others when it has announced itself once more
    wait_until(lambda: all(score != first[name] for name, score in scores().items()), 20)
    scores()
    redis.stop()
    for gw in gateways:
        assert statuses(gw, 40, {"X-Key": "new"}).count(200) in (30, 31)


@pytest.mark.parametrize("how", ["stop", "pause"])
def test_nobody_waits_longer_than_the_store_may_take_and_nothing_else_is_answered(stage, how):
    redis = stage.redis()
    gw = together(stage, redis, rate="1000/s", burst=1000, key="ip", on_store_failure="local",
                  store={"timeout": "100ms", "connect_timeout": "100ms", "outage": {"open_after": 3, "retry_every": "100ms"}})
    with Flood([gw], clients=8) as flood:
        flood.more(300)
        assert not gw.metrics().get(FALLBACK, service="u")
        getattr(redis, how)()
        gw.wait_metric(lambda m: (m.get(FALLBACK, service="u") or 0) > 100)
        flood.more(300)
        redis.start() if how == "stop" else redis.go_on()
        # it is asked again
        before = redis.calls("evalsha")
        wait_until(lambda: redis.calls("evalsha") > before + 3, 20)
        flood.more(300)
    assert set(flood.statuses[0]) <= {200, 429}


def test_a_store_that_is_away_makes_nobody_wait(stage):
    """Who is asked for a key that was never seen waits once for each of the first few; then the store is known to be away."""
    redis = stage.redis()
    gw = together(stage, redis, workers=1, key="header:X-Key", on_store_failure="allow",
                  store={"timeout": "300ms", "connect_timeout": "300ms", "outage": {"open_after": 3, "retry_every": "30s"}})
    assert gw.get("/", {"X-Key": "first"}).status == 200
    redis.pause()
    waited = 0
    for i in range(60):
        begun = time.monotonic()
        assert gw.get("/", {"X-Key": f"k{i}"}).status == 200
        waited += time.monotonic() - begun >= 0.29
    assert 1 <= waited <= 4


def test_black_hole(stage):
    """Something that takes the connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as hole:
        gw = together(stage, hole.getsockname()[1], on_store_failure="local",
                      store={"timeout": "100ms", "connect_timeout": "100ms", "outage": {"open_after": 3, "retry_every": "200ms"}})
        assert statuses(gw, 20) == [200] * 10 + [429] * 10


@pytest.mark.parametrize("lie", [b"*7\r\n" + b":999999\r\n" * 7, b"*7\r\n" + b":-5\r\n" * 7, b"*0\r\n", b"$3\r\nabc\r\n", b"-ERR no\r\n",
                                 b"garbage\r\n"])
def test_a_store_that_lies_is_not_believed(stage, lie):
    def serve(server):
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(peer,), daemon=True).start()

    def answer(peer):
        with peer:
            try:
                while peer.recv(65536):
                    peer.sendall(lie)
            except OSError:
                pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        gw = together(stage, server.getsockname()[1], on_store_failure="local", store={"timeout": "200ms"})
        assert statuses(gw, 20) == [200] * 10 + [429] * 10
        gw.stop()
        server.shutdown(socket.SHUT_RDWR)


def test_scripts_that_the_store_has_forgotten_are_told_again(stage):
    redis = stage.redis()
    gw = together(stage, redis, burst=3, key="header:X-Key")
    assert statuses(gw, 4, {"X-Key": "a"}) == [200] * 3 + [429]
    redis.ask("SCRIPT", "FLUSH")
    assert statuses(gw, 4, {"X-Key": "b"}) == [200] * 3 + [429]
    assert not gw.metrics().get(FALLBACK, service="u")


def test_a_store_that_starts_anew_has_forgotten_what_was_taken(stage):
    redis = stage.redis()
    gw = together(stage, redis, burst=3, key="header:X-Key", store={"outage": {"retry_every": "50ms"}})
    assert statuses(gw, 4, {"X-Key": "a"}) == [200] * 3 + [429]
    redis.stop()
    redis.start()

    def asked():
        gw.get("/", {"X-Key": str(time.monotonic())})
        return redis.calls("evalsha") > 0
    wait_until(asked)
    assert statuses(gw, 4, {"X-Key": "b"}) == [200] * 3 + [429]


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
    import os
    import signal
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


# ---- other forms of Redis ----

def test_keys_are_spread_over_a_cluster_and_each_client_keeps_one_limit(stage):
    nodes = stage.redis_cluster()
    a, b = together(stage, nodes[0], count=2, burst=3, key="header:X-Key", store={"mode": "cluster"})
    for client in range(30):
        got = [gw.get("/", {"X-Key": str(client)}).status for gw in (a, b, a, b)]
        assert got == [200, 200, 200, 429], client
    assert all(node.ask("DBSIZE") > 0 for node in nodes)
    assert not a.metrics().get(FALLBACK, service="u")
    nodes[2].stop()                                       # only who lives there is left to the policy
    alive = [c for c in range(100, 130) if a.get("/", {"X-Key": str(c)}).status == 200]
    assert len(alive) == 30
    fallbacks = a.wait_metric(lambda m: m.get(FALLBACK, service="u")).get(FALLBACK, service="u")
    assert 0 < fallbacks < 30


def test_sentinel_says_who_is_the_master_and_limits_follow_it(stage):
    master = stage.redis()
    replica = stage.redis("--replicaof", "127.0.0.1", str(master.port))
    wait_until(lambda: replica.info("replication", "master_link_status") == "up", 20)
    sentinel = stage.sentinel(master)
    wait_until(lambda: sentinel.ask("SENTINEL", "replicas", "mymaster"), 20)
    a, b = together(stage, sentinel, count=2, burst=6, on_store_failure="deny",
                    store={"mode": "sentinel", "master_name": "mymaster", "outage": {"retry_every": "100ms"}})
    assert [gw.get("/").status for gw in (a, b, a)] == [200] * 3
    wait_until(lambda: replica.ask("DBSIZE") >= master.ask("DBSIZE") > 0)
    master.stop()
    wait_until(lambda: sentinel.master_port() == replica.port, 30)
    # what was taken before is known there
    assert [wait_until(lambda: gw.get("/").status == 200, 20) for gw in (a, b)]
    assert [gw.get("/").status for gw in (b, a, b)] == [200, 429, 429]


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
