"""Limits by every algorithm and every key, whichever worker answers."""
import time

import pytest

from stage.service import text


def limited(stage, settings, workers=2, middleware=("rate_limit",), **more):
    service = stage.service()
    gw = stage.proxy(service, workers=workers, service={"middleware": list(middleware), "name": "u"},
                     middleware_config={"rate_limit": settings, **more})
    gw.service = service
    return gw


def statuses(gw, count, path="/", headers=(), **more):
    return [gw.get(path, headers, **more).status for _ in range(count)]


def away_from_midnight():
    """A day of the clock must not end in the middle of a play."""
    left = 86400 - time.time() % 86400
    if left < 30:
        time.sleep(left + 0.1)


@pytest.mark.parametrize("algorithm, settings", [
    ("token_bucket", {"burst": 7}), ("leaky_bucket", {"burst": 7}), ("gcra", {"burst": 7}),
    ("fixed_window", {}), ("sliding_window", {}), ("sliding_log", {}),
])
def test_all_workers_count_together_by_every_algorithm(stage, algorithm, settings):
    away_from_midnight()
    gw = limited(stage, {"algorithm": algorithm, "rate": "7/d", **settings})
    assert statuses(gw, 20) == [200] * 7 + [429] * 13
    assert gw.last.headers["X-RateLimit-Limit"] == "7"
    assert gw.service.seen == 7
    gw.hup()
    assert statuses(gw, 2) == [429, 429]


def test_a_window_ends_with_the_second_of_the_clock(stage):
    gw = limited(stage, {"algorithm": "fixed_window", "rate": "3/s"})
    with gw.client() as c:
        begun = time.time()
        got = []
        while time.time() - begun < 2.5:
            got.append((time.time(), c.get().status))
    windows = {}
    for when, status in got:
        if status == 200:
            windows[int(when)] = windows.get(int(when), 0) + 1
    whole = [windows.get(n, 0) for n in range(int(begun) + 1, int(got[-1][0]))]
    # who came just before the border by our clock may have come after it by the gateway's
    assert whole and all(2 <= n <= 4 for n in whole)
    assert sum(windows.values()) <= 3 * 4


def test_a_queue_spaces_requests_evenly_and_refuses_who_would_wait_too_long(stage):
    gw = limited(stage, {"algorithm": "leaky_bucket", "rate": "20/s", "delay": "300ms"})
    begun = time.monotonic()
    clients = [gw.client() for _ in range(12)]
    for c in clients:
        c.ask()
    came, got = [], []
    for c in clients:
        got.append(c.answer().status)
        came.append(time.monotonic() - begun)
    assert got.count(200) == 7 and got.count(429) == 5      # one at once and six within 300 ms
    served = sorted(when for when, status in zip(came, got) if status == 200)
    assert 0.29 <= served[-1] < 2
    assert gw.service.seen == 7


def test_a_waiting_client_may_leave(stage):
    gw = limited(stage, {"algorithm": "leaky_bucket", "rate": "2/s", "delay": "10s"}, workers=1)
    assert gw.get().status == 200
    with gw.client() as c:
        c.ask()
    assert gw.get("/health").status == 200
    assert gw.get().status == 200
    assert gw.service.seen <= 3


@pytest.mark.parametrize("key, one, other", [
    ("header:X-Tenant", ("/", {"X-Tenant": "a"}), ("/", {"X-Tenant": "b"})),
    ("cookie:sid", ("/", {"Cookie": "x=y; sid=a"}), ("/", {"Cookie": "sid=b; x=y"})),
    ("query:q", ("/?q=a", {}), ("/?x=1&q=b", {})),
    (["ip", "query:q"], ("/?q=a", {}), ("/?q=b", {})),
    ("header:X-Tenant|query:q", ("/?q=a", {}), ("/?q=a", {"X-Tenant": "a"})),
])
def test_what_the_key_names_has_a_limit_of_its_own(stage, key, one, other):
    gw = limited(stage, {"rate": "6/d", "burst": 2, "key": key})
    assert statuses(gw, 3, *one) == [200, 200, 429]
    assert statuses(gw, 3, *other) == [200, 200, 429]
    assert statuses(gw, 1, *one) == [429]


def test_who_has_none_of_it_is_known_by_address(stage):
    gw = limited(stage, {"rate": "6/d", "burst": 2, "key": "header:X-Tenant"})
    assert statuses(gw, 3) == [200, 200, 429]
    assert statuses(gw, 3, source="127.0.0.2") == [200, 200, 429]


def test_who_is_exempt_is_not_counted(stage):
    gw = limited(stage, {"rate": "6/d", "burst": 1, "exempt": {"ips": ["127.0.0.2/32"]}})
    assert statuses(gw, 3) == [200, 429, 429]
    assert statuses(gw, 3, source="127.0.0.2") == [200] * 3


def test_two_limits_and_the_first_gives_back_what_the_second_refuses(stage):
    gw = limited(stage, {"rate": "6/d", "burst": 4}, middleware=("rate_limit", "each"),
                 each={"type": "rate_limit", "rate": "6/d", "burst": 2, "key": "header:X-Tenant"})
    assert statuses(gw, 6, headers={"X-Tenant": "a"}) == [200, 200, 429, 429, 429, 429]
    # of the four that all tenants have together, two are left
    assert statuses(gw, 2, headers={"X-Tenant": "b"}) == [200, 200]
    assert statuses(gw, 1, headers={"X-Tenant": "c"}) == [429]


def test_the_service_says_what_a_request_has_cost(stage):
    service = stage.service(answers=text("ok", headers=[("X-Cost", "4")]))
    gw = stage.proxy(service, service={"middleware": ["rate_limit"]},
                     middleware_config={"rate_limit": {"rate": "6/d", "burst": 9, "cost_header": "X-Cost"}})
    answer = gw.get()
    assert answer.status == 200 and "X-Cost" not in answer.headers
    assert statuses(gw, 3) == [200, 200, 429]


def test_a_service_may_say_its_limit_beside_the_list(stage):
    gw = stage.proxy(stage.service(), service={"middleware": ["rate_limit", "tenant"], "rate_limit": {"rate": "6/d", "burst": 3},
                                               "tenant": {"burst": 2}},
                     middleware_config={"tenant": {"type": "rate_limit", "rate": "6/d", "key": "header:X-Tenant"}})
    assert statuses(gw, 3, headers={"X-Tenant": "a"}) == [200, 200, 429]
    assert statuses(gw, 2, headers={"X-Tenant": "b"}) == [200, 429]


def test_who_is_refused_again_and_again_is_banned(stage):
    gw = limited(stage, {"rate": "20/s", "burst": 1, "ban": {"after": 3, "within": "1h", "for": "10m"}}, workers=2)
    with gw.client() as c:
        got = [c.get() for _ in range(60)]
    assert got[-1].status == 429 and int(got[-1].headers["Retry-After"]) > 590
    assert gw.get("/", source="127.0.0.2").status == 200


def test_a_limit_that_cannot_be_kept_fails_the_load_with_its_place(stage):
    gw = limited(stage, {"rate": "6/d"})
    gw.config["middleware_config"]["rate_limit"] = {"rate": "129/s", "algorithm": "sliding_log"}
    gw.write(**gw.config)
    gw.signal(1)
    gw.wait_stderr(r"config\.yaml:\d+:\d+: .*128")
    assert gw.get().status == 200
