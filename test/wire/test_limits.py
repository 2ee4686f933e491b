"""Sizes and times: what is too large or too slow is told so, and the rest is not held up."""
import select
import socket
import time

import pytest

from stage import names
from stage import service as acts
from stage import wire
from stage.ports import free_port

SMALL = {"request_line": "1k", "header_size": "1k", "headers_total": "4k", "headers_count": 20, "body_size": "10k"}


def sized(stage, **limits):
    s = stage.service()
    gw = stage.proxy(s, limits={**SMALL, **limits}, workers=1)
    gw.service = s
    return gw


def refused(gw, data, status, reason):
    with gw.client() as c:
        c.send(data)
        answer = c.answer()
        assert answer.status == status
        if answer.closes:
            assert c.closed()
    assert gw.service.seen == 0
    assert gw.wait_records()[-1]["reason"] == reason


def test_a_request_line_too_long_is_414(stage):
    gw = sized(stage)
    refused(gw, wire.request_bytes("GET", "/" + "a" * 1024), 414, names.URI_TOO_LONG)


def test_a_request_line_that_never_ends_is_414(stage):
    gw = sized(stage)
    refused(gw, b"GET /" + b"a" * 100000, 414, names.URI_TOO_LONG)


def test_a_request_line_just_short_enough_passes(stage):
    gw = sized(stage)
    line = len("GET / HTTP/1.1\r\n")
    assert gw.get("/" + "a" * (1024 - line)).status == 200


def test_a_header_too_large_is_431(stage):
    refused(sized(stage), wire.request_bytes("GET", "/", {"X-A": "a" * 1024}), 431, names.HEADERS_TOO_LARGE)


def test_a_header_that_never_ends_is_431(stage):
    refused(sized(stage), b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * 100000, 431, names.HEADERS_TOO_LARGE)


def test_headers_too_large_together_are_431(stage):
    refused(sized(stage), wire.request_bytes("GET", "/", [(f"X-{n}", "a" * 900) for n in range(5)]), 431, names.HEADERS_TOO_LARGE)


def test_too_many_headers_are_431(stage):
    refused(sized(stage), wire.request_bytes("GET", "/", [(f"X-{n}", "a") for n in range(20)]), 431, names.HEADERS_TOO_LARGE)


def test_as_many_headers_as_allowed_pass(stage):
    assert sized(stage).get("/", [(f"X-{n}", "a") for n in range(19)]).status == 200


def test_a_declared_body_too_large_is_413_before_it_is_read(stage):
    gw = sized(stage)
    with gw.client() as c:
        c.ask("POST", "/", {"Content-Length": "10241"})
        assert c.answer().status == 413
    assert gw.service.seen == 0 and gw.wait_records()[0]["reason"] == names.BODY_TOO_LARGE


def test_a_body_as_large_as_allowed_passes(stage):
    gw = sized(stage)
    assert gw.post("/", b"x" * 10240).status == 200
    assert gw.request("POST", "/", chunks=[b"x" * 10240]).status == 200


def test_a_chunked_body_too_large_is_413_when_it_gets_there(stage):
    gw = sized(stage)
    with gw.client() as c:
        c.ask("POST", "/", chunks=[b"x" * 1000] * 11)
        answer = c.answer()
        assert answer.status == 413 and answer.closes
        assert c.closed()
    assert all(not r.complete for r in gw.service.requests)
    assert gw.wait_records()[0]["reason"] == names.BODY_TOO_LARGE


def test_a_service_may_allow_more_than_the_gateway(stage):
    s = stage.service()
    gw = stage.gateway(limits={"body_size": "10k"},
                       services=[stage.route(s, path="/big", name="big", limits={"body_size": "1m"}),
                                 stage.route(s, path="/small", name="small")])
    assert gw.post("/big", b"x" * 100000).status == 200
    assert gw.post("/small", b"x" * 100000).status == 413


def test_defaults_take_a_head_of_30_kib_and_a_body_of_8_mib(stage):
    s = stage.service()
    gw = stage.proxy(s)
    assert gw.get("/" + "a" * 8000, [(f"X-{n}", "v" * 500) for n in range(60)]).status in (200, 431)
    assert gw.post("/", b"x" * (8 << 20)).status == 200
    assert gw.request("POST", "/", {"Content-Length": str((8 << 20) + 1)}).status == 413


def test_requests_per_connection_are_limited_politely(stage):
    gw = sized(stage, requests_per_connection=3)
    c = gw.client()
    assert [c.get().closes for _ in range(3)] == [False, False, True]
    assert c.closed()


# Times

def timed(stage, answers="ok", **timeouts):
    s = stage.service(answers=answers)
    gw = stage.proxy(s, workers=1, timeouts=timeouts)
    gw.service = s
    return gw


class Stopwatch:
    def __init__(self):
        self.begun = time.monotonic()

    def between(self, least, most):
        took = time.monotonic() - self.begun
        assert least <= took <= most, took
        return True


def test_a_head_that_does_not_come_is_408(stage):
    gw = timed(stage, client_header="300ms")
    watch = Stopwatch()
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\n") as c:
        answer = c.answer()
        assert answer.status == 408 and answer.closes
        assert c.closed() and watch.between(0.25, 2)
    assert gw.wait_records()[0]["reason"] == names.REQUEST_TIMEOUT and gw.service.seen == 0


def test_the_time_for_a_head_is_for_the_whole_head(stage):
    """Slow loris: a byte now and then does not buy more time."""
    gw = timed(stage, client_header="400ms")
    watch = Stopwatch()
    with gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\nX: ") as c:
        while not select.select([c.sock], [], [], 0.03)[0]:
            c.send(b"a")
            assert time.monotonic() - watch.begun < 3
        assert c.answer().status == 408
    assert watch.between(0.3, 2)


def test_a_connection_that_never_spoke_is_closed_in_time(stage):
    gw = timed(stage, client_header="300ms", client_idle="300ms")
    with gw.client(timeout=3) as c:
        rest = c.cut()
        assert rest == b"" or rest.startswith(b"HTTP/1.1 408")


def test_an_idle_connection_is_closed_in_silence(stage):
    gw = timed(stage, client_idle="300ms")
    with gw.client(timeout=3) as c:
        assert c.get().status == 200
        watch = Stopwatch()
        assert c.closed() and watch.between(0.2, 2)


def test_an_idle_connection_lives_as_long_as_it_is_used(stage):
    gw = timed(stage, client_idle="400ms")
    with gw.client(timeout=3) as c:
        for _ in range(4):
            assert c.get().status == 200
            assert not select.select([c.sock], [], [], 0.2)[0]       # half the time: nothing happens


def test_a_body_that_stops_coming_is_408(stage):
    gw = timed(stage, client_body="300ms")
    watch = Stopwatch()
    with gw.client() as c:
        c.ask("POST", "/", {"Content-Length": "100"})
        c.send(b"x" * 10)
        answer = c.answer()
        assert answer.status == 408 and answer.closes
        assert c.closed() and watch.between(0.2, 2)
    gw.service.wait(lambda s: not s.open)
    assert gw.wait_records()[0]["reason"] == names.REQUEST_TIMEOUT


def test_a_body_that_keeps_coming_has_time(stage):
    gw = timed(stage, client_body="400ms")
    with gw.client() as c:
        c.ask("POST", "/", {"Content-Length": "5"})
        for _ in range(4):
            c.send(b"x")
            assert not select.select([c.sock], [], [], 0.15)[0]
        c.send(b"x")
        assert c.answer().status == 200


def test_a_client_that_does_not_read_is_left(stage):
    gw = timed(stage, acts.flood(100 << 20), client_write="300ms")
    with gw.client(receive_buffer=4096) as c:
        c.ask("GET", "/")
        gw.service.wait(lambda s: s.connections and not s.open)
    assert gw.wait_records()[0]["reason"] in (names.CLIENT_SLOW, names.CLIENT_GONE)


def test_a_service_that_does_not_answer_is_504(stage):
    gw = timed(stage, acts.hang, upstream_header="300ms")
    watch = Stopwatch()
    with gw.client() as c:
        assert c.get().status == 504
        assert watch.between(0.25, 2) and c.is_open()
    assert gw.wait_records()[0]["reason"] == names.UPSTREAM_TIMEOUT
    gw.service.wait_event("left")


def test_a_service_that_drips_its_head_is_504(stage):
    def dripping(turn):
        turn.read_body()
        turn.send(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            turn.send(b"x")
            time.sleep(0.03)

    gw = timed(stage, dripping, upstream_header="400ms")
    watch = Stopwatch()
    assert gw.get().status == 504 and watch.between(0.3, 2)


def test_the_whole_request_has_an_end(stage):
    gw = timed(stage, acts.hang, request="300ms")
    watch = Stopwatch()
    assert gw.get().status == 504 and watch.between(0.25, 2)
    assert gw.wait_records()[0]["reason"] in (names.TIMEOUT, names.UPSTREAM_TIMEOUT)


def test_a_service_that_stops_in_mid_body_is_cut_not_ended(stage):
    gw = timed(stage, acts.hang_after(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b"half"), upstream_idle_read="300ms")
    with gw.client() as c:
        c.ask()
        answer = c.head()
        with pytest.raises((wire.Truncated, ConnectionResetError)):
            list(c.body(answer))
    gw.service.wait_event("left")


def test_a_chunked_answer_that_stops_is_never_ended_properly(stage):
    gw = timed(stage, acts.hang_after(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"), upstream_idle_read="300ms")
    with gw.client() as c:
        c.ask()
        answer = c.head()
        with pytest.raises((wire.Truncated, ConnectionResetError)):
            list(c.body(answer))


def test_a_service_that_drips_its_body_is_waited_for(stage):
    gw = timed(stage, acts.drip(b"0123456789", every=0.05), upstream_idle_read="300ms")
    assert gw.get().body == b"0123456789"


def full_listener():
    """A listening socket whose queue is full: connecting to it takes for ever."""
    listener = socket.socket()
    port = free_port()
    listener.bind(("127.0.0.1", port))
    listener.listen(0)
    waiting = []
    for _ in range(8):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", port))
        waiting.append(sock)
    return port, [listener, *waiting]


def test_a_service_that_does_not_accept_is_504(stage):
    port, held = full_listener()
    gw = stage.gateway(services=[dict(name="u", route_pattern="/", urls=[f"http://127.0.0.1:{port}"])],
                       timeouts={"upstream_connect": "300ms"})
    watch = Stopwatch()
    assert gw.get().status == 504 and watch.between(0.25, 3)
    assert gw.wait_records()[0]["reason"] in (names.CONNECT_TIMEOUT, names.UPSTREAM_TIMEOUT)
    assert held


def test_a_service_that_refuses_is_502_within_the_connect_budget(stage):
    s = stage.service()
    s.away()
    gw = stage.proxy(s, timeouts={"upstream_connect": "300ms"})
    watch = Stopwatch()
    assert gw.get().status == 502 and watch.between(0, 3)
    assert gw.wait_records()[0]["reason"] == names.CONNECT_FAILED


def test_slow_clients_do_not_hold_up_others(stage):
    gw = timed(stage, client_header="5s")
    lorises = [gw.raw(b"GET / HTTP/1.1\r\nHost: a\r\nX: ") for _ in range(300)]
    watch = Stopwatch()
    for _ in range(20):
        assert gw.get().status == 200
    assert watch.between(0, 2) and len(lorises) == 300


def test_links_to_services_are_closed_when_they_idle(stage):
    gw = timed(stage, upstream_keepalive="300ms")
    assert gw.get().status == 200 and len(gw.service.open) == 1
    gw.service.wait(lambda s: not s.open, 3)
    assert gw.get().status == 200 and gw.service.connections == 2


def test_a_reload_changes_the_limits_of_connections_that_stand(stage):
    gw = sized(stage)
    with gw.client() as c:
        assert c.post("/", b"x" * 5000).status == 200
        gw.config["limits"]["body_size"] = "1k"
        gw.reload(**gw.config)
        assert c.post("/", b"x" * 5000).status == 413


def test_a_reload_changes_the_times_of_services(stage):
    gw = timed(stage, acts.hang, upstream_header="20s")
    with gw.client() as c:
        gw.config["timeouts"]["upstream_header"] = "200ms"
        gw.reload(**gw.config)
        watch = Stopwatch()
        assert c.get().status == 504 and watch.between(0.15, 3)


def test_a_head_as_large_as_can_be_configured_passes(stage):
    s = stage.service()
    gw = stage.proxy(s, limits={"request_line": "32k", "header_size": "64k", "headers_total": "128k"})
    headers = [("X-Large-%d" % n, "a" * 60000) for n in range(2)]
    with gw.client() as c:
        for _ in range(3):
            assert c.get("/" + "p" * 30000, headers).status == 200
    assert len(s.last.headers["X-Large-1"]) == 60000


def test_a_head_larger_than_a_buffer_cannot_be_configured(stage):
    path = stage.new_dir() + "/config.yaml"
    with open(path, "w") as file:
        file.write("limits: {headers_total: 129k}\nservices: []\n")
    done = stage.sluice("check", path)
    assert done.returncode != 0 and "headers_total" in done.stderr
