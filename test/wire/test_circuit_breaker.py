"""A service that fails is left alone for a while, by all workers at once; one probe finds out when it is back."""
import os
import signal
import time

import pytest

from stage import names
from stage import service as acts
from stage.gateway import wait_until


def guarded(stage, *services, threshold=3, reset=1, workers=2, **more):
    gw = stage.proxy(*services, workers=workers, service={"middleware": ["circuit_breaker", "metrics"], "name": "u",
                                                         "cb_failure_threshold": threshold, "cb_reset_timeout_seconds": reset}, **more)
    gw.service = services[0]
    return gw


def state(gw):
    return gw.metrics().get(names.S3_BREAKER, service="u")


def opened(stage, answers=500, reset=60, workers=2, **more):
    gw = guarded(stage, stage.service(answers=answers), reset=reset, workers=workers, **more)
    assert state(gw) == names.CLOSED
    assert [gw.get().status for _ in range(3)] == [500] * 3
    return gw


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_failures_in_a_row_open_it_for_all_workers(stage, workers):
    gw = opened(stage, workers=workers)
    assert [gw.get().status for _ in range(12)] == [503] * 12
    assert gw.service.seen == 3 and state(gw) == names.OPEN
    lines = gw.wait_records(lambda lines: sum(line["status"] == 503 for line in lines) == 12)
    assert {line["reason"] for line in lines if line["status"] == 503} == {names.CIRCUIT_OPEN}


def test_retry_after_is_the_true_time(stage):
    gw = opened(stage, reset=3)
    begun = time.monotonic()
    assert gw.get().status == 503
    first = int(gw.last.headers["Retry-After"])
    assert first in (2, 3)
    wait_until(lambda: gw.get().status == 503 and int(gw.last.headers["Retry-After"]) < first, 3)
    wait_until(lambda: gw.get().status != 503, 4)
    assert 2.5 <= time.monotonic() - begun <= 4 and gw.service.seen == 4


def test_a_success_in_between_starts_the_count_anew(stage):
    gw = guarded(stage, stage.service(answers=[500, 500, 200, 500, 500, 200, 500, 500, 500, "never"]), reset=60)
    assert [gw.get().status for _ in range(10)] == [500, 500, 200, 500, 500, 200, 500, 500, 500, 503]


@pytest.mark.parametrize("code", [200, 301, 400, 401, 404, 429, 501])
def test_what_is_no_failure_does_not_count(stage, code):
    gw = guarded(stage, stage.service(answers=code), reset=60)
    assert [gw.get().status for _ in range(8)] == [code] * 8


@pytest.mark.parametrize("kind", ["refuses", "resets", "closes", "lies", "hangs"])
def test_every_way_to_fail_counts(stage, kind):
    s = stage.service(answers={"refuses": "x", "resets": acts.raw(then="reset"), "closes": acts.raw(then="close"),
                               "lies": acts.raw(b"junk\r\n\r\n", then="close"), "hangs": acts.hang}[kind])
    if kind == "refuses":
        s.away()
    gw = guarded(stage, s, reset=60, timeouts={"upstream_header": "200ms", "upstream_connect": "100ms"})
    before = [gw.get().status for _ in range(3)]
    assert set(before) == {504 if kind == "hangs" else 502}
    assert gw.get().status == 503


def test_clients_that_leave_do_not_count(stage):
    s = stage.service(answers=acts.hang)
    gw = guarded(stage, s, reset=60)
    for _ in range(5):
        c = gw.client()
        c.ask()
        s.wait(lambda s: s.open)
        c.close()
        s.wait(lambda s: not s.open)
    s.answers("ok")
    assert gw.get().status == 200


def slow_uploads(gw, count=3):
    """Clients that begin to send a body and do not go on."""
    clients = [gw.client() for _ in range(count)]
    for c in clients:
        c.ask("POST", "/", {"Content-Length": "10"})
        c.send(b"abc")
    return [c.answer() for c in clients]


def test_clients_that_upload_too_slowly_do_not_count(stage):
    gw = guarded(stage, stage.service(), reset=60, timeouts={"request": "300ms"})
    assert [answer.status for answer in slow_uploads(gw)] == [408] * 3
    assert {line["reason"] for line in gw.wait_records(3)} == {"request_timeout"}
    assert gw.get().status == 200


def test_a_service_that_loses_patience_with_an_upload_has_not_failed(stage):
    def impatient(turn):
        turn.keep = False
        turn.sock.settimeout(1.3)                    # of a service: longer than what the gateway calls soon
        try:
            while turn.sock.recv(1000):
                pass
        except TimeoutError:
            pass
    s = stage.service(answers=impatient)
    gw = guarded(stage, s, reset=60)
    assert [answer.status for answer in slow_uploads(gw)] == [502] * 3
    s.answers("ok")
    assert gw.get().status == 200


def test_a_service_that_hangs_up_on_an_upload_at_once_has_failed(stage):
    gw = guarded(stage, stage.service(answers=lambda turn: turn.close()), reset=60)
    assert [answer.status for answer in slow_uploads(gw)] == [502] * 3
    assert gw.get().status == 503


def test_one_probe_for_all_workers_and_its_success_closes(stage):
    gw = opened(stage, reset=1, workers=4)
    held = acts.gate("back")
    gw.service.answers(held)
    clients = [gw.client() for _ in range(24)]
    wait_for_probe(gw)
    refused = 0
    for c in clients:
        c.ask()
    for c in clients:
        assert c.answer().status == 503
        refused += 1
    assert gw.service.seen == 4 and state(gw) == names.HALF_OPEN and refused == 24
    held.open.set()
    assert gw.probe.answer().text == "back"
    wait_until(lambda: state(gw) == names.CLOSED)
    assert [c.get().status for c in clients] == [200] * 24


def wait_for_probe(gw):
    """Ask until a request is let through and hangs at the service; it is gw.probe."""
    def let_through():
        gw.probe = gw.client()
        gw.probe.ask()
        wait_until(lambda: gw.service.events.count("held") or not gw.probe.is_open())
        return gw.service.events.count("held")
    wait_until(let_through, 5)


def test_a_probe_that_fails_opens_it_again(stage):
    gw = opened(stage, reset=1)
    wait_until(lambda: gw.get().status == 500, 5)
    assert [gw.get().status for _ in range(5)] == [503] * 5
    assert int(gw.last.headers["Retry-After"]) >= 1 and gw.service.seen == 4 and state(gw) == names.OPEN


def test_a_probe_whose_client_left_is_given_back(stage):
    gw = opened(stage, reset=1)
    gw.service.answers(acts.gate("late"))
    wait_for_probe(gw)
    gw.service.answers("ok")
    gw.probe.close()
    wait_until(lambda: gw.get().status == 200, 5)


def test_a_probe_of_a_worker_that_was_killed_is_given_back(stage):
    gw = opened(stage, reset=1)
    gw.service.answers(acts.gate("late"))
    wait_for_probe(gw)
    gw.service.answers("ok")
    for pid in gw.workers():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: answers(gw) == 200, 10)


def answers(gw):
    try:
        return gw.get().status
    except (OSError, AssertionError):
        return None                       # one of those that died with the worker


def test_the_state_survives_a_reload(stage):
    gw = opened(stage)
    gw.hup()
    assert gw.get().status == 503 and state(gw) == names.OPEN


def test_half_a_count_survives_a_reload(stage):
    gw = guarded(stage, stage.service(answers=500), reset=60)
    assert [gw.get().status for _ in range(2)] == [500] * 2
    gw.hup()
    assert [gw.get().status for _ in range(2)] == [500, 503]


def test_each_service_has_its_own(stage):
    bad, good = stage.service(answers=500), stage.service(answers="ok")
    gw = stage.gateway(services=[stage.route(bad, path="/bad", name="bad", middleware=["circuit_breaker"], cb_failure_threshold=2),
                                 stage.route(good, path="/good", name="good", middleware=["circuit_breaker"], cb_failure_threshold=2)])
    assert [gw.get("/bad").status for _ in range(3)] == [500, 500, 503]
    assert gw.get("/good").status == 200


def test_the_default_threshold_is_the_seeds_five(stage):
    gw = stage.proxy(stage.service(answers=500), service={"middleware": ["circuit_breaker"]})
    assert [gw.get().status for _ in range(7)] == [500] * 5 + [503] * 2
    assert int(gw.last.headers["Retry-After"]) in (9, 10)
