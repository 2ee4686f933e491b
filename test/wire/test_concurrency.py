"""So many at once, over all workers; who is refused, and who gets a place that is free again."""
import os
import signal
import threading
import time

import pytest

from stage import service as acts
from stage.crowd import LOST, REFUSED, RUNNING, WAITING, Counting, ask, limited, wait_gauges
from stage.gateway import wait_until


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_never_more_at_once_than_the_maximum_however_many_workers(stage, workers):
    act = Counting()
    gw = limited(stage, act, workers=workers, max=5, queue=200, queue_timeout="30s")
    clients = ask(gw, 40)
    act.wait_now(5)
    wait_gauges(gw, 5, 35)
    for turn in range(1, 8):
        act.let_go(5)
        gw.service.wait_event("in", 5 + 5 * turn)
    act.let_go()
    assert [c.answer().text for c in clients] == ["done"] * 40
    assert act.most == 5
    wait_gauges(gw, 0)


@pytest.mark.parametrize("workers", [1, 4])
def test_without_a_queue_the_rest_is_refused_at_once(stage, workers):
    act = Counting()
    gw = limited(stage, act, workers=workers, max=7)
    clients = ask(gw, 30)
    act.wait_now(7)
    gw.wait_metric(lambda m: m.get(REFUSED, service="u", limit="concurrency") == 23)
    act.let_go()
    answers = [c.answer() for c in clients]
    got = [a.status for a in answers]
    assert (got.count(200), got.count(503), act.most) == (7, 23, 7)
    refused = next(a for a in answers if a.status == 503)
    assert refused.headers["Retry-After"] == "1" and refused.text.strip() == "Too Many Requests At Once"


def test_refusals_say_why_in_the_log(stage):
    act = Counting()
    gw = limited(stage, act, workers=1, max=1)
    first = ask(gw, 1)[0]
    act.wait_now(1)
    assert gw.get().status == 503
    act.let_go()
    assert first.answer().status == 200
    assert {line["status"]: line["reason"] for line in gw.wait_records(2)}[503] == "concurrency_limited"


def test_a_client_that_leaves_gives_its_place_back(stage):
    s = stage.service(answers=acts.hang)
    gw = stage.proxy(s, workers=2, service={"name": "u", "middleware": [
        {"concurrency": {"max": 1, "queue": 5, "queue_timeout": "30s"}}]})
    first = ask(gw, 1)[0]
    s.wait_seen(1)
    second = ask(gw, 1)[0]
    wait_gauges(gw, 1, 1)
    s.answers("at last")
    first.close()
    assert second.answer().text == "at last"
    wait_gauges(gw, 0, 0)


@pytest.mark.parametrize("end", ["reset", "away", "broken off"])
def test_a_service_that_dies_gives_the_place_back(stage, end):
    held = acts.gate(acts.raw(b"HTTP/1.1 200 Said\r\nContent-Length: 100\r\n\r\nno", then="reset") if end == "broken off"
                     else acts.raw(then="reset"))
    s = stage.service(answers=held)
    gw = stage.proxy(s, workers=1, service={"name": "u", "middleware": [{"concurrency": {"max": 1}}]})
    client = ask(gw, 1)[0]
    s.wait_event("held")
    assert gw.get().status == 503
    if end == "away":
        s.away()
    held.open.set()
    try:
        assert client.answer().status == 502
    except LOST:
        assert end == "broken off"
    wait_gauges(gw, 0)
    if end != "away":
        s.answers("ok")
        assert gw.get().status == 200


def test_workers_killed_again_and_again_lose_no_place(stage):
    act = Counting()
    gw = limited(stage, act, workers=2, max=3, queue=50, queue_timeout="30s")
    for _ in range(4):
        act.allowed, act.open = 0, False
        clients = ask(gw, 10)
        wait_gauges(gw, 3, 7)
        before = gw.workers()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        gw.wait_workers(2, without=before)
        wait_gauges(gw, 0, 0)
        act.let_go()
        for c in clients:
            with pytest.raises(LOST):
                c.answer()
        act.wait_now(0)
    assert [c.answer().status for c in ask(gw, 3)] == [200] * 3


def test_a_reload_that_lowers_the_maximum_takes_nobodys_place(stage):
    act = Counting()
    gw = limited(stage, act, max=4, queue=50, queue_timeout="30s")
    clients = ask(gw, 4)
    act.wait_now(4)
    gw.config["services"][0]["middleware"][0]["concurrency"]["max"] = 2
    gw.reload(**gw.config)
    clients += ask(gw, 3)
    wait_gauges(gw, 4, 3)
    act.let_go(2)
    wait_gauges(gw, 2, 3)                         # two are there, as many as may be
    assert gw.service.seen == 4
    act.let_go(1)
    gw.service.wait_event("in", 5)
    act.let_go()
    assert [c.answer().status for c in clients] == [200] * 7


def test_counts_survive_a_reload(stage):
    act = Counting()
    gw = limited(stage, act, max=2)
    clients = ask(gw, 2)
    act.wait_now(2)
    other = stage.service()
    gw.config["services"].append(stage.route(other, path="/other", name="other"))
    gw.reload(**gw.config)
    assert [gw.get().status for _ in range(4)] == [503] * 4
    act.let_go()
    assert [c.answer().status for c in clients] == [200] * 2
    wait_gauges(gw, 0)
    assert gw.get().status == 200


def test_each_client_has_places_of_its_own_and_is_told_so(stage):
    act = Counting()
    gw = limited(stage, act, workers=2, key="ip", max=2)
    clients = ask(gw, 2, source="127.0.0.2") + ask(gw, 2, source="127.0.0.3")
    act.wait_now(4)
    assert gw.get("/", source="127.0.0.2").status == 429
    assert gw.get("/", source="127.0.0.3").status == 429
    clients += ask(gw, 1, source="127.0.0.4")
    act.wait_now(5)
    act.let_go()
    assert [c.answer().status for c in clients] == [200] * 5


def test_a_key_may_come_from_a_step_before(stage):
    act = Counting()
    s = stage.service(answers=act)
    gw = stage.proxy(s, service={"name": "u", "middleware": ["auth_apikey", {"concurrency": {"max": 1, "key": "api_key"}}]},
                     middleware_config={"auth_apikey": {"valid_keys": ["a", "b"]}})
    clients = [gw.client() for _ in range(2)]
    clients[0].ask("GET", "/", {"X-API-KEY": "a"})
    clients[1].ask("GET", "/", {"X-API-KEY": "b"})
    act.wait_now(2)
    assert gw.get("/", {"X-API-KEY": "a"}).status == 429
    act.let_go()
    assert [c.answer().status for c in clients] == [200] * 2


@pytest.mark.parametrize("missing, status", [("skip", 200), ("refuse", 429), ("ip", 429)])
def test_what_of_requests_without_a_key(stage, missing, status):
    act = Counting()
    gw = limited(stage, act, key=["header:X-Tenant"], max=1, key_missing=missing)
    first = ask(gw, 1)[0]
    if missing == "refuse":
        assert first.answer().status == 429
        first = gw.client()
        first.ask("GET", "/", {"X-Tenant": "t"})
    act.wait_now(1)
    second = gw.client()
    second.ask("GET", "/", {"X-Tenant": "t"} if missing == "refuse" else {})
    if status == 200:
        act.wait_now(2)
    else:
        assert second.answer().status == 429
    act.let_go()
    assert first.answer().status == 200
    if status == 200:
        assert second.answer().status == 200


def test_one_limit_may_be_for_all_services_together(stage):
    act = Counting()
    s = stage.service(answers=act)
    step = [{"concurrency": {"max": 2, "key": "global"}}]
    gw = stage.gateway(services=[stage.route(s, path=f"/{n}", name=n, middleware=step) for n in "ab"])
    clients = [gw.client(), gw.client()]
    clients[0].ask("GET", "/a")
    clients[1].ask("GET", "/b")
    act.wait_now(2)
    assert [gw.get(f"/{n}").status for n in "ab"] == [503, 503]
    act.let_go()
    assert [c.answer().status for c in clients] == [200] * 2


def test_a_limit_of_the_whole_gateway_counts_all_that_comes(stage):
    act = Counting()
    s = stage.service(answers=act)
    gw = stage.gateway(services=[stage.route(s, path="/a", name="a")], middleware=[{"concurrency": {"max": 1, "key": "global"}}])
    first = gw.client()
    first.ask("GET", "/a")
    act.wait_now(1)
    assert [gw.get(p).status for p in ("/a", "/nowhere", "/health")] == [503, 503, 200]
    act.let_go()
    assert first.answer().status == 200
    wait_until(lambda: gw.get("/nowhere").status == 404)         # the place is free when all is done with the answer


def test_shadow_counts_and_refuses_nobody(stage):
    act = Counting()
    gw = limited(stage, act, max=1, mode="shadow")
    clients = ask(gw, 3)
    act.wait_now(3)
    act.let_go()
    assert [c.answer().status for c in clients] == [200] * 3
    gw.wait_metric(lambda m: m.get("gateway_shadow_refusals_total", service="u", reason="concurrency_limited") == 2)
    wait_gauges(gw, 0)


def test_the_exempt_are_not_counted(stage):
    act = Counting()
    gw = limited(stage, act, max=1, exempt={"ips": ["127.0.0.9"]})
    clients = ask(gw, 3, source="127.0.0.9") + ask(gw, 1)
    act.wait_now(4)
    assert gw.get().status == 503
    act.let_go()
    assert [c.answer().status for c in clients] == [200] * 4


def test_status_body_and_time_to_come_back_are_as_told(stage):
    act = Counting()
    gw = limited(stage, act, max=1, status=529, body="later", retry_after="7s")
    first = ask(gw, 1)[0]
    act.wait_now(1)
    refused = gw.get()
    assert (refused.status, refused.text.strip(), refused.headers["Retry-After"]) == (529, "later", "7")
    act.let_go()
    assert first.answer().status == 200


def test_under_load_nobody_is_lost_and_never_too_many_are_in(stage):
    lock, now = threading.Lock(), [0, 0]

    def act(turn):
        turn.read_body()
        with lock:
            now[0] += 1
            now[1] = max(now)
        with lock:
            now[0] -= 1
        turn.send(acts.answer_bytes(200, b"done"))
    gw = limited(stage, act, workers=4, max=3, queue=1000, queue_timeout="30s")
    failures = []

    def run():
        try:
            with gw.client(timeout=20) as c:
                for _ in range(40):
                    assert c.get().status == 200
        except Exception as error:
            failures.append(error)
    threads = [threading.Thread(target=run) for _ in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures, failures[:3]
    assert gw.service.seen == 16 * 40 and now[1] <= 3
    wait_gauges(gw, 0, 0)


def test_a_limit_that_adapts_first_measures_with_the_least_and_then_lets_in_more(stage):
    act = Counting()
    gw = limited(stage, act, workers=2, max=50, min=2, adaptive="gradient", queue=100, queue_timeout="30s")
    clients = ask(gw, 6)
    act.wait_now(2)
    wait_gauges(gw, 2, 4)
    act.let_go()
    assert [c.answer().status for c in clients] == [200] * 6
    wait_until(lambda: gw.get().status == 200 and gw.metrics().get("gateway_concurrency_base_seconds", service="u") > 0, 20)
    act.open = False
    clients = ask(gw, 20)
    act.wait_now(20)                              # more than the least
    assert 20 <= gw.metrics().get("gateway_concurrency_limit", service="u", limit="concurrency") <= 50
    act.let_go()
    assert [c.answer().status for c in clients] == [200] * 20


def test_who_has_no_such_step_pays_nothing_for_it(stage):
    gw = stage.proxy(stage.service(), service={"name": "u"})
    assert gw.get().status == 200
    m = gw.metrics()
    assert m.get("gateway_shm_bytes", kind="places") == 0 and m.get("gateway_shm_bytes", kind="gradients") == 0
    assert m.get(RUNNING) is None and m.get("gateway_concurrency_limit") is None


@pytest.mark.parametrize("settings, word", [({}, "max"), ({"max": 0}, "max"), ({"max": 5, "min": 9, "adaptive": "gradient"}, "min"),
                                            ({"max": 5, "key": "tenant"}, "key"), ({"max": 5, "status": 200}, "status")])
def test_what_cannot_be_meant_is_refused_at_the_start(stage, settings, word):
    path = os.path.join(stage.new_dir(), "config.yaml")
    with open(path, "w") as file:
        file.write('{"services": [{"name": "u", "route_pattern": "/", "urls": ["http://127.0.0.1:1"], "middleware": [{"concurrency": %s}]}]}'
                   % str(settings).replace("'", '"'))
    done = stage.sluice("check", path)
    assert done.returncode != 0 and f"{word}" in done.stderr + done.stdout and "1:" in done.stderr + done.stdout


def by_plan(stage, act, **settings):
    s = stage.service(answers=act)
    gw = stage.proxy(s, service={"name": "u", "middleware": ["auth_apikey", {"concurrency": {"max": "plan", "key": "consumer", **settings}}]},
                     plans={"free": {"rate": "1000/s", "concurrency": 1}, "gold": {"rate": "1000/s", "concurrency": 3},
                            "free_of_any": {"rate": "1000/s"}},
                     consumers=[{"name": name, "plan": plan, "keys": [{"id": "k", "key": f"key-{name}"}]}
                                for name, plan in (("small", "free"), ("large", "gold"), ("all", "free_of_any"))]
                     + [{"name": "none", "keys": [{"id": "k", "key": "key-none"}]}])
    gw.service = s
    return gw


def ask_as(gw, consumer, count):
    clients = [gw.client() for _ in range(count)]
    for c in clients:
        c.ask("GET", "/", {"X-API-KEY": f"key-{consumer}"})
    return clients


def test_a_plan_says_how_many_at_once(stage):
    act = Counting()
    gw = by_plan(stage, act)
    clients = ask_as(gw, "small", 3) + ask_as(gw, "large", 5) + ask_as(gw, "all", 6)
    act.wait_now(1 + 3 + 6)
    gw.wait_metric(lambda m: m.get(REFUSED, service="u") == 4)
    act.let_go()
    got = [c.answer().status for c in clients]
    assert (got[:3].count(200), got[3:8].count(200), got[8:].count(200)) == (1, 3, 6)
    assert set(got) == {200, 429}


def test_who_has_no_plan_is_refused_or_has_the_default(stage):
    act = Counting()
    act.let_go()
    assert ask_as(by_plan(stage, act), "none", 1)[0].answer().status == 429
    gw = by_plan(stage, act, plan_default="free")
    assert ask_as(gw, "none", 1)[0].answer().status == 200


def test_a_reload_that_gives_a_plan_more_lets_in_who_waits(stage):
    act = Counting()
    gw = by_plan(stage, act, queue=10, queue_timeout="30s")
    clients = ask_as(gw, "small", 4)
    wait_gauges(gw, 1, 3)
    gw.config["plans"] = {"other": {"rate": "1/s"}, "free": {"rate": "1000/s", "concurrency": 4}, "gold": {"rate": "1/s"},
                          "free_of_any": {"rate": "1/s"}}
    gw.reload(**gw.config)
    act.wait_now(4)
    act.let_go()
    assert [c.answer().status for c in clients] == [200] * 4


def test_who_is_refused_here_has_not_used_the_limit_before(stage):
    act = Counting()
    s = stage.service(answers=act)
    gw = stage.proxy(s, service={"name": "u", "middleware": [{"rate_limit": {"rate": "6/h", "burst": 3}}, {"concurrency": {"max": 1}}]})
    first = ask(gw, 1)[0]
    act.wait_now(1)
    assert [gw.get().status for _ in range(6)] == [503] * 6
    act.let_go()
    assert first.answer().status == 200
    got = []
    while len(got) < 3:
        wait_gauges(gw, 0)                        # a place is free a moment after the answer was sent
        got.append(gw.get().status)
    assert got == [200, 200, 429]


def test_two_limits_of_one_service_count_for_themselves(stage):
    act = Counting()
    s = stage.service(answers=act)
    gw = stage.proxy(s, service={"name": "u", "middleware": ["all_together", "each"]},
                     middleware_config={"all_together": {"type": "concurrency", "max": 3},
                                        "each": {"type": "concurrency", "max": 2, "key": "ip"}})
    clients = ask(gw, 2, source="127.0.0.2")
    act.wait_now(2)
    assert gw.get("/", source="127.0.0.2").status == 429
    clients += ask(gw, 1, source="127.0.0.3")
    act.wait_now(3)
    assert gw.get("/", source="127.0.0.4").status == 503
    m = gw.metrics()
    assert (m.get(RUNNING, limit="all_together"), m.get(RUNNING, limit="each")) == (3, 3)
    act.let_go()
    assert [c.answer().status for c in clients] == [200] * 3


def test_a_limit_that_adapts_finds_how_much_the_service_can_do_at_once(stage):
    """Four at a time, twenty milliseconds each: what comes beyond waits, in the gateway and not in the service."""
    hands = threading.Semaphore(4)

    def act(turn):
        turn.read_body()
        with hands:
            time.sleep(0.02)                      # the pace is what is acted; nothing is awaited here
        turn.send(acts.answer_bytes(200, b"done"))
    gw = limited(stage, act, workers=2, max=60, min=2, adaptive="gradient", queue=200, queue_timeout="30s")
    enough, failures = threading.Event(), []

    def run():
        try:
            with gw.client(timeout=30) as c:
                while not enough.is_set():
                    assert c.get().status == 200
        except Exception as error:
            failures.append(error)
    threads = [threading.Thread(target=run) for _ in range(40)]
    for t in threads:
        t.start()
    try:
        found = gw.wait_metric(lambda m: m.get("gateway_concurrency_base_seconds") > 0
                               and m.get("gateway_concurrency_limit") <= 30 and m.get(WAITING) >= 5, 30)
        assert found.get(RUNNING) <= 35
    finally:
        enough.set()
        for t in threads:
            t.join()
    assert not failures, failures[:3]
