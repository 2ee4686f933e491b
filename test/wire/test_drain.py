"""SIGTERM: what runs is finished, nothing new begins, exit code 0; a second signal: now."""
import os
import signal
import threading
import time

import pytest

from stage import service as acts
from stage.client import Client
from stage.gateway import wait_until
from stage.load import ordinary

ENDS = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT]


@pytest.mark.parametrize("number", ENDS, ids=lambda n: n.name)
def test_an_idle_gateway_ends_with_0_at_once(stage, number):
    gw = stage.proxy(stage.service())
    begun = time.monotonic()
    gw.signal(number)
    assert gw.wait_end() == 0 and time.monotonic() - begun < 3


@pytest.mark.parametrize("number", ENDS, ids=lambda n: n.name)
def test_a_request_in_flight_is_finished(stage, number):
    held = acts.gate("finished")
    s = stage.service(answers=held)
    gw = stage.proxy(s)
    c = gw.client()
    c.ask()
    s.wait_event("held")
    gw.signal(number)
    refuses(gw)
    held.open.set()
    answer = c.answer()
    assert answer.text == "finished" and answer.closes
    assert c.closed() and gw.wait_end() == 0


def refuses(gw):
    def refused():
        try:
            Client(gw.address, timeout=2).close()
            return False
        except OSError:
            return True
    wait_until(refused)


def test_an_upload_in_flight_is_finished(stage):
    s = stage.service(answers="got it")
    gw = stage.proxy(s)
    c = gw.client()
    c.ask("POST", "/", {"Content-Length": "20000"})
    c.send(b"x" * 10000)
    s.wait_seen(1)
    gw.signal(signal.SIGTERM)
    refuses(gw)
    c.send(b"x" * 10000)
    assert c.answer().text == "got it" and gw.wait_end() == 0


def test_a_download_in_flight_is_finished(stage):
    s = stage.service(answers=acts.flood(30 << 20))
    gw = stage.proxy(s)
    c = gw.client(receive_buffer=8192)
    c.ask()
    body = c.body(c.head())
    read = len(next(body))
    gw.signal(signal.SIGTERM)
    assert read + sum(len(piece) for piece in body) == 30 << 20
    assert gw.wait_end() == 0


def test_an_idle_connection_loses_no_request(stage):
    """It is answered once more with Connection: close, or closed before it asks."""
    gw = stage.proxy(stage.service())
    c = gw.client()
    assert c.get().status == 200
    gw.signal(signal.SIGTERM)
    while not c.get().closes:              # dropped without an answer: Closed, and the test has failed
        pass
    assert c.closed() and gw.wait_end() == 0


def test_idle_connections_do_not_hold_it_up(stage):
    gw = stage.proxy(stage.service(), shutdown={"grace": "30s"})
    clients = [gw.client() for _ in range(20)]
    assert all(c.get().status == 200 for c in clients)
    begun = time.monotonic()
    assert gw.stop() == 0 and time.monotonic() - begun < 10


def test_half_a_head_does_not_hold_it_up_for_ever(stage):
    gw = stage.proxy(stage.service(), shutdown={"grace": "1s"})
    gw.raw(b"GET / HTTP/1.1\r\nHos")
    begun = time.monotonic()
    assert gw.stop() == 0 and time.monotonic() - begun < 8


def test_grace_ends(stage):
    s = stage.service(answers=acts.hang)
    gw = stage.proxy(s, shutdown={"grace": "500ms"})
    c = gw.client()
    c.ask()
    s.wait_seen(1)
    begun = time.monotonic()
    assert gw.stop() == 0
    assert 0.4 < time.monotonic() - begun < 5


@pytest.mark.parametrize("number", ENDS, ids=lambda n: n.name)
def test_a_second_signal_means_now(stage, number):
    s = stage.service(answers=acts.hang)
    gw = stage.proxy(s, shutdown={"grace": "30s"})
    c = gw.client()
    c.ask()
    s.wait_seen(1)
    gw.signal(signal.SIGTERM)
    gw.wait_notified("STOPPING=1")
    begun = time.monotonic()
    gw.signal(number)
    gw.wait_end()
    assert time.monotonic() - begun < 3


def test_stopping_is_said(stage):
    gw = stage.proxy(stage.service())
    gw.stop()
    assert "STOPPING=1" in gw.notify.heard()


def test_ready_says_no_while_it_drains(stage):
    """With a delay it still accepts while load balancers look."""
    gw = stage.proxy(stage.service(), shutdown={"drain_delay": "1s", "grace": "5s"})
    assert gw.get("/ready").status == 200
    gw.signal(signal.SIGTERM)
    wait_until(lambda: gw.get("/ready").status == 503, 1)
    assert gw.get("/").status == 200 and gw.get("/health").status == 200
    assert gw.wait_end() == 0


def test_under_load_nothing_that_was_accepted_is_lost(stage):
    """Clients that keep their connections are told to go (Connection: close) and never cut in an answer."""
    gw = stage.proxy(stage.service(answers=ordinary), path="/u")

    problems, told = [], []

    def client():
        try:
            with Client(gw.address, timeout=10) as c:
                while True:
                    answer = c.get("/u")
                    assert answer.status == 200
                    if answer.closes:
                        told.append(1)
                        return
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=client) for _ in range(10)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(gw.records()) > 100)
    gw.signal(signal.SIGTERM)
    for thread in threads:
        thread.join(15)
    assert gw.wait_end() == 0 and not problems and len(told) == 10


def test_new_connections_are_refused_not_left_hanging(stage):
    held = acts.gate("x")
    s = stage.service(answers=held)
    gw = stage.proxy(s)
    c = gw.client()
    c.ask()
    s.wait_event("held")
    gw.signal(signal.SIGTERM)
    refuses(gw)
    held.open.set()
    assert c.answer().status == 200


def test_the_pid_file_is_gone_afterwards(stage):
    gw = stage.proxy(stage.service())
    assert open(gw.pid_file).read().strip() == str(gw.pid)
    gw.stop()
    assert not os.path.exists(gw.pid_file)


def test_a_reload_during_the_drain_changes_nothing(stage):
    held = acts.gate("done")
    s = stage.service(answers=held)
    gw = stage.proxy(s)
    c = gw.client()
    c.ask()
    s.wait_event("held")
    gw.signal(signal.SIGTERM)
    gw.wait_notified("STOPPING=1")
    gw.signal(signal.SIGHUP)
    held.open.set()
    assert c.answer().text == "done" and gw.wait_end() == 0


def test_an_answer_that_was_half_sent_costs_the_next_request_nothing(stage):
    """Its head said nothing of closing, so the client asks again, and is told then."""
    held = acts.gate(acts.raw(b"half"), before=[b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf"])
    s = stage.service(answers=[held, "next"])
    gw = stage.proxy(s)
    c = gw.client()
    c.ask()
    answer = c.head()
    body = c.body(answer)
    assert next(body) == b"half" and not answer.closes
    gw.signal(signal.SIGTERM)
    refuses(gw)
    held.open.set()
    assert b"".join(body) == b"half"
    again = c.get()
    assert again.text == "next" and again.closes
    assert c.closed() and gw.wait_end() == 0
