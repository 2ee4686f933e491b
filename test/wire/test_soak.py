"""A long day in short: every kind of client and service at once, and nothing grows."""
import random
import threading

import pytest

from stage import process
from stage import service as acts
from stage.client import Client
from stage.gateway import wait_until
from stage.load import Load, ordinary
from stage.wire import request_bytes

SECONDS = 6                     # of load, before and after the first look


def moody(turn):
    """Good, bad and ugly in turns."""
    random.choice([acts.text("ok"), acts.text("ok"), acts.status(503), acts.raw(then="reset"), acts.raw(b"junk\r\n\r\n", then="close"),
                   acts.chunked(b"a", b"b" * 5000), acts.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", then="close"),
                   acts.early(acts.answer_bytes(403, b"no", [("Connection", "close")]))])(turn)


def rude(gw, ending):
    """Clients that leave in the middle, send nonsense, and never read."""
    while not ending.is_set():
        try:
            with Client(gw.address, timeout=5) as c:
                kind = random.randrange(6)
                if kind == 0:
                    c.send(b"GET /moody HTTP/1.1\r\nHost : x\r\n\r\n")
                    c.cut()
                elif kind == 1:
                    c.ask("GET", "/u/large")
                    c.reset()
                elif kind == 2:
                    c.send(b"POST /u HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc")
                elif kind == 3:
                    c.send(request_bytes("GET", "/moody") * 5)
                    c.reset()
                elif kind == 4:
                    c.ask("POST", "/moody", chunks=[b"x" * 1000] * 3)
                    c.head()
                else:
                    c.get("/nowhere")
        except (OSError, AssertionError):
            pass


@pytest.mark.slow
def test_mixed_load_leaves_nothing_behind(stage):
    good, bad = stage.service(answers=ordinary), stage.service(answers=moody)
    gw = stage.gateway(workers=2, middleware_config={"rate_limit": {"rate": "1000000/s", "burst": 1000000}}, services=[
        stage.route(good, path="/u", name="u", middleware=["rate_limit", "circuit_breaker", "metrics"]),
        stage.route(bad, bad, path="/moody", name="moody", middleware=["metrics"])])
    at_rest = {pid: process.descriptors(pid) for pid in gw.workers()}
    ending = threading.Event()
    threads = [threading.Thread(target=rude, args=(gw, ending)) for _ in range(4)]
    with Load(gw, keep=3, once=1, pipeline=1, upload=1, download=1) as load:
        for thread in threads:
            thread.start()
        ending.wait(SECONDS)
        warm = {pid: process.rss(pid) for pid in gw.family()}
        for _ in range(10):
            ending.wait(SECONDS / 10)
            gw.hup()
        after = {pid: process.rss(pid) for pid in gw.family()}
        ending.set()
        for thread in threads:
            thread.join(20)
    assert not load.failures, load.failures[:5]
    assert set(after) == set(warm), "a process was replaced"
    for pid in warm:
        assert after[pid] - warm[pid] < 12 << 20, (process.title(pid), warm[pid], after[pid])
    # What is open is what idles: all clients are gone, only links to services remain.
    wait_until(lambda: all(process.descriptors(pid) - was < 40 for pid, was in at_rest.items()),
               explain=lambda: [(was, process.descriptors(pid)) for pid, was in at_rest.items()])
    gw.metrics().check_histograms()
