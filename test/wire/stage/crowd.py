"""A service that says when so many are in it at once, behind a gateway that lets in only so many."""
import threading

from . import service as acts
from .wire import Truncated

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
