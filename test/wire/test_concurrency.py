"""So many at once, over all workers; who waits, who is refused, and who gets a place that is free again."""
import os
import signal
import threading

import pytest

from stage import names, process
from stage import service as acts
from stage.gateway import wait_until
from stage.wire import Truncated

LOST = (Truncated, ConnectionError)           # how a client notices that its worker died

RUNNING = "gateway_concurrency_in_flight"
WAITING = "gateway_concurrency_queued"
REFUSED = "gateway_concurrency_refused_total"


class Counting:
    """An act that knows how many requests were at the service at once; each stays until it is let go."""

    def __init__(self):
        self.lock = threading.Condition()
        self.now = self.most = self.allowed = 0
        self.open = False

    def __call__(self, turn):
        turn.read_body()
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.lock.notify_all()
            turn.service.note("in")
            self.lock.wait_for(lambda: self.open or self.allowed > 0 or turn.service.ended, 30)
            self.allowed -= not self.open
            self.now -= 1                          # before the answer: after it another may be let in
            self.lock.notify_all()
        turn.send(acts.answer_bytes(200, b"done"))

    def let_go(self, count=None):
        with self.lock:
            self.open = count is None
            self.allowed = count or 0
            self.lock.notify_all()

    def wait_now(self, count, seconds=10):
        with self.lock:
            assert self.lock.wait_for(lambda: self.now == count, seconds), (self.now, count)


def limited(stage, act, workers=2, key=None, **settings):
    service = stage.service(answers=act)
    if key:
        settings["key"] = key
    gw = stage.proxy(service, workers=workers, service={"name": "u", "middleware": [{"concurrency": settings}]})
    gw.service = service
    return gw


def ask(gw, count, **more):
    clients = [gw.client(**more) for _ in range(count)]
    for c in clients:
        c.ask()
    return clients


def wait_gauges(gw, running, waiting=0):
    gw.wait_metric(lambda m: (m.get(RUNNING, service="u"), m.get(WAITING, service="u")) == (running, waiting))


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
