"""Where messages end: HEAD, 204, 304, chunks, trailers, 1xx, 100-continue, pipelining."""
import os
import signal
import threading

import pytest

from stage import process
from stage import service as acts
from stage import wire
from stage.gateway import wait_until


def test_head_has_the_length_of_get_and_no_body(stage):
    c = stage.proxy(stage.service(answers="twelve bytes")).client()
    answer = c.request("HEAD", "/")
    assert (answer.status, answer.headers["Content-Length"], answer.body) == (200, "12", b"")
    assert c.get().text == "twelve bytes"


def test_head_of_a_chunked_answer(stage):
    s = stage.service(answers=[acts.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), "next"])
    c = stage.proxy(s).client()
    assert c.request("HEAD", "/").body == b""
    assert c.get().text == "next"


@pytest.mark.parametrize("head", [
    b"HTTP/1.1 204 None\r\n\r\n",
    b"HTTP/1.1 304 Same\r\nETag: \"a\"\r\n\r\n",
    b"HTTP/1.1 304 Same\r\nContent-Length: 1000\r\n\r\n",
    b"HTTP/1.1 204 None\r\nContent-Length: 0\r\n\r\n",
])
def test_204_and_304_end_with_their_head(stage, head):
    c = stage.proxy(stage.service(answers=[acts.raw(head), "next"])).client()
    assert c.get().body == b""
    assert c.get().text == "next"


def test_chunked_answer_with_trailers(stage):
    s = stage.service(answers=acts.chunked(b"a" * 1000, b"b", b"c" * 70000, trailers=[("X-Sum", "9")],
                                           headers=[("Trailer", "X-Sum")]))
    answer = stage.proxy(s).get("/", {"TE": "trailers", "Connection": "TE"})
    assert answer.body == b"a" * 1000 + b"b" + b"c" * 70000
    assert answer.trailers["X-Sum"] == "9"


def test_chunk_extensions_of_a_service_are_dropped_not_mistaken(stage):
    s = stage.service(answers=acts.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                       b'3;x=y;z="0\\"\r\nabc\r\n0;last\r\n\r\n'.replace(b'\\"', b'"')))
    assert stage.proxy(s).get().body == b"abc"


def test_an_answer_that_ends_with_its_connection_is_framed_anew(stage):
    s = stage.service(answers=acts.raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"until ", b"the end", then="close"))
    c = stage.proxy(s).client()
    answer = c.get()
    assert (answer.body, answer.headers["Transfer-Encoding"]) == (b"until the end", "chunked")
    assert c.get().body == b"until the end"


def test_length_of_the_answer_is_kept(stage):
    answer = stage.proxy(stage.service(answers="x" * 100)).get()
    assert answer.headers["Content-Length"] == "100" and "Transfer-Encoding" not in answer.headers


def test_empty_answers_keep_the_connection(stage):
    c = stage.proxy(stage.service(answers=["", acts.chunked(), 204, ""])).client()
    assert [(c.get().status, c.is_open()) for _ in range(4)] == [(200, True), (200, True), (204, True), (200, True)]


def test_a_chunked_request_arrives_with_its_trailers(stage):
    s = stage.service()
    stage.proxy(s).request("POST", "/", {"Trailer": "X-Sum"}, chunks=[b"a" * 5000, b"b", b"c" * 70000], trailers=[("X-Sum", "9")])
    assert s.last.body == b"a" * 5000 + b"b" + b"c" * 70000
    assert s.last.framing == "chunked" and s.last.trailers["X-Sum"] == "9"


def test_a_counted_request_stays_counted(stage):
    s = stage.service()
    stage.proxy(s).post("/", b"x" * 100)
    assert s.last.framing == 100


def test_a_post_of_nothing_says_length_0(stage):
    s = stage.service()
    stage.proxy(s).post("/", b"")
    assert s.last.framing in (0, None) and s.last.complete


def test_a_request_byte_by_byte(stage):
    s = stage.service(answers=acts.echo)
    c = stage.proxy(s).client()
    c.drip(wire.request_bytes("POST", "/x", [("X-Long", "v" * 50)], chunks=[b"ab", b"c" * 20], trailers=[("T", "1")]))
    assert c.answer().status == 200
    assert s.last.body == b"ab" + b"c" * 20 and s.last.trailers["T"] == "1"


def test_an_answer_byte_by_byte(stage):
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + wire.chunked_bytes([b"ab", b"c" * 20], [("T", "1")])
    s = stage.service(answers=acts.raw(*[whole[at:at + 1] for at in range(len(whole))]))
    c = stage.proxy(s).client()
    for _ in range(2):
        answer = c.get("/", {"TE": "trailers", "Connection": "TE"})
        assert answer.body == b"ab" + b"c" * 20


def test_pipelined_requests_are_answered_in_order(stage):
    s = stage.service(answers=lambda turn: acts.text(turn.request.target)(turn))
    c = stage.proxy(s).client()
    c.send(b"".join(wire.request_bytes("GET", f"/{number}") for number in range(50)))
    assert [c.answer().text for _ in range(50)] == [f"/{number}" for number in range(50)]


def test_pipelined_bodies_are_kept_apart(stage):
    s = stage.service(answers=lambda turn: (turn.read_body(), acts.text(turn.request.body)(turn)))
    c = stage.proxy(s).client()
    c.send(wire.request_bytes("POST", "/a", body=b"first") + wire.request_bytes("POST", "/b", chunks=[b"sec", b"ond"]) +
           wire.request_bytes("GET", "/c") + wire.request_bytes("POST", "/d", body=b"last"))
    assert [c.answer().text for _ in range(4)] == ["first", "second", "", "last"]


def test_what_is_pipelined_behind_close_is_not_answered(stage):
    s = stage.service()
    c = stage.proxy(s).client()
    c.send(wire.request_bytes("GET", "/a", {"Connection": "close"}) + wire.request_bytes("GET", "/b"))
    assert c.answer().closes
    assert c.closed() and [r.target for r in s.requests] == ["/a"]


def test_a_pipelined_refusal_waits_for_its_turn(stage):
    held = acts.gate("slow")
    s = stage.service(answers=held)
    c = stage.gateway(services=[stage.route(s, path="/slow")]).client()
    c.send(wire.request_bytes("GET", "/slow") + wire.request_bytes("GET", "/nowhere"))
    s.wait_event("held")
    assert c.is_open()
    held.open.set()
    assert [c.answer().status for _ in range(2)] == [200, 404]


@pytest.mark.parametrize("interim", [b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n"])
def test_interim_answers_pass(stage, interim):
    s = stage.service(answers=acts.raw(interim, interim, acts.answer_bytes(200, b"final")))
    answer = stage.proxy(s).get()
    assert answer.text == "final" and len(answer.interim) == 2


def test_interim_answers_are_kept_from_a_1_0_client(stage):
    s = stage.service(answers=acts.raw(b"HTTP/1.1 103 Early Hints\r\n\r\n", acts.answer_bytes(200, b"final")))
    answer = stage.proxy(s).get("/", version="1.0")
    assert answer.text == "final" and answer.interim == []


def test_a_client_that_expects_100_is_told_to_continue(stage):
    s = stage.service(answers=acts.echo)
    c = stage.proxy(s).client()
    c.ask("POST", "/", {"Expect": "100-continue", "Content-Length": "5"})
    assert wire.Answer(c.source.until(b"\r\n\r\n")).status == 100
    c.send(b"hello")
    assert c.answer().status == 200 and s.last.body == b"hello"
    assert c.get("/").status == 200


def test_a_refusal_spares_the_expecting_client_its_body(stage):
    s = stage.service()
    gw = stage.proxy(s, service={"middleware": ["auth_apikey"]}, middleware_config={"auth_apikey": {"valid_keys": ["k"]}})
    c = gw.client()
    c.ask("POST", "/", {"Expect": "100-continue", "Content-Length": "5"})
    answer = c.answer()
    assert answer.status == 401 and answer.interim == [] and s.seen == 0


def test_a_client_that_expects_100_and_sends_anyway_is_served(stage):
    s = stage.service(answers=acts.echo)
    answer = stage.proxy(s).post("/", b"hello", {"Expect": "100-continue"})
    assert answer.status == 200 and s.last.body == b"hello"


def test_who_expects_100_and_has_no_body_is_served(stage):
    s = stage.service()
    c = stage.proxy(s).client()
    assert c.get("/", {"Expect": "100-continue"}).status == 200      # RFC 9110 10.1.1: there is nothing to continue with
    assert c.request("POST", "/", {"Expect": "100-continue", "Content-Length": "0"}).status == 200


def test_expect_from_a_1_0_client_is_ignored(stage):
    s = stage.service()
    answer = stage.proxy(s).post("/", b"hello", {"Expect": "100-continue"}, version="1.0")
    assert answer.status == 200 and answer.interim == []


def test_a_service_may_refuse_before_the_body_came(stage):
    s = stage.service(answers=acts.early(acts.answer_bytes(417, b"no", [("Connection", "close")])))
    c = stage.proxy(s).client()
    c.ask("POST", "/", {"Expect": "100-continue", "Content-Length": "5"})
    answer = c.head()
    assert answer.status == 417 or (answer.interim and answer.status == 417)


def test_an_early_answer_reaches_the_client_while_it_uploads(stage):
    s = stage.service(answers=acts.early(acts.answer_bytes(403, b"enough", [("Connection", "close")]), close=False))
    c = stage.proxy(s).client()
    c.ask("POST", "/", {"Content-Length": str(1 << 20)})
    c.send(b"x" * 1000)
    answer = c.answer()
    assert (answer.status, answer.text) == (403, "enough")


def test_after_an_early_answer_the_connection_is_either_in_step_or_closed(stage):
    s = stage.service(answers=[acts.early(acts.answer_bytes(403, b"enough")), "next"])
    c = stage.proxy(s, workers=1).client()
    c.ask("POST", "/", {"Content-Length": "100000"})
    c.send(b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
    answer = c.answer()
    assert answer.status == 403
    if answer.closes:
        assert c.closed()
    else:
        c.send(b"x" * (100000 - 100 * 38))
        assert c.get("/after").status == 200
    assert all(r.target != "/smuggled" for r in s.requests)


def test_a_refused_upload_leaves_the_connection_in_step_or_closed(stage):
    s = stage.service()
    c = stage.gateway(services=[stage.route(s, path="/u")]).client()
    c.ask("POST", "/nowhere", body=b"GET /u HTTP/1.1\r\nHost: a\r\n\r\n")
    answer = c.answer()
    assert answer.status == 404
    if answer.closes:
        assert c.closed()
    else:
        assert c.get("/u").status == 200
    assert s.seen <= 1


def test_a_client_that_half_closes_still_gets_its_answer(stage):
    held = acts.gate("late")
    s = stage.service(answers=held)
    c = stage.proxy(s).client()
    c.ask("GET", "/")
    c.half_close()
    s.wait_event("held")
    held.open.set()
    assert c.answer().text == "late"


def test_an_upload_that_ends_before_its_first_byte_is_over_at_once(stage):
    """All of it, and the end, lie in the kernel before the worker looks: the end is read with the request in front."""
    s = stage.service()
    gw = stage.proxy(s, workers=1)
    c = gw.client()
    assert c.get("/").status == 200
    worker = gw.workers()[0]
    os.kill(worker, signal.SIGSTOP)
    wait_until(lambda: process.state(worker) == "T")
    c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
    c.half_close()
    os.kill(worker, signal.SIGCONT)
    assert c.answer().status == 200
    assert c.closed()                                # well before client_body, 30 s
    assert gw.wait_records(3)[2]["reason"] == "client_gone"
    s.wait(lambda s: not s.open)


def test_a_head_in_two_packets_anywhere(shared):
    s = shared.service(answers="ok")
    gw = shared.proxy(s, workers=1)
    whole = wire.request_bytes("POST", "/x", [("X-A", "b")], chunks=[b"0123456789", b"ab"])
    for cut in range(1, len(whole), 3):
        with gw.client() as c:
            c.drip(whole[:1])
            c.send(whole[1:cut])
            while c.unsent():
                pass
            c.send(whole[cut:])
            assert c.answer().text == "ok", cut
    assert all(r.body == b"0123456789ab" for r in s.requests)


def test_answers_flow_while_the_upload_goes_on(stage):
    """A service that answers piece by piece what it is sent piece by piece."""
    def both_ways(turn):
        turn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in turn.pieces():
            turn.send(b"%x\r\n%s\r\n" % (len(piece), piece.upper()))
        turn.send(b"0\r\n\r\n")

    c = stage.proxy(stage.service(answers=both_ways)).client()
    c.ask("POST", "/", {"Transfer-Encoding": "chunked"})
    answer = c.head()
    body = c.body(answer)
    for word in (b"one", b"two", b"three"):
        c.send(b"%x\r\n%s\r\n" % (len(word), word))
        assert next(body) == word.upper()
    c.send(b"0\r\n\r\n")
    assert list(body) == []
    assert c.is_open()


def test_many_connections_drip_at_once(stage):
    s = stage.service(answers=acts.echo)
    gw = stage.proxy(s)
    data = wire.request_bytes("POST", "/d", chunks=[b"abc"])
    errors = []

    def dripping():
        try:
            with gw.client() as c:
                c.drip(data)
                assert c.answer().status == 200
        except BaseException as error:      # noqa: B902 - told to the test below
            errors.append(error)

    threads = [threading.Thread(target=dripping) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and s.seen == 20
