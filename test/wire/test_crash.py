"""kill -9: only what that process had in flight is lost, and another takes its place."""
import os
import signal

import pytest

from stage import names, process
from stage import service as acts
from stage.gateway import wait_until
from stage.load import Load, ordinary
from stage.wire import Truncated

LOST = (Truncated, ConnectionError)           # how a client notices that its worker died


def kill(pid):
    os.kill(pid, signal.SIGKILL)


def test_a_killed_worker_is_replaced(stage):
    gw = stage.proxy(stage.service(), workers=2)
    before = gw.workers()
    kill(before[0])
    after = gw.wait_workers(2, without=[before[0]])
    assert before[1] in after
    assert all(gw.get().status == 200 for _ in range(20))


def test_only_the_killed_workers_requests_are_lost(stage):
    held = acts.gate("survived")
    s = stage.service(answers=held)
    gw = stage.proxy(s, workers=2)
    clients = [gw.client() for _ in range(40)]
    for c in clients:
        c.ask()
    s.wait_event("held", 40)
    victim = gw.workers()[0]
    doomed = process.clients_of(victim, gw.port)
    kill(victim)
    gw.wait_workers(2, without=[victim])
    held.open.set()
    lost = set()
    for c in clients:
        try:
            assert c.answer().text == "survived"
        except LOST:
            lost.add(c.sock.getsockname()[1])
    assert lost == doomed and 0 < len(doomed) < 40


def test_nobody_waits_for_a_dead_workers_listening_socket(stage):
    gw = stage.proxy(stage.service(), workers=4)
    for pid in gw.workers()[:3]:
        kill(pid)
        for _ in range(40):                                # enough to meet each slot
            assert gw.request("GET", "/", timeout=3).status == 200


def test_all_workers_killed_at_once_come_back(stage):
    gw = stage.proxy(stage.service(), workers=2)
    before = gw.workers()
    for pid in before:
        kill(pid)
    assert gw.request("GET", "/", timeout=10).status == 200          # waited in the queue, was not refused
    gw.wait_workers(2, without=before)


def test_the_killed_are_replaced_with_the_current_configuration(stage):
    a, b = stage.service(answers="a"), stage.service(answers="b")
    gw = stage.proxy(a, workers=1)
    gw.reload(**{**gw.config, "services": [stage.route(b, path="/", name="u")]})
    before = gw.workers()
    kill(before[0])
    gw.wait_workers(1, without=before)
    assert gw.get().text == "b"


def test_counters_survive_the_process_that_counted(stage):
    gw = stage.proxy(stage.service(), workers=1, service={"middleware": ["metrics"]})
    for turn in range(1, 4):
        for _ in range(5):
            gw.get()
        gw.wait_metric(lambda m: m.get(names.S3_COUNTER) == 5 * turn)
        before = gw.workers()
        kill(before[0])
        gw.wait_workers(1, without=before)
        assert gw.metrics().get(names.S3_COUNTER) == 5 * turn


def test_limits_survive_the_process_that_counted(stage):
    gw = stage.proxy(stage.service(), workers=1, service={"middleware": ["rate_limit"]},
                     middleware_config={"rate_limit": {"rate": "6/h", "burst": 3}})
    assert [gw.get().status for _ in range(3)] == [200] * 3
    before = gw.workers()
    kill(before[0])
    gw.wait_workers(1, without=before)
    assert gw.get().status == 429


def test_a_killed_caretaker_is_replaced_and_no_request_notices(stage):
    gw = stage.proxy(stage.service(answers=ordinary), path="/u")
    before = gw.caretaker()
    with Load(gw, keep=2, once=1) as load:
        kill(before)
        wait_until(lambda: gw.caretaker() not in (None, before))
        load.wait_more(50)
    assert not load.failures
    gw.get("/u/after")
    gw.wait_records(lambda lines: any(line["path"] == "/u/after" for line in lines))


def test_records_are_not_lost_with_the_caretaker(stage):
    gw = stage.proxy(stage.service(), workers=1)
    with gw.client() as c:
        for n in range(100):
            assert c.get(f"/{n}").status == 200
            if n == 50:
                before = gw.caretaker()
                kill(before)
        wait_until(lambda: gw.caretaker() not in (None, before))
        paths = {line["path"] for line in gw.wait_records(lambda lines: any(line["path"] == "/99" for line in lines))}
    assert paths == {f"/{n}" for n in range(100)}          # at least once each


def test_workers_killed_again_and_again_under_load(stage):
    gw = stage.proxy(stage.service(answers=ordinary), path="/u", service={"middleware": ["metrics", "rate_limit", "circuit_breaker"],
                                                                         "rate_limit_rps": 100000, "rate_limit_burst": 100000})
    with Load(gw, keep=4, once=2, upload=1, download=1, may_fail=LOST) as load:
        for _ in range(4):
            victim = gw.wait_workers(2)[0]
            kill(victim)
            gw.wait_workers(2, without=[victim])
            load.wait_more(30)
    assert not load.failures, load.failures[:5]
    gw.metrics().check_histograms()
    assert gw.get("/u").status == 200


def test_a_worker_that_cannot_live_is_not_tried_without_pause(stage):
    gw = stage.proxy(stage.service(), workers=1)
    seen = set(gw.workers())
    for _ in range(3):
        kill(gw.wait_workers(1, seconds=10)[0])
        wait_until(lambda: not gw.workers() or set(gw.workers()) - seen)
        seen |= set(gw.workers())
    gw.wait_workers(1)
    assert gw.get().status == 200


def test_when_the_master_is_killed_the_others_go(stage):
    gw = stage.proxy(stage.service())
    family = gw.family()
    kill(gw.pid)
    gw.wait_end()
    assert all(process.wait_pid_end(pid) for pid in family)


def test_a_worker_that_hangs_does_not_hold_up_the_end(stage):
    """SIGSTOP is the purest way to hang: grace ends it."""
    gw = stage.proxy(stage.service(), workers=2, shutdown={"grace": "500ms"})
    os.kill(gw.workers()[0], signal.SIGSTOP)
    gw.signal(signal.SIGTERM)
    gw.wait_end(10)


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGPIPE, signal.SIGWINCH, signal.SIGCHLD])
def test_stray_signals_kill_nobody(stage, number):
    gw = stage.proxy(stage.service())
    family = sorted(gw.family())
    for pid in [gw.pid, *family]:
        os.kill(pid, number)
    assert gw.get().status == 200 and sorted(gw.family()) == family


def test_a_reload_while_a_worker_is_reborn_reaches_it_too(stage):
    a, b = stage.service(answers="a"), stage.service(answers="b")
    gw = stage.proxy(a, workers=2)
    victim = gw.workers()[0]
    kill(victim)
    wait_until(lambda: victim not in gw.family())
    gw.reload(**{**gw.config, "services": [stage.route(b, path="/", name="u")]})
    gw.wait_workers(2, without=[victim])
    assert {gw.get().text for _ in range(30)} == {"b"}


def test_reloads_taken_back_again_and_again_leave_everybody_well(stage):
    """A worker that dies while it adopts takes the reload back, in all that had adopted it already. (The parts of the old
    configuration were once put on a list twice, and the caretaker went round in it for ever.)"""
    s = stage.service(answers="u")
    gw = stage.proxy(s, path="/u", workers=2)
    entries = gw.config["services"]
    for turn in range(8):
        gw.write(**{**gw.config, "services": entries + [stage.route(s, path=f"/more{turn}", name="more")]})
        victim = gw.wait_workers(2)[turn % 2]
        os.kill(victim, signal.SIGSTOP)              # it is asked and does not answer ...
        gw.signal(signal.SIGHUP)
        gw.wait_notified("RELOADING=1")
        kill(victim)                                 # ... and dies of it
        gw.wait_notified("READY=1")
        gw.wait_workers(2, without=[victim])
        assert {gw.get("/u").text for _ in range(6)} == {"u"}
        assert len({gw.get(f"/more{turn}").status for _ in range(6)}) == 1      # whichever won, it runs everywhere
    gw.reload(**gw.config)
    assert gw.get("/more7").status == 200


def test_in_flight_numbers_of_a_killed_worker_are_given_back(stage):
    held = acts.gate("late")
    s = stage.service(answers=held)
    gw = stage.proxy(s, workers=1)
    for _ in range(5):
        gw.client().ask()
    s.wait_event("held", 5)
    before = gw.workers()
    kill(before[0])
    gw.wait_workers(1, without=before)
    s.answers("ok")
    gw.wait_metric(lambda m: m.get("gateway_requests_in_flight") <= 1)
    held.open.set()
