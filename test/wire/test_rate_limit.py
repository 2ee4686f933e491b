"""Limits: so many at once, so many a second, for each client, whichever worker answers."""
import time

import pytest

from stage import names
from stage.gateway import wait_until
from stage.wire import request_bytes


def limited(stage, *services, burst=5, middleware=("rate_limit", "metrics"), workers=2, settings=None, **more):
    services = services or (stage.service(),)
    gw = stage.proxy(*services, workers=workers, service={"middleware": list(middleware), "name": "u"},
                     middleware_config={"rate_limit": {"rate": "6/h", "burst": burst, **(settings or {})}, **more})
    gw.service = services[0]
    return gw


def statuses(gw, count, headers=(), **more):
    return [gw.get("/", headers, **more).status for _ in range(count)]


def test_third_request_in_a_second_is_refused_and_told_when_to_come_back(stage):
    s1 = stage.service(answers="ok")
    gw = stage.gateway(services=[dict(name="u", route_pattern="/u", urls=[s1.url], middleware=["rate_limit"],
                                      rate_limit_rps=1, rate_limit_burst=2)])
    assert [gw.get("/u").status for _ in range(3)] == [200, 200, 429]
    assert gw.last.headers["Retry-After"] == "1"
    assert s1.seen == 2


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_all_workers_count_together(stage, workers):
    gw = limited(stage, burst=10, workers=workers)
    got = statuses(gw, 30)
    assert got == [200] * 10 + [429] * 20
    assert gw.service.seen == 10


def test_many_at_once_get_the_burst_and_not_one_more(stage):
    gw = limited(stage, burst=25, workers=4)
    clients = [gw.client() for _ in range(60)]
    for c in clients:
        c.ask()
    got = [c.answer().status for c in clients]
    assert (got.count(200), got.count(429), gw.service.seen) == (25, 35, 25)


def test_refusals_say_so(stage):
    gw = limited(stage, burst=1)
    assert statuses(gw, 2) == [200, 429]
    assert gw.last.text.strip() == "Too Many Requests"
    retry = int(gw.last.headers["Retry-After"])
    assert 590 <= retry <= 600                      # one every ten minutes
    assert {line["status"]: line["reason"] for line in gw.wait_records(2)}[429] == names.RATE_LIMITED
    gw.wait_metric(lambda m: m.get(names.S3_LIMITED, service="u") == 1)


def test_each_address_has_its_own_limit(stage):
    gw = limited(stage, burst=2)
    assert statuses(gw, 3) == [200, 200, 429]
    assert statuses(gw, 3, source="127.0.0.2") == [200, 200, 429]
    assert statuses(gw, 1) == [429]


def test_each_key_has_its_own_limit_wherever_it_comes_from(stage):
    gw = limited(stage, burst=2, middleware=["auth_apikey", "rate_limit"], auth_apikey={"valid_keys": ["a", "b"]})
    assert statuses(gw, 3, {"X-API-KEY": "a"}) == [200, 200, 429]
    assert statuses(gw, 1, {"X-API-KEY": "a"}, source="127.0.0.2") == [429]
    assert statuses(gw, 3, {"X-API-KEY": "b"}) == [200, 200, 429]


def test_made_up_keys_do_not_buy_new_limits(stage):
    """A key that nobody has checked is not an identity."""
    gw = limited(stage, burst=2)
    assert [gw.get("/", {"X-API-KEY": f"made-up-{n}"}).status for n in range(4)] == [200, 200, 429, 429]


def test_forwarded_for_of_a_stranger_does_not_buy_new_limits(stage):
    gw = limited(stage, burst=2)
    assert [gw.get("/", {"X-Forwarded-For": f"9.9.9.{n}", "Forwarded": f"for=9.9.9.{n}"}).status for n in range(4)] == [200, 200, 429, 429]


def test_who_has_no_key_spends_nothing(stage):
    gw = limited(stage, burst=2, middleware=["auth_apikey", "rate_limit"], auth_apikey={"valid_keys": ["a"]})
    assert statuses(gw, 5) == [401] * 5
    assert statuses(gw, 3, {"X-API-KEY": "a"}) == [200, 200, 429]


def test_the_order_in_the_file_is_the_order_of_the_steps(stage):
    gw = limited(stage, burst=2, middleware=["rate_limit", "auth_apikey"], auth_apikey={"valid_keys": ["a"]})
    assert statuses(gw, 4) == [401, 401, 429, 429]


def test_each_service_has_its_own_limit(stage):
    s = stage.service()
    gw = stage.gateway(services=[stage.route(s, path=f"/{n}", name=n, middleware=[{"rate_limit": {"rate": "6/h", "burst": burst}}])
                                 for n, burst in (("a", 1), ("b", 3))])
    assert [gw.get("/a").status for _ in range(2)] == [200, 429]
    assert [gw.get("/b").status for _ in range(4)] == [200, 200, 200, 429]


def test_tokens_come_back_with_time(stage):
    s = stage.service()
    gw = stage.proxy(s, service={"middleware": ["rate_limit"], "rate_limit_rps": 5, "rate_limit_burst": 1})
    assert statuses(gw, 2) == [200, 429]
    begun = time.monotonic()
    wait_until(lambda: gw.get().status == 200, 3)
    assert time.monotonic() - begun >= 0.1


def test_the_defaults_are_those_of_the_seed(stage):
    gw = stage.proxy(stage.service(), service={"middleware": ["rate_limit"]})
    with gw.client() as c:
        begun = time.monotonic()
        got = [c.get().status for _ in range(600)]
        took = time.monotonic() - begun
    allowed = got.count(200)
    assert 200 <= allowed <= 200 + 100 * took + 2
    assert got[:200] == [200] * 200


def test_limits_keep_what_they_know_over_a_reload(stage):
    gw = limited(stage, burst=3)
    assert statuses(gw, 3) == [200] * 3
    gw.hup()
    assert statuses(gw, 1) == [429]


def test_a_limit_survives_changes_elsewhere_in_the_file(stage):
    gw = limited(stage, burst=3)
    assert statuses(gw, 2) == [200] * 2
    other = stage.service()
    gw.config["services"].insert(0, stage.route(other, path="/other", name="other"))
    gw.reload(**gw.config)
    assert statuses(gw, 2) == [200, 429]


def test_a_changed_burst_keeps_what_was_used(stage):
    gw = limited(stage, burst=3)
    assert statuses(gw, 4) == [200, 200, 200, 429]
    gw.config["middleware_config"]["rate_limit"]["burst"] = 5
    gw.reload(**gw.config)
    got = statuses(gw, 6)
    assert got.count(200) <= 3 and got[-1] == 429       # not five new ones


def test_a_refusal_keeps_the_connection(stage):
    with limited(stage, burst=1).client() as c:
        assert [c.get().status for _ in range(5)] == [200, 429, 429, 429, 429]
        assert c.is_open()


def test_refused_uploads_do_not_come_in(stage):
    gw = limited(stage, burst=1)
    assert statuses(gw, 1) == [200]
    with gw.client() as c:
        c.ask("POST", "/", {"Expect": "100-continue", "Content-Length": "1000000"})
        answer = c.answer()
        assert answer.status == 429 and not answer.interim
    assert gw.service.seen == 1


def test_one_limit_for_the_whole_gateway_sees_every_request(stage):
    s = stage.service()
    gw = stage.gateway(services=[stage.route(s, path="/a", name="a")], middleware=["rate_limit"],
                       middleware_config={"rate_limit": {"rate": "6/h", "burst": 3}})
    assert [gw.get(p).status for p in ("/a", "/nowhere", "/a", "/a", "/nowhere")] == [200, 404, 200, 429, 429]


def test_refusals_say_what_is_left_in_the_words_of_the_drafts(stage):
    gw = limited(stage, burst=3)
    assert statuses(gw, 4)[-1] == 429
    said = gw.last.headers
    assert 'q=6' in said["RateLimit-Policy"] and 'w=3600' in said["RateLimit-Policy"]
    assert ";r=0;t=" in said["RateLimit"] and int(said["RateLimit"].split("t=")[1]) >= int(said["Retry-After"])
    assert (said["X-RateLimit-Limit"], said["X-RateLimit-Remaining"]) == ("3", "0")


def test_what_is_left_may_be_said_always(stage):
    gw = limited(stage, burst=3, settings={"headers_when": "always"})
    left = [gw.get().headers["X-RateLimit-Remaining"] for _ in range(4)]
    assert left == ["2", "1", "0", "0"]


def test_limits_in_shadow_are_judged_each_for_itself_by_name(stage):
    """Both would have refused some: each is counted under its name, also where an earlier one would have kept them from it."""
    gw = limited(stage, burst=1, middleware=["rate_limit", "daily"], settings={"mode": "shadow"},
                 daily={"type": "rate_limit", "rate": "3/d", "burst": 3, "mode": "shadow"})
    assert statuses(gw, 5) == [200] * 5
    m = gw.wait_metric(lambda m: m.get("gateway_shadow_refusals_total", service="u") == 6)
    assert {labels["limit"]: value for labels, value in m.series("gateway_shadow_refusals_total", reason=names.RATE_LIMITED)} == {
        "rate_limit": 4, "daily": 2}
    assert m.get("gateway_rate_limited_total", service="u") == 0


def test_shadow_counts_and_refuses_nobody(stage):
    gw = limited(stage, burst=1, middleware=[{"rate_limit": {"mode": "shadow"}}])
    assert statuses(gw, 3) == [200] * 3
    assert "Retry-After" not in gw.last.headers and "RateLimit" not in gw.last.headers
    gw.wait_metric(lambda m: m.get("gateway_shadow_refusals_total", service="u", reason=names.RATE_LIMITED) == 2)
    assert [line.get("shadow") for line in gw.wait_records(3)[:3]].count(names.RATE_LIMITED) == 2


def test_one_limit_may_be_for_all_clients_together(stage):
    gw = limited(stage, burst=2, settings={"key": "service"})
    assert [gw.get("/", source=f"127.0.0.{n}").status for n in (2, 3, 4)] == [200, 200, 429]


@pytest.mark.slow
def test_more_clients_than_there_is_room_for_are_still_served(stage):
    """A full table forgets somebody; it is never an error to a client."""
    gw = stage.gateway(workers=1, services=[], middleware=["rate_limit"], client_ip={"trusted_proxies": ["127.0.0.1/32"]},
                       shared_memory={"limits": {"size": "1m"}}, middleware_config={"rate_limit": {"rate": "6/h", "burst": 2}})
    with gw.client(timeout=30) as c:
        for block in range(160):
            c.send(b"".join(request_bytes("GET", "/", {"X-Forwarded-For": f"10.{block}.{n}.1"}) for n in range(256)))
            assert all(c.answer().status == 404 for _ in range(256))
    assert gw.metrics().get("gateway_shm_evictions_total") > 0
