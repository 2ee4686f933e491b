"""Who waits for a place: in which order, how long, and what becomes of those who wait when something dies, hangs or changes."""
import os
import signal

import pytest

from stage import process
from stage.crowd import LOST, REFUSED, Counting, ask, limited, wait_gauges
from stage.gateway import wait_until


def test_who_waits_in_a_worker_is_served_in_the_order_of_coming(stage):
    act = Counting()
    gw = limited(stage, act, workers=1, max=1, queue=20, queue_timeout="30s")
    clients = []
    for n in range(8):
        clients.append(gw.client())
        clients[-1].ask("GET", f"/{n}")
        wait_gauges(gw, 1, n)
    for n in range(8):
        act.wait_now(1)
        assert gw.service.last.target == f"/{n}"
        act.let_go(1)
        gw.service.wait_event("in", min(n + 2, 8))
        assert clients[n].answer().status == 200
    assert act.most == 1


def test_who_waits_in_any_worker_gets_in(stage):
    """Three of four workers have somebody waiting whenever the fourth gives its place back."""
    act = Counting()
    gw = limited(stage, act, workers=4, max=1, queue=50, queue_timeout="30s")
    clients = ask(gw, 24)
    wait_gauges(gw, 1, 23)
    for n in range(1, 24):
        act.let_go(1)
        gw.service.wait_event("in", n + 1)
    act.let_go()
    assert [c.answer().status for c in clients] == [200] * 24
    assert act.most == 1


@pytest.mark.parametrize("workers", [1, 4])
def test_only_so_many_may_wait_over_all_workers(stage, workers):
    act = Counting()
    gw = limited(stage, act, workers=workers, max=2, queue=5, queue_timeout="30s")
    clients = ask(gw, 20)
    gw.wait_metric(lambda m: m.get(REFUSED, service="u") == 13)
    wait_gauges(gw, 2, 5)
    act.wait_now(2)
    act.let_go()
    got = [c.answer().status for c in clients]
    assert (got.count(200), got.count(503), act.most) == (7, 13, 2)


def test_who_has_waited_too_long_is_refused_after_all(stage):
    act = Counting()
    gw = limited(stage, act, max=1, queue=5, queue_timeout="150ms")
    clients = ask(gw, 1)
    act.wait_now(1)
    late = ask(gw, 3)
    assert [c.answer().status for c in late] == [503] * 3
    wait_gauges(gw, 1, 0)
    act.let_go()
    assert clients[0].answer().status == 200
    assert gw.service.seen == 1
    reasons = [line["reason"] for line in gw.wait_records(lambda lines: sum(line["path"] == "/" for line in lines) == 4)
               if line["path"] == "/"]
    assert sorted(reasons) == ["ok"] + ["queue_timeout"] * 3


def test_the_time_of_the_whole_request_ends_the_waiting_too(stage):
    act = Counting()
    s = stage.service(answers=act)
    gw = stage.proxy(s, workers=1, service={"name": "u", "timeouts": {"request": "300ms"}, "middleware": [
        {"concurrency": {"max": 1, "queue": 5, "queue_timeout": "30s"}}]})
    clients = ask(gw, 3)
    assert [c.answer().status for c in clients] == [504] * 3
    wait_gauges(gw, 0, 0)
    act.let_go()
    assert gw.get().status == 200


def test_a_client_that_leaves_the_queue_makes_room_in_it(stage):
    act = Counting()
    gw = limited(stage, act, max=1, queue=2, queue_timeout="30s")
    first = ask(gw, 1)[0]
    act.wait_now(1)
    waiting = ask(gw, 2)
    wait_gauges(gw, 1, 2)
    waiting[0].close()
    wait_gauges(gw, 1, 1)
    third = ask(gw, 1)[0]
    wait_gauges(gw, 1, 2)
    act.let_go()
    assert [c.answer().status for c in (first, waiting[1], third)] == [200] * 3
    assert gw.service.seen == 3 and act.most == 1
    wait_gauges(gw, 0, 0)


def test_what_a_killed_worker_held_goes_to_those_who_wait_elsewhere(stage):
    act = Counting()
    gw = limited(stage, act, workers=2, max=4, queue=50, queue_timeout="30s")
    clients = ask(gw, 24)
    wait_gauges(gw, 4, 20)
    victims = {pid: process.clients_of(pid, gw.port) for pid in gw.workers()}
    victim = max(victims, key=lambda pid: len(victims[pid]))
    doomed = {c for c in clients if c.sock.getsockname()[1] in victims[victim]}
    living = len(clients) - len(doomed)
    os.kill(victim, signal.SIGKILL)
    wait_gauges(gw, min(4, living), max(0, living - 4))
    act.let_go()
    for c in clients:
        if c in doomed:
            with pytest.raises(LOST):
                c.answer()
        else:
            assert c.answer().status == 200
    gw.wait_workers(2, without=[victim])
    wait_gauges(gw, 0, 0)
    assert all(gw.get().status == 200 for _ in range(6))


def test_a_worker_that_hangs_with_the_first_in_line_holds_up_nobody(stage):
    """Who was called and does not come is passed over."""
    act = Counting()
    gw = limited(stage, act, workers=2, max=1, queue=50, queue_timeout="30s")
    clients = [gw.client() for _ in range(16)]
    for n, c in enumerate(clients):
        c.ask("GET", f"/{n}")
    wait_gauges(gw, 1, 15)
    act.wait_now(1)
    inside = clients[int(gw.service.last.target[1:])].sock.getsockname()[1]
    of = {pid: process.clients_of(pid, gw.port) for pid in gw.workers()}
    hung = next(pid for pid in of if inside not in of[pid])
    assert of[hung], "all came to one worker"
    os.kill(hung, signal.SIGSTOP)
    try:
        act.let_go()
        others = [c for c in clients if c.sock.getsockname()[1] not in of[hung]]
        assert [c.answer().status for c in others] == [200] * len(others)
    finally:
        os.kill(hung, signal.SIGCONT)
    assert [c.answer().status for c in clients if c not in others] == [200] * (16 - len(others))
    assert act.most == 1


def test_a_queue_full_of_those_whose_worker_hangs_keeps_nobody_from_a_free_place(stage):
    act = Counting()
    gw = limited(stage, act, workers=2, max=1, queue=3, queue_timeout="30s")
    clients = [gw.client() for _ in range(24)]
    for c in clients:
        assert c.get("/health").status == 200
    ports = {pid: process.clients_of(pid, gw.port) for pid in gw.workers()}
    mine, hung = sorted(ports, key=lambda pid: len(ports[pid]))[::-1]
    ours = [c for c in clients if c.sock.getsockname()[1] in ports[mine]]
    theirs = [c for c in clients if c.sock.getsockname()[1] in ports[hung]][:3]
    assert len(theirs) == 3, "nearly all came to one worker"
    ours[0].ask()
    act.wait_now(1)
    for c in theirs:
        c.ask()
    wait_gauges(gw, 1, 3)
    os.kill(hung, signal.SIGSTOP)
    try:
        act.let_go()
        assert ours[0].answer().status == 200
        wait_until(lambda: ours[1].get().status == 200)
        assert [ours[n].get().status for n in range(6)] == [200] * 6
    finally:
        os.kill(hung, signal.SIGCONT)
    assert [c.answer().status for c in theirs] == [200] * 3
    wait_gauges(gw, 0, 0)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_reload_that_raises_the_maximum_lets_those_in_who_wait(stage, workers):
    act = Counting()
    gw = limited(stage, act, workers=workers, max=1, queue=50, queue_timeout="30s")
    clients = ask(gw, 8)
    wait_gauges(gw, 1, 7)
    gw.config["services"][0]["middleware"][0]["concurrency"]["max"] = 5
    gw.reload(**gw.config)
    act.wait_now(5)
    wait_gauges(gw, 5, 3)
    act.let_go()
    assert [c.answer().status for c in clients] == [200] * 8
    assert act.most == 5


def test_a_reload_without_the_step_serves_those_who_waited_and_forgets_it(stage):
    act = Counting()
    gw = limited(stage, act, max=1, queue=10, queue_timeout="30s")
    clients = ask(gw, 3)
    act.wait_now(1)
    wait_gauges(gw, 1, 2)
    steps = gw.config["services"][0].pop("middleware")
    gw.reload(**gw.config)
    newcomers = ask(gw, 5)
    act.wait_now(6)                               # those who came later are not limited any more
    act.let_go()
    assert [c.answer().status for c in clients + newcomers] == [200] * 8
    gw.hup()                                      # now nobody can name its tables any more
    gw.config["services"][0]["middleware"] = steps
    gw.reload(**gw.config)
    act.open = False
    again = ask(gw, 3)
    act.wait_now(1)
    wait_gauges(gw, 1, 2)
    act.let_go()
    assert [c.answer().status for c in again] == [200] * 3


def test_a_worker_that_leaves_serves_those_who_wait_in_it(stage):
    act = Counting()
    gw = limited(stage, act, workers=3, max=1, queue=50, queue_timeout="30s")
    clients = ask(gw, 12)
    wait_gauges(gw, 1, 11)
    gw.config["process"]["workers"] = 1
    gw.reload(**gw.config)
    act.let_go()
    assert [c.answer().status for c in clients] == [200] * 12
    gw.wait_workers(1)
    wait_gauges(gw, 0, 0)


def test_the_end_of_the_gateway_does_not_wait_for_those_who_wait(stage):
    act = Counting()
    gw = limited(stage, act, max=1, queue=50, queue_timeout="30s")
    gw.config["shutdown"]["grace"] = "300ms"
    gw.reload(**gw.config)
    clients = ask(gw, 6)
    wait_gauges(gw, 1, 5)
    assert gw.stop() == 0
    for c in clients:
        with pytest.raises(LOST):
            c.answer()
    act.let_go()


def test_what_is_piped_behind_a_request_that_waits_comes_after_it(stage):
    act = Counting()
    gw = limited(stage, act, workers=1, max=1, queue=50, queue_timeout="30s")
    first = ask(gw, 1)[0]
    act.wait_now(1)
    second = gw.client()
    for n in range(3):
        second.ask("GET", f"/{n}")
    wait_gauges(gw, 1, 1)
    act.let_go()
    assert first.answer().status == 200
    assert [second.answer().status for _ in range(3)] == [200] * 3
    assert [r.target for r in gw.service.requests] == ["/", "/0", "/1", "/2"]


def test_an_upload_that_waits_is_read_only_when_it_has_a_place(stage):
    act = Counting()
    gw = limited(stage, act, workers=1, max=1, queue=50, queue_timeout="30s")
    first = ask(gw, 1)[0]
    act.wait_now(1)
    second = gw.client()
    second.ask("POST", "/", {"Expect": "100-continue", "Content-Length": "5"})
    wait_gauges(gw, 1, 1)
    act.let_go()
    assert first.answer().status == 200
    gw.service.wait_seen(2)
    second.send(b"hello")
    assert second.answer().status == 200
    assert gw.service.last.body == b"hello"
