"""Plans: what a consumer may use, as its plan says."""
import datetime
import hashlib
import os
import re
import signal
import threading

import pytest

from stage import names
from stage.gateway import wait_until

PLANS = {"free": {"rate": "6/h", "burst": 3}, "gold": {"rate": "60/h", "burst": 10},
         "metered": {"rate": "6000/h", "burst": 1000, "quota": "7/d"}}


def consumer(name, plan=None):
    return {"name": name, "keys": [{"sha256": hashlib.sha256(name.encode()).hexdigest()}], **({"plan": plan} if plan else {})}


def planned(stage, service=None, workers=2, plans=None, limit=None, valid_keys=None, **more):
    """Each consumer's key is its own name."""
    service = service or stage.service()
    auth = {"valid_keys": valid_keys} if valid_keys else {}
    config = {"plans": plans or PLANS, "consumers": [consumer("f1", "free"), consumer("f2", "free"), consumer("g", "gold"), consumer("m", "metered"),
                                                     consumer("nobody")],
              "middleware_config": {"auth_apikey": auth, "plan_limit": {"type": "rate_limit", "rate": "plan", "key": "consumer", **(limit or {})}}, **more}
    gw = stage.proxy(service, workers=workers, service={"middleware": ["auth_apikey", "plan_limit"], "name": "u"}, **config)
    gw.service = service
    return gw


def today():
    return datetime.datetime.now(datetime.timezone.utc).date()


def statuses(gw, who, count):
    return [gw.get("/", {"X-API-KEY": who}).status for _ in range(count)]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_each_consumer_has_what_its_plan_says_whichever_worker_answers(stage, workers):
    gw = planned(stage, workers=workers)
    for who, most in (("f1", 3), ("f2", 3), ("g", 10)):
        assert statuses(gw, who, 15).count(200) == most
    assert gw.service.seen == 16


def test_many_at_once_get_what_the_plan_says_and_not_one_more(stage):
    gw = planned(stage, workers=4)
    clients = [gw.client() for _ in range(40)]
    for c in clients:
        c.ask("GET", "/", {"X-API-KEY": "g"})
    got = [c.answer().status for c in clients]
    assert (got.count(200), got.count(429)) == (10, 30)


def test_who_has_no_plan_is_refused_or_has_the_default_one(stage):
    gw = planned(stage, valid_keys=["plain"])
    assert statuses(gw, "nobody", 1) == [429] and "Retry-After" not in gw.last.headers
    assert statuses(gw, "plain", 1) == [429]
    gw.config["middleware_config"]["plan_limit"]["plan_default"] = "free"
    gw.reload(**gw.config)
    assert statuses(gw, "nobody", 5) == [200, 200, 200, 429, 429]
    assert statuses(gw, "g", 1) == [200]


def test_a_quota_refuses_with_words_of_its_own(stage):
    gw = planned(stage, limit={"quota_body": "No more today"})
    day = today()
    got = statuses(gw, "m", 8)
    if today() != day:
        got = statuses(gw, "m", 8)                                 # midnight has passed between, and will not again
        assert got[-1] == 429
    else:
        assert got == [200] * 7 + [429]
    answer = gw.last
    assert answer.text.strip() == "No more today"
    assert answer.headers["RateLimit-Policy"] == '"plan_limit:metered:quota";q=7;w=86400'
    assert 0 < int(answer.headers["Retry-After"]) <= 86400
    line = [line for line in gw.wait_records(8) if line["status"] == 429][0]
    assert (line["reason"], line["consumer"]) == (names.QUOTA_EXCEEDED, "m")
    gw.wait_metric(lambda m: m.get(names.S3_LIMITED, service="u", limit="plan_limit:quota") >= 1)


def test_a_plan_that_a_reload_gives_holds_at_once(stage):
    gw = planned(stage)
    with gw.client() as c:
        ask = lambda: c.get("/", {"X-API-KEY": "f1"}).status                          # noqa: E731
        assert [ask() for _ in range(5)] == [200, 200, 200, 429, 429]
        gw.config["consumers"][0]["plan"] = "gold"
        gw.reload(**gw.config)
        assert [ask() for _ in range(11)] == [200] * 10 + [429]
        gw.config["consumers"][0]["plan"] = "free"
        gw.reload(**gw.config)
        assert ask() == 429                                                          # what was used is used


def test_other_numbers_of_a_plan_keep_what_was_used(stage):
    gw = planned(stage)
    assert statuses(gw, "f1", 4) == [200, 200, 200, 429]
    gw.config["plans"] = {"new": "1/s", **PLANS, "free": {"rate": "6/h", "burst": 5}}    # and another number in the list
    gw.reload(**gw.config)
    got = statuses(gw, "f1", 6)
    assert got.count(200) <= 3 and got[-1] == 429
    assert statuses(gw, "f2", 6).count(200) == 5
    gw.wait_stderr(r"the limit u/plan_limit:free changes from token_bucket 6/h burst 3 to token_bucket 6/h burst 5")


def test_a_consumer_may_be_exempt(stage):
    gw = planned(stage, limit={"exempt": {"consumers": ["f1", "nobody"]}})
    assert statuses(gw, "f1", 8) == [200] * 8
    assert statuses(gw, "nobody", 8) == [200] * 8
    assert statuses(gw, "f2", 4) == [200, 200, 200, 429]


def test_a_burst_of_requests_over_reloads_and_a_killed_worker_never_gets_more_than_the_plan(stage):
    gw = planned(stage, workers=2)
    gw.may_crash = True
    got, lock, stop = [], threading.Lock(), threading.Event()

    def ask():
        while not stop.is_set():
            try:
                status = gw.get("/", {"X-API-KEY": "g"}).status
            except (OSError, AssertionError):
                continue                                                             # its worker was killed
            with lock:
                got.append(status)
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for t in threads:
        t.start()
    for n in range(4):
        gw.reload(**{**gw.config, "unmatched": {"body": str(n)}})
        if n == 1:
            before = gw.workers()
            os.kill(before[0], signal.SIGKILL)
            gw.wait_workers(2, without=before[:1])
    stop.set()
    for t in threads:
        t.join()
    assert got.count(200) <= 10 and set(got) <= {200, 429} and got.count(429) > 0
    assert gw.service.seen <= 10


def test_a_plan_is_kept_by_several_gateways_together(stage):
    redis = stage.redis()
    service = stage.service()
    stores = {"redis": {"main": {"urls": [f"127.0.0.1:{redis.port}"], "timeout": "500ms", "connect_timeout": "500ms"}}}
    a, b = [planned(stage, service=service, stores=stores, limit={"scope": "cluster", "store": "redis:main"}) for _ in range(2)]
    day = today()
    for who, most in (("g", 10), ("f1", 3), ("m", 7)):
        got = [gw.get("/", {"X-API-KEY": who}).status for _ in range(10) for gw in (a, b)]
        assert got.count(200) == most or (who == "m" and day != today()), (who, got)


def at_once(gateways, who, count):
    clients = [gw.client() for _ in range(count) for gw in gateways]
    for c in clients:
        c.ask("GET", "/", {"X-API-KEY": who})
    return [c.answer().status for c in clients]


@pytest.mark.parametrize("every", ["0", "200ms"])
def test_a_quota_of_several_gateways_refuses_and_leaves_the_rate_alone(stage, every):
    redis = stage.redis()
    service = stage.service()
    plans = {**PLANS, "metered": {"rate": "20/h", "burst": 20, "quota": "7/d"}}
    stores = {"redis": {"main": {"urls": [f"127.0.0.1:{redis.port}"], "timeout": "2s", "connect_timeout": "2s"}}}
    both = [planned(stage, service=service, plans=plans, stores=stores, limit={"scope": "cluster", "store": "redis:main", "sync": {"every": every}})
            for _ in range(2)]
    day = today()
    got = at_once(both, "m", 20)
    assert set(got) <= {200, 429}
    if day != today():
        pytest.skip("midnight passed in the middle")
    if every != "0":                                                                  # shares: never more, and nearly as many
        assert 0 < got.count(200) <= 7
        return
    assert got.count(200) == 7
    refused = [gw.get("/", {"X-API-KEY": "m"}) for gw in both]
    assert {answer.text.strip() for answer in refused} == {"Quota Exceeded"}
    for gw in both:                                                                   # the same plan, without its quota
        gw.config["plans"] = {**plans, "metered": {"rate": "20/h", "burst": 20}}
        gw.reload(**gw.config)
    assert at_once(both, "m", 20).count(200) == 13


@pytest.mark.parametrize("rule,status", [("deny", 429), ("allow", 200)])
def test_a_plan_without_its_store_does_what_it_is_told(stage, rule, status):
    redis = stage.redis()
    stores = {"redis": {"main": {"urls": [f"127.0.0.1:{redis.port}"], "timeout": "100ms", "connect_timeout": "100ms"}}}
    gw = planned(stage, stores=stores, limit={"scope": "cluster", "store": "redis:main", "sync": {"every": "0"}, "on_store_failure": rule})
    assert statuses(gw, "m", 2) == [200, 200]
    redis.stop()
    assert set(at_once([gw], "m", 10)) == {status}
    assert set(statuses(gw, "m", 3)) == {status}


def test_who_waits_for_the_store_while_its_plan_is_taken_away_is_answered_by_what_it_began_with(stage):
    redis = stage.redis()
    stores = {"redis": {"main": {"urls": [f"127.0.0.1:{redis.port}"], "timeout": "20s", "connect_timeout": "20s"}}}
    gw = planned(stage, stores=stores, limit={"scope": "cluster", "store": "redis:main", "sync": {"every": "0"}})
    assert statuses(gw, "m", 1) == [200]
    calls = redis.calls()
    in_flight = lambda: gw.metrics().get("gateway_requests_in_flight")                # noqa: E731
    page = min(in_flight() for _ in range(10))                                       # what the page itself is counted as
    redis.pause()
    clients = [gw.client(timeout=30) for _ in range(4)]
    for c in clients:
        c.ask("GET", "/", {"X-API-KEY": "m"})
    wait_until(lambda: all(in_flight() >= page + 4 for _ in range(5)))
    gone = {**gw.config, "plans": {"free": PLANS["free"]}, "consumers": [consumer("f1", "free")]}
    gw.reload(**gone)
    assert gw.get("/", {"X-API-KEY": "m"}).status == 401
    redis.go_on()
    assert [c.answer().status for c in clients] == [200] * 4
    assert redis.calls() >= calls + 8                                                # of rate and quota each


def test_requests_that_wait_in_line_have_a_quota_too(stage):
    gw = planned(stage, plans={**PLANS, "metered": {"rate": "100/s", "quota": "7/d"}},
                 limit={"algorithm": "leaky_bucket", "delay": "10s"})
    day = today()
    got = at_once([gw], "m", 12)
    assert got.count(200) == 7 or day != today()
    assert set(got) == {200, 429}


def test_limits_are_shown_by_plan(stage):
    gw = planned(stage, workers=1)
    statuses(gw, "f1", 40)
    shown = wait_until(lambda: (lambda d: d.stdout if "consumer:f1" in d.stdout else None)(
        stage.sluice("limits", "--pid-file", gw.pid_file)))
    assert re.search(r"u/plan_limit:free: token_bucket 6/h burst 3\n", shown)
    assert re.search(r"u/plan_limit:metered:quota: fixed_window 7/d", shown)


@pytest.mark.parametrize("limit,plans,said", [
    ({"plan_default": "fre"}, PLANS, r'plan_default: there is no plan "fre"; did you mean "free"\?'),
    ({}, {}, r"there are no plans to go by"),
    ({"rate": "5/s", "plan_default": "free"}, PLANS, r'"plan_default" is for rate: plan'),
    ({"cost": 4}, PLANS, r"rate: the cost of a request is more than can ever be taken"),
])
def test_mistakes_are_told_with_their_place(stage, limit, plans, said):
    gw = stage.proxy(stage.service())
    gw.write(plans=plans, services=[{"name": "u", "route_pattern": "/", "urls": ["http://127.0.0.1:1"], "middleware": ["plan_limit"]}],
             middleware_config={"plan_limit": {"type": "rate_limit", "rate": "plan", **limit}})
    done = stage.sluice("check", gw.config_path)
    assert done.returncode == 1 and re.search(r"config\.yaml:\d+:\d+: .*" + said, done.stderr), done.stderr


def test_a_limit_by_plan_before_the_step_that_says_who_asks_is_warned_of(stage):
    gw = planned(stage)
    gw.write(**{**gw.config, "services": [{**gw.config["services"][0], "middleware": ["plan_limit", "auth_apikey"]}]})
    done = stage.sluice("check", gw.config_path)
    assert done.returncode == 0 and re.search(r"config\.yaml:\d+:\d+: warning: u: it goes by the plan of who asks", done.stderr), done.stderr


# The limit of the whole gateway, and those of its services

def whole(stage, whole_burst=6, service_burst=2, **more):
    a, b = stage.service(answers="a"), stage.service(answers="b")
    gw = stage.gateway(services=[stage.route(a, path="/a", name="a", middleware=["rate_limit"], methods=["GET"]), stage.route(b, path="/b", name="b")],
                       middleware=["global_limit"],
                       middleware_config={"global_limit": {"type": "rate_limit", "key": "global", "rate": "6/h", "burst": whole_burst},
                                          "rate_limit": {"rate": "6/h", "burst": service_burst}}, **more)
    return gw


def test_the_limit_of_the_whole_gateway_counts_every_request_wherever_it_goes(stage):
    gw = whole(stage)
    got = [gw.get(p).status for p in ("/a", "/b", "/nowhere", "/b")] + [gw.request("DELETE", "/a").status, gw.request("OPTIONS", "*").status]
    assert got[:4] == [200, 200, 404, 200] and got[4] == 405 and got[5] in (200, 404)
    assert [gw.get(p).status for p in ("/a", "/b", "/nowhere")] == [429] * 3
    assert gw.request("DELETE", "/a").status == 429


def test_pages_of_the_gateway_itself_are_no_requests_to_it(stage):
    gw = whole(stage, whole_burst=1)
    assert [gw.get(p).status for p in ("/health", "/ready", "/metrics", "/health")] == [200] * 4
    assert [gw.get("/b").status for _ in range(2)] == [200, 429]
    assert gw.get("/health").status == 200


def test_what_the_limit_of_a_service_refuses_is_not_counted_by_that_of_the_gateway(stage):
    gw = whole(stage)
    assert [gw.get("/a").status for _ in range(20)] == [200] * 2 + [429] * 18
    assert [gw.get("/b").status for _ in range(6)] == [200] * 4 + [429] * 2
    assert gw.last.headers["RateLimit-Policy"].startswith('"global_limit"')


def test_the_limit_of_the_gateway_spends_nothing_of_those_of_services(stage):
    gw = whole(stage, whole_burst=3, service_burst=3)
    assert [gw.get("/b").status for _ in range(5)] == [200] * 3 + [429] * 2
    assert [gw.get("/a").status for _ in range(5)] == [429] * 5
    gw.config["middleware_config"]["global_limit"]["mode"] = "off"
    gw.reload(**gw.config)
    assert [gw.get("/a").status for _ in range(4)] == [200] * 3 + [429]


def test_a_limit_for_each_address_may_stand_for_the_whole_gateway(stage):
    s = stage.service()
    gw = stage.gateway(services=[stage.route(s, path=f"/{n}", name=n) for n in "ab"], middleware=["rate_limit"],
                       middleware_config={"rate_limit": {"rate": "6/h", "burst": 3}})
    assert [gw.get(p).status for p in ("/a", "/b", "/c", "/a")] == [200, 200, 404, 429]
    assert [gw.get(p, source="127.0.0.2").status for p in ("/b", "/b", "/c", "/a")] == [200, 200, 404, 429]


def test_one_request_of_many_workers_is_one_for_the_whole_gateway(stage):
    gw = whole(stage, whole_burst=30, workers=4)
    clients = [gw.client() for _ in range(50)]
    for n, c in enumerate(clients):
        c.ask("GET", "/b" if n % 2 else "/nowhere")
    got = [c.answer().status for c in clients]
    assert got.count(429) == 20
