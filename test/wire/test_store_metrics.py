"""What an operator sees of a store outside: is it well, what becomes of questions, and that reloads and ends are quiet."""
import os
import signal

from stage.gateway import wait_until
from stage.together import statuses, together

STATE, REQUESTS = "gateway_store_state", "gateway_store_requests_total"
QUICK = {"timeout": "100ms", "connect_timeout": "100ms", "outage": {"open_after": 2, "retry_every": "100ms"}}


def questions(gw, outcome):
    return gw.metrics().get(REQUESTS, store="main", outcome=outcome) or 0


def ask_until(gw, ready):
    """Requests of ever new clients, whom only the store knows, until it is so."""
    names = iter(range(1000000))

    def look():
        statuses(gw, 4, {"X-Key": f"{id(ready)}-{next(names)}"})
        return ready()
    wait_until(look, 20, explain=lambda: gw.stderr())


def test_a_store_that_is_well_says_0_and_counts_answers(stage):
    redis = stage.redis()
    gw = together(stage, redis, key="header:X-Key", sync=0)
    assert gw.metrics().get(STATE, store="main") == 0         # before anybody asked
    assert statuses(gw, 5, {"X-Key": "a"}) == [200] * 5
    m = gw.metrics()
    assert m.get(STATE, store="main") == 0
    assert m.get(REQUESTS, store="main", outcome="ok") >= 5
    assert m.get("gateway_store_request_duration_seconds_count", store="main") == m.get(REQUESTS, store="main", outcome="ok")
    assert m.series(REQUESTS, outcome="failed") == []


def test_the_state_is_how_many_workers_see_it_away_and_recovery_is_seen(stage):
    redis = stage.redis()
    gw = together(stage, redis, key="header:X-Key", workers=2, on_store_failure="allow", sync=0, store=QUICK)
    ask_until(gw, lambda: questions(gw, "ok") > 20)
    redis.stop()
    ask_until(gw, lambda: gw.metrics().get(STATE, store="main") == 2)
    gw.wait_stderr(r"store redis:main: 127\.0\.0\.1:\d+ is away: ")
    redis.start()
    gw.wait_metric(lambda m: m.get(STATE, store="main") == 0)     # nobody has to ask
    gw.wait_stderr(r"store redis:main: 127\.0\.0\.1:\d+ is back")


def test_a_worker_that_died_sees_nothing_away(stage):
    redis = stage.redis()
    gw = together(stage, redis, key="header:X-Key", workers=1, on_store_failure="allow", sync=0,
                  store={**QUICK, "outage": {"open_after": 2, "retry_every": "20s"}})
    redis.pause()
    ask_until(gw, lambda: gw.metrics().get(STATE, store="main") == 1)
    redis.go_on()
    worker = gw.workers()[0]
    os.kill(worker, signal.SIGKILL)
    gw.wait_workers(1, without=[worker])
    gw.wait_metric(lambda m: m.get(STATE, store="main") == 0)


def connections(redis):
    """Of gateways, by number; not the one that asks."""
    lines = redis.ask("CLIENT", "LIST").splitlines()
    return {line.split("id=")[1].split()[0] for line in lines if "cmd=client" not in line}


def test_a_reload_keeps_the_connections_of_a_store_and_another_value_gets_others(stage):
    redis = stage.redis()
    gw = together(stage, redis, key="header:X-Key", workers=1, sync=0, store={"pool": {"per_worker": 2}})
    ask_until(gw, lambda: len(connections(redis)) == 2)
    before = connections(redis)
    gw.config["middleware_config"]["rate_limit"]["burst"] = 11
    gw.reload(**gw.config)
    ask_until(gw, lambda: True)
    assert connections(redis) == before
    gw.config["stores"]["redis"]["main"]["timeout"] = "3s"
    gw.reload(**gw.config)
    ask_until(gw, lambda: len(connections(redis)) == 4)
    assert connections(redis) > before                        # the old ones go when nobody has used them for a while


def test_a_gateway_that_stops_says_goodbye_to_its_stores(stage):
    redis = stage.redis()
    gw = together(stage, redis, key="header:X-Key", sync=0)
    ask_until(gw, lambda: len(connections(redis)) > 0)
    gw.stop()
    wait_until(lambda: connections(redis) == set())
    assert "ERROR" not in gw.stderr()
