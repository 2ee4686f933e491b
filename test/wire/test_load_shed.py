"""A worker that has more to do than it can turns a share of the requests away, and says so."""
import time

import pytest


SHED = "gateway_load_shed_total"
SHARE = "gateway_load_shed_share"
DELAY = "gateway_worker_delay_seconds"
BUSY = {"queue_delay_above": 0, "cpu_above": "0.1%"}      # with any work at all it is too much


def shedding(stage, services=("u",), workers=1, **settings):
    s = stage.service()
    return stage.gateway(workers=workers, services=[stage.route(s, path=f"/{name}", name=name) for name in services],
                         middleware=[{"load_shed": {**BUSY, **settings}}])


def ask_until(client, path, ready, seconds=20, headers=()):
    """Ask again and again until an answer is as wanted; returns it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = client.get(path, headers)
        assert answer.status in (200, 503), answer
        if ready(answer):
            return answer
    raise AssertionError(f"never within {seconds} s; the last: {answer}")


def was_shed(answer):
    return answer.status == 503


def test_an_overloaded_worker_sheds_and_says_so(stage):
    gw = shedding(stage)
    with gw.client() as c:
        shed = ask_until(c, "/u", was_shed)
    assert shed.text.strip() == "Service Unavailable" and shed.headers["Retry-After"] == "1"
    m = gw.wait_metric(lambda m: (m.get(SHED, service="u") or 0) >= 1)
    assert 0 < m.get(SHARE) <= 0.95
    records = gw.wait_records(lambda lines: any(line["status"] == 503 for line in lines))
    assert {line["reason"] for line in records if line["status"] == 503} == {"load_shed"}


def test_the_first_who_asks_is_served_and_some_always_are(stage):
    """The share rises step by step, and never to all."""
    gw = shedding(stage)
    with gw.client() as c:
        assert c.get("/u").status == 200
        ask_until(c, "/u", was_shed)
        deadline = time.monotonic() + 20
        while gw.metrics().get(SHARE) < 0.9:
            assert time.monotonic() < deadline
            for _ in range(50):
                c.get("/u")
        ask_until(c, "/u", lambda answer: answer.status == 200)


def test_a_worker_with_little_to_do_sheds_nobody(stage):
    gw = shedding(stage, queue_delay_above="10s", cpu_above="100%")
    with gw.client() as c:
        assert {c.get("/u").status for _ in range(300)} == {200}
    assert not gw.metrics().get(SHED)


def test_what_is_kept_is_never_shed(stage):
    gw = shedding(stage, services=("u", "gold"), keep_priority=["gold"])
    with gw.client() as c:
        ask_until(c, "/u", was_shed)
        for _ in range(20):
            ask_until(c, "/u", was_shed)
            assert {c.get("/gold").status for _ in range(10)} == {200}
    assert not gw.metrics().get(SHED, service="gold")


def test_the_gateways_own_pages_are_never_shed(stage):
    gw = shedding(stage)
    with gw.client() as c:
        for _ in range(20):
            ask_until(c, "/u", was_shed)
            assert {c.get(path).status for path in ("/health", "/ready", "/metrics")} == {200}


def test_what_nobody_claims_is_shed_too(stage):
    gw = shedding(stage)
    with gw.client() as c:
        deadline = time.monotonic() + 20
        while c.get("/nowhere").status != 503:
            assert time.monotonic() < deadline


def test_requests_that_wait_for_the_worker_are_too_much_as_well(stage):
    """Many at once make long turns."""
    gw = shedding(stage, queue_delay_above="1ms", cpu_above=0)
    clients = [gw.client() for _ in range(100)]
    statuses, deadline = set(), time.monotonic() + 20
    while 503 not in statuses:
        assert time.monotonic() < deadline, gw.metrics().series(DELAY)
        for c in clients:
            c.ask("GET", "/u")
        statuses |= {c.answer().status for c in clients}
    assert statuses == {200, 503}
    assert gw.metrics().get(DELAY) > 0


def test_another_rule_begins_anew(stage):
    """A reload with a rule that is kept sheds nobody, from its first request on."""
    gw = shedding(stage)
    with gw.client() as c:
        ask_until(c, "/u", was_shed)
        gw.config["middleware"][0]["load_shed"].update(cpu_above="100%", queue_delay_above="10s")
        gw.reload(**gw.config)
        assert {c.get("/u").status for _ in range(100)} == {200}


def test_shadow_sheds_nobody_and_counts(stage):
    gw = shedding(stage, mode="shadow")
    with gw.client() as c:
        deadline = time.monotonic() + 20
        while not gw.metrics().get("gateway_shadow_refusals_total", service="u", reason="load_shed"):
            assert time.monotonic() < deadline
            assert {c.get("/u").status for _ in range(20)} == {200}


def test_status_body_and_time_to_come_back_are_as_told(stage):
    gw = shedding(stage, status=529, body="busy", retry_after="3s")
    with gw.client() as c:
        deadline = time.monotonic() + 20
        while (answer := c.get("/u")).status == 200:
            assert time.monotonic() < deadline
    assert (answer.status, answer.text.strip(), answer.headers["Retry-After"]) == (529, "busy", "3")


@pytest.mark.parametrize("settings", [{"queue_delay_above": 0}, {"cpu_above": "101%"}])
def test_what_cannot_be_meant_is_refused_at_the_start(stage, settings):
    path = stage.new_dir() + "/config.yaml"
    with open(path, "w") as file:
        file.write('{"services": [{"name": "u", "route_pattern": "/", "urls": ["http://127.0.0.1:1"], "middleware": [{"load_shed": %s}]}]}'
                   % str(settings).replace("'", '"'))
    done = stage.sluice("check", path)
    assert done.returncode != 0 and next(iter(settings)) in done.stderr + done.stdout
