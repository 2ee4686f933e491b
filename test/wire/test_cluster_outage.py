"""Limits that several gateways keep together, when the store is away, slow, lying, elsewhere, or begins anew."""
import signal
import socket
import threading
import time

import pytest

from stage.gateway import wait_until
from stage.ports import free_port
from stage.together import Flood, statuses, together

FALLBACK = "gateway_limit_fallback_total"


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
    assert 1 <= waited <= 6                               # not sixty


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
    gw = together(stage, redis, workers=1, burst=3, key="header:X-Key", store={"outage": {"retry_every": "50ms"}})
    assert statuses(gw, 4, {"X-Key": "a"}) == [200] * 3 + [429]
    redis.stop()
    redis.start()

    def asked():
        gw.get("/", {"X-Key": str(time.monotonic())})
        return redis.calls("evalsha") > 0
    wait_until(asked)
    assert statuses(gw, 4, {"X-Key": "b"}) == [200] * 3 + [429]


def test_a_store_that_comes_and_goes_is_only_ever_asked_or_done_without(stage):
    redis = stage.redis()
    gw = together(stage, redis, rate="500/s", burst=500, key="header:X-Key", on_store_failure="local",
                  store={"timeout": "50ms", "connect_timeout": "50ms", "outage": {"open_after": 2, "retry_every": "50ms"}})
    with Flood([gw], clients=6) as flood:
        for _ in range(3):
            redis.stop()
            flood.more(100)
            redis.start()
            wait_until(lambda: redis.calls("evalsha") > 0, 20)
            redis.pause()
            flood.more(100)
            redis.go_on()
            flood.more(100)
    assert set(flood.statuses[0]) <= {200, 429}


def test_a_slow_store_makes_nobody_wait_longer_than_it_may_take(stage):
    redis = stage.redis()
    gw = together(stage, redis, key="header:X-Key", on_store_failure="allow",
                  store={"timeout": "100ms", "connect_timeout": "100ms", "outage": {"open_after": 1000, "retry_every": "10s"}})
    assert gw.get("/", {"X-Key": "first"}).status == 200
    redis.pause()
    begun = time.monotonic()
    clients = [gw.client() for _ in range(40)]
    for i, c in enumerate(clients):
        c.ask(headers={"X-Key": str(i % 5)})              # eight wait for each answer
    assert [c.answer().status for c in clients] == [200] * 40
    assert gw.metrics().get(FALLBACK, service="u") == 40
    slow = [line for line in gw.wait_records(41) if line["latency_ms"] > 1000]
    assert not slow and time.monotonic() - begun < 20


def test_who_leaves_while_the_store_is_asked_leaves_nothing_behind(stage):
    redis = stage.redis()
    gw = together(stage, redis, key="header:X-Key", workers=1, store={"timeout": "20s"})
    assert gw.get("/", {"X-Key": "first"}).status == 200
    redis.pause()
    gone = [gw.client() for _ in range(10)]
    for i, c in enumerate(gone):
        c.ask(headers={"X-Key": str(i % 3)})
    gw.wait_metric(lambda m: m.get("gateway_requests_in_flight") >= 10)
    for c in gone:
        c.reset()
    gw.wait_records(lambda lines: sum(line["reason"] == "client_gone" for line in lines) == 10)
    redis.go_on()
    assert statuses(gw, 1, {"X-Key": "other"}) == [200]
    assert gw.service.seen == 2


def test_a_gateway_that_is_stopped_while_it_asks_ends(stage):
    redis = stage.redis()
    gw = together(stage, redis, key="header:X-Key", store={"timeout": "20s"}, sync=0)
    assert gw.get("/", {"X-Key": "first"}).status == 200
    redis.pause()
    waiting = [gw.client() for _ in range(8)]
    for i, c in enumerate(waiting):
        c.ask(headers={"X-Key": str(i)})
    gw.signal(signal.SIGTERM)
    gw.wait_notified("STOPPING=1")
    gw.signal(signal.SIGTERM)                             # a second one: at once
    assert gw.wait_end() == 0


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
    a, b = together(stage, sentinel, count=2, workers=1, burst=6, on_store_failure="deny",
                    store={"mode": "sentinel", "master_name": "mymaster", "outage": {"retry_every": "100ms"}})
    assert [gw.get("/").status for gw in (a, b, a)] == [200] * 3
    wait_until(lambda: replica.ask("DBSIZE") >= master.ask("DBSIZE") > 0)
    master.stop()
    wait_until(lambda: sentinel.master_port() == replica.port, 30)
    # what was taken before is known there
    assert [wait_until(lambda: gw.get("/").status == 200, 20) for gw in (a, b)]
    assert [gw.get("/").status for gw in (b, a, b)] == [200, 429, 429]
