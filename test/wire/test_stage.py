"""The stage itself: its services do what they are told, its referees see what is wrong."""
import pytest

from stage import service as acts
from stage import wire
from stage.client import Client
from stage.metrics import Metrics


def client_of(service):
    return Client(service.address, timeout=5)


def test_a_service_answers_and_remembers(stage):
    s = stage.service(answers="ok")
    with client_of(s) as c:
        assert c.post("/a?b=c", b"hello", {"X-One": "1"}).text == "ok"
        assert c.get("/second").status == 200
    assert (s.seen, s.connections) == (2, 1)
    assert s.requests[0].body == b"hello" and s.requests[0].query == "b=c" and s.requests[0].headers["x-one"] == "1"


def test_answers_in_turn(stage):
    s = stage.service(answers=["one", 503, acts.chunked(b"ab", b"c", trailers=[("T", "1")])])
    with client_of(s) as c:
        assert [c.get().status, c.get().status] == [200, 503]
        last = c.get()
    assert (last.body, last.trailers["t"]) == (b"abc", "1")


def test_a_chunked_request_with_trailers_is_understood(stage):
    s = stage.service(answers=acts.echo)
    with client_of(s) as c:
        c.request("POST", "/", chunks=[b"a" * 10, b"b"], trailers=[("X-Sum", "7")])
    assert (s.last.body, s.last.trailers["X-Sum"]) == (b"a" * 10 + b"b", "7")


def test_drip_arrives_whole(stage):
    s = stage.service(answers="ok")
    with client_of(s) as c:
        c.drip(wire.request_bytes("GET", "/slow"))
        assert c.answer().text == "ok"


def test_a_service_can_be_away_and_back(stage):
    s = stage.service()
    s.away()
    with pytest.raises(ConnectionRefusedError):
        client_of(s)
    s.back()
    with client_of(s) as c:
        assert c.get().status == 200


def test_reset_and_close_are_told_apart(stage):
    s = stage.service(answers=acts.raw(b"HTTP/1.1 200 OK\r\n", then="close"))
    with client_of(s) as c, pytest.raises(wire.Truncated):
        c.get()
    s.answers(acts.raw(b"HTTP/1.1 200 OK\r\n", then="reset"))
    with client_of(s) as c, pytest.raises(ConnectionResetError):
        c.get()


@pytest.mark.parametrize("bad", [
    b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nBad Name: 1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;\r\na\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nno length and no close",
    b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
])
def test_the_clients_referee_refuses(stage, bad):
    s = stage.service(answers=acts.raw(bad, then="close"))
    with client_of(s) as c, pytest.raises(wire.FramingError):
        c.get()


@pytest.mark.parametrize("bad", [
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
])
def test_the_services_referee_refuses(stage, bad):
    s = stage.service()
    with client_of(s) as c:
        c.send(bad)
        c.half_close()
        c.cut()
    s.end()
    assert s.faults
    s.faults.clear()


def test_extra_bytes_are_noticed(stage):
    s = stage.service(answers=acts.raw(acts.answer_bytes(200, b"ok") + b"junk"))
    with client_of(s) as c:
        c.get()
        assert not c.is_open()


def test_metrics_are_read_strictly():
    text = '# TYPE a counter\na{b="c\\"d\\\\e\\nf"} 1\na{b="x"} 2\n'
    m = Metrics(text)
    assert m.get("a", b='c"d\\e\nf') == 1 and m.get("a") == 3 and m.get("z") is None
    for bad in ('# TYPE a counter\na{b="c} 1\n', "a 1\n", "# TYPE a counter\na 1\na 1\n", "# TYPE a counter\na 1"):
        with pytest.raises(AssertionError):
            Metrics(bad)
