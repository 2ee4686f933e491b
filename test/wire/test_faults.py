"""One system call of a worker fails, the first, the second … until the play has no more: every client gets an answer or
a clean end, everything goes on, and nothing stays behind. The build for it is build/faults (make test-wire makes it)."""
import contextlib
import os
import re

import pytest

from stage import process
from stage import service as acts
from stage import wire
from stage.gateway import ROOT, wait_until
from stage.together import together

ENOUGH = 400                          # calls in a play; it has fewer
MAY_BE_SAID = (200, 502, 503, 504)


@pytest.fixture
def faulty(monkeypatch):
    path = os.path.join(ROOT, os.environ.get("B", "build"), "faults", "sluice")
    assert os.access(path, os.X_OK), f"no {path}: make test-wire"
    monkeypatch.setenv("SLUICE", path)


def outcome(outcomes, say):
    """A status, or "cut" for a connection that ended without the whole of an answer."""
    try:
        outcomes.append(say().status)
    except (wire.Truncated, ConnectionResetError, BrokenPipeError):
        outcomes.append("cut")
    return outcomes[-1] == 200


def ask(client, outcomes, *request, **more):
    return outcome(outcomes, lambda: client.request(*request, **more))


def speak(say, *request):
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):      # then the answer is missing, too
        say(*request)


def turn(gw, act):
    """The play: a kept connection, an upload, a large answer, an answer in chunks, two in one segment, two that want the
    only link, a link that is dead when it is used, a client that leaves."""
    outcomes = []
    with gw.client() as c:
        ask(c, outcomes, "GET", "/small") and ask(c, outcomes, "GET", "/small")
    with gw.client() as c:
        ask(c, outcomes, "POST", "/small", (), b"x" * 300000)
    with gw.client() as c:
        ask(c, outcomes, "GET", "/large") and ask(c, outcomes, "PUT", "/chunked", chunks=[b"one", b"two"])
    with gw.client() as c:
        speak(c.send, b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
        outcome(outcomes, c.answer) and outcome(outcomes, c.answer)
    with gw.client() as one, gw.client() as two:
        speak(one.ask, "GET", "/large")
        speak(two.ask, "GET", "/small")
        outcome(outcomes, one.answer)
        outcome(outcomes, two.answer)
    act.closes = True
    with gw.client() as c:
        ask(c, outcomes, "GET", "/small") and ask(c, outcomes, "GET", "/small") and ask(c, outcomes, "GET", "/small")
    act.closes = False
    with gw.client() as c:
        speak(c.ask, "GET", "/large")        # and is gone
    for _ in range(2):                # whatever went wrong before
        with gw.client() as c:
            ask(c, outcomes, "GET", "/small")
    return outcomes


def answering(turned):
    path = turned.request.path
    large = acts.text(b"x" * 500000) if path == "/large" else acts.chunked(b"a" * 1000, b"b") if path == "/chunked" else acts.text("ok")
    large(turned)
    if answering.closes:
        turned.close()


answering.closes = False


def test_every_call_may_fail_once(stage, faulty):
    s = stage.service(answers=answering)
    gw = stage.proxy(s, workers=1, upstream_pool={"max_per_host": 1})
    worker = gw.workers()[0]
    assert gw.get("/small").status == 200
    s.hang_up()
    looks = []
    wait_until(lambda: looks.append(process.descriptors(worker)) is None and looks[-20:] == looks[-1:] * 20)
    resting = looks[-1]
    named = set()
    for n in range(2, ENOUGH):        # generation 1 is over
        gw.hup()
        outcomes = turn(gw, answering)
        bad = [o for o in outcomes if o != 200]
        faulty_now = re.search(rf"fault {n}: (\w+)", gw.stderr())
        assert all(o in MAY_BE_SAID or o == "cut" for o in outcomes), (n, outcomes)
        assert len(bad) <= (1 if faulty_now else 0), (n, outcomes)
        assert gw.workers() == [worker]
        s.hang_up()
        wait_until(lambda: process.descriptors(worker) <= resting, explain=lambda: (n, faulty_now, outcomes))
        if not faulty_now:
            break
        named.add(faulty_now[1])
    assert not faulty_now, "the play has more calls than were tried"
    assert named == {"accept4", "epoll_ctl", "recv", "send", "socket", "connect", "getsockopt"}


def ask_of_store(gw, redis, n):
    """Clients of a limit that several gateways keep: new ones, one again, all at once. The connection is found again, or made."""
    outcomes = []
    redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    for key in ("a", "b", "a"):
        with gw.client() as c:
            ask(c, outcomes, "GET", "/", {"X-Key": f"{n}{key}"})
    with gw.client() as one, gw.client() as two:
        speak(one.ask, "GET", "/", {"X-Key": f"{n}c"})
        speak(two.ask, "GET", "/", {"X-Key": f"{n}c"})
        outcome(outcomes, one.answer)
        outcome(outcomes, two.answer)
    return outcomes


def ask_again(gw, outcomes, n):
    with gw.client() as c:
        return ask(c, outcomes, "GET", "/", {"X-Key": f"{n}d"})


@pytest.mark.parametrize("sync", ["200ms", 0])
def test_every_call_to_a_store_may_fail_once(stage, faulty, sync):
    redis = stage.redis()
    gw = together(stage, redis, workers=1, key="header:X-Key", on_store_failure="allow", sync=sync,
                  store={"timeout": "500ms", "outage": {"open_after": 1000}})
    worker = gw.workers()[0]
    assert gw.get("/").status == 200
    named = set()
    for n in range(2, ENOUGH):
        gw.hup()
        outcomes = ask_of_store(gw, redis, n)
        before = redis.calls("evalsha")                   # it goes on
        wait_until(lambda: ask_again(gw, outcomes, n) and redis.calls("evalsha") > before)
        faulty_now = re.search(rf"fault {n}: (\w+)", gw.stderr())
        bad = [o for o in outcomes if o != 200]
        assert all(o in MAY_BE_SAID or o == "cut" for o in outcomes), (n, outcomes)
        assert len(bad) <= (1 if faulty_now else 0), (n, outcomes)
        assert gw.workers() == [worker]
        if not faulty_now:
            break
        named.add(faulty_now[1])
    assert not faulty_now, "the play has more calls than were tried"
    assert {"recv", "send"} <= named                      # when it dials again is its own choice
