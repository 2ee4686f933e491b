"""What a limit says: when to come again, what is left, and to operators what has no effect; and what it does when it has no
room. draft-ietf-httpapi-ratelimit-headers-11: RateLimit-Policy and RateLimit are lists of structured fields (RFC 8941)."""
import re

import pytest


MEMBER = re.compile(r'^"(?P<name>[ !#-\[\]-~]*)"((?:;[a-z]+=\d+)*)$')


def limited(stage, limit, workers=2, middleware=("rate_limit",), **more):
    s = stage.service()
    gw = stage.proxy(s, workers=workers, service={"middleware": list(middleware), "name": "u"},
                     middleware_config={"rate_limit": limit, **more.pop("settings", {})}, **more)
    gw.service = s
    return gw


def members(answer, name):
    """Each member of a list as its name and parameters."""
    found = []
    for one in re.split(r",\s*", ", ".join(answer.headers.all(name))):
        match = MEMBER.match(one)
        assert match, one
        found.append((match["name"], {key: int(value) for key, value in re.findall(r";([a-z]+)=(\d+)", one)}))
    return found


def refused(gw, path="/", **more):
    """The first refusal, and how many passed before."""
    for passed in range(1000):
        if gw.get(path, **more).status != 200:
            return gw.last, passed
    raise AssertionError("nothing was refused")


@pytest.mark.parametrize("algorithm", ["token_bucket", "leaky_bucket", "fixed_window", "sliding_window", "sliding_log", "gcra"])
@pytest.mark.parametrize("rate, count, window", [("3/d", 3, 86400), ("3/h", 3, 3600)])
def test_a_refusal_says_quota_window_and_what_is_left(stage, algorithm, rate, count, window):
    gw = limited(stage, {"rate": rate, "burst": 3, "algorithm": algorithm})
    answer, passed = refused(gw)
    assert (answer.status, passed) == (429, 3)
    assert members(answer, "RateLimit-Policy") == [("rate_limit", {"q": count, "w": window})]
    (name, left), = members(answer, "RateLimit")
    assert name == "rate_limit" and left["r"] == 0 and 0 < left["t"] <= 2 * window
    retry = int(answer.headers["Retry-After"])
    assert 0 < retry <= left["t"] and retry <= 2 * window
    assert answer.headers["X-RateLimit-Limit"] == "3" and answer.headers["X-RateLimit-Remaining"] == "0"
    assert int(answer.headers["X-RateLimit-Reset"]) == left["t"]


def test_part_of_a_second_is_a_second(stage):
    """100/s: a token comes back within 10 ms."""
    gw = limited(stage, {"rate": "100/s", "burst": 1}, workers=1)
    answer = next(a for a in iter(lambda: gw.get("/"), None) if a.status == 429)
    assert answer.headers["Retry-After"] == "1"
    assert members(answer, "RateLimit")[0][1]["t"] == 1


def test_status_and_body_are_the_configured_ones(stage):
    gw = limited(stage, {"rate": "1/d", "burst": 1, "status": 503, "body": "come back tomorrow", "headers": []})
    answer, _ = refused(gw)
    assert (answer.status, answer.text.strip()) == (503, "come back tomorrow") and int(answer.headers["Retry-After"]) > 80000
    assert not [name for name in ("RateLimit", "RateLimit-Policy", "X-RateLimit-Limit") if name in answer.headers]


def test_clients_are_spread_over_the_jitter_and_none_is_sent_too_early(stage):
    gw = limited(stage, {"rate": "1/h", "burst": 1, "retry_jitter": "50%"}, workers=1)
    answers = [refused(gw, source=f"127.0.0.{n}")[0] for n in range(1, 31)]
    seconds = [int(answer.headers["Retry-After"]) for answer in answers]
    assert all(3590 <= s <= 5400 for s in seconds), seconds
    assert max(seconds) - min(seconds) > 600               # thirty even draws out of 1800 lie closer once in 10^11 times


def test_each_of_several_limits_is_a_member_of_the_list(stage):
    gw = limited(stage, {"rate": "9/d", "burst": 9, "headers_when": "always"}, middleware=("rate_limit", "each"),
                 settings={"each": {"type": "rate_limit", "rate": "5/h", "burst": 5, "headers_when": "always"}})
    answer = gw.get("/")
    assert sorted(members(answer, "RateLimit-Policy")) == [("each", {"q": 5, "w": 3600}), ("rate_limit", {"q": 9, "w": 86400})]
    assert {name: left["r"] for name, left in members(answer, "RateLimit")} == {"each": 4, "rate_limit": 8}


# What is written and means nothing

@pytest.mark.parametrize("limit, why", [
    ({"algorithm": "fixed_window", "burst": 7}, "this algorithm counts by the rate alone"),
    ({"algorithm": "sliding_window", "burst": 7}, "this algorithm counts by the rate alone"),
    ({"algorithm": "sliding_log", "burst": 7}, "this algorithm counts by the rate alone"),
    ({"algorithm": "leaky_bucket", "burst": 7, "delay": "1s"}, "the delay says how many may wait"),
    ({"algorithm": "gcra", "burst": 7, "tolerance": "1s"}, "the tolerance says how early a request may come"),
])
def test_a_burst_that_means_nothing_is_told_with_its_place(stage, limit, why):
    gw = limited(stage, limit)
    gw.wait_stderr(rf'warn .*config\.yaml:\d+:\d+: .*"burst" has no effect: {why}')


@pytest.mark.parametrize("limit", [{"burst": 7}, {"algorithm": "fixed_window"}, {"algorithm": "gcra", "burst": 7},
                                   {"algorithm": "leaky_bucket", "delay": "1s"}])
def test_a_burst_that_means_something_or_was_not_written_is_not_told(stage, limit):
    gw = limited(stage, limit)
    assert gw.get("/").status == 200 and "no effect" not in gw.stderr()


# More clients than there is room for

CELLS, CLIENTS = 32768, 160 * 256


def crowd(stage, on_full):
    """A table of the smallest size, and more clients than that, each of whom may once; and all of them again."""
    gw = stage.gateway(workers=1, services=[], middleware=["rate_limit"], unmatched={"status": 404},
                       middleware_config={"rate_limit": {"rate": "1/d", "burst": 1, "key": "query:c"}},
                       shared_memory={"limits": {"size": "1m", "on_full": on_full}}, logging={"access": [{"to": "off"}]})
    rounds = []
    with gw.client(timeout=30) as c:
        for _ in range(2):
            statuses = []
            for block in range(CLIENTS // 256):
                c.send(b"".join(b"GET /?c=%d HTTP/1.1\r\nHost: a\r\n\r\n" % (block * 256 + n) for n in range(256)))
                statuses += [c.answer().status for _ in range(256)]
            rounds.append(statuses)
    metrics = gw.metrics()
    assert metrics.get("gateway_shm_cells_capacity") == CELLS and 0.95 * CELLS < metrics.get("gateway_shm_cells_used") <= CELLS
    return (*rounds, {name: int(metrics.get(f"gateway_shm_{name}_total")) for name in ("evictions", "full")})


def test_full_and_evict_everybody_is_let_in_and_somebody_is_forgotten(stage):
    first, again, counts = crowd(stage, "evict")
    assert set(first) == {404}
    assert counts["evictions"] >= CLIENTS - CELLS and counts["full"] == 0
    assert again.count(404) > 0                           # who was forgotten may once more


def test_full_and_allow_who_finds_no_room_passes_uncounted(stage):
    first, again, counts = crowd(stage, "allow")
    assert set(first) == {404} and counts["evictions"] == 0
    # nobody is pushed out: those who have a place are refused, the others pass each time
    assert 0.95 * CELLS < again.count(429) <= CELLS and counts["full"] == 2 * again.count(404)


def test_full_and_deny_who_finds_no_room_is_refused(stage):
    first, again, counts = crowd(stage, "deny")
    assert 0.95 * CELLS < first.count(404) <= CELLS and counts["evictions"] == 0
    assert set(again) == {429} and counts["full"] == 2 * first.count(429)
